"""The two formulas that have a name: back-door adjustment and the front door."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.adjustment import adjustment_formula, adjustment_set
from pyrocausal.identification.estimand import Step
from pyrocausal.identification.expression import Expression
from pyrocausal.identification.frontdoor import front_door_formula, front_door_set


@dataclass(frozen=True)
class Named:
    """A formula for P(y | do(x)), the set that it goes through, and why it holds."""

    method: str
    through: frozenset[str]
    expression: Expression
    step: Step


def named(graph: CausalGraph, actions: Collection[str], outcomes: Collection[str]) -> Named | None:
    """Adjustment by a minimal set, else the front door, else None.

    It is None, too, where no action has an effect on an outcome: then there is nothing to adjust.
    """
    if not actions or not outcomes or graph.descendants(*actions).isdisjoint(outcomes):
        return None
    x, y = ", ".join(actions), ", ".join(outcomes)
    found = adjustment_set(graph, actions, outcomes)
    if found is not None:
        formula = adjustment_formula(actions, outcomes, tuple(found))
        blocked = f"{_set(found)} blocks all paths between {x} and {y} that are not causal, and no causal one"
        if not found:
            blocked = f"no path between {x} and {y} is open that is not causal"
        return Named("backdoor", found, formula, Step(str(formula), "back-door adjustment", blocked))
    found = front_door_set(graph, actions, outcomes)
    if found is None:
        return None
    formula = front_door_formula(actions, outcomes, tuple(found))
    why = (
        f"{_set(found)} carries all of the effect of {x} on {y}; nothing confounds {x} and {_set(found)}; "
        f"and {x} blocks what confounds {_set(found)} and {y}"
    )
    return Named("front-door", found, formula, Step(str(formula), "front-door criterion", why))


def _set(names: frozenset[str]) -> str:
    return "{" + ", ".join(names) + "}"
