"""Can it be told from what is known? A formula and how it was found, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from pyrocausal import cards
from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.expression import OBSERVED, Expression, Regime, Symbol
from pyrocausal.identification.outcome import Query

if TYPE_CHECKING:
    from pyrocausal.identification.discrete import DiscreteSCM


@dataclass(frozen=True)
class Step:
    """One line of a derivation.

    Args:
        formula: the expression now, as text.
        rule: what allowed it, e.g. "rule 2 of do-calculus" or "ID, line 4: the districts of y factorise".
        why: the fact of the graph that the rule needs, e.g. "y ⫫ x | z in the graph without edges out of x".
    """

    formula: str
    rule: str
    why: str = ""


@dataclass(frozen=True)
class Witness:
    """Why a query is not identified, as small as it gets.

    Args:
        kind: "hedge" (Shpitser and Pearl 2006), "thicket" (a hedge for each of several known distributions,
            Lee, Correa and Bareinboim 2019), "inconsistent" (one variable would need two values at once in a
            district, Shpitser and Pearl 2007), or "impossible" (all that is known was measured where the
            mechanisms in question were replaced).
        nodes: of a hedge, its larger forest: a district that reaches the outcome.
        root: the smaller forest, inside of it.
        text: the same, in a sentence.
    """

    kind: str
    nodes: frozenset[str]
    root: frozenset[str]
    text: str


@dataclass(frozen=True)
class Estimand:
    """What a query is in terms of what is known, by a graph alone.

    Attributes:
        query: what was asked.
        graph: over observed variables (the latent projection), with the edges that all rests on.
        expression: the formula; None if the query is not identified.
        method: what found it: "observed", "backdoor", "front-door", "ID", "IDC", "ID*", "IDC*", "gID",
            "transport".
        steps: how, line by line.
        witness: why there is no formula; None if there is one.
        known: the distributions that the formula may use.
        given: "observational" if these are all; "experimental" if those of all experiments are known.
        question: what was asked in text, where that is less than the distribution: an event, a quantile ….
        through: the adjustment set of "backdoor", the mediators of "front-door".
    """

    query: Query
    graph: CausalGraph
    expression: Expression | None
    method: str
    steps: tuple[Step, ...] = ()
    witness: Witness | None = None
    known: tuple[Regime, ...] = (OBSERVED,)
    given: str = "observational"
    through: tuple[str, ...] = ()
    question: str = ""

    @property
    def how(self) -> str:
        """The method, with the set that it goes through: "backdoor {age, sex}"."""
        if self.method == "backdoor" and not self.through:
            return "no confounding"
        named = self.method in ("backdoor", "front-door")
        return f"{self.method} {{{', '.join(self.through)}}}" if named else self.method

    @property
    def identified(self) -> bool:
        return self.expression is not None

    def latex(self) -> str:
        """``query = formula``."""
        return f"{self.query.latex()} = {self._needed().latex()}"

    def evaluate(
        self, pmf: pd.Series | Mapping[Regime, pd.Series], values: Mapping[str, Any] | None = None
    ) -> Any:
        """The value on tables of probabilities: see `Expression.evaluate`.

        Over values that do not matter (`arbitrary`), it is the mean of those that the tables have. In
        ``values``, symbols of the query that turn out to make no difference are passed over.
        """
        idle = {str(symbol) for symbol in self.query.symbols - self._needed().free}
        values = {name: value for name, value in (values or {}).items() if name not in idle}
        found = self._needed().at(pmf, values)
        return found.averaged(
            str(symbol) for symbol in self.arbitrary if str(symbol) in found.axes
        ).to_pandas()

    @property
    def arbitrary(self) -> tuple[Symbol, ...]:
        """Free in the formula, and not asked about: whatever they are, the true distribution gives one value.

        So z in the napkin's ``[Σ_w P(x, y | w, z) P(w)] / [Σ_w P(x | w, z) P(w)]``.
        """
        return tuple(sorted(self._needed().free - self.query.symbols))

    def counterexample(self, seed: int = 0) -> tuple[DiscreteSCM, DiscreteSCM]:
        """Two models over the graph with the same known distributions and different answers to the query.

        Raises:
            IdentifyError: the query is identified; or no pair was found.

        >>> from pyrocausal.identification import Outcome, identify
        >>> bow = CausalGraph.from_string("x -> y; x <-> y")
        >>> low, high = identify(bow, Query((Outcome.of("y", do=[Symbol("x")]),))).counterexample()
        >>> float(abs(low.joint() - high.joint()).max()) < 1e-9
        True
        >>> float(abs(low.do(x=1) - high.do(x=1)).max()) > 0.05
        True
        """
        from pyrocausal.identification.counterexample import counterexample  # it is built on identification

        return counterexample(self.graph, self.query, self.known, self.given, seed)

    def derivation(self) -> tuple[Step, ...]:
        """The way from the question to the formula, a line a step, for a student to follow.

        About one world, each line is a rule of do-calculus with the separation that allows it, or
        probability; about several, the steps of the algorithm.

        Raises:
            IdentifyError: there is no formula.
        """
        self._needed()
        if self.query.rung == 3:
            return self.steps
        from pyrocausal.identification.calculus import derive  # which needs estimands

        return derive(self.graph, self.query, self.known)

    def _needed(self) -> Expression:
        if self.expression is None:
            raise IdentifyError(
                f"{self.query} is not identified from {self.graph.to_string()}",
                why=self.witness.text if self.witness else "",
                fix="observe more, run an experiment, or ask a model, which adds its functional form",
            )
        return self.expression

    def __str__(self) -> str:
        if self.expression is None:
            return f"{self.query} is not identified: {self.witness.text if self.witness else ''}"
        return f"{self.query} = {self.expression}  [{self.how}]"

    def _repr_html_(self) -> str:
        if self.expression is None:
            why = self.witness.text if self.witness else ""
            return cards.card(str(self.query), cards.rows([("because", why)]), beside="not identified")
        steps = [
            (f"{i}", f"<code>{escape(step.formula)}</code>", escape(step.rule), escape(step.why))
            for i, step in enumerate(self.derivation(), start=1)
        ]
        derivation = cards.details("derivation", cards.table(("", "formula", "by", "because"), steps))
        beside = f"identified by {self.how}"
        return cards.card(str(self.query), cards.formula(self.latex()), derivation, beside=beside)
