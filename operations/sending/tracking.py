"""Find out the outcome of each picture of a run, from the predictions table and from the executions."""

import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError

from common.errors import ExpectedError
from common.predictions import ACCEPTED, FAILED, LOW_CONFIDENCE_ERROR, REVIEW, REVIEWED, PredictionKey, read_item
from operations.sending.arrivals import Arrival
from operations.sending.executions import FAILED_STATUSES, DescribedExecution, EndedExecution, describe, ended_since
from operations.sending.uploading import Sender

POLL_S = 2.0
POLL_S_PER_PAGE = 1.0  # for each page of the last list of executions: half of what a small region allows
# Of the 10 descriptions a second that a small region refills, and the 250 that it saves up.
DESCRIBES_PER_S = 8.0
MOST_DESCRIBES = 100
MARGIN_S = 5.0  # before the oldest open picture; covers the uncertainty of AWS's clock
# The list of executions is eventually consistent: wait this long for the end of a decided picture's execution.
STOP_TIME_GRACE_S = 15.0
BATCH_GET_KEYS = 100  # most keys of one BatchGetItem
KNOWN_OUTCOMES = (ACCEPTED, REVIEW, REVIEWED)

TRANSIENT_ERRORS = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TooManyRequestsException",
}


class UnknownOutcomeError(ExpectedError):
    """The table has an outcome that this version of the program does not know."""


