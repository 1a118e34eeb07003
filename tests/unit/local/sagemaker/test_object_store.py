import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker.errors import ValidationFailedError
from local.sagemaker.object_store import (
    download_archive,
    download_prefix,
    relative_name,
    split_s3_uri,
    upload_archive,
)


class Bucket:
    """A bucket in memory, with the calls that the transfers use."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get_paginator(self, _name: str) -> "Bucket":
        return self

    def paginate(self, **request: str) -> list[dict[str, Any]]:
        found = [key for key in self.objects if key.startswith(request["Prefix"])]
        return [{"Contents": [{"Key": key} for key in found]}, {}]

    def download_file(self, _bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(self.objects[key])

    def upload_file(self, path: str, _bucket: str, key: str) -> None:
        self.objects[key] = Path(path).read_bytes()


@pytest.mark.parametrize("uri", ["https://bucket/key", "bucket/key", "s3://"])
def test_what_is_no_s3_uri_is_refused(uri: str) -> None:
    with pytest.raises(ValidationFailedError, match="is not an S3 URI"):
        split_s3_uri(uri)


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://bucket/a b/c#d?e", ("bucket", "a b/c#d?e")),
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
    ],
)
def test_bucket_and_key(uri: str, parts: tuple[str, str]) -> None:
    assert split_s3_uri(uri) == parts


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("train/bicycle/a.png", "train", "bicycle/a.png"),
        ("train/bicycle/a.png", "train/", "bicycle/a.png"),
        ("data/table.csv", "data/table.csv", "table.csv"),
        ("data/part-1.csv", "data/part", "part-1.csv"),
        ("a.png", "", "a.png"),
    ],
)
def test_where_a_key_lands_in_its_channel(key: str, prefix: str, name: str) -> None:
    assert relative_name(key, prefix) == name


def test_a_key_that_would_leave_the_channel_is_refused(tmp_path: Path) -> None:
    bucket = Bucket()
    bucket.objects["train/../../evil"] = b""
    with pytest.raises(ValidationFailedError, match="would leave the channel's folder"):
        download_prefix(bucket, "s3://bucket/train", tmp_path)


def test_folders_of_consoles_are_no_files(tmp_path: Path) -> None:
    bucket = Bucket()
    bucket.objects |= {"train/": b"", "train/a/": b"", "train/a/b.png": b"picture"}
    assert download_prefix(bucket, "s3://bucket/train", tmp_path) == 1
    assert (tmp_path / "a" / "b.png").read_bytes() == b"picture"


def test_an_archive_that_reaches_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../evil"))
    bucket = Bucket()
    bucket.objects["model.tar.gz"] = out.getvalue()
    with pytest.raises(tarfile.TarError):
        download_archive(bucket, "s3://bucket/model.tar.gz", tmp_path / "model")
    assert not (tmp_path / "evil").exists()


def test_a_folder_comes_back_from_its_archive(tmp_path: Path) -> None:
    source, target, bucket = tmp_path / "source", tmp_path / "target", Bucket()
    (source / "code").mkdir(parents=True)
    (source / "code" / "inference.py").write_text("pass")
    upload_archive(bucket, source, "s3://bucket/out/model.tar.gz")
    download_archive(bucket, "s3://bucket/out/model.tar.gz", target)
    assert (target / "code" / "inference.py").read_text() == "pass"
