"""Which picture an execution is about: its input as every program here reads it.

A person or the batch starts the workflow with {"s3_bucket", "s3_key"[, "s3_version_id"]}, and an
upload with S3's whole event detail, {"bucket": {"name"}, "object": {"key"[, "version-id"]}, ...}.
"""

import json
from typing import Any, NamedTuple


class S3Picture(NamedTuple):
    """A version of an object in S3; `version_id` is None where the input does not say."""

    bucket: str
    key: str
    version_id: str | None

    @property
    def uri(self) -> str:
        """The object's name, as the predictions table has it."""
        return f"s3://{self.bucket}/{self.key}"


def find_picture(where: dict[str, Any]) -> S3Picture | None:
    """Return the picture that an execution's input names, as itself or by S3's event.

    As in the state Locate Picture, an input that names one itself means that one.
    """
    bucket, key, version = (where.get(n) for n in ("s3_bucket", "s3_key", "s3_version_id"))
    by_event = "s3_bucket" not in where and "s3_key" not in where
    if by_event and all(isinstance(where.get(name), dict) for name in ("bucket", "object")):
        bucket, key = where["bucket"].get("name"), where["object"].get("key")
        version = where["object"].get("version-id")
    if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key):
        return None
    return S3Picture(bucket, key, version if isinstance(version, str) and version else None)


def json_object(text: Any) -> dict[str, Any]:
    """Return the JSON object that a text is, an empty one where it is none."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
