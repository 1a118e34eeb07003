"""Builders of execution paths, and of the histories that paths are read from."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.stub import Stubber

from common.settings import ROOT
from operations.workflow_drawing import ExecutionPath, read_definition, read_path
from operations.workflow_drawing.execution import Failure, Step
from tests.unit.aws_stubs import stubbed

FILES = sorted((ROOT / "statemachine").glob("*.asl.json"))
DEFINITIONS = {path.name.split(".")[0]: read_definition(path) for path in FILES}
SINGLE, BATCH = DEFINITIONS["MyStateMachine"], DEFINITIONS["MyBatchStateMachine"]
ACCEPTED = [
    "Locate Picture",
    "Serialize Image Data",
    "Image Classification",
    "Filter Low Confidence",
    "Is Accepted",
    "Record Prediction",
]
REVIEW = [*ACCEPTED[:-1], "Claim Review", "Send To Review", "Confirm Review", "Threshold Confidence Not Met"]
CYCLE = ["Read Earlier Outcome", "Which Outcome", "Wait For The Other Execution"]

PASS = {"Type": "Pass", "End": True}

MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:Machine"
ARN = "arn:aws:states:eu-west-1:123456789012:execution:Machine:one"
BEGAN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TASK = {"resourceType": "sqs", "resource": "sendMessage"}
SCHEDULED = TASK | {"region": "eu-west-1", "parameters": "{}"}
FAILED = {"error": "BusyError", "cause": "too many"}


def machine(**states: Any) -> dict[str, Any]:
    """Return a state machine that starts with the first of these states."""
    return {"StartAt": next(iter(states)), "States": states}


def write(folder: Path, content: dict[str, Any] | str) -> Path:
    """Write the file of a state machine."""
    path = folder / "Machine.asl.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def states(path: ExecutionPath) -> list[str]:
    """Return the names of a path's states in order."""
    return [step.state for step in path.steps]


def path_of(*names: str, changes: dict[str, dict[str, Any]] | None = None, **fields: Any) -> ExecutionPath:
    """Return an execution that visited these states of MyStateMachine, for a second each.

    `changes` are fields of its steps by state, `fields` those of the path.
    """
    steps = []
    for index, name in enumerate(names):
        entered = BEGAN + timedelta(seconds=index)
        step: dict[str, Any] = {
            "state": name,
            "kind": SINGLE.states[name].kind,
            "entered": entered,
            "input": '{"s3_key": "a.png"}',
            "previous": index - 1 if index else None,
            "parent": None,
            "scheduled": 1,
            "ended": entered + timedelta(seconds=1),
        }
        steps.append(Step(**(step | (changes or {}).get(name, {}))))
    path: dict[str, Any] = {
        "arn": ARN,
        "machine": "Machine",
        "status": "SUCCEEDED",
        "started": BEGAN,
        "stopped": BEGAN + timedelta(seconds=len(names)),
        "redriven": 0,
        "failure": None,
    }
    return ExecutionPath(steps=steps, **(path | fields))


def failed_step(failure: Failure, attempts: int) -> dict[str, Any]:
    """Return the fields of a step all of whose attempts failed."""
    return {"failures": [failure] * attempts, "scheduled": attempts, "failure": failure}


class History:
    """A history whose events are one second apart; each follows the one before unless `after` names another."""

    def __init__(self, linked: bool = True) -> None:
        self.events: list[dict[str, Any]] = []
        self.linked = linked
        self.add("ExecutionStarted", {"input": "{}", "roleArn": "arn:aws:iam::1:role/x" + "x" * 9})

    def add(self, kind: str, details: dict[str, Any] | None = None, after: int | None = None) -> int:
        number = len(self.events) + 1
        event = {"timestamp": BEGAN + timedelta(seconds=number - 1), "type": kind, "id": number}
        if self.linked:
            # As AWS does, the first state follows event 0.
            event["previousEventId"] = 0 if number <= 2 else after or number - 1
        if details is not None:
            event[_details_name(kind)] = details
        self.events.append(event)
        return number

    def enter(self, kind: str, name: str, after: int | None = None) -> int:
        return self.add(f"{kind}StateEntered", {"name": name, "input": f'{{"to":"{name}"}}'}, after)

    def leave(self, kind: str, name: str, after: int | None = None) -> int:
        return self.add(f"{kind}StateExited", {"name": name, "output": f'{{"of":"{name}"}}'}, after)

    def visit(self, kind: str, name: str, after: int | None = None) -> int:
        return self.leave(kind, name, self.enter(kind, name, after))

    def start(self, kind: str, name: str) -> int:
        """Enter and start a Map or Parallel state."""
        self.enter(kind, name)
        return self.add(f"{kind}StateStarted")

    def attempt(self, failure: dict[str, str] | None = None) -> int:
        """Add an attempt of a task."""
        self.add("TaskScheduled", SCHEDULED)
        self.add("TaskStarted", TASK)
        return self.add("TaskFailed", TASK | failure) if failure else self.add("TaskSucceeded", TASK)

    def task(self, name: str, failures: int = 0, caught: bool = False) -> int:
        """Add a task with some failed attempts, then one that succeeds unless the last error is caught."""
        self.enter("Task", name)
        for _ in range(failures):
            self.attempt(FAILED)
        if not caught:
            self.attempt()
        return self.leave("Task", name)

    def succeed(self) -> ExecutionPath:
        """End the execution and read it."""
        self.add("ExecutionSucceeded", {"output": "{}"})
        return self.read()

    def fail(self) -> ExecutionPath:
        """End the execution with the error of its last step and read it."""
        self.add("ExecutionFailed", FAILED)
        return self.read("FAILED", **FAILED)

    def read(self, status: str = "SUCCEEDED", **described: Any) -> ExecutionPath:
        """Read the history through a stubbed client."""
        client, stub = stubbed("stepfunctions")
        self.stub(stub, status, **described)
        return read_path(client, ARN)

    def stub(self, stub: Stubber, status: str, page: int = 1000, **described: Any) -> None:
        """Let a client answer with this history, in pages."""
        description = {"executionArn": ARN, "stateMachineArn": MACHINE, "status": status, "startDate": BEGAN}
        if status not in {"RUNNING", "PENDING_REDRIVE"}:
            description["stopDate"] = self.events[-1]["timestamp"]
        stub.add_response("describe_execution", description | described, {"executionArn": ARN})
        request = {"executionArn": ARN, "maxResults": 1000}
        for start in range(0, len(self.events), page):
            answer: dict[str, Any] = {"events": self.events[start : start + page]}
            if start + page < len(self.events):
                answer["nextToken"] = f"after-{start + page}"
            stub.add_response("get_execution_history", answer, request)
            request = request | {"nextToken": f"after-{start + page}"}


def _details_name(kind: str) -> str:
    if kind.endswith(("StateEntered", "StateExited")):
        kind = f"State{kind.rsplit('State', 1)[1]}"
    return f"{kind[0].lower()}{kind[1:]}EventDetails"
