"""Built-in learners, against fits written out by hand."""

import numpy as np
import pandas as pd
import pytest

from pyrocausal.estimation import glm
from pyrocausal.estimation.learners import Glm, learner
from tests.benchmarks.coverage import expit


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(60, 3))


def test_linear_is_least_squares(x):
    y = x @ [1.0, 2.0, 3.0] + np.random.default_rng(1).normal(size=60)
    design = np.column_stack([np.ones(60), x])
    by_hand = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    found = glm.predict(x, y, np.ones((1, 60)), x, smooth=False, binary=False)[0]
    np.testing.assert_allclose(found, by_hand, atol=2e-4 * y.std())  # but for the stabilising penalty


def test_logistic_regression_solves_the_score_equations(x):
    y = (np.random.default_rng(1).random(60) < expit(x[:, 0])).astype(float)
    p = glm.predict(x, y, np.ones((1, 60)), x, smooth=False, binary=True)[0]
    np.testing.assert_allclose(np.column_stack([np.ones(60), x]).T @ (y - p), 0, atol=1e-2)
    assert abs((y - p).sum()) < 1e-6  # the intercept is free


def test_a_weight_of_two_is_a_row_twice_and_of_zero_none(x):
    rng = np.random.default_rng(2)
    y = np.sin(2 * x[:, 0]) + 0.1 * rng.normal(size=60)
    weights = rng.integers(0, 3, 60).astype(float)
    rows = np.repeat(np.arange(60), weights.astype(int))
    features = glm.Features(x, smooth=True)
    once, twice = features(x), features(x)[rows]
    ridge = weights.sum() * np.full((1, once.shape[1]), 0.1)
    a, _ = glm.Fits(once, y[None], weights[None], False).newton(ridge, np.zeros_like(ridge))
    b, _ = glm.Fits(twice, y[None, rows], np.ones((1, len(rows))), False).newton(ridge, np.zeros_like(ridge))
    np.testing.assert_allclose(a, b, atol=1e-8)


@pytest.mark.parametrize("binary, tolerance", [(False, 1e-8), (True, 2e-2)])
def test_left_out_loss_is_that_of_fits_without_the_row(x, binary, tolerance):
    """Exact for least squares; for logistic regression one Newton step."""
    rng = np.random.default_rng(3)
    y = (rng.random(60) < expit(x[:, 0])).astype(float) if binary else x[:, 0] + rng.normal(size=60)
    design = glm.Features(x, smooth=True)(x)
    ridge = np.full((1, design.shape[1]), 6.0)
    whole = glm.Fits(design, y[None], np.ones((1, 60)), binary)
    beta, hessian = whole.newton(ridge, np.zeros_like(ridge))
    found = whole.left_out_loss(beta, hessian)[0]
    without = glm.Fits(design, np.broadcast_to(y, (60, 60)), 1 - np.eye(60), binary)
    refits, _ = without.newton(ridge.repeat(60, 0), np.zeros((60, ridge.shape[1])))
    by_hand = whole.loss((refits * design).sum(1)).sum()
    assert found == pytest.approx(by_hand, rel=tolerance)
    in_sample = whole.loss(design @ beta[0]).sum()
    assert in_sample < 0.97 * by_hand  # so the test can fail


def test_many_fits_are_the_single_fits(x):
    rng = np.random.default_rng(4)
    y = (rng.random(60) < expit(2 * x[:, 1] ** 2 - 1)).astype(float)
    weights = rng.integers(0, 3, (5, 60)).astype(float)
    together = glm.predict(x, y, weights, x, smooth=True, binary=True)
    apart = [glm.predict(x, y, one[None], x, smooth=True, binary=True)[0] for one in weights]
    np.testing.assert_allclose(together, apart, atol=1e-6)


def test_smooth_bends_where_the_data_do_and_stays_straight_where_they_do_not():
    rng = np.random.default_rng(5)
    x, there = rng.normal(size=(1000, 2)), rng.normal(size=(500, 2))
    errors = {}
    for name, mean in {"straight": lambda v: v[:, 0], "bent": lambda v: v[:, 0] ** 2 * 0.5 - v[:, 1]}.items():
        y = mean(x) + rng.normal(size=1000)
        for smooth in (False, True):
            found = glm.predict(x, y, np.ones((1, 1000)), there, smooth=smooth, binary=False)[0]
            errors[name, smooth] = ((found - mean(there)) ** 2).mean()
    assert errors["straight", True] < 0.02  # noise has variance 1, and a straight line's error is 3 / 1000
    assert errors["bent", True] < 0.05 < 0.3 < errors["bent", False]


def test_separated_classes_get_probabilities_that_are_finite():
    x = np.linspace(-1, 1, 100)[:, None]
    p = glm.predict(x, (x[:, 0] > 0).astype(float), np.ones((1, 100)), x, smooth=True, binary=True)
    assert np.isfinite(p).all() and p[0, 0] < 1e-3 and p[0, -1] > 1 - 1e-3


def test_probabilities_of_several_levels_sum_to_one_and_are_right():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(4000, 1))
    odds = np.exp(np.column_stack([0 * x, x, -x]))
    true = odds / odds.sum(1, keepdims=True)
    codes = (rng.random((4000, 1)) > true.cumsum(1)[:, :2]).sum(1)
    found = learner("smooth").probabilities(pd.DataFrame(x, columns=["x"]), codes, 3, np.ones((1, 4000)))[
        :, 0
    ]
    np.testing.assert_allclose(found.sum(0), 1)
    assert abs(found.T - true).mean() < 0.02


def test_names_become_indicators_of_levels_by_the_data_that_were_learned_from():
    x = pd.DataFrame({"c": ["a", "b", "c"] * 30})
    y = x["c"].map({"a": 1.0, "b": 5.0, "c": 2.0}).to_numpy()
    there = pd.DataFrame({"c": ["c", "b"]})
    found = Glm(smooth=True).mean(x, y, np.ones((1, 90)), at=there)[0]
    np.testing.assert_allclose(found, [2.0, 5.0], atol=1e-3)
