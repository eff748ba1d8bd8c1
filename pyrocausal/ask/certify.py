"""What an answer rests on: whether the graph alone identifies what was asked."""

from __future__ import annotations

from typing import Any

from pyrocausal.answer import Certificate
from pyrocausal.identify import Estimand, identify
from pyrocausal.query.meaning import queries
from pyrocausal.query.syntax import Node, Variable
from pyrocausal.query.worlds import explicit, terms, worlds


def rung(question: Node) -> int:
    """The highest rung of Pearl's ladder that a term of the question stands on."""
    return max(_rung(explicit(term)) for term in terms(question))


def _rung(term: Any) -> int:
    found = worlds(term)
    nested = any(isinstance(s.value, Variable) and s.value.world for w in found for s in w)
    if len(found) > 1 or nested:
        return 3
    return 2 if found and found[0] else 1


def certify(scm: Any, question: Node) -> Certificate:
    """Identify every distribution that the question needs, from the graph over what is observed."""
    if scm._intervention.names:
        return Certificate(
            "not asked", "this is a submodel, under do(…); put its actions into the question instead"
        )
    graph = scm.graph
    hidden = [v for v in question.walk() if isinstance(v, Variable) and v.name in graph.latent]
    if hidden:
        return Certificate(
            "not identified", f"{hidden[0].name!r} is never observed, so the number rests on the program"
        )
    found = tuple(identify(graph, query) for query in queries(question))
    failed = [estimand for estimand in found if not estimand.identified]
    if failed:
        why = failed[0].witness.text if failed[0].witness else ""
        return Certificate(
            "not identified",
            f"{failed[0].query} is not: {why}; the number rests on the functional form",
            found,
        )
    return Certificate("identified", _how(found), found)


def _how(found: tuple[Estimand, ...]) -> str:
    methods = dict.fromkeys(e.how for e in found if e.query.rung > 1)
    return f"from the graph, by {' and '.join(methods)}" if methods else "it is what is observed"
