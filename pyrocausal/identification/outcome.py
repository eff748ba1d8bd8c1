"""What is asked: values of variables, each in a world.

``P(y_{x=1} | x=0, y=0)`` has three outcomes: ``Outcome(y, do={x: 1})``, and, in the actual world, ``x`` and
``y``. ``P(y | do(x), z)`` has two, y and z, both with ``do=(x,)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyrocausal.identification.expression import Symbol, Value, letters


@dataclass(frozen=True)
class Outcome:
    """A variable, in the world of some actions, having a value.

    Args:
        variable: its name.
        value: a symbol or constant of that variable.
        do: the actions, in the order of their names: values of other variables; or outcomes of them, for
            nested counterfactuals (``y_{x=1, m_{x=0}}`` sets m to what it is in the world do(x=0)).

    >>> from pyrocausal.identification import Constant
    >>> x0, x1 = Constant("x", 0), Constant("x", 1)
    >>> str(Outcome.of("y", do=[x1, Outcome.of("m", do=[x0])]))
    'y_{m_{x=0}, x=1}'
    """

    variable: str
    value: Value
    do: tuple[Value | Outcome, ...] = ()

    @classmethod
    def of(cls, variable: str, value: Value | None = None, do: Iterable[Value | Outcome] = ()) -> Outcome:
        actions = tuple(sorted(do, key=lambda action: action.variable))
        return cls(variable, Symbol(variable) if value is None else value, actions)

    @property
    def actions(self) -> Mapping[str, Value | Outcome]:
        """What is set, by variable."""
        return {action.variable: action for action in self.do}

    @property
    def nested(self) -> bool:
        return any(isinstance(action, Outcome) for action in self.do)

    def __str__(self) -> str:
        world = ", ".join(str(action) for action in self.do)
        return (self.variable + (f"_{{{world}}}" if world else "")) + self._equals(str(self.value))

    def latex(self) -> str:
        world = ", ".join(action.latex() for action in self.do)
        return letters(self.variable) + (f"_{{{world}}}" if world else "") + self._equals(self.value.latex())

    def _equals(self, value: str) -> str:
        """The value, where it is not just the variable's own symbol."""
        if self.value == Symbol(self.variable):
            return ""
        return "=" + value.removeprefix(f"{self.variable}=").removeprefix(f"{letters(self.variable)}=")


@dataclass(frozen=True)
class Query:
    """The distribution of outcomes given others, ``P(of | given)``."""

    outcomes: tuple[Outcome, ...]
    given: tuple[Outcome, ...] = ()

    @property
    def world(self) -> tuple[Value | Outcome, ...] | None:
        """The one world that all outcomes are of; None if there are several."""
        worlds = {outcome.do for outcome in (*self.outcomes, *self.given)}
        return worlds.pop() if len(worlds) == 1 else None

    @property
    def symbols(self) -> frozenset[Symbol]:
        """The symbols in it: the answer is a table over these, or some of them."""
        outcomes = (*self.outcomes, *self.given)
        return frozenset(s for o in outcomes for part in (o.value, *o.do) for s in _symbols(part))

    @property
    def rung(self) -> int:
        """1: seeing, 2: doing, 3: imagining (Pearl's ladder of causation)."""
        if self.world is None or any(outcome.nested for outcome in (*self.outcomes, *self.given)):
            return 3
        return 2 if self.world else 1

    def __str__(self) -> str:
        return self._written(str, " | ")

    def latex(self) -> str:
        return self._written(lambda outcome: outcome.latex(), r" \mid ")

    def _written(self, show, bar: str) -> str:
        if self.rung == 2:  # one world: y | do(x), z
            acted = ", ".join(show(action) for action in self.world or ())
            do = f"do({acted})" if bar == " | " else rf"\operatorname{{do}}({acted})"
            plain = [[Outcome(o.variable, o.value) for o in group] for group in (self.outcomes, self.given)]
            conditions = [do, *map(show, plain[1])]
        else:
            plain = [list(self.outcomes), list(self.given)]
            conditions = [show(outcome) for outcome in self.given]
        inside = ", ".join(map(show, plain[0]))
        return f"P({inside}{bar + ', '.join(conditions) if conditions else ''})"


def _symbols(part: Value | Outcome) -> list[Symbol]:
    """A nested outcome is set to whatever value it has: that is no symbol of the query."""
    if isinstance(part, Outcome):
        return [symbol for action in part.do for symbol in _symbols(action)]
    return [part] if isinstance(part, Symbol) else []
