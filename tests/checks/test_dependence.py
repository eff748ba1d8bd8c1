"""Tests of independence keep their rate of false alarms, and see what is there."""

import numpy as np
import pytest
from scipy import stats

from pyrocausal.checks.dependence import (
    Column,
    bent,
    centred_distances,
    conditional_independence,
    distance_correlation,
    independence,
    smooth_residuals,
)
from pyrocausal.checks.rows import normal_scores

LEVEL = 0.05


def at_most(trials: int, level: float = LEVEL) -> int:
    """Rejections that tests at this level exceed with a chance of 1e-4; the seeds are fixed."""
    return int(stats.binom.ppf(1 - 1e-4, trials, level))


def test_distance_correlation_is_the_bias_corrected_one():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 7, 2))

    def inner(a, b):  # Székely and Rizzo 2014, definitions 2 and 3, by loops
        def centred(z):
            d = np.array([[np.linalg.norm(p - q) for q in z] for p in z])
            n, out = len(z), np.zeros((len(z), len(z)))
            for i in range(n):
                for j in range(n):
                    if i != j:
                        rows = d[i].sum() / (n - 2) + d[:, j].sum() / (n - 2)
                        out[i, j] = d[i, j] - rows + d.sum() / ((n - 1) * (n - 2))
            return out

        return (centred(a) * centred(b)).sum()

    square = inner(x, y) / (inner(x, x) * inner(y, y)) ** 0.5
    a, b = centred_distances(x), centred_distances(y)
    assert float(a @ b) == pytest.approx(square, abs=1e-5)
    assert distance_correlation(a, b)[1] == pytest.approx(stats.chi2.sf(max(7 * square + 1, 0), 1), rel=1e-4)
    assert distance_correlation(centred_distances(np.ones((7, 1))), b) == (
        0.0,
        pytest.approx(0.3173, abs=1e-3),
    )


@pytest.mark.parametrize("law", ["normal", "heavy", "binary", "several"])
def test_distance_correlation_keeps_its_level(law):
    rng = np.random.default_rng(1)
    draw = {
        "normal": lambda: rng.normal(size=(150, 1)),
        "heavy": lambda: rng.standard_t(3, size=(150, 1)),
        "binary": lambda: (rng.random((150, 1)) < 0.3).astype(float),
        "several": lambda: rng.normal(size=(150, 4)),
    }[law]
    p = [distance_correlation(centred_distances(draw()), centred_distances(draw()))[1] for _ in range(300)]
    assert sum(np.array(p) <= LEVEL) <= at_most(300)
    if law == "binary":  # where it is exact, it is not timid either
        assert sum(np.array(p) <= LEVEL) >= 5


def column(x: np.ndarray) -> Column:
    scores = normal_scores(x)[:, None]
    return Column.of(scores, bent(scores))


def test_both_tests_together_keep_their_level_and_see_bends_and_spreads():
    rng = np.random.default_rng(6)
    p = [independence(column(rng.normal(size=200)), column(rng.normal(size=200)))[1] for _ in range(300)]
    assert sum(np.array(p) <= LEVEL) <= at_most(300)
    x, e = rng.normal(size=(2, 20, 400))
    bends = [independence(column(a), column(0.3 * (a**2 - 1) + b))[1] for a, b in zip(x, e)]
    spreads = [independence(column(a), column(b * np.exp(0.25 * a)))[1] for a, b in zip(x, e)]
    assert np.mean(np.array([bends, spreads]) <= 0.01, axis=1).min() >= 0.9


def confounded(kind: str, n: int, rng: np.random.Generator):
    """Two variables that depend on z alone."""
    z, e, f = rng.normal(size=(n, 1)), *rng.normal(size=(2, n))
    g = z[:, 0]
    match kind:
        case "linear":
            return g + e, g + f, z
        case "bent":
            return np.sin(2 * g) + e / 2, np.cos(2 * g) + g + f / 2, z
        case "spread":
            return g + e * np.exp(g / 2), g**2 + f * np.exp(g / 2), z
        case "heavy":
            return g + rng.standard_t(3, n), g + rng.standard_t(3, n), z
        case "several":
            z = rng.normal(size=(n, 4))
            return np.tanh(z.sum(1)) + e, z.mean(1) + np.sin(z[:, 1]) + f, z
    return (rng.random(n) < stats.logistic.cdf(2 * g)).astype(float), g**2 / 2 + g + f, z


def features(x: np.ndarray) -> np.ndarray:
    return x[:, None] if len(np.unique(x)) == 2 else bent(normal_scores(x)[:, None])


@pytest.mark.parametrize("kind", ["linear", "bent", "spread", "heavy", "binary", "several"])
def test_conditional_independence_keeps_its_level(kind):
    """The normal law is a limit: at 400 rows the rate is up to 0.08 at level 0.05."""
    rng = np.random.default_rng(2)
    p = []
    for _ in range(100):
        x, y, z = confounded(kind, 400, rng)
        p.append(conditional_independence(features(x), features(y), z)[1])
    assert sum(np.array(p) <= LEVEL) <= at_most(100, 0.08)


@pytest.mark.parametrize("effect", [lambda x: x / 2, lambda x: x**2 / 2, np.abs])
def test_conditional_dependence_is_seen(effect):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(20):
        x, y, z = confounded("linear", 600, rng)
        x -= z[:, 0]  # symmetric given z, so that squares leave no plain covariance
        found.append(conditional_independence(features(x), features(y + effect(x)), z)[1] < 1e-3)
    assert np.mean(found) >= 0.95


def test_what_others_determine_is_no_dependence():
    rng = np.random.default_rng(4)
    z = (rng.random((300, 1)) < 0.5).astype(float)
    assert conditional_independence(z, rng.normal(size=(300, 1)), z)[1] > 0.01
    assert conditional_independence(np.ones((300, 1)), rng.normal(size=(300, 1)), z) == (0.0, 1.0)


def test_the_regression_finds_a_smooth_function():
    rng = np.random.default_rng(5)
    z = rng.normal(size=(1000, 1))
    truth = np.sin(2 * z)
    error = smooth_residuals(truth + 0.5 * rng.normal(size=z.shape), z) - 0
    assert np.std(error) == pytest.approx(0.5, rel=0.05)
    assert np.allclose(smooth_residuals(z, np.empty((1000, 0))), z - z.mean())
