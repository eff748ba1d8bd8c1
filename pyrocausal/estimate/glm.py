r"""Built-in learners: penalised least squares and logistic regression, many weighted fits at once.

The features are a linear part B (an intercept and the columns) and, of the smooth learner, a penalised part
C that holds bends (natural cubic splines) and products of two columns. A fit minimises

.. math:: \sum_i w_i \, \ell(y_i, \eta_i) + \tfrac{1}{2} \lambda \Bigl(\sum_i w_i\Bigr) \|\gamma\|^2,
          \qquad \eta = B \beta + C \gamma,

with squared or logistic loss. With a large λ it is the linear model, so nothing is lost where that is true.
λ is the one with the least leave-one-out loss. For least squares that is exact (Allen 1974); for logistic
regression it is one Newton step from the fit (Pregibon 1981; Rad and Maleki 2020).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

PENALTIES = 10.0 ** np.arange(1, -5, -1)  # of features with variance 1; the first all but switches them off
STABILISER = 1e-5  # penalty of the linear part, for collinear columns and separated classes
KNOTS = 5  # of each natural spline, from the 1st to the 99th percentile
TAIL = 0.005  # of each column's distribution at either end, in which products hold it constant
MOST_PRODUCTS = 300  # pairs of columns; with more columns than that gives, none
NEWTON_STEPS = 25
_CHUNK = 4_000_000  # numbers in an array of all fits, features and rows


class Features:
    """The features of a matrix of columns, in units of that matrix.

    Args:
        x: `(rows, columns)`.
        smooth: whether to add bends and products.
    """

    def __init__(self, x: np.ndarray, smooth: bool):
        self.centre, self.scale = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)
        z = (x - self.centre) / self.scale
        self.knots = {j: _knots(column) for j, column in enumerate(z.T)} if smooth else {}
        self.range = np.quantile(z, [TAIL, 1 - TAIL], axis=0)
        pairs = np.triu_indices(z.shape[1], 1) if smooth else (np.empty(0, int),) * 2
        self.pairs = pairs if len(pairs[0]) <= MOST_PRODUCTS else (np.empty(0, int),) * 2
        linear, bent = self._linear(z), self._bent(z)
        self.removed = np.linalg.lstsq(linear, bent, rcond=None)[0]  # so that C adds what B lacks
        spread = (bent - linear @ self.removed).std(0)
        self.kept = spread > 1e-6
        self.spread = spread[self.kept]
        self.linear_size = linear.shape[1]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """B and C side by side, `(rows, features)`."""
        z = (x - self.centre) / self.scale
        linear = self._linear(z)
        bent = self._bent(z) - linear @ self.removed
        return np.concatenate([linear, bent[:, self.kept] / self.spread], 1)

    @property
    def penalised(self) -> np.ndarray:
        """1 for features of C, 0 for those of B."""
        return np.repeat([0.0, 1.0], [self.linear_size, len(self.spread)])

    @staticmethod
    def _linear(z: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones((len(z), 1)), z], 1)

    def _bent(self, z: np.ndarray) -> np.ndarray:
        bends = [_natural_spline(z[:, j], knots) for j, knots in self.knots.items()]
        held = z.clip(*self.range)  # else one outlier would rule the product
        return np.concatenate([*bends, held[:, self.pairs[0]] * held[:, self.pairs[1]]], 1)


def _knots(column: np.ndarray) -> np.ndarray:
    """Quantiles; of a column with few values, these values."""
    levels = np.unique(column)
    if len(levels) <= KNOTS:
        return levels
    return np.unique(np.quantile(column, np.linspace(0.01, 0.99, KNOTS)))


def _natural_spline(z: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """The K - 2 bends of a natural cubic spline (Hastie, Tibshirani and Friedman 2009, equation 5.4)."""
    if len(knots) < 3:
        return np.empty((len(z), 0))
    cubes = np.maximum(z[:, None] - knots, 0) ** 3
    d = (cubes[:, :-1] - cubes[:, -1:]) / (knots[-1] - knots[:-1])
    return d[:, :-1] - d[:, -1:]


def predict(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, at: np.ndarray, *, smooth: bool, binary: bool
) -> np.ndarray:
    """Means of y at the rows of `at`, `(fits, rows)`, by one fit for each row of `weights`.

    Args:
        x: `(rows, columns)`.
        y: `(rows,)`, or `(fits, rows)` if it differs.
        weights: `(fits, rows)`, zero for rows that are left out.
        at: `(other rows, columns)`.
        binary: whether y lies in [0, 1] and its logit is what is modelled.
    """
    features = Features(x, smooth)
    design, where = features(x), features(at)
    y = np.broadcast_to(y, weights.shape)
    eta = np.concatenate(
        [
            _chosen(design, y[part], weights[part], features.penalised, binary) @ where.T
            for part in _parts(len(weights), design.size)
        ]
    )
    return _mean(eta, binary)


def _parts(fits: int, size: int) -> Iterator[slice]:
    step = max(1, _CHUNK // size)
    return (slice(i, i + step) for i in range(0, fits, step))


def _mean(eta: np.ndarray, binary: bool) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(eta, -500, 500))) if binary else eta


def _chosen(
    design: np.ndarray, y: np.ndarray, weights: np.ndarray, penalised: np.ndarray, binary: bool
) -> np.ndarray:
    """The coefficients `(fits, features)` with the least leave-one-out loss over all penalties."""
    fits, size = len(y), weights.sum(1, keepdims=True)
    beta, best = np.zeros((fits, design.shape[1])), np.zeros((fits, design.shape[1]))
    least = np.full(fits, np.inf)
    for penalty in PENALTIES if penalised.any() else PENALTIES[:1]:
        ridge = size * (penalty * penalised + STABILISER * (1 - penalised))
        ridge[:, 0] = 0.0  # the intercept's
        beta, hessian = _newton(design, y, weights, ridge, binary, beta)
        loss = _left_out_loss(design, y, weights, beta, hessian, binary)
        better = loss < least
        best[better], least[better] = beta[better], loss[better]
    return best


def _newton(
    design: np.ndarray, y: np.ndarray, weights: np.ndarray, ridge: np.ndarray, binary: bool, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The penalised fits and the Hessians there; steps that would raise the loss are halved."""
    beta = start
    value = _objective(design, y, weights, ridge, binary, beta)
    for _ in range(NEWTON_STEPS):
        mean = _mean(beta @ design.T, binary)
        curvature = weights * mean * (1 - mean) if binary else weights
        hessian = _gram(design, curvature) + ridge[:, :, None] * np.eye(design.shape[1])
        gradient = (weights * (y - mean)) @ design - ridge * beta
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        beta, value, gain = _stepped(design, y, weights, ridge, binary, beta, value, step)
        if not binary or gain < 1e-9:
            break
    return beta, hessian


