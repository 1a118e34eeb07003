"""Serialize Image Data: what it refuses, and what it hands on."""

import base64
import io
import json
import struct
from collections.abc import Iterator

import pytest
from botocore.exceptions import EndpointConnectionError, IncompleteReadError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from benchmarks.hostile_pictures.files import chunk, header, segment
from functions.serialize_image_data import app

PNG = header(4, 3) + chunk(b"IDAT") + chunk(b"IEND")
FRAME = segment(0xC0, b"\x08\x00\x03\x00\x04\x01\x01\x11\x00")  # 4x3 pixels, grey
SCAN = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"pixels"
JPEG = b"\xff\xd8" + FRAME + SCAN + b"\xff\xd9"
EVENT = {"s3_bucket": "bucket", "s3_key": "inbox/a.png"}
HERE = {"Bucket": "bucket", "Key": "inbox/a.png"}


@pytest.fixture
def s3() -> Iterator[Stubber]:
    with Stubber(app.s3) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def answer(body: bytes, **more: str) -> dict[str, object]:
    return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": len(body)} | more


@pytest.mark.parity("s3-missing", "s3-busy", "s3-missing-without-list")
@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchKey", 404, app.PictureNotFoundError),
        ("NoSuchVersion", 404, app.PictureNotFoundError),
        ("NoSuchBucket", 404, app.PictureNotFoundError),
        ("MethodNotAllowed", 405, app.PictureNotFoundError),  # the mark of a deletion
        ("AccessDenied", 403, app.PictureAccessDeniedError),
        ("InvalidObjectState", 403, app.InvalidInputError),
        ("SlowDown", 503, app.PictureStoreUnavailableError),
        ("InternalError", 500, app.PictureStoreUnavailableError),
        ("InvalidArgument", 400, app.InvalidInputError),
    ],
)
def test_what_s3_answers_gets_a_name_and_says_which_picture(s3, code, status, error):
    s3.add_client_error("get_object", code, http_status_code=status, expected_params=HERE)
    with pytest.raises(error, match=r"s3://bucket/inbox/a\.png"):
        app.lambda_handler(EVENT, None)


@pytest.mark.parity("s3-busy")
@pytest.mark.parametrize(
    "broken",
    [
        EndpointConnectionError(endpoint_url="s3"),
        ReadTimeoutError(endpoint_url="s3"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
    ],
)
def test_a_broken_connection_is_named_so_that_it_is_retried(monkeypatch, broken):
    def get_object(**_: str) -> None:
        raise broken

    monkeypatch.setattr(app.s3, "get_object", get_object)
    with pytest.raises(app.PictureStoreUnavailableError, match=r"s3://bucket/inbox/a\.png"):
        app.lambda_handler(EVENT, None)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"s3_bucket": "bucket"},
        {"s3_bucket": "", "s3_key": "a"},
        {"s3_bucket": "bucket", "s3_key": ["a"]},
        {"s3_bucket": "bucket", "s3_key": "a", "s3_version_id": 7},
        {"s3_bucket": "not a bucket!", "s3_key": "a"},
        ["s3_bucket", "s3_key"],
    ],
)
def test_an_input_that_names_no_picture_is_refused(event):
    with pytest.raises(app.InvalidInputError):
        app.lambda_handler(event, None)


def test_an_empty_object_is_refused(s3):
    s3.add_response("get_object", answer(b""), HERE)
    with pytest.raises(app.EmptyPictureError, match="upload the picture again"):
        app.lambda_handler(EVENT, None)


@pytest.mark.parity("s3-get-object", "invoke-request")
def test_a_picture_over_the_endpoints_limit_is_refused_before_it_is_read(s3):
    body = io.BytesIO(b"x")
    length = app.MAX_PICTURE_BYTES + 1
    s3.add_response("get_object", {"Body": StreamingBody(body, length), "ContentLength": length}, HERE)
    with pytest.raises(app.PictureTooLargeError, match="6,291,457 bytes"):
        app.lambda_handler(EVENT, None)
    assert body.tell() == 0


def picture_size(width: int, height: int) -> bytes:
    return header(width, height) + chunk(b"IDAT")


def animation(frames: int) -> bytes:
    control = chunk(b"acTL", struct.pack(">II", frames, 0))
    return header(4, 3) + control + chunk(b"fcTL", bytes(26)) + chunk(b"IDAT")


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (PNG[:20], app.NotAPictureError, "cut off after 20 bytes, in its header"),
        (PNG[:40], app.NotAPictureError, "cut off after 40 bytes, in its header"),
        (picture_size(0, 3), app.NotAPictureError, "its size is 0x3 pixels"),
        (header(4, 3) + chunk(b"IEND"), app.NotAPictureError, "an IEND chunk where its pixels"),
        (PNG[:29] + b"sum!" + PNG[33:], app.NotAPictureError, "a sound IHDR chunk"),
        (JPEG[:-10], app.NotAPictureError, "0 scans of 4x3 pixels"),
        (b"\xff\xd8" + SCAN, app.NotAPictureError, "1 scans of 0x0 pixels"),
        (b"\xff\xd8" + FRAME * 2 + SCAN, app.NotAPictureError, "gives its size twice"),
        (animation(2), app.AnimatedPictureError, "has 2 frames: upload the one that"),
        (picture_size(5000, 5001), app.PictureTooLargeError, "5,000x5,001 pixels"),
        (picture_size(2**31 - 1, 2**31 - 1), app.PictureTooLargeError, "takes 25,000,000 of them"),
        (b"\xff\xd8" + FRAME + SCAN * 101, app.PictureTooLargeError, "in 101 scans"),
    ],
)
def test_a_picture_is_refused_by_its_header_and_the_error_says_which_and_why(s3, body, error, message):
    s3.add_response("get_object", answer(body), HERE)
    with pytest.raises(error, match=message) as refused:
        app.lambda_handler(EVENT, None)
    assert str(refused.value).startswith("s3://bucket/inbox/a.png ")


