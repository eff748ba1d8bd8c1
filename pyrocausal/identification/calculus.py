"""A derivation by the rules of do-calculus, line by line, for whatever ID and IDC find.

The lines follow the algorithm from the question down to what is known. That the three rules are enough for
whatever is identified, is a theorem of Shpitser and Pearl (2006). Each separation can be checked
(`Line.licence`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.cfactor import Found
from pyrocausal.identification.estimand import Step
from pyrocausal.identification.expression import OBSERVED, Regime, apart
from pyrocausal.identification.identify import asked, check_one_population
from pyrocausal.identification.interventional import Question, Solution
from pyrocausal.identification.outcome import Query
from pyrocausal.identification.rules import Conditional, Separation, rule_1, rule_2, rule_3, sum_over
from pyrocausal.identification.surrogates import Unidentified, sources


@dataclass(frozen=True)
class Line(Step):
    """A line of a derivation by do-calculus.

    Args:
        licence: the separation that one of the three rules needs; None where probability is enough.
    """

    licence: Separation | None = None


def derive(graph: CausalGraph, query: Query, known: Sequence[Regime] = (OBSERVED,)) -> tuple[Line, ...]:
    """The derivation of a formula for P(y | do(x), z), with its licences.

    Args:
        graph: latent nodes are projected out.
        query: of rung 1 or 2.
        known: experiments may be known too, of the one population.

    Raises:
        IdentifyError: the query is not identified, or names are wrong.

    >>> from pyrocausal.identification import Outcome, Symbol
    >>> front_door = CausalGraph.from_string("x -> m -> y; x <-> y")
    >>> for line in derive(front_door, Query((Outcome.of("y", do=[Symbol("x")]),))):
    ...     print(line.formula, "|", line.rule)
    P(y | do(x)) = Σ_m P(m, y | do(x)) | probability: a marginal
    P(m, y | do(x)) = P(m | do(x)) P(y | do(x), m) | probability: the chain rule
    P(m | do(x)) = P(m | x) | rule 2 of do-calculus
    P(y | do(x), m) = P(y | do(x, m)) | rule 2 of do-calculus
    P(y | do(x, m)) = P(y | do(m)) | rule 3 of do-calculus
    P(y | do(m)) = Σ_x P(x, y | do(m)) | probability: a marginal
    P(x, y | do(m)) = P(x | do(m)) P(y | do(m), x) | probability: the chain rule
    P(x | do(m)) = P(x) | rule 3 of do-calculus
    P(y | do(m), x) = P(y | x, m) | rule 2 of do-calculus
    P(y | do(x)) = Σ_m P(m | x) Σ_x' P(y | x', m) P(x') | probability: all lines put together
    """
    check_one_population(known)
    question, _ = asked(graph, query, sources(known))
    try:
        solution = question.solved()
    except Unidentified as error:
        raise IdentifyError(f"{query} has no derivation", why=error.witness.text) from None
    return Derivation(question, solution).lines()


class Derivation:
    """The lines, as they are written down."""

    def __init__(self, question: Question, solution: Solution):
        self.graph, self.question, self.solution = question.diagram, question, solution
        self.mixed, self.order = question.graph, question.algebra.condition_order
        self.written: dict[str, Line] = {}

    def lines(self) -> tuple[Line, ...]:
        """All of it: conditions and actions, districts, their factors, and the formula put together."""
        asked = self._conditional(self.question.outcomes, self.question.actions, self.question.given)
        p = self._conditions(asked)
        if self.solution.direct is not None:
            self._straight(p, self._reduced(p, self.solution.direct))
        else:
            if p.given:
                joint = self._conditional({*p.of, *p.given}, p.do)
                self._write(f"{p} = {joint} / {self._conditional(p.given, p.do)}", "a condition's definition")
                p = joint
            self._districts(p)
        self._write(f"{asked} = {apart(self.solution.expression)}", "all lines put together")
        return tuple(self.written.values())

    # ---- the steps of the algorithm -----------------------------------------------------------

    def _conditions(self, p: Conditional) -> Conditional:
        """Conditions become actions (IDC, line 1), and actions without effect go (ID, lines 2 and 3)."""
        for name in self.solution.moved:
            moved = self._conditional(p.of, {*p.do, name}, set(p.given) - {name})
            self._rules([p, moved])
            p = moved
        felt = self._conditional(p.of, self.solution.actions, p.given)
        self._rules([p, felt])
        return felt

    def _districts(self, p: Conditional) -> None:
        """P(y | do(x)) = Σ Q[D_1] ... Q[D_k] (ID, line 4)."""
        relevant = self.solution.relevant
        self._marginal(p, self._conditional(relevant, p.do))
        self._chain_rule(relevant)
        for found in self.solution.found:
            if not self._at_once(found):
                for name in found.target:
                    self._rules(self._linked(name, found.target, relevant))
                self._chain_rule(found.target)
                self._narrowing(found)

    def _at_once(self, found: Found) -> bool:
        """A district of one node, that is one in the known graph too: its conditional is known."""
        (name, *more), (ancestral, district, *_) = found.target, found.path
        if more or district != found.target:
            return False
        term = self._term(name, self.solution.relevant)
        return self._straight(term, self._reduced(self._term(name, ancestral), found.regime))

    def _narrowing(self, found: Found) -> None:
        """Q[C] from larger districts T, up to one of the known distribution (ID, lines 6 and 7).

        For A ancestral in T, Q[A] = Σ Q[T]; for T a district of A, Q[T] is a product of conditionals of Q[A].
        """
        *steps, kept = found.path
        while steps:
            ancestral, district = steps[-2:]
            del steps[-2:]
            self._ancestral(kept, district)
            known = found.regime if not steps else None
            if set(district) != set(ancestral):
                self._chain_rule(district)
                for name in district:
                    self._conditional_of(name, district, ancestral, known)
            elif known is not None:
                whole = self._whole(ancestral)
                self._rules([whole, self._conditional(whole.of, known.do)])
            kept = ancestral

    def _ancestral(self, kept: Collection[str], district: Collection[str]) -> None:
        """Q[A] = Σ Q[T]."""
        same = self._conditional(kept, self._outside(district))
        self._rules([self._whole(kept), same])
        self._marginal(same, self._whole(district))

    def _conditional_of(
        self, name: str, district: Collection[str], ancestral: Collection[str], known: Regime | None
    ) -> None:
        """P(v | earlier ones of T, do) is a conditional of Q[A]: known, or else what its definition says."""
        term, above = self._term(name, district), self._term(name, ancestral)
        if known is not None and self._straight(term, self._reduced(above, known)):
            return
        self._rules(reversed(self._linked(name, district, ancestral)))
        if known is not None:
            there = self._conditional(above.of, known.do, above.given)
            self._rules([above, there, self._reduced(there, known)])
        else:
            whole = self._whole(ancestral)
            later = [other for other in ancestral if self.mixed.rank[other] > self.mixed.rank[name]]
            numbers = [f"[{sum_over(self.mixed.ordered(gone))}{whole}]" for gone in (later, [name, *later])]
            if above != whole:
                self._write(f"{above} = {' / '.join(numbers)}", "a condition's definition")

    def _linked(self, name: str, district: Collection[str], ancestral: Collection[str]) -> list[Conditional]:
        """From P(v | earlier ones of A, do) to P(v | earlier ones of T, do), for a district T of A.

        Rule 2 sets the earlier ones of other districts; rule 3 sets the later ones that T is an effect of,
        and then drops all that T is no effect of.
        """
        above, term = self._term(name, ancestral), self._term(name, district)
        moved = self._conditional([name], {*above.do, *above.given} - set(term.given), term.given)
        return [above, moved, self._conditional([name], {*moved.do, *term.do}, term.given), term]

    def _straight(self, p: Conditional, goal: Conditional) -> bool:
        """By rules 3, 2 and 1 to a known conditional, if they allow it.

        What the known distribution sets is added by rule 3, or by rule 2 where it is a condition of p.
        """
        needed = {*goal.do, *goal.given}
        acted = self._conditional(p.of, needed.intersection(p.do), p.given)
        added = self._conditional(p.of, {*acted.do, *goal.do} - set(p.given), p.given)
        surrogate = self._conditional(p.of, {*acted.do, *goal.do}, set(p.given) - set(goal.do))
        seen = self._conditional(p.of, goal.do, {*surrogate.do, *p.given} - set(goal.do))
        common = self._conditional(p.of, goal.do, set(seen.given).intersection(goal.given))
        way = [p, acted, added, surrogate, seen, common, goal]
        if allowed := all(
            licence is None or licence.holds(self.graph)
            for licence in (self._licence(a, b)[1] for a, b in pairwise(way))
        ):
            self._rules(way)
        return allowed

    # ---- lines --------------------------------------------------------------------------------

    def _licence(self, p: Conditional, q: Conditional) -> tuple[str, Separation | None]:
        """The rule that makes two conditionals equal, and the separation that it needs."""
        if p == q:
            return "", None
        short, long = sorted((p, q), key=lambda each: (len(each.do), len(each.given)))
        acted = [name for name in long.do if name not in short.do]
        if not acted:
            return "rule 1", rule_1(short, [name for name in long.given if name not in short.given])
        if set(acted) & set(short.given):
            base = Conditional(short.of, short.do, tuple(n for n in short.given if n not in acted))
            return "rule 2", rule_2(base, acted)
        return "rule 3", rule_3(self.graph, short, acted)

    def _rules(self, way: Iterable[Conditional]) -> None:
        """One line for each two that differ."""
        for p, q in pairwise(way):
            rule, licence = self._licence(p, q)
            if licence is not None:
                self._write(f"{p} = {q}", f"{rule} of do-calculus", licence)

    def _marginal(self, part: Conditional, whole: Conditional) -> None:
        if gone := [name for name in whole.of if name not in part.of]:
            self._write(f"{part} = {sum_over(gone)}{whole}", "a marginal")

    def _chain_rule(self, names: Collection[str]) -> None:
        whole, factors = self._whole(names), [self._term(name, names) for name in names]
        if len(factors) > 1:
            self._write(f"{whole} = {' '.join(map(str, factors))}", "the chain rule")

    def _write(self, formula: str, rule: str, licence: Separation | None = None) -> None:
        line = Line(formula, rule if licence else f"probability: {rule}", str(licence or ""), licence)
        self.written.setdefault(formula, line)

    # ---- conditionals -------------------------------------------------------------------------

    def _conditional(self, of: Iterable[str], do: Iterable[str], given: Iterable[str] = ()) -> Conditional:
        acted, seen = (tuple(sorted(names, key=self.order.__getitem__)) for names in (do, given))
        return Conditional(tuple(self.mixed.ordered(of)), acted, seen)

    def _outside(self, names: Collection[str]) -> set[str]:
        """The parents of a set that are not in it: the actions that its c-factor depends on."""
        return {cause for name in names for cause in self.mixed.parents[name]} - set(names)

    def _whole(self, names: Collection[str]) -> Conditional:
        """Q[names]."""
        return self._conditional(names, self._outside(names))

    def _term(self, name: str, names: Collection[str]) -> Conditional:
        """The factor of a node in the chain rule of Q[names]."""
        earlier = [other for other in names if self.mixed.rank[other] < self.mixed.rank[name]]
        return self._conditional([name], self._outside(names), earlier)

    def _reduced(self, p: Conditional, regime: Regime) -> Conditional:
        """The same in a known distribution, without the conditions that the others screen off."""
        given = set(p.given) - regime.do
        within = self.mixed.rank.keys() - regime.do
        return self._conditional(p.of, regime.do, self.mixed.boundary(p.of, given, within))
