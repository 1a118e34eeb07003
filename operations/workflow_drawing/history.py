"""Read an execution's path from the history that Step Functions keeps of it.

AWS links each event to the one before it by `previousEventId`, which distinguishes the iterations of a Map
and the branches of a Parallel state. The laptop's AWS has no such field, lists its events in order, and
omits the states inside a Map: there the Map is one step.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from common.errors import ExpectedError
from operations.workflow_drawing.execution import ExecutionPath, Failure, Step

EVENTS_PER_PAGE = 1000  # AWS's limit
_ENDED_EXTERNALLY = {"ABORTED", "TIMED_OUT"}
_END_EVENTS = {"ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"}


class ExecutionNotFoundError(ExpectedError):
    """Step Functions has no such execution, or has deleted its history."""


class NoHistoryError(ExpectedError):
    """Step Functions keeps no history of this execution."""


def read_path(stepfunctions: Any, execution_arn: str, *, data: bool = True) -> ExecutionPath:
    """Read the path of an execution until now, on AWS or on the laptop.

    Without `data`, the inputs and outputs of the steps, most of a history, are not requested.

    Raises:
        NoHistoryError: for an EXPRESS execution, of which AWS keeps logs only.
        ExecutionNotFoundError: there is none with this ARN, or AWS has deleted its history after 90 days.
        ClientError: Step Functions refuses for another reason.
    """
    no_history = NoHistoryError(
        f"{execution_arn} is an EXPRESS execution, of which Step Functions keeps no history: read its logs (the log"
        " group of its state machine) instead."
    )
    if ":express:" in execution_arn:
        raise no_history
    try:
        description = stepfunctions.describe_execution(executionArn=execution_arn)
        pages = stepfunctions.get_paginator("get_execution_history").paginate(
            executionArn=execution_arn,
            PaginationConfig={"PageSize": EVENTS_PER_PAGE},
            **({} if data else {"includeExecutionData": False}),
        )
        events = [event for page in pages for event in page["events"]]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"ExecutionDoesNotExist", "InvalidArn"}:
            raise ExecutionNotFoundError(
                f"There is no execution {execution_arn} in this account and region: copy its ARN from"
                " `aws stepfunctions list-executions`. AWS deletes a history after 90 days."
            ) from error
        if code == "StateMachineTypeNotSupported":
            raise no_history from error
        raise
    reader = _EventReader()
    for event in sorted(events, key=lambda event: int(event["id"])):
        reader.read(event)
    path = ExecutionPath(
        execution_arn,
        str(description["stateMachineArn"]).split(":stateMachine:", 1)[-1].split(":")[0],
        description["status"],
        description["startDate"],
        description.get("stopDate"),
        int(description.get("redriveCount") or reader.redriven),
        _failure(description),
        reader.steps,
    )
    if path.stopped:
        _end_open_steps(path, path.stopped)
    return path


def _failure(details: Mapping[str, Any]) -> Failure | None:
    error = details.get("error")
    return Failure(str(error), str(details.get("cause") or "")) if error else None


def _end_open_steps(path: ExecutionPath, stopped: datetime) -> None:
    """End the steps that are still open with the execution.

    Fail states, aborts and timeouts have no event of their own for their error, only the execution has.
    """
    if path.failure:
        for step in _steps_ended_by_execution(path):
            step.failure = path.failure
            if step.kind == "Task" and path.status not in _ENDED_EXTERNALLY:
                step.failures.append(path.failure)
    for step in path.steps:
        step.ended = step.ended or stopped


def _steps_ended_by_execution(path: ExecutionPath) -> list[Step]:
    open_steps: dict[int, Step] = {}  # neither left nor in a step that was left
    for index, step in enumerate(path.steps):
        if not step.left and (step.parent is None or step.parent in open_steps):
            open_steps[index] = step
    if path.status in _ENDED_EXTERNALLY:  # which ends the innermost step
        return list(open_steps.values())[-1:]
    outermost = [step for step in open_steps.values() if step.parent is None][-1:]
    if not outermost or outermost[0].failure:
        return []
    inner = [step for step in open_steps.values() if step.parent is not None]
    return outermost + [step for step in inner if step.kind == "Fail"][-1:]


class _Position(NamedTuple):
    """The index of an event's step; with `starts_inner`, the next step is the first one inside it."""

    step: int | None
    starts_inner: bool = False


