"""Image Classification: the errors of the endpoint, and the two forms of an answer."""

import base64
import json
from typing import Any

import pytest

from functions.image_classification import app
from tests.unit.functions.conftest import s3_object

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


def without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != name}


@pytest.fixture
def runtime(stub):
    return stub(app.runtime)


@pytest.fixture
def s3(stub):
    return stub(app.s3)


def add_answer(runtime, body: bytes = json.dumps(ANSWER).encode()) -> None:
    runtime.add_response("invoke_endpoint", {"Body": s3_object(body)["Body"]}, REQUEST)


@pytest.mark.parity("invoke-busy", "invoke-not-found", "iam-enforcement")
@pytest.mark.parametrize(
    ("code", "message", "status", "error", "says"),
    [
        ("ValidationError", "Endpoint v of account 1 not found.", 400, app.EndpointNotFoundError, "create_endpoint"),
        ("ValidationError", "Body is too long", 400, app.EndpointRequestError, "Body is too long"),
        ("ExpiredTokenException", "old", 403, app.EndpointAccessDeniedError, "ExpiredToken"),
        ("UnrecognizedClientException", "who", 403, app.EndpointAccessDeniedError, "who"),
        ("AccessDeniedException", "no", 403, app.EndpointAccessDeniedError, "may not be invoked"),
        ("ThrottlingException", "Rate exceeded", 400, app.EndpointBusyError, "Rate exceeded"),
        ("ServiceUnavailable", "later", 503, app.EndpointBusyError, "ServiceUnavailable"),
        ("InternalFailure", "oops", 500, app.EndpointBusyError, "oops"),
        ("ModelNotReadyException", "loading", 429, app.EndpointBusyError, "loading"),
    ],
)
def test_error_of_sagemaker_raises_a_named_error(runtime, code, message, status, error, says):
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
def test_error_of_the_container_raises_a_named_error_with_its_message(runtime, container_status, error):
    runtime.add_client_error(
        "invoke_endpoint",
        "ModelError",
        "Received error from primary",
        424,
        modeled_fields={"OriginalStatusCode": container_status, "OriginalMessage": "its words"},
    )
    with pytest.raises(error, match=f"({container_status}).*its words"):
        app.lambda_handler(EVENT, None)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"null", b'"bicycle"', b"[]", b"[0.9]", b"[0.9, 0.2]", b"[0.5, 0.498]", b"[NaN, 1.0]"),
        *(b"[Infinity, 0]", b"[1.5, -0.5]", b"[true, false]", b'["0.9", "0.1"]', b"[[0.9, 0.1]]"),
        b"[" + b"9" * 400 + b", 0]",
        b"[" * 100_000,
        b'{"probabilities": [0.9, 0.1]}',
        b'{"labels": ["a", "b"]}',
        b'{"labels": "ab", "probabilities": [0.9, 0.1]}',
        b'{"labels": [1, 2], "probabilities": [0.9, 0.1]}',
        b'{"labels": ["", "b"], "probabilities": [0.9, 0.1]}',
        b'{"labels": ["a", " "], "probabilities": [0.9, 0.1]}',
        b'{"labels": ["a", "b"], "probabilities": {"a": 1}}',
    ],
)
def test_answer_without_named_probabilities_is_an_error(body):
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
def test_different_counts_of_names_and_probabilities_are_an_error(body, class_names):
    with pytest.raises(app.ClassCountMismatchError, match="ClassNames"):
        app.read_answer(body, class_names)


@pytest.mark.parametrize(
    "event",
    [
        without(EVENT, "endpoint_name"),
        without(EVENT, "content_type"),
        without(EVENT, "image_data"),
        EVENT | {"image_data": "not base64!"},
        EVENT | {"image_data": 7},
        EVENT | {"image_data": "ä"},
        EVENT | {"endpoint_name": 7},
        EVENT | {"content_type": None},
        BY_REFERENCE | {"s3_bucket": "no bucket!"},
        without(BY_REFERENCE, "s3_key"),
    ],
)
def test_event_with_a_missing_or_invalid_field_is_an_error(event):
    with pytest.raises(app.InvalidInputError):
        app.lambda_handler(event, None)


def test_result_has_the_endpoints_class_names_and_no_picture(runtime):
    add_answer(runtime)
    event = EVENT | {"class_names": ["motorcycle", "bicycle"], "order": 7}
    result = app.lambda_handler(event, None)
    assert result == without(event, "image_data") | {
        "inferences": [0.98, 0.02],
        "class_names": ["bicycle", "motorcycle"],
    }


@pytest.mark.parity("invoke-bare-list")
def test_bare_list_gets_the_class_names_of_the_deployment(runtime):
    add_answer(runtime, b"[0.8227921724319458, 0.1772077977657318]")  # as SageMaker's built-in algorithm answers
    result = app.lambda_handler(EVENT | {"class_names": ["bicycle", "motorcycle"]}, None)
    assert result["class_names"] == ["bicycle", "motorcycle"]
    assert result["inferences"] == [0.8227921724319458, 0.1772077977657318]


@pytest.mark.parity("s3-get-object", "s3-versions")
def test_picture_by_reference_is_read_from_s3_in_its_version(runtime, s3):
    s3.add_response("get_object", s3_object(PICTURE), OBJECT)
    add_answer(runtime)
    assert app.lambda_handler(BY_REFERENCE, None)["inferences"] == [0.98, 0.02]


@pytest.mark.parity("invoke-request")
@pytest.mark.parametrize(
    ("event", "inference_id"),
    [
        ({"execution_arn": "arn:aws:states:x:0:execution:m:" + "n" * 80}, "n" * 64),
        ({"execution_arn": "arn:aws:states:x:0:execution:m:Fahrräder"}, "Fahrr?der"),
        ({"execution_arn": ""}, "-"),
        ({}, "-"),
    ],
)
def test_execution_name_is_a_valid_inference_id(event, inference_id):
    assert app.execution_name(event) == inference_id


def test_log_has_the_answer_and_not_the_picture(runtime, caplog):
    add_answer(runtime)
    app.lambda_handler(EVENT, None)
    line = vars(caplog.records[-1])
    assert (line["endpoint_name"], line["inferences"]) == ("vehicles", [0.98, 0.02])
    assert app.logger.get_correlation_id() == EVENT["execution_arn"]
    assert EVENT["image_data"] not in str(line)
