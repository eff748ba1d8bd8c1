"""Where the nodes go: the layered drawing of K. Sugiyama, S. Tagawa and M. Toda.

"Methods for visual understanding of hierarchical system structures", IEEE Transactions on Systems,
Man and Cybernetics 11 (1981). Causes stand in layers before their effects; an edge over several
layers gets a dummy in each layer it passes, which keeps room for it.

Coordinates run along the flow and across it; `pyrocausal.graph.layout` turns them into x and y.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, combinations, pairwise

Dummy = tuple[str, str, int]  # cause, effect, layer
Node = str | Dummy
Pair = tuple[Node, Node]
Layers = list[list[Node]]
Adjacency = dict[Node, list[Node]]
Places = dict[Node, float]

STARTS = 8  # initial orders tried
SWEEPS = 10
RELAXATIONS = 100
NEARLY_STRAIGHT = 1.0  # pixels off the flow


def ranks(
    names: Sequence[str], edges: Sequence[tuple[str, str]], loose: Sequence[tuple[str, str]]
) -> dict[str, int]:
    """The layer of each name (``names`` in topological order), so that edges are short.

    Nodes held by ``loose`` (bidirected) edges alone stand beside one they are tied to.
    """
    causes: dict[str, list[str]] = {name: [] for name in names}
    effects: dict[str, list[str]] = {name: [] for name in names}
    for a, b in edges:
        causes[b].append(a)
        effects[a].append(b)
    layer = dict.fromkeys(names, 0)
    for name in names:
        layer[name] = max((layer[cause] + 1 for cause in causes[name]), default=0)
    for name in reversed(names):  # longest path leaves early causes of late effects too far behind
        if len(effects[name]) > len(causes[name]):
            layer[name] = min(layer[effect] for effect in effects[name]) - 1
    free = [name for name in names if not causes[name] and not effects[name]]
    for name in free:
        tied = [other for pair in loose if name in pair for other in pair if other not in free]
        layer[name] = layer[tied[0]] if tied else 0
    first = min(layer.values(), default=0)
    return {name: rank - first for name, rank in layer.items()}


def with_dummies(layer: Mapping[str, int], edges: Iterable[tuple[str, str]]) -> tuple[Layers, list[Pair]]:
    """The layers, and edges that all go from one layer to the next."""
    layers: Layers = [[] for _ in range(max(layer.values()) + 1)]
    short: list[Pair] = []
    for name, rank in layer.items():
        layers[rank].append(name)
    for a, b in edges:
        chain: list[Node] = [a, *dummies(a, b, layer), b]
        for dummy in dummies(a, b, layer):
            layers[dummy[2]].append(dummy)
        short += pairwise(chain)
    return layers, short


def dummies(a: str, b: str, layer: Mapping[str, int]) -> list[Dummy]:
    return [(a, b, rank) for rank in range(layer[a] + 1, layer[b])]


def arrange(layers: Layers, edges: Sequence[Pair], loose: Sequence[Pair]) -> Layers:
    """Order each layer so that few edges cross: barycentre sweeps from several starts.

    ``loose`` edges pull as others do, but their crossings are not counted: they are drawn as arcs.
    """
    causes, effects, ties = _neighbours(layers, edges, loose)
    around = {node: causes[node] + effects[node] + ties[node] for node in causes}
    generator = random.Random(0)
    best, least = layers, (float("inf"), float("inf"))
    for start in range(STARTS):
        order = [list(layer) for layer in layers]
        if start:
            for layer in order:
                generator.shuffle(layer)
        for sweep in range(SWEEPS):
            _sweep(order, around, backwards=sweep % 2 == 1)
            _swap_neighbours(order, causes, effects)
            badness = (_crossings(order, edges), _stretch(order, (*edges, *loose)))
            if badness < least:
                best, least = [list(layer) for layer in order], badness
    return best


def _neighbours(
    layers: Layers, edges: Sequence[Pair], loose: Sequence[Pair]
) -> tuple[Adjacency, Adjacency, Adjacency]:
    nodes = [node for layer in layers for node in layer]
    causes: Adjacency = {node: [] for node in nodes}
    effects: Adjacency = {node: [] for node in nodes}
    ties: Adjacency = {node: [] for node in nodes}
    for a, b in edges:
        causes[b].append(a)
        effects[a].append(b)
    for a, b in loose:
        ties[a].append(b)
        ties[b].append(a)
    return causes, effects, ties


def _sweep(order: Layers, around: Adjacency, backwards: bool) -> None:
    """Sort each layer by the mean place of its nodes' neighbours, from 0 to 1 in their own layers."""
    where = _places(order)

    def barycentre(node: Node) -> float:
        others = around[node]
        return sum(where[other] for other in others) / len(others) if others else where[node]

    for layer in reversed(order) if backwards else order:
        layer.sort(key=barycentre)
        where |= _places([layer])


