"""Overlap: chances and effective rows against formulas; values that nobody has are flagged."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.checks.effect import Effect
from pyrocausal.checks.overlap import check_overlap
from pyrocausal.checks.rows import Rows


def binary(slope=1.0):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        t = pyro.sample("t", dist.Bernoulli(logits=slope * x))
        pyro.sample("y", dist.Normal(t + x, 1.0))

    return program


def dose(spread=1.0):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        t = pyro.sample("t", dist.Normal(x, spread))
        pyro.sample("y", dist.Normal(t + x, 1.0))

    return program


def levels():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    t = pyro.sample("t", dist.Categorical(logits=torch.stack([x, -x, torch.zeros(()), torch.tensor(-30.0)])))
    pyro.sample("y", dist.Normal(t + x, 1.0))


def measured(program, *contrast, units=500, data=None):
    scm = pc.SCM(program)
    rows = Rows.of(scm, scm.sample(units, seed=0) if data is None else data)
    found, pictures = check_overlap(rows, Effect("t", "y", contrast))
    return found, pictures.get("overlap", []), rows.values


def test_a_binary_treatment():
    found, (on, off), rows = measured(binary(), 1, 0)
    chance = torch.sigmoid(rows["x"]).double()
    assert on.chance == pytest.approx(chance.numpy(), abs=1e-5)
    assert off.chance == pytest.approx(1 - chance.numpy(), abs=1e-5)
    w = (rows["t"] / chance).numpy()
    assert on.effective == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-4)
    assert [f.verdict for f in found] == ["pass", "pass"]
    assert [f.about for f in found] == ["do(t=1)", "do(t=0)"]


def test_no_overlap_is_flagged():
    assert {f.verdict for f in measured(binary(slope=4.0), 1, 0)[0]} == {"fail"}
    assert {f.verdict for f in measured(binary(slope=2.4), 1, 0)[0]} == {"warn"}


def test_a_value_that_nobody_has_fails():
    (never, _), _, _ = measured(levels, 3, 0)
    assert never.verdict == "fail" and "no data tell" in never.meaning
    (far, _), _, _ = measured(dose(), 9.0, 0.0)
    assert far.verdict == "fail" and "no data tell" in far.meaning
    data = {"x": torch.zeros(60), "t": torch.ones(60), "y": torch.zeros(60)}
    found, _, _ = measured(binary(), 1, 0, data=data)
    assert [f.verdict for f in found] == ["pass", "fail"]


def test_a_shift_has_the_effective_rows_of_its_density_ratio():
    """Of T ~ N(x, 1) moved by d the weights have E[w²] = exp(d²)."""
    _, (small, large), _ = measured(dose(), lambda t: t + 0.5, lambda t: t + 3.0, units=2000)
    assert small.effective / 2000 == pytest.approx(math.exp(-0.25), rel=0.05)
    assert large.effective < 20
    _, (stretched,), _ = measured(dose(), lambda t: 0.9 * t, None, units=2000)
    assert 1000 < stretched.effective <= 2001


def test_a_shift_of_levels():
    _, (flip,), rows = measured(binary(), lambda t: 1 - t, None)
    p = torch.sigmoid(rows["x"]).double()
    own = torch.where(rows["t"] == 1, p, 1 - p)
    w = ((1 - own) / own).numpy()
    assert flip.effective == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-4)
    _, (all_on, on), _ = measured(binary(), lambda t: torch.ones_like(t), 1)
    assert all_on.effective == pytest.approx(on.effective)


def test_a_draw_from_the_treatments_own_law_costs_nothing():
    def program():
        t = pyro.sample("t", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(t, 1.0))

    found, (same, narrow), _ = measured(program, dist.Normal(0.0, 1.0), dist.Normal(0.0, 0.5))
    assert same.effective == pytest.approx(500) and found[0].verdict == "pass"
    assert 100 < narrow.effective < 400
    _, (coin,), _ = measured(binary(slope=0.0), dist.Bernoulli(0.5), None)
    assert coin.effective == pytest.approx(500)


def test_values_for_each_row_and_policies():
    value = torch.arange(500) % 2
    _, (given,), rows = measured(binary(), value.numpy(), None)
    p = torch.sigmoid(rows["x"]).double()
    assert given.chance == pytest.approx(torch.where(value == 1, p, 1 - p).numpy(), abs=1e-5)
    _, (policy,), rows = measured(binary(), pc.policy(lambda v: v["x"] > 0), None)
    p = torch.sigmoid(rows["x"]).double()
    assert policy.chance == pytest.approx(torch.where(rows["x"] > 0, p, 1 - p).numpy(), abs=1e-5)


def test_a_dose_is_beside_the_density_of_all_rows():
    _, (zero,), rows = measured(dose(), 0.0, None, units=2000)
    of_row = torch.exp(dist.Normal(rows["x"], 1.0).log_prob(torch.zeros(()))).double()
    of_all = math.exp(dist.Normal(0.0, 2**0.5).log_prob(torch.zeros(())))
    assert zero.chance == pytest.approx(of_row.numpy() / of_all, rel=0.1)


def test_counts_and_what_has_no_chance():
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 0.3))
        t = pyro.sample("t", dist.Poisson(torch.exp(x)))
        pyro.sample("y", dist.Normal(t, 1.0))

    _, (two,), rows = measured(program, 2, None)
    expected = dist.Poisson(rows["x"].exp()).log_prob(torch.tensor(2.0)).exp()
    assert two.chance == pytest.approx(expected.numpy(), rel=1e-4)

    def hidden():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        t = pyro.sample("t", dist.Normal(u, 1.0))
        pyro.sample("y", dist.Normal(t + u, 1.0))

    scm = pc.SCM(hidden, latent=["u"])
    (finding,), pictures = check_overlap(
        Rows.of(scm, {"t": np.zeros(60), "y": np.zeros(60)}), Effect("t", "y")
    )
    assert finding.verdict == "not run" and "'u'" in finding.meaning and not pictures
