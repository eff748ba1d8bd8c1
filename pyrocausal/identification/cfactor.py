"""One c-factor from one known distribution: Tian and Pearl's *Identify*.

J. Tian and J. Pearl, "A general identification condition for causal effects" (AAAI 2002) and "On the
identification of causal effects" (UCLA technical report R-290-L, 2003).

Q[C] is P(c | do(all others)), the c-factor of a set C. For C joined by bidirected edges, and a district T
that has C in it, it is known from Q[T] where C is reached by narrowing T: to the ancestors of C in it, to the
district of C in these, and so on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pyrocausal.identification.algebra import Algebra, Fraction
from pyrocausal.identification.expression import Regime


class Stuck(Exception):
    """All of the district is an ancestor of the target: the two make a hedge."""

    def __init__(self, district: AbstractSet[str], target: AbstractSet[str]):
        super().__init__()
        self.district, self.target = district, target


@dataclass(frozen=True)
class Found:
    """A c-factor, and the way to it.

    Args:
        target: the set C.
        regime: the distribution it is read from.
        fraction: its formula.
        path: the sets it went through, each with its next one: a district, the ancestors of C in it, the
            district of C in these, and so on to C.
    """

    target: tuple[str, ...]
    regime: Regime
    fraction: Fraction
    path: tuple[tuple[str, ...], ...]


def identify(algebra: Algebra, target: AbstractSet[str], regime: Regime) -> Found:
    """Q[target] from the distribution of a regime that sets none of it.

    Args:
        target: joined by bidirected edges.

    Raises:
        Stuck: it can't be told from this distribution.
    """
    graph = algebra.graph
    reached = graph.ancestors(target, set(graph.nodes) - regime.do)
    district = graph.district(next(iter(target)), reached)
    kernel = Kernel.of_district(algebra, district, reached, regime)
    path = [reached, district]
    while True:
        kept = graph.ancestors(target, district)
        if kept == target:
            fraction = kernel.marginal(kept)
            return Found(
                tuple(graph.ordered(target)),
                regime,
                fraction,
                tuple(tuple(graph.ordered(names)) for names in (*path, kept)),
            )
        if kept == district:
            raise Stuck(district, target)
        district = graph.district(next(iter(target)), kept)
        kernel = kernel.narrowed(kept, district)
        path += [kept, district]


class Kernel:
    """Q[T] by the chain rule: for every node, its conditional given the earlier ones of T (and the rest set).

    Args:
        factors: by node, causes first.
    """

    def __init__(self, algebra: Algebra, factors: dict[str, Fraction]):
        self.algebra, self.factors = algebra, factors

    @classmethod
    def of_district(
        cls, algebra: Algebra, district: AbstractSet[str], nodes: AbstractSet[str], regime: Regime
    ) -> Kernel:
        """Q[T] = Π P(v | earlier nodes), of which those in the blanket of v matter.

        Args:
            nodes: an ancestral set that the distribution is over.
        """
        graph = algebra.graph
        factors: dict[str, Fraction] = {}
        for name in graph.ordered(district):
            earlier = {other for other in nodes if graph.rank[other] <= graph.rank[name]}
            given = graph.blanket(name, earlier)
            factors[name] = Fraction((algebra.conditional([name], given, regime),))
        return cls(algebra, factors)

    def marginal(self, kept: Collection[str]) -> Fraction:
        """Q[A] = Σ Q[T] over T without A, for an ancestral set A of T."""
        return self._summed(self.factors, kept)

    def narrowed(self, kept: AbstractSet[str], district: AbstractSet[str]) -> Kernel:
        """Q[T'], for a district T' of an ancestral set A of T: Q-decomposition.

        The conditional of v is Σ Q[T up to v] / Σ Q[T before v], with sums over what is not kept in A.
        """
        factors: dict[str, Fraction] = {}
        gone = set(self.factors) - kept
        for name in self.algebra.graph.ordered(district):
            joint = self._tied(name, gone)
            before = [other for other in joint if other != name]
            factors[name] = self._summed(joint, kept).over(self._summed(before, kept))
        return Kernel(self.algebra, factors)

    def _summed(self, names: Iterable[str], kept: Collection[str]) -> Fraction:
        names = list(names)
        return self.algebra.summed(
            [name for name in names if name not in kept], Fraction.of(self.factors[name] for name in names)
        )

    def _tied(self, name: str, gone: AbstractSet[str]) -> list[str]:
        """The nodes up to ``name`` whose factors depend on it through variables that are gone."""
        earlier = list(self.factors)[: list(self.factors).index(name) + 1]
        mentions = {other: gone & _names(self.factors[other]) for other in earlier}
        tied, open_ = {name}, set(mentions[name])
        grows = True
        while grows:
            grows = False
            for other in earlier:
                if other not in tied and (mentions[other] & open_):
                    tied.add(other)
                    open_ |= mentions[other]
                    grows = True
        return [other for other in earlier if other in tied]


def _names(fraction: Fraction) -> set[str]:
    return {symbol.variable for factor in fraction.factors for symbol in factor.free}
