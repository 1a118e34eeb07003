"""The outcome of every picture of a run, from its execution, the predictions table and the review queue."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from common import metrics
from common.errors import ExpectedError
from common.parallel import run_parallel
from common.predictions import (
    ACCEPTED,
    FAILED,
    LOW_CONFIDENCE_ERROR,
    REVIEW,
    Outcome,
    Prediction,
    meets_threshold,
    read_item,
)
from common.s3_address import split_s3_address
from operations.sending.executions import ENDED_STATUSES, PAGE, describe
from operations.workflow_drawing import error_counts, read_path, transition_counts

POLL_SECONDS = 0.5
THREADS = 8  # histories read at a time: as many connections as a client keeps


class ExecutionsUnfinishedError(ExpectedError):
    """Some uploads started no execution, or some executions did not end in time."""


class UnaccountedPictureError(ExpectedError):
    """A picture's execution contradicts the predictions table or the review queue."""


@dataclass(frozen=True)
class PictureOutcome:
    """One picture: its class and its outcome. `confidence` is a probability, `label` a class."""

    key: str
    truth: str
    outcome: Outcome
    label: str | None = None
    confidence: float | None = None
    error: str | None = None


def wait_for_executions(
    stepfunctions: Any,
    state_machine: str,
    expected: Callable[[], int],
    timeout_s: float,
    report: Callable[[int, int | None], None],
) -> list[str]:
    """Return the ARNs of the ended executions once as many as `expected` have ended.

    `expected` is called at each poll. Raises ExecutionsUnfinishedError after `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        wanted = expected()
        pages = stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=state_machine, maxResults=PAGE)
        executions = [execution for page in pages for execution in page["executions"]]
        ended = [execution["executionArn"] for execution in executions if execution["status"] in ENDED_STATUSES]
        report(len(ended), wanted)
        if len(ended) >= wanted:
            return ended
        if time.monotonic() > deadline:
            raise ExecutionsUnfinishedError(
                f"after {timeout_s:.0f} s {len(executions)} of {wanted} executions had started and {len(ended)} had"
                " ended: see .local/ for the logs"
            )
        time.sleep(POLL_SECONDS)


def picture_outcomes(
    stepfunctions: Any, executions: Iterable[str], predictions: Iterable[Prediction], queued: dict[str, dict[str, Any]]
) -> list[PictureOutcome]:
    """Return the outcome of each execution's picture.

    `predictions` is the predictions table; `queued` has the messages of the review queue by the ARN of their execution.
    Raises UnaccountedPictureError for a picture that is in neither, contrary to its execution.
    """
    recorded = {p.execution_arn: p for p in predictions if p.outcome == ACCEPTED}
    found = []
    for arn in executions:
        execution = describe(stepfunctions, arn)
        key = split_s3_address(execution.picture.picture)[1] if execution.picture else ""
        label, confidence, failure = None, None, None
        try:
            if not execution.error:
                outcome, label, confidence = ACCEPTED, recorded[arn].label, recorded[arn].confidence
            elif execution.error == LOW_CONFIDENCE_ERROR:
                outcome, label, confidence = REVIEW, queued[arn]["label"], queued[arn]["confidence"]
            else:
                outcome, failure = FAILED, f"{execution.error}: {execution.cause}"
        except KeyError as error:
            raise UnaccountedPictureError(
                f"{key} is neither in the predictions table nor in the review queue, but its execution {arn} ended with"
                f" {execution.error or 'success'}."
            ) from error
        found.append(PictureOutcome(key, key.split("/")[-2], outcome, label, confidence, failure))
    return found


def read_predictions(dynamodb: Any, table: str) -> list[Prediction]:
    """Return the whole predictions table."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=table)
    return [read_item(item) for page in pages for item in page["Items"]]


def queued_reviews(sqs: Any, queue_url: str) -> dict[str, dict[str, Any]]:
    """Return the bodies of the review queue's messages by the ARN of their execution, and leave them in the queue."""
    received = []
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
        "Messages"
    ):
        received += messages
    for message in received:
        sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    bodies = [json.loads(message["Body"]) for message in received]
    return {body["execution_arn"]: body for body in bodies}


def count_transitions(
    stepfunctions: Any, executions: Sequence[str], report: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """Count the transitions between states in the histories of executions, given by their ARNs.

    Returns {"from", "to", "times", "after_errors"} of each transition, in the order of the first execution;
    "after_errors" counts the times after a caught error.
    """

    def count(arn: str) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        path = [read_path(stepfunctions, arn, data=False)]
        return transition_counts(path), error_counts(path)

    total: Counter[tuple[str, str]] = Counter()
    after_errors: Counter[tuple[str, str]] = Counter()
    for transitions, errors in run_parallel(count, executions, threads=THREADS, report=report):
        total.update(transitions)
        after_errors.update(errors)
    return [
        {"from": start, "to": end, "times": times, "after_errors": after_errors[start, end]}
        for (start, end), times in total.items()
    ]


def figures(pictures: list[PictureOutcome], threshold: float) -> dict[str, Any]:
    """Return counts and shares over all pictures; shares are in [0, 1].

    `accuracy` is over all pictures: those in review count by the model's guess, failed ones as wrong.
    """
    counts = Counter(p.outcome for p in pictures)
    accepted = [p for p in pictures if p.outcome == ACCEPTED]
    return {
        "executions": {"started": len(pictures)} | {name: counts[name] for name in (ACCEPTED, REVIEW, FAILED)},
        "threshold": threshold,
        "accuracy": _share(sum(p.label == p.truth for p in pictures), len(pictures)),
        "accuracy_accepted": _share(sum(p.label == p.truth for p in accepted), len(accepted)),
        "coverage": _share(len(accepted), len(pictures)),
        "accepted_below_threshold": sum(not meets_threshold(p.confidence, threshold) for p in accepted),
    }


def _share(part: int, whole: int) -> float | None:
    exact = metrics.share(part, whole)
    return None if exact is None else round(exact, 4)
