"""Which of the known distributions tells a c-factor: experiments, and other populations.

S. Lee, J. D. Correa and E. Bareinboim, "General identifiability with arbitrary surrogate experiments" (UAI
2019), gID; "General transportability: synthesizing observations and experiments from heterogeneous domains"
(AAAI 2020), gTR. z-identification (E. Bareinboim and J. Pearl 2012) is the case that all sets of some
variables have been set: `experiments`.

Q[C] does not change when variables outside of C are set, nor between populations that differ in the
mechanisms of other variables. So any distribution will do, in which C itself is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain, combinations

from pyrocausal.graph.ordered import OrderedFrozenSet
from pyrocausal.identification import cfactor, hedge
from pyrocausal.identification.algebra import Algebra
from pyrocausal.identification.estimand import Witness
from pyrocausal.identification.expression import OBSERVED, Regime
from pyrocausal.identification.mixed import Mixed


class Unidentified(Exception):
    """There is no formula. Not for users: `identify` turns it into an `Estimand` that carries the witness."""

    def __init__(self, witness: Witness):
        super().__init__(witness.text)
        self.witness = witness


@dataclass(frozen=True)
class Source:
    """A known distribution.

    Args:
        regime: what was set, and in which population.
        differs: the variables whose mechanisms in that population are not those that are asked about.
    """

    regime: Regime
    differs: frozenset[str] = frozenset()

    def leaves(self, names: AbstractSet[str]) -> bool:
        """Whether the mechanisms of these are the ones asked about."""
        return names.isdisjoint(self.regime.do) and names.isdisjoint(self.differs)


def sources(
    known: Iterable[Regime] = (OBSERVED,), differs: Mapping[str, Collection[str]] | None = None
) -> tuple[Source, ...]:
    """Known distributions, each with what differs in its population."""
    return tuple(
        Source(regime, frozenset((differs or {}).get(regime.population, ())))
        for regime in dict.fromkeys(known)
    )


def experiments(names: Iterable[str], population: str = "") -> tuple[Regime, ...]:
    """All experiments on some variables, and none: what z-identification takes as known.

    >>> [sorted(regime.do) for regime in experiments(["a", "b"])]
    [[], ['a'], ['b'], ['a', 'b']]
    """
    names = tuple(dict.fromkeys(names))
    subsets = chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))
    return tuple(Regime(frozenset(subset), population) for subset in subsets)


def factor(
    algebra: Algebra, target: AbstractSet[str], known: Sequence[Source], actions: Collection[str]
) -> cfactor.Found:
    """Q[target], from the first distribution that tells it.

    Args:
        target: joined by bidirected edges; a district of those ancestors of the outcome that no action cuts
            off.
        actions: for the words of the witness.

    Raises:
        Unidentified: none does.
    """
    stuck: list[tuple[Source, cfactor.Stuck]] = []
    for source in known:
        if source.leaves(target):
            try:
                return cfactor.identify(algebra, target, source.regime)
            except cfactor.Stuck as error:
                stuck.append((source, error))
    raise Unidentified(_witness(algebra.graph, target, known, stuck, actions))


def _witness(
    graph: Mixed,
    target: AbstractSet[str],
    known: Sequence[Source],
    stuck: Sequence[tuple[Source, cfactor.Stuck]],
    actions: Collection[str],
) -> Witness:
    """The hedge; of several distributions, one hedge each: a *thicket* (Lee, Correa and Bareinboim 2019)."""
    target_names = OrderedFrozenSet(graph.ordered(target))
    if not stuck:
        names = hedge.listed(target_names)
        text = f"no known distribution leaves the mechanisms of {names} as they are asked about"
        return Witness("impossible", target_names, target_names, text)
    hedges = [hedge.smallest(graph, error.district, target) for _, error in stuck]
    texts = [
        f"{_where(source.regime)}{hedge.explained(forest, root, actions)}"
        for (source, _), (forest, root) in zip(stuck, hedges)
    ]
    forest, root = hedges[0]
    if len(known) == 1:
        return Witness("hedge", OrderedFrozenSet(forest), OrderedFrozenSet(root), texts[0])
    others = [_where(source.regime) for source in known if not source.leaves(target)]
    texts += [f"{where}it sets or changes {hedge.listed(target_names)}" for where in others]
    every = OrderedFrozenSet(graph.ordered({name for forest, _ in hedges for name in forest}))
    return Witness("thicket", every, target_names, "; ".join(texts))


def _where(regime: Regime) -> str:
    """The distribution, at the head of a sentence about it; nothing for the observed one."""
    if regime == OBSERVED:
        return ""
    names = ", ".join(sorted(regime.do))
    what = f"in the experiment do({names})" if names else "in what was observed"
    return f"{what}{f' in population {regime.population}' if regime.population else ''}, "
