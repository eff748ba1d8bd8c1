"""Random models of growing size, in which a counterexample may lie."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.discrete import OWN, DiscreteSCM, Hidden, confounded, shifted

LEVELS = ((2, 2), (2, 4), (2, 8), (3, 4), (3, 8), (3, 16))  # of variables, and of the other hidden causes
DEVIATES, SLIPS = 0.2, 0.05  # how often a variable is not what its mechanism says; with hidden causes


def attempts(graph: CausalGraph, size: int, named: Mapping[str, tuple[Any, ...]]) -> Iterator[Attempt]:
    """All kinds of models whose pivot has so many levels, and whose variables have the named ones."""
    fewest = max(map(len, named.values()))
    for (count, others), slips, pivot in itertools.product(LEVELS, (False, True), confounded(graph)):
        levels = {v: _levels(named[v], max(count, fewest)) for v in graph.nodes}
        yield Attempt(pivot, size, others, levels, slips)


def _levels(named: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """0, 1, ... if these are what is named; else what is named, and others of the same type."""
    words = any(isinstance(value, str) for value in named)
    others = [f"other {i}" if words else i for i in range(count)]
    if set(named) <= set(others):
        return tuple(others)
    return (*named, *(other for other in others if other not in named))[:count]


def changed(model: DiscreteSCM, rng: np.random.Generator) -> DiscreteSCM:
    """The model with another function of one variable; of a child of the pivot, at some of its levels."""
    variable = model.graph.nodes[rng.integers(len(model.graph.nodes))]
    parents = len(model.graph.parents(variable))
    old, levels, acting = model.functions[variable], len(model.levels[variable]), model.acting_on(variable)
    slips = acting[-1].kind == OWN
    new = _function(list(old.shape[:parents]), list(old.shape[parents : old.ndim - slips]), levels, rng)
    new = shifted(new, levels) if slips else new
    if acting[0] is model.hidden[0]:
        kept = rng.random(size=old.shape[parents]) < 0.75
        new = np.where(np.expand_dims(kept, tuple(range(1, old.ndim - parents))), old, new)
    return replace(model, functions={**model.functions, variable: new})


@dataclass(frozen=True)
class Attempt:
    """How large a model is.

    Args:
        pivot: the children of the hidden cause in whose weights the two models will differ.
        size: the levels of that cause.
        others: the levels of the other hidden causes of several variables.
        levels: those of the variables; all have as many.
        slips: whether variables with hidden causes have some noise of their own, too.
    """

    pivot: tuple[str, ...]
    size: int
    others: int
    levels: Mapping[str, tuple[Any, ...]]
    slips: bool

    @property
    def count(self) -> int:
        """How many levels a variable has."""
        return len(next(iter(self.levels.values())))

    def model(self, graph: CausalGraph, rng: np.random.Generator) -> DiscreteSCM:
        """A random one over the graph; its first hidden cause is the pivot."""
        rest = [names for names in confounded(graph) if len(names) > 1 and names != self.pivot]
        shared = [Hidden(self.pivot, rng.dirichlet(np.full(self.size, 5.0)))]
        shared += [Hidden(names, rng.dirichlet(np.full(self.others, 5.0))) for names in rest]
        own, functions = [], {}
        for v in graph.nodes:
            acting = [hidden for hidden in shared if v in hidden.children]
            functions[v] = self._function(len(graph.parents(v)), [len(h.weights) for h in acting], v, rng)
            if self.slips or not acting:
                own.append(Hidden((v,), self._own(bool(acting), bool(graph.parents(v))), OWN))
                functions[v] = shifted(functions[v], self.count)
        return DiscreteSCM(graph, self.levels, (*shared, *own), functions)

    def _own(self, confounded: bool, caused: bool) -> np.ndarray:
        """Weights of a variable's own noise; what has neither parents nor hidden causes is a fair coin."""
        rate = SLIPS if confounded else DEVIATES if caused else 1 - 1 / self.count
        return np.r_[1 - rate, np.full(self.count - 1, rate / (self.count - 1))]

    def _function(self, parents: int, hidden: list[int], v: str, rng: np.random.Generator) -> np.ndarray:
        """At random; a child of the pivot has another function of the rest for each of its levels."""
        if v not in self.pivot:
            return _function([self.count] * parents, hidden, self.count, rng)
        rest = hidden[1:]  # the pivot is the first hidden cause
        each = [_function([self.count] * parents, rest, self.count, rng) for _ in range(self.size)]
        return np.stack(each, axis=parents)


def _function(parents: list[int], hidden: list[int], levels: int, rng: np.random.Generator) -> np.ndarray:
    """Any table; or a sum of something of each input; or such a sum for every combination of the parents."""
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(levels, size=(*parents, *hidden))
    if kind == 1:
        return _sum((*parents, *hidden), levels, rng)
    sums = [_sum(hidden, levels, rng) for _ in range(math.prod(parents))]
    return np.stack(sums).reshape((*parents, *hidden))


def _sum(inputs: Sequence[int], levels: int, rng: np.random.Generator) -> np.ndarray:
    """Of a function of every input, or of most (mod levels): nothing that comes in gets lost, as in the
    parities of I. Shpitser and J. Pearl, "Identification of joint interventional distributions" (2006)."""
    total = np.full(tuple(inputs), rng.integers(levels))
    for values in np.indices(tuple(inputs), sparse=True):
        if rng.random() < 0.75:
            total = total + rng.integers(levels, size=values.size)[values]
    return total % levels
