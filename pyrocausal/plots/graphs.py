"""The graph, as a picture in matplotlib's axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrocausal.graph import draw
from pyrocausal.plots.canvas import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def graph(graph: Any, ax: Axes | None = None, **marks: Any) -> Axes:
    """A causal graph, or that of an SCM. Of a submodel, the cut edges carry scissors.

    Args:
        marks: what to mark, as in `pyrocausal.graph.draw.svg`: evidence, adjustment, paths, direction.

    >>> from pyrocausal import CausalGraph
    >>> ax = graph(CausalGraph.from_string("age -> quit"))
    >>> [text.get_text() for text in ax.texts]
    ['age', 'quit']
    """
    found = graph if hasattr(graph, "bidirected") else graph.graph
    if ax is not None:
        return draw.axes(found, ax, **marks)
    with styled():
        return draw.axes(found, **marks)
