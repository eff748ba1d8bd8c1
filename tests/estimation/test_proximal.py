"""Effects from two proxies of a hidden confounder, against the closed forms and known truth."""

import logging

import numpy as np
import pandas as pd
import pytest

import pyrocausal as pc
from pyrocausal.errors import EstimateError

EFFECT, NAIVE = -0.7, 0.3


def linear(seed, n=500, strength=1.0):
    g = np.random.default_rng(seed)
    c, u = g.normal(size=(2, n))
    z, w = strength * u + c + g.normal(size=n), u - c + g.normal(size=n)
    t = u + c + g.normal(size=n)
    return pd.DataFrame({"c": c, "z": z, "w": w, "t": t, "y": EFFECT * t + 2 * u + g.normal(size=n)})


def discrete(seed, n=2000, accuracy=0.85):
    """z and w are noisy readings of u, t follows u; the truth is 0.1 whatever u is."""
    g = np.random.default_rng(seed)
    u = g.integers(0, 2, n)
    z, w = (np.where(g.random(n) < accuracy, u, 1 - u) for _ in range(2))
    t = (g.random(n) < 0.25 + 0.5 * u).astype(int)
    return pd.DataFrame({"z": z, "w": w, "t": t, "y": (g.random(n) < 0.2 + 0.1 * t + 0.5 * u).astype(int)})


def test_linear_is_the_ratio_of_covariances_of_kuroki_and_pearl():
    frame = linear(0)[["z", "w", "t", "y"]] * 1.0
    s = frame.cov()
    ratio = (s.t.y * s.z.w - s.z.y * s.w.t) / (s.t.t * s.z.w - s.z.t * s.w.t)
    found = pc.estimate("y", "t", frame, proxies=["z", "w"])
    assert found.value == pytest.approx(ratio)
    assert pc.estimate("y", "t", frame, proxies=["z", "w"], contrast=(3, 1)).value == pytest.approx(2 * ratio)


def test_linear_intervals_cover_and_the_naive_ones_do_not():
    """200 samples at 95 %: under 180 covering has probability 5e-4. The seeds are fixed."""

    def covers(**how):
        return sum(
            low <= EFFECT <= high
            for low, high in (pc.estimate("y", "t", linear(seed), **how).interval for seed in range(200))
        )

    assert covers(proxies=["z", "w"], adjust=["c"]) >= 180
    assert covers(adjust=["c", "z", "w"], method="regression", replicas=50, learners="linear") < 20


def test_the_matrix_is_the_formula():
    frame = discrete(0)
    value = {}
    for t in (0, 1):
        rows = frame[frame.t == t]
        given = rows.groupby("z")
        matrix = np.stack([1 - given.w.mean(), given.w.mean()], 1)
        value[t] = given.y.mean() @ np.linalg.inv(matrix.T) @ [1 - frame.w.mean(), frame.w.mean()]
    found = pc.estimate("y", "t", frame, proxies=["z", "w"], replicas=50)
    assert found.value == pytest.approx(value[1] - value[0])
    assert "matrix" in found.method and not found.warnings


def test_matrix_intervals_cover():
    """100 samples at 95 %: under 87 covering has probability 5e-4; the crude difference is 0.25 off."""
    kinds = [discrete(seed) for seed in range(100)]
    found = [pc.estimate("y", "t", frame, proxies=["z", "w"], replicas=100).interval for frame in kinds]
    assert sum(low <= 0.1 <= high for low, high in found) >= 87
    assert all(frame.groupby("t").y.mean().diff().iloc[-1] > 0.25 for frame in kinds)


def test_names_for_levels_and_more_levels_of_the_first_proxy():
    frame = discrete(1)
    named = frame.assign(z=frame.z.map({0: "low", 1: "high"}), t=frame.t == 1)
    same = pc.estimate("y", "t", named, proxies=["z", "w"], replicas=50, contrast=(True, False))
    assert same.value == pytest.approx(pc.estimate("y", "t", frame, proxies=["z", "w"], replicas=50).value)
    three = frame.assign(z=frame.z + (np.arange(len(frame)) % 2) * (frame.z == 1))
    assert abs(pc.estimate("y", "t", three, proxies=["z", "w"], replicas=50).value - 0.1) < 0.15


def test_weak_proxies_are_said(caplog):
    caplog.set_level(logging.WARNING, "pyrocausal")
    assert pc.estimate("y", "t", linear(0, strength=0.0), proxies=["z", "w"], adjust=["c"]).warnings
    assert pc.estimate("y", "t", discrete(0, accuracy=0.5), proxies=["z", "w"], replicas=50).warnings
    assert "weak proxies" in caplog.text


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"proxies": ["z"]}, "pass two"),
        ({"proxies": "z"}, r"write proxies=\['z'\]"),
        ({"proxies": ["z", "w"], "instruments": ["c"]}, "choose one"),
        ({"proxies": ["z", "w"], "learners": "linear"}, "leave it out"),
        ({"proxies": ["z", "w"], "method": "matrix-bridge", "adjust": ["c"]}, "no room"),
        ({"proxies": ["z", "w"], "method": "matrix-bridge"}, "more than 10 levels"),
        ({"proxies": ["z", "w"], "method": "aipw"}, "its methods are proximal"),
        ({"proxies": ["z", "w"], "contrast": ("a", "b")}, "a slope, for numbers"),
        ({"proxies": ["z", "copy"]}, "linear function of the treatment"),
    ],
)
def test_bad_input_is_refused(how, says):
    frame = linear(0).assign(copy=lambda f: 2 * f.t)
    with pytest.raises(EstimateError, match=says):
        pc.estimate("y", "t", frame, **how)


def test_levels_that_do_not_fit_are_refused():
    frame = discrete(0)
    with pytest.raises(EstimateError, match="fewer equations"):
        pc.estimate("y", "t", frame.assign(w=frame.w + (frame.index % 2)), proxies=["z", "w"])
    with pytest.raises(EstimateError, match="is never 1 where 't' is 0"):
        pc.estimate("y", "t", frame.assign(z=frame.z * frame.t), proxies=["z", "w"])
