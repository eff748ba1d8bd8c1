"""Random models of growing size, in which a counterexample may lie."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identify.discrete import DiscreteSCM, Hidden, confounded, shifted

SIZES = (4, 8, 16, 32, 64, 128, 256)  # levels of the pivot
LEVELS = ((2, 2), (2, 4), (2, 8), (3, 4), (3, 8), (3, 16))  # of variables, and of the other hidden causes
OWN, SLIP = (
    0.2,
    0.05,
)  # how often a variable deviates from its mechanism: without a hidden cause, and with one


def attempts(graph: CausalGraph) -> Iterator[Attempt]:
    """From small models, which can be read, to large ones."""
    pivots = confounded(graph)
    for size, (levels, others), slips, pivot in itertools.product(SIZES, LEVELS, (False, True), pivots):
        yield Attempt(pivot, size, others, levels, slips)


@dataclass(frozen=True)
class Attempt:
    """How large a model is.

    Args:
        pivot: the children of the hidden cause in whose weights the two models will differ.
        size: the levels of that cause.
        others: the levels of the other hidden causes of several variables.
        levels: those of the variables.
        slips: whether variables with hidden causes have some noise of their own, too.
    """

    pivot: tuple[str, ...]
    size: int
    others: int
    levels: int
    slips: bool

    def model(self, graph: CausalGraph, rng: np.random.Generator) -> DiscreteSCM:
        rest = [names for names in confounded(graph) if len(names) > 1 and names != self.pivot]
        shared = [Hidden(self.pivot, rng.dirichlet(np.full(self.size, 5.0)))]
        shared += [Hidden(names, rng.dirichlet(np.full(self.others, 5.0))) for names in rest]
        own, functions = [], {}
        for v in graph.nodes:
            acting = [hidden for hidden in shared if v in hidden.children]
            functions[v] = self._function(len(graph.parents(v)), [len(h.weights) for h in acting], v, rng)
            if self.slips or not acting:
                rate = SLIP if acting else OWN
                own.append(
                    Hidden((v,), np.r_[1 - rate, np.full(self.levels - 1, rate / (self.levels - 1))], "e")
                )
                functions[v] = shifted(functions[v], self.levels)
        levels = {v: tuple(range(self.levels)) for v in graph.nodes}
        return DiscreteSCM(graph, levels, (*shared, *own), functions)

    def _function(self, parents: int, hidden: list[int], v: str, rng: np.random.Generator) -> np.ndarray:
        """At random; a child of the pivot has another function of the rest for each of its levels."""
        before = [self.levels] * parents
        if v not in self.pivot:
            return _function((*before, *hidden), self.levels, rng)
        rest = (*before, *hidden[1:])  # the pivot is the first hidden cause
        return np.stack([_function(rest, self.levels, rng) for _ in range(self.size)], axis=parents)


def _function(shape: Sequence[int], levels: int, rng: np.random.Generator) -> np.ndarray:
    """Any table, or a sum of some inputs (mod levels), which lets nothing that it hears of get lost: the
    parities of I. Shpitser and J. Pearl, "Identification of joint interventional distributions" (2006)."""
    if rng.random() < 0.5:
        return rng.integers(levels, size=shape)
    total = np.full(shape, rng.integers(levels))
    for values in np.indices(shape, sparse=True):
        total = total + rng.integers(levels) * values
    return total % levels
