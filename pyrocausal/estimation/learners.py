"""Learners of the two nuisances, means and probabilities, under one protocol: many weighted fits, one call.

A row of weights is a fit. Cross-fitting sets the weights of one fold to zero, the bootstrap counts how often
a row was drawn, and an arm has the weights of its units; so every estimator is written once for all learners.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd

from pyrocausal.errors import EstimateError, MissingExtra
from pyrocausal.estimation import glm
from pyrocausal.estimation.columns import matrix


class Learner(Protocol):
    """What an estimator asks of a learner."""

    name: str

    def mean(
        self, x: pd.DataFrame, y: np.ndarray, weights: np.ndarray, at: pd.DataFrame | None = None
    ) -> np.ndarray:
        """E[y | x] at the rows of `at` (default x), `(fits, rows)`: a fit for each row of `weights`.

        y is `(rows,)`, or `(fits, rows)` where it differs between fits.
        """

    def probabilities(self, x: pd.DataFrame, codes: np.ndarray, size: int, weights: np.ndarray) -> np.ndarray:
        """P(code = k | x), `(size, fits, rows)`, of codes 0 … size - 1."""


class Glm:
    """Least squares, or logistic regression of what is 0 or 1 (see `pyrocausal.estimation.glm`).

    Args:
        smooth: bend with the data ("smooth"), or stay linear in the columns ("linear").
    """

    def __init__(self, smooth: bool):
        self.smooth, self.name = smooth, "smooth" if smooth else "linear"

    def mean(
        self, x: pd.DataFrame, y: np.ndarray, weights: np.ndarray, at: pd.DataFrame | None = None
    ) -> np.ndarray:
        rows = matrix(x)
        there = rows if at is None else matrix(x, at)
        binary = is_binary(y)
        return glm.predict(rows, y, weights, there, smooth=self.smooth, binary=binary)

    def probabilities(self, x: pd.DataFrame, codes: np.ndarray, size: int, weights: np.ndarray) -> np.ndarray:
        """Each level against all others; of more than two, brought to sum to 1."""
        if size == 2:
            second = self.mean(x, (codes == 1).astype(float), weights)
            return np.stack([1 - second, second])
        each = np.stack([self.mean(x, (codes == k).astype(float), weights) for k in range(size)])
        return each / each.sum(0)


class Sklearn:
    """Any estimator of scikit-learn: a regressor, or a classifier with ``predict_proba``.

    It is cloned for each fit, and sees a row as often as its weight says.
    """

    def __init__(self, estimator: Any):
        self.estimator, self.name = estimator, type(estimator).__name__

    def mean(
        self, x: pd.DataFrame, y: np.ndarray, weights: np.ndarray, at: pd.DataFrame | None = None
    ) -> np.ndarray:
        rows, there = matrix(x), matrix(x, at)
        y = np.broadcast_to(y, weights.shape)
        classify = is_binary(y) and hasattr(self.estimator, "predict_proba")
        if hasattr(self.estimator, "predict_proba") and not classify:
            raise EstimateError(
                f"{self.name} is a classifier, and what is learned is a number",
                fix="pass a regressor as the outcome's learner",
            )
        if not rows.shape[1]:  # nothing to learn from: the mean
            return np.repeat(((weights * y).sum(1) / weights.sum(1))[:, None], len(there), 1)
        found = []
        for target, often in zip(y, weights):
            drawn = np.repeat(np.arange(len(rows)), often.astype(int))
            fitted = self._clone().fit(rows[drawn], target[drawn])
            found.append(_of_one(fitted, there) if classify else fitted.predict(there))
        return np.stack(found)

    def probabilities(self, x: pd.DataFrame, codes: np.ndarray, size: int, weights: np.ndarray) -> np.ndarray:
        if not hasattr(self.estimator, "predict_proba"):
            raise EstimateError(
                f"{self.name} has no predict_proba",
                why="the treatment's learner gives probabilities",
                fix="pass a classifier, e.g. LogisticRegression()",
            )
        rows = matrix(x)
        if not rows.shape[1]:  # nothing to learn from: the shares
            shares = np.stack([(weights * (codes == k)).sum(1) / weights.sum(1) for k in range(size)])
            return np.repeat(shares[..., None], len(x), -1)
        found = np.zeros((size, *weights.shape))
        for i, often in enumerate(weights):
            drawn = np.repeat(np.arange(len(rows)), often.astype(int))
            fitted = self._clone().fit(rows[drawn], codes[drawn])
            found[fitted.classes_, i] = fitted.predict_proba(rows).T
        return found

    def _clone(self) -> Any:
        try:
            from sklearn.base import clone
        except ImportError:
            raise MissingExtra("scikit-learn", "models") from None
        return clone(self.estimator)


def is_binary(y: np.ndarray) -> bool:
    return bool(((y == 0) | (y == 1)).all())


def learner(given: Any) -> Learner:
    """A learner by name, or of a scikit-learn estimator.

    Raises:
        EstimateError: it is neither.
    """
    if isinstance(given, str) and given in ("smooth", "linear"):
        return Glm(given == "smooth")
    if isinstance(given, str) and given == "mechanism":
        from pyrocausal.estimation.mechanism_learner import MechanismLearner  # needed only by those who ask

        return MechanismLearner()
    if hasattr(given, "fit") and hasattr(given, "get_params"):
        return Sklearn(given)
    if hasattr(given, "mean") and hasattr(given, "probabilities"):
        return given
    raise EstimateError(
        f"learners: {given!r} is no learner",
        fix='pass "smooth", "linear" or "mechanism", or an estimator of scikit-learn',
    )


ROLES = ("outcome", "treatment")
Learners = dict[str, Learner]


def by_role(given: Any) -> Learners:
    """The learner of each nuisance; those that are not named are "smooth"."""
    if isinstance(given, dict):
        for role in [role for role in given if role not in ROLES]:
            raise EstimateError(f"learners has {role!r}", fix='its keys are "outcome" and "treatment"')
    else:
        given = dict.fromkeys(ROLES, given)
    return {role: learner(given.get(role, "smooth")) for role in ROLES}


def _of_one(classifier: Any, there: np.ndarray) -> np.ndarray:
    """The probability of 1; a classifier that saw one class has a single column."""
    shown = classifier.predict_proba(there)
    classes = list(classifier.classes_)
    return shown[:, classes.index(1)] if 1 in classes else np.zeros(len(there))
