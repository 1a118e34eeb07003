"""The events of an execution's history, read into its steps.

AWS links each event to the one before it by `previousEventId`, which tells the iterations of a Map
and the branches of a Parallel state apart. The laptop's AWS has no such field, lists its events in
order, and names no states inside of a Map: there the Map is one step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from operations.workflow_drawing.execution import Failure, Step


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


class EventReader:
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
        details: Mapping[str, Any] = next((event[name] for name in event if name.endswith("EventDetails")), {})
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
            name = details.get("name")
            index = self._named(name, place.step) if name else self._around(place.step)
            place = _Place(index, begins)
        elif kind.startswith(("MapState", "ParallelState")):
            place = self._group(kind, event, details, place, linked is not None)
        elif place.step is not None and kind.endswith("StateAborted"):
            self._steps[place.step].ended = event["timestamp"]
        elif place.step is not None:
            self._attempt(kind, details, place.step)
        self._places[int(event["id"])] = self._last = place

    def _enter(self, kind: str, event: Mapping[str, Any], details: Mapping[str, Any], place: _Place) -> _Place:
        name = str(details["name"])
        if self._restarted:  # a redrive goes on in the state that had failed
            self._restarted = False
            again = [i for i, step in enumerate(self._steps) if step.state == name and not step.left]
            if again:
                self._steps[again[-1]].ended = None
                return _Place(again[-1])
        previous, parent = place.step, None
        if previous is not None:
            if place.begins:
                previous, parent = None, previous
            else:
                parent = self._steps[previous].parent
        self._steps.append(_Open(name, kind, event["timestamp"], details.get("input"), previous, parent))
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
