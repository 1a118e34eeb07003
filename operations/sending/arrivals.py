"""One picture of a run: what is sent when, and its outcome."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from common.predictions import Outcome

INBOX = "inbox"  # the prefix that template.yaml's PictureUploadedRule listens to
AS_IT_IS = "as it is"  # the kind of an unchanged picture


class SourcePicture(NamedTuple):
    """A picture to send: its file or bytes, and its class `truth`, None where it is unknown.

    `name` is the file's path below the folder that was given, or an odd picture's file name.
    """

    name: str
    body: Path | bytes
    truth: str | None


@dataclass
class Arrival:
    """A picture that is due `at` seconds after the run's start.

    The sender's threads fill in the upload, `version_id` last. Only then does the tracker, another thread, read the
    arrival and fill in the rest. So no field has two writers at a time.
    """

    at: float
    key: str
    body: Path | bytes
    kind: str = AS_IT_IS  # or how it was made odd
    truth: str | None = None
    late_s: float | None = None  # seconds from `at` until its upload began
    upload_s: float | None = None  # seconds that the upload took, retries included
    upload_error: str | None = None  # name and message
    version_id: str | None = None  # as S3 returned it; "null" in a bucket without versions
    outcome: Outcome | None = None
    label: str | None = None  # of an accepted picture
    guess: str | None = None  # likeliest class of a picture in review
    confidence: float | None = None  # of the label or guess
    error: str | None = None  # name of the execution's error
    cause: str | None = None
    execution_arn: str | None = None  # the execution that decided
    stopped: float | None = None  # when that execution ended, in seconds since 1970 by AWS's clock
