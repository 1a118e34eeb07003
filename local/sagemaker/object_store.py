"""Transfers of folders, archives and checkpoints between S3 and a job or an endpoint."""

import contextlib
import stat
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from local.sagemaker.errors import ValidationFailedError

_PARALLEL = 8  # transfers at a time; hides the round trips of many small pictures


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an `s3://bucket/key` URI; raise ValidationFailedError for any other text."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise ValidationFailedError(f"{uri} is not an S3 URI of the form s3://bucket/key")
    return bucket, key


def relative_name(key: str, prefix: str) -> str:
    """Return the path of a key in the folder of its channel.

    SageMaker drops the whole prefix if it names a folder, with or without a trailing slash, and
    the prefix up to its last slash if it names an object.
    """
    folder = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    if key.startswith(folder):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def download_prefix(s3: Any, uri: str, folder: Path) -> int:
    """Download every object under an S3 URI into a folder and return their number.

    Raise ValidationFailedError for a key with a path outside the folder.
    """
    bucket, prefix = split_s3_uri(uri)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    listed = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    keys = [key for key in listed if not key.endswith("/")]  # without the folder markers of the S3 console
    targets = [folder / relative_name(key, prefix) for key in keys]
    for key, target in zip(keys, targets, strict=True):
        if ".." in target.parts or not target.is_relative_to(folder):
            raise ValidationFailedError(f"The key {key!r} has a path outside the channel's folder")
    for parent in {target.parent for target in targets}:
        parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(partial(s3.download_file, bucket), keys, map(str, targets)))
    return len(keys)


def upload_archive(s3: Any, folder: Path, uri: str) -> None:
    """Pack the content of a folder into a .tar.gz and upload it to an S3 URI."""
    bucket, key = split_s3_uri(uri)
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "archive.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, arcname=path.name)
        s3.upload_file(str(archive), bucket, key)


def download_archive(s3: Any, uri: str, folder: Path) -> None:
    """Download a .tar.gz and unpack it into a folder; raise tarfile.TarError for paths outside it or another format."""
    bucket, key = split_s3_uri(uri)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "archive.tar.gz"
        s3.download_file(bucket, key, str(archive))
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")


@dataclass
class CheckpointSync:
    """A folder of checkpoints and its copy below an S3 URI.

    The folder need not exist yet. Files deleted in it stay in S3; AWS documents no deletion.
    """

    s3: Any
    folder: Path
    uri: str
    _copied: dict[str, tuple[int, int]] = field(default_factory=dict)

    def restore(self) -> None:
        """Create the folder and download its copy; raise botocore's ClientError when the bucket cannot be read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        download_prefix(self.s3, self.uri, self.folder)
        self._copied = {name: mark for name, mark, _ in self._files()}

    def sync(self) -> None:
        """Upload new and changed files; raise botocore's ClientError when the bucket cannot be written."""
        bucket, prefix = split_s3_uri(self.uri)
        for name, mark, path in self._files():
            if self._copied.get(name) == mark:
                continue
            with contextlib.suppress(FileNotFoundError):
                # One read: a file that the script replaces in the meantime is still complete.
                content = path.read_bytes()
                self.s3.put_object(Bucket=bucket, Key=str(PurePosixPath(prefix) / name), Body=content)
                self._copied[name] = mark

    def _files(self) -> list[tuple[str, tuple[int, int], Path]]:
        """Return name, version mark and path of every file."""
        try:
            paths = sorted(self.folder.rglob("*"))
        except FileNotFoundError:  # the script deleted a folder in the meantime
            return []  # until the next call
        found = []
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # the script has renamed or deleted it
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    # The inode too: on a coarse clock a replaced file may have the time of the old one.
                    mark = (status.st_mtime_ns, status.st_ino)
                    found.append((path.relative_to(self.folder).as_posix(), mark, path))
        return found
