"""From a graph, or an estimand, to a strategy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pyrocausal.errors import EstimateError
from pyrocausal.estimation.strategies import Backdoor, FrontDoor, Instrument, PlugIn, Strategy, variables
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.given import as_graph
from pyrocausal.identification import (
    Estimand,
    Outcome,
    Query,
    Symbol,
    adjustment_set,
    front_door_set,
    identify,
    instruments,
)


def by_graph(
    graph: Any, treatment: str, outcome: str, columns: Collection[str], method: str = "auto"
) -> Strategy:
    """What the graph allows, of what is in the data: adjustment, else the front door, else any formula.

    Of the valid adjustment sets it takes the one with the smallest asymptotic variance. With `method` "iv" it
    takes an instrument, which needs more than the graph (see `Instrument`).

    Raises:
        EstimateError: the graph does not identify the effect, or has no effect or no instrument.

    >>> by_graph("age -> quit -> gain <- age; quit -> craving -> gain", "quit", "gain", ["age"])
    Backdoor(treatment='quit', outcome='gain', adjust=('age',))
    """
    graph = as_graph(graph)
    seen = [name for name in graph.nodes if name in columns and name not in graph.latent]
    allowed = [name for name in seen if name not in (treatment, outcome)]
    if outcome not in graph.descendants(treatment):
        raise EstimateError(
            f"in the graph {treatment} is no cause of {outcome}",
            why="then its effect is exactly 0, whatever the data",
            fix="check the graph, or the order of outcome and treatment",
        )
    if method == "iv":
        return _by_instrument(graph, treatment, outcome, allowed)
    adjust = adjustment_set(graph, treatment, outcome, "optimal", allowed=allowed)
    if adjust is not None:
        return Backdoor(treatment, outcome, tuple(adjust))
    mediators = front_door_set(graph, treatment, outcome, allowed=allowed)
    if mediators is not None:
        return FrontDoor(treatment, outcome, tuple(mediators))
    query = Query((Outcome.of(outcome, do=[Symbol(treatment)]),))
    estimand = identify(graph.project([*seen]), query)
    if not estimand.identified:
        raise EstimateError(
            f"the effect of {treatment} on {outcome} is not identified from this graph and these columns",
            why=estimand.witness.text if estimand.witness else "",
            fix='observe more, or assume more: method="iv", if the graph has an instrument',
        )
    return by_estimand(estimand)


def _by_instrument(graph: CausalGraph, treatment: str, outcome: str, allowed: Sequence[str]) -> Instrument:
    found = instruments(graph, treatment, outcome, allowed=[*allowed])
    if not found:
        raise EstimateError(
            f"the graph has no instrument for the effect of {treatment} on {outcome}",
            why="it would move the treatment, and the outcome only through it",
            fix="check the graph, or leave method= out for what else there is",
        )
    return Instrument(treatment, outcome, [found[0].z], tuple(found[0].given))


def by_estimand(estimand: Estimand) -> Strategy:
    """The strategy whose formula the estimand is: "backdoor" and "front-door" by name, else a plug-in.

    Raises:
        EstimateError: the query asks of several outcomes, several treatments, or several worlds.
        IdentifyError: it is not identified.
    """
    query, expression = estimand.query, estimand.expression
    if expression is None:
        estimand.latex()  # raises, and says why
        raise AssertionError
    if estimand.question:
        raise EstimateError(
            f"{estimand.question} is less than a distribution, and what is estimated is a mean",
            fix="make the event a column of 0 and 1, and ask for its mean",
        )
    if len(query.outcomes) != 1 or query.rung > 2:
        raise EstimateError(
            f"{query} is no mean of one outcome in one world",
            fix="pass the formula of what is asked: PlugIn(estimand.expression, outcome)",
        )
    (outcome,) = query.outcomes
    free = [action.variable for action in outcome.do if isinstance(action, Symbol)]
    if len(free) > 1:
        raise EstimateError(f"{query} has {len(free)} treatments", fix="give all but one of them a value")
    others = [name for name in variables(expression) if name not in (*free, outcome.variable)]
    plain = len(outcome.do) == len(free) == 1 and not query.given and isinstance(outcome.value, Symbol)
    if plain and estimand.method == "backdoor":
        return Backdoor(free[0], outcome.variable, others)
    if plain and estimand.method == "front-door":
        after = estimand.graph.descendants(free[0])
        mediators = [name for name in others if name in after]
        return FrontDoor(free[0], outcome.variable, mediators, [n for n in others if n not in after])
    return PlugIn(expression, outcome.variable, free[0] if free else "")
