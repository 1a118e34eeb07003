"""What one execution did, step by step, and which ways it took."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from operations.workflow_drawing.states import END, START

RUNNING = "RUNNING"


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
        if index is not None and (previous := path.steps[index].previous) is not None and path.steps[previous].error
    )
