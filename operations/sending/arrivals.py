"""One picture of a run: what is sent when, and its outcome."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from common.predictions import Outcome

INBOX = "inbox"  # the prefix that template.yaml's PictureUploadedRule listens to
AS_IT_IS = "as it is"  # the kind of an unchanged picture


class SourcePicture(NamedTuple):
    """A file to send: `name` is its path below the folder it came from, `truth` its class."""

    name: str
    path: Path
    truth: str | None


@dataclass
class Arrival:
    """A picture that is due `at` seconds after the run's start.

    The sender's threads fill in the upload, `version_id` last. Only then does the tracker, another thread, read the
    arrival and fill in the rest. So no field has two writers at a time.

    Attributes:
        key: the object's.
        body: bytes, or the file that has them.
        kind: AS_IT_IS, or how it was made odd.
        truth: class of the picture, None where it is unknown.
        late_s: seconds from `at` until its upload began.
        upload_s: seconds that the upload took, retries included.
        upload_error: name and message of the upload's error.
        version_id: as S3 returned it; "null" in a bucket without versions.
        outcome: accepted, review or failed.
        label: class of an accepted picture.
        guess: likeliest class of a picture in review.
        confidence: probability of the label or guess.
        error: name of the execution's error.
        cause: cause of the execution's error.
        execution_arn: the execution that decided.
        stopped: when that execution ended, in seconds since 1970 by AWS's clock.
    """

    at: float
    key: str
    body: Path | bytes
    kind: str = AS_IT_IS
    truth: str | None = None
    late_s: float | None = None
    upload_s: float | None = None
    upload_error: str | None = None
    version_id: str | None = None
    outcome: Outcome | None = None
    label: str | None = None
    guess: str | None = None
    confidence: float | None = None
    error: str | None = None
    cause: str | None = None
    execution_arn: str | None = None
    stopped: float | None = None
