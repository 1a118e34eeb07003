"""Where the boxes and arrows of a picture are: layered from top to bottom.

igraph's Sugiyama layout gives the order in each layer in which few arrows cross. It takes all boxes
for points, so the places along a layer are found here, by a linear program over the boxes' widths.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from training.workflow_drawing.graph import STRIDE, Arrow, Chain, Graph, Size, build

STARTS = 24  # orders that the search for few crossings begins with
MARGIN = 12  # pixels around everything
BOX_GAP, BEND_GAP = 20, 9  # between two boxes of a layer; beside a bend of an arrow
LAYER_GAP = 7  # between layers, of which there are three to a row of boxes
HEAD_ROOM = 12  # above a box, for the arrow's head
STEEP = 0.13  # of an arrow's way sideways, that it goes down at least
MOST_GAP = 40
PORT_GAP = 24  # between two arrows at one side of a box
WIDTH_COST = 3  # a pixel more of width costs as much as so many of arrows
MIDDLE_COST = 2  # a pixel that the main way is off the middle

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
        arrow: the index of the arrow, or None for the joined part of a bundle.
        bundle: the bundle's name, if it belongs to one.
        label: where there is room for what is written on it.
    """

    points: tuple[Point, ...]
    upwards: bool
    heads: bool
    arrow: int | None
    bundle: str | None
    label: Rectangle | None


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
    layers = _ordered(graph)
    ports = _ports(graph, layers, set(main))
    centers = _centers(graph, layers, ports, main)
    return _placed(graph, layers, ports, centers)


def _ordered(graph: Graph) -> list[list[int]]:
    """Return the vertices of each layer from left to right, with few crossings."""
    import igraph  # noqa: PLC0415  --help does without

    segments = graph.segments()
    below: dict[int, list[tuple[int, int]]] = defaultdict(list)
    above: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for upper, lower, weight in segments:
        below[upper].append((lower, weight))
        above[lower].append((upper, weight))
    count = len(graph.vertices)
    best: list[list[int]] = []
    fewest = None
    for start in range(STARTS):
        # igraph improves the order that vertices have, and ends in the nearest good one.
        order = list(range(count))
        if start:
            Random(start).shuffle(order)  # noqa: S311  the same on every machine, and no secret
        place = {vertex: index for index, vertex in enumerate(order)}
        drawn = igraph.Graph(
            count, [(place[upper], place[lower]) for upper, lower, _ in segments], directed=True
        )
        coordinates = drawn.layout_sugiyama(
            layers=[graph.vertices[vertex].layer for vertex in order]
        )
        layers = _grouped(graph, {v: coordinates[place[v]][0] for v in range(count)})
        _sift(layers, below, above)
        crossings = _crossings(layers, below)
        if fewest is None or crossings < fewest:
            best, fewest = layers, crossings
    return best


def _grouped(graph: Graph, x: Mapping[int, float]) -> list[list[int]]:
    layers: list[list[int]] = [[] for _ in range(max(v.layer for v in graph.vertices) + 1)]
    for vertex in sorted(x, key=lambda v: (x[v], v)):
        layers[graph.vertices[vertex].layer].append(vertex)
    return layers


Neighbours = Mapping[int, Sequence[tuple[int, int]]]


def _sift(layers: list[list[int]], below: Neighbours, above: Neighbours) -> None:
    """Move each vertex to the best place in its layer, until nothing gets better."""
    place = {vertex: index for layer in layers for index, vertex in enumerate(layer)}

    def swap_gain(left: int, right: int) -> int:
        gain = 0
        for near in (below, above):
            for a, weight_a in near.get(left, ()):
                for b, weight_b in near.get(right, ()):
                    if place[a] != place[b]:
                        gain += (1 if place[a] > place[b] else -1) * weight_a * weight_b
        return gain

    improved = True
    while improved:
        improved = False
        for layer in layers:
            for vertex in tuple(layer):
                start = layer.index(vertex)
                gains = {start: 0}
                for step in (-1, 1):
                    total, index = 0, start
                    while 0 <= index + step < len(layer):
                        index += step
                        pair = (layer[index], vertex) if step < 0 else (vertex, layer[index])
                        total += swap_gain(*pair)
                        gains[index] = total
                target = max(gains, key=lambda i: (gains[i], -abs(i - start), -i))
                if gains[target] > 0:
                    layer.insert(target, layer.pop(start))
                    place.update((v, i) for i, v in enumerate(layer))
                    improved = True


def _crossings(layers: Sequence[Sequence[int]], below: Neighbours) -> int:
    place = {vertex: index for layer in layers for index, vertex in enumerate(layer)}
    total = 0
    for layer in layers:
        ways = [(i, place[low], w) for i, v in enumerate(layer) for low, w in below.get(v, ())]
        total += sum(
            weight * other_weight
            for n, (a, b, weight) in enumerate(ways)
            for c, d, other_weight in ways[n + 1 :]
            if (a - c) * (b - d) < 0
        )
    return total


# Of each chain, how far from the middle of its first and its last vertex it begins and ends.
Ports = list[tuple[int, int]]


