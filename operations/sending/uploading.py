"""Upload each picture when it is due, whether or not earlier ones have ended (an open loop)."""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

from common.errors import ExpectedError
from operations.sending.arrivals import Arrival

UPLOADS_AT_ONCE = 64  # connections; with more a picture waits for one, which its latency shows
TICK_S = 0.2  # how often progress is shown and a broken run noticed

# Errors that every upload would meet, and what to do about them.
FATAL_ERRORS = {
    "NoSuchBucket": "deploy the stack again with `sam build && sam deploy`",
    "AccessDenied": "ask for s3:PutObject on the bucket",
    "AllAccessDisabled": "ask who closed the bucket",
    "ExpiredToken": "log in again",
    "InvalidToken": "log in again",
    "InvalidAccessKeyId": "log in again",
    "SignatureDoesNotMatch": "log in again",
    "RequestTimeTooSkewed": "set this machine's clock",
}


class UploadsRefusedError(ExpectedError):
    """S3 refuses every upload for the same reason."""


class ClockOffset:
    """Estimates AWS's clock minus this machine's from the Date headers of ordinary answers.

    An execution's end is in AWS's time and a picture's arrival in this machine's: their latency needs the difference.
    """

    _low = float("-inf")
    _high = float("inf")

    def observe(self, asked: float, answered: float, date: str | None) -> None:
        """Narrow the bounds by an answer: this machine's times around it (seconds since 1970) and its Date.

        A header that is not a date, such as a proxy's, is ignored.
        """
        try:
            dated = parsedate_to_datetime(date or "").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return
        self._low = max(self._low, dated - answered)
        self._high = min(self._high, dated + 1 - asked)  # a Date is cut to the full second

    @property
    def seconds(self) -> float:
        """AWS's clock minus this machine's; 0 where the bounds allow 0 or there are none."""
        if self._low <= 0 <= self._high:
            return 0.0
        return (self._low + self._high) / 2


class Sender:
    """Uploads arrivals to a bucket. `stop`, once set, lets no further upload begin."""

    def __init__(self, s3: Any, bucket: str) -> None:
        """Upload with an S3 client that has a connection for each of UPLOADS_AT_ONCE threads."""
        self.bucket, self.stop = bucket, Event()
        self.began = 0.0  # seconds since 1970, by this machine's clock
        self.clock_offset = ClockOffset()
        self.refused: UploadsRefusedError | None = None
        self._s3 = s3
        self._began = 0.0  # by the monotonic clock

    def send(self, arrivals: Sequence[Arrival], tick: Callable[[], None]) -> None:
        """Upload all of them, each when it is due; return when the last upload has ended.

        `tick` is called often. An error of one upload is noted in its arrival; one that every upload would meet sets
        `stop` and `refused`. Any other exception, such as KeyboardInterrupt or one of `tick`, sets `stop`, lets the
        uploads under way end and propagates.
        """
        self.began, self._began = time.time(), time.monotonic()
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            begun: list[Future[None]] = []
            try:
                for arrival in arrivals:
                    while (left := self._began + arrival.at - time.monotonic()) > 0 and not self.stop.is_set():
                        tick()
                        self.stop.wait(min(left, TICK_S))
                    begun.append(pool.submit(self.upload, arrival))
                while wait(begun, timeout=TICK_S).not_done:
                    tick()
            except BaseException:  # otherwise the pool would upload all that has been submitted
                self.stop.set()
                if any(future.running() for future in begun):
                    print("Interrupted: the uploads under way end first.", file=sys.stderr)
                pool.shutdown(cancel_futures=True)
                raise
        for future in begun:
            future.result()

    def upload(self, arrival: Arrival) -> None:
        """Upload one picture and note the result in it."""
        if self.stop.is_set():
            return
        arrival.late_s = time.monotonic() - self._began - arrival.at
        try:
            body = arrival.body if isinstance(arrival.body, bytes) else arrival.body.read_bytes()
            asked, begin = time.time(), time.monotonic()
            answer = self._s3.put_object(Bucket=self.bucket, Key=arrival.key, Body=body)
        # UnicodeError: a file name that is not UTF-8, which cannot be a key.
        except (ClientError, BotoCoreError, OSError, UnicodeError) as error:
            arrival.upload_error = f"{error_name(error)}: {error}"
            if isinstance(error, HTTPClientError):  # connected, but without an answer
                arrival.upload_error += " (S3 may have stored it all the same)"
            self.refused = self.refused or refusal(error, self.bucket)
            if self.refused:
                self.stop.set()
            return
        arrival.upload_s = time.monotonic() - begin
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self.clock_offset.observe(asked, asked + arrival.upload_s, headers.get("date"))
        arrival.version_id = answer.get("VersionId", "null")  # last: the tracker waits for it


def refusal(error: Exception, bucket: str) -> UploadsRefusedError | None:
    """Return the error for the whole run, None where only this upload failed."""
    advice = "log in" if isinstance(error, NoCredentialsError) else FATAL_ERRORS.get(error_name(error))
    return UploadsRefusedError(f"S3 refuses every upload to {bucket} ({error}): {advice}.") if advice else None


def error_name(error: Exception) -> str:
    """Return AWS's code for the error, or its class."""
    if isinstance(error, ClientError):
        return str(error.response["Error"].get("Code", "ClientError"))
    return type(error).__name__
