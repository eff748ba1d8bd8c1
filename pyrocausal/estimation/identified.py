"""From a graph, or an estimand, to a strategy."""

from __future__ import annotations

from pyrocausal.errors import EstimateError
from pyrocausal.estimation.strategies import Backdoor, FrontDoor, PlugIn, Strategy, variables
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.estimand import Estimand
from pyrocausal.identification.expression import Symbol


def by_graph(graph: CausalGraph | str, treatment: str, outcome: str) -> Backdoor:
    """Adjustment for all observed causes of treatment or outcome that the treatment does not change.

    If any set of observed variables is valid for adjustment, this one is (van der Zander, Liśkiewicz and
    Textor 2014, theorem 4.5).

    Raises:
        EstimateError: no set is valid.

    >>> by_graph("age -> quit -> gain <- age; quit -> appetite -> gain", "quit", "gain")
    Backdoor(treatment='quit', outcome='gain', adjust=('age',))
    """
    if isinstance(graph, str):
        graph = CausalGraph.from_string(graph)
    after = graph.descendants(treatment)
    if outcome not in after:
        raise EstimateError(
            f"in the graph {treatment} is no cause of {outcome}",
            why="then its effect is exactly 0, whatever the data",
            fix="check the graph, or the order of outcome and treatment",
        )
    causes = graph.ancestors(treatment, outcome) - {treatment, outcome}
    adjust = [name for name in causes if name not in after and name not in graph.latent]
    if not graph.without_outgoing(treatment).is_d_separated(treatment, outcome, adjust):
        raise EstimateError(
            f"no adjustment makes the effect of {treatment} on {outcome} known in this graph",
            why="a path through something hidden stays open whatever is adjusted for",
            fix="look for another way: pyrocausal.identification, mediators=[...] or instruments=[...]",
        )
    return Backdoor(treatment, outcome, adjust)


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
