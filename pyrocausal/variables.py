"""What is known of each variable of a program, and the contract between its values and a user's columns.

A `Variable` is structure: it comes from the program. A `Column` is what the data looked like: level names,
dtype, scale; it is learned when the SCM is fitted and travels with it, so that answers come back as the data
came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.errors import DataError, UnknownVariable, did_you_mean
from pyrocausal.exogenous import Law


@dataclass(frozen=True)
class Column:
    """How a variable was written in the user's data."""

    levels: tuple[Any, ...] | None = None  # the names behind the codes 0, 1, 2 …
    dtype: str | None = None  # pandas dtype of the column
    ordered: bool = False  # whether the levels are (a pandas Categorical's `ordered`)
    mean: float | None = None  # of the training data, for continuous variables
    sd: float | None = None


@dataclass(frozen=True)
class Variable:
    """One site of the program, for one unit."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    law: Law  # of its exogenous noise
    draws: tuple[int, ...] | None  # shape of the uniforms that abduction needs; None: exact inverse
    support: constraints.Constraint | None  # None: depends on the parents
    discrete: bool
    computed: bool  # a deterministic function of its parents, without noise of its own
    optional: bool = False  # occurs only in some branches of the program
    column: Column = Column()

    @property
    def cardinality(self) -> int | None:
        """The number of levels of a categorical or binary variable, else None."""
        if isinstance(self.support, constraints._Boolean):
            return 2
        if isinstance(self.support, constraints.integer_interval):
            low, high = torch.as_tensor(self.support.lower_bound), torch.as_tensor(self.support.upper_bound)
            if low.numel() == high.numel() == 1 and int(low) == 0:
                return int(high) + 1
        return None

    @property
    def kind(self) -> str:
        """In a word, for reading and drawing (continuous, binary, categorical, count or vector)."""
        if self.shape:
            return "vector"
        if not self.discrete:
            return "continuous"
        return {None: "count", 2: "binary"}.get(self.cardinality, "categorical")

    def with_column(self, column: Column) -> Variable:
        return replace(self, column=column)

    # ---- user's values -> tensor

    def encode(self, values: Any, *, where: str, missing_ok: bool = False) -> Tensor:
        """A column, array or tensor as a tensor `(n, *shape)` of the program's dtype; else an error."""
        array = self._codes(values, where)
        tensor = array if isinstance(array, Tensor) else torch.tensor(array)
        if tensor.is_complex():
            raise DataError(f"{where}: '{self.name}' is complex", fix="pass real numbers")
        if tensor.shape[1:] != self.shape:
            raise DataError(
                f"{where}: '{self.name}' has shape {tuple(tensor.shape)}",
                why=f"one unit's value has shape {self.shape}, "
                f"so (units, {', '.join(map(str, self.shape))}) is due",
                fix="put the units on the first axis",
            )
        self.check(tensor, where=where, missing_ok=missing_ok)
        held = tensor.to(self.dtype)
        self._check_precision(tensor, held, where)
        return held

    def _check_precision(self, given: Tensor, held: Tensor, where: str) -> None:
        """Rounding to the program's dtype must be small beside the variable's spread."""
        if self.discrete or not given.numel():
            return
        lost = (given.double() - held.double()).abs().nan_to_num(nan=0.0).max().item()
        spread = self.column.sd or (given.double().std().item() if len(given) > 9 else 0.0)
        if spread <= 1e-14 * given.double().abs().nan_to_num(0.0).amax():  # the rounding of a constant
            return
        if lost == float("inf") or lost > 1e-3 * spread > 0:
            raise DataError(
                f"{where}: '{self.name}' can't be held in {str(self.dtype).removeprefix('torch.')}",
                why=f"rounding moves a value by {lost:.3g}, beside a standard deviation of {spread:.3g}",
                fix="subtract an offset or change the unit, or torch.set_default_dtype(torch.float64)",
            )

    def _codes(self, values: Any, where: str) -> Any:
        if isinstance(values, Tensor):
            return values.detach()
        array = _plain(values)
        if (
            array.dtype == object
            and array.size
            and isinstance(array.flat[0], (np.ndarray, Tensor, list, tuple))
        ):
            array = np.stack([np.asarray(v) for v in array])
        if self.column.levels is not None:
            return self._level_codes(array, where)
        if array.dtype == bool:
            return array.astype(np.int64)
        if array.dtype.kind in "OUS":
            return self._numbers(array, where)
        if array.dtype.kind not in "iufc":
            raise DataError(
                f"{where}: '{self.name}' has type {array.dtype}",
                fix="convert it to numbers, or to level names",
            )
        if array.dtype.kind == "c":
            return array
        # torch takes only native, writable, forward arrays
        return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)

    def _numbers(self, array: np.ndarray, where: str) -> np.ndarray:
        for row, value in enumerate(array.reshape(len(array), -1)[:, 0] if array.ndim else [array.item()]):
            if not isinstance(value, (int, float, np.number, bool)) and value is not None:
                levels = (
                    "it was not text when the SCM was fitted" if self.column.dtype else "it has no levels yet"
                )
                raise DataError(
                    f"{where}: '{self.name}' holds {value!r} (row {row})",
                    why=f"the variable is {self.kind} and {levels}",
                    fix="pass numbers, or fit the SCM to data with level names first",
                )
        return np.array(array, dtype=float)

    def _level_codes(self, array: np.ndarray, where: str) -> np.ndarray:
        levels = self.column.levels
        assert levels is not None
        flat = pd.Series(array.reshape(-1))
        codes = pd.Categorical(flat, categories=list(levels)).codes.astype(float)
        missing = flat.isna().to_numpy()
        unknown = (codes < 0) & ~missing
        if unknown.any():
            row = int(unknown.argmax())
            raise DataError(
                f"{where}: {flat[row]!r} is no level of '{self.name}' (row {row})",
                why=f"its levels are {', '.join(map(repr, levels))}",
                fix=did_you_mean(str(flat[row]), [str(level) for level in levels])
                or "use one of these, or fit again with reset=True on data that holds the new level",
            )
        return np.where(missing, np.nan, codes).reshape(array.shape)

    def check(self, tensor: Tensor, *, where: str, missing_ok: bool = False) -> None:
        """An error that names the rows if values are missing, infinite or outside the support."""
        if not tensor.numel():
            return
        bad = (
            torch.isnan(tensor) if tensor.is_floating_point() else torch.zeros_like(tensor, dtype=torch.bool)
        )
        if bad.any() and not (missing_ok or self.optional):
            raise DataError(
                f"{where}: '{self.name}' is missing (NaN) in {row_names(bad)}",
                why="an unobserved cell would have to be inferred, which must be asked for",
                fix='drop these rows, or pass missing="abduct" to have such cells inferred'
                if where == "evidence"
                else "drop or impute these rows",
            )
        infinite = torch.isinf(tensor) if tensor.is_floating_point() else bad
        if (infinite & ~bad).any():
            raise DataError(
                f"{where}: '{self.name}' is infinite in {row_names(infinite)}", fix="drop or cap these rows"
            )
        self._check_support(tensor, bad, where)

    def _check_support(self, tensor: Tensor, skip: Tensor, where: str) -> None:
        if self.support is None:
            return
        value = tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())
        # A one-hot vector or simplex is checked as a whole; everything else number by number.
        ok = self.support.check(value)
        row_bad = ~ok.reshape(len(tensor), -1).all(-1) & ~skip.reshape(len(tensor), -1).any(-1)
        if row_bad.any():
            first = int(row_bad.nonzero()[0])
            raise DataError(
                f"{where}: '{self.name}' is {_show(tensor[first])} in {row_names(row_bad)}",
                why=f"that is outside its support, {describe(self)}",
                fix="correct these values, or give the variable another distribution",
            )

    # ---- tensor -> user's values

    def decode(self, tensor: Tensor) -> np.ndarray:
        """Values `(n,)` of a scalar variable with level names and dtype as they came."""
        array = tensor.detach().cpu().numpy()
        if self.column.levels is not None:
            levels = np.array(self.column.levels, dtype=object)
            out = np.full(array.shape, None, dtype=object)
            seen = ~np.isnan(array.astype(float))
            out[seen] = levels[array[seen].astype(int)]
            return out
        return array


