"""Random graphs with hidden causes, random discrete SCMs on them, and the truth by enumeration.

Every bidirected edge is a hidden variable of 2 or 3 levels with an arrow to both of its ends. All
probabilities are positive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.expression import Regime


def random_graph(
    rng: np.random.Generator, nodes: int, directed: float = 0.5, bidirected: float = 0.3
) -> CausalGraph:
    """An ADMG: each pair is joined by either kind of edge, or both, with these probabilities."""
    names = [f"v{i}" for i in range(nodes)]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return CausalGraph(
        [names[i] for i in rng.permutation(nodes)],
        [pair for pair in pairs if rng.random() < directed],
        [pair for pair in pairs if rng.random() < bidirected],
    )


class World:
    """A discrete SCM on a graph: a table of P(v | parents, hidden causes) for every node."""

    def __init__(self, graph: CausalGraph, rng: np.random.Generator, levels: Iterable[int] = (2, 2, 3)):
        self.graph = graph
        choices = list(levels)
        self.levels = {name: int(rng.choice(choices)) for name in (*graph.nodes, *graph.bidirected)}
        self.axis = {name: i for i, name in enumerate(self.levels)}
        self.tables = {name: self._table(name, rng) for name in self.levels}

    def changed(self, names: Iterable[str], rng: np.random.Generator) -> World:
        """Another population: the mechanisms of these nodes are others."""
        other = object.__new__(World)
        other.__dict__ |= self.__dict__
        other.tables = self.tables | {name: self._table(name, rng) for name in names}
        return other

    def _causes(self, name: object) -> list:
        if not isinstance(name, str):
            return []
        hidden = [edge for edge in self.graph.bidirected if name in edge]
        return [*self.graph.parents(name), *hidden]

    def _table(self, name: object, rng: np.random.Generator) -> np.ndarray:
        shape = [self.levels[cause] for cause in self._causes(name)]
        return rng.dirichlet(np.ones(self.levels[name]), shape) * 0.9 + 0.1 / self.levels[name]

    def joint(self, do: Collection[str] = ()) -> np.ndarray:
        """P(v | do) by the truncated factorisation, with an axis for each node, those in ``do`` too."""
        terms: list = []
        for name, table in self.tables.items():
            if name not in do:
                terms += [table, [self.axis[c] for c in (*self._causes(name), name)]]
        for name in do:
            terms += [np.ones(self.levels[name]), [self.axis[name]]]
        return np.einsum(*terms, list(range(len(self.graph.nodes))), optimize="greedy")

    def pmf(self, do: Collection[str] = ()) -> pd.Series:
        """The same, as a table that estimands are evaluated on."""
        nodes = self.graph.nodes
        index = pd.MultiIndex.from_product([range(self.levels[n]) for n in nodes], names=nodes)
        return pd.Series(self.joint(do).ravel(), index)

    def truth(
        self, outcomes: Collection[str], do: Collection[str], given: Collection[str] = ()
    ) -> np.ndarray:
        """P(outcomes | do, given), on the axes of all nodes; those that do not occur have length 1."""
        joint = self.joint(do)
        nodes = self.graph.nodes

        def over(kept: set[str]) -> np.ndarray:
            gone = tuple(i for i, n in enumerate(nodes) if n not in kept)
            return joint.sum(gone, keepdims=True)

        return over({*outcomes, *given, *do}) / over({*given, *do})


def aligned(series: pd.Series | float, nodes: Collection[str]) -> np.ndarray:
    """What an estimand gave, on the axes of all nodes."""
    if not isinstance(series, pd.Series):
        return np.full((1,) * len(nodes), series)
    levels = {name: series.index.unique(name) for name in series.index.names}
    order = [name for name in nodes if name in levels]
    if len(order) > 1:
        series = series.reorder_levels(order).sort_index()
    return series.to_numpy().reshape([len(levels[n]) if n in levels else 1 for n in nodes])


def tables(worlds: Mapping[str, World], known: Iterable[Regime]) -> dict[Regime, pd.Series]:
    """The distributions that are known, from the SCM of each population."""
    return {regime: worlds[regime.population].pmf(sorted(regime.do)) for regime in known}


def sparse_graph(rng: np.random.Generator, nodes: int, parents: float = 1.25) -> CausalGraph:
    """A large ADMG: ``parents`` edges a node on average, and 0.3 bidirected ones."""
    names = [f"v{i}" for i in range(nodes)]

    def pairs(count: int) -> list[tuple[str, str]]:
        found: dict[tuple[str, str], None] = {}
        while len(found) < count:
            i, j = sorted(rng.choice(nodes, 2, replace=False))
            found[names[i], names[j]] = None
        return list(found)

    return CausalGraph(names, pairs(int(parents * nodes)), pairs(int(0.3 * nodes)))
