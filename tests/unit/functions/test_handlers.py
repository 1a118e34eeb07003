"""The errors that all functions, or both that read from S3, treat alike."""

import io
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, IncompleteReadError, ReadTimeoutError
from botocore.response import StreamingBody

from functions.filter_low_confidence import app as filter_app
from functions.image_classification import app as classification_app
from functions.serialize_image_data import app as serialize_app

OBJECT = {"Bucket": "bucket", "Key": "inbox/a.png", "VersionId": "v1"}
EVENT: dict[str, Any] = {
    "s3_bucket": "bucket",
    "s3_key": "inbox/a.png",
    "s3_version_id": "v1",
    "content_type": "image/png",
    "image_data": "",  # by reference: Image Classification reads it from S3
    "endpoint_name": "vehicles",
    "execution_arn": "arn:run-8",
}
CONNECTION_ERRORS = [
    ConnectTimeoutError(endpoint_url="e"),
    EndpointConnectionError(endpoint_url="e"),
    ReadTimeoutError(endpoint_url="e"),
    IncompleteReadError(actual_bytes=1, expected_bytes=2),
]
both_readers = pytest.mark.parametrize("app", [serialize_app, classification_app])


def failing_with(error: Exception):
    def call(**_: object) -> None:
        raise error

    return call


@both_readers
@pytest.mark.parity("s3-missing", "s3-busy", "s3-missing-without-list")
@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchKey", 404, "PictureNotFoundError"),
        ("NoSuchVersion", 404, "PictureNotFoundError"),
        ("NoSuchBucket", 404, "PictureNotFoundError"),
        ("MethodNotAllowed", 405, "PictureNotFoundError"),  # a delete marker
        ("AccessDenied", 403, "PictureAccessDeniedError"),
        ("InvalidObjectState", 403, "InvalidInputError"),
        ("InvalidArgument", 400, "InvalidInputError"),
        ("KMS.DisabledException", 400, "InvalidInputError"),
        ("SlowDown", 503, "PictureStoreUnavailableError"),
        ("InternalError", 500, "PictureStoreUnavailableError"),
    ],
)
def test_error_of_s3_raises_a_named_error_with_the_picture(stub, app, code, status, error):
    stub(app.s3).add_client_error("get_object", code, http_status_code=status, expected_params=OBJECT)
    with pytest.raises(getattr(app, error), match=r"s3://bucket/inbox/a\.png"):
        app.lambda_handler(EVENT, None)


@both_readers
@pytest.mark.parity("s3-busy")
@pytest.mark.parametrize("error", CONNECTION_ERRORS)
def test_connection_error_of_s3_raises_the_error_that_is_retried(monkeypatch, app, error):
    monkeypatch.setattr(app.s3, "get_object", failing_with(error))
    with pytest.raises(app.PictureStoreUnavailableError, match=r"s3://bucket/inbox/a\.png"):
        app.lambda_handler(EVENT, None)


@pytest.mark.parity("invoke-60-seconds")
@pytest.mark.parametrize("error", CONNECTION_ERRORS)
def test_connection_error_of_the_endpoint_is_busy(monkeypatch, error):
    monkeypatch.setattr(classification_app.runtime, "invoke_endpoint", failing_with(error))
    with pytest.raises(classification_app.EndpointBusyError, match="vehicles did not answer"):
        classification_app.lambda_handler(EVENT | {"image_data": "cG5n"}, None)


@pytest.mark.parity("s3-get-object", "invoke-request")
@pytest.mark.parametrize(
    ("app", "error"),
    [(serialize_app, serialize_app.PictureTooLargeError), (classification_app, classification_app.InvalidInputError)],
)
def test_object_above_the_endpoints_limit_is_refused_before_it_is_read(stub, app, error):
    body, length = io.BytesIO(b"x"), app.MAX_PICTURE_BYTES + 1
    answer = {"Body": StreamingBody(body, length), "ContentLength": length}
    stub(app.s3).add_response("get_object", answer, OBJECT)
    with pytest.raises(error, match="6,291,457 bytes"):
        app.lambda_handler(EVENT, None)
    assert body.tell() == 0


every_function = pytest.mark.parametrize(
    ("app", "error", "message"),
    [
        (serialize_app, serialize_app.InvalidInputError, "picture not read"),
        (classification_app, classification_app.InvalidInputError, "picture not classified"),
        (filter_app, filter_app.InvalidInferencesError, "picture not decided"),
    ],
)


@every_function
@pytest.mark.parametrize("event", [None, [], "picture", 7])
def test_event_that_is_not_an_object_is_an_error(app, error, message, event):
    with pytest.raises(error, match=r"must be an? (JSON )?object"):
        app.lambda_handler(event, None)


@every_function
def test_failure_is_logged_with_the_execution_and_without_the_picture_and_raised(caplog, app, error, message):
    # Image Classification fails as late as the call of the endpoint.
    event: dict[str, Any] = {"image_data": "cGljdHVyZQ==", "content_type": "image/png", "endpoint_name": 7}
    with pytest.raises(error):
        app.lambda_handler(event | {"threshold": 0.9, "execution_arn": "arn:run-8"}, None)
    line = vars(caplog.records[-1])
    assert line["message"] == message
    assert event["image_data"] not in str(line)
    assert app.logger.get_correlation_id() == "arn:run-8"
