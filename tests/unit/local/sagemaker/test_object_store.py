import io
import tarfile
from pathlib import Path

import pytest

from local.sagemaker.errors import ValidationFailedError
from local.sagemaker.object_store import (
    download_archive,
    download_prefix,
    relative_name,
    split_s3_uri,
)
from tests.unit.local.sagemaker.fake_s3 import FakeS3


@pytest.mark.parametrize("uri", ["https://bucket/key", "bucket/key", "s3://"])
def test_split_invalid_uri_fails(uri: str) -> None:
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
def test_split_uri_has_bucket_and_key(uri: str, parts: tuple[str, str]) -> None:
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
def test_relative_name_drops_folder_or_object_prefix(key: str, prefix: str, name: str) -> None:
    assert relative_name(key, prefix) == name


def test_download_key_with_path_outside_the_folder_fails(tmp_path: Path) -> None:
    s3 = FakeS3()
    s3.objects["train/../../evil"] = b""
    with pytest.raises(ValidationFailedError, match="has a path outside the channel's folder"):
        download_prefix(s3, "s3://b/train", tmp_path)


def test_download_ignores_folder_markers_of_the_console(tmp_path: Path) -> None:
    s3 = FakeS3()
    s3.objects |= {"train/": b"", "train/a/": b"", "train/a/b.png": b"picture"}
    assert download_prefix(s3, "s3://b/train", tmp_path) == 1
    assert (tmp_path / "a" / "b.png").read_bytes() == b"picture"


def test_download_archive_with_path_outside_the_folder_fails(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../evil"))
    s3 = FakeS3()
    s3.objects["model.tar.gz"] = out.getvalue()
    with pytest.raises(tarfile.TarError):
        download_archive(s3, "s3://b/model.tar.gz", tmp_path / "model")
    assert not (tmp_path / "evil").exists()
