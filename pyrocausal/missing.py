"""Missing cells: which they are, and something to put there that can be computed with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyrocausal.errors import DataError
from pyrocausal.variables import Variable


class Gaps(NamedTuple):
    """A column whose missing cells hold a value seen elsewhere in it, and which cells those are."""

    column: Any  # None if every cell is missing
    lacks: Tensor | None  # (units,), or (units, *event) if vectors are missing in part; None: no cell


def fill(column: Any, variable: Variable, *, where: str) -> Gaps:
    """Find the missing cells (NaN, None, NA, masked) of a variable's column and fill them."""
    if isinstance(column, np.ma.MaskedArray):
        column = np.ma.filled(column.astype(float), np.nan)
    elif isinstance(column, Tensor):
        column = column.detach().cpu().numpy()
    if variable.shape:
        return _fill_vectors(_numbers(column, variable, where))
    series = column if isinstance(column, pd.Series) else pd.Series(np.atleast_1d(np.asarray(column)))
    lacks = np.array(series.isna())
    if not lacks.any():
        return Gaps(column, None)
    if lacks.all():
        return Gaps(None, torch.as_tensor(lacks))
    return Gaps(series.where(~lacks, series[~lacks].iloc[0]), torch.as_tensor(lacks))


def _numbers(column: Any, variable: Variable, where: str) -> np.ndarray:
    """A vector variable's column as `(units, *event)` numbers; a cell may be missing whole."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf" and column.shape[1:] == variable.shape:
        return column
    alone = None if isinstance(column, pd.Series) else _vector(column)
    if alone is not None and alone.shape == variable.shape:  # one unit's, without an axis of units
        return alone[None]
    blank = np.full(variable.shape, np.nan)
    cells = []
    for row, cell in enumerate(_vector(x) for x in column):
        if cell is not None and cell.shape == () and np.isnan(cell):
            cell = blank
        if cell is None or cell.shape != variable.shape:
            raise DataError(
                f"{where}: row {row} of '{variable.name}' is no vector of shape {variable.shape}",
                why="one unit's value has that shape",
                fix="put the units on the first axis; of a vector that is missing the cell may be None",
            )
        cells.append(cell)
    return np.stack(cells) if cells else np.empty((0, *variable.shape))


def _vector(cell: Any) -> np.ndarray | None:
    """Numbers, NaN where one is missing; None if it can't be read as such."""
    array = np.asarray(cell, dtype=object)
    try:
        return np.array([np.nan if pd.isna(x) else float(x) for x in array.flat]).reshape(array.shape)
    except (TypeError, ValueError):
        return None


def _fill_vectors(array: np.ndarray) -> Gaps:
    lacks = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    rows = lacks.reshape(len(array), -1)
    if not rows.any():
        return Gaps(array, None)
    if rows.all():
        return Gaps(None, torch.as_tensor(rows.all(1)))
    filled = np.where(lacks, _donor(array, lacks), array)
    partly = (rows.any(1) & ~rows.all(1)).any()
    return Gaps(filled, torch.as_tensor(lacks if partly else rows.any(1)))


def _donor(array: np.ndarray, lacks: np.ndarray) -> np.ndarray:
    """A vector to fill gaps with, of values that were seen, so that it lies in the support."""
    whole = ~lacks.reshape(len(lacks), -1).any(1)
    if whole.any():  # a simplex or one-hot vector has to be one vector
        return array[whole][0]
    first = np.take_along_axis(array, (~lacks).argmax(0)[None], 0)[0]
    return np.where(np.isnan(first), array[~lacks][0], first)
