"""What a causal graph must be: named nodes, edges between two of them, no cycle; and errors that say so."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from typing import NoReturn

from pyrocausal.errors import GraphError, did_you_mean
from pyrocausal.graph import text

Edge = tuple[str, str]


def names_of(names: Iterable[str], argument: str) -> tuple[str, ...]:
    """Check that these are names."""
    if isinstance(names, str):
        raise GraphError(
            f"{argument} is the string {names!r}, where a list of names was expected",
            "a string is read letter by letter",
            f"write {argument}=[{names!r}], or CausalGraph.from_string({names!r}) if it is a graph",
        )
    names = tuple(names)
    for name in names:
        if not isinstance(name, str) or not name:
            raise GraphError(
                f"{name!r} in {argument} is no name",
                "nodes are named by strings that are not empty",
                "name them, e.g. networkx.relabel_nodes(graph, str)",
            )
    return names


def pairs_of(pairs: Iterable[Edge], argument: str, symmetric: bool = False) -> tuple[Edge, ...]:
    """Check that these are pairs of two names, each once."""
    checked: dict[Edge, None] = {}
    for pair in pairs:
        if isinstance(pair, str) or not isinstance(pair, Iterable) or len(tuple(pair)) != 2:
            raise GraphError(
                f"{pair!r} in {argument} is no edge",
                "an edge is a pair of names",
                f'write {argument}=[("cause", "effect"), ...], or CausalGraph.from_string("cause -> effect")',
            )
        a, b = tuple(pair)
        if a == b:
            raise GraphError(
                f"{a!r} is joined to itself in {argument}",
                "a variable is no cause of itself, and always shares its own noise",
                "drop that edge; for change over time, give each time its own node (x0, x1)",
            )
        names_of((a, b), argument)
        edge = (min(a, b), max(a, b)) if symmetric else (a, b)
        if edge in checked:
            raise GraphError(f"{argument} has {edge!r} twice", "an edge is listed once", "drop the repeat")
        checked[edge] = None
    return tuple(checked)


def check_known(names: Iterable[str], known: Collection[str]) -> list[str]:
    names = list(names)
    for name in names:
        if name not in known:
            raise GraphError(
                f"the graph has no node {name!r}",
                f"its nodes are {listed(known) or 'none'}",
                did_you_mean(name, known) or "use one of these names, or add the node to the graph",
            )
    return names


def topological_order(names: tuple[str, ...], edges: tuple[Edge, ...]) -> tuple[str, ...]:
    """Kahn's algorithm; of the nodes that are ready, the one named first comes first."""
    rank = {name: position for position, name in enumerate(names)}
    waiting = dict.fromkeys(names, 0)
    effects: dict[str, list[str]] = {name: [] for name in names}
    for cause, effect in edges:
        waiting[effect] += 1
        effects[cause].append(effect)
    ready = [rank[name] for name in names if not waiting[name]]
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for effect in effects[name]:
            waiting[effect] -= 1
            if not waiting[effect]:
                heapq.heappush(ready, rank[effect])
    if len(order) < len(names):
        raise_cycle(set(names) - set(order), edges)
    return tuple(order)


def raise_cycle(stuck: set[str], edges: tuple[Edge, ...]) -> NoReturn:
    """Walk upstream among nodes that all still wait for a parent, until one comes again."""
    cause_of = {effect: cause for cause, effect in edges if cause in stuck and effect in stuck}
    walk = [min(stuck & set(cause_of))]
    while (cause := cause_of[walk[-1]]) not in walk:
        walk.append(cause)
    cycle = [*walk[walk.index(cause) :], cause][::-1]
    raise GraphError(
        f"the graph has a cycle: {' -> '.join(map(text.quote, cycle))}",
        "in a causal graph no variable is a cause of itself, even through others",
        "drop or turn an edge of it; for feedback over time, give each time its own node (x0, x1)",
    )


def listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