def _plain(values: Any) -> np.ndarray:
    """A numpy array; what pandas or a mask marks as missing is NaN."""
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(float), np.nan)
    dtype = getattr(values, "dtype", None)
    numeric = pd.api.types.is_numeric_dtype(dtype) if dtype is not None else False
    if numeric and pd.api.types.is_extension_array_dtype(dtype):  # Int64, boolean, Float64 …
        return values.to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(values)


def column_of(variable: Variable, values: Any) -> Column:
    """Learn how a variable is written from its training column: levels, dtype, mean and sd."""
    if isinstance(values, Tensor):
        return _measured(Column(), variable, values)
    dtype = str(getattr(values, "dtype", np.asarray(values).dtype))
    levels = variable.column.levels or _level_names(variable, values)
    column = Column(
        levels=levels,
        dtype=dtype,
        ordered=bool(getattr(values.dtype, "ordered", False)) if dtype == "category" else False,
    )
    return column if levels is not None else _measured(column, variable, values)


def _level_names(variable: Variable, values: Any) -> tuple[Any, ...] | None:
    categories = getattr(getattr(values, "dtype", None), "categories", None)
    if categories is not None:
        levels = tuple(categories.tolist())
    else:
        array = np.asarray(values)
        if array.dtype.kind not in "OUS" or array.ndim != 1:
            return None
        present = [v for v in array if not _is_missing(v)]
        if all(isinstance(v, (int, float, bool, np.number)) for v in present):
            return None
        levels = tuple(sorted({v.item() if isinstance(v, np.generic) else v for v in present}, key=str))
    if not variable.discrete:
        raise DataError(
            f"column '{variable.name}' holds names ({', '.join(map(repr, levels[:3]))} …)",
            why="the program gives the variable a continuous distribution",
            fix="pass numbers, or use a discrete mechanism such as m.Categorical",
        )
    known = variable.cardinality
    if known is not None and len(levels) > known:
        raise DataError(
            f"column '{variable.name}' has {len(levels)} levels: {', '.join(map(repr, levels))}",
            why=f"the program's distribution has {known}",
            fix=f"use m.Categorical({len(levels)}), or merge levels",
        )
    return levels