class _EventReader:
    """Reads the events of one execution, in order, into `steps`."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.redriven = 0
        self._positions = {0: _Position(None)}  # by event id
        self._last = _Position(None)
        self._ended = False
        self._restarted = False

    def read(self, event: Mapping[str, Any]) -> None:
        """Read one event."""
        kind = str(event["type"])
        if self._ended and kind != "ExecutionRedriven":
            return  # the laptop's AWS continues a state after an abort
        details: Mapping[str, Any] = next((event[name] for name in event if name.endswith("EventDetails")), {})
        linked = event.get("previousEventId")
        position = self._last if linked is None else self._positions.get(linked, self._last)
        if kind.startswith("Execution"):
            self._ended = kind in _END_EVENTS
            self._restarted = kind == "ExecutionRedriven"
            self.redriven += self._restarted
        elif kind.endswith("StateEntered"):
            position = self._enter(kind.removesuffix("StateEntered"), event["timestamp"], details, position)
        elif kind.endswith("StateExited"):
            index = self._enclosing_step(str(details["name"]), position.step)
            if index is not None:
                self.steps[index].left = event["timestamp"]
                position = _Position(index)
        elif kind.startswith("MapIteration"):
            name = details.get("name")
            index = self._enclosing_step(name, position.step) if name else self._enclosing_group(position.step)
            position = _Position(index, kind == "MapIterationStarted" and linked is not None)
        elif kind.startswith(("MapState", "ParallelState")):
            position = self._group(kind, event, details, position)
        elif position.step is not None and kind.endswith("StateAborted"):
            self.steps[position.step].ended = event["timestamp"]
        elif position.step is not None:
            self._attempt(kind, details, self.steps[position.step])
        self._positions[int(event["id"])] = self._last = position

    def _enter(self, kind: str, moment: datetime, details: Mapping[str, Any], position: _Position) -> _Position:
        name = str(details["name"])
        if self._restarted:  # a redrive resumes the failed state
            self._restarted = False
            failed = [i for i, step in enumerate(self.steps) if step.state == name and not step.left]
            if failed:
                self.steps[failed[-1]].ended = None
                return _Position(failed[-1])
        previous, parent = position.step, None
        if previous is not None:
            if position.starts_inner:
                previous, parent = None, previous
            else:
                parent = self.steps[previous].parent
        self.steps.append(Step(name, kind, moment, details.get("input"), previous, parent))
        return _Position(len(self.steps) - 1)

    def _group(self, kind: str, event: Mapping[str, Any], details: Mapping[str, Any], position: _Position) -> _Position:
        """Read an event of a Map or Parallel state itself."""
        starts = kind.endswith("StateStarted")  # for the first time, or again after a failure
        index = position.step if starts else self._enclosing_group(position.step)
        if index is None:
            return position
        step = self.steps[index]
        if starts or kind.endswith("StateSucceeded"):
            step.ended = step.failure = None
        elif kind.endswith(("StateFailed", "StateAborted")):
            inner = self._close(index, event["timestamp"])
            if kind.endswith("StateFailed"):
                failure = _failure(details)
                if failure or not step.failure:
                    self._fail(step, failure or inner)
        return _Position(index, starts_inner=starts and "previousEventId" in event)

    def _close(self, index: int, moment: datetime) -> Failure | None:
        """End a Map or Parallel step and all steps in it; return the last failure among these."""
        inside = {index}
        last = None
        for number, step in enumerate(self.steps[index:], start=index):
            if step.parent in inside:
                inside.add(number)
            if number in inside:
                step.ended = step.ended or moment
            if step.parent == index and not step.left and step.failure:
                last = step.failure
        return last

    def _enclosing_step(self, name: str, index: int | None) -> int | None:
        """Return the step with this name: the given one or the nearest one around it."""
        while index is not None and self.steps[index].state != name:
            index = self.steps[index].parent
        return index

    def _enclosing_group(self, index: int | None) -> int | None:
        """Return the open Map or Parallel step: the given one or the nearest one around it."""
        while index is not None:
            step = self.steps[index]
            if step.kind in {"Map", "Parallel"} and not (step.left or step.ended):
                break
            index = step.parent
        return index

    def _attempt(self, kind: str, details: Mapping[str, Any], step: Step) -> None:
        if step.kind in {"Map", "Parallel"} and not kind.startswith(("MapRun", "Evaluation")):
            return  # of a state inside it, whose name the laptop's AWS omits
        if kind.endswith("Scheduled"):
            step.scheduled += 1
            step.failure = step.ended = None
        elif kind.endswith(("Failed", "TimedOut")):
            self._fail(step, _failure(details))
        elif kind.endswith("Succeeded"):
            step.failure = None

    @staticmethod
    def _fail(step: Step, failure: Failure | None) -> None:
        if failure:
            step.failures.append(failure)
            step.failure = failure
