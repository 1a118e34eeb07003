"""Every version of a bucket's objects, delete markers too: a bucket goes only when none is left."""

from collections.abc import Callable, Iterator
from typing import Any

from training.errors import ExpectedError
from training.parallel import run_parallel

THREADS = 8  # DeleteObjects calls at a time, each of up to 1000 versions


class ObjectsNotDeletedError(ExpectedError):
    """S3 refused to delete some versions; the message gives the first refusal."""


def count_versions(s3: Any, bucket: str, prefix: str) -> int:
    """Count versions and delete markers under the prefix."""
    return sum(len(page) for page in _pages(s3, bucket, prefix))


def delete_versions(
    s3: Any, bucket: str, prefix: str, report: Callable[[int, int | None], None], total: int
) -> None:
    """Delete versions and delete markers under the prefix, a thousand at a time, in parallel.

    `report` gets the number deleted so far and `total`. Raises ObjectsNotDeletedError.
    """
    deleted: list[int] = []

    def delete(page: list[dict[str, str]]) -> None:
        _delete(s3, bucket, page)
        deleted.append(len(page))

    run_parallel(
        delete,
        list(_pages(s3, bucket, prefix)),
        threads=THREADS,
        report=lambda *_: report(sum(deleted), total),
    )


def _pages(s3: Any, bucket: str, prefix: str) -> Iterator[list[dict[str, str]]]:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            yield [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]


def _delete(s3: Any, bucket: str, versions: list[dict[str, str]]) -> None:
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
    for refused in answer.get("Errors", [])[:1]:
        raise ObjectsNotDeletedError(
            f"S3 kept {len(answer['Errors'])} objects of {bucket}, the first {refused.get('Key')}:"
            f" {refused.get('Message', refused.get('Code'))}. You need s3:DeleteObjectVersion."
        )
