"""Count and delete all versions and delete markers: S3 deletes a bucket only without them."""

from collections.abc import Callable, Iterator
from typing import Any

from common.errors import ExpectedError
from common.parallel import run_parallel

THREADS = 8  # DeleteObjects calls at a time, each of up to 1000 versions
KeyTest = Callable[[str], bool]


class ObjectsNotDeletedError(ExpectedError):
    """S3 refused to delete some versions; the message gives the first refusal."""


def any_key(_: str) -> bool:
    """Accept every key."""
    return True


def count_versions(s3: Any, bucket: str, prefix: str, accepts: KeyTest = any_key) -> int:
    """Count versions and delete markers below the prefix whose key `accepts` accepts."""
    return sum(len(page) for page in _pages(s3, bucket, prefix, accepts))


def delete_versions(
    s3: Any, bucket: str, prefix: str, report: Callable[[int, int], None], accepts: KeyTest = any_key
) -> None:
    """Delete versions and delete markers below the prefix, a thousand at a time, in parallel.

    Only those whose key `accepts` accepts. `report` gets the number deleted so far and the total.
    Raises ObjectsNotDeletedError.
    """
    pages = list(_pages(s3, bucket, prefix, accepts))
    total = sum(map(len, pages))
    deleted: list[int] = []

    def delete(page: list[dict[str, str]]) -> None:
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": page, "Quiet": True})
        for refused in answer.get("Errors", [])[:1]:
            raise ObjectsNotDeletedError(
                f"S3 kept {len(answer['Errors'])} objects of {bucket}, the first {refused.get('Key')}:"
                f" {refused.get('Message', refused.get('Code'))}. You need s3:DeleteObjectVersion."
            )
        deleted.append(len(page))

    run_parallel(delete, pages, threads=THREADS, report=lambda *_: report(sum(deleted), total))


def _pages(s3: Any, bucket: str, prefix: str, accepts: KeyTest) -> Iterator[list[dict[str, str]]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        accepted = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found if accepts(item["Key"])]
        if accepted:
            yield accepted
