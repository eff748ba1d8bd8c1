r"""Treatments that are amounts: a slope given the confounders, or two doses compared by regression."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from pyrocausal.errors import EstimateError
from pyrocausal.estimation.columns import numbers
from pyrocausal.estimation.learners import Learners
from pyrocausal.estimation.question import Question
from pyrocausal.estimation.resampling import Plan, own
from pyrocausal.estimation.result import Estimate
from pyrocausal.estimation.strategies import Backdoor

DETERMINED = 1e-3  # share of the treatment's variance that confounders must leave over


def partially_linear(
    strategy: Backdoor, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    r"""The slope θ of :math:`E[Y | T, X] = \theta T + g(X)`, times the step of the contrast, cross-fitted.

    Residuals of Y are regressed on those of T (Robinson 1988; Chernozhukov et al. 2018, section 4.1). The
    Wald interval is valid if the learners' errors vanish faster than :math:`n^{-1/4}`. If the effect is not
    the same for all doses and units, θ is its average, weighted by how much T varies given X.
    """
    step = dose_step(question, frame[strategy.treatment], anywhere=True)
    y, t = numbers(frame[strategy.outcome], "outcome"), numbers(frame[strategy.treatment], "treatment")
    x = frame[list(strategy.adjust)]
    fold = plan.fold_of()
    training = plan.training(fold)
    u = y - own(learners["outcome"].mean(x, y, training), fold)
    v = t - own(learners["treatment"].mean(x, t, training), fold)
    left = float((v**2).mean() / t.var())
    if left < DETERMINED:
        raise EstimateError(
            f"no overlap: what is adjusted for determines {strategy.treatment}",
            why=f"it leaves {left:.1e} of its variance",
            fix="adjust for less, or ask about another treatment",
        )
    slope = float(v @ u / (v @ v))
    influence = step * v * (u - slope * v) / (v**2).mean()
    value, error = step * slope, plan.standard_error(influence)
    a, b = question.contrast
    return Estimate(
        value=value,
        std_error=error,
        interval=plan.wald(value, error),
        level=plan.level,
        target=f"effect of {strategy.treatment}={a:g} against {b:g} on {strategy.outcome}, as a slope",
        method=f"partially linear ({learners['outcome'].name}, {learners['treatment'].name}; {plan.fitting})",
        n=plan.size,
        diagnostics={
            "share of the treatment's variance left": left,
            "R² of the outcome, without the treatment": float(1 - (u**2).mean() / y.var()),
        },
        influence=influence,
    )


def dose_regression(
    strategy: Backdoor, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """The g-formula for two doses: one outcome model with the dose among its columns.

    The bootstrap fits it anew on each resample. Its percentile interval is valid if the learner is a right
    parametric model of the outcome; "smooth" shrinks bends, which it does not account for.
    """
    dose_step(question, frame[strategy.treatment])
    y = numbers(frame[strategy.outcome], "outcome")
    x = frame[[*strategy.adjust, strategy.treatment]]
    often = plan.resamples()
    both = pd.concat([x.assign(**{strategy.treatment: float(dose)}) for dose in question.contrast])
    fitted = learners["outcome"].mean(x, y, often, at=both).reshape(len(often), 2, len(y))
    means = (often[:, None] * fitted).sum(-1) / often.sum(1, keepdims=True)
    values = means[:, 0] - means[:, 1]
    return Estimate(
        value=float(values[0]),
        std_error=float(values[1:].std(ddof=1)),
        interval=plan.percentile(values[1:]),
        level=plan.level,
        target=question.target(strategy.treatment, strategy.outcome),
        method=f"regression ({learners['outcome'].name})",
        n=plan.size,
        diagnostics={"means": dict(zip(question.contrast, means[0].tolist()))},
    )


def dose_step(question: Question, column: pd.Series, *, anywhere: bool = False) -> float:
    """The step between two doses.

    Raises:
        EstimateError: one of them is no number, or outside of the data (unless they may be anywhere); or a
            subgroup is asked about.
    """
    if question.effect != "ate" or question.trim:
        raise EstimateError(
            f"effect={question.effect!r}, trim={question.trim:g} for the amount '{column.name}'",
            why="it has no group of treated",
            fix='ask for effect="ate" without trim',
        )
    t = numbers(column, "treatment")
    for dose in question.contrast:
        number = isinstance(dose, (int, float)) and math.isfinite(dose)
        if not number or not (anywhere or t.min() <= dose <= t.max()):
            raise EstimateError(
                f"contrast={question.contrast!r}: '{column.name}' lies between {t.min():g} and {t.max():g}",
                fix=f"compare doses that occur, e.g. contrast={_quartiles(t)}",
            )
    a, b = question.contrast
    return float(a) - float(b)


def _quartiles(t: np.ndarray) -> tuple[float, float]:
    low, high = (float(f"{q:.3g}") for q in np.quantile(t, [0.25, 0.75]))
    return high, low
