"""Missing cells: which they are, and something to put there that can be computed with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyrocausal.variables import Variable


class Gaps(NamedTuple):
    """A column whose missing cells hold a value seen elsewhere in it, and which cells those are."""

    column: Any  # None if every cell is missing
    lacks: Tensor | None  # (units,), or (units, *event) if vectors are missing in part; None: no cell


def fill(column: Any, variable: Variable) -> Gaps:
    """Find the missing cells (NaN, None, NA) of a variable's column and fill them."""
    if variable.shape:
        return _fill_vectors(_numbers(column, variable), variable)
    if isinstance(column, Tensor):
        column = column.detach().cpu().numpy()
    series = column if isinstance(column, pd.Series) else pd.Series(np.atleast_1d(np.asarray(column)))
    lacks = series.isna().to_numpy()
    if not lacks.any():
        return Gaps(column, None)
    if lacks.all():
        return Gaps(None, torch.tensor(lacks))
    return Gaps(series.where(~lacks, series[~lacks].iloc[0]), torch.tensor(lacks))


def _numbers(column: Any, variable: Variable) -> np.ndarray:
    """A vector variable's column as `(units, *event)` numbers."""
    if isinstance(column, Tensor):
        array = column.detach().cpu().numpy()
    else:
        listed = list(column)
        blank = np.full(variable.shape, np.nan)
        array = np.array([blank if cell is None or np.ndim(cell) == 0 else cell for cell in listed], float)
        if len(listed) and np.shape(column) == variable.shape:
            array = np.asarray(column, float)
    return array[None] if array.shape == variable.shape else array


def _fill_vectors(array: np.ndarray, variable: Variable) -> Gaps:
    lacks = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    rows = lacks.reshape(len(array), -1)
    if not rows.any():
        return Gaps(array, None)
    if rows.all():
        return Gaps(None, torch.tensor(rows.all(1)))
    whole = ~rows.any(1)
    # a whole vector stands in where there is one, so that it lies in the support (a simplex, say)
    donor = array[whole][0] if whole.any() else np.nanmean(array, 0)
    filled = np.where(lacks, np.nan_to_num(donor), array)
    partly = (rows.any(1) & ~rows.all(1)).any()
    return Gaps(filled, torch.tensor(lacks if partly else rows.any(1)))
