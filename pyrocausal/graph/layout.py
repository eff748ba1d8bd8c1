"""From a graph to places and curves on a page: what every drawing of it shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pyrocausal.graph import curves, labels, layers
from pyrocausal.graph.curves import Array, Box

if TYPE_CHECKING:
    from pyrocausal.graph.causal_graph import CausalGraph

Edge = tuple[str, str]
Kind = Literal["edges", "cut", "bidirected", "cut_bidirected"]
Direction = Literal["LR", "TD"]

MARGIN = 14.0
GAP_ALONG = 58.0  # between layers
GAP_ACROSS = 26.0  # between neighbours in a layer
DUMMY = 10.0  # what a passing edge takes of a layer
PAGE = 780.0  # wider than this, a picture is better drawn top down


@dataclass(frozen=True)
class Layout:
    """Node outlines, the lines of their labels, and edge curves that end at the outlines."""

    boxes: dict[str, Box]
    lines: dict[str, list[str]]
    routes: dict[tuple[Kind, str, str], Array]
    width: float
    height: float


def layout(graph: CausalGraph, direction: Direction | None = None) -> Layout:
    """Lay a graph out, left to right (``"LR"``) or top down (``"TD"``); by default as it fits a page.

    >>> from pyrocausal.graph import CausalGraph
    >>> boxes = layout(CausalGraph.from_string("age -> quit")).boxes
    >>> boxes["age"].y == boxes["quit"].y
    True
    """
    if direction:
        return _drawn(graph, direction)
    flat = _drawn(graph, "LR")
    if flat.width <= PAGE:
        return flat
    return min(flat, _drawn(graph, "TD"), key=lambda drawn: drawn.width)


def _drawn(graph: CausalGraph, direction: Direction) -> Layout:
    lines = {name: labels.wrap(name) for name in graph.nodes}
    sizes = {name: _size(lines[name]) for name in graph.nodes}
    places, bends = _places(graph, sizes, direction)
    boxes = {name: Box(places[name][0], places[name][1], *sizes[name], 16.0) for name in graph.nodes}
    routes = _routes(graph, boxes, bends)
    return _on_page(boxes, lines, routes)


def _size(lines: list[str]) -> tuple[float, float]:
    width = max(labels.text_width(line) for line in lines) + 26
    return max(width, 44.0), labels.LINE_HEIGHT * len(lines) + 15


def flow(graph: CausalGraph) -> list[Edge]:
    """The edges that point along the page. Cut ones too: a graph and its ``do`` look alike."""
    rank = {name: position for position, name in enumerate(graph.nodes)}
    return [*graph.edges, *((a, b) for a, b in graph.cut if rank[a] < rank[b])]


def _places(
    graph: CausalGraph, sizes: dict[str, tuple[float, float]], direction: Direction
) -> tuple[dict[str, Array], dict[Edge, list[Array]]]:
    """Centres of nodes, and the points that long edges pass: component after component."""
    along_axis, across_axis = (0, 1) if direction == "LR" else (1, 0)
    places: dict[str, Array] = {}
    bends: dict[Edge, list[Array]] = {}
    offset = 0.0
    for names in _components(graph):
        size = {name: (sizes[name][along_axis], sizes[name][across_axis]) for name in names}
        points = _component(graph, names, size)
        low = min(at[1] - _extent(node, size) / 2 for node, at in points.items())
        high = max(at[1] + _extent(node, size) / 2 for node, at in points.items())
        for node, (along, across) in sorted(points.items(), key=lambda item: item[1]):
            at = np.array([along, across - low + offset])[[along_axis, across_axis]]
            if isinstance(node, str):
                places[node] = at
            else:
                bends.setdefault(node[:2], []).append(at)
        offset += high - low + GAP_ACROSS
    return places, bends


def _components(graph: CausalGraph) -> list[list[str]]:
    """Connected parts, in order; nodes joined to nothing together make up the last."""
    tied: dict[str, set[str]] = {name: {name} for name in graph.nodes}
    for a, b in (*flow(graph), *graph.bidirected, *graph.cut_bidirected):
        whole = tied[a] | tied[b]
        for name in whole:
            tied[name] = whole
    parts = list(
        {id(part): [name for name in graph.nodes if name in part] for part in tied.values()}.values()
    )
    alone = [part[0] for part in parts if len(part) == 1]
    return [part for part in parts if len(part) > 1] + ([alone] if alone else [])


def _extent(node: layers.Node, size: dict[str, tuple[float, float]]) -> float:
    return size[node][1] if isinstance(node, str) else DUMMY


def _component(
    graph: CausalGraph, names: list[str], size: dict[str, tuple[float, float]]
) -> dict[layers.Node, tuple[float, float]]:
    """(along, across) of a component's nodes and dummies."""
    edges = [edge for edge in flow(graph) if edge[0] in size]
    loose = [pair for pair in (*graph.bidirected, *graph.cut_bidirected) if pair[0] in size]
    if not edges and not loose:
        rank = {name: position for position, name in enumerate(names)}
    else:
        rank = layers.ranks(names, edges, loose)

    def room(a: layers.Node, b: layers.Node) -> float:
        passing = isinstance(a, tuple) and isinstance(b, tuple)
        return (_extent(a, size) + _extent(b, size)) / 2 + (DUMMY if passing else GAP_ACROSS)

    unordered, short = layers.with_dummies(rank, edges)
    order = layers.arrange(unordered, short, loose)
    across = layers.across(order, short, loose, room)
    along = _along(order, short, across, size)
    return {node: (along[number], across[node]) for number, layer in enumerate(order) for node in layer}


