"""Tests of independence: of two variables, and of two given others, whatever their types.

G. J. Székely and M. L. Rizzo 2014, "Partial distance correlation with methods for dissimilarities", Annals of
Statistics 42 (the bias-corrected distance correlation); C. Shen, S. Panda and J. T. Vogelstein 2022, "The
chi-square test of distance correlation", Journal of Computational and Graphical Statistics 31; R. D. Shah and
J. Peters 2020, "The hardness of conditional independence testing and the generalised covariance measure",
Annals of Statistics 48.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

LANDMARKS = 150  # of the kernel regression: enough for smooth functions of a few variables
_RIDGES = np.logspace(-6, 2, 17)  # times the number of rows


# ---- of two variables


def centred_distances(x: np.ndarray) -> np.ndarray:
    """The U-centred distances of the rows of `x`, `(n, n)`, flat and scaled to length one.

    The dot product of two such vectors is the bias-corrected squared distance correlation. A column that does
    not vary gives zeros.
    """
    n = len(x)
    distance = cdist(x, x)
    rows = distance.sum(0) / (n - 2)
    distance += distance.sum() / ((n - 1) * (n - 2)) - rows[:, None] - rows[None, :]
    np.fill_diagonal(distance, 0.0)
    flat = distance.ravel().astype(np.float32)
    length = np.linalg.norm(flat)
    return flat / length if length > 1e-6 * n else np.zeros_like(flat)


def distance_correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Distance correlation of two variables by their `centred_distances`, and the p-value of independence.

    The correlation is the root of the bias-corrected square (0 if that is negative). With n rows and square
    C, n C + 1 is compared with a chi-square variable of one degree of freedom, which bounds the upper tail of
    its law under independence, whatever the variables, for p up to 0.05 (Shen et al. 2022, theorem 2). So the
    false-alarm rate is at most the level; for variables of two values it is the level.

    >>> rng = np.random.default_rng(0)
    >>> x, e = rng.normal(size=(2, 400, 1))
    >>> r, p = distance_correlation(centred_distances(x), centred_distances(x**2 + e))
    >>> r > 0.3, p < 1e-6
    (True, True)
    >>> distance_correlation(centred_distances(x), centred_distances(e))[1] > 0.05
    True
    """
    square = float(a @ b)
    n = round(len(a) ** 0.5)
    return max(square, 0.0) ** 0.5, float(stats.chi2.sf(max(n * square + 1, 0.0), 1))


def bent(scores: np.ndarray) -> np.ndarray:
    """Normal scores and their squares, the first two Hermite functions: bends show as correlations."""
    return np.hstack([scores, (scores**2 - 1) / 2**0.5])


@dataclass(frozen=True)
class Column:
    """A variable as a test of independence sees it: features, and distances between rows."""

    features: np.ndarray
    distances: np.ndarray

    @classmethod
    def of(cls, plain: np.ndarray, features: np.ndarray) -> Column:
        return cls(features, centred_distances(plain))


def independence(a: Column, b: Column) -> tuple[float, float]:
    """The correlation that speaks most against independence, and the p-value, by Bonferroni, of two tests.

    Distance correlation sees every dependence, given rows enough; correlation of `bent` features sees a bend
    or a spread in fewer.
    """
    found = distance_correlation(a.distances, b.distances)
    nothing = np.empty((len(a.features), 0))
    by_features = conditional_independence(a.features, b.features, nothing)
    number, p = min(found, by_features, key=lambda one: one[1])
    return number, min(1.0, 2 * p)


# ---- of two variables, given others


def conditional_independence(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[float, float]:
    """The largest partial correlation of columns of `x` and of `y` given `z`, and the p-value of none.

    This is the generalised covariance measure (Shah and Peters 2020, section 3): residuals of regressions on
    `z` are multiplied, and the mean of the products over its standard error is standard normal under
    independence. It is so asymptotically, if the regressions' errors, multiplied, vanish faster than 1 / √n:
    smooth functions of few variables. Of several pairs of columns the largest counts, by Bonferroni. What
    leaves every covariance given `z` at zero is not found: give columns that would show it.

    Args:
        x, y: features `(n, k)`.
        z: features `(n, p)`; p may be 0.

    >>> rng = np.random.default_rng(0)
    >>> z, e, f = rng.normal(size=(3, 500, 1))
    >>> x, y = np.sin(2 * z) + e, z**2 + f
    >>> conditional_independence(x, y, z)[1] > 0.05, conditional_independence(x, y + x / 2, z)[1] < 1e-6
    (True, True)
    """
    residuals = smooth_residuals(np.hstack([x, y]), z)
    of_x, of_y = residuals[:, : x.shape[1]], residuals[:, x.shape[1] :]
    products = (of_x[:, :, None] * of_y[:, None, :]).reshape(len(x), -1)
    mean, sd = products.mean(0), products.std(0)
    scale = np.sqrt(np.outer((of_x**2).mean(0), (of_y**2).mean(0))).ravel()
    varies = (sd > 0) & (scale > 0)  # a column that z determines has no residual to correlate
    if not varies.any():
        return 0.0, 1.0
    score = np.abs(mean[varies]) / sd[varies] * len(x) ** 0.5
    p = min(1.0, 2 * float(stats.norm.sf(score.max())) * int(varies.sum()))
    return float((np.abs(mean[varies]) / scale[varies])[score.argmax()]), p


def smooth_residuals(targets: np.ndarray, given: np.ndarray) -> np.ndarray:
    """What a kernel ridge regression on `given` leaves of each column of `targets`.

    The kernel is linear plus Gaussian (its width the median distance), through `LANDMARKS` rows (Nyström);
    each column's ridge is chosen by generalised cross-validation (Golub, Heath and Wahba 1979). Rows should
    come in random order: the landmarks are the first ones.
    """
    centred = targets - targets.mean(0)
    if not given.shape[1]:
        return centred
    left, singular, _ = np.linalg.svd(_kernel_features(given), full_matrices=False)
    inside = left.T @ centred
    outside = (centred**2).sum(0) - (inside**2).sum(0)
    n, power = len(targets), singular**2
    shrunk = power / (power + n * _RIDGES[:, None])  # (ridges, directions)
    lost = ((1 - shrunk)[:, :, None] ** 2 * inside**2).sum(1) + outside
    best = (lost / (1 - shrunk.sum(1) / n)[:, None] ** 2).argmin(0)
    return centred - left @ (shrunk[best].T * inside)


def _kernel_features(given: np.ndarray) -> np.ndarray:
    """Features `(n, m)` whose products are, nearly, the kernel; centred."""
    scaled = given - given.mean(0)
    scaled = scaled / np.maximum(scaled.std(0), 1e-12)
    landmarks = np.unique(scaled[:LANDMARKS], axis=0)
    between = cdist(landmarks, landmarks)
    width = float(np.median(between[between > 0])) if len(landmarks) > 1 else 1.0
    values, vectors = np.linalg.eigh(np.exp(-((between / width) ** 2) / 2))
    kept = values > 1e-8 * values[-1]
    whiten = vectors[:, kept] / np.sqrt(values[kept])
    gaussian = np.exp(-((cdist(scaled, landmarks) / width) ** 2) / 2) @ whiten
    features = np.hstack([gaussian, scaled])
    return features - features.mean(0)
