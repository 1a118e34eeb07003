"""The executed transitions and steps that are drawn on a state machine."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from common.errors import ExpectedError
from operations.workflow_drawing.execution import ExecutionPath, Step, executed_transitions, transition_counts
from operations.workflow_drawing.states import END, START, Definition, Pair

MAX_NUMBERS = 3  # step numbers on an arrow; more are counted


class OtherStateMachineError(ExpectedError):
    """Executions are of another state machine than the one that is drawn."""


@dataclass(frozen=True)
class Overlay:
    """What is drawn on a definition; by default nothing."""

    counts: Mapping[Pair, int] | None = None  # how often each pair was executed
    numbers: Mapping[Pair, str] = field(default_factory=dict)  # the text on the arrow of each pair
    path: ExecutionPath | None = None  # the one execution whose path is drawn
    unknown: frozenset[str] = frozenset()  # states that the history of a visited Map or Parallel state omits
    after_errors: Mapping[Pair, int] | None = None  # how many of `counts` came after an error, if known

    def count(self, pair: Pair) -> int:
        """Return how often a transition was executed."""
        return (self.counts or {}).get(pair, 0)

    def visits(self, state: str) -> list[Step]:
        """Return the steps of a state."""
        return [step for step in self.path.steps if step.state == state] if self.path else []

    def arrow_class(self, *pairs: Pair) -> str:
        """Return the CSS class of an arrow that stands for these pairs."""
        if self.counts is None:
            return ""
        if any(map(self.count, pairs)):
            return "wf-executed"
        return "" if self.unknown.intersection(*map(set, pairs)) else "wf-off"

    def state_class(self, state: str) -> str:
        """Return the CSS classes of a state."""
        if self.counts is None or state in self.unknown:
            return ""
        entered = any(target == state and count for (_, target), count in self.counts.items())
        visits = self.visits(state)
        failed = " wf-failed" if visits and visits[-1].failure else ""
        return ("wf-executed" if entered else "wf-off") + failed


def make_overlay(
    definition: Definition,
    counts: Mapping[Pair, int] | None,
    path: ExecutionPath | None,
    after_errors: Mapping[Pair, int] | None,
) -> Overlay:
    """Prepare what is drawn on a definition: counts, the path of one execution, or nothing.

    Raises OtherStateMachineError if the definition does not have an executed transition.
    """
    numbers = {pair: f"{count:,}" for pair, count in (counts or {}).items() if count}
    if path is not None:
        counts, numbers = transition_counts([path]), _step_numbers(path)
    if counts is None:
        return Overlay()
    parent = _distributed_map(definition, counts)
    counts = {_in_map(pair, parent): count for pair, count in counts.items()}
    numbers = {_in_map(pair, parent): text for pair, text in numbers.items()}
    _check(definition, counts, path)
    entered = {target for (_, target), count in counts.items() if count}
    unknown: set[str] = set()
    for state in definition.states.values():
        inner = {inner.name for inner in state.inner_states()}
        if state.name in entered and not inner & entered:
            unknown |= inner
    return Overlay(counts, numbers, path, frozenset(unknown), after_errors)


def _distributed_map(definition: Definition, counts: Mapping[Pair, int]) -> str | None:
    """Return the Distributed Map whose child executions these are, or None."""
    started = {target for source, target in counts if source == START}
    return next(
        (s.name for s in definition.states.values() for machine in s.machines if {machine.start_at} == started), None
    )


def _in_map(pair: Pair, parent: str | None) -> Pair:
    """Rename start and end of a child execution to those of an iteration of its Map."""
    if parent is None:
        return pair
    source, target = pair
    return (parent if source == START else source, parent if target == END else target)


def _check(definition: Definition, counts: Mapping[Pair, int], path: ExecutionPath | None) -> None:
    # An execution, or an iteration of a Map, can be ended in any state.
    ends = {(name, END) for name in definition.states}
    ends |= {(inner.name, state.name) for state in definition.states.values() for inner in state.inner_states()}
    unknown = sorted(set(counts) - definition.pairs - ends)
    if unknown:
        source, target = unknown[0]
        executions = f"The execution {path.arn} is" if path else "These executions are"
        raise OtherStateMachineError(
            f"{executions} not of the state machine {definition.name} as it is defined here, which has no"
            f" transition from {source!r} to {target!r}. Give the definition that it was started with."
        )


def _step_numbers(path: ExecutionPath) -> dict[Pair, str]:
    """Return the numbers of the steps that each pair led to, such as "5" or "6, 8, 10 +2"."""
    numbers: dict[Pair, list[str]] = defaultdict(list)
    for pair, index in executed_transitions(path):
        if index is not None:
            numbers[pair].append(str(index + 1))
    return {
        pair: ", ".join(steps[:MAX_NUMBERS]) + (f" +{len(steps) - MAX_NUMBERS}" if len(steps) > MAX_NUMBERS else "")
        for pair, steps in numbers.items()
    }
