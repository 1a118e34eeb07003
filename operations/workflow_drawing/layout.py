"""Where the boxes and arrows of a picture are: layered from top to bottom.

igraph's Sugiyama layout gives the order in each layer in which few arrows cross. It takes all boxes
for points, so the places along a layer are found here, by a linear program over the boxes' widths.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from operations.workflow_drawing.graph import STRIDE, Arrow, Chain, Graph, Size, build
from operations.workflow_drawing.ordering import ordered_layers

MARGIN = 12  # pixels around everything
BOX_GAP, BEND_GAP = 20, 9  # between two boxes of a layer; beside a bend of an arrow
LAYER_GAP = 7  # between layers, of which there are three to a row of boxes
HEAD_ROOM = 12  # above a box, for the arrow's head
STEEP = 0.2  # of an arrow's way sideways, that it goes down at least
MOST_GAP = 44
PORT_GAP = 24  # between two arrows at one side of a box
WIDTH_COST = 8  # a pixel more of width costs as much as so many of arrows
MIDDLE_COST = 2  # a pixel that the main way is off the middle
MAIN_WEIGHT = 8  # of an arrow along the main way, and no other

Point = tuple[float, float]


@dataclass(frozen=True)
class Rectangle:
    """A place on the picture: its left upper corner, and its size in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Route:
    """The drawn way of a chain: pairs of points, straight down in a layer, bent between layers.

    Attributes:
        points: from top to bottom; from an even to the next one straight, from an odd one bent.
        upwards: whether its arrow points up.
        heads: whether it ends in an arrow head.
        arrows: the indexes of the arrows that it is part of: of one, or of those that have joined.
        joined: whether it is the part that joined arrows share.
        label: where there is room for what is written on it.
        words: whether words are written there, or a number only.
    """

    points: tuple[Point, ...]
    upwards: bool
    heads: bool
    arrows: tuple[int, ...]
    joined: bool
    label: Rectangle | None
    words: bool


@dataclass(frozen=True)
class Layout:
    """A finished layout; `loops` are the arrows that lead back to their own box."""

    width: float
    height: float
    boxes: Mapping[str, Rectangle]
    routes: Sequence[Route]
    loops: Sequence[int]


def lay_out(boxes: Mapping[str, Size], arrows: Sequence[Arrow], main: Sequence[str]) -> Layout:
    """Lay out a graph; the boxes named in `main` come straight below each other.

    The same input gives the same layout, on any machine.
    """
    graph = build(boxes, arrows)
    layers = ordered_layers(graph)
    ports = _ports(graph, layers, set(main))
    centers = _centers(graph, layers, ports, main)
    return _Geometry(graph, layers, ports, centers).layout()


# Of each chain, how far from the middle of its first and its last vertex it begins and ends.
Ports = list[tuple[int, int]]


