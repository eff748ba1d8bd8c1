"""What an answer rests on: whether the graph alone identifies what was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyrocausal.answer import Certificate
from pyrocausal.errors import IdentifyError
from pyrocausal.identification import Estimand, identify
from pyrocausal.intervene import Hard
from pyrocausal.query.meaning import queries
from pyrocausal.query.syntax import Node, Number, Setting, Term, Variable, World
from pyrocausal.query.worlds import changed, explicit, terms, worlds


def rung(scm: Any, question: Node) -> int:
    """The highest rung of Pearl's ladder that a term stands on; in a submodel it is 2 at least."""
    acted = 2 if scm._intervention.names else 1
    return max(acted, *(_rung(explicit(term)) for term in terms(question)))


def _rung(term: Any) -> int:
    found = worlds(term)
    nested = any(isinstance(s.value, Variable) and s.value.world for w in found for s in w)
    if len(found) > 1 or nested:
        return 3
    return 2 if found and found[0] else 1


def certify(scm: Any, question: Node) -> Certificate:
    """Identify every distribution that the question needs, from the graph over what is observed."""
    graph, base = scm._model.graph, _base(scm)
    if base is None:
        return Certificate(
            "not asked",
            "this is a submodel under a policy or a draw; put its actions into the question instead",
        )
    question = question.replaced(lambda node: _within(node, base) if isinstance(node, Term) else node)
    hidden = [v for v in question.walk() if isinstance(v, Variable) and v.name in graph.latent]
    if hidden:
        return Certificate(
            "not identified", f"{hidden[0].name!r} is never observed, so the number rests on the program"
        )
    try:
        found = tuple(identify(graph, query) for query in queries(question))
    except IdentifyError as error:  # an answer that a model has may still be no query about a graph
        return Certificate("not asked", str(error.what))
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


def _base(scm: Any) -> World | None:
    """The world that a submodel is: what it sets to values, one each; None if it acts in another way."""
    found = []
    for name, chain in scm._intervention.chains.items():
        action = chain[-1][1]
        if not isinstance(action, Hard) or action.per_unit or action.value.numel() != 1:
            return None
        found.append(Setting(name, Number(action.value.item())))
    return tuple(found)


def _within(term: Term, base: World) -> Term:
    """The term in the submodel of some actions: those of its own worlds come after."""

    def world(own: World) -> World:
        named = {setting.variable for setting in own}
        kept = [setting for setting in base if setting.variable not in named]
        return tuple(sorted((*kept, *map(inner, own)), key=lambda setting: setting.variable))

    def inner(setting: Setting) -> Setting:
        value = setting.value
        if not isinstance(value, Variable) or not value.world:
            return setting
        return replace(setting, value=replace(value, world=world(value.world)))

    if not base:
        return term
    term = explicit(term)
    moved = [changed(part, lambda v: replace(v, world=world(v.world))) for part in (term.of, term.given)]
    return replace(term, of=moved[0], given=moved[1])
