"""Tables of probabilities with named axes: what expressions are evaluated on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from pyrocausal.errors import IdentifyError, did_you_mean

LARGEST = 20_000_000  # cells of a table
#: An axis of this name is of several distributions, side by side: no marginal sums over it.
SAMPLES = "<samples>"


@dataclass(frozen=True)
class Table:
    """Numbers for all combinations of levels.

    A cell is NaN where it is a probability given an event that has none; what is multiplied by zero is zero,
    whatever it is.

    Args:
        axes: their names.
        levels: of every axis.
        cells: an array with an axis for each.
    """

    axes: tuple[str, ...]
    levels: Mapping[str, tuple[Any, ...]]
    cells: np.ndarray

    @classmethod
    def one(cls) -> Table:
        return cls((), {}, np.ones(()))

    @classmethod
    def product(cls, tables: Iterable[Table]) -> Table:
        """All of them, multiplied."""
        return reduce(cls.times, tables, cls.one())

    @classmethod
    def from_pandas(cls, pmf: pd.Series) -> Table:
        """Cells that the Series does not list are zero."""
        if not isinstance(pmf, pd.Series):
            raise IdentifyError(
                f"{type(pmf).__name__} is no table of probabilities",
                fix='pass a pandas Series indexed by variables, e.g. df.groupby(["x", "y"]).size() / len(df)',
            )
        names = list(pmf.index.names)
        if not isinstance(pmf, pd.Series) or any(not isinstance(name, str) for name in names):
            raise IdentifyError(
                "a table of probabilities is a Series indexed by variables",
                why=f"the names of its index are {names}",
                fix='e.g. df.groupby(["x", "y"]).size() / len(df)',
            )
        if pmf.index.has_duplicates or pmf.isna().any() or (pmf < 0).any():
            raise IdentifyError(
                "the table has repeated rows, gaps or negative numbers",
                fix="give each combination of levels one probability",
            )
        columns = [pmf.index.get_level_values(i) for i in range(len(names))]
        codes, levels = zip(*(pd.factorize(column, sort=True) for column in columns))
        shape = [len(level) for level in levels]
        if np.prod(shape, dtype=float) > LARGEST:
            raise IdentifyError(
                f"the table has {np.prod(shape, dtype=float):.0g} cells",
                why=f"all combinations of levels are kept, {LARGEST:,} at most",
                fix="leave out variables that the estimand does not need",
            )
        cells = np.zeros(shape)
        cells[tuple(codes)] = pmf.to_numpy(float)
        return cls(tuple(names), {n: tuple(level) for n, level in zip(names, levels)}, cells)

    def to_pandas(self) -> Any:
        """A Series over the axes; a number where there is none."""
        if np.isnan(self.cells).any():
            raise IdentifyError(
                "the value hangs on a conditional probability given an event that has probability zero",
                why="no data can tell what happens where nothing was ever seen (no overlap)",
                fix="ask for values that occur together, or merge levels",
            )
        if not self.axes:
            return float(self.cells)
        if len(self.axes) == 1:
            (axis,) = self.axes
            return pd.Series(self.cells, pd.Index(self.levels[axis], name=axis))
        index = pd.MultiIndex.from_product([self.levels[axis] for axis in self.axes], names=self.axes)
        return pd.Series(self.cells.ravel(), index)

    def marginal(self, names: Iterable[str]) -> Table:
        """Summed over all other axes (but that of `SAMPLES`)."""
        kept = {*names, SAMPLES}
        for name in kept - {*self.axes, SAMPLES}:
            raise IdentifyError(
                f"the table has no variable {name!r}",
                why=f"its variables are {', '.join(self.axes)}",
                fix=did_you_mean(name, self.axes) or "add it",
            )
        return self.summed([axis for axis in self.axes if axis not in kept])

    def summed(self, names: Iterable[str]) -> Table:
        gone = [self.axes.index(name) for name in names]
        axes = tuple(axis for i, axis in enumerate(self.axes) if i not in gone)
        return Table(axes, {a: self.levels[a] for a in axes}, self.cells.sum(tuple(gone)))

    def averaged(self, names: Iterable[str]) -> Table:
        """The mean over axes, of the cells that are defined."""
        gone = tuple(self.axes.index(name) for name in names)
        defined = ~np.isnan(self.cells)
        count = defined.sum(gone)
        with np.errstate(invalid="ignore"):
            cells = np.where(defined, self.cells, 0.0).sum(gone) / np.where(count == 0, np.nan, count)
        axes = tuple(axis for i, axis in enumerate(self.axes) if i not in gone)
        return Table(axes, {a: self.levels[a] for a in axes}, cells)

    def at(self, name: str, level: Any) -> Table:
        """The part at one level of an axis."""
        if name not in self.axes:
            raise IdentifyError(
                f"'{name}' is not free in the formula", why=f"free are {', '.join(self.axes) or 'none'}"
            )
        if level not in self.levels[name]:
            raise IdentifyError(
                f"'{name}' has no level {level!r} in the table",
                why=f"its levels are {', '.join(map(repr, self.levels[name]))}",
                fix="use one of these",
            )
        where = self.axes.index(name)
        axes = self.axes[:where] + self.axes[where + 1 :]
        cells = self.cells.take(self.levels[name].index(level), where)
        return Table(axes, {a: self.levels[a] for a in axes}, cells)

    def renamed(self, names: Mapping[str, str]) -> Table:
        axes = tuple(names.get(axis, axis) for axis in self.axes)
        return Table(axes, {names.get(a, a): level for a, level in self.levels.items()}, self.cells)

    def times(self, other: Table) -> Table:
        a, b, axes, levels = self._aligned(other)
        with np.errstate(invalid="ignore"):
            cells = np.where((a == 0) | (b == 0), 0.0, a * b)
        return Table(axes, levels, cells)

    def divided(self, other: Table, what: str) -> Table:
        a, b, axes, levels = self._aligned(other)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Table(axes, levels, np.where(b == 0, np.nan, a / b))

    def _aligned(self, other: Table) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], dict[str, tuple]]:
        """Both arrays on the axes of either."""
        levels = {**other.levels, **self.levels}
        for name in set(self.axes) & set(other.axes):
            if self.levels[name] != other.levels[name]:
                raise IdentifyError(
                    f"two tables have different levels of '{name}'", fix="give them the same levels"
                )
        axes = self.axes + tuple(axis for axis in other.axes if axis not in self.axes)
        order = [other.axes.index(axis) for axis in axes if axis in other.axes]
        shape = [len(levels[axis]) if axis in other.axes else 1 for axis in axes]
        a = self.cells.reshape(self.cells.shape + (1,) * (len(axes) - len(self.axes)))
        return a, other.cells.transpose(order).reshape(shape), axes, levels


class Known:
    """The distributions that are known, as tables by regime."""

    def __init__(self, tables: Mapping[Any, Table]):
        self.tables = tables

    def of(self, regime: Any) -> Table:
        if regime not in self.tables:
            raise IdentifyError(
                f"the estimand needs the distribution {regime}, and no table of it was given",
                fix="pass a mapping of Regime to Series",
            )
        return self.tables[regime]


def as_known(pmf: Any, observed: Any) -> Known:
    given = dict(pmf) if isinstance(pmf, Mapping) else {observed: pmf}
    return Known({regime: Table.from_pandas(series) for regime, series in given.items()})
