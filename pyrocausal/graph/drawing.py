"""A picture of a graph as an object: it shows itself in Jupyter, and can be saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrocausal.errors import GraphError
from pyrocausal.graph import check, draw, separation
from pyrocausal.graph.layout import Direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pyrocausal.graph.causal_graph import CausalGraph

MOST = 8  # paths that are told apart in one picture
MANY = 80  # paths that are looked at for open ones


@dataclass(frozen=True, repr=False)
class Drawing:
    """What `CausalGraph.show` gives.

    Attributes:
        graph: what is drawn.
        marks: what is marked in it, as `draw.svg` takes it.
        more: what there was no room for, in words.
    """

    graph: CausalGraph
    marks: dict[str, Any]
    more: str = ""

    @property
    def svg(self) -> str:
        return draw.svg(self.graph, **self.marks)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The same in matplotlib's axes."""
        return draw.axes(self.graph, ax, **self.marks)

    def save(self, path: str | Path) -> None:
        """Write it as SVG, or in a format of matplotlib's (.png, .pdf), by the name's ending."""
        path = Path(path)
        if path.suffix == ".svg":
            path.write_text(self.svg, encoding="utf-8")
            return
        import matplotlib.pyplot as plt

        figure: Any = self.plot().figure
        try:
            figure.savefig(path, dpi=200)
        except ValueError as error:
            raise GraphError(
                f"{path.name} can't be written", str(error), "name it .svg, .png or .pdf"
            ) from None
        finally:
            plt.close(figure)

    def __repr__(self) -> str:
        lines = [f"Drawing of {self.graph.to_string()}"]
        lines += [f"  {draw.said(path)}" for path in self.marks["paths"]]
        return "\n".join([*lines, f"  {self.more}"] if self.more else lines)

    def _repr_html_(self) -> str:
        return f"{self.svg}<div>{self.more}</div>" if self.more else self.svg


def drawing(
    graph: CausalGraph,
    *,
    evidence: str | Iterable[str] = (),
    adjust: str | Iterable[str] = (),
    paths: str | Iterable[str] = (),
    direction: Direction | None = None,
) -> Drawing:
    """See `CausalGraph.show`."""
    evidence, adjust = _names(evidence, "evidence"), _names(adjust, "adjust")
    shown: list[Any] = [paths] if isinstance(paths, str) else list(paths)
    more = ""
    if len(shown) == 2 and all(name in graph.nodes for name in shown):
        (_, _, given) = graph._disjoint(shown[0], shown[1], {*evidence, *adjust})
        found = list(islice(separation.paths(graph, shown[0], shown[1], given), MANY))
        found.sort(key=lambda path: bool(path.blocked))  # open ones first; each kind stays sorted by length
        shown = found[:MOST]
        if len(found) > MOST:
            more = f"and {'at least ' * (len(found) == MANY)}{len(found) - MOST} paths more"
    marks = {"evidence": evidence, "adjustment": adjust, "paths": shown, "direction": direction}
    return Drawing(graph, marks, more)


def _names(given: str | Iterable[str], what: str) -> tuple[str, ...]:
    return check.names_of((given,) if isinstance(given, str) else given, what)
