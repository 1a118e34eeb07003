"""Learn where the pictures of a run ended, while it goes on and for a while after it."""

import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, Protocol

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as AwsConnectionError,
)

from operations.sending.arrivals import Arrival
from operations.sending.executions import (
    FAILED,
    LOW_CONFIDENCE,
    Ended,
    Failure,
    describe_failure,
    ended_since,
)
from operations.sending.ledger import read_ledger

LOOK_EVERY_S = 2.0
S_PER_PAGE = 1.0  # between looks, for each page of the last: half of what a small region allows
# Of the 10 descriptions a second that a small region refills, and the 250 that it lets save up.
DESCRIBES_PER_S = 8.0
MOST_DESCRIBES = 100
MARGIN_S = 5.0  # before the oldest open picture; covers what is not known of AWS's clock
# The list of executions is not consistent at once: a picture that is placed waits this long for
# the time at which its execution ended.
STOP_TIME_GRACE_S = 15.0

PASSING = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TooManyRequestsException",
}


class Clock(Protocol):
    """What the tracker needs of the sender: when the run began and how AWS's clock differs."""

    began: float

    @property
    def offset_s(self) -> float:
        """AWS's clock minus this machine's, in seconds."""


class Tracker:
    """Notes in each arrival that was uploaded where it ended: an item of the table comes first."""

    def __init__(
        self,
        stepfunctions: Any,
        dynamodb: Any,
        outputs: dict[str, str],
        *,
        arrivals: Sequence[Arrival],
        clock: Clock,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at the state machine and the table that `outputs`, those of the stack, name."""
        self.trouble = ""  # what kept the last look from telling anything
        self._stepfunctions = stepfunctions
        self._dynamodb = dynamodb
        self._outputs = outputs
        self._arrivals = arrivals
        self._clock = clock
        self._now = now
        self._ended: dict[str, Ended] = {}
        self._described: set[str] = set()
        self._failures: dict[tuple[str, str], tuple[str, Failure]] = {}  # by key and version
        self._placed_at: dict[str, float] = {}  # by key
        self._describes = float(MOST_DESCRIBES)  # that may be asked for now
        self._described_at = now()

    def follow(self, stop: Event) -> None:
        """Look again and again until told to stop.

        Raises ClientError, BotoCoreError, ExpectedError for what will not pass.
        """
        while not stop.is_set():
            pages = 1
            try:
                pages = self.look()
                self.trouble = ""
            except (ClientError, BotoCoreError) as error:
                if not passes(error):
                    raise
                self.trouble = str(error)
            stop.wait(max(LOOK_EVERY_S, pages * S_PER_PAGE))

    def look(self) -> int:
        """Look once; return how many pages the list of executions took."""
        waiting = self.waiting()
        if not waiting:
            return 0
        oldest = min(arrival.at for arrival in waiting)
        since = self._clock.began + oldest + self._clock.offset_s - MARGIN_S
        # In this order: what has ended by the list has its item in the table by then.
        ended, pages = ended_since(self._stepfunctions, self._outputs["StateMachineArn"], since)
        self._ended |= {execution.arn: execution for execution in ended}
        self._read_ledger([a for a in waiting if a.place is None])
        self._explain_failures(waiting)
        for arrival in waiting:
            if arrival.place is not None:
                self._placed_at.setdefault(arrival.key, self._now())
                if execution := self._ended.get(arrival.execution_arn or ""):
                    arrival.stopped = execution.stopped
        return pages

    def last_look(self) -> None:
        """Let an item win over a failure: another execution of the same version may have come."""
        self._read_ledger([a for a in self._arrivals if a.place == "failed"])
        for arrival in self._arrivals:
            if execution := self._ended.get(arrival.execution_arn or ""):
                arrival.stopped = execution.stopped

    def waiting(self) -> list[Arrival]:
        """Return the uploaded pictures of which something is not known yet."""
        return [
            arrival
            for arrival in self._arrivals
            if arrival.version_id is not None
            and arrival.stopped is None
            and self._now() - self._placed_at.get(arrival.key, self._now()) < STOP_TIME_GRACE_S
        ]

    def _read_ledger(self, arrivals: list[Arrival]) -> None:
        table = self._outputs["PredictionsTableName"]
        read_ledger(self._dynamodb, table, self._outputs["PicturesBucketName"], arrivals)

    def _explain_failures(self, waiting: list[Arrival]) -> None:
        """Describe failed executions that no item explains, oldest first, as many as may be."""
        open_ = [arrival for arrival in waiting if arrival.place is None]
        if not open_:
            return
        explained = {a.execution_arn for a in self._arrivals} | self._described
        failed = [e for e in self._ended.values() if e.status in FAILED and e.arn not in explained]
        for execution in sorted(failed, key=lambda e: e.stopped)[: self._affordable()]:
            failure = describe_failure(self._stepfunctions, execution.arn)
            self._describes -= 1
            self._described.add(execution.arn)
            # Of another run, maybe, or of a picture that S3 has taken and not yet said so.
            self._failures[failure.key, failure.version_id] = (execution.arn, failure)
        for arrival in open_:
            if found := self._failures.get((arrival.key, str(arrival.version_id))):
                arrival.execution_arn, failure = found
                arrival.error, arrival.cause = failure.error, failure.cause
                arrival.place = "review" if failure.error == LOW_CONFIDENCE else "failed"

    def _affordable(self) -> int:
        """Return how many executions may be described now."""
        saved_up = self._describes + (self._now() - self._described_at) * DESCRIBES_PER_S
        self._describes, self._described_at = min(saved_up, MOST_DESCRIBES), self._now()
        return int(self._describes)


def passes(error: Exception) -> bool:
    """Tell whether the same call may well succeed a little later."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error.response["Error"].get("Code") in PASSING or status >= 500
    return isinstance(error, (AwsConnectionError, HTTPClientError))
