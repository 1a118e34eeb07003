"""What one execution did, step by step, from the history that Step Functions keeps of it.

AWS links each event to the one before it by `previousEventId`, which tells the iterations of a Map
and the branches of a Parallel state apart. The laptop's AWS has no such field, lists its events in
order, and names no states inside of a Map: there the Map is one step.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from training.errors import ExpectedError
from training.workflow_drawing.states import END, START

RUNNING = "RUNNING"
EVENTS_A_PAGE = 1000  # the most that AWS gives at once


class ExecutionNotFoundError(ExpectedError):
    """There is no such execution, or Step Functions has forgotten it."""


class NoHistoryError(ExpectedError):
    """Step Functions keeps no history of this execution."""


@dataclass(frozen=True)
class Failure:
    """One attempt that failed: the error's name, and its cause, which may be empty."""

    error: str
    cause: str


@dataclass(frozen=True)
class Step:
    """One visit to a state.

    Attributes:
        state: the state's name.
        kind: its Type, as the name of the event has it.
        entered: when.
        seconds: until it was left or the execution ended; None while it is under way.
        attempts: how often it was tried, in a Task; 0 for others.
        failures: all attempts that failed, in order.
        error: the error that it ended with, or None; a caught one is one, too.
        cause: that of the error.
        input: what it got, as JSON; None where the history leaves it out.
        output: what it gave, as JSON; None where it gave nothing.
        previous: the index in the path's `steps` of the step before; None for a first one.
        parent: the index of the Map or Parallel state that it is in; None outside.
    """

    state: str
    kind: str
    entered: datetime
    seconds: float | None
    attempts: int
    failures: tuple[Failure, ...]
    error: str | None
    cause: str | None
    input: str | None
    output: str | None
    previous: int | None
    parent: int | None


@dataclass(frozen=True)
class ExecutionPath:
    """One execution.

    Attributes:
        arn: of the execution.
        machine: the name of its state machine.
        status: as Step Functions says it: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED,
            PENDING_REDRIVE.
        started: when.
        stopped: when, or None while it runs.
        redriven: how often it was restarted from where it had failed.
        input: as JSON.
        output: as JSON; None unless it has succeeded.
        error: the name of what it failed with, or None.
        cause: that of the error.
        steps: the visits to states in the order in which they began.
    """

    arn: str
    machine: str
    status: str
    started: datetime
    stopped: datetime | None
    redriven: int
    input: str | None
    output: str | None
    error: str | None
    cause: str | None
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """The execution's own name, the last part of its ARN."""
        return self.arn.rsplit(":", 1)[-1]

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.stopped is None else (self.stopped - self.started).total_seconds()


def read_path(stepfunctions: Any, execution_arn: str, *, data: bool = True) -> ExecutionPath:
    """Read what an execution did until now, on AWS or on the laptop.

    Without `data`, no step's input and output are asked for: with a picture in each of them they
    are nearly all of a history.

    Raises:
        NoHistoryError: for an EXPRESS execution, of which AWS keeps logs only.
        ExecutionNotFoundError: there is none of this ARN, or AWS has forgotten it after 90 days.
        ClientError: Step Functions refuses for another reason.
    """
    if ":express:" in execution_arn:
        raise NoHistoryError(
            f"{execution_arn} is an EXPRESS execution, of which Step Functions keeps no history:"
            " read its logs (the log group of its state machine) instead."
        )
    try:
        told = stepfunctions.describe_execution(executionArn=execution_arn)
        pages = stepfunctions.get_paginator("get_execution_history").paginate(
            executionArn=execution_arn,
            PaginationConfig={"PageSize": EVENTS_A_PAGE},
            **({} if data else {"includeExecutionData": False}),
        )
        events = [event for page in pages for event in page["events"]]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"ExecutionDoesNotExist", "InvalidArn"}:
            raise ExecutionNotFoundError(
                f"There is no execution {execution_arn} in this account and region: copy its ARN"
                " from `aws stepfunctions list-executions`. AWS forgets one after 90 days."
            ) from error
        if code == "StateMachineTypeNotSupported":
            raise NoHistoryError(
                f"{execution_arn} is of an EXPRESS state machine, of which Step Functions keeps no"
                " history: read its logs instead."
            ) from error
        raise
    steps = _Reader(told)
    for event in sorted(events, key=lambda event: int(event["id"])):
        steps.take(event)
    return ExecutionPath(
        execution_arn,
        str(told["stateMachineArn"]).split(":stateMachine:", 1)[-1].split(":")[0],
        told["status"],
        told["startDate"],
        told.get("stopDate"),
        int(told.get("redriveCount") or steps.redriven),
        told.get("input"),
        told.get("output") if told["status"] == "SUCCEEDED" else None,
        told.get("error"),
        told.get("cause"),
        steps.finished(),
    )


