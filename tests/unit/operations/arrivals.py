"""Pictures of a run in every state, and a fake S3, for the tests of operations.sending."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from operations.sending.arrivals import Arrival

BUCKET = "pictures"
LATER_S = 30.0  # when a picture is due that no passing test waits for
BEGAN = 1_800_000_000.0  # seconds since 1970
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:m"
OUTPUTS = {"PicturesBucketName": BUCKET, "PredictionsTableName": "table", "StateMachineArn": MACHINE}


def execution_arn(name: str) -> str:
    """Return the ARN of an execution of the machine."""
    return f"arn:aws:states:us-east-1:000000000000:execution:m:{name}"


def arrival(name: str, at: float = 0.0, **facts: Any) -> Arrival:
    """Return a picture that is due `at` seconds after the start."""
    return Arrival(at, f"inbox/run/{name}", **{"body": Path(name)} | facts)


def uploaded(name: str, at: float = 0.0, **facts: Any) -> Arrival:
    """Return a picture that S3 has, as version `v-<name>`."""
    return arrival(name, at, **{"version_id": f"v-{name}", "upload_s": 0.1, "late_s": 0.0} | facts)


def item(of: Arrival, outcome: str, by: str, **changes: Any) -> dict[str, Any]:
    """Return the item that the workflow writes for a picture."""
    written: dict[str, Any] = {
        "picture": {"S": f"s3://{BUCKET}/{of.key}"},
        "version_id": {"S": str(of.version_id)},
        "outcome": {"S": outcome},
        "confidence": {"N": "0.97"},
        "execution_arn": {"S": execution_arn(by)},
    }
    if outcome in ("accepted", "reviewed"):
        written["label"] = {"S": "bicycle"}
    if outcome != "accepted":
        written |= {"guess": {"S": "motorcycle"}, "queued": {"BOOL": True}}
    return written | changes


class FakeS3:
    """Stores every object, unless the error for its key is given; calls `before` with each key first."""

    def __init__(
        self, errors: dict[str, Exception] | None = None, before: Callable[[str], None] = lambda _: None
    ) -> None:
        self.errors = errors or {}
        self.before = before

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> dict[str, Any]:  # noqa: N803  boto3's
        self.before(Key)
        assert isinstance(Body, bytes)
        if Key in self.errors:
            raise self.errors[Key]
        return {"VersionId": f"version of {Key} in {Bucket}"}
