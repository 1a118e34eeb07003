"""Serialize Image Data: what it refuses, and what it hands on."""

import base64
import io
import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import EndpointConnectionError, IncompleteReadError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from functions.serialize_image_data import app

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
JPEG = b"\xff\xd8\xff\xe0" + b"picture"
EVENT = {"s3_bucket": "bucket", "s3_key": "inbox/a.png"}
HERE = {"Bucket": "bucket", "Key": "inbox/a.png"}


@pytest.fixture
def s3() -> Iterator[Stubber]:
    with Stubber(app.s3) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def answer(body: bytes, **more: str) -> dict[str, object]:
    return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": len(body)} | more


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchKey", 404, app.PictureNotFoundError),
        ("NoSuchVersion", 404, app.PictureNotFoundError),
        ("NoSuchBucket", 404, app.PictureNotFoundError),
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


def test_a_picture_over_the_endpoints_limit_is_refused_before_it_is_read(s3):
    body = io.BytesIO(b"x")
    length = app.MAX_PICTURE_BYTES + 1
    s3.add_response(
        "get_object", {"Body": StreamingBody(body, length), "ContentLength": length}, HERE
    )
    with pytest.raises(app.PictureTooLargeError, match="6,291,457 bytes"):
        app.lambda_handler(EVENT, None)
    assert body.tell() == 0


@pytest.mark.parametrize("body", [b"<html>", b"GIF89a", b"\x89PNG", b"\xff\xd8", b"\0"])
def test_what_is_neither_png_nor_jpeg_is_refused_whatever_its_name(s3, body):
    s3.add_response("get_object", answer(body), HERE)
    with pytest.raises(app.NotAPictureError, match="neither PNG nor JPEG"):
        app.lambda_handler(EVENT, None)


@pytest.mark.parametrize(("body", "media_type"), [(PNG, "image/png"), (JPEG, "image/jpeg")])
def test_the_type_is_told_from_the_bytes_and_not_from_the_name(s3, body, media_type):
    s3.add_response("get_object", answer(body), HERE)
    result = app.lambda_handler(EVENT, None)
    assert result["content_type"] == media_type
    assert base64.b64decode(result["image_data"]) == body


def test_every_other_field_passes_through_and_the_version_is_the_one_asked_for(s3):
    event = EVENT | {"s3_version_id": "v1", "image_data": "", "order": {"id": 7}}
    s3.add_response("get_object", answer(PNG), HERE | {"VersionId": "v1"})
    result = app.lambda_handler(event, None)
    assert result == event | {
        "content_type": "image/png",
        "image_data": base64.b64encode(PNG).decode(),
    }
    json.dumps(result)


@pytest.mark.parametrize("asked", [{}, {"s3_version_id": ""}])
def test_the_version_that_was_read_goes_on_where_none_was_asked_for(s3, asked):
    s3.add_response("get_object", answer(PNG, VersionId="v2"), HERE)
    assert app.lambda_handler(EVENT | asked, None)["s3_version_id"] == "v2"


@pytest.mark.parametrize("key", ["inbox/a b+c%20d.png", "inbox/Fahrräder/车.png", "inbox/100%.png"])
def test_a_key_is_taken_as_it_is(s3, key):
    s3.add_response("get_object", answer(PNG), {"Bucket": "bucket", "Key": key})
    assert app.lambda_handler(EVENT | {"s3_key": key}, None)["s3_key"] == key


def test_the_biggest_picture_that_fits_travels_in_the_state_and_the_next_one_by_reference(s3):
    frame = len(json.dumps(EVENT | {"content_type": "image/png", "image_data": ""}))
    most = (app.MAX_RESULT_BYTES - frame) // 4 * 3  # base64 makes 4 characters of 3 bytes
    for size in (most, most + 1):
        s3.add_response("get_object", answer(PNG.ljust(size, b"\0")), HERE)
    inline, by_reference = (app.lambda_handler(EVENT, None) for _ in range(2))
    assert len(json.dumps(inline)) <= app.MAX_RESULT_BYTES < 262_144
    assert inline["image_data"]
    assert by_reference["image_data"] == ""


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


def test_the_log_names_the_picture_and_does_not_hold_it(s3, caplog):
    s3.add_response("get_object", answer(PNG), HERE)
    app.lambda_handler(EVENT, None)
    line = vars(caplog.records[-1])
    assert (line["s3_key"], line["bytes"], line["by_reference"]) == ("inbox/a.png", 15, False)
    assert base64.b64encode(PNG).decode() not in str(line)
