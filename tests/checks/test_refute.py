"""Refits: an honest estimator passes, one that shrinks effects or sees them everywhere does not."""

import math

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from scipy import stats

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.checks import Effect
from pyrocausal.checks.refute import Refitted, Refuter, check_by_refits
from pyrocausal.checks.rows import Rows

EFFECT = Effect("t", "y")
QUICK = {"epochs": 2, "progress": False}


class Line(PyroModule):
    def __init__(self):
        super().__init__()
        self.x, self.t, self.y = m.Linear(), m.Linear(), m.Linear()

    def forward(self):
        x = pyro.sample("x", self.x())
        t = pyro.sample("t", self.t(x))
        pyro.sample("y", self.y(x, t))


def frame(n=400, seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    t = x + rng.normal(size=n)
    return pd.DataFrame({"x": x, "t": t, "y": t + x + rng.normal(size=n)}, index=np.arange(n) + 100)


@pytest.fixture(scope="module")
def fitted() -> pc.SCM:
    return pc.SCM.from_graph("x -> t; x -> y; t -> y", mechanisms={n: m.Linear() for n in "xty"}).fit(
        frame(), **QUICK
    )


def refuted(scm, data, effect=EFFECT, **options):
    (found, _), own = check_by_refits(Refuter(Rows.of(scm, data), effect, 20, 0, {**QUICK, **options}), 0.01)
    return {f.about: f for f in found}, own


def test_an_honest_estimator_passes(fitted):
    found, own = refuted(fitted, frame())
    assert {f.verdict for f in found.values()} == {"note", "pass"} and len(found) == 5
    low, high = own.interval()
    assert low < 1.0 < high and high - low < 0.5  # of least squares: 1 ± 0.1
    assert own.se == pytest.approx(0.05, rel=0.5)
    assert found["a common cause of noise added"].number < 0.5


class Shrinking(pc.SCM):
    """An estimator that finds half of every effect."""

    def bootstrap(self, *args, **options):
        return super().bootstrap(*args, **options) / 2


def test_a_shrinking_estimator_misses_a_known_effect():
    scm = Shrinking.from_graph("x -> t; x -> y; t -> y", mechanisms={n: m.Linear() for n in "xty"})
    found, _ = refuted(scm.fit(frame(), **QUICK), frame())
    assert found["simulated outcome"].verdict == "fail"
    assert found["placebo treatment"].verdict == "pass"  # half of nothing is nothing


def test_an_effect_that_is_everywhere_is_seen_in_the_placebo(fitted):
    class Everywhere(Effect):
        def __call__(self, scm, rows):
            return super().__call__(scm, rows) + 1.0

    found, _ = refuted(fitted, frame(), Everywhere("t", "y"))
    assert found["placebo treatment"].verdict == "fail"
    assert found["two halves"].verdict == "pass"


def test_any_function_of_scm_and_rows_gets_an_interval(fitted):
    def spread_of_y(scm, rows):
        return scm.do(t=1.0).sample(2000, seed=0)["y"].std()

    found, own = refuted(fitted, frame(), spread_of_y)
    assert set(found) == {"spread_of_y", "simulated outcome", "two halves"}
    assert own.mean == pytest.approx(math.sqrt(2), rel=0.1)


def test_tensors_and_programs_of_ones_own():
    data = {name: torch.tensor(column.to_numpy()).float() for name, column in frame().items()}
    found, _ = refuted(pc.SCM(Line()).fit(data, **QUICK), data)
    assert found["a common cause of noise added"].verdict == "not run"
    assert {f.verdict for f in found.values()} == {"note", "pass", "not run"}


def test_what_cannot_be_refitted_says_so():
    def fixed():
        t = pyro.sample("t", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(t, 1.0))

    scm = pc.SCM(fixed)
    found, own = refuted(scm, scm.sample(60, seed=0))
    assert own is None and [f.verdict for f in found.values()] == ["not run"]
    assert "nothing to train" in next(iter(found.values())).meaning


class Total(PyroModule):
    """The treatment determines a variable, so that shuffling it makes rows that can't be."""

    def __init__(self):
        super().__init__()
        self.t, self.y = m.Linear(), m.Linear()

    def forward(self):
        t = pyro.sample("t", self.t())
        double = pyro.deterministic("double", 2 * t)
        pyro.sample("y", self.y(double))


def test_a_refutation_whose_rows_cannot_be_says_so():
    data = frame()[["t"]].assign(double=lambda d: 2 * d.t)
    data["y"] = data.double + np.random.default_rng(0).normal(size=len(data))
    found, _ = refuted(pc.SCM(Total()).fit(data, **QUICK), data)
    assert found["placebo treatment"].verdict == "not run"
    assert found["simulated outcome"].verdict == "pass"


def test_the_p_value_is_uniform_where_all_is_right():
    """One sample's error and R refits around it: the p-value keeps its level, whatever R."""
    rng = np.random.default_rng(0)
    p = []
    for _ in range(2000):
        estimate = rng.normal()
        p.append(Refitted(torch.tensor(estimate + rng.normal(size=8)), 0.0).p_value)
    assert Refitted(torch.zeros(5), 0.0).p_value == 1.0 and Refitted(torch.ones(5), 0.0).p_value == 0.0
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_the_effect_is_the_models_own_with_the_refits_spread(fitted):
    found, own = refuted(fitted, frame())
    effect = found[str(EFFECT)]
    value = EFFECT(fitted, frame())
    assert effect.number == own.value == pytest.approx(value) and effect.verdict == "note"
    assert sum(own.interval()) / 2 == pytest.approx(value)


def test_refits_far_from_the_model_are_warned_of():
    """The model is of rows whose effect is 3, the refits of rows whose effect is 1."""
    other = frame(seed=1).assign(y=lambda d: d.y + 2 * d.t)
    scm = pc.SCM.from_graph("x -> t; x -> y; t -> y", mechanisms={n: m.Linear() for n in "xty"})
    found, own = refuted(scm.fit(other, **QUICK), frame())
    effect = found[str(EFFECT)]
    assert effect.verdict == "warn" and effect.number == pytest.approx(3.0, abs=0.3)
    assert own.mean == pytest.approx(1.0, abs=0.3) and "not alike" in effect.meaning
