"""Overlap (positivity): did some of all kinds of units that are asked about have each treatment?"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pyrocausal.errors import EstimateError
from pyrocausal.estimation.columns import MOST_LEVELS

logger = logging.getLogger("pyrocausal")

TOO_MANY = 0.1  # share of the target population without support: no number is given
SOME = 0.01  # from this share on it is warned of
HEAVY, TOO_HEAVY = 0.1, 0.5  # share of all weight on one row: warned of, and refused


REMEDY = 'ask for effect="att" or "atc", adjust for less, or pass trim=0.05, which changes the question'


def rare(n: int, share: float) -> float:
    """Below this a propensity counts as no support.

    5 / (√n ln n), which Gruber et al. (2022, "Data-adaptive selection of the propensity score truncation
    level") found to balance bias and variance, or a tenth of the treatment's share if that is less.
    """
    return min(5 / (math.sqrt(n) * math.log(n)), share / 10)


def check_strata(
    x: pd.DataFrame, arms: Mapping[Any, np.ndarray], population: np.ndarray, treatment: str
) -> None:
    """Levels of confounders at which nobody has a treatment, though ten would be expected to.

    Args:
        arms: by level of the treatment, 1 for those who have it.
        population: 1 for rows that are asked about, else 0.

    Raises:
        EstimateError: naming the first.
    """
    for name in x.columns:
        if x[name].nunique() > MOST_LEVELS:
            continue
        for level, rows in x.groupby(name, observed=True).indices.items():
            for arm, has in arms.items():
                if not has[rows].any() and has.mean() * len(rows) >= 10 and population[rows].mean() > 0.01:
                    raise EstimateError(
                        f"no overlap: of {len(rows)} rows with {name}={level!r} none has {treatment}={arm!r}",
                        why="the data do not show what happens to them then",
                        fix="leave these rows out, and so out of the question",
                    )


def concentrated(weights: np.ndarray, where: str) -> list[str]:
    """A warning if one row has much of all weight.

    Raises:
        EstimateError: it has most of it.
    """
    top = float(weights.max() / weights.sum())
    if top > TOO_HEAVY:
        raise EstimateError(
            f"no overlap: one row would have {top:.0%} of the weight at {where}",
            why="what it had was all but impossible for it",
            fix=REMEDY,
        )
    return [f"one row has {top:.0%} of the weight at {where}"] if top > HEAVY else []


def check(
    propensities: Mapping[Any, np.ndarray],
    weights: Mapping[Any, np.ndarray],
    population: np.ndarray,
    shares: Mapping[Any, float],
    treatment: str,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What to report of the overlap, and warnings.

    Args:
        propensities: of each level that is compared, `(rows,)`.
        weights: of the rows, by which the mean at each level is taken; zero in other arms.
        population: 1 for rows that are asked about, else 0.
        shares: of the levels in the data.

    Raises:
        EstimateError: a notable part of those asked about could hardly have had one of the levels.
    """
    warnings = []
    for level, p in propensities.items():
        limit = rare(len(p), shares[level])
        lost = float(population[p < limit].sum() / population.sum())
        if lost > TOO_MANY:
            raise EstimateError(
                f"no overlap: {lost:.0%} of those asked about could hardly have had {treatment}={level!r}",
                why=f"their propensity of it is below {limit:.2g}, so the data do not show what happens then",
                fix=REMEDY,
            )
        if lost > SOME:
            warnings.append(
                f"poor overlap: for {lost:.1%} the propensity of {treatment}={level!r} is below {limit:.2g}"
            )
        warnings += concentrated(weights[level], f"{treatment}={level!r}")
    for warning in warnings:
        logger.warning("estimate: %s", warning)
    asked = population > 0
    ranges = {level: (float(p[asked].min()), float(p[asked].max())) for level, p in propensities.items()}
    sizes = {level: float(w.sum() ** 2 / (w**2).sum()) for level, w in weights.items()}
    return {"propensity": ranges, "effective sample size": sizes}, tuple(warnings)
