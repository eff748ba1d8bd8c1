"""Two-stage least squares against closed forms, and the Anderson-Rubin interval against its test."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pyrocausal as pc
from pyrocausal.errors import EstimateError
from pyrocausal.estimation.instrument import (
    _anderson_rubin,
    _residuals,
    _where_negative,
)
from pyrocausal.estimation.resampling import Plan
from pyrocausal.estimation.strategies import Instrument
from tests.benchmarks.coverage import band, encouraged


def iv(frame, **options):
    return pc.estimate("y", "t", frame, instruments=["z"], adjust=["c"], **options)


@pytest.fixture
def frame():
    return encouraged(np.random.default_rng(0), 800)


def test_two_stages_by_hand(frame):
    w = np.column_stack([np.ones(800), frame.c])
    first = np.column_stack([w, frame.z])
    fitted = first @ np.linalg.lstsq(first, frame.t, rcond=None)[0]
    x, second = np.column_stack([w, frame.t]), np.column_stack([w, fitted])
    beta = np.linalg.solve(second.T @ x, second.T @ frame.y)
    rest = frame.y.to_numpy() - x @ beta
    bread = np.linalg.inv(second.T @ second)
    sandwich = 800 / (800 - 3) * bread @ (second.T * rest**2) @ second @ bread  # HC1
    found = iv(frame)
    assert found.value == pytest.approx(beta[2])
    assert found.std_error == pytest.approx(np.sqrt(sandwich[2, 2]))
    step = iv(frame, contrast=(3, 1))
    assert step.value == pytest.approx(2 * beta[2])
    assert step.interval == pytest.approx(tuple(2 * end for end in found.interval))


def test_binary_without_covariates_is_wald_and_names_the_compliers():
    generator = np.random.default_rng(1)
    z, kind = generator.integers(0, 2, 4000), generator.choice(["always", "never", "complier"], 4000)
    t = np.where(kind == "complier", z, kind == "always").astype(int)
    y = np.select([kind == "complier"], [2.0], 5.0) * t + generator.normal(
        size=4000
    )  # compliers' effect is 2
    frame = pd.DataFrame({"z": z, "t": t, "y": y})
    means = frame.groupby("z").mean().diff().iloc[-1]
    found = pc.estimate("y", "t", frame, instruments=["z"])
    assert found.value == pytest.approx(means.y / means.t)
    assert "compliers" in found.target
    assert abs(found.value - 2.0) < 4 * found.std_error < 1.0


def test_anderson_rubin_interval_is_where_the_test_does_not_reject(frame):
    low, high = iv(frame).interval
    w = np.column_stack([np.ones(800), frame.c])
    z = frame.z - w @ np.linalg.lstsq(w, frame.z, rcond=None)[0]

    def statistic(beta):
        e = frame.y - beta * frame.t
        e = e - w @ np.linalg.lstsq(w, e, rcond=None)[0]
        delta = (z @ e) / (z @ z)
        return (z @ e) ** 2 / (z**2 * (e - delta * z) ** 2).sum()

    for end in (low, high):
        assert statistic(end) == pytest.approx(1.959964**2, rel=1e-5)
    assert statistic((low + high) / 2) < 3.84 < min(statistic(low - 0.1), statistic(high + 0.1))


def test_two_instruments_by_the_classical_test(frame):
    frame = frame.assign(z2=frame.z * frame.c + np.random.default_rng(2).normal(size=800))
    strategy = Instrument("t", "y", ["z", "z2"], ["c"])
    y, t, z, columns = _residuals(strategy, frame)
    ((low, high),) = _anderson_rubin(z, y, t, Plan(800), columns)
    for end in (low, high):
        e = y - end * t
        fitted = z @ np.linalg.lstsq(z, e, rcond=None)[0]
        f = (fitted @ fitted / 2) / ((e - fitted) @ (e - fitted) / (800 - 4))
        assert 2 * f == pytest.approx(stats.chi2.ppf(0.95, 2))
    found = pc.estimate(strategy, frame)
    assert found.interval == found.diagnostics["Wald"]


def test_weak_instrument_warns_and_the_interval_may_have_no_end(caplog):
    generator = np.random.default_rng(3)
    u, z = generator.normal(size=(2, 300))
    frame = pd.DataFrame({"z": z, "t": u + generator.normal(size=300), "y": u + generator.normal(size=300)})
    found = pc.estimate("y", "t", frame, instruments=["z"])
    assert found.diagnostics["first-stage F"] < 3.84
    assert found.interval == (-math.inf, math.inf)
    assert "weak instrument" in found.warnings[0] and "weak instrument" in caplog.text


def test_anderson_rubin_covers_with_a_hopeless_instrument_and_wald_does_not():
    """300 draws; the 99.9 % band of 95 % is 90.3 to 98.7 %."""
    covered = []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        u, z = generator.normal(size=(2, 100))
        t = 0.05 * z + u + 0.1 * generator.normal(size=100)
        frame = pd.DataFrame({"z": z, "t": t, "y": t + u + 0.1 * generator.normal(size=100)})
        found = pc.estimate("y", "t", frame, instruments=["z"])
        ranges = found.diagnostics["Anderson-Rubin"].split(" or ")
        inside = any(float(a) <= 1 <= float(b) for a, b in (part.split(" to ") for part in ranges))
        low, high = found.diagnostics["Wald"]
        covered.append((inside, low <= 1 <= high))
    robust, wald = np.mean(covered, 0)
    assert band(300)[0] <= 300 * robust <= band(300)[1]
    assert wald < 0.9


@pytest.mark.parametrize(
    "q, where",
    [
        ([[-1.0, 0.0], [0.0, 1.0]], ((-1.0, 1.0),)),
        ([[1.0, 0.0], [0.0, -1.0]], ((-math.inf, -1.0), (1.0, math.inf))),
        ([[-1.0, 0.0], [0.0, -1.0]], ((-math.inf, math.inf),)),
        ([[1.0, 0.0], [0.0, 1.0]], ()),
    ],
)
def test_four_shapes_of_the_interval(q, where):
    assert _where_negative(np.array(q)) == where


def test_refused(frame):
    with pytest.raises(EstimateError, match="collinear"):
        pc.estimate("y", "t", frame.assign(z2=2 * frame.z), instruments=["z", "z2"])
    with pytest.raises(EstimateError, match="these are for adjustment"):
        iv(frame, effect="att")
    with pytest.raises(EstimateError, match="a slope, for numbers"):
        iv(frame, contrast=("a", "b"))
