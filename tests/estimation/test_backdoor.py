"""Adjustment, against closed forms and hand-computed bounds."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

import pyrocausal as pc
from pyrocausal.errors import EstimateError
from tests.benchmarks.coverage import bent, dose_truth, doses, expit, linear

PAIR = ["x1", "x2"]


def sample(draw, rows, seed=0):
    return draw(np.random.default_rng(seed), rows)


# ---- a discrete SCM whose every number can be written out: z in {0, 1, 2}, t in {0, 1}, y in {0, 1}

P_Z = np.array([0.5, 0.3, 0.2])
P_T = np.array([0.2, 0.5, 0.7])  # of t=1, by z
P_Y = np.array([[0.2, 0.4, 0.5], [0.3, 0.7, 0.9]])  # of y=1, by t and z


def discrete(generator, rows):
    z = generator.choice(3, rows, p=P_Z)
    t = (generator.random(rows) < P_T[z]).astype(int)
    y = (generator.random(rows) < P_Y[t, z]).astype(int)
    return pd.DataFrame({"z": np.array(["a", "b", "c"])[z], "t": t, "y": y})


def truth_and_bound(effect):
    """The effect and the variance of the efficient influence function, by summing over all units."""
    s = {"ate": np.ones(3), "att": P_T, "atc": 1 - P_T}[effect]
    share = (P_Z * s).sum()
    gap = P_Y[1] - P_Y[0]
    truth = (P_Z * s * gap).sum() / share
    variance = 0.0
    for z, t, y in itertools.product(range(3), (0, 1), (0, 1)):
        p_t = P_T[z] if t else 1 - P_T[z]
        p_y = P_Y[t, z] if y else 1 - P_Y[t, z]
        asked = {"ate": 1.0, "att": t, "atc": 1 - t}[effect]
        sign = 1 if t else -1
        influence = asked * (gap[z] - truth) + sign * s[z] / p_t * (y - P_Y[t, z])
        variance += P_Z[z] * p_t * p_y * (influence / share) ** 2
    return truth, variance


@pytest.mark.parametrize("effect", ["ate", "att", "atc"])
def test_influence_has_mean_zero_and_the_variance_of_the_bound(effect):
    """False alarm: 5 standard errors, 1e-6."""
    truth, bound = truth_and_bound(effect)
    found = pc.estimate("y", "t", sample(discrete, 20_000), adjust=["z"], effect=effect)
    assert abs(found.value - truth) < 5 * np.sqrt(bound / 20_000)
    assert abs(found.influence.mean()) < 1e-12
    assert found.influence.var() == pytest.approx(bound, rel=0.04)
    assert found.std_error == pytest.approx(np.sqrt(bound / 20_000), rel=0.02)


def test_the_bound_differs_between_effects_and_from_the_unadjusted():
    bounds = [truth_and_bound(effect)[1] for effect in ("ate", "att", "atc")]
    assert len({round(b, 2) for b in bounds}) == 3
    truth = truth_and_bound("ate")[0]
    naive = pc.estimate("y", "t", sample(discrete, 40_000), adjust=[])
    assert abs(naive.value - truth) > 10 * naive.std_error


@pytest.mark.parametrize("method", ["regression", "ipw"])
def test_on_strata_regression_and_weighting_are_standardisation(method):
    """With a saturated model both are Σ_z P(z) (E[y | t=1, z] - E[y | t=0, z]), to rounding and penalty."""
    frame = sample(discrete, 3000)
    cells = frame.groupby(["z", "t"]).y.mean().unstack()
    by_hand = (frame.z.value_counts(normalize=True) * (cells[1] - cells[0])).sum()
    found = pc.estimate(
        "y", "t", frame, adjust=["z"], method=method, learners="linear", replicas=100, folds=1
    )
    assert found.value == pytest.approx(by_hand, abs=2e-4)
    assert found.std_error == pytest.approx(np.sqrt(truth_and_bound("ate")[1] / 3000), rel=0.25)


# ---- double robustness

RIGHT = {"outcome": LinearRegression(), "treatment": LogisticRegression(C=1e6)}
WRONG = {"outcome": DummyRegressor(), "treatment": DummyClassifier(strategy="prior")}


@pytest.mark.parametrize(
    "outcome, treatment, right",
    [(RIGHT, RIGHT, True), (RIGHT, WRONG, True), (WRONG, RIGHT, True), (WRONG, WRONG, False)],
    ids=["both right", "outcome right", "treatment right", "both wrong"],
)
def test_doubly_robust(outcome, treatment, right):
    """Consistent if one learner is; the control, both wrong, is not. False alarm: 5 standard errors, 1e-6."""
    learners = {"outcome": outcome["outcome"], "treatment": treatment["treatment"]}
    found = pc.estimate("y", "t", sample(linear, 20_000), adjust=PAIR, learners=learners)
    assert (abs(found.value - 1.0) < 5 * found.std_error) == right


# ---- the same answer by other means


def test_linear_gaussian_is_the_regression_coefficient():
    frame = sample(linear, 2000)
    design = np.column_stack([np.ones(2000), frame[["t", *PAIR]]])
    coefficient = np.linalg.lstsq(design, frame.y, rcond=None)[0][1]
    for options in ({"learners": "linear"}, {}, {"method": "regression", "replicas": 50}):
        found = pc.estimate("y", "t", frame, adjust=PAIR, **options)
        assert found.value == pytest.approx(coefficient, abs=0.03)
        assert found.std_error == pytest.approx(0.05, rel=0.3)


def test_scikit_learn_and_built_in_learners_agree():
    frame = sample(linear, 1500)
    ours = pc.estimate("y", "t", frame, adjust=PAIR, learners="linear")
    theirs = pc.estimate("y", "t", frame, adjust=PAIR, learners=RIGHT)
    assert ours.value == pytest.approx(theirs.value, abs=2e-3)
    for method in ("ipw", "regression"):
        options = {"adjust": PAIR, "method": method, "replicas": 50}
        ours = pc.estimate("y", "t", frame, learners="linear", **options)
        theirs = pc.estimate("y", "t", frame, learners=RIGHT, **options)
        np.testing.assert_allclose(ours.interval, theirs.interval, atol=5e-3)


def test_the_default_learner_is_no_trap():
    """Where nothing is linear, linear learners miss by many standard errors, and the default does not."""
    frame = sample(bent, 4000)
    default = pc.estimate("y", "t", frame, adjust=["x1", "x2", "x3"])
    straight = pc.estimate("y", "t", frame, adjust=["x1", "x2", "x3"], learners="linear")
    assert abs(default.value - 2.0) < 3 * default.std_error
    assert abs(straight.value - 2.0) > 5 * straight.std_error


@pytest.mark.parametrize(
    "effect, truth", [("ate", dose_truth()), ("att", dose_truth(2)), ("atc", dose_truth(0))]
)
def test_three_levels_and_names(effect, truth):
    """False alarm: 5 standard errors, 1e-6."""
    found = pc.estimate(
        "y", "t", sample(doses, 5000), adjust=["region", "age"], contrast=("high", "none"), effect=effect
    )
    assert abs(found.value - truth) < 5 * found.std_error < 0.6


def test_difference_is_welch():
    frame = sample(linear, 500)
    treated, others = frame.y[frame.t == 1], frame.y[frame.t == 0]
    found = pc.estimate("y", "t", frame, method="difference")
    assert found.value == pytest.approx(treated.mean() - others.mean())
    by_hand = np.sqrt(treated.var(ddof=1) / len(treated) + others.var(ddof=1) / len(others))
    assert found.std_error == pytest.approx(by_hand, rel=1e-9)
    reverse = pc.estimate("y", "t", frame, method="difference", contrast=(0, 1))
    assert reverse.interval == pytest.approx((-found.interval[1], -found.interval[0]))


# ---- clusters


def test_clusters_widen_the_interval_as_repeated_rows_do():
    """Four copies of each row tell no more than one."""
    frame = sample(linear, 600)
    copies = pd.concat([frame.assign(id=range(600))] * 4, ignore_index=True)
    for options in ({}, {"method": "regression", "replicas": 200}):
        once = pc.estimate("y", "t", frame, adjust=PAIR, learners="linear", **options)
        often = pc.estimate("y", "t", copies, adjust=PAIR, learners="linear", clusters="id", **options)
        naive = pc.estimate("y", "t", copies, adjust=PAIR, learners="linear", **options)
        assert often.std_error == pytest.approx(once.std_error, rel=0.12)
        assert naive.std_error == pytest.approx(once.std_error / 2, rel=0.15)


# ---- overlap


def separated(rows=2000):
    generator = np.random.default_rng(0)
    x = generator.normal(size=rows)
    t = np.where(abs(x) < 0.3, generator.random(rows) < 0.5, x > 0).astype(int)
    return pd.DataFrame({"x": x, "t": t, "y": x + t + generator.normal(size=rows)})


@pytest.mark.parametrize("method", ["aipw", "ipw", "regression"])
def test_no_overlap_gives_no_number(method):
    with pytest.raises(EstimateError, match=r"no overlap: \d\d% of those asked about"):
        pc.estimate("y", "t", separated(), adjust=["x"], method=method, replicas=50)


def test_trimming_changes_the_question_and_says_so():
    found = pc.estimate("y", "t", separated(), adjust=["x"], trim=0.1)
    assert abs(found.value - 1.0) < 4 * found.std_error
    assert "where both propensities are at least 0.1" in found.target
    assert found.diagnostics["trimmed"] > 1000
    assert found.n == len(separated()) - found.diagnostics["trimmed"]


def test_a_stratum_without_the_treatment_is_named():
    frame = sample(discrete, 2000)
    frame = frame[~((frame.z == "c") & (frame.t == 0))]
    for method in ("aipw", "ipw", "regression"):
        with pytest.raises(EstimateError, match="rows with z='c' none has t=0"):
            pc.estimate("y", "t", frame, adjust=["z"], method=method, replicas=50)
    found = pc.estimate("y", "t", frame, adjust=["z"], effect="atc")  # nobody there is asked about
    assert found.n == len(frame)


def test_poor_overlap_warns(caplog):
    generator = np.random.default_rng(1)
    x = generator.normal(size=3000)
    t = (generator.random(3000) < expit(2.2 * x)).astype(int)
    frame = pd.DataFrame({"x": x, "t": t, "y": x + t + generator.normal(size=3000)})
    found = pc.estimate("y", "t", frame, adjust=["x"])
    assert "poor overlap" in found.warnings[0] and "poor overlap" in caplog.text
    assert "poor overlap" in repr(found)


def test_good_overlap_does_not_warn(caplog):
    found = pc.estimate("y", "t", sample(linear, 1000), adjust=PAIR)
    assert found.warnings == () and not caplog.text
