"""A causal graph in the languages of others: networkx, mermaid, Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrocausal.errors import GraphError

if TYPE_CHECKING:
    import networkx as nx

    from pyrocausal.graph.causal_graph import CausalGraph

NODE_MARKS = ("latent", "intervened")
PAIRS = ("bidirected", "cut", "cut_bidirected")


def to_networkx(graph: CausalGraph) -> nx.DiGraph:
    import networkx as nx

    result = nx.DiGraph(**{kind: list(pairs) for kind in PAIRS if (pairs := getattr(graph, kind))})
    for name in graph.nodes:
        result.add_node(name, **{mark: True for mark in NODE_MARKS if name in getattr(graph, mark)})
    result.add_edges_from(graph.edges)
    return result


def from_networkx(graph: nx.DiGraph) -> dict[str, Any]:
    """The arguments of ``CausalGraph`` for a networkx graph."""
    if not graph.is_directed():
        raise GraphError(
            "the networkx graph is undirected",
            "an edge of a causal graph says which end is the cause",
            "pass a networkx.DiGraph; hidden common causes go in graph.graph['bidirected']",
        )
    marks = {mark: [name for name, data in graph.nodes(data=True) if data.get(mark)] for mark in NODE_MARKS}
    pairs = {kind: graph.graph.get(kind, ()) for kind in PAIRS}
    return {"nodes": list(graph.nodes), "edges": list(dict.fromkeys(graph.edges())), **marks, **pairs}


def to_mermaid(graph: CausalGraph) -> str:
    """A mermaid flowchart; names stand in quoted labels, since mermaid's ids allow few characters."""
    ids = {name: f"n{i}" for i, name in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    lines += [f'    {ids[name]}(["{_mermaid_escape(name)}"])' for name in graph.nodes]
    lines += [f"    {ids[a]} --> {ids[b]}" for a, b in graph.edges]
    lines += [f"    {ids[a]} <-.-> {ids[b]}" for a, b in graph.bidirected]
    lines += [f"    {ids[a]} -. ✂ .-> {ids[b]}" for a, b in graph.cut]
    lines += [f"    {ids[a]} <-. ✂ .-> {ids[b]}" for a, b in graph.cut_bidirected]
    styles = (("latent", "stroke-dasharray: 4 3"), ("intervened", "stroke-width: 3px"))
    for mark, style in styles:
        if names := getattr(graph, mark):
            lines += [f"    classDef {mark} {style}", f"    class {','.join(ids[n] for n in names)} {mark}"]
    return "\n".join(lines)


def _mermaid_escape(name: str) -> str:
    """Mermaid reads ``#number;`` as a character: everything but letters, digits and blanks becomes one."""
    return "".join(c if c.isalnum() or c in " _" else f"#{ord(c)};" for c in name)


def to_dot(graph: CausalGraph) -> str:
    """Graphviz's language; `pyrocausal.graph.dot` reads it back, by ``latent``, ``do`` and ``cut``."""
    lines = ["digraph {", "    rankdir=LR; node [shape=ellipse];"]
    for name in graph.nodes:
        styles = ["dashed"] * (name in graph.latent) + ["bold"] * (name in graph.intervened)
        marks = [", latent=true"] * (name in graph.latent) + [", do=true"] * (name in graph.intervened)
        attributes = f' [style="{",".join(styles)}"{"".join(marks)}]' if styles else ""
        lines.append(f"    {_dot_quote(name)}{attributes};")
    kinds = (
        ("edges", ""),
        ("bidirected", " [dir=both, style=dashed, constraint=false]"),
        ("cut", ' [style=dotted, label="✂", cut=true]'),
        ("cut_bidirected", ' [dir=both, style=dotted, label="✂", constraint=false, cut=true]'),
    )
    for kind, attributes in kinds:
        lines += [f"    {_dot_quote(a)} -> {_dot_quote(b)}{attributes};" for a, b in getattr(graph, kind)]
    return "\n".join([*lines, "}"])


def _dot_quote(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
