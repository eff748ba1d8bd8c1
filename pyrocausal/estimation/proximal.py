r"""Two proxies Z and W of a hidden confounder U: effects by how they go together (proximal estimation).

With :math:`Z \perp Y \mid U, T` and :math:`W \perp (T, Z) \mid U`, a bridge h with
:math:`E[Y - h(W, t) \mid Z, T = t] = 0` gives :math:`E[Y \mid do(t)] = E[h(W, t)]` (M. Kuroki, J. Pearl:
Measurement bias and effect restoration in causal inference, Biometrika 2014; W. Miao, Z. Geng, E. Tchetgen
Tchetgen: Identifying causal effects with proxy variables of an unmeasured confounder, Biometrika 2018).
Z must tell of W beyond what the treatment does: this shows in the data, and is among the diagnostics.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pandas as pd

from pyrocausal.errors import EstimateError
from pyrocausal.estimation.columns import contrast_levels, is_discrete, levels_of, matrix, numbers
from pyrocausal.estimation.instrument import WEAK, first_stage_f
from pyrocausal.estimation.learners import Learners
from pyrocausal.estimation.question import Question
from pyrocausal.estimation.resampling import Plan
from pyrocausal.estimation.result import Estimate
from pyrocausal.estimation.strategies import Proxies

logger = logging.getLogger("pyrocausal")

MOST_LEVELS = 10  # of a proxy
_SURE = 3.0  # standard deviations of the bootstrap that the least singular value should be away from 0


def proximal(
    strategy: Proxies, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """`matrix_bridge` if all has levels and nothing is adjusted for, else `linear_bridge`."""
    names = strategy.treatment, *strategy.proxies
    discrete = all(is_discrete(frame[name]) for name in names) and not strategy.adjust
    return (matrix_bridge if discrete else linear_bridge)(strategy, frame, question, learners, plan)


def linear_bridge(
    strategy: Proxies, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    r"""The bridge :math:`h = \beta_0 + \beta T + \gamma W`, by two-stage least squares with Z in W's place.

    Right if the outcome's mean is linear in U and T, and the proxies' means in U: then :math:`\beta` is
    Kuroki and Pearl's ratio of covariances. The errors are robust (HC1); with Z hardly related to W they,
    and the normal interval, are not to be trusted.
    """
    y, t = numbers(frame[strategy.outcome], "outcome"), numbers(frame[strategy.treatment], "treatment")
    z, w = (numbers(frame[name], "proxy") for name in strategy.proxies)
    others = np.column_stack([np.ones(len(y)), t, matrix(frame[list(strategy.adjust)])])
    if len(y) <= others.shape[1] + 2:
        raise EstimateError(f"{len(y)} rows are too few for {others.shape[1] + 1} columns")
    seen, instead = np.column_stack([others, w]), np.column_stack([others, z])
    rest = np.column_stack([z, w])
    rest = rest - others @ np.linalg.lstsq(others, rest, rcond=None)[0]
    for name, left, whole in zip(strategy.proxies, rest.T, (z, w), strict=True):
        if left.std() < 1e-6 * whole.std():
            raise EstimateError(
                f"the proxy '{name}' is a linear function of the treatment and what is adjusted for",
                why="nothing of it is left to tell of the confounder",
                fix="pass another proxy",
            )
    f = first_stage_f(rest[:, :1], rest[:, 1], plan)
    solve = np.linalg.pinv(instead.T @ seen)
    slopes = solve @ (instead.T @ y)
    influence = len(y) * (instead @ solve.T)[:, 1] * (y - seen @ slopes)
    spare = math.sqrt((len(y) - 1) / (len(y) - seen.shape[1]))  # HC1, in place of n / (n - 1)
    step = question.step(frame[strategy.treatment])
    value, error = step * float(slopes[1]), abs(step) * plan.standard_error(influence) * spare
    weak = [] if f >= WEAK else [f"weak proxies: the F of {strategy.proxies[0]} on the other is {f:.3g}"]
    return Estimate(
        value=value,
        std_error=error,
        interval=plan.wald(value, error),
        level=plan.level,
        target=question.target(strategy.treatment, strategy.outcome),
        method=f"linear bridge of {strategy.proxies[1]}, {strategy.proxies[0]} in its place",
        n=len(y),
        diagnostics={f"F of {strategy.proxies[0]} on {strategy.proxies[1]}": f},
        warnings=_warned(weak),
        influence=step * influence,
    )


def matrix_bridge(
    strategy: Proxies, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """E[Y | do(t)] = E[Y | t, Z] P(W | Z, t)^-1 P(W), of the shares in the data, bootstrapped.

    For proxies with levels, with no other assumption on the laws. Z needs as many levels as W; with more the
    equations are solved by least squares. It asks that no level of Z is rare beside a value of the treatment.
    """
    levels = _levels(strategy, frame)
    counts = plan.resamples()
    worlds = [
        _under(level, strategy, frame, levels, counts)
        for level in contrast_levels(frame[strategy.treatment], question.contrast)
    ]
    draws = worlds[0][0] - worlds[1][0]
    singular = np.minimum(worlds[0][1], worlds[1][1])
    defined = draws[1:][np.isfinite(draws[1:])]
    (first, second), warnings = strategy.proxies, []
    if singular[0] < _SURE * np.nanstd(singular[1:]):
        warnings.append(f"weak proxies: {second} hardly depends on {first}, given {strategy.treatment}")
    if len(defined) < plan.replicas:
        lost = 1 - len(defined) / plan.replicas
        warnings.append(f"poor overlap: {lost:.0%} of the resamples lack a level of {first}")
    return Estimate(
        value=float(draws[0]),
        std_error=float(defined.std(ddof=1)),
        interval=plan.percentile(defined),
        level=plan.level,
        target=question.target(strategy.treatment, strategy.outcome),
        method=f"bridge by the matrix P({second} | {first}, {strategy.treatment})",
        n=plan.size,
        diagnostics={"least singular value of the matrix": float(singular[0])},
        warnings=_warned(warnings),
    )


def _levels(strategy: Proxies, frame: pd.DataFrame) -> tuple[list[Any], list[Any]]:
    """The proxies' levels, checked."""
    first, second = strategy.proxies
    levels = levels_of(frame[first]), levels_of(frame[second])
    if strategy.adjust:
        raise EstimateError(
            "the matrix of the proxies' levels has no room for what is adjusted for",
            fix='choose method="linear-bridge", or work within a level of it',
        )
    if max(map(len, levels)) > MOST_LEVELS:
        name = strategy.proxies[int(len(levels[1]) > MOST_LEVELS)]
        raise EstimateError(
            f"the proxy '{name}' has more than {MOST_LEVELS} levels",
            fix=f"cut it into bins: pd.cut(df['{name}'], 3)",
        )
    if len(levels[0]) < len(levels[1]):
        raise EstimateError(
            f"'{first}' has {len(levels[0])} levels, and '{second}' has {len(levels[1])}",
            why="there would be fewer equations than unknowns",
            fix=f"merge levels of '{second}', or swap the two",
        )
    return levels


