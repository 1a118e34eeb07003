"""Checkpoints travel whole, both ways, and only when they have changed."""

import os
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker.checkpoint_sync import CheckpointSync
from local.sagemaker.errors import ValidationFailedError


class Bucket:
    """An S3 client that has one bucket, and keeps the order of what is put."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803  boto3's
        assert Bucket == "b"
        self.objects[Key] = Body
        self.puts.append(Key)

    def get_paginator(self, name: str) -> "Bucket":
        assert name == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, list[dict[str, str]]]]:  # noqa: N803  boto3's
        assert Bucket == "b"
        keys = [key for key in sorted(self.objects) if key.startswith(Prefix)]
        return [{"Contents": [{"Key": key} for key in keys]}]

    def download_file(self, bucket: str, key: str, file: str) -> None:
        assert bucket == "b"
        Path(file).write_bytes(self.objects[key])


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def replace(file: Path, content: bytes) -> None:
    file.with_suffix(".partial").write_bytes(content)
    file.with_suffix(".partial").replace(file)


def test_a_key_that_would_leave_the_folder_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    bucket.objects["jobs/../../x"] = b""
    with pytest.raises(ValidationFailedError, match="would leave the channel's folder"):
        CheckpointSync(bucket, tmp_path, "s3://b/jobs").restore()


def test_what_one_instance_saved_is_there_on_the_next(bucket: Bucket, tmp_path: Path) -> None:
    first = CheckpointSync(bucket, tmp_path / "1", "s3://b/jobs/x/")
    first.restore()
    (tmp_path / "1" / "deep").mkdir()
    (tmp_path / "1" / "deep" / "a.pt").write_bytes(b"one")
    first.sync()
    assert bucket.objects == {"jobs/x/deep/a.pt": b"one"}
    second = CheckpointSync(bucket, tmp_path / "2", "s3://b/jobs/x")
    second.restore()
    assert (tmp_path / "2" / "deep" / "a.pt").read_bytes() == b"one"
    second.sync()
    assert bucket.puts == ["jobs/x/deep/a.pt"]  # what came from there is not sent back


def test_only_what_has_changed_is_copied_and_nothing_deleted(bucket: Bucket, tmp_path: Path) -> None:
    kept = CheckpointSync(bucket, tmp_path, "s3://b/jobs")
    kept.restore()
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"1")
    kept.sync()
    kept.sync()
    replace(tmp_path / "a.pt", b"2")
    (tmp_path / "b.pt").unlink()
    kept.sync()
    assert bucket.puts == ["jobs/a.pt", "jobs/b.pt", "jobs/a.pt"]
    assert bucket.objects == {"jobs/a.pt": b"2", "jobs/b.pt": b"1"}


def test_a_folder_that_goes_while_it_is_looked_through_is_looked_at_again(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = CheckpointSync(bucket, tmp_path, "s3://b/jobs")
    kept.restore()
    (tmp_path / "a.pt").write_bytes(b"1")
    going = tmp_path / "going"
    going.mkdir()
    scandir = os.scandir

    def gone_by_then(folder: Path) -> Any:
        if folder == going:
            going.rmdir()
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", gone_by_then)
    kept.sync()
    assert not going.exists()
    kept.sync()
    assert bucket.objects == {"jobs/a.pt": b"1"}
