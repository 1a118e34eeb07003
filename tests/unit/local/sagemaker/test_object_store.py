import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker.errors import ValidationFailedError
from local.sagemaker.object_store import CheckpointSync, download_archive, download_prefix, relative_name, split_s3_uri
from tests.unit.local.sagemaker.fake_s3 import FakeS3


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.mark.parametrize("uri", ["https://bucket/key", "bucket/key", "s3://"])
def test_split_invalid_uri_fails(uri):
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
def test_split_uri_has_bucket_and_key(uri, parts):
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
def test_relative_name_drops_folder_or_object_prefix(key, prefix, name):
    assert relative_name(key, prefix) == name


def test_download_key_with_path_outside_the_folder_fails(s3, tmp_path):
    s3.objects["train/../../evil"] = b""
    with pytest.raises(ValidationFailedError, match="has a path outside the channel's folder"):
        download_prefix(s3, "s3://b/train", tmp_path)


def test_download_ignores_folder_markers_of_the_console(s3, tmp_path):
    s3.objects |= {"train/": b"", "train/a/": b"", "train/a/b.png": b"picture"}
    assert download_prefix(s3, "s3://b/train", tmp_path) == 1
    assert (tmp_path / "a" / "b.png").read_bytes() == b"picture"


def test_download_archive_with_path_outside_the_folder_fails(s3, tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../evil"))
    s3.objects["model.tar.gz"] = out.getvalue()
    with pytest.raises(tarfile.TarError):
        download_archive(s3, "s3://b/model.tar.gz", tmp_path / "model")
    assert not (tmp_path / "evil").exists()


def replace(file: Path, content: bytes) -> None:
    file.with_suffix(".partial").write_bytes(content)
    file.with_suffix(".partial").replace(file)


def test_restore_on_next_instance_has_the_files_of_the_last(s3, tmp_path):
    first = CheckpointSync(s3, tmp_path / "1", "s3://b/jobs/x/")
    first.restore()
    (tmp_path / "1" / "deep").mkdir()
    (tmp_path / "1" / "deep" / "a.pt").write_bytes(b"one")
    first.sync()
    assert s3.objects == {"jobs/x/deep/a.pt": b"one"}
    second = CheckpointSync(s3, tmp_path / "2", "s3://b/jobs/x")
    second.restore()
    assert (tmp_path / "2" / "deep" / "a.pt").read_bytes() == b"one"
    second.sync()
    assert s3.puts == ["jobs/x/deep/a.pt"]  # restored files are not uploaded again


def test_sync_uploads_only_changed_files_and_deletes_none(s3, tmp_path):
    copy = CheckpointSync(s3, tmp_path, "s3://b/jobs")
    copy.restore()
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"1")
    copy.sync()
    copy.sync()
    replace(tmp_path / "a.pt", b"2")
    (tmp_path / "b.pt").unlink()
    copy.sync()
    assert s3.puts == ["jobs/a.pt", "jobs/b.pt", "jobs/a.pt"]
    assert s3.objects == {"jobs/a.pt": b"2", "jobs/b.pt": b"1"}


def test_sync_while_folder_disappears_uploads_the_next_time(s3, tmp_path, monkeypatch):
    copy = CheckpointSync(s3, tmp_path, "s3://b/jobs")
    copy.restore()
    (tmp_path / "a.pt").write_bytes(b"1")
    vanishing = tmp_path / "vanishing"
    vanishing.mkdir()
    scandir = os.scandir

    def remove_then_scan(folder: Path) -> Any:
        if folder == vanishing:
            vanishing.rmdir()
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", remove_then_scan)
    copy.sync()
    assert not vanishing.exists()
    copy.sync()
    assert s3.objects == {"jobs/a.pt": b"1"}
