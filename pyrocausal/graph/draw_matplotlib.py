"""The matplotlib backend of `pyrocausal.graph.draw`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.colors import to_rgba
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path

from pyrocausal.graph import labels
from pyrocausal.graph.picture import INK, SWATCH, EdgeMark, LegendMark, NodeMark, Picture, Stroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PIXELS_PER_INCH = 96.0
# matplotlib's own font is wider than Helvetica, by which the nodes were measured
TEXT_SCALE = 0.88


def draw(picture: Picture, ax: Axes | None = None) -> Axes:
    """Draw a picture one unit a pixel, y downwards, and of one scale in both directions."""
    if ax is None:
        import matplotlib.pyplot as plt

        size = (picture.width / PIXELS_PER_INCH, picture.height / PIXELS_PER_INCH)
        ax = plt.figure(figsize=size).add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, picture.width), ylim=(picture.height, 0), aspect="equal")
    ax.set_axis_off()
    pen = _Pen(ax, picture)
    for edge in picture.edges:
        pen.edge(edge)
    for node in picture.nodes:
        pen.node(node)
    for mark in picture.legend:
        pen.legend(mark)
    return ax


class _Pen:
    """Draws marks; text and lines, which matplotlib measures in points, follow the scale of the axes."""

    def __init__(self, ax: Axes, picture: Picture):
        self.ax = ax
        self.ink = matplotlib.rcParams["text.color"]
        figure = ax.get_figure(root=True)
        assert figure is not None
        share = ax.get_position()
        width, height = figure.get_size_inches()
        scale = min(width * share.width / picture.width, height * share.height / picture.height)
        self.points = 72 * scale  # per pixel of the picture

    def color(self, color: str, opacity: float = 1.0) -> Any:
        return to_rgba(self.ink if color == INK else color, opacity)

    def stroke(self, stroke: Stroke) -> dict[str, Any]:
        # dashes come in multiples of the line's width
        dash = (0, tuple(length / stroke.width for length in stroke.dash)) if stroke.dash else "-"
        edgecolor = self.color(stroke.color, stroke.opacity)
        return {"edgecolor": edgecolor, "linewidth": stroke.width * self.points, "linestyle": dash}

    def add(self, patch: Any) -> None:
        self.ax.add_patch(patch)

    def edge(self, edge: EdgeMark) -> None:
        line = Path(edge.line, [Path.MOVETO, *[Path.CURVE4] * (len(edge.line) - 1)])
        self.add(PathPatch(line, facecolor="none", capstyle="butt", **self.stroke(edge.stroke)))
        for head in edge.heads:
            self.add(Polygon(head, facecolor=self.color(edge.stroke.color, edge.stroke.opacity), linewidth=0))
        if edge.scissors:
            thin = self.stroke(Stroke(opacity=0.8))
            for blade in edge.scissors.blades:
                self.add(PathPatch(Path(blade), **thin))
            for ring in edge.scissors.rings:
                self.add(Circle(tuple(ring), edge.scissors.ring_radius, facecolor="none", **thin))

    def node(self, node: NodeMark) -> None:
        box = node.box
        corner = (box.x - box.width / 2, box.y - box.height / 2)
        style = f"round,pad=0,rounding_size={box.radius}"
        tint = self.color(node.tint, node.tint_opacity)
        self.add(
            FancyBboxPatch(
                corner, box.width, box.height, boxstyle=style, facecolor=tint, **self.stroke(node.stroke)
            )
        )
        middle = (len(node.lines) - 1) / 2
        for i, line in enumerate(node.lines):
            self.text(box.x, box.y + (i - middle) * labels.LINE_HEIGHT, line, "center")

    def legend(self, mark: LegendMark) -> None:
        if mark.is_path:
            path = Path([(mark.x, mark.y), (mark.x + SWATCH, mark.y)])
            self.add(PathPatch(path, **self.stroke(Stroke(mark.color, 2.6, mark.dash))))
        else:
            tint, look = self.color(mark.color, 0.24), self.stroke(Stroke(mark.color, 1.8))
            self.add(Circle((mark.x + SWATCH / 2, mark.y), 6, facecolor=tint, **look))
        self.text(mark.x + SWATCH + 8, mark.y, mark.label, "left")

    def text(self, x: float, y: float, words: str, align: str) -> None:
        size = labels.FONT_SIZE * TEXT_SCALE * self.points
        # names are not mathematics: a $ is a $
        self.ax.text(x, y, words, ha=align, va="center_baseline", fontsize=size, parse_math=False)
