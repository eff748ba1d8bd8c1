"""Several worlds of one discrete SCM as one network of tables.

Every variable is copied for every world that an action makes different for it; the copies share the hidden
causes. Copies that no action tells apart are one: the counterfactual graph of I. Shpitser and J. Pearl, "What
counterfactuals can be tested" (2007).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrocausal.errors import IdentifyError, did_you_mean
from pyrocausal.identification.contraction import Factor, contracted
from pyrocausal.identification.expression import Constant, Symbol, Value
from pyrocausal.identification.outcome import Outcome
from pyrocausal.identification.tables import Table

if TYPE_CHECKING:
    from pyrocausal.identification.discrete import DiscreteSCM, Hidden

Action = Value | Outcome


class Worlds:
    """The network that outcomes need, built as they are asked for.

    An axis of a table is a copy of a variable (its name and the actions that matter to it), a symbol or
    constant, or the name of a hidden cause.

    Args:
        scm: the model.
        by: a hidden cause that is not averaged over.
    """

    def __init__(self, scm: DiscreteSCM, by: Hidden | None = None):
        self.scm, self.by = scm, by
        self.factors: dict[Hashable, Factor] = {}

    def table(self, outcomes: Sequence[Outcome], kept: Sequence[Symbol] = ()) -> Table:
        """P(outcomes), over the symbols kept and those that occur, and the hidden cause `by`."""
        for number, outcome in enumerate(outcomes):
            if outcome.value.variable != outcome.variable:
                raise IdentifyError(
                    f"'{outcome.variable}' can't be {outcome.value}",
                    why=f"that is a value of '{outcome.value.variable}'",
                    fix="give it a value of its own",
                )
            axis, value = self._axis(outcome.variable, outcome.actions), self._value(outcome.value)
            equal = np.eye(len(self.scm.levels[outcome.variable]))
            self.factors["equal", number] = ((axis, value), equal)
        symbols = tuple(dict.fromkeys((*kept, *_symbols([v for o in outcomes for v in (o.value, *o.do)]))))
        for symbol in symbols:
            self._value(symbol)
        axes: tuple[Hashable, ...] = symbols
        levels: dict[str, tuple[Any, ...]] = {str(s): tuple(self.scm.levels[s.variable]) for s in symbols}
        if self.by is not None:
            self._hidden(self.by)
            axes = (*axes, self.by.name)
            levels[self.by.name] = tuple(range(len(self.by.weights)))
        return Table(tuple(levels), levels, contracted(list(self.factors.values()), axes))

    def _axis(self, variable: str, actions: Mapping[str, Action]) -> Hashable:
        """The axis of a variable in the world of some actions; its tables are added where they lack."""
        self._check(variable)
        if variable in actions:
            action = actions[variable]
            return (
                self._axis(variable, action.actions) if isinstance(action, Outcome) else self._value(action)
            )
        acted = self._relevant(variable, actions)
        axis = (variable, acted)
        if axis not in self.factors:
            parents = [self._axis(parent, dict(acted)) for parent in self.scm.graph.parents(variable)]
            hidden = [self._hidden(cause) for cause in self.scm.acting_on(variable)]
            table = np.eye(len(self.scm.levels[variable]))[self.scm.functions[variable]]
            self.factors[axis] = ((*parents, *hidden, axis), table)
        return axis

    def _relevant(self, variable: str, actions: Mapping[str, Action]) -> tuple[tuple[str, Action], ...]:
        """The actions that reach a variable, not past another action."""
        found, seen, frontier = {}, set(), [variable]
        while frontier:
            for parent in self.scm.graph.parents(frontier.pop()):
                if parent in actions:
                    found[parent] = actions[parent]
                elif parent not in seen:
                    seen.add(parent)
                    frontier.append(parent)
        return tuple(sorted(found.items(), key=lambda item: item[0]))

    def _hidden(self, cause: Hidden) -> str:
        averaged = self.by is None or cause.name != self.by.name
        weights = cause.weights if averaged else np.ones(len(cause.weights))
        self.factors.setdefault(cause.name, ((cause.name,), weights))
        return cause.name

    def _value(self, value: Value) -> Value:
        """The axis of a symbol, which is free, or of a constant, which is at one level."""
        self._check(value.variable)
        levels = self.scm.levels[value.variable]
        if isinstance(value, Constant) and value.value not in levels:
            raise IdentifyError(
                f"'{value.variable}' has no level {value.value!r}",
                why=f"its levels are {', '.join(map(repr, levels))}",
                fix="use one of these",
            )
        at = (
            np.ones(len(levels))
            if isinstance(value, Symbol)
            else np.eye(len(levels))[levels.index(value.value)]
        )
        self.factors.setdefault(value, ((value,), at))
        return value

    def _check(self, variable: str) -> None:
        if variable not in self.scm.graph:
            raise IdentifyError(
                f"{variable!r} is not a variable of the model",
                fix=did_you_mean(variable, self.scm.graph.nodes),
            )


def _symbols(values: Iterable[Action]) -> Iterable[Symbol]:
    """Those among values; of a nested outcome those of its world, as its value is whatever it takes."""
    for value in values:
        if isinstance(value, Symbol):
            yield value
        elif isinstance(value, Outcome):
            yield from _symbols(value.do)
