"""One picture of a run: what is sent when, and what became of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

INBOX = "inbox"  # the prefix that template.yaml's PictureUploadedRule listens to
AS_IT_IS = "as it is"  # the kind of a picture that nothing was done to

Place = Literal["accepted", "review", "failed"]


class SourcePicture(NamedTuple):
    """A file to send: `name` is its path below the folder it came from, `truth` its class."""

    name: str
    path: Path
    truth: str | None


@dataclass
class Arrival:
    """A picture that is to be there `at` seconds after the run's start.

    The sender's threads fill in the upload, `version_id` last; only then does the tracker, another
    thread, look at the arrival and fill in the rest. So no field has two writers at a time.

    Attributes:
        key: the object's.
        body: bytes, or the file that they are in.
        kind: AS_IT_IS, or how it was made odd.
        truth: class of the picture, None where nobody knows.
        late_s: seconds from `at` until its upload began.
        upload_s: seconds that the upload took, retries included.
        upload_error: name and message of what the upload failed with.
        version_id: as S3 told it; "null" where the bucket keeps no versions.
        place: where the picture ended.
        label: class that it was given, where it was accepted.
        guess: likeliest class, where it was too doubtful to be an answer.
        confidence: probability of the label or guess.
        error: name of what its execution failed with.
        cause: that failure in words.
        execution_arn: which execution decided it.
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
    place: Place | None = None
    label: str | None = None
    guess: str | None = None
    confidence: float | None = None
    error: str | None = None
    cause: str | None = None
    execution_arn: str | None = None
    stopped: float | None = None
