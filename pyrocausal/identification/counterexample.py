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
from typing import Any

import numpy as np

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.attempts import attempts, changed
from pyrocausal.identification.counterfactual import identify_counterfactual
from pyrocausal.identification.discrete import DiscreteSCM
from pyrocausal.identification.estimand import Estimand
from pyrocausal.identification.expression import OBSERVED, Constant, Regime, Value
from pyrocausal.identification.identify import identify
from pyrocausal.identification.outcome import Outcome, Query
from pyrocausal.identification.weights import Moves, c_factor

Pair = tuple[DiscreteSCM, DiscreteSCM]

SMALLEST = 1e-3  # a difference that counts
SIZES = (4, 8, 16, 32, 64, 128, 256)  # levels of the pivot
ENOUGH = 1.2  # a difference of this much / size ends the search: a larger one is not worth a larger model
CHANGES = 40  # tried of the best model of each size
EQUAL = 1e-9  # of what is known, relative


def counterexample(
    graph: CausalGraph,
    query: Query,
    known: Sequence[Regime] = (OBSERVED,),
    given: str = "observational",
    seed: int = 0,
) -> Pair:
    """Two models that nothing known tells apart, with different answers to the query.

    They are models over the graph; edges that the point can be made without are left out of them.

    Args:
        graph: latent nodes are projected out.
        query: with symbols or with constants. The models have these as levels, and others.
        known: the regimes whose distributions are known.
        given: "experimental" if those of all experiments are.
        seed: of the search.

    Returns:
        The model with the lower value of the query (in one cell of its table, if it has symbols), then the
        other. All known distributions are positive, and equal to a relative 1e-9.

    Raises:
        IdentifyError: the query is identified; or no pair was found.

    >>> from pyrocausal.identification import Constant, Outcome
    >>> bow = CausalGraph.from_string("x -> y; x <-> y")
    >>> effect = Query((Outcome.of("y", Constant("y", 1), do=[Constant("x", 1)]),))
    >>> low, high = counterexample(bow, effect)
    >>> high.probability(effect) - low.probability(effect) > 0.1
    True
    >>> bool(np.allclose(low.joint(), high.joint()))
    True
    """
    needed = _needed(graph, query, known, given)
    moves = Moves(query, _factors(needed, known, given))
    found = _search(needed, moves, np.random.default_rng(seed))
    if found is None:
        raise IdentifyError(
            f"no two models were found that differ on {query}",
            why="the search is random: this is no proof that the query is identified",
            fix="try another seed",
        )
    return found


# ---- the graph and what is known --------------------------------------------------------------


def _needed(graph: CausalGraph, query: Query, known: Sequence[Regime], given: str) -> CausalGraph:
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


def _estimand(graph: CausalGraph, query: Query, known: Sequence[Regime], given: str) -> Estimand:
    if query.rung == 3 or given != "observational":
        return identify_counterfactual(graph, query, known, given)
    return identify(graph, query, known)


def _factors(graph: CausalGraph, known: Sequence[Regime], given: str) -> list[tuple[str, ...]]:
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


# ---- the pair ----------------------------------------------------------------------------------


def _search(graph: CausalGraph, moves: Moves, rng: np.random.Generator) -> Pair | None:
    """Small models first, which can be read; of each size all kinds, then changes of what was best."""
    named = {name: _constants(moves.query, name) for name in graph.nodes}
    most, pair = 0.0, None
    best: DiscreteSCM | None = None
    for size in SIZES:
        fresh = (attempt.model(graph, rng) for attempt in attempts(graph, size, named))
        varied = (changed(best, rng) for _ in range(CHANGES) if best is not None)
        for model in itertools.chain(fresh, varied):
            found = moves.apart(model)
            if found is None or not _agree(found, moves.factors):
                continue
            if (difference := _difference(found, moves.query)) > most:
                most, best, pair = difference, model, found
            if most > max(ENOUGH / size, SMALLEST):
                return pair
    return pair if most > SMALLEST else None


def _constants(query: Query, variable: str) -> tuple[Any, ...]:
    """The values of a variable that a query names."""

    def inside(value: Value | Outcome) -> Iterator[Any]:
        if isinstance(value, Outcome):
            yield from itertools.chain.from_iterable(map(inside, (value.value, *value.do)))
        elif isinstance(value, Constant) and value.variable == variable:
            yield value.value

    return tuple(dict.fromkeys(v for o in (*query.outcomes, *query.given) for v in inside(o)))


def _agree(pair: Pair, factors: Iterable[tuple[str, ...]]) -> bool:
    """Whether all that is known is positive, and the same in both."""
    for names in factors:
        low, high = (c_factor(model, names).cells for model in pair)
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
