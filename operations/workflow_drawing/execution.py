"""The path of one execution, step by step, and the transitions that it executed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from operations.workflow_drawing.states import END, START, Pair

RUNNING = "RUNNING"


@dataclass(frozen=True)
class Failure:
    """An error's name, and its cause, which may be empty."""

    error: str
    cause: str


@dataclass
class Step:
    """One visit to a state; `previous` and `parent` are indexes in the path's `steps`."""

    state: str
    kind: str  # the state's Type, as the name of the event has it
    entered: datetime
    input: str | None  # as JSON; None where the history omits it
    previous: int | None  # the step before; None for a first one
    parent: int | None  # the Map or Parallel state that contains it
    scheduled: int = 0  # how often its task was scheduled
    failures: list[Failure] = field(default_factory=list)  # of all failed attempts, in order
    failure: Failure | None = None  # that it ended with, caught or not
    left: datetime | None = None  # for another state
    ended: datetime | None = None  # when it failed or was aborted, or the execution ended

    @property
    def seconds(self) -> float | None:
        """Its duration; None while it is running."""
        end = self.left or self.ended
        return None if end is None else (end - self.entered).total_seconds()

    @property
    def attempts(self) -> int:
        """The number of attempts of a Task; 0 for others."""
        return max(self.scheduled, len(self.failures)) if self.kind == "Task" else 0


@dataclass(frozen=True)
class ExecutionPath:
    """One execution, as DescribeExecution and GetExecutionHistory return it."""

    arn: str
    machine: str  # the name of its state machine
    status: str  # RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED or PENDING_REDRIVE
    started: datetime
    stopped: datetime | None
    redriven: int  # how often
    failure: Failure | None
    steps: list[Step]  # in the order in which they began

    @property
    def name(self) -> str:
        """The execution's name, the last part of its ARN."""
        return self.arn.rsplit(":", 1)[-1]

    @property
    def seconds(self) -> float | None:
        """How long it ran; None while it runs."""
        return None if self.stopped is None else (self.stopped - self.started).total_seconds()


def executed_transitions(path: ExecutionPath) -> Iterator[tuple[Pair, int | None]]:
    """Yield every executed transition with the index of the step that it led to, None for an end.

    The pairs are those of `Definition.pairs`. An execution that stopped ends with (state, `END`)
    whatever its status.
    """
    continued = {step.previous for step in path.steps}
    for index, step in enumerate(path.steps):
        parent = None if step.parent is None else path.steps[step.parent].state
        before = parent if step.previous is None else path.steps[step.previous].state
        yield (before or START, step.state), index
        # A running execution whose last state was left is on its way to the next one.
        ended = step.seconds is not None and (parent is not None or path.stopped is not None)
        if index not in continued and ended:
            yield (step.state, parent or END), None


def transition_counts(paths: Iterable[ExecutionPath]) -> Counter[Pair]:
    """Count how often each transition was executed."""
    return Counter(pair for path in paths for pair, _ in executed_transitions(path))


def error_counts(paths: Iterable[ExecutionPath]) -> Counter[Pair]:
    """Count how often each transition was executed after an error that was caught."""
    return Counter(
        pair
        for path in paths
        for pair, index in executed_transitions(path)
        if index is not None and (previous := path.steps[index].previous) is not None and path.steps[previous].failure
    )
