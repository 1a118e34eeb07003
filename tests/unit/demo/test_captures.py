"""Wait for the captured calls of a run."""

import io

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from demo import captures as demo_captures
from demo.captures import CapturesMissingError, wait_for_captures
from tests.unit.aws_stubs import stubbed

PREFIX = "captures/e/"


@pytest.fixture
def s3(monkeypatch):
    monkeypatch.setattr(demo_captures, "POLL_SECONDS", 0)
    return stubbed("s3")


def listed(stub: Stubber, *keys: str) -> None:
    answer = {"Contents": [{"Key": key} for key in keys]} if keys else {}
    stub.add_response("list_objects_v2", answer, {"Bucket": "b", "Prefix": PREFIX})


def read(stub: Stubber, key: str, content: bytes) -> None:
    body = StreamingBody(io.BytesIO(content), len(content))
    stub.add_response("get_object", {"Body": body}, {"Bucket": "b", "Key": key})


def test_files_are_read_once_until_they_hold_all_calls(s3):
    client, stub = s3
    listed(stub)
    listed(stub, f"{PREFIX}1.jsonl")
    read(stub, f"{PREFIX}1.jsonl", b"{}\n{}\n")
    listed(stub, f"{PREFIX}1.jsonl", f"{PREFIX}2.jsonl")
    read(stub, f"{PREFIX}2.jsonl", b"{}")  # a last line without its end counts
    wait_for_captures(client, "b", PREFIX, 3, 60)


def test_missing_calls_are_an_error_and_more_calls_are_not(s3):
    client, stub = s3
    for _ in range(2):
        listed(stub, f"{PREFIX}1.jsonl")
        read(stub, f"{PREFIX}1.jsonl", b"{}\n{}\n")
    wait_for_captures(client, "b", PREFIX, 1, -1)
    with pytest.raises(CapturesMissingError, match=r"s3://b/captures/e/ holds 2 of 3 calls"):
        wait_for_captures(client, "b", PREFIX, 3, -1)
