"""The training bucket: its setup, and the synchronization of staged/ with the folder."""

import hashlib
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.unit.aws_stubs import ACCOUNT, stubbed
from training.staging import bucket as bucket_module
from training.staging.bucket import (
    BucketError,
    SyncResult,
    ensure_bucket,
    sync,
)

BUCKET = "pictures"
HEAD = {"Bucket": BUCKET, "ExpectedBucketOwner": ACCOUNT}


@pytest.fixture(autouse=True)
def _one_upload_at_a_time(monkeypatch):
    monkeypatch.setattr(bucket_module, "THREADS", 1)  # the stubs answer in order


@pytest.fixture
def s3():
    """A stubber with its client."""
    return stubbed("s3")[1]


TAG = {"Key": "Project", "Value": "scones-unlimited"}


def expect_set_up(stubber, tags):
    blocked = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    for operation, setting in (
        ("put_public_access_block", {"PublicAccessBlockConfiguration": dict.fromkeys(blocked, True)}),
        ("put_bucket_encryption", {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}),
        ("put_bucket_tagging", {"Tagging": {"TagSet": tags}}),
    ):
        stubber.add_response(operation, {}, {"Bucket": BUCKET, **setting})


def ensure(stubber, region="eu-west-1", ours=True):
    return ensure_bucket(stubber.client, BUCKET, region, ACCOUNT, ours=ours)


@pytest.mark.parity("s3-bucket-name")
@pytest.mark.parametrize("code", ["403", "301"])
def test_ensure_bucket_of_another_account_fails(s3, code):
    s3.add_client_error("head_bucket", code, expected_params=HEAD)

    with pytest.raises(BucketError, match=f"pictures exists, but.*{code}.*another --bucket"):
        ensure(s3)


@pytest.mark.parity("s3-create-bucket", "s3-public-access", "s3-encryption")
@pytest.mark.parametrize(
    ("region", "create"),
    [("eu-west-1", {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}), ("us-east-1", {})],
)
def test_ensure_bucket_creates_a_missing_bucket_in_its_region(s3, region, create):
    s3.add_client_error("head_bucket", "404", http_status_code=404, expected_params=HEAD)
    s3.add_response("create_bucket", {}, {"Bucket": BUCKET, **create})
    s3.add_response("head_bucket", {"ResponseMetadata": {"HTTPStatusCode": 200}}, HEAD)  # the waiter's
    expect_set_up(s3, [TAG])

    assert ensure(s3, region) is True


@pytest.mark.parity("s3-create-bucket")
@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("OperationAborted", BucketError, r"still deleting an earlier bucket pictures.*again"),
        ("AccessDenied", ClientError, "AccessDenied"),
    ],
)
def test_ensure_bucket_with_a_refused_creation_fails(s3, code, error, message):
    s3.add_client_error("head_bucket", "404", http_status_code=404, expected_params=HEAD)
    s3.add_client_error("create_bucket", code)

    with pytest.raises(error, match=message):
        ensure(s3)


def test_ensure_bucket_without_permission_to_read_tags_raises_the_client_error(s3):
    s3.add_response("head_bucket", {}, HEAD)
    s3.add_client_error("get_bucket_tagging", "AccessDenied")

    with pytest.raises(ClientError, match="AccessDenied"):
        ensure(s3)


@pytest.mark.parity("s3-tags")
@pytest.mark.parametrize("tags", [[], [{"Key": "Team", "Value": "a"}]], ids=["no tags", "another tag"])
def test_ensure_bucket_finishes_an_untagged_bucket_and_keeps_other_tags(s3, tags):
    s3.add_response("head_bucket", {}, HEAD)
    if tags:
        s3.add_response("get_bucket_tagging", {"TagSet": tags}, {"Bucket": BUCKET})
    else:
        s3.add_client_error("get_bucket_tagging", "NoSuchTagSet")
    expect_set_up(s3, [*tags, TAG])

    assert ensure(s3) is False


@pytest.mark.parametrize("ours", [True, False], ids=["complete", "of the user"])
def test_ensure_bucket_leaves_a_complete_or_users_bucket_unchanged(s3, ours):
    s3.add_response("head_bucket", {}, HEAD)
    if ours:
        s3.add_response("get_bucket_tagging", {"TagSet": [TAG]}, {"Bucket": BUCKET})

    assert ensure(s3, ours=ours) is False


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def listing(*objects):
    return {"Contents": [{"Key": key, "Size": len(content), "ETag": f'"{md5(content)}"'} for key, content in objects]}


LIST = {"Bucket": BUCKET, "Prefix": "staged/"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    return tmp_path


def run(stubber, root, *names, reports=None):
    paths = [f"{name}.png" for name in names]
    return sync(
        stubber.client, BUCKET, root, paths, lambda *seen: (reports if reports is not None else []).append(seen)
    )


MANIFEST = ("staged/manifest.json", b"{}")
STALE = ("staged/old.png", b"x")


@pytest.mark.parity("s3-delete")
def test_sync_with_a_refused_delete_fails_without_manifest(s3, root):
    s3.add_response("list_objects_v2", listing(STALE, MANIFEST), LIST)
    s3.add_response("delete_object", {}, {"Bucket": BUCKET, "Key": MANIFEST[0]})
    refused = {"Key": "staged/old.png", "Code": "AccessDenied", "Message": "Access Denied"}
    s3.add_response("delete_objects", {"Errors": [refused]})

    with pytest.raises(BucketError, match=r"s3://pictures/staged/old\.png: Access Denied"):
        run(s3, root)


def test_sync_with_a_refused_upload_fails_without_manifest_and_deletes_no_picture(s3, root):
    s3.add_response("list_objects_v2", listing(STALE, MANIFEST), LIST)
    s3.add_response("delete_object", {}, {"Bucket": BUCKET, "Key": MANIFEST[0]})
    s3.add_client_error("put_object", "AccessDenied")

    with pytest.raises(ClientError, match="AccessDenied"):
        run(s3, root, "a")


@pytest.mark.parity("s3-etag")
def test_sync_uploads_only_missing_and_different_files_and_deletes_stale_objects(s3, root):
    stored = listing(
        ("staged/a.png", b"a"),  # up to date
        ("staged/b.png", b"B"),  # same size, other content
        ("staged/c.png", b"cc"),  # other size
        STALE,
        MANIFEST,
    )
    s3.add_response("list_objects_v2", stored, LIST)
    s3.add_response("delete_object", {}, {"Bucket": BUCKET, "Key": MANIFEST[0]})
    for name in "bcd":
        upload = {"Key": f"staged/{name}.png", "Body": name.encode(), "ContentType": "image/png"}
        s3.add_response("put_object", {}, {"Bucket": BUCKET, **upload})
    deleted = {"Objects": [{"Key": "staged/old.png"}], "Quiet": True}
    s3.add_response("delete_objects", {}, {"Bucket": BUCKET, "Delete": deleted})
    reports: list = []

    assert run(s3, root, *"abcd", reports=reports) == SyncResult(3, 1, 1)
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parity("s3-etag")
def test_sync_with_everything_up_to_date_only_reads_every_page_of_the_listing(s3, root):
    first = listing(("staged/a.png", b"a"), MANIFEST) | {"IsTruncated": True, "NextContinuationToken": "t"}
    s3.add_response("list_objects_v2", first, LIST)
    s3.add_response("list_objects_v2", listing(("staged/b.png", b"b")), LIST | {"ContinuationToken": "t"})

    assert run(s3, root, "a", "b") == SyncResult(0, 2, 0)
