"""What executions did, as it is painted on the picture of their state machine."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from common.errors import ExpectedError
from operations.workflow_drawing.execution import (
    ExecutionPath,
    Step,
    taken_ways,
    transition_counts,
)
from operations.workflow_drawing.states import END, START, Definition, State

Pair = tuple[str, str]  # from and to, as `transition_counts` has them
MOST_NUMBERS = 3  # of steps on an arrow, by their own number


class OtherStateMachineError(ExpectedError):
    """What executions did is not what this state machine can do: it is of another one."""


@dataclass(frozen=True)
class Paint:
    """What is painted on a definition; by default nothing.

    Attributes:
        counts: how often each pair was taken; None where nothing is painted.
        after_errors: how often of these after an error; None where that is not known.
        numbers: what stands on the arrow of a pair.
        visits: the steps of each state.
        path: the one execution, if it is one.
        unseen: states of which nothing is known, since a history leaves them out.
    """

    counts: Mapping[Pair, int] | None = None
    numbers: Mapping[Pair, str] = field(default_factory=dict)
    visits: Mapping[str, list[Step]] = field(default_factory=dict)
    path: ExecutionPath | None = None
    unseen: frozenset[str] = frozenset()
    after_errors: Mapping[Pair, int] | None = None

    def count(self, pair: Pair) -> int:
        """Return how often a way was taken."""
        return (self.counts or {}).get(pair, 0)

    def style(self, *pairs: Pair) -> str:
        """Return the class of what any of these ways make: taken, not taken, or neither."""
        if self.counts is None:
            return ""
        if any(map(self.count, pairs)):
            return "wf-taken"
        return "" if self.unseen.intersection(*map(set, pairs)) else "wf-off"

    def state_style(self, state: str) -> str:
        """Return the classes of a state."""
        if self.counts is None or state in self.unseen:
            return ""
        entered = any(target == state and n for (_, target), n in self.counts.items())
        visits = self.visits.get(state)
        failed = " wf-failed" if visits and visits[-1].error else ""
        return ("wf-taken" if entered else "wf-off") + failed


def make_paint(
    definition: Definition,
    counts: Mapping[Pair, int] | None,
    path: ExecutionPath | None,
    after_errors: Mapping[Pair, int] | None = None,
) -> Paint:
    """Prepare what is painted on a definition: either of the two, or nothing.

    Raises OtherStateMachineError where it cannot have happened in this state machine.
    """
    if path is not None:
        counts = transition_counts([path])
    if counts is None:
        return Paint()
    around = _child_of(definition, counts)
    counts = {_as_child(pair, around): n for pair, n in counts.items()}
    _check(definition, counts, path)
    numbers = {pair: f"{n:,}" for pair, n in counts.items() if n}
    visits: dict[str, list[Step]] = defaultdict(list)
    if path is not None:
        numbers = {_as_child(pair, around): text for pair, text in _step_numbers(path).items()}
        for step in path.steps:
            visits[step.state].append(step)
    entered = {target for (_, target), n in counts.items() if n}
    unseen = {
        inner.name
        for state in definition.states.values()
        if state.name in entered and not any(i.name in entered for i in _inside(state))
        for inner in _deep_inside(state)
    }
    return Paint(counts, numbers, visits, path, frozenset(unseen), after_errors)


def _child_of(definition: Definition, counts: Mapping[Pair, int]) -> str | None:
    """Return the Distributed Map whose children, executions of their own, these executions are."""
    started = {target for source, target in counts if source == START}
    return next(
        (state.name for state in definition.states.values() for part in state.parts if {part.start_at} == started),
        None,
    )


def _as_child(pair: Pair, around: str | None) -> Pair:
    """Name start and end of a child as those of an iteration of its Map."""
    if around is None:
        return pair
    source, target = pair
    return (around if source == START else source, around if target == END else target)


def _check(definition: Definition, counts: Mapping[Pair, int], path: ExecutionPath | None) -> None:
    # An execution, or an iteration of a Map, can be ended in any state.
    ends = {(name, END) for name in definition.states}
    inner = {(i.name, state.name) for state in definition.states.values() for i in _inside(state)}
    unknown = sorted(set(counts) - definition.pairs - ends - inner)
    if unknown:
        source, target = unknown[0]
        what = f"The execution {path.arn} is" if path else "These executions are"
        raise OtherStateMachineError(
            f"{what} not of the state machine {definition.name} as it is defined here, which has no"
            f" way from {source!r} to {target!r}. Give the definition that it was started with."
        )


def _step_numbers(path: ExecutionPath) -> dict[Pair, str]:
    """Return for each way the numbers of the steps that it led to, such as "5" or "6, 8, 10 +2"."""
    found: dict[Pair, list[int]] = defaultdict(list)
    for pair, index in taken_ways(path):
        if index is not None:
            found[pair].append(index + 1)
    return {
        pair: ", ".join(map(str, steps[:MOST_NUMBERS]))
        + (f" +{len(steps) - MOST_NUMBERS}" if len(steps) > MOST_NUMBERS else "")
        for pair, steps in found.items()
    }


def _inside(state: State) -> Iterator[State]:
    for part in state.parts:
        yield from part.states.values()


def _deep_inside(state: State) -> Iterator[State]:
    for inner in _inside(state):
        yield inner
        yield from _deep_inside(inner)
