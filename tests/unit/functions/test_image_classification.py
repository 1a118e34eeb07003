"""Image Classification: every way in which an endpoint fails, and the two shapes of an answer."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, IncompleteReadError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from functions.image_classification import app

PICTURE = b"\x89PNG\r\n\x1a\npicture"
EVENT: dict[str, Any] = {
    "s3_bucket": "bucket",
    "s3_key": "inbox/a.png",
    "content_type": "image/png",
    "image_data": base64.b64encode(PICTURE).decode(),
    "endpoint_name": "vehicles",
    "class_names": [],
    "execution_arn": "arn:aws:states:us-east-1:000000000000:execution:MyStateMachine:run-7",
}
REQUEST = {
    "EndpointName": "vehicles",
    "Body": PICTURE,
    "ContentType": "image/png",
    "Accept": "application/json",
    "InferenceId": "run-7",
}
ANSWER = {"labels": ["bicycle", "motorcycle"], "probabilities": [0.98, 0.02]}
BY_REFERENCE = EVENT | {"image_data": "", "s3_version_id": "v1"}
OBJECT = {"Bucket": "bucket", "Key": "inbox/a.png", "VersionId": "v1"}


def stream(body: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(body), len(body))


@pytest.fixture
def runtime() -> Iterator[Stubber]:
    with Stubber(app.runtime) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def s3() -> Iterator[Stubber]:
    with Stubber(app.s3) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.mark.parity("invoke-busy", "invoke-not-found", "iam-enforcement")
@pytest.mark.parametrize(
    ("code", "message", "status", "error", "says"),
    [
        (
            "ValidationError",
            "Endpoint vehicles of account 1 not found.",
            400,
            app.EndpointNotFoundError,
            "python -m training.create_endpoint",
        ),
        ("ValidationError", "Body is too long", 400, app.EndpointRequestError, "Body is too long"),
        ("ExpiredTokenException", "old", 403, app.EndpointAccessDeniedError, "ExpiredToken"),
        ("UnrecognizedClientException", "who", 403, app.EndpointAccessDeniedError, "who"),
        ("AccessDeniedException", "no", 403, app.EndpointAccessDeniedError, "may not be called"),
        ("ThrottlingException", "Rate exceeded", 400, app.EndpointBusyError, "Rate exceeded"),
        ("ServiceUnavailable", "later", 503, app.EndpointBusyError, "ServiceUnavailable"),
        ("InternalFailure", "oops", 500, app.EndpointBusyError, "oops"),
        ("ModelNotReadyException", "loading", 429, app.EndpointBusyError, "loading"),
    ],
)
def test_what_sagemaker_answers_gets_a_name(runtime, code, message, status, error, says):
    runtime.add_client_error("invoke_endpoint", code, message, status, expected_params=REQUEST)
    with pytest.raises(error, match=says):
        app.lambda_handler(EVENT, None)


@pytest.mark.parity("invoke-model-error")
@pytest.mark.parametrize(
    ("container_status", "error"),
    [
        (400, app.PictureRefusedError),
        (413, app.PictureRefusedError),
        (415, app.PictureRefusedError),
        (429, app.EndpointBusyError),
        (500, app.EndpointBusyError),
        (503, app.EndpointBusyError),
    ],
)
def test_what_the_container_answers_gets_a_name_and_keeps_its_words(runtime, container_status, error):
    runtime.add_client_error(
        "invoke_endpoint",
        "ModelError",
        "Received error from primary",
        424,
        modeled_fields={"OriginalStatusCode": container_status, "OriginalMessage": "its words"},
    )
    with pytest.raises(error, match=f"({container_status}).*its words"):
        app.lambda_handler(EVENT, None)


@pytest.mark.parity("invoke-60-seconds")
@pytest.mark.parametrize(
    "broken",
    [
        ConnectTimeoutError(endpoint_url="e"),
        ReadTimeoutError(endpoint_url="e"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
    ],
)
def test_an_endpoint_that_does_not_answer_is_busy(monkeypatch, broken):
    def invoke_endpoint(**_: object) -> None:
        raise broken

    monkeypatch.setattr(app.runtime, "invoke_endpoint", invoke_endpoint)
    with pytest.raises(app.EndpointBusyError, match="vehicles did not answer"):
        app.lambda_handler(EVENT, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b'"bicycle"',
        b"[]",
        b"[0.9]",
        b"[0.9, 0.2]",
        b"[0.5, 0.498]",
        b"[NaN, 1.0]",
        b"[Infinity, 0]",
        b"[1.5, -0.5]",
        b"[true, false]",
        b"[" + b"9" * 400 + b", 0]",
        b"[" * 100_000,
        b'["0.9", "0.1"]',
        b"[[0.9, 0.1]]",
        b'{"probabilities": [0.9, 0.1]}',
        b'{"labels": ["a", "b"]}',
        b'{"labels": "ab", "probabilities": [0.9, 0.1]}',
        b'{"labels": [1, 2], "probabilities": [0.9, 0.1]}',
        b'{"labels": ["", "b"], "probabilities": [0.9, 0.1]}',
        b'{"labels": ["a", " "], "probabilities": [0.9, 0.1]}',
        b'{"labels": ["a", "b"], "probabilities": {"a": 1}}',
    ],
)
def test_an_answer_that_is_not_named_probabilities_is_refused(body):
    with pytest.raises(app.InvalidAnswerError):
        app.read_answer(body, ["bicycle", "motorcycle"])


@pytest.mark.parametrize(
    ("body", "class_names"),
    [
        (b"[0.5, 0.3, 0.2]", ["bicycle", "motorcycle"]),
        (b"[0.9, 0.1]", []),
        (b"[0.9, 0.1]", ["bicycle", "bicycle"]),
        (b'{"labels": ["a"], "probabilities": [0.9, 0.1]}', ["bicycle", "motorcycle"]),
        (b'{"labels": ["a", "a", "b"], "probabilities": [0.9, 0.1]}', []),
    ],
)
def test_a_count_that_does_not_match_is_an_error_and_never_a_guess(body, class_names):
    with pytest.raises(app.ClassCountMismatchError, match="ClassNames"):
        app.read_answer(body, class_names)


@pytest.mark.parametrize(
    "event",
    [
        {k: v for k, v in EVENT.items() if k != "endpoint_name"},
        {k: v for k, v in EVENT.items() if k != "content_type"},
        {k: v for k, v in EVENT.items() if k != "image_data"},
        EVENT | {"image_data": "not base64!"},
        EVENT | {"image_data": 7},
        EVENT | {"image_data": "ä"},
        EVENT | {"endpoint_name": 7},
        EVENT | {"content_type": None},
        BY_REFERENCE | {"s3_bucket": "no bucket!"},
        ["endpoint_name", "content_type"],
        {k: v for k, v in BY_REFERENCE.items() if k != "s3_key"},
    ],
)
def test_an_event_without_what_it_needs_is_refused(event):
    with pytest.raises(app.InvalidInputError):
        app.lambda_handler(event, None)


@pytest.mark.parity("s3-missing", "s3-busy", "s3-missing-without-list")
@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchKey", 404, app.PictureNotFoundError),
        ("NoSuchVersion", 404, app.PictureNotFoundError),
        ("MethodNotAllowed", 405, app.PictureNotFoundError),
        ("AccessDenied", 403, app.PictureAccessDeniedError),
        ("InvalidObjectState", 403, app.InvalidInputError),
        ("KMS.DisabledException", 400, app.InvalidInputError),
        ("SlowDown", 503, app.PictureStoreUnavailableError),
    ],
)
def test_a_reference_that_cannot_be_read_is_named(s3, code, status, error):
    s3.add_client_error("get_object", code, http_status_code=status, expected_params=OBJECT)
    with pytest.raises(error, match=r"s3://bucket/inbox/a\.png"):
        app.lambda_handler(BY_REFERENCE, None)


def test_a_reference_to_an_object_over_the_limit_is_refused_before_it_is_read(s3):
    body = io.BytesIO(b"x")
    length = app.MAX_PICTURE_BYTES + 1
    s3.add_response("get_object", {"Body": StreamingBody(body, length), "ContentLength": length}, OBJECT)
    with pytest.raises(app.InvalidInputError, match="6,291,457 bytes"):
        app.lambda_handler(BY_REFERENCE, None)
    assert body.tell() == 0


def test_the_endpoints_own_names_go_with_its_probabilities_and_the_picture_is_dropped(runtime):
    runtime.add_response("invoke_endpoint", {"Body": stream(json.dumps(ANSWER).encode())}, REQUEST)
    event = EVENT | {"class_names": ["motorcycle", "bicycle"], "order": 7}
    result = app.lambda_handler(event, None)
    rest = {name: value for name, value in event.items() if name != "image_data"}
    assert result == rest | {"inferences": [0.98, 0.02], "class_names": ["bicycle", "motorcycle"]}


@pytest.mark.parity("invoke-bare-list")
def test_a_bare_list_is_named_by_the_class_names_of_the_deployment(runtime):
    body = b"[0.8227921724319458, 0.1772077977657318]"  # as SageMaker's built-in algorithm answers
    runtime.add_response("invoke_endpoint", {"Body": stream(body)}, REQUEST)
    result = app.lambda_handler(EVENT | {"class_names": ["bicycle", "motorcycle"]}, None)
    assert result["class_names"] == ["bicycle", "motorcycle"]
    assert result["inferences"] == [0.8227921724319458, 0.1772077977657318]


@pytest.mark.parity("s3-get-object", "s3-versions")
def test_a_picture_that_went_by_reference_is_read_again_in_its_version(runtime, s3):
    body = {"Body": stream(PICTURE), "ContentLength": len(PICTURE)}
    s3.add_response("get_object", body, OBJECT)
    runtime.add_response("invoke_endpoint", {"Body": stream(json.dumps(ANSWER).encode())}, REQUEST)
    assert app.lambda_handler(BY_REFERENCE, None)["inferences"] == [0.98, 0.02]


@pytest.mark.parity("invoke-request")
@pytest.mark.parametrize(
    ("arn", "inference_id"),
    [
        ("arn:aws:states:x:0:execution:m:" + "n" * 80, "n" * 64),
        ("arn:aws:states:x:0:execution:m:Fahrräder", "Fahrr?der"),
        ("", "-"),
    ],
)
def test_the_execution_has_a_name_that_data_capture_can_keep(arn, inference_id):
    assert app.execution_name({"execution_arn": arn}) == inference_id


def test_no_execution_is_no_name():
    assert app.execution_name({}) == "-"


def test_the_log_has_the_answer_and_not_the_picture(runtime, caplog):
    runtime.add_response("invoke_endpoint", {"Body": stream(json.dumps(ANSWER).encode())}, REQUEST)
    app.lambda_handler(EVENT, None)
    line = vars(caplog.records[-1])
    assert (line["endpoint_name"], line["inferences"]) == ("vehicles", [0.98, 0.02])
    assert app.logger.get_correlation_id() == EVENT["execution_arn"]
    assert EVENT["image_data"] not in str(line)


def test_a_failure_is_logged_under_the_executions_id_without_the_picture(runtime, caplog):
    runtime.add_client_error("invoke_endpoint", "ThrottlingException", "slow", 400, expected_params=REQUEST)
    with pytest.raises(app.EndpointBusyError):
        app.lambda_handler(EVENT, None)
    line = vars(caplog.records[-1])
    assert line["message"] == "picture not classified"
    assert app.logger.get_correlation_id() == EVENT["execution_arn"]
    assert EVENT["image_data"] not in str(line)


@pytest.mark.parametrize("event", [None, [], "picture", 7])
def test_an_event_that_is_no_object_is_refused(event):
    with pytest.raises(app.InvalidInputError, match="must be an object"):
        app.lambda_handler(event, None)
