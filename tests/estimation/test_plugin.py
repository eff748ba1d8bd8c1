"""Formulas on data: the value is that of the formula on the table of shares."""

import numpy as np
import pandas as pd
import pytest

import pyrocausal as pc
from pyrocausal.errors import EstimateError
from pyrocausal.estimation import PlugIn
from pyrocausal.identification import Constant, P, Symbol
from pyrocausal.identification.expression import product, renamed, summed
from tests.estimation.test_backdoor import discrete, truth_and_bound

BACKDOOR = summed([Symbol("z")], product(P.of("y", given=("t", "z")), P.of("z")))


@pytest.fixture
def frame():
    return discrete(np.random.default_rng(0), 2000)


def test_value_is_that_of_the_formula_and_the_interval_that_of_the_bound(frame):
    pmf = frame.groupby(["z", "t", "y"]).size() / len(frame)
    by_hand = BACKDOOR.evaluate(pmf, {"y": 1, "t": 1}) - BACKDOOR.evaluate(pmf, {"y": 1, "t": 0})
    found = pc.estimate(PlugIn(BACKDOOR, "y", "t"), frame)
    assert found.value == pytest.approx(by_hand)
    assert found.std_error == pytest.approx(np.sqrt(truth_and_bound("ate")[1] / 2000), rel=0.15)
    low, high = found.interval
    assert high - low == pytest.approx(2 * 1.96 * found.std_error, rel=0.15)


def test_one_mean_and_one_probability(frame):
    doing = renamed(BACKDOOR, {Symbol("t"): Constant("t", 1)})
    mean = pc.estimate(PlugIn(doing, "y"), frame, replicas=50)
    probability = pc.estimate(
        PlugIn(renamed(doing, {Symbol("y"): Constant("y", 1)}), "y"), frame, replicas=50
    )
    assert mean.value == pytest.approx(probability.value)
    assert mean.target == "mean of y"


def test_same_seed_same_numbers_and_level(frame):
    a, b = (pc.estimate(PlugIn(BACKDOOR, "y", "t"), frame, replicas=100, seed=3) for _ in range(2))
    assert a.interval == b.interval
    narrow = pc.estimate(PlugIn(BACKDOOR, "y", "t"), frame, replicas=100, seed=3, level=0.5)
    assert a.interval[0] < narrow.interval[0] < narrow.interval[1] < a.interval[1]


def test_a_combination_that_never_occurs_is_no_overlap(frame):
    gap = frame[~((frame.z == "a") & (frame.t == 1))]
    with pytest.raises(EstimateError, match="never occurs"):
        pc.estimate(PlugIn(BACKDOOR, "y", "t"), gap, replicas=50)


def test_a_rare_combination_warns(frame):
    hit = (frame.z == "c") & (frame.t == 0)
    few = pd.concat([frame[~hit], frame[hit].iloc[:2]])
    found = pc.estimate(PlugIn(BACKDOOR, "y", "t"), few, replicas=200)
    assert "undefined" in found.warnings[0]
    assert found.diagnostics["rows of the rarest"] <= 2


def test_refused(frame):
    with pytest.raises(EstimateError, match="free symbols besides the outcome: t"):
        pc.estimate(PlugIn(BACKDOOR, "y"), frame)
    with pytest.raises(EstimateError, match="names for values"):
        pc.estimate(PlugIn(BACKDOOR, "y", "t"), frame.assign(y=frame.y.map({0: "no", 1: "yes"})))
    with pytest.raises(EstimateError, match="cut it into bins"):
        pc.estimate(PlugIn(BACKDOOR, "y", "t"), frame.assign(z=np.arange(2000.0)))
