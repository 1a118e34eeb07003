"""A state machine as one SVG, by itself or with what executions did painted on it."""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from operations.workflow_drawing.boxes import (
    Drawn,
    draw_group,
    draw_pill,
    draw_state,
    draw_terminal,
    group_size,
    state_size,
    terminal_size,
)
from operations.workflow_drawing.description import describe, legend, title
from operations.workflow_drawing.execution import ExecutionPath
from operations.workflow_drawing.layout import MARGIN, Layout, Route, lay_out
from operations.workflow_drawing.paint import Paint, Pair, make_paint
from operations.workflow_drawing.states import END, START, Definition, Machine, State
from operations.workflow_drawing.step_list import step_list
from operations.workflow_drawing.style import LINE, PILL, TEXT_SIZE, css
from operations.workflow_drawing.text import wrap, xml
from operations.workflow_drawing.ways import Way, machine_ways, main_way, make_arrows

HEAD = 8  # pixels: the length of an arrow's head
LEAST_WIDTH, LEAST_LIST_WIDTH = 480, 820  # pixels of the picture; with a list of steps below


def draw(
    definition: Definition,
    *,
    counts: Mapping[Pair, int] | None = None,
    after_errors: Mapping[Pair, int] | None = None,
    path: ExecutionPath | None = None,
    steps: bool = False,
) -> str:
    """Draw a state machine; return the text of an `<svg>` element.

    It brings its style along, for light and dark, and works inside of a page and as a file. The
    same arguments give the same text, on any machine.

    Args:
        definition: what is drawn.
        counts: how often each way was taken (see `transition_counts`): painted on the arrows.
        after_errors: how many of the counts came after an error (see `error_counts`): said on
            arrows that stand for success and for errors.
        path: instead of counts, one execution: its steps' numbers on the arrows, times, attempts
            and errors on the states.
        steps: whether the path's steps are listed below the picture.

    Raises:
        OtherStateMachineError: `counts` or `path` is of another state machine.
        ValueError: both of them are given, or `after_errors` without `counts`.
    """
    if counts is not None and path is not None:
        raise ValueError("counts or the path of one execution can be painted, not both")
    if after_errors is not None and counts is None:
        raise ValueError("`after_errors` says something of `counts`, which are missing")
    paint = make_paint(definition, counts, path, after_errors)
    content, width, height = _machine(definition.machine, END, paint)
    listed = path if steps else None
    room = max(width, LEAST_LIST_WIDTH if listed else LEAST_WIDTH) - width
    parts = [f'<g transform="translate({room // 2:g} 0)">{content}</g>' if room else content]
    width += room
    for text, lines_height in (
        _legend(paint, width),
        step_list(listed, width) if listed else ("", 0),
    ):
        parts.append(f'<g transform="translate(0 {height:g})">{text}</g>' if text else "")
        height += lines_height
    return _svg(definition, "".join(parts), width, height, paint)


def _machine(machine: Machine, around: str, paint: Paint) -> Drawn:
    """Draw states and arrows; `around` is the state that they are in, `END` for the outermost."""
    inner = {name: [_machine(part, name, paint) for part in state.parts] for name, state in machine.states.items()}
    ways = machine_ways(machine, around, paint)
    main = main_way(machine)
    sizes = {START: terminal_size(START)}
    for name, state in machine.states.items():
        parts = inner[name]
        sizes[name] = group_size(state, parts, paint) if parts else state_size(state, paint)
    for way in ways:
        sizes.setdefault(way.target, terminal_size(END))
    layout = lay_out(sizes, make_arrows(ways, main, paint.numbers), main)
    members = [[ways[index] for index in route.arrows] for route in layout.routes]
    drawn = sorted(  # those that were taken cover the pale ones
        zip(layout.routes, members, strict=True),
        key=lambda arrow: paint.style(*(way.pair for way in arrow[1])) != "wf-off",
    )
    found = [_arrow(route, ways_of_it, paint) for route, ways_of_it in drawn]
    found += [_loop(ways[index], layout, paint) for index in layout.loops]
    found += [_label(route, ways, paint) for route in layout.routes]
    for key, box in layout.boxes.items():
        if key not in machine.states:
            pairs = [way.pair for way in ways if key in {way.source, way.target}]
            found.append(draw_terminal(key.split("\0", 1)[0], box, paint.style(*pairs)))
        elif inner[key]:
            found.append(draw_group(machine.states[key], box, inner[key], paint))
        else:
            found.append(draw_state(machine.states[key], box, paint))
    found += [_ended(state, ways, layout, paint) for state in machine.states.values()]
    return "".join(found), layout.width, layout.height


def _arrow(route: Route, members: Sequence[Way], paint: Paint) -> str:
    points = list(route.points)
    head = ""
    if route.heads:
        at, down = (0, -1) if route.upwards else (-1, 1)
        x, y = points[at]
        head = f'<path class="wf-head" d="M{x:g} {y:g}l-5 {-HEAD * down}h10Z"/>'
        points[at] = (x, y - (HEAD - 1) * down)
    d = f"M{points[0][0]:g} {points[0][1]:g}"
    for (x1, y1), (x2, y2) in pairwise(points):
        half = (y1 + y2) / 2
        if x1 != x2:
            d += f"C{x1:g} {half:g} {x2:g} {half:g} {x2:g} {y2:g}"
        elif y1 != y2:
            d += f"V{y2:g}"
    way = f'<path class="wf-way" d="{d}"{_stroke(members, paint)}/>'
    return f"{_begin_arrow(members, not route.joined, paint)}{way}{head}</g>"


