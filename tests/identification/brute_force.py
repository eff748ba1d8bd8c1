"""The meaning of a discrete SCM, spelt out: every hidden level, every world, one unit at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from pyrocausal.identification.discrete import DiscreteSCM
from pyrocausal.identification.expression import Constant
from pyrocausal.identification.outcome import Outcome, Query


def units(scm: DiscreteSCM) -> Iterator[tuple[float, dict[str, int]]]:
    """Each kind of unit: its probability, and the level of every hidden cause."""
    for levels in itertools.product(*(range(len(hidden.weights)) for hidden in scm.hidden)):
        probability = 1.0
        for hidden, level in zip(scm.hidden, levels):
            probability *= hidden.weights[level]
        yield probability, {hidden.name: level for hidden, level in zip(scm.hidden, levels)}


def world(scm: DiscreteSCM, unit: dict[str, int], actions: dict[str, object]) -> dict[str, object]:
    """The values of all variables of a unit, if some are set."""
    values: dict[str, object] = {}
    for v in scm.graph.nodes:
        causes = [scm.levels[p].index(values[p]) for p in scm.graph.parents(v)]
        hidden = [unit[h.name] for h in scm.hidden if v in h.children]
        values[v] = actions[v] if v in actions else scm.levels[v][scm.functions[v][(*causes, *hidden)]]
    return values


def value(scm: DiscreteSCM, unit: dict[str, int], outcome: Outcome) -> object:
    """What the variable of an outcome is, in its world; nested worlds first."""
    actions = {a.variable: a.value if isinstance(a, Constant) else value(scm, unit, a) for a in outcome.do}
    return world(scm, unit, actions)[outcome.variable]


def probability(scm: DiscreteSCM, query: Query) -> float:
    """Of a query whose values are all constants."""

    def holds(unit: dict[str, int], outcomes: tuple[Outcome, ...]) -> bool:
        return all(value(scm, unit, outcome) == outcome.value.value for outcome in outcomes)

    return expected(scm, lambda u: holds(u, (*query.outcomes, *query.given))) / expected(
        scm, lambda u: holds(u, query.given)
    )


def expected(scm: DiscreteSCM, of: Callable[[dict[str, int]], float]) -> float:
    return sum(p * of(unit) for p, unit in units(scm))
