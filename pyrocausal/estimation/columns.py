"""The door: columns of a DataFrame, checked and turned into numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pyrocausal.errors import DataError, EstimateError, UnknownVariable, did_you_mean
from pyrocausal.estimation.strategies import Strategy

LARGEST = 1e100  # numbers beyond it, or below its inverse, are refused
MOST_LEVELS = 10  # distinct numbers that a treatment may have and still be taken for levels


def read(data: Any, strategy: Strategy, clusters: str | None = None) -> pd.DataFrame:
    """The columns that the strategy needs, with rows numbered from 0.

    Raises:
        DataError: no DataFrame, too few rows, a column that is missing, there twice, constant, or has gaps.
    """
    if not isinstance(data, pd.DataFrame):
        raise DataError(f"estimate: {type(data).__name__} is no table", fix="pass a pandas DataFrame")
    names = [name for group in strategy.roles.values() for name in group]
    if clusters is not None and clusters not in names:
        names.append(clusters)
    for name in names:
        _check_column(data, name, may_be_constant=strategy.roles.get("formula", ()))
    return data[names].reset_index(drop=True)


def _check_column(data: pd.DataFrame, name: str, may_be_constant: tuple[str, ...]) -> None:
    if name not in data.columns:
        raise UnknownVariable(
            f"estimate: there is no column '{name}'",
            why=f"the columns are {', '.join(map(str, data.columns[:12]))}",
            fix=did_you_mean(name, map(str, data.columns)) or "use one of these",
        )
    column = data[name]
    if isinstance(column, pd.DataFrame):
        raise DataError(f"estimate: the column '{name}' is there twice", fix="drop or rename one")
    gaps = column.isna()
    if pd.api.types.is_numeric_dtype(column.dtype):
        gaps |= np.isinf(column.astype(float))
    if gaps.any():
        raise DataError(
            f"estimate: '{name}' is missing or infinite in {gaps.sum()} of {len(data)} rows, first in row "
            f"{data.index[gaps.argmax()]!r}",
            why="dropping rows in silence would change the population",
            fix="impute them, or drop them yourself: df.dropna()",
        )
    if pd.api.types.is_complex_dtype(column.dtype):
        raise DataError(f"estimate: '{name}' is complex", fix="pass real numbers")
    _check_scale(column, name)
    if not len(data):
        raise DataError("estimate: the data has no rows", fix="pass at least a hundred or so")
    if column.nunique() < 2 and name not in may_be_constant:
        raise DataError(
            f"estimate: '{name}' is {column.iloc[:1].tolist()[0]!r} in all {len(data)} rows",
            why="nothing can be learned of what does not vary",
            fix="leave it out, or pass rows where it varies",
        )


def _check_scale(column: pd.Series, name: str) -> None:
    """Squares of numbers are summed: they must fit."""
    if not pd.api.types.is_numeric_dtype(column.dtype) or not len(column):
        return
    largest = float(column.abs().max())
    if largest > LARGEST or 0 < largest < 1 / LARGEST:
        raise DataError(
            f"estimate: '{name}' has numbers like {largest:.3g}",
            why="their squares can't be computed with",
            fix="change the unit",
        )


def numbers(column: pd.Series, role: str) -> np.ndarray:
    """A column of numbers or booleans."""
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise DataError(
            f"estimate: the {role} '{column.name}' has type {column.dtype}, and means are taken of numbers",
            fix=f"code it, e.g. df['{column.name}'] == {column.iloc[:1].tolist()[0]!r}",
        )
    return column.to_numpy(float)


def matrix(frame: pd.DataFrame, at: pd.DataFrame | None = None) -> np.ndarray:
    """Numbers for all columns: names and categories become indicators of all levels but the first.

    Args:
        at: other rows, to be coded by the levels of `frame`; default the same.
    """
    at = frame if at is None else at
    parts = [_coded(frame[name], at[name]) for name in frame.columns]
    return np.concatenate(parts, 1) if parts else np.empty((len(at), 0))


def _coded(column: pd.Series, at: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return at.to_numpy(float)[:, None]
    levels = levels_of(column)
    if len(levels) > max(20, len(column) // 5):
        raise DataError(
            f"estimate: the column '{column.name}' has {len(levels)} levels in {len(column)} rows",
            why="nearly every row would have a level of its own",
            fix="convert numbers written as text by pd.to_numeric, drop identifiers, or merge levels",
        )
    values = at.to_numpy(object)
    return np.stack([values == level for level in levels[1:]], 1).astype(float)


def levels_of(column: pd.Series) -> list[Any]:
    """The levels that occur: categories in their order, else sorted."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [level for level in column.cat.categories if (column == level).any()]
    if not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype)):
        kinds = sorted({type(value).__name__ for value in column})
        raise DataError(
            f"estimate: the column '{column.name}' has type {column.dtype} ({' and '.join(kinds)})",
            fix="convert it to numbers or names",
        )
    return sorted(column.unique().tolist())


def is_discrete(column: pd.Series) -> bool:
    """Whether a treatment has levels: names, booleans, or at most ten distinct numbers."""
    return not pd.api.types.is_numeric_dtype(column.dtype) or column.nunique() <= MOST_LEVELS


def contrast_levels(column: pd.Series, contrast: tuple[Any, Any]) -> tuple[Any, Any]:
    """The two levels of a treatment that are compared.

    Raises:
        EstimateError: one of them is none of its levels.
    """
    levels = levels_of(column)
    for value in contrast:
        if value not in levels:
            shown = ", ".join(map(repr, levels[:12]))
            raise EstimateError(
                f"contrast={contrast!r}: '{column.name}' is never {value!r}",
                why=f"its levels are {shown}",
                fix=f"name two of these, e.g. contrast=({levels[1]!r}, {levels[0]!r})",
            )
    return contrast