def _stepped(design, y, weights, ridge, binary, beta, value, step):  # type: ignore[no-untyped-def]
    """The longest of the steps 1, 1/2, 1/4 … that lowers each objective, and the largest relative gain."""
    length = np.ones((len(beta), 1))
    for _ in range(12):
        moved = beta + length * step
        new = _objective(design, y, weights, ridge, binary, moved)
        worse = new > value * (1 + 1e-12) + 1e-12
        if not worse.any():
            break
        length[worse] /= 2
    moved[worse], new[worse] = beta[worse], value[worse]
    return moved, new, float(((value - new) / np.maximum(np.abs(value), 1e-12)).max())


def _objective(
    design: np.ndarray, y: np.ndarray, weights: np.ndarray, ridge: np.ndarray, binary: bool, beta: np.ndarray
) -> np.ndarray:
    return (weights * _loss(beta @ design.T, y, binary)).sum(1) + 0.5 * (ridge * beta**2).sum(1)


def _loss(eta: np.ndarray, y: np.ndarray, binary: bool) -> np.ndarray:
    return np.logaddexp(0, eta) - y * eta if binary else 0.5 * (y - eta) ** 2


def _gram(design: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (design.T * weights[:, None, :]) @ design


def _left_out_loss(
    design: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    beta: np.ndarray,
    hessian: np.ndarray,
    binary: bool,
) -> np.ndarray:
    """The loss at each row of the fit without that row, added up by weight.

    With :math:`q_i = x_i' H^{-1} x_i`, leaving row i out moves its η by
    :math:`w_i \\ell'_i q_i / (1 - w_i \\ell''_i q_i)`.
    """
    eta = beta @ design.T
    mean = _mean(eta, binary)
    curvature = mean * (1 - mean) if binary else 1.0
    q = ((design @ np.linalg.inv(hessian)) * design).sum(-1)
    moved = weights * (mean - y) * q / np.maximum(1 - weights * curvature * q, 1e-6)
    return (weights * _loss(eta + moved, y, binary)).sum(1)
