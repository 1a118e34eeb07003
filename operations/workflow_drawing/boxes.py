"""The boxes of a picture: what stands in them, how large they are, and their SVG."""

import math
from collections.abc import Sequence

from common.pages.words import duration
from operations.workflow_drawing.execution import Step
from operations.workflow_drawing.graph import Size
from operations.workflow_drawing.layout import Rectangle
from operations.workflow_drawing.paint import Paint
from operations.workflow_drawing.shapes import outline, retry_mark
from operations.workflow_drawing.states import State, short_error
from operations.workflow_drawing.style import LINE, NAME_SIZE, PILL, TEXT_SIZE
from operations.workflow_drawing.text import clip, pill_width, shorten, text_width, wrap, xml

NAME_WIDTH = 150  # pixels of a line in a box, at most
PAD, TERMINAL_PAD, RETRY_PAD = 12, 8, 5  # beside the text; more where there is a mark for retries
SHOWN_INPUT = 300  # characters in a state's tooltip
TOLD_VISITS = 3  # in a state's tooltip

Lines = list[tuple[str, str]]  # what stands in a box: each line with its class
Drawn = tuple[str, float, float]  # SVG of a machine, its width and height


def state_size(state: State, paint: Paint) -> Size:
    """Return the size of a state without others in it."""
    return _size(_lines(state, paint), PAD + (RETRY_PAD if state.retries else 0))


def terminal_size(word: str) -> Size:
    """Return the size of a start or an end."""
    return _size([(word, "wf-quiet")], TERMINAL_PAD)


def group_size(state: State, parts: Sequence[Drawn], paint: Paint) -> Size:
    """Return the size of a state with machines in it."""
    lines = _group_lines(state, paint)
    width = max(
        sum(width for _, width, _ in parts),
        max(_line_width(text, style) for text, style in lines) + 2 * PAD,
    )
    height = max(height for _, _, height in parts) + len(lines) * LINE + 8
    return (2 * math.ceil(width / 2), math.ceil(height))


def draw_state(state: State, box: Rectangle, paint: Paint) -> str:
    """Return a state without others in it."""
    double = f'<path class="wf-inner" d="{outline(state.kind, box, 3)}"/>' if state.kind in {"Succeed", "Fail"} else ""
    return (
        f"{_begin(state, paint)}"
        f'<path class="wf-shape" d="{outline(state.kind, box)}"/>{double}'
        f"{_text(_lines(state, paint), box)}{_retries(state, box)}</g>"
    )


def draw_group(state: State, box: Rectangle, parts: Sequence[Drawn], paint: Paint) -> str:
    """Return a state with machines in it, side by side."""
    lines = _group_lines(state, paint)
    head = Rectangle(box.x, box.y + 5, box.width, len(lines) * LINE)
    found = [
        f"{_begin(state, paint)}"
        f'<path class="wf-shape wf-group" d="{outline(state.kind, box)}"/>'
        f"{_text(lines, head)}{_retries(state, box)}</g>"
    ]
    x = box.x + (box.width - sum(width for _, width, _ in parts)) / 2
    for content, width, _ in parts:
        found.append(f'<g transform="translate({x:g} {head.y + head.height:g})">{content}</g>')
        x += width
    return "".join(found)


def draw_terminal(word: str, box: Rectangle, style: str) -> str:
    """Return a start or an end."""
    return (
        f'<g class="{style}"><path class="wf-shape" d="{outline("Terminal", box)}"/>'
        f"{_text([(word, 'wf-quiet')], box)}</g>"
    )


def draw_pill(number: str, middle: float, top: float) -> str:
    """Return a number with a line around it."""
    width = pill_width(number)
    return (
        f'<rect class="wf-pill" x="{middle - width / 2:g}" y="{top:g}" width="{width:g}"'
        f' height="{PILL - 1}" rx="{(PILL - 1) / 2:g}"/><text class="wf-number"'
        f' x="{middle:g}" y="{top + 12.5:g}" text-anchor="middle">{xml(number)}</text>'
    )


def _lines(state: State, paint: Paint) -> Lines:
    lines = [(line, "wf-name") for line in wrap(state.name, NAME_WIDTH, NAME_SIZE, bold=True)]
    lines += [(line, "wf-quiet") for line in wrap(state.does, NAME_WIDTH, TEXT_SIZE)]
    return lines + _visit_lines(state, paint.visits.get(state.name, []))


def _group_lines(state: State, paint: Paint) -> Lines:
    visits = _visit_lines(state, paint.visits.get(state.name, []))
    return [(state.name, "wf-name"), (state.does, "wf-quiet"), *visits]


def _visit_lines(state: State, visits: Sequence[Step]) -> Lines:
    """Say how long the visits to a state took, how often it was tried, what it failed with."""
    if not visits:
        return []
    known = [visit.seconds for visit in visits if visit.seconds is not None]
    words = [duration(sum(known)) if len(known) == len(visits) else "still in it"]
    if len(visits) > 1:
        words.append(f"{len(visits)} visits")
    attempts = sum(visit.attempts for visit in visits)
    if attempts > len(visits):
        words.append(f"{attempts} attempts")
    lines = [(" · ".join(words), "")]
    errors = list(dict.fromkeys(visit.error for visit in visits if visit.error))
    if errors and state.does != f"fails: {errors[0]}":  # which stands there already
        words = [short_error(error) for error in errors]
        lines.append((clip(", ".join(words), NAME_WIDTH, TEXT_SIZE, bold=True), "wf-error"))
    return lines


def _size(lines: Lines, pad: int) -> Size:
    width = max(_line_width(text, style) for text, style in lines) + 2 * pad
    return (2 * math.ceil(width / 2), len(lines) * LINE + (12 if len(lines) > 1 else 6))


def _line_width(text: str, style: str) -> float:
    name = style == "wf-name"
    return text_width(text, NAME_SIZE if name else TEXT_SIZE, name or style == "wf-error")


def _begin(state: State, paint: Paint) -> str:
    classes = f"wf-state {paint.state_style(state.name)}".strip()
    lines = [f"{state.name} ({state.kind})", state.comment]
    lines += [f"Tried again up to {attempts} times after: {', '.join(errors)}" for errors, attempts in state.retries]
    for visit in paint.visits.get(state.name, [])[:TOLD_VISITS]:
        if visit.input is not None:
            lines.append(f"Input: {shorten(visit.input, SHOWN_INPUT)}")
        if visit.error:
            lines.append(f"Error: {visit.error}: {shorten(visit.cause or '', SHOWN_INPUT)}")
    tooltip = "\n".join(line for line in lines if line)
    return f'<g class="{classes}" data-state="{xml(state.name)}"><title>{xml(tooltip)}</title>'


def _retries(state: State, box: Rectangle) -> str:
    return retry_mark(box.x + box.width - 10, box.y + 10) if state.retries else ""


def _text(lines: Lines, box: Rectangle) -> str:
    middle = box.x + box.width / 2
    first = box.y + (box.height - LINE * len(lines)) / 2 + LINE - 4
    return "".join(
        f'<text class="{style}" x="{middle:g}" y="{first + LINE * index:g}" text-anchor="middle">{xml(line)}</text>'
        for index, (line, style) in enumerate(lines)
    )
