"""Random counterfactual questions, each with its answer and the truth: for tests and benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.counterfactual import identify_counterfactual
from pyrocausal.identification.estimand import Estimand
from pyrocausal.identification.expression import OBSERVED, ZERO, Product, Regime, Symbol
from pyrocausal.identification.outcome import Query
from tests.identification.functional import FunctionalSCM, random_graph, random_query

KINDS = ("observational", "surrogate", "experimental")  # what is known: P(v), some experiments too, or all


@dataclass(frozen=True)
class Case:
    """A question, and what came of it.

    Args:
        estimand: None where the question was refused.
        verdict: "identified", "not identified", "certain" (the probability is 0 or 1 by logic), "refused".
        error: of the formula, the largest over all values of the query's symbols.
    """

    graph: CausalGraph
    query: Query
    estimand: Estimand | None
    verdict: str
    error: float

    def __str__(self) -> str:
        return f"{self.query} from {self.graph.to_string()}: {self.estimand}"


def case(seed: int, kind: str, nodes: int = 6) -> Case:
    """The seed's question on a random graph of 2 to `nodes` nodes, checked on a random SCM.

    A refusal of a condition that can't happen is checked, too.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    graph = random_graph(rng, int(rng.integers(2, nodes + 1)))
    levels = {name: int(rng.choice([2, 2, 2, 3])) for name in graph.nodes}
    query = random_query(rng, graph)
    experiments = [_experiment(rng, graph) for _ in range(2)] if kind == "surrogate" else []
    known = (OBSERVED, *experiments)
    given = "experimental" if kind == "experimental" else "observational"
    scm = FunctionalSCM(graph, levels, rng)
    try:
        estimand = identify_counterfactual(graph, query, known, given)
    except IdentifyError as refused:
        truths = [scm.truth(query, values) for values in scm.assignments(query)]
        impossible = "can't happen" in str(refused)
        wrong = impossible and not np.isnan(truths).all()
        return Case(graph, query, None, "refused", float(wrong))
    if not estimand.identified:
        return Case(graph, query, estimand, "not identified", 0.0)
    verdict = "certain" if estimand.expression in (ZERO, Product()) else "identified"
    return Case(graph, query, estimand, verdict, largest_error(estimand, scm))


def _experiment(rng: np.random.Generator, graph: CausalGraph) -> Regime:
    return Regime(frozenset(map(str, rng.choice(graph.nodes, int(rng.integers(1, 3))))))


def largest_error(estimand: Estimand, scm: FunctionalSCM) -> float:
    """Of the formula on the SCM's own tables; values of symbols that the condition excludes are left out."""
    found = estimand.evaluate({regime: scm.pmf(regime) for regime in estimand.known})
    errors = [0.0]
    for values in scm.assignments(estimand.query):
        truth = scm.truth(estimand.query, values)
        if not np.isnan(truth):
            errors.append(abs(truth - _cell(found, values)))
    return max(errors)


def _cell(found: pd.Series | float, values: dict[Symbol, int]) -> float:
    if not isinstance(found, pd.Series):
        return found
    at = {str(symbol): value for symbol, value in values.items()}
    key = tuple(at[name] for name in found.index.names)
    return found[key if len(key) > 1 else key[0]]
