"""Read the labels from the review page, and their pictures as further pictures to train on."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.labels.label import NEITHER, Label, read_label
from common.labels.picture_version import PictureGoneError, PictureRefusedError, read_version
from common.parallel import run_parallel
from common.s3_address import split_s3_address
from common.settings import LABELS_PREFIX
from training.sources.folder import DECODER_ERRORS, read_photo, why_unreadable
from training.sources.source import LabelledPicture, StageDataError, Unreadable
from training.staging.bucket import THREADS

PROJECT = "project"  # --labels project: the labels in the project's own bucket
PICTURES_AT_A_TIME = 32  # decoded and in memory


class ReviewedLabelsError(StageDataError):
    """Labels of the review page, or their pictures, cannot be used."""


@dataclass(frozen=True)
class Reviewed:
    """Labels from a location, s3://bucket/prefix or a folder."""

    labels: list[Label]
    where: str
    s3: Any  # the client that reads their pictures

    @property
    def decided(self) -> list[Label]:
        """The labels that name a class, not "neither"."""
        return [label for label in self.labels if label.label != NEITHER]

    def check(self, classes: Sequence[str]) -> None:
        """Raise ReviewedLabelsError unless every label is one of the classes."""
        unknown = [label for label in self.decided if label.label not in classes]
        if not unknown:
            return
        counts = Counter(label.label for label in unknown)
        named = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
        raise ReviewedLabelsError(
            f"{self.where} has labels of classes that are not staged: {named}. Stage these classes"
            f" too (--classes), or move the labels away, such as {unknown[0].key}."
        )

    def pictures(self, long_side: int) -> Iterator[LabelledPicture | Unreadable]:
        """Read the decided pictures, larger ones shrunk to `long_side` pixels, in order of keys.

        A picture that was deleted or cannot be decoded is Unreadable. Raises ReviewedLabelsError.
        """
        for start in range(0, len(self.decided), PICTURES_AT_A_TIME):
            yield from run_parallel(
                lambda label: _picture(self.s3, label, long_side),
                self.decided[start : start + PICTURES_AT_A_TIME],
                threads=THREADS,
                report=lambda *_: None,
            )

    def summary(self, paths: Sequence[str], unreadable: int) -> dict[str, Any]:
        """Return the manifest's entry, which counts every label once.

        Args:
            paths: the staged pictures that are reviewed ones, within the staged folder.
            unreadable: how many could not be read.
        """
        address_of = {_picture_name(label): _picture_address(label) for label in self.decided}
        return {
            "from": self.where,
            "labels": len(self.labels),
            "used": len(paths),
            "neither": len(self.labels) - len(self.decided),
            "left_out": len(self.decided) - unreadable - len(paths),
            "unreadable": unreadable,
            "pictures": {path: address_of[Path(path).stem] for path in sorted(paths)},
        }

    def summary_text(self, summary: dict[str, Any]) -> str:
        """Return the summary in one line."""
        if not self.labels:
            return f"there are no labels at {self.where}"
        return (
            f"{summary['used']} of {summary['labels']} labels at {self.where} join training;"
            f" {summary['neither']} neither, {summary['left_out']} left out,"
            f" {summary['unreadable']} unreadable"
        )


def read_labels(s3: Any, where: str, own_bucket: str) -> Reviewed:
    """Read all labels below s3://bucket/prefix, in a folder, or in the project's own bucket.

    A prefix is a folder: "old" is not "older". Of several labels of one version of a picture, the
    latest counts. Raises ReviewedLabelsError, and LabelError for an object that is not a label.
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
        raise ReviewedLabelsError(
            f"--labels {where}: there is no such folder; give s3://BUCKET/PREFIX, a folder, or"
            f" {PROJECT} for what the project's own bucket has."
        )
    latest = {label.key: label for label in sorted(found, key=lambda label: label.decided_at)}
    return Reviewed([latest[key] for key in sorted(latest)], where, s3)


def _from_s3(s3: Any, bucket: str, prefix: str) -> list[Label]:
    try:
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
    except s3.exceptions.NoSuchBucket as error:
        raise ReviewedLabelsError(f"--labels: there is no bucket {bucket}.") from error
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]

    def read(key: str) -> Label:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return read_label(body, f"s3://{bucket}/{key}")

    keys = [key for key in keys if key.endswith(".json")]
    return run_parallel(read, keys, threads=THREADS, report=lambda *_: None)


def _picture(s3: Any, label: Label, long_side: int) -> LabelledPicture | Unreadable:
    address = _picture_address(label)
    try:
        content = read_version(s3, label.question.picture)
    except PictureGoneError as error:
        return Unreadable(label.label, address, str(error))
    except PictureRefusedError as error:
        raise ReviewedLabelsError(f"The reviewed picture {address} cannot be read. {error}") from error
    try:
        image, original = read_photo(io.BytesIO(content), long_side)
    except DECODER_ERRORS as error:
        return Unreadable(label.label, address, why_unreadable(error))
    return LabelledPicture(label.label, _picture_name(label), image, original=original)


def _picture_name(label: Label) -> str:
    return f"reviewed-{hashlib.sha256(label.key.encode()).hexdigest()[:16]}"


def _picture_address(label: Label) -> str:
    """Return the S3 address of the version of the picture that a label is about."""
    picture = label.question.picture
    version = f"?versionId={picture.version_id}" if picture.version_id else ""
    return f"{picture.uri}{version}"