def _begin_arrow(members: Sequence[Way], one: bool, paint: Paint) -> str:
    classes = ["wf-arrow", paint.style(*(way.pair for way in members))]
    if all(way.only_catch for way in members):
        classes.append("wf-catch")
    data = ""
    if one:
        kinds = " ".join(t.kind for t in members[0].transitions) or "start"
        data = f'{_between(members[0].pair)} data-kind="{kinds}"'
    details = "\n".join(way.details for way in members if way.details)
    tooltip = f"<title>{xml(details)}</title>" if details else ""
    return f'<g class="{" ".join(filter(None, classes))}"{data}>{tooltip}'


def _between(pair: Pair) -> str:
    """Return the attributes that tell which way an element belongs to."""
    return f' data-from="{xml(pair[0])}" data-to="{xml(pair[1])}"'


def _stroke(members: Sequence[Way], paint: Paint) -> str:
    """Make an arrow the wider the more often it was taken."""
    taken = sum(paint.count(way.pair) for way in members)
    if paint.counts is None or paint.path is not None or not taken:
        return ""
    share = min(1.0, taken / max(paint.counts.values()))
    return f' style="stroke-width:{1.6 + 1.8 * math.sqrt(share):.1f}"'


def _loop(way: Way, layout: Layout, paint: Paint) -> str:
    """Return the arrow of a state that leads to itself, at its right side."""
    box = layout.boxes[way.source]
    x, y = box.x + box.width, box.y + box.height / 2
    return (
        f"{_begin_arrow([way], True, paint)}"
        f'<path class="wf-way" d="M{x:g} {y - 8:g}c22 0 22 16 {HEAD} 16"/>'
        f'<path class="wf-head" d="M{x:g} {y + 8:g}l{HEAD} -4.5v9Z"/></g>'
    )


def _label(route: Route, ways: Sequence[Way], paint: Paint) -> str:
    """Return what stands on an arrow: its words, which a bundle has only once, and its number."""
    if route.label is None:
        return ""
    box, way = route.label, ways[route.arrows[0]]
    alike = [other for other in ways if other.only_catch and other.bundle == way.bundle]
    pairs = [member.pair for member in alike] if route.joined else [way.pair]
    lines = way.lines if route.words else ()
    number = None if route.joined else paint.numbers.get(way.pair)
    middle = box.x + box.width / 2
    # What is said of some of a number stands below it; what is said of all of them, above.
    words_at = box.y + (PILL if number and way.mixed else 0)
    number_at = box.y if way.mixed else box.y + LINE * len(lines)
    classes = "wf-label wf-off" if paint.style(*pairs) == "wf-off" else "wf-label"
    found = [
        f'<g class="{classes}"{_between(way.pair) if number else ""}>'
        f'<rect class="wf-halo" x="{box.x:g}" y="{box.y:g}"'
        f' width="{box.width:g}" height="{box.height:g}" rx="3"/>'
    ]
    found += [
        f'<text class="wf-quiet" x="{middle:g}" y="{words_at + LINE * (index + 1) - 3:g}"'
        f' text-anchor="middle">{xml(line)}</text>'
        for index, line in enumerate(lines)
    ]
    if number:
        found.append(draw_pill(number, middle, number_at + 1.5))
    return "".join(found) + "</g>"


def _ended(state: State, ways: Sequence[Way], layout: Layout, paint: Paint) -> str:
    """Put at a state's lower edge how many executions ended in it without an arrow that says so.

    They are those of Fail and Succeed states, and those that an abort, a timeout, or an error that
    nobody catches ended.
    """
    if paint.counts is None or paint.path is not None:
        return ""
    drawn = {way.pair for way in ways} | {(state.name, part.start_at) for part in state.parts}
    ended = {
        pair: count for pair, count in paint.counts.items() if pair[0] == state.name and pair not in drawn and count
    }
    if not ended:
        return ""
    box = layout.boxes[state.name]
    number = f"{sum(ended.values()):,}"
    pill = draw_pill(number, box.x + box.width / 2, box.y + box.height - PILL / 4)
    return f"<g{_between(next(iter(ended)))}>{pill}</g>"


def _legend(paint: Paint, width: float) -> tuple[str, float]:
    lines = wrap(legend(paint), width - 2 * MARGIN, TEXT_SIZE, lines=5)
    text = "".join(
        f'<text class="wf-quiet" x="{MARGIN}" y="{16 + LINE * index}">{xml(line)}</text>'
        for index, line in enumerate(lines)
    )
    return text, LINE * len(lines) + MARGIN + 4


def _svg(definition: Definition, content: str, width: float, height: float, paint: Paint) -> str:
    # Pictures in one page have names of their own.
    which = f"-{paint.path.name}" if paint.path else "-counts" if paint.counts is not None else ""
    mark = re.sub(r"[^\w-]", "-", f"wf-{definition.name}{which}")
    w, h = math.ceil(width), math.ceil(height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wf" role="img" width="{w}" height="{h}"'
        f' viewBox="0 0 {w} {h}" aria-labelledby="{mark}-title"'
        f' aria-describedby="{mark}-desc">'
        f'<title id="{mark}-title">{xml(title(definition, paint))}</title>'
        f'<desc id="{mark}-desc">{xml(describe(definition, paint))}</desc>'
        f"<style>\n{css()}</style>"
        f'<rect class="wf-paper" width="{w}" height="{h}" rx="8"/>{content}</svg>\n'
    )
