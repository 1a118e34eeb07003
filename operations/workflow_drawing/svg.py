"""Draw a state machine as one SVG, alone or with its executions."""

import math
import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from common.pages.formatting import duration
from operations.workflow_drawing.arrows import Arrow, backward_arrows, find_arrows, main_path
from operations.workflow_drawing.description import (
    clock,
    describe,
    duration_text,
    error_text,
    headline,
    legend,
    listed_steps,
    title,
)
from operations.workflow_drawing.execution import ExecutionPath
from operations.workflow_drawing.graphviz import SVG, Drawing, Mark, bounds, draw_graph
from operations.workflow_drawing.overlay import Overlay, make_overlay
from operations.workflow_drawing.states import END, START, Definition, Machine, Pair, State, short_error
from operations.workflow_drawing.text import printable, shorten, wrap, xml

# Each color in light and dark pictures. Elements have the light one, also for viewers without CSS.
COLORS = {
    "paper": ("#ffffff", "#0d1117"),
    "card": ("#f6f8fa", "#161b22"),
    "ink": ("#1f2328", "#e6edf3"),
    "quiet": ("#57606a", "#9ea7b3"),
    "line": ("#6e7781", "#8b949e"),
    "faint": ("#c2c6cb", "#42484f"),
    "executed": ("#0550ae", "#79b8ff"),
    "bad": ("#b3261e", "#ff8a80"),
    "pill": ("#ddf4ff", "#12304f"),
    "number": ("#0a3069", "#e0eeff"),  # of no other text
}
LIGHT = {name: light for name, (light, _) in COLORS.items()}
SHAPES = {
    "Pass": "shape=box",
    "Choice": "shape=hexagon margin=0",
    "Wait": "shape=oval margin=0",
    "Succeed": 'shape=box style="rounded,filled" peripheries=2',
    "Fail": 'shape=box style="diagonals,filled"',
}
DEFAULT_SHAPE = 'shape=box style="rounded,filled"'
NAME_SIZE, TEXT_SIZE = 13, 12  # pixels
NAME_LENGTH, ACTION_LENGTH, LABEL_LENGTH = 24, 28, 20  # characters of a line
LEGEND_LENGTH, LISTED_LENGTH = 110, 85
MAX_INPUT, MAX_LISTED_INPUT, MAX_LISTED_CAUSE = 300, 90, 300  # characters
MAX_TOOLTIP_VISITS = 3
MAIN_WEIGHT, RAIL_WEIGHT, WEIGHT = 20, 6, 3  # how straight an arrow is; 1 for a Catch


def draw(
    definition: Definition,
    *,
    counts: Mapping[Pair, int] | None = None,
    after_errors: Mapping[Pair, int] | None = None,
    path: ExecutionPath | None = None,
    steps: bool = False,
) -> str:
    """Draw a state machine; return the text of an `<svg>` element.

    It contains its style, for light and dark, and works inside of a page and as a file. The same
    arguments give the same text on any machine.

    Args:
        definition: the state machine.
        counts: how often each transition was executed (see `transition_counts`).
        after_errors: how many of the counts came after an error (see `error_counts`).
        path: instead of counts, one execution: its steps' numbers on the arrows, times, attempts
            and errors on the states.
        steps: whether the path's steps are listed below the picture.

    Raises:
        OtherStateMachineError: `counts` or `path` is of another state machine.
    """
    overlay = make_overlay(definition, counts, path, after_errors)
    footer = [[_cell(line, "quiet", columns=4)] for line in wrap(legend(overlay), LEGEND_LENGTH)]
    if path is not None and steps:
        footer += _step_rows(path)
    drawing = _MachineDrawing(definition.machine, END, overlay).draw(footer)
    # Pictures in one page need different ids.
    suffix = f"-{overlay.path.name}" if overlay.path else "-counts" if overlay.counts is not None else ""
    mark = re.sub(r"[^\w-]", "-", f"wf-{definition.name}{suffix}")
    width, height = math.ceil(drawing.width), math.ceil(drawing.height)
    group = ET.tostring(drawing.group, encoding="unicode").replace(f' xmlns="{SVG.strip("{}")}"', "", 1)
    return (
        f'<svg xmlns="{SVG.strip("{}")}" class="wf" role="img" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" aria-labelledby="{mark}-title" aria-describedby="{mark}-desc">'
        f'<title id="{mark}-title">{xml(title(definition, overlay))}</title>'
        f'<desc id="{mark}-desc">{xml(describe(definition, overlay))}</desc>'
        f"<style>\n{_dark_style()}</style>{group}</svg>\n"
    )


