"""Formulas over distributions that are known: what an estimand is made of.

An expression is a tree of `P` (a conditional of a known distribution), `Product`, `Ratio` and `Sum`. It can
be read (`str`, `latex`), and evaluated on tables of probabilities.

A *symbol* stands for a value of a variable. ``Σ_m P(m | x) Σ_x' P(y | x', m) P(x')`` has two for x: the free
one, and one that is summed over, told apart by a prime.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pyrocausal.errors import IdentifyError
from pyrocausal.identification.tables import Known, Table, as_known


@dataclass(frozen=True, order=True)
class Symbol:
    """A value of a variable, as letters in a formula.

    >>> str(Symbol("x")), str(Symbol("x", primes=1))
    ('x', "x'")
    """

    variable: str
    primes: int = 0

    def __str__(self) -> str:
        return self.variable + "'" * self.primes

    def latex(self) -> str:
        return letters(self.variable) + "'" * self.primes


@dataclass(frozen=True)
class Constant:
    """A value of a variable that is given as a number or a level.

    >>> str(Constant("x", 1))
    'x=1'
    """

    variable: str
    value: Any

    def __str__(self) -> str:
        return f"{self.variable}={self.value}"

    def latex(self) -> str:
        return f"{letters(self.variable)}={letters(str(self.value))}"


Value = Symbol | Constant


@dataclass(frozen=True)
class Regime:
    """A distribution that is known: observed, or from an experiment, or of another population.

    Args:
        do: the variables that were set at random.
        population: "" is the one that is asked about.
    """

    do: frozenset[str] = frozenset()
    population: str = ""


OBSERVED = Regime()


class Expression:
    """A formula. It never changes; equal formulas compare equal."""

    @property
    def free(self) -> frozenset[Symbol]:
        """The symbols that are not summed over: the value is a table over these."""
        raise NotImplementedError

    def latex(self) -> str:
        """The formula for a mathematician."""
        raise NotImplementedError

    def table(self, known: Known) -> Table:
        """The value for all values of the free symbols, from tables of the known distributions."""
        raise NotImplementedError

    def evaluate(
        self, pmf: pd.Series | Mapping[Regime, pd.Series], values: Mapping[str, Any] | None = None
    ) -> Any:
        """The value on tables of probabilities: a Series over the free symbols, or a number if none is free.

        Args:
            pmf: of the observed variables, a Series indexed by their values (a MultiIndex with names). Where
                experiments are known, a mapping of `Regime` to such a Series; that of do(z) is indexed by z
                too and adds up to 1 for every value of z.
            values: of free symbols, by name.

        Raises:
            IdentifyError: names, or a value that hangs on an event of probability zero.

        >>> index = pd.MultiIndex.from_product([[0, 1], [0, 1]], names=["x", "y"])
        >>> pmf = pd.Series([0.3, 0.1, 0.2, 0.4], index)
        >>> P.of("y", given="x").evaluate(pmf, {"x": 1})
        y
        0    0.333333
        1    0.666667
        dtype: float64
        """
        return self.at(pmf, values).to_pandas()

    def at(
        self, pmf: pd.Series | Mapping[Regime, pd.Series], values: Mapping[str, Any] | None = None
    ) -> Table:
        """`evaluate`, as a table: a cell is NaN where it hangs on an event of probability zero."""
        found = self.table(as_known(pmf, OBSERVED))
        for name, value in (values or {}).items():
            found = found.at(name, value)
        return found

    def __mul__(self, other: Expression) -> Expression:
        return product(self, other)

    def __truediv__(self, other: Expression) -> Expression:
        return self if other == ONE else Ratio(self, other)

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"


@dataclass(frozen=True)
class P(Expression):
    """A conditional of a known distribution, ``P(of | given)``.

    Args:
        of, given: what values which variables have.
        regime: the distribution; of an experiment, `given` has the values that were set, too.

    >>> str(P.of("y", given=("x", "z"))), P.of("y", given="x").latex()
    ('P(y | x, z)', 'P(y \\\\mid x)')
    """

    outcomes: tuple[Value, ...]
    given: tuple[Value, ...] = ()
    regime: Regime = OBSERVED

    @classmethod
    def of(cls, of: str | Iterable[str], given: str | Iterable[str] = (), regime: Regime = OBSERVED) -> P:
        """By names of variables."""
        names = [[group] if isinstance(group, str) else group for group in (of, given)]
        outcomes, conditions = (tuple(Symbol(name) for name in group) for group in names)
        return cls(outcomes, conditions, regime)

    @cached_property
    def free(self) -> frozenset[Symbol]:
        return frozenset(v for v in (*self.outcomes, *self.given) if isinstance(v, Symbol))

    def __str__(self) -> str:
        return self._written(str, ", ", " | ", lambda names: f"do({names})")

    def latex(self) -> str:
        return self._written(
            lambda v: v.latex(), ", ", r" \mid ", lambda names: rf"\operatorname{{do}}({names})"
        )

    def _written(self, show: Any, comma: str, bar: str, do: Any) -> str:
        acted = [v for v in self.given if v.variable in self.regime.do]
        seen = [v for v in self.given if v.variable not in self.regime.do]
        conditions = ([do(comma.join(map(show, acted)))] if acted else []) + [show(v) for v in seen]
        star = f"^{{{self.regime.population}}}" if self.regime.population else ""
        inside = comma.join(map(show, self.outcomes))
        return f"P{star}({inside}{bar + comma.join(conditions) if conditions else ''})"

    def table(self, known: Known) -> Table:
        joint = known.of(self.regime)
        kept = [v.variable for v in (*self.outcomes, *self.given)]
        above = joint.marginal([*kept, *self.regime.do])
        below = above.marginal([v.variable for v in self.given] + [*self.regime.do])
        found = above.divided(below, str(self))
        for value in (*self.outcomes, *self.given):
            if isinstance(value, Constant):
                found = found.at(value.variable, value.value)
        return found.renamed({v.variable: str(v) for v in self.free})


@dataclass(frozen=True)
class Product(Expression):
    """Factors, multiplied. `product` makes them flat."""

    factors: tuple[Expression, ...] = ()

    @cached_property
    def free(self) -> frozenset[Symbol]:
        return frozenset().union(*(factor.free for factor in self.factors))

    def __str__(self) -> str:
        return " ".join(_bracketed(f, str(f), last=f is self.factors[-1]) for f in self.factors) or "1"

    def latex(self) -> str:
        shown = (_bracketed(f, f.latex(), last=f is self.factors[-1]) for f in self.factors)
        return r"\, ".join(shown) or "1"

    def table(self, known: Known) -> Table:
        return Table.product(factor.table(known) for factor in self.factors)


@dataclass(frozen=True)
class Sum(Expression):
    """A sum over all values of some symbols. `summed` leaves those out that do not occur.

    >>> str(Sum((Symbol("z"),), product(P.of("y", given=("x", "z")), P.of("z"))))
    'Σ_z P(y | x, z) P(z)'
    """

    over: tuple[Symbol, ...]
    body: Expression

    @cached_property
    def free(self) -> frozenset[Symbol]:
        return self.body.free - frozenset(self.over)

    def __str__(self) -> str:
        names = ", ".join(map(str, self.over))
        return f"Σ_{names if len(self.over) == 1 else f'{{{names}}}'} {self.body}"

    def latex(self) -> str:
        return rf"\sum_{{{', '.join(s.latex() for s in self.over)}}} {self.body.latex()}"

    def table(self, known: Known) -> Table:
        """Symbol by symbol, each over the product of the factors that have it: tables stay small."""
        factors = self.body.factors if isinstance(self.body, Product) else (self.body,)
        tables = [factor.table(known) for factor in factors]
        for symbol in map(str, self.over):
            whole = Table.product(table for table in tables if symbol in table.axes)
            tables = [table for table in tables if symbol not in table.axes]
            tables.append(whole.summed([symbol]))
        return Table.product(tables)


@dataclass(frozen=True)
class Ratio(Expression):
    """One expression divided by another."""

    numerator: Expression
    denominator: Expression

    @cached_property
    def free(self) -> frozenset[Symbol]:
        return self.numerator.free | self.denominator.free

    def __str__(self) -> str:
        return f"[{self.numerator}] / [{self.denominator}]"

    def latex(self) -> str:
        return rf"\frac{{{self.numerator.latex()}}}{{{self.denominator.latex()}}}"

    def table(self, known: Known) -> Table:
        return self.numerator.table(known).divided(self.denominator.table(known), str(self.denominator))


@dataclass(frozen=True)
class Zero(Expression):
    """The probability of what cannot happen."""

    @cached_property
    def free(self) -> frozenset[Symbol]:
        return frozenset()

    def __str__(self) -> str:
        return "0"

    def latex(self) -> str:
        return "0"

    def table(self, known: Known) -> Table:
        return Table((), {}, np.zeros(()))


ONE = Product()
ZERO = Zero()


def product(*factors: Expression) -> Expression:
    """The product, flat: without ones, and nothing but itself if there is a single factor."""
    flat: list[Expression] = []
    for factor in factors:
        flat += factor.factors if isinstance(factor, Product) else [factor]
    if ZERO in flat:
        return ZERO
    return flat[0] if len(flat) == 1 else Product(tuple(flat))


def summed(over: Iterable[Symbol], body: Expression) -> Expression:
    """The sum over those symbols that occur, in the given order; nested sums become one.

    Raises:
        IdentifyError: a symbol does not occur, so that the sum would count its values.
    """
    symbols = tuple(dict.fromkeys(over))
    if not symbols or body == ZERO:
        return body
    for symbol in symbols:
        if symbol not in body.free:
            raise IdentifyError(f"'{symbol}' is summed over and does not occur in {body}")
    if isinstance(body, Sum):
        return Sum((*symbols, *body.over), body.body)
    return Sum(symbols, body)


def renamed(expression: Expression, names: Mapping[Symbol, Value]) -> Expression:
    """The expression with other values for free symbols; bound ones get primes where they would clash."""
    match expression:
        case P():
            outcomes, given = (
                tuple(names.get(v, v) if isinstance(v, Symbol) else v for v in group)
                for group in (expression.outcomes, expression.given)
            )
            return P(outcomes, given, expression.regime)
        case Product():
            return Product(tuple(renamed(factor, names) for factor in expression.factors))
        case Ratio():
            return Ratio(renamed(expression.numerator, names), renamed(expression.denominator, names))
        case Sum():
            inner = {old: new for old, new in names.items() if old not in expression.over}
            taken = {new for old, new in inner.items() if old in expression.body.free}
            fresh = {symbol: _unused(symbol, taken | expression.free) for symbol in expression.over}
            return Sum(tuple(fresh.values()), renamed(expression.body, {**inner, **fresh}))
    return expression


def apart(expression: Expression, taken: Iterable[Symbol] = ()) -> Expression:
    """The same expression, with primes on bound symbols that would read like others around them.

    >>> x, of_x = Symbol("x"), product(P.of("y", given=("x", "m")), P.of("x"))
    >>> str(apart(product(P.of("m", given="x"), Sum((x,), of_x))))
    "P(m | x) Σ_x' P(y | x', m) P(x')"
    """
    around = expression.free | frozenset(taken)
    match expression:
        case Product():
            return Product(tuple(apart(factor, around) for factor in expression.factors))
        case Ratio():
            return Ratio(apart(expression.numerator, around), apart(expression.denominator, around))
        case Sum():
            fresh = {symbol: _unused(symbol, around) for symbol in expression.over}
            body = renamed(expression.body, {old: new for old, new in fresh.items() if old != new})
            return Sum(tuple(fresh.values()), apart(body, around | frozenset(fresh.values())))
    return expression


def _unused(symbol: Symbol, taken: Iterable[Value]) -> Symbol:
    taken = set(taken)
    while symbol in taken:
        symbol = Symbol(symbol.variable, symbol.primes + 1)
    return symbol


def _bracketed(factor: Expression, shown: str, *, last: bool) -> str:
    """A sum reaches as far as the formula does: brackets, if more follows."""
    return f"[{shown}]" if isinstance(factor, Sum) and not last else shown


def letters(name: str) -> str:
    """A name in LaTeX: a letter (with a number below it) in italics, and words upright.

    >>> letters("x"), letters("x1"), letters("smoking years")
    ('x', 'x_{1}', '\\\\text{smoking years}')
    """
    head = name.rstrip("0123456789")
    if len(head) == 1 and head.isalpha():
        return name if head == name else f"{head}_{{{name[len(head) :]}}}"
    if not head:
        return name
    escaped = "".join(f"\\{c}" if c in "_%&#${}" else c for c in name)
    return rf"\text{{{escaped}}}"
