"""Store labels in the training bucket: the first decision about a version of a picture stands."""

from typing import Any

from botocore.exceptions import ClientError

from common.labels.label import Label, label_key, read_label
from common.s3_picture import S3Picture

TRIES = 5  # of a write that conflicts with another one of the same key


class LabelStore:
    """Reads, writes and deletes labels, each a single object."""

    def __init__(self, s3: Any, bucket: str) -> None:
        """Use `bucket`, below the prefix `settings.LABELS_PREFIX`."""
        self._s3, self._bucket = s3, bucket

    def find(self, picture: S3Picture) -> Label | None:
        """Return the label of a version of a picture. Raises LabelError for a damaged one."""
        key = label_key(picture)
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        return read_label(answer["Body"].read(), f"s3://{self._bucket}/{key}")

    def put(self, label: Label) -> Label:
        """Write a label unless there is one; return the one that stands.

        It is this one, too, if S3 stored it and the answer was lost.
        """
        for tries_left in reversed(range(TRIES)):
            given = {"Bucket": self._bucket, "Key": label.key, "Body": label.body()}
            try:
                self._s3.put_object(**given, ContentType="application/json", IfNoneMatch="*")
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "PreconditionFailed":
                    standing = self.find(label.question.picture)
                    if standing is not None:
                        return standing
                elif code != "ConditionalRequestConflict":  # two writes at once: try again
                    raise
                if not tries_left:
                    raise
            else:
                return label
        raise AssertionError("the last try returns or raises")

    def delete(self, label: Label) -> None:
        """Delete a label, unless another one has replaced it."""
        standing = self.find(label.question.picture)
        if standing == label:
            self._s3.delete_object(Bucket=self._bucket, Key=label.key)
