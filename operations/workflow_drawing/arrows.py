"""The arrows of a drawn machine, and the layout that Graphviz does not choose well on its own."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from operations.workflow_drawing.overlay import Overlay
from operations.workflow_drawing.states import END, START, Machine, Pair, Transition


@dataclass(frozen=True)
class Arrow:
    """All transitions from one state to another; `pair` is their key in an overlay's counts."""

    source: str
    target: str
    pair: Pair
    transitions: tuple[Transition, ...]

    @property
    def only_catch(self) -> bool:
        """Whether the arrow is executed after errors only."""
        return all(t.kind == "catch" for t in self.transitions)

    @property
    def bundle(self) -> tuple[str, ...]:
        """The key that arrows of the same errors to the same state share."""
        return (self.target, *(t.detail for t in self.transitions))

    @property
    def tooltip(self) -> str:
        """The transitions with their whole conditions, a line each."""
        return "\n".join(f"{t.source} to {t.target}{t.detail and ': ' + t.detail}" for t in self.transitions)

    def label(self, overlay: Overlay) -> str:
        """Return the conditions; beside a Next, which other ones lead to the same state."""
        text = " or ".join(dict.fromkeys(t.label for t in self.transitions if t.label))
        if not text or not any(t.kind in {"next", "end"} for t in self.transitions):
            return text
        if overlay.after_errors is None or not overlay.count(self.pair):
            return f"also after {text}"
        errors = overlay.after_errors.get(self.pair, 0)
        return f"{f'{errors:,}' if errors else 'none'} of them after {text}"


def find_arrows(machine: Machine, parent: str) -> list[Arrow]:
    """Return the arrows of a machine; each state that ends it leads to an end of its own."""
    start = Transition(START, machine.start_at, "start")
    arrows = [Arrow(START, machine.start_at, (START if parent == END else parent, machine.start_at), (start,))]
    by_pair: dict[Pair, list[Transition]] = defaultdict(list)
    for transition in machine.transitions:
        by_pair[transition.source, transition.target].append(transition)
    for (source, target), transitions in by_pair.items():
        ends = target == END
        pair = (source, parent if ends else target)
        arrows.append(Arrow(source, f"{END} of {source}" if ends else target, pair, tuple(transitions)))
    return arrows


def main_path(machine: Machine, arrows: Sequence[Arrow]) -> set[Pair]:
    """Return the edges from the start to the first end without an error; empty if there is none."""
    targets: dict[str, list[str]] = defaultdict(list)
    for arrow in arrows:
        if not arrow.only_catch:
            targets[arrow.source].append(arrow.target)
    visited, paths = set[str](), [[START]]
    while paths:
        path = paths.pop()
        name = path[-1]
        if name != START and (name not in machine.states or machine.states[name].kind == "Succeed"):
            return set(pairwise(path))
        if name not in visited:
            visited.add(name)
            paths += [[*path, target] for target in reversed(targets[name])]
    return set()


def backward_arrows(arrows: Sequence[Arrow]) -> tuple[set[Arrow], dict[str, int]]:
    """Return the arrows that point up, and the layer of each node when all others point down.

    In a cycle the last arrow points up, in the order in which they are reached from the start with
    the fewest caught errors.
    """
    unreached = len(arrows)
    errors = {START: 0}
    for _ in arrows:  # as many rounds as the longest path can have arrows
        for arrow in arrows:
            distance = errors.get(arrow.source, unreached) + arrow.only_catch
            errors[arrow.target] = min(distance, errors.get(arrow.target, unreached))
    above: dict[str, set[str]] = defaultdict(set)
    backward = set()
    for arrow in sorted(arrows, key=lambda a: (errors.get(a.source, unreached), a.only_catch)):
        above[arrow.target].add(arrow.source)
        try:
            TopologicalSorter(above).prepare()
        except CycleError:
            above[arrow.target].remove(arrow.source)
            backward.add(arrow)
    layers: dict[str, int] = {}
    for name in TopologicalSorter(above).static_order():
        layers[name] = max((layers[source] + 1 for source in above[name]), default=0)
    return backward, layers