def taken_ways(path: ExecutionPath) -> Iterator[tuple[tuple[str, str], int | None]]:
    """Yield every way that was taken, with the index of the step that it led to, None for an end.

    A whole execution begins with (`START`, state); one that has ended ends with (state, `END`),
    whatever its status. In a Map or Parallel state both of them are that state's own name.
    """
    left = {step.previous for step in path.steps}
    for index, step in enumerate(path.steps):
        around = None if step.parent is None else path.steps[step.parent].state
        before = path.steps[step.previous].state if step.previous is not None else around
        yield (before or START, step.state), index
        # A running execution whose last state was left is on its way to the next one.
        ended = step.seconds is not None and (around is not None or path.stopped is not None)
        if index not in left and ended:
            yield (step.state, around or END), None


def transition_counts(paths: Iterable[ExecutionPath]) -> Counter[tuple[str, str]]:
    """Count how often each way was taken, by (from, to) as `taken_ways` names them."""
    return Counter(pair for path in paths for pair, _ in taken_ways(path))


def error_counts(paths: Iterable[ExecutionPath]) -> Counter[tuple[str, str]]:
    """Count how often each way was taken after an error that was caught."""
    return Counter(
        pair
        for path in paths
        for pair, index in taken_ways(path)
        if index is not None
        and (previous := path.steps[index].previous) is not None
        and path.steps[previous].error
    )


@dataclass
class _Open:
    """A step that is being read.

    `failing` is its last attempt if that failed; `left` is when it was left for another state, and
    `ended` is when it failed or was aborted.
    """

    state: str
    kind: str
    entered: datetime
    input: str | None
    previous: int | None
    parent: int | None
    scheduled: int = 0
    failures: list[Failure] = field(default_factory=list)
    failing: Failure | None = None
    left: datetime | None = None
    ended: datetime | None = None
    output: str | None = None


@dataclass(frozen=True)
class _Place:
    """Where an event belongs: to a step, or (`begins`) between a Map's and its first inner one."""

    step: int | None
    begins: bool = False


_FROM_OUTSIDE = {"ABORTED", "TIMED_OUT"}
_ENDS = {f"Execution{how}" for how in ("Succeeded", "Failed", "TimedOut", "Aborted")}


