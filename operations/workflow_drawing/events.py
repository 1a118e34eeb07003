"""Read the events of an execution's history into its steps.

AWS links each event to the one before it by `previousEventId`, which distinguishes the iterations of a Map
and the branches of a Parallel state. The laptop's AWS has no such field, lists its events in order, and
omits the states inside a Map: there the Map is one step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from operations.workflow_drawing.execution import Failure, Step


@dataclass
class _OpenStep:
    """A step that is being read.

    `failing` is the failure of its last attempt, `left` when the execution left it for another state, and
    `ended` when it failed or was aborted.
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
class _Position:
    """The step of an event; with `starts_inner`, the next step is the first one inside it."""

    step: int | None
    starts_inner: bool = False


_ENDED_EXTERNALLY = {"ABORTED", "TIMED_OUT"}
_ENDS = {f"Execution{how}" for how in ("Succeeded", "Failed", "TimedOut", "Aborted")}


class EventReader:
    """Read the events of one execution in order; `steps` returns its steps."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        """Start with the response of DescribeExecution."""
        self._status: str = description["status"]
        self._stopped: datetime | None = description.get("stopDate")
        error = description.get("error")
        self._ending = Failure(error, description.get("cause") or "") if error else None
        self._steps: list[_OpenStep] = []
        self._positions: dict[int, _Position] = {0: _Position(None)}
        self._last = _Position(None)
        self._ended = False
        self._restarted = False
        self.redriven = 0

    def read(self, event: Mapping[str, Any]) -> None:
        """Read one event."""
        kind = str(event["type"])
        if self._ended and kind != "ExecutionRedriven":
            return  # the laptop's AWS continues a state after an abort
        details: Mapping[str, Any] = next((event[name] for name in event if name.endswith("EventDetails")), {})
        linked = event.get("previousEventId")
        position = self._last if linked is None else self._positions.get(linked, self._last)
        if kind.startswith("Execution"):
            self._ended = kind in _ENDS
            self._restarted = kind == "ExecutionRedriven"
            self.redriven += self._restarted
        elif kind.endswith("StateEntered"):
            position = self._enter(kind.removesuffix("StateEntered"), event, details, position)
        elif kind.endswith("StateExited"):
            position = self._exit(event, details, position)
        elif kind.startswith("MapIteration"):
            starts_inner = kind == "MapIterationStarted" and linked is not None
            name = details.get("name")
            index = self._enclosing_step(name, position.step) if name else self._enclosing_group(position.step)
            position = _Position(index, starts_inner)
        elif kind.startswith(("MapState", "ParallelState")):
            position = self._group(kind, event, details, position, linked is not None)
        elif position.step is not None and kind.endswith("StateAborted"):
            self._steps[position.step].ended = event["timestamp"]
        elif position.step is not None:
            self._attempt(kind, details, position.step)
        self._positions[int(event["id"])] = self._last = position

    def _enter(self, kind: str, event: Mapping[str, Any], details: Mapping[str, Any], position: _Position) -> _Position:
        name = str(details["name"])
        if self._restarted:  # a redrive resumes the failed state
            self._restarted = False
            again = [i for i, step in enumerate(self._steps) if step.state == name and not step.left]
            if again:
                self._steps[again[-1]].ended = None
                return _Position(again[-1])
        previous, parent = position.step, None
        if previous is not None:
            if position.starts_inner:
                previous, parent = None, previous
            else:
                parent = self._steps[previous].parent
        self._steps.append(_OpenStep(name, kind, event["timestamp"], details.get("input"), previous, parent))
        return _Position(len(self._steps) - 1)

    def _exit(self, event: Mapping[str, Any], details: Mapping[str, Any], position: _Position) -> _Position:
        index = self._enclosing_step(str(details["name"]), position.step)
        if index is None:
            return position
        self._steps[index].left = event["timestamp"]
        self._steps[index].output = details.get("output")
        return _Position(index)

    def _group(
        self,
        kind: str,
        event: Mapping[str, Any],
        details: Mapping[str, Any],
        position: _Position,
        linked: bool,
    ) -> _Position:
        """Read an event of a Map or Parallel state itself."""
        starts = kind.endswith("StateStarted")  # for the first time, or again after a failure
        index = position.step if starts else self._enclosing_group(position.step)
        if index is None:
            return position
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
        return _Position(index, starts_inner=linked and starts)

    def _close(self, index: int, moment: datetime) -> Failure | None:
        """End a Map or Parallel step and all steps in it; return the last failure among these."""
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

    def _enclosing_step(self, name: str, index: int | None) -> int | None:
        """Return the step with this name: the given one or the nearest one around it."""
        while index is not None and self._steps[index].state != name:
            index = self._steps[index].parent
        return index

    def _enclosing_group(self, index: int | None) -> int | None:
        """Return the open Map or Parallel step: the given one or the nearest one around it."""
        while index is not None:
            step = self._steps[index]
            if step.kind in {"Map", "Parallel"} and not (step.left or step.ended):
                break
            index = step.parent
        return index

    def _attempt(self, kind: str, details: Mapping[str, Any], index: int) -> None:
        step = self._steps[index]
        if step.kind in {"Map", "Parallel"} and not kind.startswith(("MapRun", "Evaluation")):
            return  # of a state inside it, whose name the laptop's AWS omits
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

    def steps(self) -> tuple[Step, ...]:
        """Return the steps; those that are still open ended with the execution, if that has ended."""
        if self._ending and self._stopped:
            # Fail states, aborts and timeouts name their error only at the execution's end.
            for step in self._steps_ended_by_execution():
                step.failing = self._ending
                if step.kind == "Task" and self._status not in _ENDED_EXTERNALLY:
                    step.failures.append(self._ending)
        return tuple(self._step(step) for step in self._steps)

    def _steps_ended_by_execution(self) -> list[_OpenStep]:
        """Return the steps that ended with the execution's error and have no event of their own for it."""
        open_steps: dict[int, _OpenStep] = {}  # neither left nor in a step that was left
        for index, step in enumerate(self._steps):
            if step.left is None and (step.parent is None or step.parent in open_steps):
                open_steps[index] = step
        if self._status in _ENDED_EXTERNALLY:  # which ends the innermost step
            return list(open_steps.values())[-1:]
        outermost = [step for step in open_steps.values() if step.parent is None][-1:]
        if not outermost or outermost[0].failing:
            return []
        inner = [step for step in open_steps.values() if step.parent is not None]
        return outermost + [step for step in inner if step.kind == "Fail"][-1:]

    def _step(self, step: _OpenStep) -> Step:
        end = step.left or step.ended or self._stopped
        attempts = max(step.scheduled, len(step.failures))
        return Step(
            step.state,
            step.kind,
            step.entered,
            None if end is None else (end - step.entered).total_seconds(),
            attempts if step.kind == "Task" else 0,
            tuple(step.failures),
            step.failing.error if step.failing else None,
            step.failing.cause if step.failing else None,
            step.input,
            step.output,
            step.previous,
            step.parent,
        )
