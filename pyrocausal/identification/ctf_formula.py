"""Consistent ctf-factors as a formula over experiments: a sum of products of P(c | do(z)), made short."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.ctf_factors import District, conflict
from pyrocausal.identification.expression import Expression, P, Regime, Symbol, Value, product, summed


@dataclass(frozen=True)
class Terms:
    """``Σ_over Π factors``, the factors from the causes to the effects."""

    over: tuple[Symbol, ...]
    factors: tuple[P, ...]

    @property
    def expression(self) -> Expression:
        return summed(self.over, product(*reversed(self.factors)))


def experimental(graph: CausalGraph, districts: Sequence[District], new: AbstractSet[Value]) -> Terms:
    """``Σ Π P(c | do(pa(C)))``, over new symbols.

    A new symbol of a single factor is left out there (a marginal); one of several is summed over.
    """
    groups = united(graph, districts)
    values = [tuple(dict.fromkeys(chain(*(response.values for response in group)))) for group in groups]

    def shared(value: Value) -> bool:
        return sum(value in shown for shown in values) > 1

    factors = []
    for group, shown in zip(groups, values):
        own = {response.value for response in group}
        kept = tuple(v for v in shown if v in own and (v not in new or shared(v)))
        do = tuple(v for v in shown if v not in own)
        factors.append(P(kept, do, Regime(frozenset(v.variable for v in do))))
    over = (v for v in dict.fromkeys(chain(*values)) if isinstance(v, Symbol) and v in new and shared(v))
    return Terms(tuple(over), tuple(factors))


def united(graph: CausalGraph, districts: Sequence[District]) -> list[District]:
    """Factors that one experiment shows together become one: fewer sums to read.

    For unions of districts A and B, ``Q[A] Q[B] = Q[A ∪ B]``, if their values agree. If not all agree, a
    factor is united with one that gives it a parent, as long as nothing is set that it causes.
    """
    if districts and conflict(chain(*districts)) is None:
        return [tuple(chain(*districts))]
    found: list[District] = []
    for district in districts:
        for i, other in enumerate(found):
            both = (*other, *district)
            if _linked(district, other) and conflict(both) is None and _before(graph, both):
                found[i] = both
                break
        else:
            found.append(district)
    return found


def _linked(one: District, other: District) -> bool:
    """Whether a variable of one is a parent in the other."""
    return any(
        response.value in effect.parents
        for these, those in ((one, other), (other, one))
        for response in these
        for effect in those
    )


def _before(graph: CausalGraph, district: District) -> bool:
    """Whether the parents that are set come before the variables that respond."""
    members = {response.variable for response in district}
    outside = {value.variable for response in district for value in response.parents} - members
    return graph.descendants(*members).isdisjoint(outside)


def divided(graph: CausalGraph, numerator: Terms, denominator: Terms) -> Expression:
    """The ratio; where a factor above has in it what is below, P(a, b) / P(b), as P(a | b)."""
    above, below = list(numerator.factors), list(denominator.factors)
    for part in () if denominator.over else denominator.factors:
        i = next((i for i, whole in enumerate(above) if _contains(graph, whole, part)), None)
        if i is not None:
            whole = above.pop(i)
            below.remove(part)
            if rest := tuple(v for v in whole.outcomes if v not in part.outcomes):
                above.insert(i, P(rest, (*whole.given, *part.outcomes), whole.regime))
    return Terms(numerator.over, tuple(above)).expression / Terms(denominator.over, tuple(below)).expression


def _contains(graph: CausalGraph, whole: P, part: P) -> bool:
    """Whether one distribution is a marginal of the other: the same actions matter to its outcomes."""

    def effective(p: P) -> set[Value]:
        causes = graph.do(*p.regime.do).ancestors(*(v.variable for v in part.outcomes))
        return {v for v in p.given if v.variable in causes}

    return set(part.outcomes) <= set(whole.outcomes) and effective(whole) == effective(part)
