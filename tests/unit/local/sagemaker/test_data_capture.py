import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from common.settings import ROOT
from local.sagemaker.data_capture import CapturedInvocation, DataCapture, capture_line

CONFIG: dict[str, Any] = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://bucket/captures/",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {
        "JsonContentTypes": ["application/json"],
        "CsvContentTypes": ["text/csv"],
    },
}
CALL = CapturedInvocation(
    request_body=b"\x89PNG",
    request_type="image/png",
    answer_body='{"labels": ["é"]}'.encode(),
    answer_type="application/json; charset=utf-8",
    time=datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC),
)
REAL = ROOT.parent / "shared" / "data" / "data-capture"


def captured_line(call: CapturedInvocation = CALL, **changes: Any) -> Any:
    return json.loads(capture_line(CONFIG | changes, call))


def structure(value: Any) -> Any:
    """Return the keys of nested objects, in their order."""
    if isinstance(value, dict):
        return [(key, structure(member)) for key, member in value.items()]
    return type(value).__name__


def test_line_has_request_and_response() -> None:
    captured = captured_line()
    assert captured["captureData"] == {
        "endpointInput": {
            "observedContentType": "image/png",
            "mode": "INPUT",
            "data": "iVBORw==",
            "encoding": "BASE64",
        },
        "endpointOutput": {
            "observedContentType": "application/json; charset=utf-8",
            "mode": "OUTPUT",
            "data": '{"labels": ["é"]}',
            "encoding": "JSON",
        },
    }
    assert captured["eventMetadata"]["inferenceTime"] == "2026-03-04T05:06:07Z"
    assert captured["eventVersion"] == "0"


@pytest.mark.parametrize(
    ("mode", "sides"),
    [
        ("Input", ["endpointInput"]),
        ("Output", ["endpointOutput"]),
        ("InputAndOutput", ["endpointInput", "endpointOutput"]),
    ],
)
def test_line_has_only_the_configured_sides(mode: str, sides: list[str]) -> None:
    assert list(captured_line(CaptureOptions=[{"CaptureMode": mode}])["captureData"]) == sides


@pytest.mark.parity("endpoint-capture")
def test_line_of_undeclared_content_type_is_base64() -> None:
    output = captured_line(CaptureContentTypeHeader={})["captureData"]["endpointOutput"]
    assert output["encoding"] == "BASE64"
    assert base64.b64decode(output["data"]) == CALL.answer_body


def test_line_of_invalid_text_is_base64() -> None:
    call = CapturedInvocation(b"\xff", "text/csv", b"1", "text/csv", CALL.time)
    captured = captured_line(call)["captureData"]
    assert (captured["endpointInput"]["encoding"], captured["endpointInput"]["data"]) == (
        "BASE64",
        "/w==",
    )
    assert (captured["endpointOutput"]["encoding"], captured["endpointOutput"]["data"]) == (
        "CSV",
        "1",
    )


def test_line_has_inference_id_and_custom_attributes() -> None:
    call = CapturedInvocation(b"", "image/png", b"", "a/b", CALL.time, "id-1", "colour=red")
    metadata = captured_line(call)["eventMetadata"]
    assert (metadata["inferenceId"], metadata["customAttributes"]) == ("id-1", ["colour=red"])


@pytest.mark.parity("endpoint-capture")
@pytest.mark.skipif(not REAL.is_dir(), reason="captures of a real endpoint are not available")
def test_line_has_the_structure_of_a_real_endpoints() -> None:
    lines = [text for path in REAL.rglob("*.jsonl") for text in path.read_text().splitlines()]
    assert lines, f"{REAL} holds no captures"
    for real in lines:
        assert structure(json.loads(real)) == structure(captured_line())


def test_flush_writes_the_sampled_calls_once() -> None:
    chances = iter([0.19, 0.2, 0.99])
    s3 = boto3.client("s3", region_name="us-east-1")
    capture = DataCapture(CONFIG | {"InitialSamplingPercentage": 20}, "scones", s3, lambda: next(chances))
    for _ in range(3):
        capture.record("AllTraffic", CALL)
    with Stubber(s3) as stub:
        sent: dict[str, Any] = {}
        s3.meta.events.register("before-parameter-build.s3.PutObject", lambda params, **_: sent.update(params))
        stub.add_response("put_object", {}, {"Bucket": "bucket", "Key": ANY, "Body": ANY})
        capture.flush()
        capture.flush()  # nothing is waiting: no second call
        stub.assert_no_pending_responses()
    assert sent["Key"].startswith("captures/scones/AllTraffic/2026/03/04/05/")
    assert re.search(r"/\d\d-\d\d-\d{3}-[0-9a-f-]{36}\.jsonl$", sent["Key"])
    assert len(sent["Body"].splitlines()) == 1


def test_flush_to_missing_bucket_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    capture = DataCapture(CONFIG, "scones", s3)
    capture.record("AllTraffic", CALL)
    with Stubber(s3) as stub:
        stub.add_client_error("put_object", "NoSuchBucket", "The bucket is gone", 404)
        capture.flush()
        stub.assert_no_pending_responses()
    assert "Data capture to s3://bucket/captures/scones" in caplog.text
