"""Wait for the data capture of an endpoint, which reaches S3 some time after the calls."""

import time
from typing import Any

from common.errors import ExpectedError

POLL_SECONDS = 0.5


class CapturesMissingError(ExpectedError):
    """Calls of the endpoint are still missing in its data capture."""


def wait_for_captures(s3: Any, bucket: str, prefix: str, expected: int, timeout_s: float) -> None:
    """Wait until the files below the prefix have `expected` lines, one per call. Raises CapturesMissingError."""
    deadline = time.monotonic() + timeout_s
    lines: dict[str, int] = {}  # of each file; files do not change
    while True:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for key in [content["Key"] for page in pages for content in page.get("Contents", [])]:
            if key not in lines:
                body = s3.get_object(Bucket=bucket, Key=key)["Body"]
                lines[key] = sum(1 for _ in body.iter_lines())
        if sum(lines.values()) >= expected:
            return
        if time.monotonic() > deadline:
            raise CapturesMissingError(
                f"After {timeout_s:.0f} s s3://{bucket}/{prefix} holds {sum(lines.values())} of"
                f" {expected} calls: see .local/ for the logs."
            )
        time.sleep(POLL_SECONDS)
