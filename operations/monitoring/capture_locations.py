"""Where captures lie: the files of a folder, or the objects below a prefix of S3."""

import re
from collections.abc import Iterator
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
# botocore asks again until an answer begins; what breaks off in its middle is asked for here.
TRIES = 4
BROKEN_OFF = (
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
GONE = {"NoSuchKey", "InvalidRange"}
SHOWN_BESIDE = 5
# SageMaker's folders say in which hour a call was made. Files are written later, and a file of the
# hour before may hold it.
HOUR_FOLDER = re.compile(r"(?:^|/)(\d{4}/\d\d/\d\d/\d\d)/[^/]*$")
MARGIN = timedelta(hours=1)


class CapturesNotFoundError(ExpectedError):
    """The place does not exist, or holds something else than captures."""


class CaptureGoneError(ExpectedError):
    """A file has been deleted, or replaced by a shorter one, since it was listed."""

    def __init__(self, place: str) -> None:
        """Name it."""
        super().__init__(f"{place} has been deleted or replaced since the captures were listed: run it again.")


@dataclass(frozen=True)
class CaptureFile:
    """A file of captures: its name below the place that was given, and its size in bytes."""

    name: str
    size: int

    def hour(self) -> datetime | None:
        """Return the hour, UTC, that SageMaker filed it under; None below other folders."""
        found = HOUR_FOLDER.search(self.name)
        try:
            return datetime.strptime(found[1], "%Y/%m/%d/%H").replace(tzinfo=UTC) if found else None
        except ValueError:
            return None

    def may_hold(self, since: datetime | None, until: datetime | None) -> bool:
        """Tell whether calls between two moments may be in it, as far as its folder says."""
        hour = self.hour()
        if hour is None:
            return True
        return (since is None or hour + 2 * MARGIN > since) and (until is None or hour - MARGIN < until)


class Captures(Protocol):
    """Files of captures that can be read in pieces. `location` is what a person calls them."""

    location: str

    def files(self) -> list[CaptureFile]:
        """Return all files, by name. Raises CapturesNotFoundError."""

    def read(self, file: CaptureFile, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`. Raises CaptureGoneError."""


class FolderCaptures:
    """Captures in a folder of this machine, or one file of them."""

    def __init__(self, path: Path) -> None:
        """Look at `path` later."""
        self.location = str(path)
        self._path = path

    def files(self) -> list[CaptureFile]:
        """Return all files, by name; none for an empty folder. Raises CapturesNotFoundError."""
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
        """Return the bytes from `start` to before `stop`. Raises CaptureGoneError."""
        path = self._path if self._path.is_file() else self._path / file.name
        try:
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read(stop - start)
        except FileNotFoundError as error:
            raise CaptureGoneError(str(path)) from error


class S3Captures:
    """Captures below a prefix of S3, or one object of them."""

    def __init__(self, s3: Any, uri: str, expected: bool = False) -> None:
        """Look below `uri` later. Raises CapturesNotFoundError for what is no address.

        `expected` says that captures go there, so that none is no mistake.
        """
        self._s3, self._expected = s3, expected
        self._bucket, prefix = split_s3_address(uri)
        if not self._bucket:
            raise CapturesNotFoundError(f"{uri} names no bucket: give s3://BUCKET/PREFIX.")
        self.location = uri
        # "captures/scones" must not find "captures/scones-2/...".
        self._prefix = prefix if prefix.endswith(SUFFIX) or not prefix else f"{prefix.strip('/')}/"

    def files(self) -> list[CaptureFile]:
        """Return all files, by name. Raises CapturesNotFoundError."""
        others = 0
        found = []
        for key, size in self._objects():
            if key.endswith(SUFFIX):
                found.append(CaptureFile(self._name(key), size))
            else:
                others += not key.endswith("/")  # which a console makes for a folder
        if not found and (others or not self._expected):
            what = f"{others} objects, and none ends in {SUFFIX}" if others else "no object"
            raise CapturesNotFoundError(
                f"There is {what} below {self.location}{self._beside()}. Give --captures the"
                " address that the endpoint's data capture goes to."
            )
        return sorted(found, key=lambda file: file.name)

    def read(self, file: CaptureFile, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, which must be some.

        Raises CaptureGoneError, and ClientError where S3 refuses it.
        """
        for left in reversed(range(TRIES)):
            try:
                answer = self._s3.get_object(
                    Bucket=self._bucket, Key=self._key(file), Range=f"bytes={start}-{stop - 1}"
                )
                return bytes(answer["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] not in GONE:
                    raise
                raise CaptureGoneError(f"s3://{self._bucket}/{self._key(file)}") from error
            except BROKEN_OFF:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _objects(self) -> Iterator[tuple[str, int]]:
        pages = self._s3.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for item in page.get("Contents", []):
                    yield item["Key"], item["Size"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
            raise CapturesNotFoundError(
                f"The bucket {self._bucket} does not exist: give --captures s3://BUCKET/PREFIX, or"
                " run `python -m training.create_endpoint` first."
            ) from error

    def _beside(self) -> str:
        """Say which folders there are instead, the next level up."""
        parent = self._prefix.rstrip("/").rpartition("/")[0]
        answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=f"{parent}/" if parent else "", Delimiter="/")
        folders = [item["Prefix"] for item in answer.get("CommonPrefixes", [])]
        folders = [folder for folder in folders if folder != self._prefix][:SHOWN_BESIDE]
        if not folders:
            return ""
        return "; beside it are " + ", ".join(f"s3://{self._bucket}/{f}" for f in folders)

    def _name(self, key: str) -> str:
        return key.removeprefix(self._prefix) or key.rpartition("/")[2]

    def _key(self, file: CaptureFile) -> str:
        return self._prefix if self._prefix.endswith(SUFFIX) else self._prefix + file.name
