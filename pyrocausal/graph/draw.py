"""Pictures of causal graphs: SVG without any external program, and matplotlib axes.

Latent nodes are dashed; bidirected edges are dashed arcs with two heads; a node set by ``do`` is an
orange box with square corners, and the edges it cut are faint and carry scissors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

from pyrocausal.graph import labels
from pyrocausal.graph.curves import Array
from pyrocausal.graph.layout import Direction
from pyrocausal.graph.picture import (
    INK,
    SWATCH,
    EdgeMark,
    LegendMark,
    NodeMark,
    Scissors,
    Stroke,
    picture,
)
from pyrocausal.graph.picture import said as said
from pyrocausal.graph.separation import Path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pyrocausal.graph.causal_graph import CausalGraph

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
# In a notebook the theme's ink, in a page the text's, and in a file of its own what the reader prefers.
STYLE = (
    ".pyrocausal-graph{max-width:100%;height:auto;"
    "color:var(--jp-content-font-color1,var(--vscode-editor-foreground,inherit))}"
    "@media(prefers-color-scheme:dark){svg.pyrocausal-graph:root{color-scheme:dark;color:#e4e4e4}}"
)


def svg(
    graph: CausalGraph,
    *,
    evidence: Iterable[str] = (),
    adjustment: Iterable[str] = (),
    paths: Iterable[str | Path] = (),
    direction: Direction | None = None,
) -> str:
    """The graph as an SVG element, for a page or for a file.

    Parameters
    ----------
    evidence, adjustment
        Names to colour: what is conditioned on, and what is adjusted for.
    paths
        Paths to colour, in the words of `CausalGraph.open_paths`: ``["quit <- age -> gain"]``.
    direction
        ``"LR"`` (left to right) or ``"TD"`` (top down); by default as it fits a page.

    Examples
    --------
    >>> from pyrocausal.graph import CausalGraph
    >>> svg(CausalGraph.from_string("age -> quit -> gain; age -> gain"), adjustment=["age"])[:28]
    '<svg class="pyrocausal-graph'
    """
    image = picture(graph, evidence, adjustment, paths, direction)
    title = _clean(f"Causal graph: {graph.to_string()}")
    width, height = f"{image.width:.0f}", f"{image.height:.0f}"
    opening = (
        f'<svg class="pyrocausal-graph" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}"'
        f' viewBox="0 0 {width} {height}" width="{width}" height="{height}" fill="none"'
        f' font-family="{FONT}" font-size="{labels.FONT_SIZE:g}" text-anchor="middle">'
    )
    marks = (*map(_svg_edge, image.edges), *map(_svg_node, image.nodes), *map(_svg_legend, image.legend))
    return "\n".join((opening, f"<title>{title}</title>", f"<style>{STYLE}</style>", *marks, "</svg>"))


def _clean(words: str) -> str:
    """Text that is safe inside XML: escaped, and without the control characters that XML forbids."""
    return escape("".join(char if char.isprintable() else " " for char in words))


def _svg_stroke(stroke: Stroke) -> str:
    dash = f' stroke-dasharray="{stroke.dash[0]:g} {stroke.dash[1]:g}"' if stroke.dash else ""
    opacity = f' stroke-opacity="{stroke.opacity:g}"' if stroke.opacity < 1 else ""
    return f'stroke="{stroke.color}" stroke-width="{stroke.width:g}"{dash}{opacity}'


def _svg_point(point: Array) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def _svg_edge(edge: EdgeMark) -> str:
    start, *rest = map(_svg_point, edge.line)
    parts = [f'<path d="M{start} C{" ".join(rest)}" {_svg_stroke(edge.stroke)}/>']
    for head in edge.heads:
        points = " ".join(map(_svg_point, head))
        parts.append(
            f'<polygon points="{points}" fill="{edge.stroke.color}" fill-opacity="{edge.stroke.opacity:g}"/>'
        )
    if edge.scissors:
        parts += _svg_scissors(edge.scissors)
    return f"<g><title>{_clean(edge.title)}</title>{''.join(parts)}</g>"


def _svg_scissors(scissors: Scissors) -> Iterator[str]:
    look = f'stroke="{INK}" stroke-width="1.4" stroke-linecap="round" stroke-opacity="0.8"'
    for start, end in scissors.blades:
        yield f'<path d="M{_svg_point(start)} L{_svg_point(end)}" {look}/>'
    for x, y in scissors.rings:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{scissors.ring_radius:g}" {look}/>'


def _svg_node(node: NodeMark) -> str:
    box = node.box
    left, top = box.x - box.width / 2, box.y - box.height / 2
    first = box.y - labels.LINE_HEIGHT * (len(node.lines) - 1) / 2 + 0.35 * labels.FONT_SIZE
    lines = [
        f'<text x="{box.x:.1f}" y="{first + i * labels.LINE_HEIGHT:.1f}" fill="{INK}">{_clean(line)}</text>'
        for i, line in enumerate(node.lines)
    ]
    return (
        f"<g><title>{_clean(node.name)}</title>"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        f' rx="{box.radius:g}" fill="{node.tint}" fill-opacity="{node.tint_opacity:g}"'
        f" {_svg_stroke(node.stroke)}/>"
        f"{''.join(lines)}</g>"
    )


def _svg_legend(mark: LegendMark) -> str:
    if mark.is_path:
        look = _svg_stroke(Stroke(mark.color, 2.6, mark.dash))
        swatch = f'<path d="M{mark.x:.1f},{mark.y:.1f} h{SWATCH:g}" {look}/>'
    else:
        centre = f'cx="{mark.x + SWATCH / 2:.1f}" cy="{mark.y:.1f}" r="6"'
        look = _svg_stroke(Stroke(mark.color, 1.8))
        swatch = f'<circle {centre} fill="{mark.color}" fill-opacity="0.24" {look}/>'
    x, y = mark.x + SWATCH + 8, mark.y + 0.35 * labels.FONT_SIZE
    words = f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="start">{_clean(mark.label)}</text>'
    return f"<g>{swatch}{words}</g>"


def axes(
    graph: CausalGraph,
    ax: Axes | None = None,
    *,
    evidence: Iterable[str] = (),
    adjustment: Iterable[str] = (),
    paths: Iterable[str | Path] = (),
    direction: Direction | None = None,
) -> Axes:
    """The same picture in matplotlib axes: new ones of the picture's size if none are given.

    >>> from pyrocausal.graph import CausalGraph
    >>> ax = axes(CausalGraph.from_string("age -> quit"))
    >>> [text.get_text() for text in ax.texts]
    ['age', 'quit']
    """
    from pyrocausal.graph import draw_matplotlib  # matplotlib takes long to import

    return draw_matplotlib.draw(picture(graph, evidence, adjustment, paths, direction), ax)
