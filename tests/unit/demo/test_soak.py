"""What a soak run reads from AWS, and when it believes that nothing more will come."""

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console

from demo import soak
from demo.soak_audit import Version

URL = "http://127.0.0.1/queue"
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:workflow"
ARN = "arn:aws:states:us-east-1:000000000000:execution:workflow:"
ASKED = {"QueueUrl": URL, "MaxNumberOfMessages": 10}
DELETED = {"QueueUrl": URL, "Entries": [{"Id": "0", "ReceiptHandle": "r"}]}


class Session:
    """A session with one client, and nowhere to draw."""

    def __init__(self, client: Any) -> None:
        self.console = Console(quiet=True)
        self._client = client

    def client(self, _service: str) -> Any:
        return self._client


def stubbed(service: str) -> tuple[Any, Stubber]:
    client: Any = boto3.client(service, region_name="us-east-1")
    stub = Stubber(client)
    stub.activate()
    return Session(client), stub


def test_a_message_that_cannot_be_deleted_would_be_counted_twice_and_is_an_error():
    session, stub = stubbed("sqs")
    message = {"Body": "{}", "ReceiptHandle": "r"}
    failed = {"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}
    stub.add_response("receive_message", {"Messages": [message]}, ASKED)
    stub.add_response("delete_message_batch", {"Successful": [], "Failed": [failed]}, DELETED)
    with pytest.raises(soak.QueueError, match="ReceiptHandleIsInvalid"):
        list(soak.drain(session, URL))


def test_a_queue_is_drained_to_its_end():
    session, stub = stubbed("sqs")
    message = {"Body": '{"s3_key": "a"}', "ReceiptHandle": "r"}
    stub.add_response("receive_message", {"Messages": [message]}, ASKED)
    done = {"Successful": [{"Id": "0"}], "Failed": []}
    stub.add_response("delete_message_batch", done, DELETED)
    stub.add_response("receive_message", {}, ASKED)
    assert list(soak.drain(session, URL)) == [{"s3_key": "a"}]
    stub.assert_no_pending_responses()


def test_every_version_in_the_inbox_counts_on_every_page():
    session, stub = stubbed("s3")
    asked = {"Bucket": "b", "Prefix": "inbox/"}
    first = {"Versions": [{"Key": "inbox/a", "VersionId": "1"}], "IsTruncated": True}
    marks = {"NextKeyMarker": "inbox/a", "NextVersionIdMarker": "1"}
    stub.add_response("list_object_versions", first | marks, asked)
    more = {"KeyMarker": "inbox/a", "VersionIdMarker": "1"}
    second = {"Versions": [{"Key": "inbox/a", "VersionId": "2"}], "IsTruncated": False}
    stub.add_response("list_object_versions", second, asked | more)
    found = soak.versions(session, "b")
    assert found == [Version("inbox/a", "1"), Version("inbox/a", "2")]


def listed(name: str, status: str) -> dict[str, Any]:
    return {
        "executionArn": ARN + name,
        "stateMachineArn": MACHINE,
        "name": name,
        "status": status,
        "startDate": datetime(2026, 1, 1, tzinfo=UTC),
    }


def test_executions_are_waited_for_until_each_event_has_had_its_own(monkeypatch):
    """One event, sent twice: the second execution begins when the first has long ended."""
    monkeypatch.setattr(soak, "control", lambda *_: {"events": 1, "sent_twice": 1})
    monkeypatch.setattr(soak, "POLL_SECONDS", 0)
    session, stub = stubbed("stepfunctions")
    lists = [
        [listed("1", "SUCCEEDED")],
        [listed("1", "SUCCEEDED"), listed("2", "RUNNING")],
        [listed("1", "SUCCEEDED"), listed("2", "FAILED")],
    ]
    for executions in lists:
        stub.add_response("list_executions", {"executions": executions})
    event = {"bucket": {"name": "b"}, "object": {"key": "inbox/a", "version-id": "1"}}
    for execution in lists[-1]:
        told = execution | {"input": json.dumps(event), "error": "E", "cause": "why"}
        stub.add_response("describe_execution", told)
    found = soak.ended_executions(session, MACHINE, 60)
    assert [(e.picture, e.error) for e in found] == [
        (Version("inbox/a", "1"), ""),
        (Version("inbox/a", "1"), "E"),
    ]
    stub.assert_no_pending_responses()


def test_executions_that_do_not_end_are_an_error(monkeypatch):
    monkeypatch.setattr(soak, "control", lambda *_: {"events": 2, "sent_twice": 0})
    session, stub = stubbed("stepfunctions")
    stub.add_response("list_executions", {"executions": [listed("1", "SUCCEEDED")]})
    with pytest.raises(soak.UnfinishedError, match="1 executions had ended of the 2"):
        soak.ended_executions(session, MACHINE, 0)


@pytest.mark.parametrize("given", [["--pictures", "0"], ["--rate", "-1"], ["--wait", "nan"]])
def test_numbers_that_make_no_sense_are_refused_before_anything_is_started(given, capsys):
    with pytest.raises(SystemExit):
        soak.main(given)
    assert "is not a" in capsys.readouterr().err
