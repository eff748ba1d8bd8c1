"""Treatments that are amounts."""

import numpy as np
import pandas as pd
import pytest

import pyrocausal as pc
from pyrocausal.errors import EstimateError
from tests.benchmarks.coverage import amount


@pytest.fixture
def frame():
    return amount(np.random.default_rng(0), 2000)


def test_linear_learners_give_the_regression_coefficient():
    generator = np.random.default_rng(1)
    x = generator.normal(size=2000)
    t = x + generator.normal(size=2000)
    frame = pd.DataFrame({"x": x, "t": t, "y": 2 * t + x + generator.normal(size=2000)})
    design = np.column_stack([np.ones(2000), t, x])
    coefficient = np.linalg.lstsq(design, frame.y, rcond=None)[0][1]
    found = pc.estimate("y", "t", frame, adjust=["x"], learners="linear", folds=1)
    assert found.value == pytest.approx(
        coefficient, abs=1e-3
    )  # Frisch, Waugh and Lovell; but for the penalty
    assert found.std_error == pytest.approx(1 / np.sqrt(2000), rel=0.1)
    assert pc.estimate("y", "t", frame, adjust=["x"], learners="linear", folds=1, contrast=(3, 1)).value == (
        pytest.approx(2 * found.value)
    )


def test_nonlinear_confounding(frame):
    found = pc.estimate("y", "t", frame, adjust=["x1", "x2"])
    straight = pc.estimate("y", "t", frame, adjust=["x2"])
    assert abs(found.value - 0.7) < 4 * found.std_error < 0.15
    assert found.method.startswith("partially linear")
    assert straight.std_error > found.std_error


def test_an_effect_that_bends_by_regression(frame):
    bent = frame.assign(y=frame.y + np.sin(frame.t))
    found = pc.estimate(
        "y", "t", bent, adjust=["x1", "x2"], method="regression", contrast=(1.5, -1.5), replicas=100
    )
    assert abs(found.value - (3 * 0.7 + 2 * np.sin(1.5))) < 4 * found.std_error < 1.0


def test_refused(frame):
    with pytest.raises(EstimateError, match="'t' lies between"):
        pc.estimate("y", "t", frame, adjust=["x1"], method="regression", contrast=(90, 0))
    with pytest.raises(EstimateError, match="method='aipw' with the amount 't'"):
        pc.estimate("y", "t", frame, adjust=["x1"], method="aipw")
    with pytest.raises(EstimateError, match="no group of treated"):
        pc.estimate("y", "t", frame, adjust=["x1"], effect="att")
    with pytest.raises(EstimateError, match="what is adjusted for determines t"):
        pc.estimate("y", "t", frame.assign(same=2 * frame.t), adjust=["same"])
