"""An SCM on a card: its graph, what each variable comes from, and what was fitted."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from pyrocausal import cards
from pyrocausal.errors import ProgramError
from pyrocausal.intervene import Hard, Policy, Shift, Stochastic
from pyrocausal.variables import Variable

MOST = 30  # variables that are listed

ACTIONS = {Shift: "a function of its own value", Policy: "a policy", Stochastic: "drawn afresh"}


def described(scm: Any, name: str) -> str:
    """The card of an SCM or submodel."""
    history = scm.history
    try:
        variables = list(scm.variables.values())
    except ProgramError as error:  # made from a graph, and not fitted yet
        return cards.card(name, scm.graph._repr_html_(), beside=f"{error.what}: {error.fix}")
    taken = history.taken if history else {}
    lines = [_line(scm, variable, taken.get(variable.name, math.nan)) for variable in variables[:MOST]]
    head = ("variable", "kind", "causes", "mechanism", *(["held-out loss (nats)"] if history else []))
    listed = cards.table(head, [line[: len(head)] for line in lines])
    more = f"<p>and {len(variables) - MOST} more</p>" if len(variables) > MOST else ""
    beside = history.summary() if history else f"{len(variables)} variables"
    folded = cards.details("variables", listed + more, shown=len(variables) <= 8)
    return cards.card(name, scm.graph._repr_html_(), folded, beside=beside)


def _line(scm: Any, variable: Variable, loss: float) -> tuple[str, ...]:
    name = variable.name
    hidden = ", hidden" if name in scm.graph.latent else ""
    causes = ", ".join(sorted(scm.graph.parents(name), key=list(scm.variables).index))
    replaced = scm._intervention.replaces(name)
    shown = "" if math.isnan(loss) or replaced else f"{loss:.4g}"
    return escape(name), f"{variable.kind}{hidden}", escape(causes), escape(_mechanism(scm, variable)), shown


def _mechanism(scm: Any, variable: Variable) -> str:
    """Where its values come from: an action, a mechanism of the toolkit, or the program's own words."""
    actions = [action for _, _, name, action in scm._intervention.items() if name == variable.name]
    if actions:
        return f"do: {_action(actions[-1], variable)}"
    if variable.computed:
        return "computed"
    path = scm._model.structure.makers.get(variable.name)
    return "as written" if path is None else type(scm._model.program.get_submodule(path)).__name__


def _action(action: Any, variable: Variable) -> str:
    if isinstance(action, Hard):
        if action.per_unit or action.value.numel() != 1:
            return "a value a unit" if action.per_unit else "a vector"
        levels = variable.column.levels
        return str(levels[int(action.value)]) if levels else f"{action.value.item():g}"
    return ACTIONS.get(type(action), type(action).__name__.lower())