def _measured(column: Column, variable: Variable, values: Any) -> Column:
    if variable.discrete or variable.shape:
        return column
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=float)
    return replace(column, mean=float(np.nanmean(array)), sd=float(np.nanstd(array)))


def table_column(data: Any, name: str, shape: Sequence[int]) -> Any | None:
    """The column of a variable in a DataFrame or mapping; a vector may be spread as `name[0]`, `name[1]` …"""
    if name in data:
        return data[name]
    size = int(np.prod(shape)) if shape else 0
    spread = [f"{name}[{i}]" for i in range(size)]
    if spread and all(s in data for s in spread):
        return np.stack([np.asarray(data[s], dtype=float) for s in spread], -1).reshape(-1, *shape)
    return None


def describe(variable: Variable) -> str:
    """The support in words."""
    support, levels = variable.support, variable.column.levels
    if levels is not None:
        return "{" + ", ".join(map(repr, levels)) + "}"
    if isinstance(support, constraints._Boolean):
        return "{0, 1}"
    if variable.cardinality is not None:
        return f"{{0, …, {variable.cardinality - 1}}}"
    if isinstance(support, constraints.interval):
        return (
            f"[{_show(torch.as_tensor(support.lower_bound))}, {_show(torch.as_tensor(support.upper_bound))}]"
        )
    return {
        constraints.nonnegative_integer: "{0, 1, 2, …}",
        constraints.positive: "the positive numbers",
        constraints.nonnegative: "the non-negative numbers",
        constraints.unit_interval: "[0, 1]",
    }.get(support, str(support))  # type: ignore[arg-type]


def check_names(names: Iterable[str], known: Mapping[str, Any] | Iterable[str], *, where: str) -> None:
    """Every name must be a variable; the error names the nearest one."""
    known = list(known)
    for name in names:
        if name not in known:
            raise UnknownVariable(
                f"{where}: there is no variable {name!r}",
                why=f"the program's variables are {', '.join(known)}",
                fix=did_you_mean(str(name), known) or "correct the name",
            )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value) or str(value) in ("<NA>", "NaT")


def row_names(bad: Tensor) -> str:
    rows = bad.reshape(len(bad), -1).any(-1).nonzero().flatten().tolist()
    shown = ", ".join(map(str, rows[:5]))
    return f"row{'s' if len(rows) > 1 else ''} {shown}" + (f" … ({len(rows)} rows)" if len(rows) > 5 else "")


def _show(value: Tensor) -> str:
    return f"{value.item():g}" if value.numel() == 1 else f"a tensor of shape {tuple(value.shape)}"