@pytest.mark.parametrize(
    "body",
    [animation(0), animation(1), picture_size(5000, 5000), b"\xff\xd8" + FRAME + SCAN * 100],
    ids=["no frame", "one frame", "25 million pixels", "100 scans"],
)
def test_what_is_just_within_the_limits_goes_through(s3, body):
    s3.add_response("get_object", answer(body), HERE)
    assert app.lambda_handler(EVENT, None)["image_data"]


@pytest.mark.parametrize("body", [b"<html>", b"GIF89a", b"\x89PNG", b"\xff\xd8", b"\0"])
def test_what_is_neither_png_nor_jpeg_is_refused_whatever_its_name(s3, body):
    s3.add_response("get_object", answer(body), HERE)
    with pytest.raises(app.NotAPictureError, match="neither PNG nor JPEG"):
        app.lambda_handler(EVENT, None)


@pytest.mark.parametrize(("body", "media_type"), [(PNG, "image/png"), (JPEG, "image/jpeg")])
def test_type_is_detected_from_the_bytes_and_not_from_the_name(s3, body, media_type):
    s3.add_response("get_object", answer(body), HERE)
    result = app.lambda_handler(EVENT, None)
    assert result["content_type"] == media_type
    assert base64.b64decode(result["image_data"]) == body


@pytest.mark.parity("s3-versions")
def test_every_other_field_passes_through_and_the_version_is_the_one_asked_for(s3):
    event = EVENT | {"s3_version_id": "v1", "image_data": "", "order": {"id": 7}}
    s3.add_response("get_object", answer(PNG), HERE | {"VersionId": "v1"})
    result = app.lambda_handler(event, None)
    assert result == event | {
        "content_type": "image/png",
        "image_data": base64.b64encode(PNG).decode(),
    }
    json.dumps(result)


@pytest.mark.parity("s3-versions", "s3-get-object")
@pytest.mark.parametrize("asked", [{}, {"s3_version_id": ""}])
def test_the_version_that_was_read_goes_on_where_none_was_asked_for(s3, asked):
    s3.add_response("get_object", answer(PNG, VersionId="v2"), HERE)
    assert app.lambda_handler(EVENT | asked, None)["s3_version_id"] == "v2"


@pytest.mark.parity("s3-keys")
@pytest.mark.parametrize("key", ["inbox/a b+c%20d.png", "inbox/Fahrräder/车.png", "inbox/100%.png"])
def test_a_key_is_taken_as_it_is(s3, key):
    s3.add_response("get_object", answer(PNG), {"Bucket": "bucket", "Key": key})
    assert app.lambda_handler(EVENT | {"s3_key": key}, None)["s3_key"] == key


@pytest.mark.parity("states-payload-256-kib", "lambda-6-mb")
def test_the_biggest_picture_that_fits_travels_in_the_state_and_the_next_one_by_reference(s3):
    frame = len(json.dumps(EVENT | {"content_type": "image/png", "image_data": ""}))
    most = (app.MAX_RESULT_BYTES - frame) // 4 * 3  # base64 makes 4 characters of 3 bytes
    for size in (most, most + 1):
        s3.add_response("get_object", answer(PNG.ljust(size, b"\0")), HERE)
    inline, by_reference = (app.lambda_handler(EVENT, None) for _ in range(2))
    assert len(json.dumps(inline)) <= app.MAX_RESULT_BYTES < 262_144
    assert inline["image_data"]
    assert by_reference["image_data"] == ""


@pytest.mark.parity("states-payload-256-kib")
def test_extra_fields_count_towards_the_payload(s3):
    s3.add_response("get_object", answer(PNG.ljust(150_000, b"\0")), HERE)
    result = app.lambda_handler(EVENT | {"notes": "ü" * 40_000}, None)
    assert result["image_data"] == ""


def test_an_input_too_big_to_travel_even_without_the_picture_is_refused(s3):
    s3.add_response("get_object", answer(PNG), HERE)
    with pytest.raises(app.InvalidInputError, match="leave out what is not needed"):
        app.lambda_handler(EVENT | {"notes": "x" * app.MAX_RESULT_BYTES}, None)


def test_half_a_surrogate_pair_is_carried_along(s3):
    s3.add_response("get_object", answer(PNG), HERE)
    assert app.lambda_handler(EVENT | {"notes": "\ud83d"}, None)["notes"] == "\ud83d"


def test_a_picture_of_exactly_6_mib_goes_through(s3):
    s3.add_response("get_object", answer(PNG.ljust(app.MAX_PICTURE_BYTES, b"\0")), HERE)
    assert app.lambda_handler(EVENT, None)["image_data"] == ""


@pytest.mark.parity("lambda-json-logs")
def test_the_log_names_the_picture_and_does_not_hold_it(s3, caplog):
    s3.add_response("get_object", answer(PNG), HERE)
    app.lambda_handler(EVENT, None)
    line = vars(caplog.records[-1])
    expected = ("inbox/a.png", len(PNG), False)
    assert (line["s3_key"], line["bytes"], line["by_reference"]) == expected
    assert base64.b64encode(PNG).decode() not in str(line)


def test_a_failure_is_logged_under_the_executions_id_and_goes_on(s3, caplog):
    s3.add_client_error("get_object", "NoSuchKey", http_status_code=404, expected_params=HERE)
    with pytest.raises(app.PictureNotFoundError):
        app.lambda_handler(EVENT | {"execution_arn": "arn:run-8"}, None)
    assert caplog.records[-1].message == "picture not read"
    assert app.logger.get_correlation_id() == "arn:run-8"
