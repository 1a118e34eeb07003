import os
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker.checkpoint_sync import CheckpointSync
from tests.unit.local.sagemaker.fake_s3 import FakeS3


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


def replace(file: Path, content: bytes) -> None:
    file.with_suffix(".partial").write_bytes(content)
    file.with_suffix(".partial").replace(file)


def test_restore_on_next_instance_has_the_files_of_the_last(s3: FakeS3, tmp_path: Path) -> None:
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


def test_sync_uploads_only_changed_files_and_deletes_none(s3: FakeS3, tmp_path: Path) -> None:
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


def test_sync_while_folder_disappears_uploads_the_next_time(
    s3: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
