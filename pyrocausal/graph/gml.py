"""Graphs in GML (M. Himsolt, "GML: a portable graph file format", 1997), as networkx reads it.

Nodes are named by their labels; ``latent 1`` marks one that is not observed, and ``dir "both"`` an edge that
is a hidden common cause.
"""

from __future__ import annotations

import re

from pyrocausal.errors import GraphError
from pyrocausal.graph.text import Parts, fail

FIX = "see networkx.parse_gml for the format, and give each node a label"


def parse(text: str) -> Parts:
    """Read a graph's text into its parts.

    >>> nodes = 'node [ id 0 label "x" ] node [ id 1 label "y" ]'
    >>> list(parse(f"graph [ directed 1 {nodes} edge [ source 0 target 1 ] ]").edges)
    [('x', 'y')]
    """
    import networkx as nx

    try:
        graph = nx.parse_gml(text)
    except nx.NetworkXError as error:
        if place := re.search(r" at \((\d+), (\d+)\)", str(error)):
            line, column = map(int, place.groups())
            lines = text.split("\n")
            fail(
                text,
                len("\n".join(lines[: line - 1])) + (line > 1) + column - 1,
                str(error)[: place.start()],
                FIX,
            )
        raise GraphError("the graph's text can't be read", str(error), FIX) from error
    if not graph.is_directed():
        raise GraphError(
            "the graph is undirected",
            "an edge of a causal graph says which end is the cause",
            "write directed 1 after graph [",
        )
    parts = Parts(nodes=dict.fromkeys(map(str, graph)))
    parts.latent = {str(name): None for name, data in graph.nodes(data=True) if data.get("latent")}
    for *ends, data in graph.edges(data=True):
        a, b = map(str, ends)
        both = data.get("dir") == "both"
        parts.add("bidirected" if both else "edges", (min(a, b), max(a, b)) if both else (a, b))
    return parts
