"""How a formula was found, told in the lines of the algorithm: the steps of an `Estimand`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pyrocausal.identification.cfactor import Found
from pyrocausal.identification.estimand import Step
from pyrocausal.identification.expression import OBSERVED, Regime, apart
from pyrocausal.identification.hedge import listed
from pyrocausal.identification.interventional import Question, Solution
from pyrocausal.identification.rules import Conditional, rule_2, sum_over


def steps(question: Question, solution: Solution) -> tuple[Step, ...]:
    """The lines of ID and IDC (Shpitser and Pearl 2006) that were used, and the facts of the graph."""
    return Trail(question, solution).steps()


class Trail:
    """The steps of one solution."""

    def __init__(self, question: Question, solution: Solution):
        self.question, self.solution, self.graph = question, solution, question.graph

    def steps(self) -> tuple[Step, ...]:
        """Conditions, actions, districts, factors, and the formula."""
        lines = [*self._conditions(), *self._actions()]
        if self.solution.direct is None:
            lines += self._districts()
            lines += [step for found in self.solution.found for step in self._factor(found)]
            why = "the factors put in, marginals taken, ratios cancelled"
        else:
            why = f"{source(self.solution.direct)} tells it; what the other conditions screen off is left out"
        formula = str(apart(self.solution.expression))
        last = (
            []
            if lines and lines[-1].formula.endswith(f"= {formula}")
            else [Step(formula, "probability", why)]
        )
        return (*lines, *last)

    def _conditions(self) -> Iterable[Step]:
        p = self._conditional(self.question.outcomes, self.question.actions, self.question.given)
        for name in self.solution.moved:
            rest = set(p.given) - {name}
            licence = rule_2(self._conditional(p.of, p.do, rest), [name])
            p = self._conditional(p.of, {*p.do, name}, rest)
            yield Step(str(p), "IDC, line 1: rule 2 of do-calculus", str(licence))

    def _actions(self) -> Iterable[Step]:
        """Actions without effect go."""
        felt = self.solution.actions
        acted = self.graph.ordered({*self.question.actions, *self.solution.moved})
        if lost := [name for name in acted if name not in felt]:
            p = self._conditional(self.question.outcomes, felt, self.solution.given)
            but = f" except through {listed(felt)}" if felt else ""
            why = f"nothing leads from {listed(lost)} to {listed((*p.of, *p.given))}{but}"
            yield Step(str(p), "ID, lines 2 and 3: rule 3 of do-calculus", why)

    def _districts(self) -> Iterable[Step]:
        felt, given, relevant = self.solution.actions, self.solution.given, self.solution.relevant
        joint = self._conditional({*self.question.outcomes, *given}, felt)
        if given:
            p = self._conditional(self.question.outcomes, felt, given)
            ratio = f"{p} = {joint} / {self._conditional(given, felt)}"
            yield Step(ratio, "IDC, line 2", "no other condition can become an action")
        if len(self.solution.found) > 1 or len(joint.of) < len(relevant):
            factors = " ".join(str(self._q(found.target)) for found in self.solution.found)
            over = [name for name in relevant if name not in joint.of]
            parts = "; ".join(", ".join(found.target) for found in self.solution.found)
            yield Step(
                f"{joint} = {sum_over(over)}{factors}",
                "ID, line 4: districts factorise",
                f"{listed(joint.of)}, and what causes {_it(joint.of)} when "
                f"{listed(felt) if felt else 'nothing'} is set: {listed(relevant)}; joined by hidden causes: "
                f"{parts}",
            )

    def _factor(self, found: Found) -> Iterable[Step]:
        """Q[C], and the sets that it was reached through (lines 6 and 7)."""
        algebra = self.question.algebra
        formula = str(apart(algebra.expression(found.fraction)))
        if formula == str(self._q(found.target)):
            return
        reached, district, *narrower = found.path
        way = [f"in {source(found.regime)}: {listed(reached)}", f"a district of these: {listed(district)}"]
        for i, names in enumerate(narrower):
            if names != (district, *narrower)[i]:
                way.append(f"{'a district of these' if i % 2 else 'ancestors in it'}: {listed(names)}")
        line = "line 6: a district" if district == found.target else "line 7: inside a larger district"
        yield Step(
            f"{self._q(found.target)} = {formula}",
            f"{'ID' if found.regime == OBSERVED else self.solution.method}, {line}",
            "; ".join(way),
        )

    def _q(self, target: Collection[str]) -> Conditional:
        """A c-factor, as P(c | do(its parents outside))."""
        outside = {cause for name in target for cause in self.graph.parents[name]} - set(target)
        return self._conditional(target, outside)

    def _conditional(self, of: Iterable[str], do: Iterable[str], given: Iterable[str] = ()) -> Conditional:
        order = self.question.algebra.condition_order.__getitem__
        return Conditional(
            tuple(self.graph.ordered(of)), tuple(sorted(do, key=order)), tuple(sorted(given, key=order))
        )


def source(regime: Regime) -> str:
    """A known distribution, in words.

    >>> source(Regime(frozenset("x"), "trial"))
    'the experiment do(x) in population trial'
    """
    names = ", ".join(sorted(regime.do))
    what = f"the experiment do({names})" if names else "what is observed"
    return f"{what} in population {regime.population}" if regime.population else what


def _it(names: Collection[str]) -> str:
    return "it" if len(names) == 1 else "them"
