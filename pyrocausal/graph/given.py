"""A graph in whatever form a user has it."""

from __future__ import annotations

from typing import Any

from pyrocausal.errors import GraphError
from pyrocausal.graph.causal_graph import CausalGraph


def as_graph(graph: Any) -> CausalGraph:
    """A `CausalGraph` from one, from text, from a networkx graph, or from an SCM, which has one."""
    if isinstance(graph, str):
        return CausalGraph.from_string(graph)
    graph = graph.graph if isinstance(getattr(graph, "graph", None), CausalGraph) else graph
    if isinstance(graph, CausalGraph):
        return graph
    if not hasattr(graph, "is_directed"):
        raise GraphError(
            f"{graph!r} is no graph",
            fix='pass text such as "age -> quit; quit -> gain", a CausalGraph or a networkx graph',
        )
    return CausalGraph.from_networkx(graph)