def _under(
    level: Any,
    strategy: Proxies,
    frame: pd.DataFrame,
    levels: tuple[list[Any], list[Any]],
    counts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """E[Y | do(t = level)] and the matrix's least singular value, `(fits,)`; NaN where a level is missing.

    Args:
        counts: how often each row is in each fit, `(fits, rows)`.
    """
    y, treatment = numbers(frame[strategy.outcome], "outcome"), frame[strategy.treatment].to_numpy(object)
    z, w = (
        np.stack([frame[name].to_numpy(object) == value for value in values], 1).astype(float)
        for name, values in zip(strategy.proxies, levels, strict=True)
    )
    z_here = z * (treatment == level)[:, None]
    sizes = counts @ z_here  # (fits, levels of Z)
    if not sizes[0].all():
        raise EstimateError(
            f"no overlap: '{strategy.proxies[0]}' is never {levels[0][int(sizes[0].argmin())]!r} where "
            f"'{strategy.treatment}' is {level!r}",
            fix="merge levels",
        )
    whole = sizes.all(1)
    sizes[~whole] = np.nan
    matrix = (counts @ (z_here[:, :, None] * w[:, None]).reshape(len(y), -1)).reshape(*sizes.shape, -1)
    matrix, means = matrix[whole] / sizes[whole, :, None], (counts @ (z_here * y[:, None]))[whole]
    bridge = np.linalg.pinv(matrix) @ (means / sizes[whole])[..., None]
    shares = counts @ w / counts.sum(1, keepdims=True)
    value, singular = np.full((2, len(counts)), np.nan)
    value[whole] = (bridge[..., 0] * shares[whole]).sum(1)
    singular[whole] = np.linalg.svd(matrix, compute_uv=False)[:, -1]
    return value, singular


def _warned(warnings: list[str]) -> tuple[str, ...]:
    for warning in warnings:
        logger.warning("estimate: %s", warning)
    return tuple(warnings)