def _dark_style() -> str:
    rules = "".join(
        f'  .wf [{paint}="{light}"] {{ {paint}: {dark}; }}\n'
        for light, dark in COLORS.values()
        for paint in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark) {{\n{rules}}}\n"


def _cell(text: str, color: str = "ink", *, bold: bool = False, size: int = TEXT_SIZE, columns: int = 0) -> str:
    """Return a cell of a table; with `columns`, one that spans so many and is aligned to the left."""
    content = xml(text) or " "
    content = f'<FONT COLOR="{LIGHT[color]}" POINT-SIZE="{size}">{f"<B>{content}</B>" if bold else content}</FONT>'
    span = f' ALIGN="LEFT" COLSPAN="{columns}"' if columns else ""
    return f"<TD{span}>{content}</TD>"


def _pill(number: str) -> str:
    """Return a cell with a number in a frame."""
    return (
        f'<TD BORDER="1" STYLE="ROUNDED" CELLPADDING="3" COLOR="{LIGHT["executed"]}" BGCOLOR="{LIGHT["pill"]}">'
        f'<FONT COLOR="{LIGHT["number"]}"><B>{xml(number)}</B></FONT></TD>'
    )


def _table(rows: Sequence[Sequence[str]], padding: int = 0) -> str:
    """Return rows of cells as an HTML-like label of Graphviz."""
    cells = "".join(f"<TR>{''.join(row)}</TR>" for row in rows)
    return f'<<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="{padding}">{cells}</TABLE>>'


def _step_rows(path: ExecutionPath) -> Iterator[list[str]]:
    """Yield the rows of the list of steps: number, time, duration, and the state with its input."""
    yield [_cell(" ", columns=4)]
    yield [_cell(f"Execution {path.name}", bold=True, columns=4)]
    for line in wrap(headline(path), LEGEND_LENGTH):
        yield [_cell(line, columns=4)]
    blank = [_cell(" ")] * 3
    for number, step in listed_steps(path):
        if step is None:
            yield [*blank, _cell(f"{number:,} more steps", "quiet", columns=1)]
            continue
        yield [
            _cell(str(number), bold=True, columns=1),
            _cell(clock(step.entered), "quiet", columns=1),
            _cell(duration_text(step), columns=1),
            _cell(step.state, bold=True, columns=1),
        ]
        if step.input is not None:
            yield [*blank, _cell(f"input {shorten(step.input, MAX_LISTED_INPUT)}", "quiet", columns=1)]
        if step.failure:
            for line in wrap(error_text(step.failure, MAX_LISTED_CAUSE), LISTED_LENGTH):
                yield [*blank, _cell(line, "bad", bold=True, columns=1)]


