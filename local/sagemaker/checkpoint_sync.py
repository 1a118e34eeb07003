"""Copies of a training job's checkpoints: from S3 before its script starts, to S3 while it runs."""

import contextlib
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from local.sagemaker.object_store import download_prefix, split_s3_uri


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
        """Create the folder and download its copy.

        Raises:
            botocore.exceptions.ClientError: the bucket cannot be read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        download_prefix(self.s3, self.uri, self.folder)
        self._copied = {name: mark for name, mark, _ in self._files()}

    def sync(self) -> None:
        """Upload new and changed files.

        Raises:
            botocore.exceptions.ClientError: the bucket cannot be written.
        """
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
