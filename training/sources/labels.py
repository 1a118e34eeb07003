"""Pictures that people decided on the review page, as further pictures to train on."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.labels.label import NEITHER, Label, read_label
from common.labels.picture_version import (
    PictureGoneError,
    PictureRefusedError,
    read_version,
)
from common.parallel import run_parallel
from common.s3_address import split_s3_address
from common.settings import LABELS_PREFIX
from training.sources.folder import DECODER_ERRORS, read_photo, why_unreadable
from training.sources.source import LabelledPicture, StageDataError, Unreadable

PROJECT = "project"  # what --labels calls the labels in the project's own bucket
THREADS = 16  # objects read at a time; the client's connection pool needs as many
PICTURES_AT_A_TIME = 32  # decoded and in memory


class LabelsMissingError(StageDataError):
    """The place given for labels is none."""


class ReviewedPictureError(StageDataError):
    """A picture is there, but S3 does not give it to this person."""


class UnknownLabelError(StageDataError):
    """People decided for a class that the staged data does not have."""


@dataclass(frozen=True)
class Reviewed:
    """Decisions and where they are from: s3://bucket/prefix, or a folder."""

    labels: list[Label]
    where: str

    @property
    def decided(self) -> list[Label]:
        """Those that say which class a picture shows."""
        return [label for label in self.labels if label.label != NEITHER]

    def check(self, classes: Sequence[str]) -> None:
        """Raise UnknownLabelError unless every label is one of the classes."""
        unknown = [label for label in self.decided if label.label not in classes]
        if not unknown:
            return
        counts = Counter(label.label for label in unknown)
        named = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
        raise UnknownLabelError(
            f"{self.where} has labels of classes that are not staged: {named}. Stage these classes"
            f" too (--classes), or move the labels away, such as {unknown[0].key}."
        )

    def pictures(self, s3: Any, long_side: int) -> Iterator[tuple[Label, LabelledPicture | Unreadable]]:
        """Read the decided pictures, larger ones shrunk to `long_side` pixels, in order of keys.

        One that is gone or cannot be decoded is Unreadable. Raises ReviewedPictureError.
        """

        def read(label: Label) -> tuple[Label, LabelledPicture | Unreadable]:
            return label, _picture(s3, label, long_side)

        decided = self.decided
        for start in range(0, len(decided), PICTURES_AT_A_TIME):
            some = decided[start : start + PICTURES_AT_A_TIME]
            yield from run_parallel(read, some, threads=THREADS, report=lambda *_: None)


def read_labels(s3: Any, where: str, own_bucket: str) -> Reviewed:
    """Read all labels below s3://bucket/prefix, in a folder, or in the project's own bucket.

    A prefix is a folder: "old" is not "older". Of copies, and of several decisions about one
    version of a picture, the latest counts. Raises LabelsMissingError, and LabelError for one that
    is none.
    """
    if where == PROJECT:
        where = f"s3://{own_bucket}/{LABELS_PREFIX}/"
    if where.startswith("s3://"):
        bucket, prefix = split_s3_address(where)
        found = _from_s3(s3, bucket, f"{prefix.rstrip('/')}/" if prefix else "")
    elif Path(where).is_dir():
        paths = sorted(Path(where).rglob("*.json"))
        found = [read_label(path.read_bytes(), str(path)) for path in paths]
    else:
        raise LabelsMissingError(
            f"--labels {where}: there is no such folder; give s3://BUCKET/PREFIX, a folder, or"
            f" {PROJECT} for what the project's own bucket has."
        )
    latest = {label.key: label for label in sorted(found, key=lambda label: label.decided_at)}
    return Reviewed([latest[key] for key in sorted(latest)], where)


def picture_place(label: Label) -> str:
    """Name the version of the picture that a label is about."""
    picture = label.question.picture
    version = f"?versionId={picture.version_id}" if picture.version_id else ""
    return f"{picture.uri}{version}"


def _from_s3(s3: Any, bucket: str, prefix: str) -> list[Label]:
    try:
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
    except s3.exceptions.NoSuchBucket as error:
        raise LabelsMissingError(f"--labels: there is no bucket {bucket}.") from error
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]

    def read(key: str) -> Label:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return read_label(body, f"s3://{bucket}/{key}")

    return run_parallel(
        read,
        [key for key in keys if key.endswith(".json")],
        threads=THREADS,
        report=lambda *_: None,
    )


def _picture(s3: Any, label: Label, long_side: int) -> LabelledPicture | Unreadable:
    try:
        content = read_version(s3, label.question.picture)
    except PictureGoneError as error:
        return Unreadable(label.label, picture_place(label), str(error))
    except PictureRefusedError as error:
        raise ReviewedPictureError(f"{picture_place(label)}, which was reviewed, cannot be had. {error}") from error
    try:
        image, original = read_photo(io.BytesIO(content), long_side)
    except DECODER_ERRORS as error:
        return Unreadable(label.label, picture_place(label), why_unreadable(error))
    name = f"reviewed-{hashlib.sha256(label.key.encode()).hexdigest()[:16]}"
    return LabelledPicture(label.label, name, image, original=original)
