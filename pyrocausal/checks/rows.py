"""The rows that are checked: a subsample as tensors, and each variable as features that a test can take."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from scipy import stats

from pyrocausal import rows
from pyrocausal.checks.dependence import bent
from pyrocausal.table import take_rows

COORDINATES = 20  # of a vector that are looked at one by one


class Rows(rows.Rows):
    """The user's rows, as tests take them."""

    def some(self, most: int, seed: int) -> Rows:
        """At most so many of them, in random order."""
        chosen = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:most]
        values = {name: x[chosen] for name, x in self.values.items()}
        return Rows(self.scm, take_rows(self.data, chosen), values)

    @cached_property
    def trained_on(self) -> bool | None:
        """Whether the SCM was fitted to these very rows, as the means and deviations of numbers tell.

        None if there is no number that was fitted.
        """
        told = [(v.column, self.values[n]) for n, v in self.scm.variables.items() if n in self.values]
        told = [(column, x.double()) for column, x in told if column.mean is not None]
        return (
            None
            if not told
            else all(
                abs(x.mean().item() - c.mean) + abs(x.std(correction=0).item() - c.sd)
                < 1e-5 * (c.sd + abs(c.mean))
                for c, x in told
            )
        )

    def features(self, name: str) -> np.ndarray:
        """Columns `(n, k)` that stand for a variable: normal scores of ranks, or an indicator a level."""
        variable, x = self.scm.variables[name], self.values[name].double().cpu().numpy()
        if variable.shape:
            return np.column_stack([normal_scores(column) for column in coordinates(x).T])
        if variable.cardinality:
            return np.eye(variable.cardinality)[x.astype(int)][:, 1:]
        return normal_scores(x)[:, None]

    def bent(self, name: str) -> np.ndarray:
        """`features` in which a symmetric dependence shows as a correlation: with squares of scores."""
        variable, plain = self.scm.variables[name], self.features(name)
        return plain if variable.cardinality or variable.shape else bent(plain)

    def numbers(self, name: str) -> np.ndarray:
        """Columns for a linear regression: the values, or an indicator a level."""
        variable, x = self.scm.variables[name], self.values[name].double().cpu().numpy()
        if variable.cardinality and not variable.shape:
            return np.eye(variable.cardinality)[x.astype(int)][:, 1:]
        return x.reshape(len(x), -1)


def coordinates(x: np.ndarray) -> np.ndarray:
    """At most `COORDINATES` numbers of each row, evenly spaced in it."""
    flat = x.reshape(len(x), -1)
    return flat[:, np.unique(np.linspace(0, flat.shape[1] - 1, COORDINATES).round().astype(int))]


def normal_scores(x: np.ndarray) -> np.ndarray:
    """Normal quantiles of the ranks, ties sharing one: no value is far out, whatever the law."""
    return stats.norm.ppf((stats.rankdata(x) - 0.5) / len(x))
