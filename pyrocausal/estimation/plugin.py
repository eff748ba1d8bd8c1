"""Any formula, evaluated on the shares of discrete variables in the data."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd

from pyrocausal.errors import EstimateError
from pyrocausal.estimation.columns import contrast_levels
from pyrocausal.estimation.learners import Learners
from pyrocausal.estimation.question import Question
from pyrocausal.estimation.resampling import Plan
from pyrocausal.estimation.result import Estimate
from pyrocausal.estimation.strategies import PlugIn
from pyrocausal.identification.expression import OBSERVED
from pyrocausal.identification.tables import SAMPLES, Known, Table

logger = logging.getLogger("pyrocausal")

MOST_LEVELS = 50  # distinct values of a variable in the formula, other than the outcome
_CELLS = 5_000_000  # of the tables of resamples that are made at once
UNDEFINED = 0.05  # share of resamples in which the formula may be undefined


def plug_in(
    strategy: PlugIn, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """The formula on the empirical distribution, with a bootstrap percentile interval.

    It is valid if all combinations of levels that the formula conditions on are frequent; a formula that
    conditions on one that never occurs is an error.
    """
    names = [name for group in strategy.roles.values() for name in group]
    for name in names:
        if name != strategy.outcome and frame[name].nunique() > MOST_LEVELS:
            raise EstimateError(
                f"'{name}' has {frame[name].nunique()} values, and a formula needs shares of levels",
                fix=f"cut it into bins: pd.cut(df['{name}'], 5), or use an estimator that learns",
            )
    joint = frame.groupby(names, observed=True).size()
    table = Table.from_pandas(joint)
    codes = [table.levels[name] for name in names]
    places = [
        np.select([frame[n] == v for v in levels], range(len(levels))) for n, levels in zip(names, codes)
    ]
    cells = np.ravel_multi_index(places, table.cells.shape)
    contrast = contrast_levels(frame[strategy.treatment], question.contrast) if strategy.treatment else None
    draws = np.concatenate([_values(strategy, part, contrast) for part in _tables(table, cells, plan)])
    if np.isnan(draws[0]):
        raise EstimateError(
            "no overlap: the formula conditions on a combination of levels that never occurs",
            why=f"it is {strategy.expression}",
            fix="merge levels, or ask for values that occur together",
        )
    lost = float(np.isnan(draws[1:]).mean())
    warnings = []
    if lost > UNDEFINED:
        warnings.append(f"poor overlap: the formula is undefined in {lost:.0%} of the resamples")
        logger.warning("estimate: %s", warnings[0])
    defined = draws[1:][~np.isnan(draws[1:])]
    return Estimate(
        value=float(draws[0]),
        std_error=float(defined.std(ddof=1)),
        interval=plan.percentile(defined),
        level=plan.level,
        target=_target(strategy, contrast),
        method=f"plug-in of {strategy.expression}",
        n=plan.size,
        diagnostics={
            "combinations of levels": int((joint > 0).sum()),
            "rows of the rarest": int(joint.min()),
        },
        warnings=tuple(warnings),
    )


def _tables(table: Table, cells: np.ndarray, plan: Plan) -> Iterator[Table]:
    """Shares of the data and of all resamples, as many in one table as it can hold."""
    size = table.cells.size
    often = plan.resamples()
    step = max(1, _CELLS // size)
    for part in (often[i : i + step] for i in range(0, len(often), step)):
        shares = np.stack([np.bincount(cells, one, size) / one.sum() for one in part])
        levels = {**table.levels, SAMPLES: tuple(range(len(part)))}
        yield Table((SAMPLES, *table.axes), levels, shares.reshape(len(part), *table.cells.shape))


def _values(strategy: PlugIn, table: Table, contrast: tuple | None) -> np.ndarray:
    """Of each sample, the outcome's mean or its difference between two treatments; NaN if undefined."""
    found = strategy.expression.table(Known({OBSERVED: table}))
    for name, value in strategy.values:
        found = found.at(name, value)
    if contrast is None:
        return _mean(found, strategy)
    first, second = (_mean(found.at(strategy.treatment, level), strategy) for level in contrast)
    return first - second


def _mean(found: Table, strategy: PlugIn) -> np.ndarray:
    free = [axis for axis in found.axes if axis != SAMPLES]
    if not free:
        return found.cells
    if free != [strategy.outcome]:
        others = [axis for axis in free if axis != strategy.outcome]
        raise EstimateError(
            f"the formula has free symbols besides the outcome: {', '.join(others)}",
            fix=f'give them values: PlugIn(..., values=(("{others[0]}", 1),)), or name the treatment',
        )
    try:
        levels = np.array(found.levels[strategy.outcome], float)
    except ValueError:
        raise EstimateError(
            f"the outcome '{strategy.outcome}' has names for values, and a mean is taken of numbers",
            fix=f"code it as 0 and 1: df['{strategy.outcome}'] == {found.levels[strategy.outcome][0]!r}",
        ) from None
    return np.moveaxis(found.cells, found.axes.index(SAMPLES), 0) @ levels


def _target(strategy: PlugIn, contrast: tuple | None) -> str:
    if contrast is None:
        return f"mean of {strategy.outcome}"
    t, (a, b) = strategy.treatment, contrast
    return f"average effect of {t}={a!r} against {t}={b!r} on {strategy.outcome}"
