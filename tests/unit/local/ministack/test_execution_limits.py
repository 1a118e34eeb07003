import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from ministack.services import stepfunctions as sfn

from local.ministack import execution_limits
from local.ministack.execution_limits import _EndedError, _Execution, _seconds


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
def test_the_limit_of_a_machine(kind: str, members: dict[str, Any], seconds: float | None) -> None:
    assert _seconds({"type": kind, "definition": json.dumps(members)}) == seconds


def test_a_machine_that_is_gone_or_broken_has_none() -> None:
    assert _seconds(None) is None
    assert _seconds({"type": "EXPRESS", "definition": "{"}) is None


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statuses that are told of, with the change installed for one test."""
    statuses: list[str] = []
    for name in ("_run_execution", "_fail_execution", "_stop_execution"):
        monkeypatch.setattr(sfn, name, getattr(sfn, name))  # and back to the original at the end
    monkeypatch.setattr(sfn, "_emit_execution_status_event", lambda execution: statuses.append(execution["status"]))
    execution_limits.install()
    return statuses


def started(monkeypatch: pytest.MonkeyPatch, **members: Any) -> str:
    """Return the ARN of an execution of one Succeed state that waits to be run."""
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


def test_an_execution_that_is_gone_is_not_run(told: list[str]) -> None:
    sfn._run_execution("arn:gone")
    assert told == []


def test_success_that_comes_with_the_time_out_changes_nothing(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    """GIVEN MiniStack has seen RUNNING and is about to write SUCCEEDED WHEN the time is up."""
    arn = started(monkeypatch, TimeoutSeconds=0.4)
    texts: list[str] = []
    timed_out = threading.Event()

    def dumps(value: Any) -> str:
        texts.append(json.dumps(value))
        if len(texts) == 3:  # entered, exited, and the output: after the look, before the change
            assert timed_out.wait(10)
        return texts[-1]

    before = set(threading.enumerate())
    fake = SimpleNamespace(dumps=dumps, loads=json.loads, JSONDecodeError=json.JSONDecodeError)
    monkeypatch.setattr(sfn, "json", fake)
    sfn._run_execution(arn)
    [work] = set(threading.enumerate()) - before
    assert told == ["TIMED_OUT"]
    timed_out.set()
    work.join(10)
    assert (len(texts), told) == (3, ["TIMED_OUT"])
    execution = sfn._executions[arn]
    assert (execution["status"], execution.get("output")) == ("TIMED_OUT", None)


def test_a_stop_that_comes_with_the_end_is_refused(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    arn = started(monkeypatch)
    sfn._run_execution(arn)

    def now_iso() -> str:  # what MiniStack asks for between its look and its change
        dict.__setitem__(sfn._executions[arn], "status", "SUCCEEDED")
        return "2026-01-01T00:00:01.000Z"

    dict.__setitem__(sfn._executions[arn], "status", "RUNNING")
    monkeypatch.setattr(sfn, "now_iso", now_iso)
    status, _, body = sfn._stop_execution({"executionArn": arn})
    assert (status, json.loads(body)["message"]) == (400, "Execution is not running")
    assert (sfn._executions[arn]["status"], told) == ("SUCCEEDED", ["SUCCEEDED"])


def test_the_first_end_of_an_execution_is_its_only_one() -> None:
    execution = _Execution(status="RUNNING")
    execution["status"] = "TIMED_OUT"
    with pytest.raises(_EndedError, match="TIMED_OUT already"):
        execution["status"] = "SUCCEEDED"
    assert execution["status"] == "TIMED_OUT"
