"""Waiting for the captures of a run: all lines of all files, for so long and no longer."""

import io

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from demo import captures as demo_captures
from demo.captures import CapturesMissingError, wait_for_captures

PREFIX = "captures/e/"


@pytest.fixture
def s3(monkeypatch):
    monkeypatch.setattr(demo_captures, "POLL_SECONDS", 0)
    client = boto3.client("s3", region_name="us-east-1")
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


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


def test_more_calls_than_expected_are_enough(s3):
    client, stub = s3
    listed(stub, f"{PREFIX}1.jsonl")
    read(stub, f"{PREFIX}1.jsonl", b"{}\n{}\n")
    wait_for_captures(client, "b", PREFIX, 1, 60)


def test_calls_that_never_come_are_an_error_with_their_count(s3):
    client, stub = s3
    listed(stub, f"{PREFIX}1.jsonl")
    read(stub, f"{PREFIX}1.jsonl", b"{}\n{}\n")
    with pytest.raises(CapturesMissingError, match=r"s3://b/captures/e/ holds 2 of 3 calls"):
        wait_for_captures(client, "b", PREFIX, 3, -1)
