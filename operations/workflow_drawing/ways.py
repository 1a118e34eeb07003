"""The arrows of a picture: what each stands for, what is written on it, which are the main ones."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from operations.workflow_drawing.graph import Arrow, Size
from operations.workflow_drawing.layout import MAIN_WEIGHT
from operations.workflow_drawing.paint import Paint, Pair
from operations.workflow_drawing.states import END, START, Machine, Transition
from operations.workflow_drawing.style import LINE, PILL, TEXT_SIZE
from operations.workflow_drawing.text import pill_width, text_width, wrap

LABEL_WIDTH = 124  # pixels of what is written on an arrow
WEIGHT, CATCH_WEIGHT = 3, 1  # of arrows beside the main way
BUNDLED = 2  # so many Catch arrows of the same meaning to the same state are joined


@dataclass(frozen=True)
class Way:
    """One drawn arrow: all transitions from one state to another.

    Attributes:
        source: key of a box: a state, or `START`.
        target: key of a box: a state, or that of an end (`end_key`).
        pair: as `transition_counts` counts it.
        transitions: what it stands for; none for the first arrow.
        lines: what is written on it, without its number.
    """

    source: str
    target: str
    pair: Pair
    transitions: tuple[Transition, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def only_catch(self) -> bool:
        """Whether it is taken after errors only."""
        return bool(self.transitions) and all(t.kind == "catch" for t in self.transitions)

    @property
    def mixed(self) -> bool:
        """Whether it is taken after errors, and else too."""
        return not self.only_catch and any(t.kind == "catch" for t in self.transitions)

    @property
    def bundle(self) -> str:
        """What it has in common with those that it may be joined with."""
        return "\0".join([self.target, *(t.detail for t in self.transitions)])

    @property
    def details(self) -> str:
        """All that it stands for, a line each."""
        return "\n".join(f"{t.source} to {t.target}{': ' + t.detail if t.detail else ''}" for t in self.transitions)


def end_key(state: str) -> str:
    """Return the key of the box for the end that a state leads to."""
    return f"{END}\0{state}"


def machine_ways(machine: Machine, around: str, paint: Paint) -> list[Way]:
    """Return the arrows of a machine; `around` is the state that it is in, `END` if in none."""
    start = START if around == END else around
    found = [Way(START, machine.start_at, (start, machine.start_at))]
    by_pair: dict[Pair, list[Transition]] = defaultdict(list)
    for transition in machine.transitions:
        by_pair[transition.source, transition.target].append(transition)
    for (source, target), transitions in by_pair.items():
        ends = target == END
        pair = (source, around if ends else target)
        found.append(
            Way(
                source,
                end_key(source) if ends else target,
                pair,
                tuple(transitions),
                tuple(_lines(transitions, pair, paint)),
            )
        )
    return found


def _lines(transitions: Sequence[Transition], pair: Pair, paint: Paint) -> list[str]:
    """Return what is written on an arrow; beside a Next, what else leads the same way."""
    words = " or ".join(dict.fromkeys(t.label for t in transitions if t.label))
    if words and any(t.kind in {"next", "end"} for t in transitions):
        words = f"after {words}"
        if paint.after_errors is None or not paint.count(pair):
            words = f"also {words}"
        else:
            errors = paint.after_errors.get(pair, 0)
            words = f"{f'{errors:,}' if errors else 'none'} of them {words}"
    return wrap(words, LABEL_WIDTH, TEXT_SIZE) if words else []


def main_way(machine: Machine) -> list[str]:
    """Return the boxes from the start to a good end: by Next, and by the first rule that leads on.

    Only the start where no end is a good one.
    """
    after: dict[str, list[str]] = defaultdict(list)
    for transition in machine.transitions:
        if transition.kind != "catch":
            after[transition.source].append(transition.target)

    way: list[str] = []
    ways_on = [iter([machine.start_at])]  # of the start and of each state on the way
    tried: set[str] = set()
    while ways_on:
        name = next(ways_on[-1], None)
        if name is None:  # nothing from here leads to a good end
            ways_on.pop()
            way = way[:-1]
        elif name == END:
            return [START, *way, end_key(way[-1])]
        elif machine.states[name].kind == "Succeed":
            return [START, *way, name]
        elif name not in tried:
            tried.add(name)
            way.append(name)
            ways_on.append(iter(after[name]))
    return [START]


def make_arrows(ways: Sequence[Way], main: Sequence[str], numbers: Mapping[Pair, str]) -> list[Arrow]:
    """Return the arrows for the layout; `numbers` are those that stand on some of them."""
    straight = set(pairwise(main))
    same = Counter(way.bundle for way in ways if way.only_catch)
    found = []
    for way in ways:
        bundled = way.only_catch and same[way.bundle] >= BUNDLED
        weight = CATCH_WEIGHT if way.only_catch else WEIGHT
        number = numbers.get(way.pair)
        found.append(
            Arrow(
                way.source,
                way.target,
                _words_size(way.lines),
                (round(pill_width(number)), PILL + 2) if number else (0, 0),
                MAIN_WEIGHT if (way.source, way.target) in straight else weight,
                way.only_catch,
                way.bundle if bundled else None,
            )
        )
    return found


def _words_size(lines: Sequence[str]) -> Size:
    width = max((text_width(line, TEXT_SIZE) for line in lines), default=-6)
    return (round(width) + 6, len(lines) * LINE + (3 if lines else 0))
