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

from pyrocausal.errors import IdentifyError, did_you_mean
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identify.attempts import attempts
from pyrocausal.identify.discrete import DiscreteSCM, Hidden
from pyrocausal.identify.expression import OBSERVED, Regime, Symbol
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
        graph: without latent nodes.
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
    _check(graph, known, given)
    needed = _needed(graph, query)
    rng = np.random.default_rng(seed)
    best: Pair | None = None
    most = SMALLEST
    for attempt in attempts(needed):
        model = attempt.model(needed, rng)
        pair = _apart(model, query, _factors(needed, known, given))
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


def _check(graph: CausalGraph, known: Iterable[Regime], given: str) -> None:
    if given not in ("observational", "experimental"):
        raise IdentifyError(
            f"given={given!r} is neither", fix='write given="observational" or given="experimental"'
        )
    for regime in known:
        if regime.population:
            raise IdentifyError(
                f"the regime is of another population, {regime.population!r}",
                why="both models are of one population",
                fix="ask about one population",
            )
        for name in regime.do:
            if name not in graph:
                raise IdentifyError(f"{name!r} is not in the graph", fix=did_you_mean(name, graph.nodes))


def _needed(graph: CausalGraph, query: Query) -> CausalGraph:
    """The graph without the edges of what is no ancestor of the query: these variables are coins."""
    names = list(_named((*query.outcomes, *query.given)))
    for name in names:
        if name not in graph:
            raise IdentifyError(f"{name!r} is not in the graph", fix=did_you_mean(name, graph.nodes))
    part = graph.subgraph(graph.ancestors(*names) | set(names))
    return CausalGraph(graph.nodes, part.edges, part.bidirected)


def _named(outcomes: Iterable[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        yield outcome.variable
        for action in outcome.do:
            yield from _named([action]) if isinstance(action, Outcome) else [action.variable]


def _factors(graph: CausalGraph, known: Sequence[Regime], given: Given) -> list[tuple[str, ...]]:
    """The sets S whose Q[S] is known."""
    if given == "experimental":
        sizes = range(1, len(graph.nodes) + 1)
        every = itertools.chain.from_iterable(itertools.combinations(graph.nodes, size) for size in sizes)
        return [names for names in every if len(graph.subgraph(names).districts) == 1]
    without = (graph.subgraph(set(graph.nodes) - regime.do) for regime in known)
    return list(dict.fromkeys(tuple(district) for rest in without for district in rest.districts))


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
