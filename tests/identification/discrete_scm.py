"""Random discrete SCMs with hidden causes over a graph, and their distributions by enumeration."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from pyrocausal.graph import CausalGraph


class DiscreteSCM:
    """Binary variables; a bidirected edge is a hidden cause with `hidden` levels; tables are random."""

    def __init__(self, graph: CausalGraph, rng: np.random.Generator, hidden: int = 2):
        self.observed = [name for name in graph.nodes if name not in graph.latent]
        causes = {("u", *pair): hidden for pair in graph.bidirected}
        self.letters = {name: i for i, name in enumerate((*graph.nodes, *causes))}
        self.factors: dict[object, tuple[np.ndarray, list[int]]] = {
            cause: (rng.dirichlet(np.ones(levels)), [self.letters[cause]]) for cause, levels in causes.items()
        }
        for name in graph.nodes:
            axes = [*graph.parents(name), *(cause for cause in causes if name in cause[1:])]
            shape = [causes.get(axis, 2) for axis in axes]
            ones = rng.uniform(0.05, 0.95, shape)
            table = np.stack([ones, 1 - ones], axis=-1)
            self.factors[name] = (table, [*(self.letters[axis] for axis in axes), self.letters[name]])

    def distribution(self, do: Iterable[str] = ()) -> pd.Series:
        """P(v), or, for every value of what is set, P(v | do): indexed by all observed variables."""
        do = set(do)
        operands: list[object] = []
        for name, (table, axes) in self.factors.items():
            operands += [np.ones(2), [self.letters[name]]] if name in do else [table, axes]
        kept = [self.letters[name] for name in self.observed]
        cells = np.einsum(*operands, kept, optimize=True)
        index = pd.MultiIndex.from_product([[0, 1]] * len(kept), names=self.observed)
        return pd.Series(cells.ravel(), index)
