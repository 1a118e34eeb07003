"""Lay out and draw a graph with Graphviz: text in the DOT language to SVG elements."""

import shutil
import subprocess
import sysconfig
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from common.errors import ExpectedError

SVG = "{http://www.w3.org/2000/svg}"
PROGRAM = "graphviz-pure"
TIMEOUT_S = 120

ET.register_namespace("", SVG.strip("{}"))


class GraphvizError(ExpectedError):
    """Graphviz is not installed, ended with an error, or took too long."""


class Mark(NamedTuple):
    """Class and data attributes of an element, and the text of its title."""

    attributes: Mapping[str, str] = MappingProxyType({})
    tooltip: str = ""


class Drawing(NamedTuple):
    """A drawn graph: its `<g>` element, and its size in pixels."""

    group: ET.Element
    width: float
    height: float


def draw_graph(dot: str, marks: Mapping[str, Mark]) -> Drawing:
    """Draw a graph; `marks` are those of its nodes and edges by their `id` in the DOT text."""
    program = shutil.which(PROGRAM, path=sysconfig.get_path("scripts")) or PROGRAM
    try:
        done = subprocess.run(  # noqa: S603  the program of a pinned package
            [program, "-Tsvg"], input=dot.encode(), capture_output=True, check=True, timeout=TIMEOUT_S
        )
    except FileNotFoundError as error:
        raise GraphvizError(f"{PROGRAM}, which draws the state machines, is missing: run `make setup`.") from error
    except subprocess.SubprocessError as error:
        raise GraphvizError(f"{PROGRAM} could not draw the state machine: {error}") from error
    root = ET.fromstring(done.stdout)  # noqa: S314  Graphviz wrote it
    group = root[0]
    for element in list(group.iter(f"{SVG}g")):
        mark = marks.get(element.get("id", ""), Mark())
        for name in ("id", "class"):
            element.attrib.pop(name, None)
        element.attrib.update(mark.attributes)
        title = element.find(f"{SVG}title")  # the graph has none
        if title is not None and mark.tooltip:
            title.text = mark.tooltip
        elif title is not None:
            element.remove(title)
    return Drawing(group, *(float(root.get(side, "").removesuffix("pt")) for side in ("width", "height")))


def bounds(element: ET.Element) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the outline of a node."""
    outline = next(child for child in element if child.tag in {f"{SVG}polygon", f"{SVG}path"})
    text = outline.get("points") or outline.get("d") or ""
    numbers = [float(number) for number in text.translate(str.maketrans("MC,", "   ")).split()]
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
