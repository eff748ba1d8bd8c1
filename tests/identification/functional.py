"""Discrete SCMs whose every world can be enumerated, and random questions about them: the ground truth.

A `FunctionalSCM` has finitely many kinds of units (states of all noise and hidden causes), each with a
probability. What any unit does in any world is computed; a query's truth is a sum over units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.expression import Constant, Regime, Symbol, Value
from pyrocausal.identification.outcome import Outcome, Query


class FunctionalSCM:
    """Random mechanisms over an ADMG: a table of values by parents, hidden causes, and the variable's noise.

    Every value occurs for some noise, whatever the parents: all distributions are positive.
    """

    def __init__(self, graph: CausalGraph, levels: Mapping[str, int], rng: np.random.Generator):
        self.graph, self.levels = graph, dict(levels)
        hidden = [f"{a}<->{b}" for a, b in graph.bidirected]
        sizes = {name: levels[name] + 1 for name in graph.nodes} | dict.fromkeys(hidden, 2)
        states = np.indices(tuple(sizes.values())).reshape(len(sizes), -1)
        self.units = dict(zip(sizes, states))
        self.weight = np.ones(states.shape[1])
        for name, size in sizes.items():
            self.weight *= rng.dirichlet(np.full(size, 2.0))[self.units[name]]
        self.hidden = {name: [h for h in hidden if name in h.split("<->")] for name in graph.nodes}
        self.tables = {}
        for name in graph.nodes:
            shape = [*(levels[p] for p in graph.parents(name)), *(2 for _ in self.hidden[name])]
            rows = [
                rng.permutation([*range(levels[name]), rng.integers(levels[name])])
                for _ in range(int(np.prod(shape)))
            ]
            self.tables[name] = np.array(rows).reshape(*shape, levels[name] + 1)

    def world(self, do: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What every unit shows when some variables are set (for each unit, if it is an array)."""
        shown: dict[str, np.ndarray] = {}
        for name in self.graph.nodes:
            if name in do:
                shown[name] = np.broadcast_to(do[name], self.weight.shape)
            else:
                causes = [shown[p] for p in self.graph.parents(name)]
                hidden = [self.units[h] for h in self.hidden[name]]
                shown[name] = self.tables[name][(*causes, *hidden, self.units[name])]
        return shown

    def natural(self, outcome: Outcome, values: Mapping[Symbol, int]) -> np.ndarray:
        """The value of an outcome's variable in its world, for every unit."""
        do = {
            action.variable: self.natural(action, values)
            if isinstance(action, Outcome)
            else _number(action, values)
            for action in outcome.do
        }
        return self.world(do)[outcome.variable]

    def truth(self, query: Query, values: Mapping[Symbol, int]) -> float:
        """NaN where the condition never happens."""

        def happens(outcomes: tuple[Outcome, ...]) -> np.ndarray:
            true = [self.natural(o, values) == _number(o.value, values) for o in outcomes]
            return np.logical_and.reduce([np.ones_like(self.weight, bool), *true])

        given = happens(query.given)
        below = self.weight[given].sum()
        return self.weight[given & happens(query.outcomes)].sum() / below if below > 0 else np.nan

    def pmf(self, regime: Regime) -> pd.Series:
        """The table of a regime: every combination of what is set, and how often each outcome follows."""
        names = list(self.graph.nodes)
        cells = np.zeros([self.levels[name] for name in names])
        for values in product(*(range(self.levels[name]) for name in sorted(regime.do))):
            shown = self.world(dict(zip(sorted(regime.do), values)))
            np.add.at(cells, tuple(shown[name] for name in names), self.weight)
        index = pd.MultiIndex.from_product([range(self.levels[name]) for name in names], names=names)
        return pd.Series(cells.ravel(), index)

    def assignments(self, query: Query) -> Iterator[dict[Symbol, int]]:
        """All values of the query's symbols."""
        symbols = sorted(query.symbols)
        for values in product(*(range(self.levels[s.variable]) for s in symbols)):
            yield dict(zip(symbols, values))


def _number(value: Value, values: Mapping[Symbol, int]) -> int:
    return values[value] if isinstance(value, Symbol) else value.value


def random_graph(rng: np.random.Generator, nodes: int) -> CausalGraph:
    """An ADMG with about half of the directed and a fifth of the bidirected edges."""
    names = list("abcdef"[:nodes])
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    dense, confounded = rng.uniform(0.3, 0.8), rng.uniform(0.0, 0.4)
    return CausalGraph(
        names,
        [pair for pair in pairs if rng.random() < dense],
        [pair for pair in pairs if rng.random() < confounded][:4],
    )


def random_query(rng: np.random.Generator, graph: CausalGraph) -> Query:
    """One to three outcomes and up to two conditions, in up to three worlds, some of them nested."""

    symbolic = {name for name in graph.nodes if rng.random() < 0.3}

    def value(name: str) -> Value:
        if name in symbolic:
            return Symbol(name, int(rng.random() < 0.3))
        return Constant(name, int(rng.integers(2)))

    def world(depth: int) -> tuple[Value | Outcome, ...]:
        names = map(str, rng.choice(graph.nodes, rng.integers(1, min(3, len(graph.nodes))), replace=False))
        return tuple(
            Outcome.of(name, do=world(depth - 1)) if depth and rng.random() < 0.2 else value(name)
            for name in names
        )

    worlds = [(), world(2), world(2)]

    def outcome() -> Outcome:
        do = worlds[rng.integers(len(worlds))]
        free = [name for name in graph.nodes if name not in {action.variable for action in do}]
        if rng.random() < 0.05:  # what is set is asked about, too
            free = list(graph.nodes)
        name = str(rng.choice(free))
        return Outcome.of(name, value(name), do)

    outcomes, given = ([outcome() for _ in range(rng.integers(*among))] for among in ((1, 4), (0, 3)))
    return Query(tuple(outcomes), tuple(given))
