"""Two SCMs over one graph that agree on all that is known and differ on a query: it is not identified.

The two have the same mechanisms and differ in the weights of one hidden cause, the pivot. A unit has one
noise for all of its worlds, so everything is linear in these weights: the known distributions, and the
numerator and denominator of any query. The weights move along the nullspace of what is known, in one model so
as to raise the query and in the other so as to lower it. Which mechanisms leave room for that is a matter of
luck: random ones are tried.

What is known is held by its c-factors, Q[S] = P(s | do(parents of S)): the distribution of do(z) is the
product of those of the districts S of the graph without z and, being positive, it gives each of them back
(J. Tian and J. Pearl, "A general identification condition for causal effects", 2002).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identify.attempts import attempts
from pyrocausal.identify.counterfactual import identify_counterfactual
from pyrocausal.identify.discrete import DiscreteSCM, Hidden
from pyrocausal.identify.estimand import Estimand
from pyrocausal.identify.expression import OBSERVED, Regime, Symbol
from pyrocausal.identify.identify import identify
from pyrocausal.identify.outcome import Outcome, Query
from pyrocausal.identify.tables import Table
from pyrocausal.identify.weights import Ratio, nullspace

Pair = tuple[DiscreteSCM, DiscreteSCM]
Given = Literal["observational", "experimental"]

SMALLEST, ENOUGH = 1e-3, 0.1  # a difference that counts, and one after which no larger is looked for
EQUAL = 1e-9  # of what is known, relative


def counterexample(
    graph: CausalGraph,
    query: Query,
    known: Sequence[Regime] = (OBSERVED,),
    given: Given = "observational",
    seed: int = 0,
) -> Pair:
    """Two models that nothing known tells apart, with different answers to the query.

    They are models over the graph; edges that the point can be made without are left out of them.

    Args:
        graph: latent nodes are projected out.
        query: with symbols or with constants, which are levels among 0, 1 (and 2).
        known: the regimes whose distributions are known.
        given: "experimental" if those of all experiments are.
        seed: of the search.

    Returns:
        The model with the lower value of the query (in one cell of its table, if it has symbols), then the
        other. All known distributions are positive, and equal to a relative 1e-9.

    Raises:
        IdentifyError: the query is identified; or no pair was found.

    >>> from pyrocausal.identify import Constant
    >>> bow = CausalGraph.from_string("x -> y; x <-> y")
    >>> effect = Query((Outcome.of("y", Constant("y", 1), do=[Constant("x", 1)]),))
    >>> low, high = counterexample(bow, effect)
    >>> high.probability(effect) - low.probability(effect) > 0.1
    True
    >>> bool(np.allclose(low.joint(), high.joint()))
    True
    """
    needed = _needed(graph, query, known, given)
    factors = _factors(needed, known, given)
    rng = np.random.default_rng(seed)
    best: Pair | None = None
    most = SMALLEST
    for attempt in attempts(needed):
        model = attempt.model(needed, rng)
        pair = _apart(model, query, factors)
        if pair is not None and (difference := _difference(pair, query)) > most:
            best, most = pair, difference
        if most > ENOUGH:
            break
    if best is None:
        raise IdentifyError(
            f"no two models were found that differ on {query}",
            why="the search is random: this is no proof that the query is identified",
            fix="try another seed",
        )
    return best


# ---- the graph and what is known --------------------------------------------------------------


def _needed(graph: CausalGraph, query: Query, known: Sequence[Regime], given: Given) -> CausalGraph:
    """The graph without edges that the query need not have to be unidentified."""
    if others := [regime.population for regime in known if regime.population]:
        raise IdentifyError(
            f"a distribution is of another population, '{others[0]}'",
            why="the two models are of one population",
            fix="ask about one population",
        )
    estimand = _estimand(graph, query, known, given)
    if estimand.identified:
        raise IdentifyError(
            f"{query} is identified: no two models can agree on all that is known and differ on it",
            why=str(estimand),
            fix="evaluate the estimand",
        )
    nodes, kept = estimand.graph.nodes, (estimand.graph.edges, estimand.graph.bidirected)
    for kind, edge in [(kind, edge) for kind, edges in enumerate(kept) for edge in edges]:
        fewer = (kept[0] - {edge}, kept[1]) if kind == 0 else (kept[0], kept[1] - {edge})
        try:
            if not _estimand(CausalGraph(nodes, *fewer), query, known, given).identified:
                kept = fewer
        except IdentifyError:  # without the edge, two worlds are one, and the condition can't be
            continue
    return CausalGraph(nodes, *kept)


def _estimand(graph: CausalGraph, query: Query, known: Sequence[Regime], given: Given) -> Estimand:
    if query.rung == 3 or given != "observational":
        return identify_counterfactual(graph, query, known, given)
    return identify(graph, query, known)


def _factors(graph: CausalGraph, known: Sequence[Regime], given: Given) -> list[tuple[str, ...]]:
    """The sets S whose Q[S] is known."""
    if given == "experimental":
        parts = (part for names in graph.districts for part in _subsets(names))
        return [part for part in parts if len(graph.subgraph(part).districts) == 1]
    without = (graph.subgraph(set(graph.nodes) - regime.do) for regime in known)
    return list(dict.fromkeys(tuple(district) for rest in without for district in rest.districts))


def _subsets(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """All but the empty one."""
    names = tuple(names)
    sizes = range(1, len(names) + 1)
    return itertools.chain.from_iterable(itertools.combinations(names, size) for size in sizes)


def _factor(model: DiscreteSCM, names: Iterable[str], by: Hidden | None = None) -> Table:
    """Q[S] of a model."""
    names = tuple(names)
    world = [Symbol(p) for p in model.graph.parents(*names) if p not in names]
    return model.table([Outcome.of(name, do=world) for name in names], by=by)


# ---- the pair ----------------------------------------------------------------------------------


def _apart(model: DiscreteSCM, query: Query, factors: Sequence[tuple[str, ...]]) -> Pair | None:
    """The model twice, with weights of its first hidden cause as far apart on the query as what is known
    allows; None if what is known is not positive, or lets the query not move."""
    pivot = model.hidden[0]
    moved = [names for names in factors if not set(pivot.children).isdisjoint(names)]
    tables = [_factor(model, names, by=pivot).cells.reshape(-1, len(pivot.weights)) for names in moved]
    rows = np.concatenate([np.ones((1, len(pivot.weights))), *tables])
    now = rows @ pivot.weights
    if now.min() < 1e-12:
        return None
    free = nullspace(rows / now[:, None])
    value = _ratio(model, query)
    cell = value.most_free(free, pivot.weights)
    if cell is None:
        return None
    ends = [cell.raised(pivot.weights, free, sign) for sign in (-1, 1)]
    low, high = (replace(model, hidden=(replace(pivot, weights=end), *model.hidden[1:])) for end in ends)
    return (low, high) if _agree((low, high), factors) else None


def _ratio(model: DiscreteSCM, query: Query) -> Ratio:
    """Over the cells of the query whose condition can be."""
    pivot = model.hidden[0]
    above = model.table([*query.outcomes, *query.given], by=pivot)
    below = Table(above.axes, above.levels, np.ones_like(above.cells)).times(
        model.table(query.given, by=pivot)
    )
    rows = [table.cells.reshape(-1, len(pivot.weights)) for table in (above, below)]
    possible = rows[1] @ pivot.weights > 1e-6
    return Ratio(*(table[possible] for table in rows))


def _agree(pair: Pair, factors: Iterable[tuple[str, ...]]) -> bool:
    """Whether all that is known is positive, and the same in both."""
    for names in factors:
        low, high = (_factor(model, names).cells for model in pair)
        if low.min() <= 0 or np.abs(high / low - 1).max() > EQUAL:
            return False
    return True


def _difference(pair: Pair, query: Query) -> float:
    """The largest, over the cells of the query that have a value in both."""
    low, high = (
        model.table([*query.outcomes, *query.given]).divided(model.table(query.given), str(query)).cells
        for model in pair
    )
    return float(np.nanmax(np.abs(high - low)))
