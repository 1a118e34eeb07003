"""Labels in the training bucket: the first decision about a version of a picture stands."""

from typing import Any

from botocore.exceptions import ClientError

from common.labels.label import Label, label_key, read_label
from common.s3_picture import Picture

TRIES = 5  # of a write that meets another one of the same key


class LabelStore:
    """Reads, writes and takes back labels, each a single object."""

    def __init__(self, s3: Any, bucket: str) -> None:
        """Keep them in `bucket`, below the prefix `settings.LABELS_PREFIX`."""
        self._s3, self._bucket = s3, bucket

    def find(self, picture: Picture) -> Label | None:
        """Return the decision about a version of a picture. Raises LabelError for a damaged one."""
        key = label_key(picture)
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        return read_label(answer["Body"].read(), f"s3://{self._bucket}/{key}")

    def put(self, label: Label) -> Label:
        """Write a decision unless there is one; return the one that stands.

        It is this one, too, where S3 took it and its answer was lost on the way.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=label.key,
                    Body=label.body(),
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "PreconditionFailed":
                    standing = self.find(label.question.picture)
                    if standing is not None:
                        return standing
                elif code != "ConditionalRequestConflict":  # both wrote at once: ask again
                    raise
                if not tries_left:
                    raise
            else:
                return label
        raise AssertionError("the last try returns or raises")

    def delete(self, label: Label) -> None:
        """Take back a decision, unless another one stands there by now."""
        standing = self.find(label.question.picture)
        if standing == label:
            self._s3.delete_object(Bucket=self._bucket, Key=label.key)
