"""The pictures of the review page: upright for browsers, or with the reason why they cannot be shown."""

import io

import pytest
from PIL import Image

from common.s3_picture import S3Picture
from operations.reviewing.page_picture import LONG_SIDE, encode_for_page, read_page_picture
from tests.unit.aws_stubs import SHARED, Body, stubbed
from tests.unit.operations.review_backend import question


def picture(size=(32, 32), kind="PNG", **options):
    stream = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


def turned_photo():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    return picture((64, 48), "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("content", "media_type", "size"),
    [
        (picture(), "image/png", (32, 32)),
        (picture((400, 300), "JPEG"), "image/jpeg", (400, 300)),
        (picture((3000, 1500), "JPEG"), "image/jpeg", (LONG_SIDE, LONG_SIDE // 2)),
        (turned_photo(), "image/png", (48, 64)),
    ],
    ids=["small", "large", "huge", "rotated"],
)
def test_picture_is_encoded_upright_for_browsers(content, media_type, size):
    shown = encode_for_page(content)
    assert (shown.media_type, (shown.width, shown.height), shown.problem) == (media_type, size, "")
    with Image.open(io.BytesIO(shown.content)) as image:
        assert image.size == size


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", picture()[:60]])
def test_file_that_is_not_a_picture_has_a_permanent_problem(content):
    shown = encode_for_page(content)
    assert (shown.content, shown.permanent) == (b"", True)
    assert shown.problem.startswith("It cannot be decoded: ")
    assert "object at 0x" not in shown.problem


def test_version_of_the_question_is_read():
    s3, stub = stubbed("s3")
    content = picture()
    asked = {"Bucket": "pictures", "Key": "inbox/1.png", "VersionId": "v1"}
    stub.add_response("get_object", {"ContentLength": len(content), "Body": Body(content)}, asked)
    assert read_page_picture(s3, question(1).picture).width == 32


@pytest.mark.parametrize(
    ("code", "status", "problem", "permanent"),
    [
        ("NoSuchVersion", 404, "It is gone", True),
        ("NoSuchKey", 404, "It is gone", True),
        ("MethodNotAllowed", 405, "It is gone", True),
        ("AccessDenied", 403, "ask for s3:GetObjectVersion", False),
        ("ExpiredToken", 400, "S3 refuses it (ExpiredToken: log in)", False),
        ("RequestTimeTooSkewed", 403, "S3 refuses it (RequestTimeTooSkewed", False),
        ("InvalidObjectState", 403, "S3 refuses it (InvalidObjectState", False),
    ],
)
def test_picture_that_s3_refuses_has_a_problem(code, status, problem, permanent):
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", code, "log in", http_status_code=status)
    shown = read_page_picture(s3, question().picture)
    assert problem in shown.problem
    assert shown.permanent is permanent


def test_too_large_picture_is_not_read():
    s3, stub = stubbed("s3")
    stub.add_response("get_object", {"ContentLength": 7_000_000, "Body": Body(b"")})
    shown = read_page_picture(s3, question().picture)
    assert ("7,000,000 bytes" in shown.problem, shown.permanent) == (True, True)


def test_invalid_bucket_name_has_a_permanent_problem():
    shown = read_page_picture(SHARED.client("s3"), S3Picture("a b", "k", None))
    assert ("not valid" in shown.problem, shown.permanent) == (True, True)


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("TooManyRequests", 429)])
def test_transient_error_of_s3_is_raised(code, status):
    s3, stub = stubbed("s3")
    stub.add_client_error("get_object", code, http_status_code=status)
    with pytest.raises(s3.exceptions.ClientError, match=code):
        read_page_picture(s3, question().picture)
