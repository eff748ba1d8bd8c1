r"""Instruments: two-stage least squares, the strength of the first stage, and the Anderson-Rubin interval.

All that is adjusted for enters linearly and is projected out first, so that with instruments Z the rest of
outcome and treatment are :math:`Y = \beta T + \varepsilon` and :math:`T = Z \pi + v`.
"""

from __future__ import annotations

import logging
import math

import numpy as np
import pandas as pd
from scipy import stats

from pyrocausal.errors import EstimateError
from pyrocausal.estimation.columns import matrix, numbers
from pyrocausal.estimation.learners import Learners, is_binary
from pyrocausal.estimation.question import Question
from pyrocausal.estimation.resampling import Plan
from pyrocausal.estimation.result import Estimate
from pyrocausal.estimation.strategies import Instrument

logger = logging.getLogger("pyrocausal")

WEAK = 10.0  # first-stage F below which Wald intervals of 2SLS are not to be trusted (Staiger and Stock 1997)
Intervals = tuple[tuple[float, float], ...]


def instrument(
    strategy: Instrument, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """Two-stage least squares with heteroskedasticity-robust standard errors (HC1).

    With one instrument the interval is the robust Anderson-Rubin interval (1949), valid however weak the
    instrument is, and then perhaps without an end. With several it is the Wald interval, which asks for
    strong ones; the Anderson-Rubin interval among the diagnostics does not, but assumes equal variances and
    independent rows.
    """
    y, t, z, columns = _residuals(strategy, frame)
    fitted = z @ np.linalg.lstsq(z, t, rcond=None)[0]
    slope = float(fitted @ y / (fitted @ fitted))
    influence = fitted * (y - slope * t) / (fitted @ fitted / len(y))
    spare = math.sqrt((len(y) - 1) / (len(y) - columns - 1))  # HC1, in place of n / (n - 1)
    error = plan.standard_error(influence) * spare
    f = first_stage_f(z, t, plan)
    step = question.step(frame[strategy.treatment])
    if z.shape[1] == 1:
        ranges = _scaled(_anderson_rubin_robust(z[:, 0], y, t, plan), step)
        interval = ranges[0][0], ranges[-1][1]
    else:
        ranges = _scaled(_anderson_rubin(z, y, t, plan, columns), step)
        interval = plan.wald(step * slope, abs(step) * error)
    warnings = [f"weak instrument: the first-stage F is {f:.3g}"] if f < WEAK else []
    if len(ranges) != 1 or not all(map(math.isfinite, ranges[0])):
        warnings.append("the Anderson-Rubin interval is no bounded interval: the data hardly tell the effect")
    for warning in warnings:
        logger.warning("estimate: %s", warning)
    wald = plan.wald(step * slope, abs(step) * error)
    return Estimate(
        value=step * slope,
        std_error=abs(step) * error,
        interval=interval,
        level=plan.level,
        target=_target(strategy, frame, question),
        method="two-stage least squares" + (", Anderson-Rubin interval" if z.shape[1] == 1 else ""),
        n=len(y),
        diagnostics={
            "first-stage F": f,
            "Anderson-Rubin": " or ".join(f"{a:.4g} to {b:.4g}" for a, b in ranges) or "empty",
            "Wald": wald,
        },
        warnings=tuple(warnings),
        influence=step * influence,
    )


def _target(strategy: Instrument, frame: pd.DataFrame, question: Question) -> str:
    a, b = question.contrast
    text = f"effect of {strategy.treatment}={a!r} against {strategy.treatment}={b!r} on {strategy.outcome}"
    binary = [is_binary(frame[n].to_numpy()) for n in (strategy.treatment, *strategy.instruments)]
    if all(binary) and len(binary) == 2 and not strategy.adjust:
        return f"average {text} among compliers ({strategy.treatment} follows {strategy.instruments[0]})"
    return f"linear {text}, of those whom {' and '.join(strategy.instruments)} moves"


def _residuals(strategy: Instrument, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Outcome, treatment and instruments less their projection on what is adjusted for, and its size."""
    w = np.column_stack([np.ones(len(frame)), matrix(frame[list(strategy.adjust)])])
    y, t = numbers(frame[strategy.outcome], "outcome"), numbers(frame[strategy.treatment], "treatment")
    raw = np.column_stack([y, t, matrix(frame[list(strategy.instruments)])])
    rest = raw - w @ np.linalg.lstsq(w, raw, rcond=None)[0]
    z = rest[:, 2:]
    if np.linalg.matrix_rank(z / raw[:, 2:].std(0), tol=1e-6 * math.sqrt(len(z))) < z.shape[1]:
        raise EstimateError(
            f"the instruments {', '.join(strategy.instruments)} are collinear, with each other or what is "
            "adjusted for",
            fix="leave one out",
        )
    if len(frame) <= w.shape[1] + z.shape[1] + 1:
        raise EstimateError(f"{len(frame)} rows are too few for {w.shape[1] + z.shape[1]} columns")
    return rest[:, 0], rest[:, 1], z, w.shape[1]


def first_stage_f(z: np.ndarray, t: np.ndarray, plan: Plan) -> float:
    """The robust F of the instruments: the Wald statistic of π = 0, divided by their number."""
    bread = np.linalg.inv(z.T @ z)
    pi = bread @ z.T @ t
    scores = _sums(z * (t - z @ pi)[:, None], plan)
    return float(pi @ np.linalg.solve(bread @ scores.T @ scores @ bread, pi) / len(pi))


def _sums(scores: np.ndarray, plan: Plan) -> np.ndarray:
    """Scores `(rows, columns)` added up in clusters."""
    return np.stack([np.bincount(plan.groups, column) for column in scores.T], 1)


def _anderson_rubin_robust(z: np.ndarray, y: np.ndarray, t: np.ndarray, plan: Plan) -> Intervals:
    """All β at which a robust test does not tell that z is unrelated to Y - β T."""
    pairs = np.stack([y, t], 1)
    rest = pairs - z[:, None] * (z @ pairs / (z @ z))
    scores = _sums(z[:, None] * rest, plan)
    moments = z @ pairs
    return _where_negative(np.outer(moments, moments) - plan.quantile**2 * scores.T @ scores)


def _anderson_rubin(z: np.ndarray, y: np.ndarray, t: np.ndarray, plan: Plan, columns: int) -> Intervals:
    """The same by a test that takes the variances to be equal, for any number of instruments."""
    pairs = np.stack([y, t], 1)
    fitted = z @ np.linalg.lstsq(z, pairs, rcond=None)[0]
    rest = pairs - fitted
    limit = stats.chi2.ppf(plan.level, z.shape[1]) / (len(y) - columns - z.shape[1])
    return _where_negative(fitted.T @ fitted - limit * rest.T @ rest)


def _where_negative(q: np.ndarray) -> Intervals:
    """The β with :math:`q_{11} - 2 β q_{12} + β^2 q_{22} \\le 0`: nothing, an interval, two rays, or all."""
    inside = q[0, 1] ** 2 - q[0, 0] * q[1, 1]
    if inside < 0:
        return () if q[1, 1] > 0 else ((-math.inf, math.inf),)
    low, high = sorted(float((q[0, 1] + sign * math.sqrt(inside)) / q[1, 1]) for sign in (-1, 1))
    return ((low, high),) if q[1, 1] > 0 else ((-math.inf, low), (high, math.inf))


def _scaled(ranges: Intervals, step: float) -> Intervals:
    return tuple(sorted((min(step * a, step * b), max(step * a, step * b)) for a, b in ranges))
