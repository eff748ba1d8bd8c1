"""What a causal question gets: a number, how sure it is, and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from pyrocausal import cards, plots
from pyrocausal.errors import QueryError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUNGS = {1: "seeing", 2: "doing", 3: "imagining"}


@dataclass(frozen=True)
class Certificate:
    """What an answer rests on, beside the model's fit.

    Attributes:
        verdict: "identified" from the graph and what is observed, "not identified", or "not asked" (why is in
            `text`).
        text: in a sentence: by what, or why not.
        estimands: of each distribution that the question needs.
    """

    verdict: str
    text: str
    estimands: tuple[Any, ...] = ()

    @property
    def identified(self) -> bool:
        return self.verdict == "identified"

    def __str__(self) -> str:
        return f"{self.verdict}: {self.text}"

    def formulas(self, width: int = 120) -> list[str]:
        """The estimands as text, cut at a width; those that differ in constants alone once."""
        kinds = {
            (e.query.rung, tuple(o.variable for o in e.query.outcomes), str(e.through)): e
            for e in reversed(self.estimands)
            if e.identified and e.method != "observed"
        }
        shown = [f"{e.query} = {e.expression}" for e in reversed(kinds.values())]
        return [text if len(text) <= width else f"{text[: width - 2]} …" for text in shown]

    def latex(self) -> str:
        """The estimands, one a line."""
        return r"\\ ".join(e.latex() for e in self.estimands if e.identified)


@dataclass(frozen=True, repr=False)
class Answer:
    """The answer to a question. It is a number (`float(answer)`), and prints what it rests on.

    Attributes:
        question: as text.
        value: a number; for a distribution, a Series of probabilities, or a DataFrame of draws.
        interval: (low, high) of 95 %, or None where only the Monte Carlo error is known.
        interval_of: what the interval covers: "bootstrap over refits" or "posterior of the weights".
        error: the Monte Carlo standard error of `value`; 0 where nothing was sampled, and NaN where the units
            drawn do not differ, so that it can't be told.
        exact: whether nothing was sampled.
        draws: of the value: one a refit, or one a draw of the weights; None without either.
        rung: 1 seeing, 2 doing, 3 imagining.
        population: whom it is about.
        certificate: whether the graph alone identifies it.
        terms: the value of each term of the question, with its error and effective number of units.
        warnings: what to mind, as sentences.
    """

    question: str
    value: Any
    rung: int
    population: str
    certificate: Certificate
    error: float | None = None
    exact: bool = False
    interval: tuple[float, float] | None = None
    interval_of: str = ""
    draws: Tensor | None = None
    terms: pd.DataFrame = field(default_factory=pd.DataFrame)
    warnings: tuple[str, ...] = ()
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    def __float__(self) -> float:
        if not isinstance(self.value, float):
            raise QueryError(
                f"{self.question} is a distribution, and no number",
                fix="ask for E[…] or P(… > 0), or read .value",
            )
        return self.value

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)

    def __round__(self, digits: int | None = None) -> float:
        return round(float(self), digits)

    def to_pandas(self) -> pd.DataFrame:
        """A number as one row (value, error, low, high, rung, identified); a distribution as it is."""
        if not isinstance(self.value, float):
            return self.value.to_frame() if isinstance(self.value, pd.Series) else self.value
        low, high = self.interval or (float("nan"), float("nan"))
        row = {
            "value": self.value,
            "error": self.error,
            "low": low,
            "high": high,
            "rung": self.rung,
            "certificate": self.certificate.verdict,
        }
        return pd.DataFrame([row], index=pd.Index([self.question], name="question"))

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """`pyrocausal.plots.answer` of this."""
        return plots.answer(self, ax=ax)

    def _lines(self) -> list[tuple[str, str]]:
        """What there is to say, as (name, text)."""
        lines = [("rung", f"{self.rung}, {RUNGS[self.rung]}"), ("population", self.population)]
        if self.interval is not None:
            low, high = self.interval
            lines.append(("95 % interval", f"{low:.4g} to {high:.4g} ({self.interval_of})"))
        if self.error is not None:
            lines.append(("Monte Carlo error", self._error()))
        lines.append(("certificate", str(self.certificate)))
        lines += [("estimand", formula) for formula in self.certificate.formulas()]
        return lines + [("mind", warning) for warning in self.warnings]

    def _error(self) -> str:
        if self.exact:
            return "0, nothing was sampled"
        return (
            "not known: the units drawn do not differ" if math.isnan(self.error or 0) else f"{self.error:.2g}"
        )

    def _headline(self) -> str:
        if isinstance(self.value, float):
            return f"{self.question} = {self.value:.4g}"
        shown = self.value if isinstance(self.value, pd.Series) else self.value.describe()
        return f"{self.question}\n{shown.to_string()}"

    def __repr__(self) -> str:
        lines = self._lines()
        width = max(len(name) for name, _ in lines)
        return "\n".join([self._headline(), *(f"  {name:<{width}}  {text}" for name, text in lines)])

    def _repr_html_(self) -> str:
        said = cards.rows((name, text) for name, text in self._lines() if name != "estimand")
        formulas = "".join(cards.formula(e.latex()) for e in self.certificate.estimands if e.identified)
        folded = cards.details("estimand", formulas) if formulas else ""
        if isinstance(self.value, float):
            return cards.card(self._headline(), said, folded)
        series = isinstance(self.value, pd.Series)
        value = self.value.to_frame("probability") if series else self.value.describe()
        return cards.card(self.question, cards.frame(value), said, folded)


def middle(draws: Tensor) -> tuple[float, float]:
    """The middle 95 % of draws."""
    low, high = draws.double().quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return low.item(), high.item()


def around(value: float, draws: Tensor) -> tuple[float, float]:
    """The 95 % normal bootstrap interval: 1.96 standard deviations of the refits to either side (Efron 1979).

    It needs fewer refits than quantiles do.
    """
    reach = 1.96 * draws.double().std().item()
    return value - reach, value + reach
