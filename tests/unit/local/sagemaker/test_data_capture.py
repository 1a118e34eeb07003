import json
import re
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from common.settings import ROOT
from local.sagemaker.data_capture import CapturedInvocation, DataCapture, capture_line
from tests.unit.aws_stubs import stub_client
from tests.unit.local.sagemaker.fake_s3 import FakeS3

CONFIG: dict[str, Any] = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://b/captures/",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"], "CsvContentTypes": ["text/csv"]},
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


@pytest.mark.parametrize(
    ("mode", "sides"),
    [
        ("Input", ["endpointInput"]),
        ("Output", ["endpointOutput"]),
        ("InputAndOutput", ["endpointInput", "endpointOutput"]),
    ],
)
def test_line_has_only_the_configured_sides(mode, sides):
    assert list(captured_line(CaptureOptions=[{"CaptureMode": mode}])["captureData"]) == sides


@pytest.mark.parity("endpoint-capture")
@pytest.mark.parametrize(
    ("declared", "content_type", "body", "encoding", "data"),
    [
        ({"JsonContentTypes": ["a/json"]}, "a/json; charset=utf-8", b'{"a": "\xc3\xa9"}', "JSON", '{"a": "é"}'),
        ({"CsvContentTypes": ["text/csv"]}, "text/csv", b"1", "CSV", "1"),
        ({"CsvContentTypes": ["text/csv"]}, "text/csv", b"\xff", "BASE64", "/w=="),
        ({}, "text/csv", b"1", "BASE64", "MQ=="),
    ],
    ids=["declared JSON", "declared CSV", "invalid text", "not declared"],
)
def test_line_encodes_declared_text_as_text(declared, content_type, body, encoding, data):
    call = CapturedInvocation(b"", "image/png", body, content_type, CALL.time)
    assert captured_line(call, CaptureContentTypeHeader=declared)["captureData"]["endpointOutput"] == {
        "observedContentType": content_type,
        "mode": "OUTPUT",
        "data": data,
        "encoding": encoding,
    }


def test_line_has_inference_id_and_custom_attributes():
    call = CapturedInvocation(b"", "image/png", b"", "a/b", CALL.time, "id-1", "colour=red")
    metadata = captured_line(call)["eventMetadata"]
    assert (metadata["inferenceId"], metadata["customAttributes"]) == ("id-1", ["colour=red"])


@pytest.mark.parity("endpoint-capture")
@pytest.mark.skipif(not REAL.is_dir(), reason="captures of a real endpoint are not available")
def test_line_has_the_structure_of_a_real_endpoints():
    lines = [text for path in REAL.rglob("*.jsonl") for text in path.read_text().splitlines()]
    assert lines, f"{REAL} holds no captures"
    for real in lines:
        assert structure(json.loads(real)) == structure(captured_line())


def test_flush_writes_the_sampled_calls_once():
    chances = iter([0.19, 0.2, 0.99])
    s3 = FakeS3()
    capture = DataCapture(CONFIG | {"InitialSamplingPercentage": 20}, "scones", s3, lambda: next(chances))
    for _ in range(3):
        capture.record("AllTraffic", CALL)
    capture.flush()
    capture.flush()  # nothing is waiting
    [(key, body)] = s3.objects.items()
    assert re.fullmatch(r"captures/scones/AllTraffic/2026/03/04/05/\d\d-\d\d-\d{3}-[0-9a-f-]{36}\.jsonl", key)
    assert len(body.splitlines()) == 1


def test_flush_to_missing_bucket_is_logged(caplog):
    s3 = boto3.client("s3", region_name="us-east-1")
    capture = DataCapture(CONFIG, "scones", s3)
    capture.record("AllTraffic", CALL)
    stub_client(s3).add_client_error("put_object", "NoSuchBucket", "The bucket is gone", 404)
    capture.flush()
    assert "Data capture to s3://b/captures/scones" in caplog.text
