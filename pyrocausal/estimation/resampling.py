"""Folds, resamples and standard errors; with clusters, whole clusters are left out, drawn and added up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from pyrocausal.errors import EstimateError
from pyrocausal.table import whole

MOST_COUNTS = 100_000_000  # numbers in the table of resamples


@dataclass(frozen=True)
class Plan:
    """How an estimate is made and how its uncertainty is told.

    Args:
        size: the number of rows.
        clusters: the number of the cluster of each row, `(rows,)`; None if rows are independent.
        folds: of cross-fitting; 1 for none.
        replicas: of the bootstrap.
        level: of the interval.
        seed: of folds and resamples.
    """

    size: int
    clusters: np.ndarray | None = None
    folds: int = 5
    replicas: int = 500
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.level, float) or not 0 < self.level < 1:
            raise EstimateError(f"level={self.level!r}", fix="pass a number between 0 and 1")
        whole(self.seed, "seed", least=0)
        if not isinstance(self.folds, int) or self.folds < 1:
            raise EstimateError(f"folds={self.folds!r}", fix="pass a whole number; 1 means no cross-fitting")
        if not isinstance(self.replicas, int) or self.replicas < 50:
            raise EstimateError(
                f"replicas={self.replicas!r}",
                why="an interval needs the tails of the bootstrap distribution",
                fix="pass 200 or more",
            )

    @cached_property
    def groups(self) -> np.ndarray:
        """What is independent: the number of each row's cluster, or of the row."""
        return np.arange(self.size) if self.clusters is None else self.clusters

    @property
    def num_groups(self) -> int:
        return int(self.groups.max()) + 1

    def fold_of(self, strata: np.ndarray | None = None) -> np.ndarray:
        """The fold of each row; those of one stratum (without clusters) are spread evenly."""
        generator = np.random.default_rng(self.seed)
        order = generator.permutation(self.num_groups)
        if strata is not None and self.clusters is None:
            order = order[np.argsort(strata[order], kind="stable")]
        fold = np.empty(self.num_groups, int)
        fold[order] = np.arange(self.num_groups) % self.folds
        return fold[self.groups]

    def training(self, fold: np.ndarray) -> np.ndarray:
        """The weights of each fold's fit, `(folds, rows)`: 1 outside of the fold."""
        if self.folds == 1:
            return np.ones((1, self.size))
        return (fold != np.arange(self.folds)[:, None]).astype(float)

    def resamples(self) -> np.ndarray:
        """How often each row is in each bootstrap sample, `(1 + replicas, rows)`; the first is the data."""
        if self.size * self.replicas > MOST_COUNTS:
            raise EstimateError(
                f"{self.replicas} resamples of {self.size:,} rows are too many to hold",
                fix=f"pass replicas={max(50, MOST_COUNTS // self.size)}, or use a method without bootstrap",
            )
        generator = np.random.default_rng(self.seed)
        n = self.num_groups
        drawn = [np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(self.replicas)]
        return np.stack([np.ones(n), *drawn])[:, self.groups]

    def standard_error(self, influence: np.ndarray) -> float:
        """Of an average of independent influences; of clusters their sums are."""
        sums = np.bincount(self.groups, influence)
        n = len(sums)
        return float(np.sqrt((sums**2).sum() * n / (n - 1)) / self.size)

    def wald(self, value: float, standard_error: float) -> tuple[float, float]:
        reach = self.quantile * standard_error
        return value - reach, value + reach

    @property
    def fitting(self) -> str:
        """In words."""
        return f"{self.folds} folds" if self.folds > 1 else "not cross-fitted"

    @property
    def quantile(self) -> float:
        """Of the normal distribution, 1.96 at level 0.95."""
        return NormalDist().inv_cdf(0.5 + self.level / 2)

    def percentile(self, draws: np.ndarray) -> tuple[float, float]:
        low, high = np.quantile(draws, [0.5 - self.level / 2, 0.5 + self.level / 2])
        return float(low), float(high)


def own(predictions: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Of predictions `(..., folds, rows)`, each row's by the fit that has not seen it."""
    if predictions.shape[-2] == 1:
        return predictions[..., 0, :]
    return predictions[..., fold, np.arange(len(fold))]
