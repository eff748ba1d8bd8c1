"""Importance weights: their diagnostics against ArviZ and closed forms, and draws from them."""

import arviz
import numpy as np
import pytest
import torch

from pyrocausal.abduct.weights import effective_sample_size, pareto_k, resample

NORMAL = np.random.default_rng(0).normal(size=2000)
UNIFORM = np.random.default_rng(1).uniform(size=2000)

WEIGHTS = {
    "light": NORMAL,
    "heavy": 5 * NORMAL,
    "Pareto": -0.8 * np.log(UNIFORM),
    "bounded": np.log(UNIFORM),
    "far from 0": NORMAL - 1e5,
    "few values": np.floor(3 * NORMAL),
    "a tenth possible": np.where(UNIFORM < 0.1, NORMAL, -np.inf),
    "a twentieth, equal": np.where(UNIFORM < 0.05, 0.0, -np.inf),
    "three possible": np.where(np.arange(2000) < 3, 0.0, -np.inf),
}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("draws", [100, 1000, 2000])
def test_pareto_k_is_that_of_arviz(name, draws):
    """Where weights tie the tail is shorter, and the grids of the two quadratures differ."""
    theirs = float(arviz.psislw(WEIGHTS[name][:draws])[1])
    ours = float(pareto_k(torch.tensor(WEIGHTS[name][:draws, None])))
    assert ours == pytest.approx(theirs, rel=0.02, abs=1e-4)


def test_pareto_k_of_each_unit_is_its_own():
    together = pareto_k(torch.tensor(np.stack(list(WEIGHTS.values()), 1)))
    alone = [float(pareto_k(torch.tensor(w[:, None]))) for w in WEIGHTS.values()]
    assert together.tolist() == pytest.approx(alone)


def test_equal_weights_are_the_best():
    assert pareto_k(torch.zeros(1000, 1)).tolist() == [-torch.inf]
    assert effective_sample_size(torch.zeros(1000, 1)).tolist() == pytest.approx([1000])


def test_effective_sample_size_of_lognormal_weights():
    """E[w]² / E[w²] = exp(-s²) for log w ~ N(0, s²)."""
    found = effective_sample_size(0.5 * torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0)))
    assert float(found) / 100_000 == pytest.approx(np.exp(-0.25), rel=0.02)


@pytest.mark.parametrize("count", [None, 7, 5000])
def test_resampling_takes_each_draw_as_often_as_it_weighs(count):
    """Systematic: within one of count times its weight."""
    log_weights = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0))
    chosen = resample(log_weights, torch.Generator().manual_seed(1), count)
    assert chosen.shape == (count or 1000, 3)
    for unit in range(3):
        times = torch.bincount(chosen[:, unit], minlength=1000)
        due = torch.softmax(log_weights[:, unit].double(), 0) * (count or 1000)
        assert ((times - due).abs() < 1).all()


def test_draws_of_no_weight_are_never_taken():
    log_weights = torch.full((1000, 1), -torch.inf)
    log_weights[3:500] = 0.0
    chosen = resample(log_weights, torch.Generator().manual_seed(0), 100_000)
    assert chosen.min() == 3 and chosen.max() == 499