def _ports(graph: Graph, layers: Sequence[Sequence[int]], main: set[str]) -> Ports:
    place = {vertex: index for layer in layers for index, vertex in enumerate(layer)}
    ends: dict[tuple[int, int], list[tuple[int, int, bool]]] = defaultdict(list)
    for index, chain in enumerate(graph.chains):
        ends[chain.vertices[0], 0].append(
            (place[chain.vertices[1]], index, _is_main(graph, chain, main))
        )
        ends[chain.vertices[-1], 1].append(
            (place[chain.vertices[-2]], index, _is_main(graph, chain, main))
        )
    ports = [[0, 0] for _ in graph.chains]
    for (vertex, side), found in ends.items():
        box = graph.vertices[vertex]
        if box.key is None or len(found) == 1:
            continue
        found.sort()
        room = box.width - 20
        gap = min(PORT_GAP, room // (len(found) - 1))
        middle = next((i for i, end in enumerate(found) if end[2]), None)
        for i, (_, chain, _) in enumerate(found):
            port = gap * (2 * i - len(found) + 1) // 2 if middle is None else gap * (i - middle)
            ports[chain][side] = max(-room // 2, min(room // 2, port))
    return [(first, last) for first, last in ports]


def _is_main(graph: Graph, chain: Chain, main: set[str]) -> bool:
    ends = {graph.vertices[chain.vertices[0]].key, graph.vertices[chain.vertices[-1]].key}
    return chain.weight >= MAIN_WEIGHT and ends <= main


MAIN_WEIGHT = 8  # of arrows along the main way


def _centers(
    graph: Graph, layers: Sequence[Sequence[int]], ports: Ports, main: Sequence[str]
) -> list[int]:
    """Return where the middle of each vertex is, in pixels from the left.

    The linear program: as little way sideways as possible, bends twice as dear as boxes, with
    everything in its order and apart. All its numbers are whole, and so is the solution.
    """
    from scipy.optimize import linprog  # noqa: PLC0415  --help does without
    from scipy.sparse import lil_matrix  # noqa: PLC0415  as above

    pieces: list[tuple[int, int, int, int]] = []  # upper, lower, what is between them, cost
    for chain, (first, last) in zip(graph.chains, ports, strict=True):
        end = len(chain.vertices) - 2
        for index, (a, b) in enumerate(zip(chain.vertices, chain.vertices[1:], strict=False)):
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
        for a, b in zip(layer, layer[1:], strict=False):
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


def _placed(
    graph: Graph, layers: Sequence[Sequence[int]], ports: Ports, centers: Sequence[int]
) -> Layout:
    heights = [max((graph.vertices[v].height for v in layer), default=0) for layer in layers]
    tops = [float(MARGIN)]
    for index, height in enumerate(heights[:-1]):
        sideways = max(
            (
                abs(centers[a] + from_port - centers[b] - to_port)
                for a, b, from_port, to_port in _between(graph, ports, index)
            ),
            default=0,
        )
        gap = max(LAYER_GAP, min(MOST_GAP, round(STEEP * sideways)))
        room = HEAD_ROOM if (index + 1) % STRIDE == 0 or index % STRIDE == 0 else 0
        tops.append(tops[-1] + height + max(gap, room))
    boxes: dict[str, Rectangle] = {}
    places: list[Rectangle] = []
    for vertex, center in zip(graph.vertices, centers, strict=True):
        room = heights[vertex.layer] - vertex.height
        # Beside a far higher box, such as one with states inside, at the top; else in the middle.
        down = room / 2 if room < vertex.height or vertex.key is None else 0
        place = Rectangle(
            MARGIN + center - vertex.width / 2,
            tops[vertex.layer] + down,
            vertex.width,
            vertex.height,
        )
        places.append(place)
        if vertex.key is not None:
            boxes[vertex.key] = place
    routes = [
        _route(graph, chain, port, centers, places, tops, heights)
        for chain, port in zip(graph.chains, ports, strict=True)
    ]
    width = max(c + v.width / 2 for c, v in zip(centers, graph.vertices, strict=True))
    return Layout(
        width + 2 * MARGIN, tops[-1] + heights[-1] + MARGIN, boxes, routes, tuple(graph.loops)
    )


def _between(graph: Graph, ports: Ports, layer: int) -> list[tuple[int, int, int, int]]:
    """Return (upper, lower, ports at both) of the pieces from a layer to the next one."""
    found = []
    for chain, (first, last) in zip(graph.chains, ports, strict=True):
        index = layer - graph.vertices[chain.vertices[0]].layer
        if 0 <= index < len(chain.vertices) - 1:
            from_port = first if index == 0 else 0
            to_port = last if index == len(chain.vertices) - 2 else 0
            found.append((chain.vertices[index], chain.vertices[index + 1], from_port, to_port))
    return found


def _route(
    graph: Graph,
    chain: Chain,
    port: tuple[int, int],
    centers: Sequence[int],
    places: Sequence[Rectangle],
    tops: Sequence[float],
    heights: Sequence[int],
) -> Route:
    points: list[Point] = []
    for index, vertex in enumerate(chain.vertices):
        layer = graph.vertices[vertex].layer
        x = float(MARGIN + centers[vertex])
        top, bottom = tops[layer], tops[layer] + heights[layer]
        if index == 0:
            x += port[0]
            if graph.vertices[vertex].key is not None:
                top = places[vertex].y + places[vertex].height
            else:
                top = bottom  # the beginning of a rail
        if index == len(chain.vertices) - 1:
            x += port[1]
            bottom = places[vertex].y if graph.vertices[vertex].key is not None else top
        points += [(x, top), (x, bottom)]
    label = None
    if chain.label is not None and places[chain.label].height:
        label = places[chain.label]
    return Route(tuple(points), chain.upwards, chain.heads, chain.arrow, chain.bundle, label)
