"""Do the rows have the independences that the graph says they have?

A missing edge between two observed variables makes them independent given some others (the Markov property;
Pearl 2009, section 1.2.3; for hidden common causes Richardson 2003). Each such pair is tested once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pyrocausal.checks.dependence import conditional_independence
from pyrocausal.checks.report import Checked, Family, Trial, not_run
from pyrocausal.checks.rows import Rows
from pyrocausal.graph.causal_graph import CausalGraph

FAMILY = Family(
    "graph",
    "partial correlation",
    matters=0.1,
    fine="the rows have this independence",
    todo="add the edge, or the common cause, that explains it",
)


class Independence(NamedTuple):
    """``x ⫫ y | given``."""

    x: str
    y: str
    given: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.x} ⫫ {self.y}" + (f" | {', '.join(self.given)}" if self.given else "")


def check_implications(rows: Rows, *, most: int, alpha: float, seed: int) -> Checked:
    """Every testable independence, at level alpha for all together by Holm; and the same as a picture.

    The rate holds where the regressions on `given` are right: smooth functions of few variables (see
    `conditional_independence`).
    """
    computed = {v.name for v in rows.scm.variables.values() if v.computed or v.optional}
    told = [i for i in independences(rows.scm.graph.project()) if computed.isdisjoint({i.x, i.y, *i.given})]
    if not told:
        return [not_run(FAMILY.check, "all", "the graph implies no independence of observed variables")], {}
    used = rows.some(most, seed)
    tests = []
    for independence in told:
        given = [used.features(name) for name in independence.given]
        number, p = conditional_independence(
            _bent(used, independence.x),
            _bent(used, independence.y),
            np.hstack([np.empty((len(used), 0)), *given]),
        )
        tests.append(Trial(str(independence), number, p, "the graph says so, and the rows do not"))
    found = FAMILY.judged(tests, alpha)
    return found, {"independences": found}


def independences(graph: CausalGraph) -> Iterator[Independence]:
    """For each pair without an edge that some set separates, the smallest such set that deletion finds.

    >>> [str(i) for i in independences(CausalGraph.from_string("a -> b -> c; a -> d -> c"))]
    ['a ⫫ c | b, d', 'b ⫫ d | a']
    """
    for x, y in itertools.combinations(graph.nodes, 2):
        given = [name for name in graph.ancestors(x, y)]
        # if any set separates the two, their ancestors do
        if y in graph.children(x) or y in graph.spouses(x) or not graph.is_d_separated(x, y, given):
            continue
        for name in tuple(given):
            fewer = [other for other in given if other != name]
            if graph.is_d_separated(x, y, fewer):
                given = fewer
        yield Independence(x, y, tuple(given))


def _bent(rows: Rows, name: str) -> np.ndarray:
    """Features with squares of normal scores, by which a symmetric dependence shows as a covariance."""
    plain = rows.features(name)
    variable = rows.scm.variables[name]
    if variable.cardinality or variable.shape:
        return plain
    return np.hstack([plain, (plain**2 - 1) / 2**0.5])
