"""How strong must a hidden common cause be to explain an effect away?

T. J. VanderWeele and P. Ding 2017, "Sensitivity analysis in observational research: introducing the E-value",
Annals of Internal Medicine 167; C. Cinelli and C. Hazlett 2020, "Making sense of sensitivity: extending
omitted variable bias", Journal of the Royal Statistical Society B 82. The latter is of a linear regression of
the outcome on the treatment and what closes the back doors. These are no tests: no data tell of a hidden
cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import stats

from pyrocausal.errors import DataError

# ---- E-values


def e_value(risk_ratio: float) -> float:
    """The least risk ratio of a hidden cause with treatment, and with outcome, that explains this one.

    VanderWeele and Ding 2017: RR + √(RR (RR - 1)), of 1 / RR if RR < 1.

    >>> round(e_value(3.9), 2), round(e_value(1 / 3.9), 2), e_value(1.0)
    (7.26, 7.26, 1.0)
    """
    if not risk_ratio > 0 or math.isinf(risk_ratio):
        raise DataError(f"the risk ratio {risk_ratio!r} is not positive and finite", fix="pass one that is")
    ratio = max(risk_ratio, 1 / risk_ratio)
    return ratio + math.sqrt(ratio * (ratio - 1))


def e_value_of_interval(low: float, high: float) -> float:
    """The E-value of the end of an interval of risk ratios that is nearer to 1; 1 if 1 lies in it.

    >>> round(e_value_of_interval(1.8, 8.7), 2), e_value_of_interval(0.9, 2.0)
    (3.0, 1.0)
    """
    if low <= 1 <= high:
        return 1.0
    return e_value(low if low > 1 else high)


def risk_ratio_of_difference(difference: float, sd: float) -> float:
    """The risk ratio that a difference of means amounts to: exp(0.91 d), d in standard deviations.

    It holds for outcomes cut in two, roughly whatever the threshold (Chinn 2000; VanderWeele 2017, "On a
    square-root transformation of the odds ratio for a common outcome").

    >>> round(risk_ratio_of_difference(0.5, 1.0), 3)
    1.576
    """
    return math.exp(min(0.91 * difference / sd, 700.0))


# ---- partial R²


def robustness_value(t: float, dof: int, *, q: float = 1.0, alpha: float = 1.0) -> float:
    """The share of the rest of both treatment and outcome that a hidden cause must explain.

    To lower the estimate by the fraction `q`; with `alpha` below 1, so far that it is no longer significant
    at that level. Cinelli and Hazlett 2020, section 4.1, and for strong effects the correction in their note
    "An omitted variable bias framework" (2022): it is then what the outcome's share of 1 leaves.

    >>> round(robustness_value(4.18, 783), 3), round(robustness_value(4.18, 783, alpha=0.05), 3)
    (0.139, 0.076)
    """
    f = q * abs(t) / math.sqrt(dof)
    critical = abs(float(stats.t.ppf(alpha / 2, dof - 1))) / math.sqrt(dof - 1) if alpha < 1 else 0.0
    less = f - critical
    if less <= 0:
        return 0.0
    if critical > 0 and f > 1 / critical:
        return (f**2 - critical**2) / (1 + f**2)
    return 0.5 * (math.sqrt(less**4 + 4 * less**2) - less**2)


@dataclass(frozen=True)
class Strength:
    """What a cause explains of what the others leave: partial R² with the treatment, and with the outcome."""

    treatment: float
    outcome: float


@dataclass(frozen=True, eq=False)
class Regression:
    """Least squares of the outcome on the treatment and the covariates.

    Attributes:
        estimate, se, dof: of the treatment's coefficient, times the contrast.
        causes: by covariate, its partial R² with treatment and outcome.
    """

    estimate: float
    se: float
    dof: int
    causes: Mapping[str, Strength]

    @classmethod
    def of(
        cls,
        outcome: np.ndarray,
        treatment: np.ndarray,
        covariates: Mapping[str, np.ndarray],
        contrast: float = 1.0,
    ) -> Regression:
        """From columns: outcome and treatment `(n,)`, each covariate `(n, k)`.

        Raises:
            DataError: nothing of the treatment is left to tell what it does.
        """
        n = len(outcome)
        blocks = [np.ones((n, 1)), *covariates.values()]
        everything = np.hstack(blocks)
        dof = n - int(np.linalg.matrix_rank(everything)) - 1
        d, y = _residuals(everything, treatment), _residuals(everything, outcome)
        if dof < 1 or d @ d < 1e-9 * ((treatment - treatment.mean()) ** 2).sum():
            raise DataError(
                "the covariates determine the treatment, or are too many for the rows",
                why="then a regression can't tell what the treatment does",
                fix="take other covariates, or more rows",
            )
        slope = float(d @ y / (d @ d))
        rest = y - slope * d
        se = math.sqrt(float(rest @ rest) / dof / float(d @ d))
        causes = {}
        for i, name in enumerate(covariates):
            others = np.hstack([block for j, block in enumerate(blocks) if j != i + 1])
            with_treatment = np.column_stack([others, treatment])
            causes[name] = Strength(
                _explained(_residuals(others, treatment), d),
                _explained(_residuals(with_treatment, outcome), rest),
            )
        return cls(slope * contrast, se * abs(contrast), dof, causes)

    @property
    def t(self) -> float:
        return self.estimate / self.se

    def robustness(self, alpha: float = 1.0) -> float:
        return robustness_value(self.t, self.dof, alpha=alpha)

    def bias(self, hidden: Strength) -> float:
        """How far a hidden cause of that strength moves the estimate (Cinelli and Hazlett 2020, eq. 11)."""
        return math.inf if hidden.treatment >= 1 else float(self.bias_at(hidden.treatment, hidden.outcome))

    def bias_at(self, treatment: Any, outcome: Any) -> Any:
        """`bias` of many strengths at once, each share below 1."""
        return self.se * np.sqrt(self.dof * outcome * treatment / (1 - treatment))

    def benchmarks(self) -> list[Strength]:
        """Hidden causes once, twice and three times as strong as the strongest observed one, if possible."""
        if self.strongest is None:
            return []
        bounds = [times(self.causes[self.strongest], k) for k in (1.0, 2.0, 3.0)]
        return [bound for bound in bounds if bound.treatment < 1]

    def adjusted(self, hidden: Strength) -> float:
        """The estimate had that cause been observed, if it is what makes the effect look larger."""
        return math.copysign(abs(self.estimate) - self.bias(hidden), self.estimate) if self.estimate else 0.0

    @cached_property
    def strongest(self) -> str | None:
        """The observed cause whose like, hidden, would move the estimate most."""
        known = {name: self.bias(times(cause, 1.0)) for name, cause in self.causes.items()}
        return max(known, key=lambda name: known[name]) if known else None

    def needed(self) -> float:
        """How many times the strongest observed cause a hidden one must be to take the effect away.

        Infinite if no cause that is possible does.
        """
        if self.strongest is None:
            return math.inf
        cause = self.causes[self.strongest]
        low, high = 0.0, _most(cause)
        if not math.isfinite(high) or self.bias(times(cause, high)) < abs(self.estimate):
            return math.inf
        for _ in range(60):
            middle = (low + high) / 2
            enough = self.bias(times(cause, middle)) >= abs(self.estimate)
            low, high = (low, middle) if enough else (middle, high)
        return high


def times(cause: Strength, k: float) -> Strength:
    """The most that a hidden cause k times as strong as an observed one explains.

    Cinelli and Hazlett 2020, section 4.4 (eqs. 16 and 17 of the bounds with the treatment in the regression).

    >>> once = times(Strength(0.009077, 0.109), 1.0)
    >>> round(once.treatment, 4), once.outcome > 0.109
    (0.0092, True)
    """
    d, y = cause.treatment, cause.outcome
    treatment = k * d / (1 - d)
    if treatment >= 1:
        return Strength(1.0, 1.0)
    overlap = k * d**2 / ((1 - k * d) * (1 - d))
    outcome = ((math.sqrt(k) + math.sqrt(overlap)) / math.sqrt(1 - overlap)) ** 2 * y / (1 - y)
    return Strength(treatment, min(outcome, 1.0))


def _most(cause: Strength) -> float:
    """The multiple at which nothing is left of the treatment to explain."""
    return (1 - cause.treatment) / cause.treatment if cause.treatment > 0 else math.inf


def _residuals(design: np.ndarray, column: np.ndarray) -> np.ndarray:
    return column - design @ np.linalg.lstsq(design, column, rcond=None)[0]


def _explained(before: np.ndarray, after: np.ndarray) -> float:
    return float(max(0.0, 1 - (after @ after) / (before @ before)))
