"""An S3 client with one bucket in memory."""

from pathlib import Path


class FakeS3:
    """Implements the calls of the transfers, and keeps the order of the puts."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803  boto3's names
        assert Bucket == "b"
        self.objects[Key] = Body
        self.puts.append(Key)

    def get_paginator(self, name: str) -> "FakeS3":
        assert name == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, list[dict[str, str]]]]:  # noqa: N803  boto3's names
        assert Bucket == "b"
        return [{"Contents": [{"Key": key} for key in sorted(self.objects) if key.startswith(Prefix)]}, {}]

    def download_file(self, bucket: str, key: str, path: str) -> None:
        assert bucket == "b"
        Path(path).write_bytes(self.objects[key])
