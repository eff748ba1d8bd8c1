"""The latent projection: which edges a graph has when only some of its nodes are looked at.

T. Verma and J. Pearl, "Equivalence and synthesis of causal models" (1990). All is found in one pass from the
effects to the causes, so that a graph of a thousand nodes, half of them hidden, takes a moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import combinations, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrocausal.graph.causal_graph import CausalGraph

Edge = tuple[str, str]


def project(graph: CausalGraph, kept: AbstractSet[str]) -> tuple[set[Edge], set[Edge]]:
    """The directed and the bidirected edges among ``kept``: paths whose inner nodes are all hidden.

    >>> from pyrocausal.graph import CausalGraph
    >>> project(CausalGraph.from_string("x -> m -> y"), {"x", "y"})
    ({('x', 'y')}, set())
    """
    shown = shown_effects(graph, kept)
    directed = {(cause, effect) for cause in kept for effect in shown[cause]}
    confounded = set()
    for name in graph.nodes:  # a hidden cause of hidden causes speaks for them: it has all their effects
        if name not in kept and graph.parents(name) <= kept:
            confounded |= {in_order(pair) for pair in combinations(shown[name], 2)}
    for pair in graph.bidirected:
        ends = ([name] if name in kept else shown[name] for name in pair)
        confounded |= {in_order((a, b)) for a, b in product(*ends) if a != b}
    return directed, confounded


def shown_effects(graph: CausalGraph, kept: AbstractSet[str]) -> dict[str, set[str]]:
    """For each node, the ones in ``kept`` that it reaches by directed paths through hidden nodes."""
    shown: dict[str, set[str]] = {}
    for name in reversed(graph.nodes):
        children: Iterable[str] = graph.children(name)
        shown[name] = set().union(*({child} if child in kept else shown[child] for child in children))
    return shown


def in_order(pair: Edge) -> Edge:
    return (min(pair), max(pair))
