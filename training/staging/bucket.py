"""Synchronize `staged/` in the training bucket with the staged folder on disk."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from common.account import bucket_tags
from common.parallel import run_parallel
from common.settings import STAGED_PREFIX, project
from training.sources.source import StageDataError
from training.staging.folder import MANIFEST

THREADS = 16  # requests at a time; the client's connection pool needs as many
DELETED_AT_A_TIME = 1000  # limit of DeleteObjects


class BucketError(StageDataError):
    """The bucket belongs to somebody else, is being made or deleted, or S3 did not delete an object."""


@dataclass(frozen=True)
class SyncResult:
    """Numbers of objects uploaded, up to date already, and deleted."""

    uploaded: int
    skipped: int
    deleted: int


def ensure_bucket(s3: Any, bucket: str, region: str, account: str, *, ours: bool) -> bool:
    """Create the bucket if it is missing: private, encrypted, tagged. Return whether it was created.

    `account` (12 digits) must own it: bucket names are global, and another account may own this one.
    `ours` says that the name is the project's own: an interrupted run left such a bucket half made if
    it lacks the project's tag, and the setup is completed. Raises BucketError.
    """
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise BucketError(
                f"Bucket {bucket} exists, but account {account} may not use it from here"
                f" ({error.response['Error']['Code']}): give another --bucket, or ask for access."
            ) from error
        _create(s3, bucket, region, account)
        _set_up(s3, bucket, [])
        return True
    if ours:
        tags = bucket_tags(s3, bucket)
        if project().tag not in tags:
            _set_up(s3, bucket, tags)
    return False


def _create(s3: Any, bucket: str, region: str, account: str) -> None:
    # us-east-1 is the default, and S3 refuses it as a constraint.
    constraint = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=bucket, **constraint)
    except ClientError as error:
        if error.response["Error"]["Code"] != "OperationAborted":
            raise
        raise BucketError(
            f"S3 is still deleting an earlier bucket {bucket}, or another run is making it: run the"
            " same command again in some minutes, or give another --bucket."
        ) from error
    s3.get_waiter("bucket_exists").wait(Bucket=bucket, ExpectedBucketOwner=account)


def _set_up(s3: Any, bucket: str, tags: list[dict[str, str]]) -> None:
    """Block public access, encrypt, and add the project's tag last: it marks the setup as complete."""
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


def sync(s3: Any, bucket: str, root: Path, paths: Collection[str], report: Callable[[int, int], None]) -> SyncResult:
    """Upload the files `paths` of `root` below staged/, and delete all other objects there.

    If anything differs, the manifest is deleted first, so that an interrupted run leaves no manifest
    over objects that it does not describe; the caller uploads it last. An object is up to date if its
    size and its ETag, the MD5 of an object uploaded in one part under S3's own encryption, are right;
    under a KMS key no ETag is, and everything is uploaded again.
    `report` gets the number of objects up to date and their total. Raises BucketError.
    """
    stored = _objects(s3, bucket, f"{STAGED_PREFIX}/")
    manifest = f"{STAGED_PREFIX}/{MANIFEST}"
    has_manifest = stored.pop(manifest, None) is not None
    missing: list[str] = []
    skipped, total = 0, len(paths)
    for path in paths:
        if _is_up_to_date(stored.pop(f"{STAGED_PREFIX}/{path}", None), root / path):
            skipped += 1
            report(skipped, total)
        else:
            missing.append(path)
    if has_manifest and (missing or stored):
        s3.delete_object(Bucket=bucket, Key=manifest)
    run_parallel(
        lambda path: upload_file(s3, bucket, f"{STAGED_PREFIX}/{path}", root / path),
        missing,
        threads=THREADS,
        report=lambda sent, _: report(skipped + sent, total),
    )
    _delete(s3, bucket, sorted(stored))
    return SyncResult(len(missing), skipped, len(stored))


def upload_file(s3: Any, bucket: str, key: str, path: Path) -> None:
    """Upload one file in one part. botocore adds a checksum that S3 verifies."""
    content_type = "application/json" if path.suffix == ".json" else "image/png"
    s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType=content_type)


def _objects(s3: Any, bucket: str, prefix: str) -> dict[str, tuple[int, str]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {item["Key"]: (item["Size"], item["ETag"].strip('"')) for page in pages for item in page.get("Contents", [])}


def _is_up_to_date(stored: tuple[int, str] | None, path: Path) -> bool:
    """Compare size and ETag of an object, None if it is missing, with a file."""
    if stored is None or stored[0] != path.stat().st_size:
        return False
    return stored[1] == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _delete(s3: Any, bucket: str, keys: list[str]) -> None:
    for start in range(0, len(keys), DELETED_AT_A_TIME):
        batch = [{"Key": key} for key in keys[start : start + DELETED_AT_A_TIME]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        for refused in answer.get("Errors", []):
            raise BucketError(
                f"S3 did not delete s3://{bucket}/{refused.get('Key')}: {refused.get('Message', refused.get('Code'))}."
            )
