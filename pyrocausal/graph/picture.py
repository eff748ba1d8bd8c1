"""What a picture of a graph shows: marks with places and colours, for any backend to draw.

Colours are the ink of the page or of medium lightness, and fills are tints, so that a picture stands
on a light and on a dark ground.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pyrocausal.errors import GraphError
from pyrocausal.graph import curves, labels, text
from pyrocausal.graph.curves import Array, Box
from pyrocausal.graph.layout import MARGIN, Direction, Kind, Layout, layout
from pyrocausal.graph.separation import Path

if TYPE_CHECKING:
    from pyrocausal.graph.causal_graph import CausalGraph

INK = "currentColor"
DO, EVIDENCE, ADJUSTMENT = "#e8833a", "#3f8fd6", "#3aa676"
PATHS = ("#d6478a", "#8a63d2", "#1f9fb4", "#b8901f")
BLOCKED = (6.0, 4.0)  # the dashes of a path that is blocked
LEGEND_LINE = 22.0
SWATCH = 18.0
HEAD_LENGTH, HEAD_WIDTH = 9.0, 7.5


class Stroke(NamedTuple):
    color: str = INK
    width: float = 1.4
    dash: tuple[float, float] | None = None
    opacity: float = 1.0


EDGE_STROKES: dict[Kind, Stroke] = {
    "edges": Stroke(opacity=0.85),
    "bidirected": Stroke(dash=(5, 3.5), opacity=0.85),
    "cut": Stroke(width=1.3, dash=(2, 4), opacity=0.45),
    "cut_bidirected": Stroke(width=1.3, dash=(2, 4), opacity=0.45),
}


@dataclass(frozen=True)
class NodeMark:
    """A node: its outline, the lines of its label, and a tint."""

    name: str
    box: Box
    lines: list[str]
    stroke: Stroke
    tint: str
    tint_opacity: float


@dataclass(frozen=True)
class EdgeMark:
    """An edge: its line, its arrowheads as triangles, and where scissors cut it, if they do."""

    title: str
    line: Array
    heads: list[Array]
    stroke: Stroke
    scissors: Scissors | None


class Scissors(NamedTuple):
    """Two blades, each a line from its ring."""

    blades: list[Array]
    rings: list[Array]
    ring_radius: float


@dataclass(frozen=True)
class LegendMark:
    """A swatch (a line for a path, a disc for nodes) and what it stands for."""

    x: float
    y: float
    color: str
    label: str
    is_path: bool
    dash: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    nodes: list[NodeMark]
    edges: list[EdgeMark]
    legend: list[LegendMark]
    width: float
    height: float


def picture(
    graph: CausalGraph,
    evidence: Iterable[str] = (),
    adjustment: Iterable[str] = (),
    paths: Iterable[str | Path] = (),
    direction: Direction | None = None,
) -> Picture:
    """Lay a graph out and say how each part of it looks; the arguments are those of ``draw.svg``."""
    page = layout(graph, direction)
    looks = _path_looks([paths] if isinstance(paths, str) else paths)
    stroke_of = {
        key: stroke for path, stroke in reversed(looks.items()) for key in _edges_on(graph, text_of(path))
    }
    tints = dict.fromkeys(graph.subgraph(evidence).nodes, EVIDENCE)
    tints |= dict.fromkeys(graph.subgraph(adjustment).nodes, ADJUSTMENT)

    edges = [edge_mark(key, route, stroke_of.get(key)) for key, route in page.routes.items()]
    nodes = [node_mark(graph, name, page, tints) for name in graph.nodes]
    entries = [("evidence", Stroke(EVIDENCE), False)] * (EVIDENCE in tints.values())
    entries += [("adjusted for", Stroke(ADJUSTMENT), False)] * (ADJUSTMENT in tints.values())
    entries += [(said(path), stroke, True) for path, stroke in looks.items()]
    legend = legend_marks(entries, page)
    right = max((mark.x + SWATCH + 8 + labels.text_width(mark.label) for mark in legend), default=0.0)
    height = page.height + (LEGEND_LINE * len(legend) + MARGIN / 2 if legend else 0)
    return Picture(nodes, edges, legend, max(page.width, right + MARGIN), height)


def _path_looks(paths: Iterable[str | Path]) -> dict[str | Path, Stroke]:
    """Each path has its colour; a blocked one is thinner and dashed."""
    looks: dict[str | Path, Stroke] = {}
    for i, path in enumerate(dict.fromkeys(paths)):
        open_ = isinstance(path, str) or not path.blocked
        looks[path] = Stroke(PATHS[i % len(PATHS)], 2.6 if open_ else 2.0, None if open_ else BLOCKED)
    return looks


def text_of(path: str | Path) -> str:
    return path if isinstance(path, str) else path.text


def said(path: str | Path) -> str:
    """A path, and whether it is open."""
    if isinstance(path, str):
        return path
    return f"{path.text}   blocked at {', '.join(path.blocked)}" if path.blocked else f"{path.text}   open"


def _edges_on(graph: CausalGraph, path: str) -> list[tuple[Kind, str, str]]:
    parts = text.parse(path)
    kinds: tuple[Kind, ...] = ("edges", "bidirected", "cut", "cut_bidirected")
    keys = [(kind, a, b) for kind in kinds for a, b in getattr(parts, kind)]
    for kind, a, b in keys:
        if (a, b) not in getattr(graph, kind):
            raise GraphError(
                f"the path {path!r} is not in the graph",
                f"its edge between {a!r} and {b!r} is missing",
                "take paths from graph.open_paths(x, y)",
            )
    return keys


def node_mark(graph: CausalGraph, name: str, page: Layout, tints: Mapping[str, str]) -> NodeMark:
    """Latent nodes are dashed; nodes set from outside have square corners and their own colour."""
    box = page.boxes[name]
    dash = (4.0, 3.0) if name in graph.latent else None
    if name in graph.intervened:
        box = box._replace(radius=3.0)
        return NodeMark(name, box, page.lines[name], Stroke(DO, 2.2, dash), tints.get(name, DO), 0.24)
    if name in tints:
        return NodeMark(name, box, page.lines[name], Stroke(tints[name], 1.8, dash), tints[name], 0.24)
    return NodeMark(name, box, page.lines[name], Stroke(dash=dash, opacity=0.75), INK, 0 if dash else 0.05)


def edge_mark(key: tuple[Kind, str, str], route: Array, marked: Stroke | None) -> EdgeMark:
    kind, a, b = key
    stroke = EDGE_STROKES[kind]
    if marked:
        stroke = marked._replace(dash=marked.dash or stroke.dash)
    arrow = next(arrow for arrow, (part, _) in text.ARROWS.items() if part == kind)
    line, heads = with_heads(route, both="bidirected" in kind, scale=1.2 if marked else 1.0)
    scissors = scissors_on(route) if "cut" in kind else None
    return EdgeMark(f"{a} {arrow} {b}", line, heads, stroke, scissors)


def with_heads(route: Array, both: bool, scale: float) -> tuple[Array, list[Array]]:
    """The line of an edge, which ends inside its arrowhead, and the heads."""
    line, head = _with_head(route, scale)
    if not both:
        return line, [head]
    line, other = _with_head(line[::-1], scale)
    return line[::-1], [head, other]


def _with_head(route: Array, scale: float) -> tuple[Array, Array]:
    tip = route[-1]
    line = curves.shortened(route, HEAD_LENGTH * scale)
    along = (tip - line[-1]) / (np.linalg.norm(tip - line[-1]) or 1.0)
    aside = np.array([-along[1], along[0]]) * HEAD_WIDTH * scale / 2
    base = tip - along * HEAD_LENGTH * scale
    return line, np.array([tip, base + aside, base - aside])


def scissors_on(route: Array) -> Scissors:
    """Scissors in the middle of an edge, cutting across it."""
    points = curves.samples(route)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()
    middle = int(np.searchsorted(steps, steps[-1] / 2))
    along = points[middle + 1] - points[middle]
    along = along / (np.linalg.norm(along) or 1.0)
    turn = np.array([[-along[1], along[0]], [-along[0], -along[1]]])  # rows: where the scissors' x and y go
    place = points[middle]

    def at(*xy: tuple[float, float]) -> Array:
        return place + np.array(xy) @ turn

    blades = [at((-3.6, side * 2.0), (7.5, -side * 3.0)) for side in (1, -1)]
    rings = [at((-5.6, side * 3.4))[0] for side in (1, -1)]
    return Scissors(blades, rings, 2.4)


def legend_marks(entries: Iterable[tuple[str, Stroke, bool]], page: Layout) -> list[LegendMark]:
    return [
        LegendMark(MARGIN, page.height + LEGEND_LINE * (row + 0.5), look.color, label, is_path, look.dash)
        for row, (label, look, is_path) in enumerate(entries)
    ]
