"""Upload pictures when the clock says so, whatever became of the ones before (an open loop)."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

from common.errors import ExpectedError
from operations.sending.arrivals import Arrival
from operations.sending.clock_offset import ClockOffset

UPLOADS_AT_ONCE = 64  # connections; with more a picture waits for one, which its latency shows
TICK_S = 0.2  # how often progress is shown and a broken run noticed

# What is wrong for every picture alike, and what to do about it.
HOPELESS = {
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
    """S3 refuses every picture for the same reason."""


class Sender:
    """Uploads arrivals to a bucket. `stop`, once set, lets no further upload begin."""

    def __init__(self, s3: Any, bucket: str, stop: Event) -> None:
        """Upload with an S3 client that has a connection for each of UPLOADS_AT_ONCE threads."""
        self.bucket = bucket
        self.began = 0.0  # seconds since 1970, by this machine's clock
        self.clock_offset = ClockOffset()
        self.refused: UploadsRefusedError | None = None
        self._s3 = s3
        self._stop = stop
        self._began = 0.0  # by the clock that nobody sets

    @property
    def offset_s(self) -> float:
        """AWS's clock minus this machine's, in seconds."""
        return self.clock_offset.seconds

    def send(self, arrivals: Sequence[Arrival], tick: Callable[[], None]) -> None:
        """Upload all of them, each at its time; return when the last upload has ended.

        `tick` is called often. What goes wrong with one picture stands in its arrival; what would
        go wrong with every picture sets `stop` and stands in `refused`. Whatever else ends it, such
        as a KeyboardInterrupt or what `tick` raises, sets `stop`, and uploads under way end first.
        """
        self.began, self._began = time.time(), time.monotonic()
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            begun: list[Future[None]] = []
            try:
                dispatch(
                    arrivals,
                    lambda arrival: begun.append(pool.submit(self.upload, arrival)),
                    now=lambda: time.monotonic() - self._began,
                    wait=self._stop.wait,
                    tick=tick,
                )
                while wait(begun, timeout=TICK_S).not_done:
                    tick()
            except BaseException:  # else the pool would go on with all that has been submitted
                self._stop.set()
                if any(future.running() for future in begun):
                    print("Interrupted: the uploads under way end first.", file=sys.stderr)
                pool.shutdown(cancel_futures=True)
                raise
        for future in begun:
            future.result()

    def upload(self, arrival: Arrival) -> None:
        """Upload one picture and note in it how that went."""
        if self._stop.is_set():
            return
        arrival.late_s = time.monotonic() - self._began - arrival.at
        try:
            body = arrival.body if isinstance(arrival.body, bytes) else arrival.body.read_bytes()
            asked, begin = time.time(), time.monotonic()
            answer = self._s3.put_object(Bucket=self.bucket, Key=arrival.key, Body=body)
        # UnicodeError: a file's name that is no UTF-8, so that no key can be made of it.
        except (ClientError, BotoCoreError, OSError, UnicodeError) as error:
            arrival.upload_error = f"{error_name(error)}: {error}"
            if isinstance(error, HTTPClientError):  # the connection was there, the answer was not
                arrival.upload_error += " (S3 may have stored it all the same)"
            self.refused = self.refused or refusal(error, self.bucket)
            if self.refused:
                self._stop.set()
            return
        arrival.upload_s = time.monotonic() - begin
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self.clock_offset.observe(asked, asked + arrival.upload_s, headers.get("date"))
        arrival.version_id = answer.get("VersionId", "null")  # last: the tracker waits for it


def dispatch(
    arrivals: Iterable[Arrival],
    submit: Callable[[Arrival], object],
    *,
    now: Callable[[], float],
    wait: Callable[[float], bool],
    tick: Callable[[], None],
) -> None:
    """Submit each arrival when its time has come; one whose time is past, at once.

    `now` tells the seconds since the start, `wait` lets seconds pass and tells whether to stop.
    """
    for arrival in arrivals:
        while (left := arrival.at - now()) > 0:
            if wait(min(left, TICK_S)):
                return
            tick()
        if wait(0):
            return
        submit(arrival)


def refusal(error: Exception, bucket: str) -> UploadsRefusedError | None:
    """Return the error for the whole run, None where only the one picture went wrong."""
    code = error_name(error)
    if isinstance(error, NoCredentialsError):
        what = "log in"
    elif code in HOPELESS:
        what = HOPELESS[code]
    else:
        return None
    return UploadsRefusedError(f"S3 takes no picture into {bucket} ({error}): {what}.")


def error_name(error: Exception) -> str:
    """Return AWS's code for the error, or its class."""
    if isinstance(error, ClientError):
        return str(error.response["Error"].get("Code", "ClientError"))
    return type(error).__name__
