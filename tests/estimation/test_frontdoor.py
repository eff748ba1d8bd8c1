"""The front door, against closed forms."""

import itertools

import numpy as np
import pandas as pd
import pytest

import pyrocausal as pc
from pyrocausal.errors import EstimateError
from pyrocausal.estimation import FrontDoor
from tests.benchmarks.coverage import discrete_front_door, expit, front_door, front_door_formula

P_M = {0: 0.2, 1: 0.8}  # of m=1, by t, as in `discrete_front_door`


def bound():
    """The variance of the efficient influence function of `discrete_front_door`, by summing over all units.

    It is written with the mediator's probabilities, as in the paper; the estimator has only propensities.
    """

    def p_m(m, t):
        return P_M[t] if m else 1 - P_M[t]

    p_t = {1: 0.5, 0: 0.5}
    p_h = {1: {1: 0.8, 0: 0.2}, 0: {1: 0.2, 0: 0.8}}  # hidden, by t

    def mu(t, m):
        return sum(p_h[t][h] * (0.1 + 0.4 * m + 0.4 * h) for h in (0, 1))

    def psi(a):
        return sum(p_m(m, a) * p_t[t] * mu(t, m) for m, t in itertools.product((0, 1), (0, 1)))

    def influence(t, m, y, a):
        eta = sum(p_t[s] * mu(s, m) for s in (0, 1))
        gamma = psi(a)
        theta = sum(p_m(k, a) * mu(t, k) for k in (0, 1))
        return (y - mu(t, m)) * p_m(m, a) / p_m(m, t) + (t == a) / p_t[a] * (eta - gamma) + theta - psi(a)

    variance = 0.0
    for t, m, y in itertools.product((0, 1), (0, 1), (0, 1)):
        p = p_t[t] * p_m(m, t) * (mu(t, m) if y else 1 - mu(t, m))
        variance += p * (influence(t, m, y, 1) - influence(t, m, y, 0)) ** 2
    return psi(1) - psi(0), variance


def test_discrete_one_step_has_the_bound_and_agrees_with_the_plug_in():
    """False alarm: 5 standard errors, 1e-6."""
    truth, variance = bound()
    assert truth == pytest.approx(0.24)
    frame = discrete_front_door(np.random.default_rng(0), 20_000)
    found = pc.estimate("y", "t", frame, mediators=["m"])
    assert abs(found.value - truth) < 5 * np.sqrt(variance / 20_000)
    assert found.std_error == pytest.approx(np.sqrt(variance / 20_000), rel=0.03)
    plugged = pc.estimate(front_door_formula(), frame, replicas=200)
    assert plugged.value == pytest.approx(found.value, abs=0.1 * found.std_error)
    assert plugged.std_error == pytest.approx(found.std_error, rel=0.25)


def test_hidden_confounding_is_removed_and_adjustment_fails():
    frame = front_door(np.random.default_rng(1), 4000)
    found = pc.estimate("y", "t", frame, mediators=["m"], adjust=["c"])
    assert abs(found.value - 1.2) < 4 * found.std_error < 0.4
    adjusted = pc.estimate("y", "t", frame, adjust=["c"])
    assert abs(adjusted.value - 1.2) > 5 * adjusted.std_error


def test_several_mediators_and_three_levels():
    """The effect of 2 against 0 through both mediators: 2 * (1 * 1 + (-0.5 + 0.3) * 2) = 1.2."""
    generator = np.random.default_rng(2)
    hidden = generator.normal(size=6000)
    t = (generator.random(6000) < expit(hidden)).astype(int) + (generator.random(6000) < 0.5)
    m1 = t + generator.normal(size=6000)
    m2 = -0.5 * t + 0.3 * m1 + generator.normal(size=6000)
    y = m1 + 2 * m2 + hidden + generator.normal(size=6000)
    frame = pd.DataFrame({"t": t, "m1": m1, "m2": m2, "y": y})
    found = pc.estimate(FrontDoor("t", "y", ["m1", "m2"]), frame, contrast=(2, 0))
    assert abs(found.value - 1.2) < 4 * found.std_error < 1.0


def test_refused():
    frame = front_door(np.random.default_rng(1), 200)
    with pytest.raises(EstimateError, match="these are for adjustment"):
        pc.estimate("y", "t", frame, mediators=["m"], effect="att")
    with pytest.raises(EstimateError, match="needs a mediator"):
        pc.estimate("y", "t", frame, mediators=[])
