"""Where captures are: the files of a folder, or the objects below a prefix in S3."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from common.errors import ExpectedError
from common.s3_address import split_s3_address

SUFFIX = ".jsonl"
# botocore retries until an answer begins; a body that breaks off is requested again here.
TRIES = 4
BROKEN_OFF = (ConnectionClosedError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
GONE = {"NoSuchKey", "InvalidRange"}
MOST_FOLDERS_NAMED = 5
# SageMaker's folders name the hour of a call. Files are written later, and one of the hour before may hold it.
HOUR_FOLDER = re.compile(r"(?:^|/)(\d{4}/\d\d/\d\d/\d\d)/[^/]*$")
HOUR = timedelta(hours=1)


class CapturesNotFoundError(ExpectedError):
    """The location does not exist, or holds something other than captures."""


class CaptureGoneError(ExpectedError):
    """A file was deleted, or replaced by a shorter one, after it was listed."""

    def __init__(self, location: str) -> None:
        """Name the file."""
        super().__init__(f"{location} was deleted or replaced after the captures were listed: run it again.")


@dataclass(frozen=True)
class CaptureFile:
    """A file of captures: its name below the location, and its size in bytes."""

    name: str
    size: int

    def hour(self) -> datetime | None:
        """Return the hour, UTC, that SageMaker filed it under; None in other folders."""
        found = HOUR_FOLDER.search(self.name)
        try:
            return datetime.strptime(found[1], "%Y/%m/%d/%H").replace(tzinfo=UTC) if found else None
        except ValueError:
            return None

    def may_hold(self, since: datetime | None, until: datetime | None) -> bool:
        """Tell whether it may hold calls between two times, by the hour of its folder."""
        hour = self.hour()
        if hour is None:
            return True
        return (since is None or hour + 2 * HOUR > since) and (until is None or hour - HOUR < until)


class Captures(Protocol):
    """Files of captures. `location` is their folder or S3 address."""

    location: str

    def files(self) -> list[CaptureFile]:
        """Return all files, by name. Raises CapturesNotFoundError."""

    def read(self, file: CaptureFile, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, at least one. Raises CaptureGoneError, ClientError."""


class FolderCaptures:
    """Captures in a folder of this machine, or one file of them."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self.location = str(path)
        self._path = path

    def files(self) -> list[CaptureFile]:
        """Return all files, by name; none for an empty folder."""
        if self._path.is_file():
            return [CaptureFile(self._path.name, self._path.stat().st_size)]
        if not self._path.is_dir():
            raise CapturesNotFoundError(
                f"{self._path} does not exist: give --captures a folder, or s3://BUCKET/PREFIX."
            )
        every = [path for path in self._path.rglob("*") if path.is_file()]
        found = sorted(path for path in every if path.suffix == SUFFIX)
        if every and not found:
            raise CapturesNotFoundError(
                f"{self._path} has {len(every)} files and none ends in {SUFFIX}: give --captures"
                " the folder that SageMaker's data capture was copied to."
            )
        return [CaptureFile(path.relative_to(self._path).as_posix(), path.stat().st_size) for path in found]

    def read(self, file: CaptureFile, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""
        path = self._path if self._path.is_file() else self._path / file.name
        try:
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read(stop - start)
        except FileNotFoundError as error:
            raise CaptureGoneError(str(path)) from error


class S3Captures:
    """Captures below a prefix in S3, or one object of them."""

    def __init__(self, s3: Any, uri: str, may_be_empty: bool = False) -> None:
        """Read nothing yet. Raises CapturesNotFoundError for an address without a bucket."""
        self._s3, self._may_be_empty = s3, may_be_empty
        self._bucket, prefix = split_s3_address(uri)
        if not self._bucket:
            raise CapturesNotFoundError(f"{uri} names no bucket: give s3://BUCKET/PREFIX.")
        self.location = uri
        # "captures/scones" must not find "captures/scones-2/...".
        self._prefix = prefix if prefix.endswith(SUFFIX) or not prefix else f"{prefix.strip('/')}/"

    def files(self) -> list[CaptureFile]:
        """Return all files, by name."""
        sizes = self._object_sizes()
        found = sorted(key for key in sizes if key.endswith(SUFFIX))
        others = sum(not key.endswith((SUFFIX, "/")) for key in sizes)  # the console makes "folder/" objects
        if not found and (others or not self._may_be_empty):
            what = f"{others} objects, and none ends in {SUFFIX}" if others else "no object"
            raise CapturesNotFoundError(
                f"There is {what} below {self.location}{self._sibling_folders()}. Give --captures the"
                " address that the endpoint's data capture goes to."
            )
        return [CaptureFile(key.removeprefix(self._prefix) or key.rpartition("/")[2], sizes[key]) for key in found]

    def read(self, file: CaptureFile, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, at least one."""
        key = self._prefix if self._prefix.endswith(SUFFIX) else self._prefix + file.name
        for left in reversed(range(TRIES)):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
                return bytes(answer["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] not in GONE:
                    raise
                raise CaptureGoneError(f"s3://{self._bucket}/{key}") from error
            except BROKEN_OFF:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _object_sizes(self) -> dict[str, int]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        try:
            return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
            raise CapturesNotFoundError(
                f"The bucket {self._bucket} does not exist: give --captures s3://BUCKET/PREFIX, or"
                " run `python -m training.create_endpoint` first."
            ) from error

    def _sibling_folders(self) -> str:
        """Name the folders beside the prefix, one of which may have been meant."""
        parent = self._prefix.rstrip("/").rpartition("/")[0]
        answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=f"{parent}/" if parent else "", Delimiter="/")
        folders = [item["Prefix"] for item in answer.get("CommonPrefixes", []) if item["Prefix"] != self._prefix]
        if not folders:
            return ""
        return "; beside it are " + ", ".join(f"s3://{self._bucket}/{name}" for name in folders[:MOST_FOLDERS_NAMED])