def _ports(graph: Graph, layers: Sequence[Sequence[int]], main: set[str]) -> Ports:
    place = {vertex: index for layer in layers for index, vertex in enumerate(layer)}
    ends: dict[tuple[int, int], list[tuple[int, int, bool]]] = defaultdict(list)
    for index, chain in enumerate(graph.chains):
        straight = _is_main(graph, chain, main)
        for side, end, beside in ((0, 0, 1), (1, -1, -2)):
            ends[chain.vertices[end], side].append((place[chain.vertices[beside]], index, straight))
    ports = [[0, 0] for _ in graph.chains]
    for (vertex, side), found in ends.items():
        box = graph.vertices[vertex]
        if box.key is None or len(found) == 1:
            continue
        found.sort()
        room = box.width - 20
        gap = min(PORT_GAP, room // (len(found) - 1))
        middle = next((i for i, end in enumerate(found) if end[2]), None)
        for i, (_, index, _) in enumerate(found):
            port = gap * (2 * i - len(found) + 1) // 2 if middle is None else gap * (i - middle)
            ports[index][side] = max(-room // 2, min(room // 2, port))
    return [(first, last) for first, last in ports]


def _is_main(graph: Graph, chain: Chain, main: set[str]) -> bool:
    ends = {graph.vertices[chain.vertices[0]].key, graph.vertices[chain.vertices[-1]].key}
    return chain.weight >= MAIN_WEIGHT and ends <= main


def _centers(graph: Graph, layers: Sequence[Sequence[int]], ports: Ports, main: Sequence[str]) -> list[int]:
    """Return where the middle of each vertex is, in pixels from the left.

    The linear program: as little way sideways as possible, bends twice as dear as boxes, with
    everything in its order and apart. All its numbers are whole, and so is the solution.
    """
    from scipy.optimize import linprog
    from scipy.sparse import lil_matrix

    pieces: list[tuple[int, int, int, int]] = []  # upper, lower, what is between them, cost
    for chain, (first, last) in zip(graph.chains, ports, strict=True):
        end = len(chain.vertices) - 2
        for index, (a, b) in enumerate(pairwise(chain.vertices)):
            shift = (first if index == 0 else 0) - (last if index == end else 0)
            bends = sum(graph.vertices[v].key is None for v in (a, b))
            pieces.append((a, b, shift, chain.weight * (1, 2, 6)[bends]))
    count = len(graph.vertices)
    width_at = count + len(pieces)
    mains = [i for i, vertex in enumerate(graph.vertices) if vertex.key in set(main)][:1]
    columns = width_at + 1 + len(mains)
    costs = [0.0] * columns
    rows: list[tuple[dict[int, float], float]] = []  # sum of coefficient times value <= bound
    for index, (a, b, shift, cost) in enumerate(pieces, start=count):
        costs[index] = cost
        rows.append(({a: 1, b: -1, index: -1}, -shift))
        rows.append(({a: -1, b: 1, index: -1}, shift))
    for layer in layers:
        for a, b in pairwise(layer):
            rows.append(({a: 1, b: -1}, -_apart(graph, a, b)))
        if layer:
            half = (graph.vertices[layer[-1]].width + 1) // 2
            rows.append(({layer[-1]: 1, width_at: -1}, -half))
    costs[width_at] = WIDTH_COST
    for index, vertex in enumerate(mains, start=width_at + 1):
        costs[index] = MIDDLE_COST
        rows.append(({vertex: 2, width_at: -1, index: -1}, 0))
        rows.append(({vertex: -2, width_at: 1, index: -1}, 0))
    matrix = lil_matrix((len(rows), columns))
    for row, (coefficients, _) in enumerate(rows):
        for column, value in coefficients.items():
            matrix[row, column] = value
    lowest = [(v.width + 1) // 2 for v in graph.vertices] + [0] * (columns - count)
    solution: Any = linprog(
        costs,
        A_ub=matrix.tocsr(),
        b_ub=[bound for _, bound in rows],
        bounds=[(low, None) for low in lowest],
        method="highs-ds",
    )
    if solution.status != 0:
        raise RuntimeError(f"no layout was found: {solution.message}")
    return [round(value) for value in solution.x[:count]]


def _apart(graph: Graph, a: int, b: int) -> int:
    left, right = graph.vertices[a], graph.vertices[b]
    gap = BOX_GAP if left.key is not None and right.key is not None else BEND_GAP
    return (left.width + 1) // 2 + (right.width + 1) // 2 + gap


class _Geometry:
    """The place of everything, once the middle of each vertex along its layer is known."""

    def __init__(
        self,
        graph: Graph,
        layers: Sequence[Sequence[int]],
        ports: Ports,
        centers: Sequence[int],
    ) -> None:
        self._graph, self._ports, self._centers = graph, ports, centers
        self._heights = [max((graph.vertices[v].height for v in layer), default=0) for layer in layers]
        self._tops = [float(MARGIN)]
        for layer, height in enumerate(self._heights[:-1]):
            self._tops.append(self._tops[-1] + height + self._gap(layer))
        self._places = [self._place(vertex) for vertex in range(len(graph.vertices))]

    def layout(self) -> Layout:
        """Return the layout."""
        vertices = self._graph.vertices
        ends = [c + v.width / 2 for c, v in zip(self._centers, vertices, strict=True)]
        return Layout(
            max(ends) + 2 * MARGIN,
            self._tops[-1] + self._heights[-1] + MARGIN,
            {v.key: p for v, p in zip(vertices, self._places, strict=True) if v.key is not None},
            [self._route(index) for index in range(len(self._graph.chains))],
            tuple(self._graph.loops),
        )

    def _gap(self, layer: int) -> int:
        """Return the room below a layer: the more, the further sideways an arrow goes there."""
        sideways = 0
        for chain, (first, last) in zip(self._graph.chains, self._ports, strict=True):
            index = layer - self._graph.vertices[chain.vertices[0]].layer
            if 0 <= index < len(chain.vertices) - 1:
                upper, lower = (self._centers[v] for v in chain.vertices[index : index + 2])
                upper += first if index == 0 else 0
                lower += last if index == len(chain.vertices) - 2 else 0
                sideways = max(sideways, abs(upper - lower))
        beside_box = 0 in {layer % STRIDE, (layer + 1) % STRIDE}
        return max(LAYER_GAP, HEAD_ROOM if beside_box else 0, min(MOST_GAP, round(STEEP * sideways)))

    def _place(self, index: int) -> Rectangle:
        vertex = self._graph.vertices[index]
        room = self._heights[vertex.layer] - vertex.height
        # Beside a far higher box, such as one with states inside, at the top; else in the middle.
        down = room / 2 if room < vertex.height or vertex.key is None else 0
        x = MARGIN + self._centers[index] - vertex.width / 2
        return Rectangle(x, self._tops[vertex.layer] + down, vertex.width, vertex.height)

    def _route(self, number: int) -> Route:
        chain, (first, last) = self._graph.chains[number], self._ports[number]
        points: list[Point] = []
        for index, vertex in enumerate(chain.vertices):
            layer, box = self._graph.vertices[vertex].layer, self._places[vertex]
            is_box = self._graph.vertices[vertex].key is not None
            x = float(MARGIN + self._centers[vertex])
            top, bottom = self._tops[layer], self._tops[layer] + self._heights[layer]
            if index == 0:
                x += first
                top = box.y + box.height if is_box else bottom
            if index == len(chain.vertices) - 1:
                x += last
                bottom = box.y if is_box else top
            points += [(x, top), (x, bottom)]
        label = None
        if chain.label is not None and self._graph.vertices[chain.label].height:
            label = self._places[chain.label]
        return Route(
            tuple(points),
            chain.upwards,
            chain.heads,
            chain.arrows,
            chain.joined,
            label,
            chain.words,
        )