class _Reader:
    """Takes events in order; `finished` gives the steps."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        """Begin to read the execution of which DescribeExecution has told this."""
        self._status: str = told["status"]
        self._stopped: datetime | None = told.get("stopDate")
        error = told.get("error")
        self._ending = Failure(error, told.get("cause") or "") if error else None
        self._steps: list[_Open] = []
        self._places: dict[int, _Place] = {0: _Place(None)}
        self._last = _Place(None)
        self._over = False
        self._restarted = False
        self.redriven = 0

    def take(self, event: Mapping[str, Any]) -> None:
        """Read one event."""
        kind = str(event["type"])
        if self._over and kind != "ExecutionRedriven":
            return  # the laptop's AWS goes on with the state that an abort has ended
        details: Mapping[str, Any] = next(
            (event[name] for name in event if name.endswith("EventDetails")), {}
        )
        linked = event.get("previousEventId")
        place = self._last if linked is None else self._places.get(linked, self._last)
        if kind.startswith("Execution"):
            self._over = kind in _ENDS
            self._restarted = kind == "ExecutionRedriven"
            self.redriven += self._restarted
        elif kind.endswith("StateEntered"):
            place = self._enter(kind.removesuffix("StateEntered"), event, details, place)
        elif kind.endswith("StateExited"):
            place = self._exit(event, details, place)
        elif kind.startswith("MapIteration"):
            begins = kind == "MapIterationStarted" and linked is not None
            place = _Place(self._named(str(details["name"]), place.step), begins)
        elif kind.startswith(("MapState", "ParallelState")):
            place = self._group(kind, event, details, place, linked is not None)
        elif place.step is not None and kind.endswith("StateAborted"):
            self._steps[place.step].ended = event["timestamp"]
        elif place.step is not None:
            self._attempt(kind, details, place.step)
        self._places[int(event["id"])] = self._last = place

    def _enter(
        self, kind: str, event: Mapping[str, Any], details: Mapping[str, Any], place: _Place
    ) -> _Place:
        name = str(details["name"])
        if self._restarted:  # a redrive goes on in the state that had failed
            self._restarted = False
            again = [
                i for i, step in enumerate(self._steps) if step.state == name and not step.left
            ]
            if again:
                self._steps[again[-1]].ended = None
                return _Place(again[-1])
        previous, parent = place.step, None
        if previous is not None:
            if place.begins:
                previous, parent = None, previous
            else:
                parent = self._steps[previous].parent
        self._steps.append(
            _Open(name, kind, event["timestamp"], details.get("input"), previous, parent)
        )
        return _Place(len(self._steps) - 1)

    def _exit(self, event: Mapping[str, Any], details: Mapping[str, Any], place: _Place) -> _Place:
        index = self._named(str(details["name"]), place.step)
        if index is None:
            return place
        self._steps[index].left = event["timestamp"]
        self._steps[index].output = details.get("output")
        return _Place(index)

    def _group(
        self,
        kind: str,
        event: Mapping[str, Any],
        details: Mapping[str, Any],
        place: _Place,
        linked: bool,
    ) -> _Place:
        """Read what a Map or Parallel state says of itself."""
        starts = kind.endswith("StateStarted")  # for the first time, or again after a failure
        index = place.step if starts else self._around(place.step)
        if index is None:
            return place
        step = self._steps[index]
        if starts or kind.endswith("StateSucceeded"):
            step.ended = step.failing = None
        elif kind.endswith(("StateFailed", "StateAborted")):
            inner = self._close(index, event["timestamp"])
            if kind.endswith("StateFailed"):
                self._fail(index, details)
                if step.failing is None and inner is not None:
                    step.failing = inner
                    step.failures.append(inner)
        return _Place(index, begins=linked and starts)

    def _close(self, index: int, moment: datetime) -> Failure | None:
        """End a Map or Parallel step and all in it; return what the last of these failed with."""
        inside = {index}
        last = None
        for number, step in enumerate(self._steps[index:], start=index):
            if step.parent in inside:
                inside.add(number)
            if number in inside and step.left is None and step.ended is None:
                step.ended = moment
            if step.parent == index and step.left is None and step.failing:
                last = step.failing
        return last

    def _named(self, name: str, index: int | None) -> int | None:
        """Return the step of this name that a step is in, or is itself."""
        while index is not None and self._steps[index].state != name:
            index = self._steps[index].parent
        return index

    def _around(self, index: int | None) -> int | None:
        """Return the Map or Parallel step, not ended yet, that a step is in, or is itself."""
        while index is not None:
            step = self._steps[index]
            if step.kind in {"Map", "Parallel"} and not (step.left or step.ended):
                break
            index = step.parent
        return index

    def _attempt(self, kind: str, details: Mapping[str, Any], index: int) -> None:
        step = self._steps[index]
        if step.kind in {"Map", "Parallel"} and not kind.startswith(("MapRun", "Evaluation")):
            return  # of a state inside of it, which the laptop's AWS does not name
        if kind.endswith("Scheduled"):
            step.scheduled += 1
            step.failing = step.ended = None
        elif kind.endswith(("Failed", "TimedOut")):
            self._fail(index, details)
        elif kind.endswith("Succeeded"):
            step.failing = None

    def _fail(self, index: int | None, details: Mapping[str, Any]) -> None:
        if index is None or not details.get("error"):
            return
        failure = Failure(str(details["error"]), str(details.get("cause") or ""))
        step = self._steps[index]
        step.failures.append(failure)
        step.failing = failure

    def finished(self) -> tuple[Step, ...]:
        """Return the steps; what never was left ended with the execution, if that has ended."""
        if self._ending and self._stopped:
            # Fail states, aborts and timeouts name their error only at the execution's end.
            for step in self._ended_last():
                step.failing = self._ending
                if step.kind == "Task" and self._status not in _FROM_OUTSIDE:
                    step.failures.append(self._ending)
        return tuple(self._finished(step) for step in self._steps)

    def _ended_last(self) -> list[_Open]:
        """Return the steps that ended with the execution's error and do not say so themselves."""
        open_steps: dict[int, _Open] = {}  # neither left nor in a step that was left
        for index, step in enumerate(self._steps):
            if step.left is None and (step.parent is None or step.parent in open_steps):
                open_steps[index] = step
        if self._status in _FROM_OUTSIDE:  # which ends the innermost step
            return list(open_steps.values())[-1:]
        outermost = [step for step in open_steps.values() if step.parent is None][-1:]
        if not outermost or outermost[0].failing:
            return []
        inner = [step for step in open_steps.values() if step.parent is not None]
        return outermost + [step for step in inner if step.kind == "Fail"][-1:]

    def _finished(self, step: _Open) -> Step:
        end = step.left or step.ended or self._stopped
        tried = max(step.scheduled, len(step.failures))
        return Step(
            step.state,
            step.kind,
            step.entered,
            None if end is None else (end - step.entered).total_seconds(),
            tried if step.kind == "Task" else 0,
            tuple(step.failures),
            step.failing.error if step.failing else None,
            step.failing.cause if step.failing else None,
            step.input,
            step.output,
            step.previous,
            step.parent,
        )
