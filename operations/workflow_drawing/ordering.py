"""In which order what is on a layer stands, so that few arrows cross."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random

from operations.workflow_drawing.graph import Graph

STARTS = 24  # orders that the search for few crossings begins with


def ordered_layers(graph: Graph) -> list[list[int]]:
    """Return the vertices of each layer from left to right, with few crossings."""
    import igraph

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
        drawn = igraph.Graph(count, [(place[upper], place[lower]) for upper, lower, _ in segments], directed=True)
        coordinates = drawn.layout_sugiyama(layers=[graph.vertices[vertex].layer for vertex in order])
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
