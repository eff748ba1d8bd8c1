"""P(outcomes | do(actions), given) from known distributions: the algorithms ID and IDC, in c-factors.

J. Tian and J. Pearl, "A general identification condition for causal effects" (AAAI 2002); I. Shpitser and J.
Pearl, "Identification of joint interventional distributions in recursive semi-Markovian causal models" (AAAI
2006), which shows that it finds all there is; with conditions, by the same, "Identification of conditional
interventional distributions" (UAI 2006).

With D the ancestors of y that x does not cut off, and D_1, ..., D_k its districts,

    P(y | do(x)) = Σ_{D \\ y} Q[D_1] ... Q[D_k],

where Q[C] is P(c | do(all others)), the *c-factor* of C (`pyrocausal.identification.cfactor`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.algebra import Algebra, Fraction
from pyrocausal.identification.cfactor import Found
from pyrocausal.identification.expression import OBSERVED, Expression, Regime, apart
from pyrocausal.identification.mixed import Mixed
from pyrocausal.identification.surrogates import Source, Unidentified, factor, sources

__all__ = ["Unidentified", "distribution", "district_factor"]


def distribution(
    graph: CausalGraph,
    outcomes: Collection[str],
    actions: Collection[str] = (),
    known: Iterable[Regime] = (OBSERVED,),
    given: Collection[str] = (),
) -> Expression:
    """P(outcomes | do(actions), given), every variable with its plain symbol.

    Args:
        graph: over observed variables (`CausalGraph.project`).
        outcomes, actions, given: names, disjoint.
        known: the distributions that the formula may use.

    Raises:
        Unidentified: there is no formula; it carries the witness.

    >>> front_door = CausalGraph.from_string("x -> m -> y; x <-> y")
    >>> str(distribution(front_door, ["y"], ["x"]))
    "Σ_m P(m | x) Σ_x' P(y | x', m) P(x')"
    """
    question = Question(graph, outcomes, actions, given, sources(known))
    return apart(question.solved().expression)


def district_factor(
    graph: CausalGraph, district: Collection[str], known: Iterable[Regime] = (OBSERVED,)
) -> Expression:
    """Q[C] = P(c | do(all others)); the formula has those of the others that matter (at most).

    Args:
        district: a set of nodes C; if bidirected edges do not join it, Q[C] is a product.

    Raises:
        Unidentified: there is no formula; it carries the witness.

    >>> napkin = CausalGraph.from_string("w -> z -> x -> y; w <-> x; w <-> y")
    >>> str(district_factor(napkin, ["y"]))
    '[Σ_w P(x, y | w, z) P(w)] / [Σ_w P(x | w, z) P(w)]'
    """
    others = [name for name in graph.nodes if name not in set(district)]
    algebra = Algebra(Mixed(graph), others)
    parts = algebra.graph.districts(frozenset(district))
    found = [factor(algebra, part, sources(known), others) for part in parts]
    return apart(algebra.expression(Fraction.of(f.fraction for f in found)))


@dataclass(frozen=True)
class Solution:
    """A formula, and what led to it.

    Args:
        expression: with plain symbols, not `apart`.
        method: "observed", "ID", "IDC", "gID" or "transport".
        moved: the conditions that rule 2 turned into actions.
        actions: those that matter in the end, in the order of the graph.
        given: the conditions that are left.
        direct: the distribution that has the answer in it, if one does.
        relevant: the ancestors of outcomes and conditions that no action cuts off.
        found: the c-factors of its districts.
    """

    expression: Expression
    method: str
    moved: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    direct: Regime | None = None
    relevant: tuple[str, ...] = ()
    found: tuple[Found, ...] = ()


class Question:
    """P(outcomes | do(actions), given) on a graph, from some sources."""

    def __init__(
        self,
        graph: CausalGraph,
        outcomes: Collection[str],
        actions: Collection[str],
        given: Collection[str],
        known: Sequence[Source],
    ):
        self.diagram, self.graph = graph, Mixed(graph)
        self.outcomes, self.actions, self.given = set(outcomes), set(actions), set(given)
        self.known = known
        self.algebra = Algebra(self.graph, actions)

    def solved(self) -> Solution:
        """The formula.

        Raises:
            Unidentified: there is none.
        """
        if (direct := self._direct()) is not None:
            return direct
        actions, given, moved = self._rule_2()
        relevant = self._relevant(self.outcomes | given, actions)
        found = self._factors(relevant, actions)
        whole = Fraction.of(each.fraction for each in found)
        answer = self.algebra.summed(relevant - self.outcomes - given, whole)
        if given:
            answer = answer.over(self.algebra.summed(relevant - given, whole))
        return Solution(
            self.algebra.expression(answer),
            self.method([each.regime for each in found]),
            moved=tuple(moved),
            actions=tuple(self.graph.ordered(self._felt(relevant, actions))),
            given=tuple(self.graph.ordered(given)),
            relevant=tuple(self.graph.ordered(relevant)),
            found=tuple(found),
        )

    def _factors(self, relevant: AbstractSet[str], actions: Collection[str]) -> list[Found]:
        """Q[D_1], ..., Q[D_k]."""
        try:
            parts = self.graph.districts(relevant)
            return [factor(self.algebra, part, self.known, actions) for part in parts]
        except Unidentified as error:
            if not self.given:
                raise
            joint = ", ".join(self.graph.ordered(relevant & (self.outcomes | self.given) - set(actions)))
            text = f"given what is seen, it takes P({joint} | do(...)), and {error.witness.text}"
            raise Unidentified(replace(error.witness, text=text)) from None

    def _relevant(self, names: Iterable[str], actions: Collection[str]) -> set[str]:
        """D: the ancestors of some nodes that the actions do not cut off."""
        return self.graph.ancestors(names, set(self.graph.nodes) - set(actions))

    def _felt(self, names: Iterable[str], actions: Collection[str]) -> set[str]:
        """The actions that are causes of some of the nodes."""
        return {cause for name in names for cause in self.graph.parents[name] if cause in actions}

    def _direct(self) -> Solution | None:
        """The answer, if a known distribution has it: there the same nodes matter, by the same mechanisms."""
        asked = self.outcomes | self.given
        relevant = self._relevant(asked, self.actions)
        for source in self.known:
            if source.leaves(relevant) and self._relevant(asked, source.regime.do) == relevant:
                p = self.algebra.conditional(self.outcomes, self.given, source.regime)
                return Solution(
                    self.algebra.reduced(p),
                    "observed" if source.regime == OBSERVED else self.method([source.regime]),
                    actions=tuple(self.graph.ordered(self._felt(relevant, self.actions))),
                    given=tuple(self.graph.ordered(self.given)),
                    direct=source.regime,
                    relevant=tuple(self.graph.ordered(relevant)),
                )
        return None

    def _rule_2(self) -> tuple[set[str], set[str], list[str]]:
        """Conditions become actions where that makes no difference (IDC, line 1)."""
        actions, given, moved = set(self.actions), set(self.given), []
        grows = True
        while grows:
            grows = False
            for name in self.graph.ordered(given):
                left = given - {name}
                within = set(self.graph.nodes) - actions
                if self.graph.separated(self.outcomes, [name], left, within, silent={name}):
                    actions.add(name)
                    given.remove(name)
                    moved.append(name)
                    grows = True
        return actions, given, moved

    def method(self, regimes: Collection[Regime]) -> str:
        """What finds a formula over these distributions."""
        if any(regime.population for regime in regimes):
            return "transport"
        if any(regime.do for regime in regimes):
            return "gID"
        return "IDC" if self.given else "ID"
