"""Serialize Image Data: the pictures that it rejects, and its result."""

import base64
import json
import struct

import pytest

from benchmarks.hostile_pictures.files import chunk, header, segment
from functions.serialize_image_data import app
from tests.unit.functions.conftest import s3_object

PNG = header(4, 3) + chunk(b"IDAT") + chunk(b"IEND")
FRAME = segment(0xC0, b"\x08\x00\x03\x00\x04\x01\x01\x11\x00")  # 4x3 pixels, grey
SCAN = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"pixels"
JPEG = b"\xff\xd8" + FRAME + SCAN + b"\xff\xd9"
EVENT = {"s3_bucket": "bucket", "s3_key": "inbox/a.png"}
HERE = {"Bucket": "bucket", "Key": "inbox/a.png"}


@pytest.fixture
def s3(stub):
    return stub(app.s3)


def serialize(s3, body: bytes, **changes: object) -> dict:
    """Return the handler's result for an object with this body."""
    s3.add_response("get_object", s3_object(body), HERE)
    return app.lambda_handler(EVENT | changes, None)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"s3_bucket": "bucket"},
        {"s3_bucket": "", "s3_key": "a"},
        {"s3_bucket": "bucket", "s3_key": ["a"]},
        {"s3_bucket": "bucket", "s3_key": "a", "s3_version_id": 7},
        {"s3_bucket": "not a bucket!", "s3_key": "a"},
    ],
)
def test_input_without_a_valid_picture_is_an_error(event):
    with pytest.raises(app.InvalidInputError):
        app.lambda_handler(event, None)


def picture_size(width: int, height: int) -> bytes:
    return header(width, height) + chunk(b"IDAT")


def animation(frames: int) -> bytes:
    control = chunk(b"acTL", struct.pack(">II", frames, 0))
    return header(4, 3) + control + chunk(b"fcTL", bytes(26)) + chunk(b"IDAT")


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b"", app.EmptyPictureError, "upload the picture again"),
        *(
            (body, app.NotAPictureError, "neither PNG nor JPEG")
            for body in (b"<html>", b"GIF89a", b"\x89PNG", b"\xff\xd8")
        ),
        (PNG[:20], app.NotAPictureError, "cut off after 20 bytes, in its header"),
        (PNG[:40], app.NotAPictureError, "cut off after 40 bytes, in its header"),
        (picture_size(0, 3), app.NotAPictureError, "its size is 0x3 pixels"),
        (header(4, 3) + chunk(b"IEND"), app.NotAPictureError, "an IEND chunk where its pixels"),
        (PNG[:29] + b"sum!" + PNG[33:], app.NotAPictureError, "a valid IHDR chunk"),
        (JPEG[:-10], app.NotAPictureError, "0 scans of 4x3 pixels"),
        (b"\xff\xd8" + SCAN, app.NotAPictureError, "1 scans of 0x0 pixels"),
        (b"\xff\xd8" + FRAME * 2 + SCAN, app.NotAPictureError, "gives its size twice"),
        (animation(2), app.AnimatedPictureError, "has 2 frames: upload the one that"),
        (picture_size(5000, 5001), app.PictureTooLargeError, "5,000x5,001 pixels"),
        (picture_size(2**31 - 1, 2**31 - 1), app.PictureTooLargeError, "takes 25,000,000: scale"),
        (b"\xff\xd8" + FRAME + SCAN * 101, app.PictureTooLargeError, "has 101 scans"),
    ],
)
def test_picture_with_an_invalid_header_is_an_error_with_its_reason(s3, body, error, message):
    with pytest.raises(error, match=message) as refused:
        serialize(s3, body)
    assert str(refused.value).startswith("s3://bucket/inbox/a.png ")


@pytest.mark.parametrize(
    "body",
    [animation(0), animation(1), picture_size(5000, 5000), b"\xff\xd8" + FRAME + SCAN * 100],
    ids=["no frame", "one frame", "25 million pixels", "100 scans"],
)
def test_picture_at_a_limit_is_accepted(s3, body):
    assert serialize(s3, body)["image_data"]


@pytest.mark.parametrize(("body", "media_type"), [(PNG, "image/png"), (JPEG, "image/jpeg")])
def test_type_is_detected_from_the_bytes_and_not_from_the_name(s3, body, media_type):
    result = serialize(s3, body)
    assert result["content_type"] == media_type
    assert base64.b64decode(result["image_data"]) == body


@pytest.mark.parity("s3-versions")
def test_result_keeps_other_fields_and_the_requested_version(s3):
    event = EVENT | {"s3_version_id": "v1", "image_data": "", "order": {"id": 7}}
    s3.add_response("get_object", s3_object(PNG), HERE | {"VersionId": "v1"})
    result = app.lambda_handler(event, None)
    assert result == event | {"content_type": "image/png", "image_data": base64.b64encode(PNG).decode()}


@pytest.mark.parity("s3-versions", "s3-get-object")
@pytest.mark.parametrize("asked", [{}, {"s3_version_id": ""}])
def test_result_has_the_version_that_was_read_if_none_was_requested(s3, asked):
    s3.add_response("get_object", s3_object(PNG, VersionId="v2"), HERE)
    assert app.lambda_handler(EVENT | asked, None)["s3_version_id"] == "v2"


@pytest.mark.parity("s3-keys")
@pytest.mark.parametrize("key", ["inbox/a b+c%20d.png", "inbox/Fahrräder/车.png", "inbox/100%.png"])
def test_key_is_used_unchanged(s3, key):
    s3.add_response("get_object", s3_object(PNG), {"Bucket": "bucket", "Key": key})
    assert app.lambda_handler(EVENT | {"s3_key": key}, None)["s3_key"] == key


@pytest.mark.parity("states-payload-256-kib", "lambda-6-mb")
def test_largest_picture_that_fits_is_in_the_payload_and_a_larger_one_is_a_reference(s3):
    frame = len(json.dumps(EVENT | {"content_type": "image/png", "image_data": ""}))
    most = (app.MAX_RESULT_BYTES - frame) // 4 * 3  # base64 makes 4 characters of 3 bytes
    inline, by_reference = (serialize(s3, PNG.ljust(size, b"\0")) for size in (most, most + 1))
    assert len(json.dumps(inline)) <= app.MAX_RESULT_BYTES < 262_144
    assert inline["image_data"]
    assert by_reference["image_data"] == ""


@pytest.mark.parity("states-payload-256-kib")
def test_extra_fields_count_towards_the_payload(s3):
    assert serialize(s3, PNG.ljust(150_000, b"\0"), notes="ü" * 40_000)["image_data"] == ""


def test_input_too_large_for_the_payload_is_an_error(s3):
    with pytest.raises(app.InvalidInputError, match="leave out what is not needed"):
        serialize(s3, PNG, notes="x" * app.MAX_RESULT_BYTES)


def test_unpaired_surrogate_is_kept(s3):
    assert serialize(s3, PNG, notes="\ud83d")["notes"] == "\ud83d"


def test_picture_of_exactly_6_mib_is_accepted(s3):
    assert serialize(s3, PNG.ljust(app.MAX_PICTURE_BYTES, b"\0"))["image_data"] == ""


@pytest.mark.parity("lambda-json-logs")
def test_log_has_the_key_and_not_the_picture(s3, caplog):
    serialize(s3, PNG)
    line = vars(caplog.records[-1])
    expected = ("inbox/a.png", len(PNG), False)
    assert (line["s3_key"], line["bytes"], line["by_reference"]) == expected
    assert base64.b64encode(PNG).decode() not in str(line)
