"""Random questions of every kind about random graphs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pyrocausal import CausalGraph
from pyrocausal.identification import Constant, Outcome, Query, Regime, Symbol
from pyrocausal.identification.expression import OBSERVED
from tests.graph.random_graphs import random_graph

KINDS = ("effect", "conditional effect", "experiments", "counterfactual", "beyond experiments")


@dataclass(frozen=True)
class Asked:
    """A query, and what is known."""

    graph: CausalGraph
    query: Query
    known: tuple[Regime, ...] = (OBSERVED,)
    given: str = "observational"


def asked(kind: str, rng: random.Random, sizes: Sequence[int]) -> Asked:
    """A question of a kind about a graph of one of the sizes (3 or more)."""
    graph = random_graph(rng, rng.choice(sizes), rng.choice([0.3, 0.5, 0.7]), rng.choice([0.2, 0.4, 0.6]))
    if kind in ("counterfactual", "beyond experiments"):
        given = "observational" if kind == "counterfactual" else "experimental"
        outcomes = [_outcome(graph, rng, nested=True) for _ in range(rng.choice([1, 1, 2, 2, 3]))]
        conditions = [_outcome(graph, rng, nested=False) for _ in range(rng.choice([0, 0, 1, 2]))]
        return Asked(graph, Query(tuple(outcomes), tuple(conditions)), given=given)
    names = rng.sample(graph.nodes, len(graph.nodes))
    world = [Symbol(names.pop()) for _ in range(min(rng.choice([1, 1, 2]), len(names) - 2))]
    of = [Outcome.of(names.pop(), do=world) for _ in range(min(rng.choice([1, 1, 2]), len(names) - 1))]
    conditions = [Outcome.of(names.pop(), do=world)] if kind == "conditional effect" else []
    known: tuple[Regime, ...] = (OBSERVED,)
    if kind == "experiments":
        some = [
            frozenset(rng.sample(graph.nodes, rng.choice([1, 1, 2]))) for _ in range(rng.choice([1, 2, 2]))
        ]
        known = tuple(Regime(do) for do in dict.fromkeys(some)) + known[: rng.choice([0, 1])]
    return Asked(graph, Query(tuple(of), tuple(conditions)), known)


def _outcome(graph: CausalGraph, rng: random.Random, nested: bool) -> Outcome:
    """A variable in a world of some of its ancestors; they may be what they are in another world."""

    def value(name: str) -> Constant:
        return Constant(name, rng.randint(0, 1))

    def action(name: str) -> Constant | Outcome:
        if nested and rng.random() < 0.3:
            return Outcome.of(name, do=[value(a) for a in graph.ancestors(name) if rng.random() < 0.5])
        return value(name)

    variable = rng.choice(graph.nodes)
    acted = [name for name in graph.ancestors(variable) if rng.random() < 0.5]
    return Outcome.of(variable, value(variable), do=map(action, acted))
