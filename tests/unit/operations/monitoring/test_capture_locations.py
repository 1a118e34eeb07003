"""Captures in S3 are found by prefix and read by range; a body that breaks off is requested again."""

import pytest
from botocore.exceptions import ClientError, IncompleteReadError

from operations.monitoring.capture_locations import CaptureFile, CaptureGoneError, CapturesNotFoundError, S3Captures
from tests.unit.aws_stubs import Body, stubbed

FILE = CaptureFile("AllTraffic/2026/11/20/14/a.jsonl", 100)


def listed(*keys, prefix="captures/scones/"):
    contents = [{"Key": f"{prefix}{key}", "Size": 7} for key in keys]
    return {"Contents": contents} if contents else {}


def test_files_are_those_below_the_prefix():
    s3, stubber = stubbed("s3")
    stubber.add_response(
        "list_objects_v2",
        listed("b.jsonl", "a.jsonl", "", "notes.txt"),
        {"Bucket": "bucket", "Prefix": "captures/scones/"},
    )

    files = S3Captures(s3, "s3://bucket/captures/scones").files()

    assert files == [CaptureFile("a.jsonl", 7), CaptureFile("b.jsonl", 7)]


def test_single_object_is_read():
    s3, stubber = stubbed("s3")
    key = "captures/scones/a.jsonl"
    stubber.add_response("list_objects_v2", listed("", prefix=key), {"Bucket": "bucket", "Prefix": key})
    stubber.add_response("get_object", {"Body": Body(b"{}")}, {"Bucket": "bucket", "Key": key, "Range": "bytes=0-6"})
    captures = S3Captures(s3, f"s3://bucket/{key}")

    [file] = captures.files()

    assert file == CaptureFile("a.jsonl", 7)
    assert captures.read(file, 0, 7) == b"{}"


def test_empty_prefix_of_the_endpoint_passes():
    s3, stubber = stubbed("s3")
    stubber.add_response("list_objects_v2", {})

    assert S3Captures(s3, "s3://bucket/captures/scones/", may_be_empty=True).files() == []


@pytest.mark.parametrize(
    ("listing", "may_be_empty", "message"),
    [
        (listed(), False, "There is no object below .*; beside it are s3://bucket/captures/scones-2/"),
        (listed("train/car/a.png"), True, r"1 objects, and none ends in \.jsonl"),
    ],
)
def test_prefix_without_captures_fails_and_names_sibling_folders(listing, may_be_empty, message):
    s3, stubber = stubbed("s3")
    stubber.add_response("list_objects_v2", listing, {"Bucket": "bucket", "Prefix": "captures/scones/"})
    siblings = {"CommonPrefixes": [{"Prefix": "captures/scones/"}, {"Prefix": "captures/scones-2/"}]}
    stubber.add_response("list_objects_v2", siblings, {"Bucket": "bucket", "Prefix": "captures/", "Delimiter": "/"})

    with pytest.raises(CapturesNotFoundError, match=message):
        S3Captures(s3, "s3://bucket/captures/scones/", may_be_empty=may_be_empty).files()


def test_missing_bucket_or_address_without_bucket_fails():
    s3, stubber = stubbed("s3")
    stubber.add_client_error("list_objects_v2", "NoSuchBucket")

    with pytest.raises(CapturesNotFoundError, match="The bucket bucket does not exist"):
        S3Captures(s3, "s3://bucket/captures").files()
    with pytest.raises(CapturesNotFoundError, match="names no bucket"):
        S3Captures(s3, "s3://")


class BrokenBody:
    """A body whose connection breaks off."""

    def read(self):
        raise IncompleteReadError(actual_bytes=3, expected_bytes=9)


def test_body_that_breaks_off_is_requested_again():
    s3, stubber = stubbed("s3")
    for body in (BrokenBody(), BrokenBody(), Body(b"whole")):
        stubber.add_response(
            "get_object", {"Body": body}, {"Bucket": "bucket", "Key": f"captures/{FILE.name}", "Range": "bytes=10-14"}
        )

    assert S3Captures(s3, "s3://bucket/captures").read(FILE, 10, 15) == b"whole"


def test_body_that_always_breaks_off_fails():
    s3, stubber = stubbed("s3")
    for _ in range(4):
        stubber.add_response("get_object", {"Body": BrokenBody()})

    with pytest.raises(IncompleteReadError):
        S3Captures(s3, "s3://bucket/captures").read(FILE, 0, 5)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("NoSuchKey", CaptureGoneError, rf"s3://bucket/captures/{FILE.name} was deleted"),
        ("InvalidRange", CaptureGoneError, rf"s3://bucket/captures/{FILE.name} was deleted"),
        ("AccessDenied", ClientError, "AccessDenied"),
    ],
)
def test_read_refused_by_s3_fails(code, error, message):
    s3, stubber = stubbed("s3")
    stubber.add_client_error("get_object", code)

    with pytest.raises(error, match=message):
        S3Captures(s3, "s3://bucket/captures").read(FILE, 0, 5)
