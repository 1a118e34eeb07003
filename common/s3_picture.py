"""Read the picture from the input of an execution.

The input of a person or the batch is {"s3_bucket", "s3_key"[, "s3_version_id"]}, that of an upload is the detail of
S3's event, {"bucket": {"name"}, "object": {"key"[, "version-id"]}, ...}.
"""

import json
from typing import Any, NamedTuple


class S3Picture(NamedTuple):
    """A version of an object in S3; `version_id` is None if the input has none."""

    bucket: str
    key: str
    version_id: str | None

    @property
    def uri(self) -> str:
        """The object's address, as in the predictions table."""
        return f"s3://{self.bucket}/{self.key}"


def find_picture(where: dict[str, Any]) -> S3Picture | None:
    """Return the picture of an execution's input, None without one.

    As in the state Locate Picture, s3_bucket and s3_key take precedence over the event.
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
    """Parse a JSON object; return an empty one for any other text."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
