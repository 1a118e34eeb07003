"""A soak run: its readers of AWS, and the violated guarantees in its errors."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from common.predictions import PredictionKey
from demo import soak
from demo.session import CommandFailedError
from demo.soak_audit import audit
from tests.unit.aws_stubs import StubbedSession

URL = "http://127.0.0.1/queue"
REQUEST = {"QueueUrl": URL, "MaxNumberOfMessages": 10}
DELETED = {"QueueUrl": URL, "Entries": [{"Id": "0", "ReceiptHandle": "r"}]}
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:workflow"


class Session(StubbedSession):
    """A session whose commands succeed, or raise an error."""

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(quiet=True)
        self.error: Exception | None = None

    def run(self, *_: str) -> None:
        if self.error:
            raise self.error


@pytest.fixture
def session():
    return Session()


@pytest.mark.parametrize("refused", [False, True])
def test_queue_is_drained_unless_sqs_keeps_a_message(session, refused):
    stub = session.stub("sqs")
    stub.add_response("receive_message", {"Messages": [{"Body": '{"s3_key": "a"}', "ReceiptHandle": "r"}]}, REQUEST)
    failed = {"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}
    answer = {"Successful": [] if refused else [{"Id": "0"}], "Failed": [failed] if refused else []}
    stub.add_response("delete_message_batch", answer, DELETED)
    if refused:
        with pytest.raises(soak.QueueError, match="ReceiptHandleIsInvalid"):
            list(soak.drain(session, URL))
    else:
        stub.add_response("receive_message", {}, REQUEST)
        assert list(soak.drain(session, URL)) == [{"s3_key": "a"}]


def test_every_version_on_every_page_of_the_inbox_counts(session):
    request = {"Bucket": "b", "Prefix": "inbox/"}
    first = {"Versions": [{"Key": "inbox/a", "VersionId": "1"}], "IsTruncated": True}
    marks = {"NextKeyMarker": "inbox/a", "NextVersionIdMarker": "1"}
    session.stub("s3").add_response("list_object_versions", first | marks, request)
    second = {"Versions": [{"Key": "inbox/a", "VersionId": "2"}], "IsTruncated": False}
    more = {"KeyMarker": "inbox/a", "VersionIdMarker": "1"}
    session.stub("s3").add_response("list_object_versions", second, request | more)
    assert soak.versions(session, "b") == {PredictionKey("s3://b/inbox/a", version) for version in "12"}


def arguments(wait: float) -> argparse.Namespace:
    return argparse.Namespace(pictures=2, rate=1.0, wait=wait)


def listed(name: str, status: str) -> dict[str, Any]:
    return {"executionArn": name * 10, "stateMachineArn": MACHINE, "name": name, "status": status, "startDate": 0}


def test_each_event_has_its_execution(session, monkeypatch):
    """GIVEN one event that was sent twice, THEN the second execution is waited for."""
    monkeypatch.setattr(soak, "control", lambda *_: {"events": 1, "sent_twice": 1})
    monkeypatch.setattr("demo.outcomes.POLL_SECONDS", 0)
    stub = session.stub("stepfunctions")
    for executions in (["SUCCEEDED"], ["SUCCEEDED", "RUNNING"], ["SUCCEEDED", "FAILED"]):
        found = [listed(str(number), status) for number, status in enumerate(executions)]
        stub.add_response("list_executions", {"executions": found})
    assert soak.send(session, Path("staged"), MACHINE, arguments(wait=60.0)) == ["0" * 10, "1" * 10]


@pytest.mark.parametrize(
    ("error", "promise"),
    [
        (None, r'"every execution ends": after 0 s 1 of 2 executions had started and 1 had ended.*--wait'),
        (CommandFailedError("ended with status 1"), '"every picture is uploaded": ended with status 1.*sent.json'),
    ],
)
def test_run_that_does_not_finish_names_the_broken_promise(session, monkeypatch, error, promise):
    monkeypatch.setattr(soak, "control", lambda *_: {"events": 2, "sent_twice": 0})
    session.error = error
    if error is None:
        session.stub("stepfunctions").add_response("list_executions", {"executions": [listed("1", "SUCCEEDED")]})
    with pytest.raises(soak.PromiseBrokenError, match=f"broken promise {promise}"):
        soak.send(session, Path("staged"), MACHINE, arguments(wait=0.0))


def test_finished_run_names_the_broken_promises_and_keeps_its_figures(monkeypatch, tmp_path, capsys):
    occurred = dict.fromkeys(
        ("accepted", "review", "failed", "notified", "repeated_executions", "events_sent_twice"), 1
    )
    figures = audit(sent=set(), items={}, reviews=[], notifications=[], executions=[], threshold=0.9) | occurred
    figures |= {"wanted": 0, "lost": 1, "endpoint_calls": 1, "faults": {"slow": 1}}
    monkeypatch.setattr(soak, "REPORT", tmp_path)
    monkeypatch.setattr("demo.session.find_running", lambda _: None)
    monkeypatch.setattr("demo.session.LaptopSession.run", lambda *_, **__: None)
    monkeypatch.setattr(soak, "soak", lambda *_: figures)
    assert soak.main([]) == 1
    shown = capsys.readouterr()
    assert 'soak: broken promise "no picture is lost": 1 pictures are neither' in shown.err
    assert "BROKEN" in shown.out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary["broken_promises"]) == ["no picture is lost"]


@pytest.mark.parametrize("given", [["--pictures", "0"], ["--rate", "-1"], ["--wait", "nan"], ["--port", "x"]])
def test_invalid_numbers_are_refused_before_the_start(given, usage_error):
    assert "is not a" in usage_error(soak.main, given)
