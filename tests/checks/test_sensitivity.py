"""Sensitivity formulas against published numbers, and against regressions with the hidden cause put in."""

import math

import numpy as np
import pytest

from pyrocausal.checks.sensitivity import (
    Regression,
    Strength,
    e_value,
    e_value_of_interval,
    risk_ratio_of_difference,
    robustness_value,
    times,
)
from pyrocausal.errors import DataError

# The Darfur example of Cinelli and Hazlett 2020, section 5: t = 4.18 with 783 degrees of freedom.
DARFUR = Regression(0.09731582, 0.02325654, 783, {})
FEMALE = [(0.00916428667504862, 0.12464092303637), (0.0183285733500972, 0.249324064199975)]
FEMALE += [(0.0274928600251459, 0.374050471038094)]


def test_e_values_are_the_published_ones():
    assert e_value(3.9) == pytest.approx(7.26, abs=0.005)  # VanderWeele and Ding 2017, smoking example's size
    assert e_value_of_interval(1.8, 8.7) == pytest.approx(3.0)
    assert e_value(0.5) == e_value(2.0) == 2 + math.sqrt(2)
    assert e_value_of_interval(0.3, 0.5) == e_value(0.5)
    assert e_value_of_interval(0.5, 1.5) == 1.0
    assert risk_ratio_of_difference(-1.0, 2.0) == pytest.approx(math.exp(-0.455))


def test_an_e_value_is_the_strength_that_explains_all_away():
    """With both ratios at the E-value the bias factor of Ding and VanderWeele 2016 is the risk ratio."""
    for ratio in (1.2, 2.0, 3.9):
        e = e_value(ratio)
        assert e * e / (2 * e - 1) == pytest.approx(ratio)


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.inf, math.nan])
def test_a_risk_ratio_is_positive(ratio):
    with pytest.raises(DataError, match="positive"):
        e_value(ratio)


def test_robustness_values_are_the_published_ones():
    assert robustness_value(DARFUR.t, 783) == pytest.approx(0.13878, abs=2e-5)
    assert robustness_value(DARFUR.t, 783, alpha=0.05) == pytest.approx(0.07626, abs=2e-5)
    assert robustness_value(1.5, 783, alpha=0.05) == 0.0
    assert robustness_value(0.0, 783) == 0.0


def test_a_cause_at_the_robustness_value_takes_the_effect_away():
    for t, dof in ((4.18, 783), (20.0, 50), (0.3, 1000)):
        share = robustness_value(t, dof)
        assert Regression(t, 1.0, dof, {}).adjusted(Strength(share, share)) == pytest.approx(0.0, abs=1e-9)


def test_bounds_by_a_benchmark_are_the_published_ones():
    once = FEMALE[0]
    d = once[0] / (1 + once[0])  # times() inverted at k = 1: r = d / (1 - d)
    overlap = d**2 / (1 - d) ** 2
    scaled = once[1] / ((1 + math.sqrt(overlap)) ** 2 / (1 - overlap))
    cause = Strength(d, scaled / (1 + scaled))
    for k, (treatment, outcome) in enumerate(FEMALE, start=1):
        assert times(cause, k).treatment == pytest.approx(treatment)
        assert times(cause, k).outcome == pytest.approx(outcome, rel=1e-6)
    adjusted = [DARFUR.adjusted(Strength(*share)) for share in FEMALE]
    assert adjusted == pytest.approx([0.0752202712, 0.0529151724, 0.0303960235], abs=1e-6)
    assert times(cause, 200.0) == Strength(1.0, 1.0)


def regression_data(n: int = 400):
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, n))
    kind = rng.integers(0, 3, n)
    d = 0.5 * x + 0.8 * z + (kind == 1) + rng.normal(size=n)
    y = d + x - 0.7 * z - 0.5 * (kind == 2) + rng.normal(size=n)
    return y, d, {"x": x[:, None], "kind": np.eye(3)[kind][:, 1:]}, z[:, None]


def test_the_bias_is_that_of_leaving_the_cause_out():
    """Omitted variable bias is an identity: the formula gives the very change of the coefficient."""
    y, d, seen, z = regression_data()
    short, long = Regression.of(y, d, seen), Regression.of(y, d, {**seen, "z": z})
    hidden = long.causes["z"]
    assert abs(short.estimate - long.estimate) == pytest.approx(short.bias(hidden))
    twice = Regression.of(y, d, seen, contrast=-2.0)
    assert twice.estimate == pytest.approx(-2 * short.estimate) and twice.t == pytest.approx(-short.t)


def test_the_regression_is_least_squares():
    """By the normal equations; a partial R² is t² / (t² + dof)."""
    y, d, seen, _ = regression_data()
    ours = Regression.of(y, d, seen)
    design = np.column_stack([np.ones(len(y)), d, *seen.values()])
    inverse = np.linalg.inv(design.T @ design)
    slopes = inverse @ design.T @ y
    dof = len(y) - design.shape[1]
    se = np.sqrt(((y - design @ slopes) ** 2).sum() / dof * np.diag(inverse))
    assert (ours.estimate, ours.se, ours.dof) == pytest.approx((slopes[1], se[1], dof))
    t = slopes / se
    assert ours.causes["x"].outcome == pytest.approx(t[2] ** 2 / (t[2] ** 2 + dof))


def test_a_treatment_that_covariates_determine_is_refused():
    y, d, seen, _ = regression_data()
    with pytest.raises(DataError, match="determine"):
        Regression.of(y, d, {**seen, "d": 2 * d[:, None] + 1})
    with pytest.raises(DataError, match="too many"):
        Regression.of(y[:3], d[:3], {"x": np.eye(3)[:, 1:]})


def test_what_is_needed_takes_the_effect_away():
    y, d, seen, _ = regression_data()
    ours = Regression.of(y, d, seen)
    assert ours.strongest in seen
    bound = times(ours.causes[ours.strongest], ours.needed())
    assert ours.adjusted(bound) == pytest.approx(0.0, abs=1e-6)
    assert DARFUR.needed() == math.inf and DARFUR.strongest is None and DARFUR.benchmarks() == []
    harmless = Regression(1.0, 0.1, 100, {"x": Strength(0.0, 0.5)})
    assert harmless.needed() == math.inf