def _places(order: Layers) -> dict[Node, float]:
    return {node: (i + 0.5) / len(layer) for layer in order for i, node in enumerate(layer)}


def _swap_neighbours(order: Layers, causes: Adjacency, effects: Adjacency) -> None:
    """Swap nodes that stand side by side wherever their own edges then cross less."""
    where = _places(order)
    for layer in order:
        for i in range(len(layer) - 1):
            a, b = layer[i], layer[i + 1]
            pairs = [(p, q) for side in (causes, effects) for p in side[a] for q in side[b]]
            if sum(where[p] > where[q] for p, q in pairs) > sum(where[p] < where[q] for p, q in pairs):
                layer[i], layer[i + 1] = b, a
        where |= _places([layer])


def _crossings(order: Layers, edges: Sequence[Pair]) -> int:
    rank = {node: number for number, layer in enumerate(order) for node in layer}
    where = _places(order)
    between: dict[int, list[tuple[float, float]]] = {}
    for a, b in edges:
        between.setdefault(rank[a], []).append((where[a], where[b]))
    pairs = (pair for lines in between.values() for pair in combinations(lines, 2))
    return sum((a - c) * (b - d) < 0 for (a, b), (c, d) in pairs)


def _stretch(order: Layers, edges: Sequence[Pair]) -> float:
    where = _places(order)
    return sum(abs(where[a] - where[b]) for a, b in edges)


def across(
    order: Layers, edges: Sequence[Pair], loose: Sequence[Pair], room: Callable[[Node, Node], float]
) -> Places:
    """Where each node stands across the flow, so that edges are short and mostly straight.

    Minimises the weighted sum of (x_a - x_b)^2 over the edges, then, from there, that of |x_a - x_b|
    (by reweighting), with x_next - x >= ``room(node, next)`` within each layer. Squares give symmetry,
    absolute values then turn nearly straight edges into straight ones. Given the other layers, a layer
    is an isotonic regression: the layers are swept, each solved exactly.
    """
    pulls: dict[Node, list[tuple[Node, float]]] = {node: [] for layer in order for node in layer}
    rank = {node: number for number, layer in enumerate(order) for node in layer}
    weighted = [(a, b, 1.0 + 3.0 * (isinstance(a, tuple) + isinstance(b, tuple))) for a, b in edges]
    weighted += [(a, b, 0.1) for a, b in loose if rank[a] != rank[b]]
    for a, b, weight in weighted:
        pulls[a].append((b, weight))
        pulls[b].append((a, weight))

    at: Places = {}
    for layer in order:
        offsets = _offsets(layer, room)
        at |= {node: offset - offsets[-1] / 2 for node, offset in zip(layer, offsets, strict=True)}
    for sweep in range(RELAXATIONS):
        spread = _square if sweep < RELAXATIONS / 2 else _absolute
        for layer in reversed(order) if sweep % 2 else order:
            offsets = _offsets(layer, room)
            wanted, weights = [], []
            for node, offset in zip(layer, offsets, strict=True):
                pull = [(at[other], w / spread(at[node] - at[other])) for other, w in pulls[node]]
                weight = sum(w for _, w in pull) or 0.01
                target = sum(place * w for place, w in pull) / weight if pull else at[node]
                wanted.append(target - offset)
                weights.append(weight)
            for node, offset, value in zip(layer, offsets, isotonic(wanted, weights), strict=True):
                at[node] = offset + value
    return at


def _square(difference: float) -> float:
    return 1.0


def _absolute(difference: float) -> float:
    return max(abs(difference), NEARLY_STRAIGHT)


def _offsets(layer: Sequence[Node], room: Callable[[Node, Node], float]) -> list[float]:
    """The places of a layer's nodes when they are packed."""
    return list(accumulate((room(a, b) for a, b in pairwise(layer)), initial=0.0))


def isotonic(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The non-decreasing sequence nearest to ``values`` in weighted squares (pool adjacent violators).

    >>> isotonic([1, 3, 2, 4], [1, 1, 1, 1])
    [1.0, 2.5, 2.5, 4.0]
    """
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        blocks.append((float(value), weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, w, n), (last, v, m) = blocks[-2:]
            blocks[-2:] = [((mean * w + last * v) / (w + v), w + v, n + m)]
    return [mean for mean, _, length in blocks for _ in range(length)]