class Tracker:
    """Fills in the outcome of each uploaded arrival. An item of the table overrides a failed execution."""

    def __init__(
        self,
        stepfunctions: Any,
        dynamodb: Any,
        outputs: dict[str, str],
        *,
        arrivals: Sequence[Arrival],
        sender: Sender,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the state machine and the table that `outputs`, those of the stack, name."""
        self.last_error = ""  # of the last poll, empty if it succeeded
        self._stepfunctions, self._dynamodb, self._outputs = stepfunctions, dynamodb, outputs
        self._arrivals, self._sender, self._now = arrivals, sender, now
        self._ended: dict[str, EndedExecution] = {}
        self._described: set[str] = set()
        self._failures: dict[PredictionKey, DescribedExecution] = {}
        self._decided_at: dict[str, float] = {}  # by key
        self._describes = float(MOST_DESCRIBES)  # that are allowed now
        self._described_at = now()

    def follow(self, stop: Event) -> None:
        """Poll until `stop` is set.

        Raises ClientError, BotoCoreError, ExpectedError for errors that are not transient.
        """
        while not stop.is_set():
            pages = 1
            try:
                pages = self.poll()
                self.last_error = ""
            except (ClientError, BotoCoreError) as error:
                if not is_transient(error):
                    raise
                self.last_error = str(error)
            stop.wait(max(POLL_S, pages * POLL_S_PER_PAGE))

    def poll(self) -> int:
        """Poll once; return how many pages the list of executions took."""
        waiting = self.waiting()
        if not waiting:
            return 0
        oldest = min(arrival.at for arrival in waiting)
        since = self._sender.began + oldest + self._sender.clock_offset.seconds - MARGIN_S
        # In this order: an execution that the list gives as ended has written its item.
        ended, pages = ended_since(self._stepfunctions, self._outputs["StateMachineArn"], since)
        self._ended |= {execution.arn: execution for execution in ended}
        self._read_items([a for a in waiting if a.outcome is None])
        self._explain_failures([a for a in waiting if a.outcome is None])
        for arrival in waiting:
            if arrival.outcome is not None:
                self._decided_at.setdefault(arrival.key, self._now())
        self._note_ends(waiting)
        return pages

    def last_poll(self) -> None:
        """Let an item override a failure: another execution of the same version may have decided.

        Raises what `follow` raises.
        """
        try:
            self._read_items([a for a in self._arrivals if a.outcome == FAILED])
        except (ClientError, BotoCoreError) as error:
            if not is_transient(error):
                raise
        self._note_ends(self._arrivals)

    def waiting(self) -> list[Arrival]:
        """Return the uploaded pictures whose outcome or end is still unknown."""
        return [
            arrival
            for arrival in self._arrivals
            if arrival.version_id is not None
            and arrival.stopped is None
            and self._now() - self._decided_at.get(arrival.key, self._now()) < STOP_TIME_GRACE_S
        ]

    def _key(self, arrival: Arrival) -> PredictionKey:
        return PredictionKey(f"s3://{self._outputs['PicturesBucketName']}/{arrival.key}", str(arrival.version_id))

    def _read_items(self, arrivals: Sequence[Arrival]) -> None:
        """Read the items of these arrivals. Keys that DynamoDB leaves unprocessed wait for the next poll."""
        table = self._outputs["PredictionsTableName"]
        by_key = {self._key(arrival): arrival for arrival in arrivals}
        keys = [key.attributes() for key in by_key]
        for start in range(0, len(keys), BATCH_GET_KEYS):
            wanted = keys[start : start + BATCH_GET_KEYS]
            # Consistent, so that what an ended execution wrote is there.
            answer = self._dynamodb.batch_get_item(RequestItems={table: {"Keys": wanted, "ConsistentRead": True}})
            for item in answer["Responses"].get(table, []):
                note_item(by_key[read_item(item).key], item)

    def _note_ends(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            if arrival.outcome and (execution := self._ended.get(arrival.execution_arn or "")):
                arrival.stopped = execution.stopped

    def _explain_failures(self, undecided: list[Arrival]) -> None:
        """Describe failed executions that no item explains, oldest first, as many as the rate allows."""
        if not undecided:
            return
        saved_up = self._describes + (self._now() - self._described_at) * DESCRIBES_PER_S
        self._describes, self._described_at = min(saved_up, MOST_DESCRIBES), self._now()
        explained = {a.execution_arn for a in self._arrivals} | self._described
        failed = [e for e in self._ended.values() if e.status in FAILED_STATUSES and e.arn not in explained]
        for execution in sorted(failed, key=lambda e: e.stopped)[: int(self._describes)]:
            described = describe(self._stepfunctions, execution.arn)
            self._describes -= 1
            self._described.add(execution.arn)
            if described.picture:  # of another run, or of an upload whose answer is still to come
                self._failures[described.picture] = described
        for arrival in undecided:
            if failure := self._failures.get(self._key(arrival)):
                arrival.execution_arn, arrival.error, arrival.cause = failure.arn, failure.error, failure.cause
                arrival.outcome = REVIEW if failure.error == LOW_CONFIDENCE_ERROR else FAILED


def note_item(arrival: Arrival, item: dict[str, Any]) -> None:
    """Note the outcome that an item has, instead of an execution's failure. Raises UnknownOutcomeError."""
    prediction = read_item(item)
    if prediction.stored_outcome not in KNOWN_OUTCOMES:
        raise UnknownOutcomeError(
            f"The predictions table has the outcome {prediction.stored_outcome!r} for {arrival.key}. This program knows"
            f" only {', '.join(KNOWN_OUTCOMES)}: use the version that belongs to the deployed stack."
        )
    if prediction.outcome is None:
        return
    if arrival.execution_arn != prediction.execution_arn:
        arrival.execution_arn, arrival.stopped = prediction.execution_arn, None
    arrival.label = prediction.label if prediction.outcome == ACCEPTED else None
    arrival.guess = prediction.guess
    arrival.confidence = prediction.confidence
    arrival.error = arrival.cause = None
    arrival.outcome = prediction.outcome


def is_transient(error: ClientError | BotoCoreError) -> bool:
    """Tell whether the same call may succeed a little later."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error.response["Error"].get("Code") in TRANSIENT_ERRORS or status >= 500
    return isinstance(error, (AwsConnectionError, HTTPClientError))
