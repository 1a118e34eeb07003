"""A state machine as one SVG, by itself or with what executions did painted on it."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from training.errors import ExpectedError
from training.pages.words import duration
from training.workflow_drawing.graph import Arrow, Size
from training.workflow_drawing.history import RUNNING, ExecutionPath, Step
from training.workflow_drawing.layout import (
    MAIN_WEIGHT,
    MARGIN,
    Layout,
    Rectangle,
    Route,
    lay_out,
)
from training.workflow_drawing.shapes import outline, retry_mark
from training.workflow_drawing.states import (
    END,
    START,
    Definition,
    Machine,
    State,
    Transition,
    error_words,
)
from training.workflow_drawing.step_list import step_list
from training.workflow_drawing.text import clip, shorten, text_width, wrap

NAME_SIZE, TEXT_SIZE = 13, 12  # of letters, in pixels
NAME_WIDTH = 150  # of a name's line, at most
LABEL_WIDTH = 124  # of what is written on an arrow
LINE = 15  # from line to line
PAD = 12  # beside the text in a box
PILL = 18  # the height of a number on an arrow
HEAD = 7  # the length of an arrow's head
BUNDLED = 2  # so many arrows of the same meaning to the same state are joined
SHOWN_INPUT = 300  # characters in a state's tooltip
LEAST_WIDTH = 480  # of the picture
GROUP_HEAD = 40  # above the states that are inside of a state


class OtherStateMachineError(ExpectedError):
    """What executions did is not what this state machine can do: it is of another one."""


@dataclass(frozen=True)
class _Way:
    """One drawn arrow: all transitions from one state to another.

    Attributes:
        source: a state, or `START`.
        target: a state, or a key of an end.
        pair: as `transition_counts` counts it.
        transitions: what it stands for; none for the first arrow.
        lines: what is written on it, without its number.
    """

    source: str
    target: str
    pair: tuple[str, str]
    transitions: tuple[Transition, ...]
    lines: tuple[str, ...]

    @property
    def only_catch(self) -> bool:
        return bool(self.transitions) and all(t.kind == "catch" for t in self.transitions)


@dataclass
class _Paint:
    """What is painted on the definition.

    Attributes:
        counts: how often each pair was taken; None where nothing is painted.
        numbers: what stands on the arrow of a pair.
        visits: the steps of each state.
        path: the one execution, if it is one.
        unseen: states of which nothing is known, since a history leaves them out.
    """

    counts: Mapping[tuple[str, str], int] | None = None
    numbers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    visits: Mapping[str, list[Step]] = field(default_factory=dict)
    path: ExecutionPath | None = None
    unseen: frozenset[str] = frozenset()

    def taken(self, pair: tuple[str, str]) -> bool:
        return bool(self.counts and self.counts.get(pair))

    def style(self, taken: bool, *states: str) -> str:
        """Return the class of something: taken, not taken, or neither."""
        if self.counts is None or (not taken and self.unseen.intersection(states)):
            return ""
        return "wf-taken" if taken else "wf-off"


def draw(
    definition: Definition,
    *,
    counts: Mapping[tuple[str, str], int] | None = None,
    path: ExecutionPath | None = None,
    steps: bool = False,
) -> str:
    """Draw a state machine; return the text of an `<svg>` element.

    It brings its style along, for light and dark, and works inside of a page and as a file.

    Args:
        definition: what is drawn.
        counts: how often each way was taken (see `transition_counts`): painted on the arrows.
        path: one execution, painted on the states and arrows with times, attempts and errors.
        steps: whether the path's steps are listed below the picture.

    Raises:
        OtherStateMachineError: `counts` or `path` is of another state machine.
    """
    if path is not None and counts is None:
        counts = Counter(pair for pair, _ in _steps_by_pair(path))
    _check(definition, counts, path)
    paint = _paint(definition, counts, path)
    content, width, height = _machine(definition.machine, END, paint, 0)
    width = max(width, LEAST_WIDTH)
    parts = [content]
    for lines in (_legend(width, paint), step_list(path, width) if path and steps else None):
        if lines:
            parts.append(f'<g transform="translate(0 {height:g})">{lines[0]}</g>')
            height += lines[1]
    return _svg(definition, "".join(parts), width, height, paint)


def _check(
    definition: Definition,
    counts: Mapping[tuple[str, str], int] | None,
    path: ExecutionPath | None,
) -> None:
    ends = {(name, END) for name in definition.states}  # an execution can be ended anywhere
    inner = {(s.name, outer.name) for outer in definition.states.values() for s in _inside(outer)}
    unknown = sorted(set(counts or ()) - definition.pairs - ends - inner)
    if unknown:
        source, target = unknown[0]
        of = f"The execution {path.arn} is" if path else "These executions are"
        raise OtherStateMachineError(
            f"{of} not of the state machine {definition.name}: it has no way from {source!r} to"
            f" {target!r}. Give the definition that it was started with."
        )


def _inside(state: State) -> Iterator[State]:
    for part in state.parts:
        yield from part.states.values()


def _steps_by_pair(path: ExecutionPath) -> Iterator[tuple[tuple[str, str], int | None]]:
    """Yield every way that was taken, with the number of the step that it led to."""
    left = {step.previous for step in path.steps}
    for index, step in enumerate(path.steps):
        around = None if step.parent is None else path.steps[step.parent].state
        before = path.steps[step.previous].state if step.previous is not None else around
        yield (before or START, step.state), index + 1
        if index not in left and step.seconds is not None:
            yield (step.state, around or END), None


def _paint(
    definition: Definition,
    counts: Mapping[tuple[str, str], int] | None,
    path: ExecutionPath | None,
) -> _Paint:
    if counts is None:
        return _Paint()
    visits: dict[str, list[Step]] = defaultdict(list)
    numbers: dict[tuple[str, str], str] = {p: f"{n:,}" for p, n in counts.items() if n}
    if path is not None:
        for step in path.steps:
            visits[step.state].append(step)
        by_pair: dict[tuple[str, str], list[str]] = defaultdict(list)
        for pair, number in _steps_by_pair(path):
            if number is not None:
                by_pair[pair].append(str(number))
        numbers = {
            pair: ", ".join(found[:3]) + (f" +{len(found) - 3}" if len(found) > 3 else "")
            for pair, found in by_pair.items()
        }
    entered = {target for (_, target), n in counts.items() if n}
    unseen = {
        inner.name
        for state in definition.states.values()
        if state.name in entered and not any(i.name in entered for i in _inside(state))
        for inner in _deep_inside(state)
    }
    return _Paint(counts, numbers, visits, path, frozenset(unseen))


def _deep_inside(state: State) -> Iterator[State]:
    for inner in _inside(state):
        yield inner
        yield from _deep_inside(inner)


# What comes out of drawing a machine: SVG, width and height.
Drawn = tuple[str, float, float]


def _machine(machine: Machine, around: str, paint: _Paint, depth: int) -> Drawn:
    """Draw states and arrows; `around` is the state that they are in, `END` for the outermost."""
    inner = {
        name: [_machine(part, name, paint, depth + 1) for part in state.parts]
        for name, state in machine.states.items()
    }
    ways = list(_ways(machine, around))
    main = _main_way(machine)
    sizes: dict[str, Size] = {START: _size([(START, "wf-quiet")], 8)}
    for name, state in machine.states.items():
        sizes[name] = (
            _group_size(state, inner[name], paint)
            if inner[name]
            else _size(_lines(state, paint), PAD)
        )
    for way in ways:
        if way.target not in sizes:
            sizes[way.target] = _size([(END, "wf-quiet")], 8)
    layout = lay_out(sizes, _arrows(ways, main, paint), main)
    parts = [_arrow(route, ways, layout, paint) for route in layout.routes]
    parts += [_loop(ways[index], layout, paint) for index in layout.loops]
    parts += [_label(route, ways, paint) for route in layout.routes]
    for key, box in layout.boxes.items():
        found = machine.states.get(key)
        if found is None:
            parts.append(_terminal(key, box, ways, paint))
        elif inner[key]:
            parts.append(_group(found, box, inner[key], paint))
        else:
            parts.append(_state(found, box, paint))
    parts += [_ended_here(layout.boxes[name], _ended(name, ways, paint)) for name in machine.states]
    return "".join(parts), layout.width, layout.height


def _ended(name: str, ways: Iterable[_Way], paint: _Paint) -> int:
    """Return how many executions ended in a state without an arrow that says so."""
    if paint.counts is None or paint.path is not None:
        return 0
    drawn = {way.pair for way in ways}
    return sum(
        n
        for (source, target), n in paint.counts.items()
        if source == name and (source, target) not in drawn
    )


def _ways(machine: Machine, around: str) -> Iterator[_Way]:
    yield _Way(
        START, machine.start_at, (START if around == END else around, machine.start_at), (), ()
    )
    by_pair: dict[tuple[str, str], list[Transition]] = defaultdict(list)
    for transition in machine.transitions:
        by_pair[transition.source, transition.target].append(transition)
    for (source, target), transitions in by_pair.items():
        ends = target == END
        yield _Way(
            source,
            f"{END}\0{source}" if ends else target,
            (source, around if ends else target),
            tuple(transitions),
            tuple(_words(transitions)),
        )


def _words(transitions: Iterable[Transition]) -> list[str]:
    """Return the lines on an arrow; where a Next is one of its transitions, what else it is for."""
    plain = any(t.kind in {"next", "end"} for t in transitions)
    texts = dict.fromkeys(t.label for t in transitions if t.label)
    words = " or ".join(texts)
    if words and plain:
        words = f"also after {words}"
    return wrap(words, LABEL_WIDTH, TEXT_SIZE) if words else []


def _main_way(machine: Machine) -> list[str]:
    """Return the states from the first to a good end: always Next, or the first rule that leads on.

    Empty where no end is a good one.
    """
    after: dict[str, list[str]] = defaultdict(list)
    for transition in machine.transitions:
        if transition.kind != "catch":
            after[transition.source].append(transition.target)

    def follow(name: str, seen: tuple[str, ...]) -> tuple[str, ...] | None:
        if name == END:
            return seen
        if name in seen or machine.states[name].kind == "Fail":
            return None
        if machine.states[name].kind == "Succeed":
            return (*seen, name)
        for target in after[name]:
            found = follow(target, (*seen, name))
            if found is not None:
                return found
        return None

    found = follow(machine.start_at, ())
    if found is None:
        return [START]
    last = [] if machine.states[found[-1]].kind == "Succeed" else [f"{END}\0{found[-1]}"]
    return [START, *found, *last]


def _arrows(ways: list[_Way], main: list[str], paint: _Paint) -> list[Arrow]:
    straight = set(zip(main, main[1:], strict=False))
    same = Counter(_bundle(way) for way in ways if way.only_catch)
    found = []
    for way in ways:
        number = paint.numbers.get(way.pair)
        lines = list(way.lines)
        bundle = _bundle(way) if way.only_catch and same[_bundle(way)] >= BUNDLED else None
        weight = 3
        if (way.source, way.target) in straight:
            weight = MAIN_WEIGHT
        elif way.only_catch:
            weight = 1
        found.append(
            Arrow(
                way.source,
                way.target,
                _label_size([] if bundle else lines, number),
                weight,
                way.only_catch,
                bundle,
                _label_size(lines, None) if bundle else (0, 0),
            )
        )
    return found


def _bundle(way: _Way) -> str:
    return "\0".join([way.target, *(t.detail for t in way.transitions)])


def _label_size(lines: Iterable[str], number: str | None) -> Size:
    lines = list(lines)
    if not lines and not number:
        return (0, 0)
    width = max((text_width(line, TEXT_SIZE) for line in lines), default=0.0)
    if number:
        width = max(width, _pill_width(number))
    return (math.ceil(width) + 6, len(lines) * LINE + (PILL if number else 0) + 3)


def _pill_width(number: str) -> float:
    return max(24.0, text_width(number, TEXT_SIZE, bold=True) + 14)


# What stands in a box: lines, each with its class.
Lines = list[tuple[str, str]]


def _lines(state: State, paint: _Paint) -> Lines:
    lines = [(line, "wf-name") for line in wrap(state.name, NAME_WIDTH, NAME_SIZE, bold=True)]
    lines += [(line, "wf-quiet") for line in wrap(state.does, NAME_WIDTH, TEXT_SIZE)]
    return lines + _visit_lines(paint.visits.get(state.name, []), state, paint)


def _visit_lines(visits: list[Step], state: State, paint: _Paint) -> Lines:
    """Say how long the visits to a state took, how often it was tried, what it failed with."""
    if not visits:
        return []
    known = [visit.seconds for visit in visits if visit.seconds is not None]
    words = [duration(sum(known))] if len(known) == len(visits) else ["still in it"]
    if len(visits) > 1:
        words.append(f"{len(visits)} visits")
    attempts = sum(visit.attempts for visit in visits)
    if attempts > len(visits):
        words.append(f"{attempts} attempts")
    lines = [(" · ".join(words), "wf-ink")]
    errors = dict.fromkeys(error_words(visit.error) for visit in visits if visit.error)
    if errors and state.does != f"fails: {next(iter(errors))}":
        lines.append((clip(", ".join(errors), NAME_WIDTH, TEXT_SIZE, bold=True), "wf-error"))
    return lines


def _size(lines: Lines, pad: int) -> Size:
    width = max(_line_width(text, style) for text, style in lines)
    even = 2 * math.ceil((width + 2 * pad) / 2)
    return (even, len(lines) * LINE + (12 if len(lines) > 1 else 6))


def _line_width(text: str, style: str) -> float:
    name = style == "wf-name"
    return text_width(text, NAME_SIZE if name else TEXT_SIZE, name or style == "wf-error")


def _group_size(state: State, parts: list[Drawn], paint: _Paint) -> Size:
    lines = _group_lines(state, paint)
    width = max(sum(part[1] for part in parts), max(_line_width(*line) for line in lines) + 2 * PAD)
    height = max(part[2] for part in parts) + len(lines) * LINE + 8
    return (2 * math.ceil(width / 2), math.ceil(height))


def _group_lines(state: State, paint: _Paint) -> Lines:
    return [
        (state.name, "wf-name"),
        (state.does, "wf-quiet"),
        *_visit_lines(paint.visits.get(state.name, []), state, paint),
    ]


def _group(state: State, box: Rectangle, parts: list[Drawn], paint: _Paint) -> str:
    lines = _group_lines(state, paint)
    head = Rectangle(box.x, box.y + 4, box.width, len(lines) * LINE)
    style = _state_style(state, paint)
    found = [
        f'<g class="wf-state {style}" data-state="{escape(state.name)}">{_tooltip(state, paint)}',
        f'<path class="wf-shape wf-group" d="{outline(state.kind, box)}"/>',
        _text(lines, head),
        _marks(state, box),
        "</g>",
    ]
    x = box.x + (box.width - sum(part[1] for part in parts)) / 2
    for content, width, _ in parts:
        found.append(f'<g transform="translate({x:g} {head.y + head.height:g})">{content}</g>')
        x += width
    return "".join(found)


def _state(state: State, box: Rectangle, paint: _Paint) -> str:
    double = (
        f'<path class="wf-inner" d="{outline(state.kind, box, 3)}"/>'
        if state.kind in {"Succeed", "Fail"}
        else ""
    )
    return (
        f'<g class="wf-state {_state_style(state, paint)}" data-state="{escape(state.name)}">'
        f'{_tooltip(state, paint)}<path class="wf-shape" d="{outline(state.kind, box)}"/>{double}'
        f"{_text(_lines(state, paint), box)}{_marks(state, box)}</g>"
    )


def _state_style(state: State, paint: _Paint) -> str:
    if paint.counts is None:
        return ""
    entered = any(target == state.name and n for (_, target), n in paint.counts.items())
    visits = paint.visits.get(state.name, [])
    failed = " wf-failed" if visits and visits[-1].error else ""
    return paint.style(entered, state.name) + failed


def _marks(state: State, box: Rectangle) -> str:
    return retry_mark(box.x + box.width - 10, box.y + 10) if state.retries else ""


def _ended_here(box: Rectangle, ended: int) -> str:
    """Put at a state's lower edge how many executions ended in it without an arrow to an end.

    Those of Fail and Succeed states, and those that an abort, a timeout, or an error that nobody
    catches ended.
    """
    if not ended:
        return ""
    number = f"{ended:,}"
    return _pill(number, box.x + box.width / 2, box.y + box.height - PILL / 2)


def _tooltip(state: State, paint: _Paint) -> str:
    lines = [f"{state.name} ({state.kind})", state.comment]
    for errors, attempts in state.retries:
        lines.append(f"Tried again up to {attempts} times after: {', '.join(errors)}")
    for visit in paint.visits.get(state.name, [])[:3]:
        if visit.input is not None:
            lines.append(f"Input: {shorten(visit.input, SHOWN_INPUT)}")
        if visit.error:
            lines.append(f"Error: {visit.error}: {shorten(visit.cause or '', SHOWN_INPUT)}")
    return f"<title>{escape(chr(10).join(line for line in lines if line))}</title>"


def _terminal(key: str, box: Rectangle, ways: list[_Way], paint: _Paint) -> str:
    word = key.split("\0", maxsplit=1)[0]
    pairs = [way.pair for way in ways if key in {way.source, way.target}]
    style = paint.style(any(map(paint.taken, pairs)), *(name for pair in pairs for name in pair))
    return (
        f'<g class="{style}"><path class="wf-shape" d="{outline("Terminal", box)}"/>'
        f"{_text([(word, 'wf-quiet')], box)}</g>"
    )


def _text(lines: Lines, box: Rectangle) -> str:
    middle = box.x + box.width / 2
    first = box.y + (box.height - LINE * len(lines)) / 2 + LINE - 4
    return "".join(
        f'<text class="{style}" x="{middle:g}" y="{first + LINE * index:g}"'
        f' text-anchor="middle">{escape(line)}</text>'
        for index, (line, style) in enumerate(lines)
    )


def _arrow(route: Route, ways: list[_Way], layout: Layout, paint: _Paint) -> str:
    members = _members(route, ways)
    taken = any(paint.taken(way.pair) for way in members)
    names = {name for way in members for name in way.pair}
    classes = ["wf-arrow", paint.style(taken, *names)]
    if all(way.only_catch for way in members):
        classes.append("wf-catch")
    points = list(route.points)
    head = ""
    if route.heads:
        at = 0 if route.upwards else -1
        x, y = points[at]
        down = 1 if at else -1
        head = f'<path class="wf-head" d="M{x:g} {y:g}l-4.5 {-HEAD * down:g}h9Z"/>'
        points[at] = (x, y - (HEAD - 1) * down)
    d = f"M{points[0][0]:g} {points[0][1]:g}"
    for (x1, y1), (x2, y2) in zip(points, points[1:], strict=False):
        if x1 == x2:
            d += f"V{y2:g}" if y1 != y2 else ""
        else:
            half = (y1 + y2) / 2
            d += f"C{x1:g} {half:g} {x2:g} {half:g} {x2:g} {y2:g}"
    return (
        f'<g class="{" ".join(filter(None, classes))}"{_data(route, ways)}>{_title(members)}'
        f'<path class="wf-way" d="{d}"{_stroke(members, paint)}/>{head}</g>'
    )


def _members(route: Route, ways: list[_Way]) -> list[_Way]:
    """Return what a drawn line stands for: one way, or all that have joined in it."""
    if route.arrow is not None:
        return [ways[route.arrow]]
    return [way for way in ways if way.only_catch and _bundle(way) == route.bundle]


def _data(route: Route, ways: list[_Way]) -> str:
    if route.arrow is None:
        return ""
    way = ways[route.arrow]
    kinds = " ".join(t.kind for t in way.transitions) or "start"
    return f' data-from="{escape(way.pair[0])}" data-to="{escape(way.pair[1])}" data-kind="{kinds}"'


def _title(members: list[_Way]) -> str:
    details = [
        f"{t.source} to {t.target}{': ' + t.detail if t.detail else ''}"
        for way in members
        for t in way.transitions
    ]
    return f"<title>{escape(chr(10).join(details))}</title>" if details else ""


def _stroke(members: list[_Way], paint: _Paint) -> str:
    """Make an arrow the wider the more often it was taken."""
    if paint.counts is None or paint.path is not None:
        return ""
    taken = sum(paint.counts.get(way.pair, 0) for way in members)
    most = max(paint.counts.values(), default=0)
    return f' style="stroke-width:{1.6 + 2.6 * math.sqrt(taken / most):.1f}"' if taken else ""


def _loop(way: _Way, layout: Layout, paint: _Paint) -> str:
    box = layout.boxes[way.source]
    x, y = box.x + box.width, box.y + box.height / 2
    return (
        f'<g class="wf-arrow {paint.style(paint.taken(way.pair), *way.pair)}"'
        f' data-from="{escape(way.source)}" data-to="{escape(way.target)}"'
        f' data-kind="{" ".join(t.kind for t in way.transitions)}">{_title([way])}'
        f'<path class="wf-way" d="M{x:g} {y - 8:g}c22 0 22 16 {HEAD:g} 16"/>'
        f'<path class="wf-head" d="M{x:g} {y + 8:g}l{HEAD:g} -4.5v9Z"/></g>'
    )


def _label(route: Route, ways: list[_Way], paint: _Paint) -> str:
    if route.label is None:
        return ""
    members = _members(route, ways)
    box = route.label
    way = members[0]
    bundled = route.bundle is not None
    lines = way.lines if route.arrow is None or not bundled else ()
    number = paint.numbers.get(way.pair) if route.arrow is not None else None
    taken = any(paint.taken(one.pair) for one in members)
    style = paint.style(taken, *(name for one in members for name in one.pair))
    middle = box.x + box.width / 2
    found = [
        f'<g class="{style.replace("wf-taken", "")}"><rect class="wf-halo" x="{box.x:g}" y="{box.y:g}"'
        f' width="{box.width:g}" height="{box.height:g}" rx="3"/>'
    ]
    y = box.y + LINE - 3
    for line in lines:
        found.append(
            f'<text class="wf-quiet" x="{middle:g}" y="{y:g}" text-anchor="middle">'
            f"{escape(line)}</text>"
        )
        y += LINE
    if number:
        found.append(_pill(number, middle, box.y + LINE * len(lines) + 1.5))
    return "".join(found) + "</g>"


def _pill(number: str, middle: float, top: float) -> str:
    width = _pill_width(number)
    return (
        f'<rect class="wf-pill" x="{middle - width / 2:g}" y="{top:g}" width="{width:g}"'
        f' height="{PILL - 1:g}" rx="{(PILL - 1) / 2:g}"/><text class="wf-number"'
        f' x="{middle:g}" y="{top + 12.5:g}" text-anchor="middle">{escape(number)}</text>'
    )


def _legend(width: float, paint: _Paint) -> tuple[str, float]:
    words = [
        "Solid arrow: goes on",
        "dashed: after an error that no retry mended",
        "turning arrow: tried again after some errors",
        "six corners: a choice",
        "eight corners: ends in failure",
    ]
    if paint.path is not None:
        words += ["numbers on arrows: the steps in their order", "pale: not taken"]
    elif paint.counts is not None:
        words += ["numbers on arrows: how often", "pale: never"]
    lines = wrap("; ".join(words) + ".", width - 2 * MARGIN, TEXT_SIZE, lines=4)
    text = "".join(
        f'<text class="wf-quiet" x="{MARGIN}" y="{12 + LINE * index}">{escape(line)}</text>'
        for index, line in enumerate(lines)
    )
    return text, LINE * len(lines) + MARGIN


def _svg(definition: Definition, content: str, width: float, height: float, paint: _Paint) -> str:
    title = f"The state machine {definition.name}"
    if paint.path is not None:
        title += f" with the path of the execution {paint.path.name}"
    elif paint.counts is not None:
        title += " with how often each way was taken"
    # Several of them in one page have names of their own.
    mark = f"wf-{definition.name}{'-' + paint.path.name if paint.path else ''}".replace(" ", "-")
    css = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    w, h = math.ceil(width), math.ceil(height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wf" role="img" width="{w}" height="{h}"'
        f' viewBox="0 0 {w} {h}" aria-labelledby="{escape(mark)}-title {escape(mark)}-desc">'
        f'<title id="{escape(mark)}-title">{escape(title)}</title>'
        f'<desc id="{escape(mark)}-desc">{escape(describe(definition, paint))}</desc>'
        f"<style>\n{css}</style>"
        f'<rect class="wf-paper" width="{w}" height="{h}" rx="8"/>{content}</svg>\n'
    )


def describe(definition: Definition, paint: _Paint) -> str:
    """Say in sentences what the picture shows."""
    sentences = [definition.comment] if definition.comment else []
    path = paint.path
    if path is not None:
        took = "is running" if path.status == RUNNING else f"ended {path.status}"
        error = f" with {path.error}" if path.error else ""
        after = f" after {duration(path.seconds)}" if path.seconds is not None else ""
        sentences.append(f"The execution {path.name} {took}{error}{after}.")
        sentences.append(f"Its steps: {', '.join(step.state for step in path.steps)}.")
        return " ".join(sentences)
    sentences.append(f"It starts with {definition.machine.start_at}.")
    for t in definition.transitions:
        verb = "ends" if t.target == END else f"leads to {t.target}"
        when = {"catch": f" after {t.label}", "choice": f" if {t.label}", "default": " otherwise"}
        sentences.append(f"{t.source} {verb}{when.get(t.kind, '')}.")
    for (source, target), number in sorted((paint.counts or {}).items()):
        sentences.append(f"From {source} to {target}: {number:,} times.")
    return " ".join(sentences)
