"""Where every picture of a demo run ended up, read from where a person would look for it."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from common.errors import ExpectedError
from operations.sending.executions import LOW_CONFIDENCE

POLL_SECONDS = 0.5

Place = Literal["accepted", "below_threshold", "failed"]


class ExecutionsUnfinishedError(ExpectedError):
    """Some uploads started no execution, or some executions did not end in time."""


class UnaccountedPictureError(ExpectedError):
    """An execution says that its picture is somewhere, and it is not there."""


@dataclass(frozen=True)
class Outcome:
    """One picture: its class and where it ended. `confidence` is a probability, `label` a class."""

    key: str
    truth: str
    place: Place
    label: str | None = None
    confidence: float | None = None
    error: str | None = None


def wait_for_executions(
    stepfunctions: Any,
    state_machine: str,
    expected: int,
    timeout_s: float,
    report: Callable[[int, int | None], None],
) -> list[dict[str, Any]]:
    """Return `expected` executions once all of them have ended.

    Raises ExecutionsUnfinishedError after `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        pages = stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=state_machine)
        executions = [execution for page in pages for execution in page["executions"]]
        ended = [e for e in executions if e["status"] != "RUNNING"]
        report(len(ended), expected)
        if len(ended) >= expected:
            return ended
        if time.monotonic() > deadline:
            raise ExecutionsUnfinishedError(
                f"After {timeout_s:.0f} s {len(executions)} of {expected} pictures had started an"
                f" execution and {len(ended)} had ended: see .local/ for the logs."
            )
        time.sleep(POLL_SECONDS)


def outcomes(
    stepfunctions: Any,
    executions: Iterable[dict[str, Any]],
    recorded: dict[str, dict[str, Any]],
    queued: dict[str, dict[str, Any]],
) -> list[Outcome]:
    """Return where each execution's picture is.

    `recorded` holds the items of the table and `queued` the messages of the review queue, both by
    the ARN of the execution. Raises UnaccountedPictureError for a picture that is in neither
    although its execution says so.
    """
    found = []
    for execution in executions:
        arn = execution["executionArn"]
        told = stepfunctions.describe_execution(executionArn=arn)
        key = json.loads(told["input"])["object"]["key"]  # S3's event, as the rule hands it over
        truth = key.split("/")[-2]
        try:
            if told["status"] == "SUCCEEDED":
                item = recorded[arn]
                outcome = Outcome(key, truth, "accepted", item["label"]["S"], float(item["confidence"]["N"]))
            elif told.get("error") == LOW_CONFIDENCE:
                message = queued[arn]
                outcome = Outcome(key, truth, "below_threshold", message["label"], message["confidence"])
            else:
                error = f"{told.get('error', told['status'])}: {told.get('cause', '')}"
                outcome = Outcome(key, truth, "failed", error=error)
        except KeyError as error:
            raise UnaccountedPictureError(
                f"{key} is in neither the predictions table nor the review queue, but its"
                f" execution {arn} ended as {told['status']} {told.get('error', '')}."
            ) from error
        found.append(outcome)
    return found


def recorded_predictions(dynamodb: Any, table: str) -> dict[str, dict[str, Any]]:
    """Return the accepted answers in the predictions table by the ARN of their execution."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=table)
    items = [item for page in pages for item in page["Items"]]
    return {i["execution_arn"]["S"]: i for i in items if i["outcome"]["S"] == "accepted"}


def queued_reviews(sqs: Any, queue_url: str) -> dict[str, dict[str, Any]]:
    """Return the bodies of the waiting messages by the ARN of their execution.

    The messages stay in the queue, and are there for the next reader when this returns.
    """
    found: dict[str, dict[str, Any]] = {}
    receipts = []
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
        "Messages"
    ):
        for message in messages:
            body = json.loads(message["Body"])
            found[body["execution_arn"]] = body
            receipts.append(message["ReceiptHandle"])
    for receipt in receipts:
        sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=receipt, VisibilityTimeout=0)
    return found


def share(part: int, whole: int) -> float | None:
    """Return part of whole in [0, 1], or None where there is nothing to share."""
    return round(part / whole, 4) if whole else None


def figures(pictures: list[Outcome], threshold: float) -> dict[str, Any]:
    """Return counts and shares over all pictures; shares are in [0, 1].

    `accuracy` is over all pictures: doubtful ones count by their label, failed ones as wrong.
    """
    places = Counter(p.place for p in pictures)
    accepted = [p for p in pictures if p.place == "accepted"]
    return {
        "executions": {
            "started": len(pictures),
            "accepted": places["accepted"],
            "below_threshold": places["below_threshold"],
            "failed": places["failed"],
        },
        "threshold": threshold,
        "accuracy": share(sum(p.label == p.truth for p in pictures), len(pictures)),
        "accuracy_accepted": share(sum(p.label == p.truth for p in accepted), len(accepted)),
        "coverage": share(len(accepted), len(pictures)),
        "accepted_below_threshold": sum((p.confidence or 0) < threshold for p in accepted),
    }
