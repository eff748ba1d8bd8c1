"""Can it be told from what is known? A formula and how it was found, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identify.expression import OBSERVED, Expression, Regime, Symbol
from pyrocausal.identify.outcome import Query


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
    """

    query: Query
    graph: CausalGraph
    expression: Expression | None
    method: str
    steps: tuple[Step, ...] = ()
    witness: Witness | None = None
    known: tuple[Regime, ...] = (OBSERVED,)

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
        return f"{self.query} = {self.expression}  [{self.method}]"

    def _repr_latex_(self) -> str | None:
        return f"$${self.latex()}$$" if self.expression is not None else None