def _along(
    order: layers.Layers,
    short: Iterable[layers.Pair],
    across: layers.Places,
    size: dict[str, tuple[float, float]],
) -> list[float]:
    """The layers' places: further apart where edges between them are steep."""
    rank = {node: number for number, layer in enumerate(order) for node in layer}
    steepest = [0.0] * len(order)
    for a, b in short:
        steepest[rank[b]] = max(steepest[rank[b]], abs(across[a] - across[b]))
    depth = [max((size[n][0] for n in layer if isinstance(n, str)), default=0.0) for layer in order]
    places = [depth[0] / 2]
    for number in range(1, len(order)):
        gap = GAP_ALONG + min(60.0, 0.22 * steepest[number])
        places.append(places[-1] + (depth[number - 1] + depth[number]) / 2 + gap)
    return places


class _Router:
    """Chooses for each edge the best of some curves, given the nodes and the edges already drawn."""

    def __init__(self, boxes: dict[str, Box]):
        self.boxes = boxes
        self.drawn = np.empty((0, 2, 2))
        corners = np.array([[b.x, b.y] for b in boxes.values()])
        self.low, self.high = corners.min(axis=0), corners.max(axis=0)

    def route(self, a: str, b: str, candidates: Iterable[tuple[float, Array]]) -> Array:
        """The curve of least cost, trimmed to the outlines of ``a`` and ``b``."""
        others = [box for name, box in self.boxes.items() if name not in (a, b)]
        least, best = float("inf"), None
        for bias, candidate in candidates:
            if bias < least:
                curve = curves.trim(candidate, self.boxes[a], self.boxes[b], gap=1.0)
                cost = bias + self.cost(curve, others)
                if cost < least:
                    least, best = cost, curve
        assert best is not None
        points = curves.samples(best)
        self.drawn = np.concatenate([self.drawn, np.stack([points[:-1], points[1:]], axis=1)])
        return best

    def cost(self, curve: Array, others: list[Box]) -> float:
        points = curves.samples(curve)
        cost = 5.0 * curves.crossings(points, self.drawn) + 10.0 * self._overlap(points)
        if others:
            nearest = curves.distances(others, points).min(axis=1)
            cost += float(np.where(nearest < 3, 300.0, np.maximum(0.0, 12 - nearest)).sum())
        outside = np.maximum(self.low - points, 0).max() + np.maximum(points - self.high, 0).max()
        return cost + 0.05 * float(outside)

    def _overlap(self, points: Array) -> float:
        """The share of the curve that runs on top of another edge."""
        if not len(self.drawn):
            return 0.0
        inner = points[3:-3]
        gaps = np.linalg.norm(inner[:, None] - self.drawn[None, :, 0], axis=-1).min(axis=1)
        return float((gaps < 9).mean())


def _routes(
    graph: CausalGraph, boxes: dict[str, Box], bends: dict[Edge, list[Array]]
) -> dict[tuple[Kind, str, str], Array]:
    if not boxes:
        return {}
    router = _Router(boxes)
    centre = {name: np.array([box.x, box.y]) for name, box in boxes.items()}
    routes: dict[tuple[Kind, str, str], Array] = {}

    def length(edge: Edge) -> float:
        return float(np.linalg.norm(centre[edge[0]] - centre[edge[1]]))

    directed: list[tuple[Kind, Edge]] = [("edges", edge) for edge in graph.edges]
    directed += [("cut", edge) for edge in graph.cut]
    arcs: list[tuple[Kind, Edge]] = [("bidirected", pair) for pair in graph.bidirected]
    arcs += [("cut_bidirected", pair) for pair in graph.cut_bidirected]
    for kind, (a, b) in sorted(directed, key=lambda item: length(item[1])):
        routes[kind, a, b] = router.route(a, b, _line_candidates(centre[a], centre[b], bends.get((a, b), [])))
    for kind, (a, b) in sorted(arcs, key=lambda item: length(item[1])):
        routes[kind, a, b] = router.route(a, b, _bow_candidates(centre[a], centre[b]))
    return routes


def _line_candidates(a: Array, b: Array, bends: list[Array]) -> Iterable[tuple[float, Array]]:
    """A straight line, the way through the dummies, and arcs; the bias is what each costs in looks."""
    yield 0.0, curves.straight(a, b)
    if bends:
        yield 2.0, curves.through(np.array([a, *bends, b]))
    for bias, curve in _bow_candidates(a, b):
        yield 3.0 + bias, curve


def _bow_candidates(a: Array, b: Array) -> Iterable[tuple[float, Array]]:
    distance = float(np.linalg.norm(b - a))
    for share in (0.16, 0.26, 0.38, 0.52, 0.7):
        for side in (1, -1):
            height = max(share * distance, 30.0 * share / 0.16)
            yield 12.0 * share + 0.02 * height + (0.1 if side < 0 else 0.0), curves.bow(a, b, side * height)


def _on_page(
    boxes: dict[str, Box], lines: dict[str, list[str]], routes: dict[tuple[Kind, str, str], Array]
) -> Layout:
    """Move everything so that it starts at the margin."""
    corners = [
        [b.x + side * b.width / 2, b.y + side * b.height / 2] for b in boxes.values() for side in (-1, 1)
    ]
    points = np.concatenate([np.array(corners).reshape(-1, 2), *map(curves.samples, routes.values())])
    if not len(points):
        return Layout({}, {}, {}, 2 * MARGIN, 2 * MARGIN)
    shift = MARGIN - points.min(axis=0)
    width, height = points.max(axis=0) + shift + MARGIN
    moved = {
        name: box._replace(x=float(box.x + shift[0]), y=float(box.y + shift[1]))
        for name, box in boxes.items()
    }
    return Layout(
        moved, lines, {key: route + shift for key, route in routes.items()}, float(width), float(height)
    )
