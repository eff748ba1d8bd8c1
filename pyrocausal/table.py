"""The data contract: column = variable, row = unit. A DataFrame, a mapping or one row in; tensors out."""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from pyrocausal.errors import DataError, UnknownVariable, did_you_mean
from pyrocausal.missing import fill
from pyrocausal.samples import Samples
from pyrocausal.variables import Variable, check_names, table_column

logger = logging.getLogger("pyrocausal")
_listed: set[tuple[str, ...]] = set()


@dataclass(frozen=True)
class Table:
    """Values `(units, *event)` by variable, in the program's order, and the units' labels.

    Where cells may be missing, `missing` has, for each variable that lacks some, which: `(units,)`, or
    `(units, *event)` if vectors are missing in part. What `values` holds there only fills the place; a
    variable without a single value is in `missing` alone.
    """

    values: dict[str, Tensor]
    index: pd.Index | None
    missing: dict[str, Tensor]

    def repeated(self, copies: int) -> Table:
        """Every unit `copies` times, the whole table after itself."""

        if copies == 1:
            return self

        def often(x: Tensor) -> Tensor:
            return x.repeat(copies, *[1] * (x.dim() - 1))

        values = {name: often(x) for name, x in self.values.items()}
        return Table(values, self.index, {name: often(gaps) for name, gaps in self.missing.items()})


class Checked(dict[str, Tensor]):
    """Values that `read` has seen before: rows of a table, in training."""

    def __missing__(self, name: str) -> Tensor:
        raise UnknownVariable(
            f"the batch has no column {name!r}",
            why=f"it has {', '.join(self)}",
            fix=did_you_mean(str(name), self) or "use one of these",
        )


def read(
    data: Any,
    variables: Mapping[str, Variable],
    *,
    where: str,
    need: Iterable[str] = (),
    missing: str = "error",
) -> Table:
    """The variables' values in `data`.

    Args:
        data: a DataFrame (columns that the program does not know are ignored and listed once), a Series (one
            unit), or a mapping of variable to tensor, array or, for one unit, a single value (an unknown name
            is an error).
        need: variables that must be there.
        missing: "error", or "abduct" where cells may be missing (NaN, None, NA).
    """
    if isinstance(data, Checked):
        return Table({name: data[name] for name in variables if name in data}, None, {})
    if missing not in ("error", "abduct"):
        raise DataError(
            f"missing={missing!r}", fix='pass missing="abduct" to infer NaN cells, or leave it out'
        )
    if isinstance(data, pd.DataFrame) and data.columns.has_duplicates:
        twice = data.columns[data.columns.duplicated()][0]
        raise DataError(f"{where}: the column '{twice}' is there twice", fix="drop or rename one")
    if isinstance(data, pd.Series):
        data = data.to_frame().T.infer_objects()
    if not isinstance(data, (pd.DataFrame, Mapping)):
        raise DataError(
            f"{where}: {type(data).__name__} is no table",
            fix="pass a pandas DataFrame or a mapping of variable to array",
        )
    found = {name: table_column(data, name, v.shape) for name, v in variables.items()}
    if missing == "abduct":  # one unit's cell may be None
        found |= {name: [None] for name, column in found.items() if column is None and name in data}
    _check_presence(data, found, variables, where, tuple(need))
    gaps: dict[str, Tensor] = {}
    if missing == "abduct":
        for name, column in found.items():
            if column is not None and not variables[name].optional:
                found[name], lacks = fill(column, variables[name], where=where)
                gaps |= {} if lacks is None else {name: lacks}
    values = {n: _encode(variables[n], column, where) for n, column in found.items() if column is not None}
    if not values:
        raise DataError(
            f"{where}: {'every cell is missing' if gaps else 'no variable of the program is in the data'}",
            fix="give one value at least" if gaps else "name columns as the sites are",
        )
    _check_lengths({**gaps, **values}, where)  # a column that is missing wholly has a length too
    return Table(values, index_of(data), gaps)


def whole(value: Any, name: str, *, least: int) -> int:
    """A whole number (numpy's too) of at least `least`, or an error that names the argument."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise DataError(f"{name}={value!r} is no whole number from {least}", fix="pass one")
    return number


def _check_presence(
    data: Any, found: Mapping[str, Any], variables: Mapping[str, Variable], where: str, need: tuple[str, ...]
) -> None:
    columns = [str(c) for c in data]
    for name in need:
        if found[name] is None:
            unused = [c for c in columns if c not in variables]
            raise DataError(
                f"{where}: there is no column '{name}'",
                why=f"the columns are {', '.join(columns[:12])}{' …' if len(columns) > 12 else ''}, "
                "and a missing column never turns a variable latent",
                fix=did_you_mean(name, unused)
                or f'add the column, or declare it: SCM(program, latent=["{name}"])',
            )
    spread = {f"{n}[{i}]" for n, v in variables.items() for i in range(int(np.prod(v.shape)))}
    extra = tuple(c for c in columns if c not in variables and c not in spread)
    if extra and isinstance(data, (pd.DataFrame, Samples)):
        if extra not in _listed:
            _listed.add(extra)
            logger.info("Columns that the program does not use are ignored: %s", ", ".join(extra))
    elif extra:
        check_names(extra, variables, where=where)


def _encode(variable: Variable, column: Any, where: str) -> Tensor:
    listed = isinstance(column, pd.Series)  # a row a unit, whatever a cell holds
    if isinstance(column, (int, float, bool, str)) or (not listed and np.shape(column) == variable.shape):
        column = column[None] if isinstance(column, Tensor) else [column]
    return variable.encode(column, where=where)


def _check_lengths(values: Mapping[str, Tensor], where: str) -> None:
    sizes = {name: len(x) for name, x in values.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"'{name}' has {size}" for name, size in sizes.items())
        raise DataError(
            f"{where}: the columns differ in length ({listed})", fix="give every variable the same units"
        )
    if not next(iter(sizes.values())):
        raise DataError(f"{where}: the data has no rows", fix="pass at least one unit")


def index_of(data: Any) -> pd.Index | None:
    """The units' labels, if the data has any."""
    if isinstance(data, pd.DataFrame):
        return data.index
    return data.index if isinstance(data, Samples) else None


def take_rows(data: Any, rows: Tensor) -> Any:
    """These rows of a DataFrame, or of every column of a mapping."""
    if isinstance(data, pd.DataFrame):
        return data.iloc[rows.numpy()]
    return {
        name: column[rows] if isinstance(column, Tensor) else np.asarray(column)[rows.numpy()]
        for name, column in data.items()
    }
