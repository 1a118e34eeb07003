"""Keep `staged/` in the training bucket the same as the staged folder on disk."""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from training.settings import PROJECT_TAG
from training.sources.source import StageDataError

THREADS = 16  # uploads at a time; the client's connection pool needs as many
DELETED_AT_A_TIME = 1000  # what DeleteObjects takes


class BucketNotOursError(StageDataError):
    """The bucket exists and this account may not use it."""


class DeleteRefusedError(StageDataError):
    """S3 did not delete an object that no longer belongs to the staged data."""


@dataclass(frozen=True)
class SyncResult:
    """Objects sent, found right already, and deleted."""

    uploaded: int
    skipped: int
    deleted: int


def ensure_bucket(s3: Any, bucket: str, region: str, account: str) -> bool:
    """Make the bucket where it is missing: private, encrypted, tagged. Return whether it was made.

    `account` (12 digits) must own it: bucket names are global, and somebody else may hold this one.
    Raises BucketNotOursError.
    """
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise BucketNotOursError(
                f"Bucket {bucket} exists, but account {account} may not use it from here"
                f" ({error.response['Error']['Code']}): give another --bucket, or ask for access."
            ) from error
    else:
        return False
    # us-east-1 is what S3 assumes, and refuses as a constraint.
    where = {} if region == "us-east-1" else {"LocationConstraint": region}
    s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {}))
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
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [PROJECT_TAG]})
    return True


def sync(
    s3: Any,
    bucket: str,
    prefix: str,
    *,
    root: Path,
    paths: Iterable[str],
    keep: str,
    report: Callable[[int, int], None],
) -> SyncResult:
    """Send the files `paths` of `root` to `prefix`/path, and delete what else is under `prefix`/.

    Only `prefix`/`keep` is left alone: the manifest, which the caller sends after all else.
    An object counts as there when its size and its ETag, the MD5 of what was sent in one part
    under S3's own encryption, are right; under a KMS key no ETag is, and everything is sent again.
    `report` gets the objects that are right so far and their total. Raises DeleteRefusedError.
    """
    there = _objects(s3, bucket, f"{prefix}/")
    there.pop(f"{prefix}/{keep}", None)
    missing, skipped = [], 0
    for path in paths:
        if there.pop(f"{prefix}/{path}", None) == _size_and_etag(root / path):
            skipped += 1
        else:
            missing.append(path)
    total = skipped + len(missing)
    report(skipped, total)
    with ThreadPoolExecutor(THREADS) as pool:
        sent = [
            pool.submit(upload_file, s3, bucket, f"{prefix}/{path}", root / path)
            for path in missing
        ]
        try:
            for count, future in enumerate(as_completed(sent), start=1):
                future.result()
                report(skipped + count, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    _delete(s3, bucket, sorted(there))
    return SyncResult(len(missing), skipped, len(there))


def upload_file(s3: Any, bucket: str, key: str, path: Path) -> None:
    """Send one file in one part. botocore adds a checksum that S3 verifies."""
    content_type = "application/json" if path.suffix == ".json" else "image/png"
    s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType=content_type)


def _objects(s3: Any, bucket: str, prefix: str) -> dict[str, tuple[int, str]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {
        item["Key"]: (item["Size"], item["ETag"].strip('"'))
        for page in pages
        for item in page.get("Contents", [])
    }


def _size_and_etag(path: Path) -> tuple[int, str]:
    content = path.read_bytes()
    return len(content), hashlib.md5(content, usedforsecurity=False).hexdigest()


def _delete(s3: Any, bucket: str, keys: list[str]) -> None:
    for start in range(0, len(keys), DELETED_AT_A_TIME):
        batch = [{"Key": key} for key in keys[start : start + DELETED_AT_A_TIME]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        for refused in answer.get("Errors", []):
            raise DeleteRefusedError(
                f"S3 did not delete s3://{bucket}/{refused['Key']}: {refused['Message']}."
            )
