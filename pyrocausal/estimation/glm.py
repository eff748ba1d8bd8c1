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

from dataclasses import dataclass

import numpy as np

PENALTIES = 10.0 ** np.arange(1, -5, -1)  # of features with variance 1; the first all but switches them off
STABILISER = 1e-5  # penalty of the linear part, for collinear columns and separated classes
INTERCEPT = 1e-8  # penalty of the intercept of a logistic regression
KNOTS = 5  # of each natural spline, from the 1st to the 99th percentile
TAIL = 0.005  # of each column's distribution at either end, in which products hold it constant
MOST_PRODUCTS = 300  # pairs of columns; with more columns than that gives, none
NEWTON_STEPS, HALVINGS = 25, 12
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
    step = max(1, _CHUNK // design.size)
    parts = [slice(i, i + step) for i in range(0, len(weights), step)]
    eta = [Fits(design, y[part], weights[part], binary).best(features.penalised) @ where.T for part in parts]
    return _mean(np.concatenate(eta), binary)


def _mean(eta: np.ndarray, binary: bool) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(eta, -500, 500))) if binary else eta


@dataclass(frozen=True)
class Fits:
    """Weighted fits of one design, side by side.

    Args:
        design: the features, `(rows, features)`.
        y, weights: `(fits, rows)`.
        binary: whether the loss is the logistic one, else the squared one.
    """

    design: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    binary: bool

    def best(self, penalised: np.ndarray) -> np.ndarray:
        """The coefficients `(fits, features)`, each with the penalty of the least leave-one-out loss.

        Args:
            penalised: 1 for features whose penalty is chosen, else 0.
        """
        size = self.weights.sum(1, keepdims=True)
        beta = np.zeros((len(self.y), self.design.shape[1]))
        best, least = beta.copy(), np.full(len(beta), np.inf)
        for penalty in PENALTIES if penalised.any() else PENALTIES[:1]:
            ridge = size * (penalty * penalised + STABILISER * (1 - penalised))
            # The intercept's: none, but where one class alone would send it to infinity.
            ridge[:, 0] = INTERCEPT * size[:, 0] if self.binary else 0.0
            beta, hessian = self.newton(ridge, beta)
            loss = self.left_out_loss(beta, hessian)
            better = loss < least
            best[better], least[better] = beta[better], loss[better]
        return best

    def newton(self, ridge: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The penalised fits and the Hessians at the last step but one, by Newton's method."""
        beta, value = start, self.objective(start, ridge)
        for _ in range(NEWTON_STEPS):
            mean = _mean(beta @ self.design.T, self.binary)
            curvature = self.weights * mean * (1 - mean) if self.binary else self.weights
            hessian = (self.design.T * curvature[:, None]) @ self.design
            hessian += ridge[:, :, None] * np.eye(self.design.shape[1])
            gradient = (self.weights * (self.y - mean)) @ self.design - ridge * beta
            step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
            before = value
            beta, value = self._stepped(beta, value, step, ridge)
            gain = (before - value) / np.maximum(np.abs(before), 1e-12)
            if not self.binary or gain.max() < 1e-9:
                break
        return beta, hessian

    def _stepped(
        self, beta: np.ndarray, value: np.ndarray, step: np.ndarray, ridge: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each fit after the longest of the steps 1, 1/2, 1/4 … that lowers its objective, and that."""
        length = np.ones((len(beta), 1))
        for _ in range(HALVINGS):
            moved = beta + length * step
            new = self.objective(moved, ridge)
            worse = new > value * (1 + 1e-12) + 1e-12
            if not worse.any():
                return moved, new
            length[worse] /= 2
        moved[worse], new[worse] = beta[worse], value[worse]
        return moved, new

    def objective(self, beta: np.ndarray, ridge: np.ndarray) -> np.ndarray:
        """`(fits,)`."""
        return (self.weights * self.loss(beta @ self.design.T)).sum(1) + 0.5 * (ridge * beta**2).sum(1)

    def loss(self, eta: np.ndarray) -> np.ndarray:
        """`(fits, rows)`."""
        return np.logaddexp(0, eta) - self.y * eta if self.binary else 0.5 * (self.y - eta) ** 2

    def left_out_loss(self, beta: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        r"""The loss at each row of the fit without that row, added up by weight, `(fits,)`.

        With :math:`q_i = x_i' H^{-1} x_i`, leaving row i out moves its η by
        :math:`w_i \ell'_i q_i / (1 - w_i \ell''_i q_i)`.
        """
        eta = beta @ self.design.T
        mean = _mean(eta, self.binary)
        curvature = mean * (1 - mean) if self.binary else 1.0
        q = ((self.design @ np.linalg.inv(hessian)) * self.design).sum(-1)
        moved = self.weights * (mean - self.y) * q / np.maximum(1 - self.weights * curvature * q, 1e-6)
        return (self.weights * self.loss(eta + moved)).sum(1)
