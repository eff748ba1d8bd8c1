"""Simplifying products of conditional probabilities: sums pushed in, marginals merged, ratios cancelled.

Two facts do all of it. The chain rule, P(b | a, c) P(a | c) = P(a, b | c), read from left to right; and
independence: a condition that the graph screens off may come and go.

Inside, every variable has its plain symbol, and a sum shadows what is outside of it. `apart` sets primes
at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pyrocausal.identification.expression import (
    ONE,
    Expression,
    P,
    Product,
    Ratio,
    Regime,
    Sum,
    Symbol,
    Value,
    product,
)
from pyrocausal.identification.mixed import Mixed


@dataclass(frozen=True)
class Fraction:
    """Factors above and below a line; what stands on both sides has been cancelled."""

    above: tuple[Expression, ...] = ()
    below: tuple[Expression, ...] = ()

    def times(self, other: Fraction) -> Fraction:
        return self.of([self, other])

    def over(self, other: Fraction) -> Fraction:
        return self.of([self, Fraction(other.below, other.above)])

    @classmethod
    def of(cls, parts: Iterable[Fraction]) -> Fraction:
        """The product of many."""
        above: Counter[Expression] = Counter()
        below: Counter[Expression] = Counter()
        for part in parts:
            above.update(part.above)
            below.update(part.below)
        return cls(tuple((above - below).elements()), tuple((below - above).elements()))

    @property
    def factors(self) -> tuple[Expression, ...]:
        return self.above + self.below


class Algebra:
    """The rules, for one graph.

    Args:
        graph: where independence is read.
        first: the variables to write first among conditions: the actions, as textbooks do.
    """

    def __init__(self, graph: Mixed, first: Iterable[str] = ()):
        self.graph = graph
        leading = set(first)
        self.condition_order = {n: (n not in leading, rank) for n, rank in graph.rank.items()}

    # ---- one conditional ----------------------------------------------------------------------

    def conditional(self, of: Iterable[str], given: Iterable[str], regime: Regime) -> P:
        """P(of | given), in the order of textbooks; what the experiment sets is always given."""
        conditions = sorted({*given, *regime.do}, key=self.condition_order.__getitem__)
        return P.of(self.graph.ordered(of), conditions, regime)

    def reduced(self, p: P) -> P:
        """Without the conditions that the others screen off."""
        of, given = _names(p.outcomes), set(_names(p.given)) - p.regime.do
        within = self.graph.rank.keys() - p.regime.do
        return self.conditional(of, self.graph.boundary(of, given, within), p.regime)

    def _independent(
        self, a: Collection[str], b: Collection[str], given: Collection[str], regime: Regime
    ) -> bool:
        within = self.graph.rank.keys() - regime.do
        return self.graph.separated(a, b, set(given) - regime.do, within)

    # ---- products -----------------------------------------------------------------------------

    def joined(self, factors: Sequence[Expression]) -> P | None:
        """The product as one conditional, if the chain rule and independence make it one.

        P(b | B) P(a | A) is P(a, b | C) with C = (A ∪ B) - {a}, if a ⫫ C - A given A, and the like for b.
        """
        conditionals = [factor for factor in factors if isinstance(factor, P)]
        if not factors or len(conditionals) < len(factors) or len({p.regime for p in conditionals}) > 1:
            return None
        regime = conditionals[0].regime
        conditionals.sort(key=lambda p: max(map(self.graph.rank.__getitem__, _names(p.outcomes))))
        outcomes = [name for p in conditionals for name in _names(p.outcomes)]
        if len(set(outcomes)) < len(outcomes):
            return None
        seen = {name for p in conditionals for name in _names(p.given)} - set(outcomes)
        given = set(seen)
        for p in conditionals:
            conditions = set(_names(p.given))
            if not conditions <= seen:
                return None
            extra = seen - conditions
            if extra and not self._independent(_names(p.outcomes), extra, conditions, regime):
                return None
            seen |= set(_names(p.outcomes))
        return self.conditional(outcomes, given, regime)

    def merged(self, factors: Iterable[Expression]) -> list[Expression]:
        """Chain rule only: P(b | a, c) P(a | c) becomes P(a, b | c); then in the order of textbooks."""
        merged = list(factors)
        waiting = [factor for factor in merged if isinstance(factor, P)]
        while waiting:
            first = waiting.pop()
            if first not in merged:
                continue
            for second in merged:
                if isinstance(second, P) and _follows(second, first):
                    both = self.conditional(
                        _names(first.outcomes + second.outcomes), _names(first.given), first.regime
                    )
                    merged.remove(first)
                    merged.remove(second)
                    merged.append(both)
                    waiting.append(both)
                    break
        return sorted(merged, key=self._place)

    def _place(self, factor: Expression) -> tuple[int, int, str]:
        """Effects before causes; what has sums in it last."""
        if isinstance(factor, P):
            return 0, -max(map(self.graph.rank.__getitem__, _names(factor.outcomes))), ""
        last = max((self.graph.rank[symbol.variable] for symbol in factor.free), default=0)
        return 1 + isinstance(factor, Sum), -last, str(factor)

    # ---- sums ---------------------------------------------------------------------------------

    def summed(self, names: Collection[str], fraction: Fraction) -> Fraction:
        """The sum over names: marginals where the sum can be taken, sums around what hangs together."""
        left = [Symbol(name) for name in reversed(self.graph.ordered(names))]
        above, below = list(fraction.above), list(fraction.below)
        progress = True
        while progress:
            progress = False
            for symbol in tuple(left):
                if any(symbol in factor.free for factor in below):
                    continue
                touched = [factor for factor in above if symbol in factor.free]
                if (total := self._total(symbol, touched)) is not None:
                    above = [factor for factor in above if symbol not in factor.free]
                    above += total.above
                    below += total.below
                    left.remove(symbol)
                    progress = True
        return self._around(left, above, below)

    def _total(self, symbol: Symbol, factors: Sequence[Expression]) -> Fraction | None:
        """The sum of the product over one symbol that is in all factors, if no sum needs to be written."""
        if len(factors) == 1 and isinstance(inner := factors[0], Sum):
            return self.summed([symbol.variable, *_names(inner.over)], parts(inner.body))
        if (whole := self.joined(factors)) is not None:
            return self._marginal(symbol, whole) if symbol in whole.outcomes else None
        for first, rest in self._beginnings(factors):
            if symbol in first.outcomes:  # P(z, o | c) is P(o | c) P(z | o, c): the arrow from z to o turned
                others = [name for name in _names(first.outcomes) if name != symbol.variable]
                turned = self.conditional([symbol.variable], others + _names(first.given), first.regime)
                whole = self.joined([self.reduced(turned), *rest])
                if whole is not None and symbol in whole.outcomes:
                    return self._marginal(symbol, first).times(self._marginal(symbol, whole))
        return None

    def _beginnings(self, factors: Sequence[Expression]) -> Iterable[tuple[P, list[Expression]]]:
        """The first factors (causes first) as one conditional of several outcomes, and the other factors."""
        ordered = sorted(factors, key=self._place, reverse=True)
        for count in range(1, len(ordered)):
            if (first := self.joined(ordered[:count])) is not None and len(first.outcomes) > 1:
                yield first, ordered[count:]

    def _marginal(self, symbol: Symbol, p: P) -> Fraction:
        rest = [name for name in _names(p.outcomes) if name != symbol.variable]
        return Fraction((self.reduced(self.conditional(rest, _names(p.given), p.regime)),) if rest else ())

    def _around(self, over: list[Symbol], above: list[Expression], below: list[Expression]) -> Fraction:
        """Sums around groups of factors that share variables to be summed over."""
        bound = frozenset(over)
        outside = Fraction(
            tuple(f for f in above if bound.isdisjoint(f.free)),
            tuple(f for f in below if bound.isdisjoint(f.free)),
        )
        sums: list[Expression] = []
        for group in _groups(over, [*above, *below]):
            inside = Fraction(
                tuple(f for f in above if not group.isdisjoint(f.free)),
                tuple(f for f in below if not group.isdisjoint(f.free)),
            )
            symbols = [symbol for symbol in reversed(over) if symbol in group]
            sums.append(_sum(symbols, self.expression(inside)))
        return outside.times(Fraction(tuple(sums)))

    # ---- the whole ----------------------------------------------------------------------------

    def expression(self, fraction: Fraction) -> Expression:
        """As one formula; what is below the line goes into a conditional above where it can."""
        above, below = self.merged(fraction.above), []
        for lower in self.merged(fraction.below):
            if isinstance(lower, P) and (divided := self._divided(above, lower)) is not None:
                above = divided
            else:
                below.append(lower)
        top, bottom = product(*sorted(above, key=self._place)), product(*below)
        return top if bottom == ONE else Ratio(top, bottom)

    def _divided(self, factors: Sequence[Expression], lower: P) -> list[Expression] | None:
        """The product over P(a | c), where a factor, or one inside of a sum, is P(a, b | c)."""
        for i, factor in enumerate(factors):
            others = [*factors[:i], *factors[i + 1 :]]
            if isinstance(factor, P) and _divides(lower, factor):
                of = set(_names(factor.outcomes)) - set(_names(lower.outcomes))
                given = _names(factor.given) + _names(lower.outcomes)
                return [*others, self.reduced(self.conditional(of, given, factor.regime))]
            if isinstance(factor, Sum) and lower.free.isdisjoint(factor.over):
                inner = parts(factor.body)
                if (divided := self._divided(inner.above, lower)) is not None:
                    total = self.summed(_names(factor.over), Fraction(tuple(divided), inner.below))
                    if not total.below:
                        return [*others, *total.above]
        return None


def parts(expression: Expression) -> Fraction:
    """An expression, taken apart into factors."""
    if isinstance(expression, Ratio):
        return parts(expression.numerator).over(parts(expression.denominator))
    return Fraction(expression.factors if isinstance(expression, Product) else (expression,))


def _names(values: Iterable[Value]) -> list[str]:
    return [value.variable for value in values]


def _follows(second: P, first: P) -> bool:
    """Whether the chain rule joins P(b | a, c) to P(a | c)."""
    return second.regime == first.regime and set(second.given) == {*first.given, *first.outcomes}


def _divides(lower: Expression, upper: Expression) -> bool:
    """Whether P(a | c) stands below P(a, b | c)."""
    return (
        isinstance(lower, P)
        and isinstance(upper, P)
        and lower.regime == upper.regime
        and set(lower.given) == set(upper.given)
        and set(lower.outcomes) < set(upper.outcomes)
    )


def _sum(over: Sequence[Symbol], body: Expression) -> Sum:
    return Sum((*over, *body.over), body.body) if isinstance(body, Sum) else Sum(tuple(over), body)


def _groups(over: Iterable[Symbol], factors: Iterable[Expression]) -> list[frozenset[Symbol]]:
    """The symbols, split where no factor has symbols of both sides."""
    groups: list[frozenset[Symbol]] = [frozenset([symbol]) for symbol in over]
    for factor in factors:
        joint = [group for group in groups if not group.isdisjoint(factor.free)]
        if len(joint) > 1:
            groups = [group for group in groups if group not in joint]
            groups.append(frozenset().union(*joint))
    return groups
