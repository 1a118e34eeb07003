import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from ministack.services import stepfunctions as sfn

from local.ministack import execution_limits
from local.ministack.execution_limits import _seconds


@pytest.mark.parity("states-express-5-minutes")
@pytest.mark.parametrize(
    ("kind", "members", "seconds"),
    [
        ("STANDARD", {}, None),
        ("STANDARD", {"TimeoutSeconds": 900}, 900),
        ("EXPRESS", {}, 300),
        ("EXPRESS", {"TimeoutSeconds": 240}, 240),
        ("EXPRESS", {"TimeoutSeconds": 900}, 300),
    ],
)
def test_limit_depends_on_type_and_timeout(kind, members, seconds):
    assert _seconds({"type": kind, "definition": json.dumps(members)}) == seconds


def test_limit_of_missing_or_invalid_machine_is_none():
    assert _seconds(None) is None
    assert _seconds({"type": "EXPRESS", "definition": "{"}) is None


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch, install_for_test: Any) -> list[str]:
    """The statuses of the emitted events, with the patches installed."""
    statuses: list[str] = []
    monkeypatch.setattr(sfn, "_emit_execution_status_event", lambda execution: statuses.append(execution["status"]))
    install_for_test(execution_limits.patches)
    return statuses


def started(monkeypatch: pytest.MonkeyPatch, **members: Any) -> str:
    """Add an execution of one Succeed state and return its ARN."""
    definition = {"StartAt": "S", "States": {"S": {"Type": "Succeed"}}} | members
    machine = {"name": "m", "type": "STANDARD", "definition": json.dumps(definition)}
    execution = {
        "executionArn": "arn:execution",
        "stateMachineArn": "arn:machine",
        "name": "e",
        "status": "RUNNING",
        "startDate": "2026-01-01T00:00:00.000Z",
        "input": "{}",
        "events": [],
    }
    monkeypatch.setitem(sfn._state_machines, "arn:machine", machine)
    monkeypatch.setitem(sfn._executions, "arn:execution", execution)
    return "arn:execution"


def test_run_missing_execution_does_nothing(emitted):
    sfn._run_execution("arn:gone")
    assert emitted == []


def test_success_after_time_out_keeps_timed_out(monkeypatch, emitted):
    """The time is up after MiniStack has checked the status and before it writes SUCCEEDED."""
    arn = started(monkeypatch, TimeoutSeconds=0.4)
    texts: list[str] = []
    timed_out = threading.Event()

    def dumps(value: Any) -> str:
        texts.append(json.dumps(value))
        if len(texts) == 3:  # after the check, before the change
            assert timed_out.wait(60)
        return texts[-1]

    before = set(threading.enumerate())
    fake = SimpleNamespace(dumps=dumps, loads=json.loads, JSONDecodeError=json.JSONDecodeError)
    monkeypatch.setattr(sfn, "json", fake)
    sfn._run_execution(arn)
    [work] = set(threading.enumerate()) - before
    assert emitted == ["TIMED_OUT"]
    timed_out.set()
    work.join(60)
    assert (len(texts), emitted) == (3, ["TIMED_OUT"])
    execution = sfn._executions[arn]
    assert (execution["status"], execution.get("output")) == ("TIMED_OUT", None)


def test_stop_while_execution_ends_is_rejected(monkeypatch, emitted):
    arn = started(monkeypatch)
    sfn._run_execution(arn)

    def now_iso() -> str:  # called between MiniStack's check and its change
        dict.__setitem__(sfn._executions[arn], "status", "SUCCEEDED")
        return "2026-01-01T00:00:01.000Z"

    dict.__setitem__(sfn._executions[arn], "status", "RUNNING")
    monkeypatch.setattr(sfn, "now_iso", now_iso)
    status, _, body = sfn._stop_execution({"executionArn": arn})
    assert (status, json.loads(body)["message"]) == (400, "Execution is not running")
    assert (sfn._executions[arn]["status"], emitted) == ("SUCCEEDED", ["SUCCEEDED"])
