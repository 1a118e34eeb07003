"""Keep `staged/` in the training bucket the same as the staged folder on disk."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from common.parallel import run_parallel
from common.settings import project
from training.sources.source import StageDataError

THREADS = 16  # uploads at a time; the client's connection pool needs as many
DELETED_AT_A_TIME = 1000  # what DeleteObjects takes


class BucketNotOursError(StageDataError):
    """The bucket exists and this account may not use it."""


class BucketBusyError(StageDataError):
    """S3 is still at work on an earlier bucket of this name."""


class DeleteRefusedError(StageDataError):
    """S3 did not delete an object that no longer belongs to the staged data."""


@dataclass(frozen=True)
class SyncResult:
    """Objects sent, found right already, and deleted."""

    uploaded: int
    skipped: int
    deleted: int


def ensure_bucket(s3: Any, bucket: str, region: str, account: str, *, ours: bool) -> bool:
    """Make the bucket where it is missing: private, encrypted, tagged. Return whether it was made.

    `account` (12 digits) must own it: bucket names are global, and another account may own this one.
    `ours` says that the name is the project's own: such a bucket without the project's tag was left
    half made by a broken run, and gets what it lacks. Raises BucketNotOursError, BucketBusyError.
    """
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise BucketNotOursError(
                f"Bucket {bucket} exists, but account {account} may not use it from here"
                f" ({error.response['Error']['Code']}): give another --bucket, or ask for access."
            ) from error
        _create(s3, bucket, region, account)
        _set_up(s3, bucket, [])
        return True
    if ours:
        tags = _tags(s3, bucket)
        if project().tag not in tags:
            _set_up(s3, bucket, tags)
    return False


def _create(s3: Any, bucket: str, region: str, account: str) -> None:
    # us-east-1 is what S3 assumes, and refuses as a constraint.
    where = {} if region == "us-east-1" else {"LocationConstraint": region}
    try:
        s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {}))
    except ClientError as error:
        if error.response["Error"]["Code"] != "OperationAborted":
            raise
        raise BucketBusyError(
            f"S3 is still deleting an earlier bucket {bucket}, or another run is making it: run the"
            " same command again in some minutes, or give another --bucket."
        ) from error
    s3.get_waiter("bucket_exists").wait(Bucket=bucket, ExpectedBucketOwner=account)


def _set_up(s3: Any, bucket: str, tags: list[dict[str, str]]) -> None:
    """Close the bucket, encrypt it, and add the project's tag to its tags: last, as its seal."""
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    others = [tag for tag in tags if tag["Key"] != project().tag["Key"]]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [*others, project().tag]})


def _tags(s3: Any, bucket: str) -> list[dict[str, str]]:
    try:
        tags: list[dict[str, str]] = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchTagSet":
            raise
        return []
    return tags


def sync(
    s3: Any,
    bucket: str,
    prefix: str,
    *,
    root: Path,
    paths: Collection[str],
    manifest: str,
    report: Callable[[int, int], None],
) -> SyncResult:
    """Send the files `paths` of `root` to `prefix`/path, and delete what else is under `prefix`/.

    Where anything differs, `prefix`/`manifest` is deleted first, so that a broken run leaves no
    manifest over objects that it does not describe; the caller sends it after all else.
    An object counts as there when its size and its ETag, the MD5 of what was sent in one part
    under S3's own encryption, are right; under a KMS key no ETag is, and everything is sent again.
    `report` gets the objects that are right so far and their total. Raises DeleteRefusedError.
    """
    there = _objects(s3, bucket, f"{prefix}/")
    described = there.pop(f"{prefix}/{manifest}", None) is not None
    missing: list[str] = []
    skipped, total = 0, len(paths)
    for path in paths:
        if _is_right(there.pop(f"{prefix}/{path}", None), root / path):
            skipped += 1
            report(skipped, total)
        else:
            missing.append(path)
    if described and (missing or there):
        s3.delete_object(Bucket=bucket, Key=f"{prefix}/{manifest}")
    run_parallel(
        lambda path: upload_file(s3, bucket, f"{prefix}/{path}", root / path),
        missing,
        threads=THREADS,
        report=lambda sent, _: report(skipped + sent, total),
    )
    _delete(s3, bucket, sorted(there))
    return SyncResult(len(missing), skipped, len(there))


def upload_file(s3: Any, bucket: str, key: str, path: Path) -> None:
    """Send one file in one part. botocore adds a checksum that S3 verifies."""
    content_type = "application/json" if path.suffix == ".json" else "image/png"
    s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType=content_type)


def _objects(s3: Any, bucket: str, prefix: str) -> dict[str, tuple[int, str]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {item["Key"]: (item["Size"], item["ETag"].strip('"')) for page in pages for item in page.get("Contents", [])}


def _is_right(found: tuple[int, str] | None, path: Path) -> bool:
    """Hold size and ETag of an object, None where there is none, against a file."""
    if found is None or found[0] != path.stat().st_size:
        return False
    return found[1] == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _delete(s3: Any, bucket: str, keys: list[str]) -> None:
    for start in range(0, len(keys), DELETED_AT_A_TIME):
        batch = [{"Key": key} for key in keys[start : start + DELETED_AT_A_TIME]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        for refused in answer.get("Errors", []):
            raise DeleteRefusedError(
                f"S3 did not delete s3://{bucket}/{refused.get('Key')}: {refused.get('Message', refused.get('Code'))}."
            )
