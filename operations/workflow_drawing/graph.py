"""The graph that is laid out: boxes on layers, and every arrow as a chain from layer to layer.

Between two layers of boxes are two thinner ones: one for what is written on arrows, and one where
arrows that mean the same and lead to the same box join.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

STRIDE = 3  # layers from one layer of boxes to the next
_LABEL, _JOIN = 1, 2  # which of them is which

Size = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True)
class Arrow:
    """One way from a box to another.

    Attributes:
        source: key of a box.
        target: key of a box.
        words: the size of what is written on it, once for all of a bundle; (0, 0) for nothing.
        number: the size of the number on it.
        weight: how much it should be straight and free of crossings.
        late: whether it comes after all others where layers are chosen, as that of a Catch.
        bundle: arrows of one bundle join on their way; None for one that stays alone.
    """

    source: str
    target: str
    words: Size = (0, 0)
    number: Size = (0, 0)
    weight: int = 1
    late: bool = False
    bundle: str | None = None

    @property
    def label(self) -> Size:
        """The size of the words with the number below them."""
        return (max(self.words[0], self.number[0]), self.words[1] + self.number[1])


@dataclass
class Vertex:
    """Something on a layer: a box (`key`), what is written on an arrow, or a bend of one."""

    layer: int
    width: int
    height: int
    key: str | None = None


@dataclass
class Chain:
    """An arrow's part between two vertices that are not bends, from top to bottom.

    Attributes:
        vertices: their indexes, one for each layer.
        weight: as that of the arrow.
        upwards: whether the arrow points to the first vertex.
        heads: whether there is an arrow head at its end.
        arrows: the indexes of the arrows that it is part of: of one, or of those that have joined.
        joined: whether it is the part that joined arrows share.
        label: the vertex with what is written on it.
        words: whether words are written there, or a number only.
    """

    vertices: list[int]
    weight: int
    upwards: bool
    heads: bool
    arrows: tuple[int, ...]
    joined: bool = False
    label: int | None = None
    words: bool = True


@dataclass
class Graph:
    """Vertices on layers, and the chains that connect them; `loops` are arrows to their source."""

    vertices: list[Vertex] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    loops: list[int] = field(default_factory=list)

    def add(self, layer: int, size: Size, key: str | None = None) -> int:
        """Add a vertex and return its index."""
        self.vertices.append(Vertex(layer, *size, key))
        return len(self.vertices) - 1

    def segments(self) -> list[tuple[int, int, int]]:
        """Return (upper vertex, lower vertex, weight) of every piece of a chain."""
        return [(upper, lower, chain.weight) for chain in self.chains for upper, lower in pairwise(chain.vertices)]


def build(boxes: Mapping[str, Size], arrows: Sequence[Arrow]) -> Graph:
    """Put boxes on layers and cut arrows into chains. The first box is on the first layer."""
    layers, backward = _layers(list(boxes), arrows)
    graph = Graph()
    at = {key: graph.add(STRIDE * layers[key], size, key) for key, size in boxes.items()}
    bundles: dict[str, list[int]] = defaultdict(list)
    for index, arrow in enumerate(arrows):
        if arrow.source == arrow.target:
            graph.loops.append(index)
        elif arrow.bundle is not None and index not in backward:
            bundles[arrow.bundle].append(index)
        else:
            _add_single(graph, at, index, arrow, index in backward)
    for members in bundles.values():
        _add_bundle(graph, at, arrows, members)
    return graph


def _layers(keys: Sequence[str], arrows: Sequence[Arrow]) -> tuple[dict[str, int], set[int]]:
    """Return each box's layer, and the arrows that point back up.

    A box is below all that lead to it. Where arrows run in a circle, the one that came last closes
    it and points up: first come those from boxes that are reached without the `late` ones.
    """
    after: dict[str, list[str]] = {key: [] for key in keys}
    backward = set()
    for index in _by_reach(keys, arrows):
        arrow = arrows[index]
        if arrow.source == arrow.target or arrow.source in _reachable(arrow.target, after):
            backward.add(index)
        else:
            after[arrow.source].append(arrow.target)
    layers: dict[str, int] = dict.fromkeys(keys, 0)
    for _ in keys:  # the longest way to a box has no more arrows than there are boxes
        for source, targets in after.items():
            for target in targets:
                layers[target] = max(layers[target], layers[source] + 1)
    return layers, backward


def _by_reach(keys: Sequence[str], arrows: Sequence[Arrow]) -> Iterable[int]:
    """Yield the arrows, round by round: what is reached without late ones, these, and so on."""
    reached: set[str] = set()
    fresh = {keys[0]} if keys else set()
    left = dict(enumerate(arrows))
    while left:
        if not fresh:  # boxes that nothing leads to
            fresh = {next(iter(left.values())).source}
        while fresh:
            reached |= fresh
            now = [i for i, a in left.items() if a.source in reached and not a.late]
            yield from now
            fresh = {left.pop(i).target for i in now} - reached
        late = [i for i, a in left.items() if a.source in reached]
        yield from late
        fresh = {left.pop(i).target for i in late} - reached


def _reachable(start: str, after: Mapping[str, Sequence[str]]) -> set[str]:
    found = {start}
    todo = [start]
    while todo:
        for key in after[todo.pop()]:
            if key not in found:
                found.add(key)
                todo.append(key)
    return found


def _add_single(graph: Graph, at: Mapping[str, int], index: int, arrow: Arrow, backward: bool) -> None:
    upper, lower = at[arrow.source], at[arrow.target]
    if backward:
        upper, lower = lower, upper
    first, last = graph.vertices[upper].layer, graph.vertices[lower].layer
    # What is written on an arrow is next to the box that it comes from.
    labelled = last - STRIDE + _LABEL if backward else first + _LABEL
    vertices = [upper]
    label = None
    for layer in range(first + 1, last):
        here = layer == labelled
        vertices.append(graph.add(layer, arrow.label if here else (0, 0)))
        label = vertices[-1] if here else label
    vertices.append(lower)
    graph.chains.append(Chain(vertices, arrow.weight, backward, True, (index,), label=label))


def _add_bundle(graph: Graph, at: Mapping[str, int], arrows: Sequence[Arrow], members: Sequence[int]) -> None:
    """Add a rail that leads to the arrows' common target, and each arrow's way to the rail."""
    one = arrows[members[0]]
    top = min(graph.vertices[at[arrows[i].source]].layer for i in members)
    hub = at[one.target]
    bottom = graph.vertices[hub].layer
    on_rail = top + STRIDE < bottom  # else there is no room for words, and each arrow has them
    rail = {
        layer: graph.add(layer, one.words if layer == top + STRIDE else (0, 0)) for layer in range(top + _JOIN, bottom)
    }
    joins: dict[int, list[int]] = defaultdict(list)
    for index in members:
        source = at[arrows[index].source]
        layer = graph.vertices[source].layer
        arrow = arrows[index]
        label = graph.add(layer + _LABEL, arrow.number if on_rail else arrow.label)
        way = [source, label, rail[layer + _JOIN]]
        graph.chains.append(Chain(way, arrow.weight, False, False, (index,), label=label, words=not on_rail))
        joins[layer + _JOIN].append(index)
    # The rail's pieces: from where arrows join it to where more of them do, or to the target.
    for layer, until in pairwise([*sorted(joins), bottom]):
        piece = [rail[between] for between in range(layer, until)]
        piece.append(hub if until == bottom else rail[until])
        joined = tuple(i for join in sorted(joins) if join <= layer for i in joins[join])
        words = rail[top + STRIDE] if layer < top + STRIDE < until else None
        graph.chains.append(Chain(piece, one.weight * 2, False, until == bottom, joined, True, words))