class _MachineDrawing:
    """Writes the DOT text of a machine; `parent` is the state that contains it, or `END`."""

    def __init__(self, machine: Machine, parent: str, overlay: Overlay) -> None:
        self._machine, self._parent, self._overlay = machine, parent, overlay
        self._arrows = find_arrows(machine, parent)
        self._backward, self._layers = backward_arrows(self._arrows)
        self._main = main_path(machine, self._arrows)
        names = dict.fromkeys([START, *machine.states, *(arrow.target for arrow in self._arrows)])
        self._ids = {name: f"n{index}" for index, name in enumerate(names)}
        self._dot: list[str] = []
        self._marks: dict[str, Mark] = {}

    def draw(self, footer: Sequence[Sequence[str]] = ()) -> Drawing:
        """Draw the machine, with rows of text below it."""
        inner = {
            name: [_MachineDrawing(machine, name, self._overlay).draw() for machine in state.machines]
            for name, state in self._machine.states.items()
        }
        for name in self._ids:
            if name in self._machine.states:
                self._state(self._machine.states[name], inner[name])
            else:
                self._terminal(name)
        bundles = Counter(arrow.bundle for arrow in self._arrows if arrow.only_catch and arrow not in self._backward)
        rails: dict[tuple[str, ...], list[Arrow]] = defaultdict(list)
        for arrow in self._arrows:
            if arrow.only_catch and arrow not in self._backward and bundles[arrow.bundle] > 1:
                rails[arrow.bundle].append(arrow)
            else:
                self._arrow(arrow)
        for members in rails.values():
            self._rail(members)
        background = LIGHT["paper"] if self._parent == END else "transparent"
        table = f"label={_table(footer, 2)}" if footer else ""
        drawing = draw_graph(
            f"digraph {{ graph [outputorder=edgesfirst nodesep=0.2 ranksep=0.33 pad=0.15 mclimit=10"
            f' bgcolor="{background}"'
            f" fontname=Helvetica fontsize={TEXT_SIZE} labelloc=b labeljust=l {table}]\n"
            f'node [fontname=Helvetica fontsize={TEXT_SIZE} width=0.3 height=0.3 margin="0.12,0.07" style=filled]\n'
            f"edge [fontname=Helvetica fontsize={TEXT_SIZE} arrowsize=0.8]\n" + "\n".join(self._dot) + "}",
            self._marks,
        )
        for element in list(drawing.group):
            self._finish(drawing, element, inner)
        return drawing

    def _finish(self, drawing: Drawing, element: ET.Element, inner: Mapping[str, Sequence[Drawing]]) -> None:
        """Mark the numbers of an element, and put the machines of a state inside of it."""
        for text in element.iter(f"{SVG}text"):
            if text.get("fill") == LIGHT["number"]:
                text.set("class", "wf-number")
        machines = inner.get(element.get("data-state", ""), ())
        if machines:
            left, _, right, bottom = bounds(element)
            x = (left + right - sum(machine.width for machine in machines)) / 2
            height = max(machine.height for machine in machines)
            for machine in machines:
                group = ET.SubElement(drawing.group, f"{SVG}g", transform=f"translate({x:.2f} {bottom - height:.2f})")
                group.append(machine.group)
                x += machine.width

    def _node(self, key: str, mark: Mark, attributes: str) -> None:
        self._marks[key] = mark
        self._dot.append(f"{key} [id={key} {attributes}]")

    def _edge(self, tail: str, head: str, mark: Mark, attributes: str) -> None:
        key = f"e{len(self._dot)}"
        self._marks[key] = mark
        self._dot.append(f"{tail} -> {head} [id={key} {attributes}]")

    def _state(self, state: State, machines: Sequence[Drawing]) -> None:
        css = self._overlay.state_class(state.name)
        pale = css == "wf-off"
        names = [state.name] if machines else wrap(state.name, NAME_LENGTH)
        rows = [[_cell(line, "quiet" if pale else "ink", bold=True, size=NAME_SIZE)] for line in names]
        action = f"{state.action}, retries" if state.retries else state.action
        rows += [[_cell(line, "quiet")] for line in wrap(action, ACTION_LENGTH)]
        rows += self._visit_rows(state)
        attributes = {"class": f"wf-state {css}".strip(), "data-state": printable(state.name)}
        ended = self._ended(state)
        if ended:
            rows.append([_pill(f"{sum(ended.values()):,}")])
            attributes |= _data(next(iter(ended)))
        if machines:
            width, height = sum(m.width for m in machines), max(m.height for m in machines)
            rows.append([f'<TD FIXEDSIZE="TRUE" WIDTH="{width:.0f}" HEIGHT="{height:.0f}"></TD>'])
        fill = LIGHT["paper" if machines or pale else "card"]
        shape = SHAPES.get(state.kind, DEFAULT_SHAPE) + (' margin="0.02,0.06"' if machines else "")
        self._node(
            self._ids[state.name],
            Mark(attributes, self._tooltip(state)),
            f'{shape} fillcolor="{fill}" {_stroke(css)} label={_table(rows)}',
        )

    def _visit_rows(self, state: State) -> list[list[str]]:
        """Return how long the visits to a state took, how often it was attempted, and its errors."""
        visits = self._overlay.visits(state.name)
        if not visits:
            return []
        known = [visit.seconds for visit in visits if visit.seconds is not None]
        facts = [duration(sum(known)) if len(known) == len(visits) else "running"]
        attempts = sum(visit.attempts for visit in visits)
        facts += [f"{len(visits)} visits"] * (len(visits) > 1) + [f"{attempts} attempts"] * (attempts > len(visits))
        rows = [[_cell(" · ".join(facts))]]
        errors = ", ".join(dict.fromkeys(short_error(visit.failure.error) for visit in visits if visit.failure))
        if errors and state.action != f"fails: {errors}":  # which is there already
            rows += [[_cell(line, "bad", bold=True)] for line in wrap(errors, 30)]
        return rows

    def _ended(self, state: State) -> dict[Pair, int]:
        """Return how many executions ended in a state without an arrow that says so.

        They are those of Fail and Succeed states, and those that an abort, a timeout, or an error
        that nothing catches ended.
        """
        if self._overlay.counts is None or self._overlay.path is not None:
            return {}
        drawn = {arrow.pair for arrow in self._arrows} | {(state.name, m.start_at) for m in state.machines}
        counts = self._overlay.counts.items()
        return {pair: count for pair, count in counts if pair[0] == state.name and pair not in drawn and count}

    def _tooltip(self, state: State) -> str:
        lines = [f"{state.name} ({state.kind})", state.comment]
        lines += [f"Retried up to {attempts} times after: {', '.join(errors)}" for errors, attempts in state.retries]
        for visit in self._overlay.visits(state.name)[:MAX_TOOLTIP_VISITS]:
            if visit.input is not None:
                lines.append(f"Input: {shorten(visit.input, MAX_INPUT)}")
            if visit.failure:
                lines.append(f"Error: {error_text(visit.failure, MAX_INPUT)}")
        return printable("\n".join(filter(None, lines)))

    def _terminal(self, name: str) -> None:
        pairs = [arrow.pair for arrow in self._arrows if name in {arrow.source, arrow.target}]
        css = self._overlay.arrow_class(*pairs)
        label = _table([[_cell(START if name == START else END, "quiet")]])
        fill = LIGHT["paper" if css == "wf-off" else "card"]
        self._node(
            self._ids[name],
            Mark({"class": css} if css else {}),
            f'{DEFAULT_SHAPE} fillcolor="{fill}" {_stroke(css)} label={label}',
        )

    def _arrow(self, arrow: Arrow) -> None:
        main = (arrow.source, arrow.target) in self._main
        weight = MAIN_WEIGHT if main else 1 if arrow.only_catch else WEIGHT
        source, target = self._ids[arrow.source], self._ids[arrow.target]
        style = f"weight={weight} {self._line([arrow])}"
        rows = self._number_rows(arrow) + self._condition_rows(arrow)
        if rows and source == target:  # Graphviz places the label beside such an arrow
            self._edge(source, target, self._mark(arrow), f"{style} label={_table(rows, 1)}")
        elif rows and arrow in self._backward:
            node = self._label_node(arrow, _table(rows, 1))
            self._edge(target, node, self._mark(arrow, first=False), f"{style} headport=n dir=back")
            self._edge(node, source, self._mark(arrow), f"{style} tailport=s dir=none")
        else:
            self._forward(arrow, target, rows, style)

    def _forward(self, arrow: Arrow, head: str, rows: Sequence[Sequence[str]], style: str, end: str = "") -> None:
        """Add the edge of an arrow that points down, through its label if it has one."""
        source = self._ids[arrow.source]
        if not rows:
            self._edge(source, head, self._mark(arrow), f"{style} {end}")
            return
        node = self._label_node(arrow, _table(rows, 1))
        self._edge(source, node, self._mark(arrow), f"{style} headport=n dir=none")
        self._edge(node, head, self._mark(arrow, first=False), f"{style} tailport=s {end}")

    def _rail(self, arrows: Sequence[Arrow]) -> None:
        """Join the arrows of the same errors to the same state on one line; each keeps its number."""
        layers: dict[int, list[Arrow]] = defaultdict(list)
        for arrow in sorted(arrows, key=lambda arrow: self._layers[arrow.source]):
            layers[self._layers[arrow.source]].append(arrow)
        group = f"group=r{len(self._dot)}"
        previous, joined = "", list[Arrow]()
        for members in layers.values():
            junction = f"j{len(self._dot)}"
            self._node(junction, Mark(), f"shape=point style=invis width=0.01 height=0.01 {group}")
            if previous:
                self._rail_piece(previous, junction, joined, "dir=none headclip=false")
            for arrow in members:
                self._forward(arrow, junction, self._number_rows(arrow), self._line([arrow]), "dir=none headclip=false")
            previous = junction
            if not joined:
                previous = self._label_node(None, f"{_table(self._condition_rows(arrows[0]), 1)} {group}")
                self._rail_piece(junction, previous, members, "dir=none")
            joined += members
        self._rail_piece(previous, self._ids[arrows[0].target], joined, "")

    def _rail_piece(self, tail: str, head: str, joined: Sequence[Arrow], attributes: str) -> None:
        tooltip = "\n".join(arrow.tooltip for arrow in joined)
        clip = "tailclip=false" if tail.startswith("j") else ""
        style = f"weight={RAIL_WEIGHT} {self._line(joined)} {clip} {attributes}"
        self._edge(tail, head, Mark({"class": self._css(joined)}, printable(tooltip)), style)

    def _condition_rows(self, arrow: Arrow) -> list[list[str]]:
        return [[_cell(line, "quiet")] for line in wrap(arrow.label(self._overlay), LABEL_LENGTH)]

    def _number_rows(self, arrow: Arrow) -> list[list[str]]:
        number = self._overlay.numbers.get(arrow.pair)
        return [[_pill(number)]] if number else []

    def _label_node(self, arrow: Arrow | None, label: str) -> str:
        """Add a node with the label of an arrow, or of a rail; return its key."""
        key = f"l{len(self._dot)}"
        attributes = {"class": "wf-label"} | (_data(arrow.pair) if arrow else {})
        self._node(key, Mark(attributes), f'shape=plain fillcolor="{LIGHT["paper"]}" label={label}')
        return key

    def _css(self, arrows: Sequence[Arrow]) -> str:
        catch = "wf-catch" if all(arrow.only_catch for arrow in arrows) else ""
        return " ".join(filter(None, ["wf-arrow", self._overlay.arrow_class(*(a.pair for a in arrows)), catch]))

    def _mark(self, arrow: Arrow, *, first: bool = True) -> Mark:
        """Return the mark of the first part of an arrow, or of the part beyond its label."""
        attributes = {"class": self._css([arrow])} | _data(arrow.pair)
        if not first:
            return Mark(attributes)
        kinds = " ".join(transition.kind for transition in arrow.transitions)
        return Mark(attributes | {"data-kind": kinds}, printable(arrow.tooltip))

    def _line(self, arrows: Sequence[Arrow]) -> str:
        """Return the style of a line: the wider, the more often it was executed."""
        counts = self._overlay.counts
        executed = sum(self._overlay.count(arrow.pair) for arrow in arrows)
        width = 2.6
        if counts and executed and self._overlay.path is None:
            width = 1.6 + 1.8 * math.sqrt(min(1.0, executed / max(counts.values())))
        dashed = "style=dashed" if all(arrow.only_catch for arrow in arrows) else ""
        return f"{dashed} {_stroke(self._overlay.arrow_class(*(arrow.pair for arrow in arrows)), width)}"


def _stroke(css: str, width: float = 2.4) -> str:
    """Return color and width of a line; `width` is that of an executed one."""
    color = "bad" if "failed" in css else "executed" if "executed" in css else "faint" if "off" in css else "line"
    return f'color="{LIGHT[color]}" penwidth={width if color in {"bad", "executed"} else 1.3:.1f}'


def _data(pair: Pair) -> dict[str, str]:
    """Return the attributes that name the transition of an element."""
    return {"data-from": printable(pair[0]), "data-to": printable(pair[1])}
