"""Tests for pyrocausal.mechanisms.heads."""

import math

import numpy as np
import pyro.distributions as dist
import pytest
import torch

from pyrocausal import mechanisms as m
from pyrocausal.errors import ProgramError

from .fitting import calibrate, column, fit, nll, over_units, set_up

N = 2000


def parent(seed=0, n=N):
    """A year: a number of mean 2000 and sd 10; and its standardised value."""
    t = torch.randn(n, generator=torch.Generator().manual_seed(seed))
    return 2000 + 10 * t, t


def coefficients(head):
    """The linear start, per standard deviation of the (only) parent and at its mean."""
    weight = head.predictor.linear[:, 0] * 10 / head.predictor.standardise.scale
    return weight.detach().double().numpy(), head.predictor.bias.detach().double().numpy()


# ---- starts are maximum likelihood: checked against Newton's method, written out


def newton(x, year, inverse_link, variance):
    """The maximum-likelihood weights of a generalised linear model with its canonical link."""
    design = np.column_stack([year, np.ones(len(x))]).astype(float)
    design[:, 0] = (design[:, 0] - design[:, 0].mean()) / 10
    weights = np.zeros(2)
    for _ in range(30):
        mean = inverse_link(design @ weights)
        information = design.T @ (design * variance(mean)[:, None])
        weights = weights + np.linalg.solve(information, design.T @ (x.double().numpy() - mean))
    return weights


def test_bernoulli_starts_at_logistic_regression():
    year, t = parent()
    x = dist.Bernoulli(logits=1.2 * t - 2).sample()
    head = m.Bernoulli()
    calibrate(head, x, year)
    expected = newton(x, year, lambda e: 1 / (1 + np.exp(-e)), lambda p: p * (1 - p))
    assert np.concatenate(coefficients(head)) == pytest.approx(expected, rel=1e-3)


def test_poisson_starts_at_poisson_regression():
    year, t = parent()
    x = dist.Poisson((0.7 * t + 1.5).exp()).sample()
    head = m.Poisson()
    calibrate(head, x, year)
    weight, bias = coefficients(head)
    expected = newton(x, year, np.exp, lambda rate: rate)
    assert [weight[0], bias[0] + head.log_mean.item()] == pytest.approx(list(expected), rel=1e-3)


def test_categorical_starts_at_multinomial_regression():
    year, t = parent()
    x = dist.Categorical(logits=torch.stack((0 * t, t, 2 * t - 1), 1)).sample()
    head = m.Categorical(3)
    calibrate(head, x, year)
    features = torch.stack((torch.ones(N), (year - year.mean()) / 10), 1).double()
    fitted = over_units(lambda year: head(year).probs, year).detach().double()
    one_hot = torch.eye(3, dtype=torch.float64)[x]
    assert (features.T @ (one_hot - fitted) / N).abs().max() < 1e-4  # the score equations


def test_negative_binomial_starts_near_the_truth():
    year, t = parent()
    rate = dist.Gamma(3.0, 3.0).sample((N,)) * (0.5 * t + 3).exp()
    head = m.NegativeBinomial()
    calibrate(head, dist.Poisson(rate).sample(), year)
    weight, bias = coefficients(head)
    assert weight[0] == pytest.approx(0.5, abs=0.1)
    assert bias[0] + head.log_mean.item() == pytest.approx(3, abs=0.1)
    assert math.exp(8 * math.tanh(bias[1] / 8)) == pytest.approx(3, rel=0.2)


@pytest.mark.parametrize("make", [m.Bernoulli, lambda: m.Categorical(2)], ids=["Bernoulli", "Categorical"])
def test_separable_data_give_a_finite_start(make):
    year, t = parent(n=100)
    head = make()
    given = calibrate(head, (t > 0).long() if isinstance(head, m.Categorical) else (t > 0).float(), year)
    assert head.predictor.linear.isfinite().all() and head.predictor.linear.abs().max() < 100
    assert 0 < nll(head, (t > 0).float(), *given) < 0.1


def test_a_level_or_a_count_that_never_occurs():
    year, _ = parent(n=50)
    level, count = m.Categorical(4), m.Poisson()
    calibrate(level, torch.arange(50) % 2, year)
    calibrate(count, torch.zeros(50, dtype=torch.long), year)
    assert 0 < level(year[0]).probs[3] < 0.02
    assert 0 < count(year[0]).rate < 0.05


def test_base_rates_without_parents():
    x = torch.tensor([0.0, 1.0, 1.0, 1.0]).repeat(50)
    head, level, count = m.Bernoulli(), m.Categorical(2), m.Poisson()
    for mechanism, value in ((head, x), (level, x.long()), (count, 4 * x)):
        calibrate(mechanism, value)
    assert head().probs.item() == pytest.approx(0.75, abs=1e-3)
    assert level().probs[1].item() == pytest.approx(0.75, abs=1e-3)
    assert count().rate.item() == pytest.approx(3, abs=1e-2)


# ---- training, in natural units


def heteroscedastic(scale, seed):
    """y = 10 + sin(2 t) + e^(t/2) e / 4, in units of `scale`; and its true NLL."""
    year, t = parent(seed)
    truth = dist.Normal(scale * (10 + torch.sin(2 * t)), scale * (t / 2).exp() / 4)
    y = truth.loc + truth.scale * torch.randn(N, generator=torch.Generator().manual_seed(seed + 1))
    return y, year, -truth.log_prob(y).mean()


@pytest.mark.parametrize("scale", [1e-3, 1e5])
def test_normal_reaches_the_true_likelihood_in_any_units(scale):
    y, year, _ = heteroscedastic(scale, seed=10)
    head = fit(m.Normal(hidden=(32, 32)), y, year, steps=400)
    y, year, true = heteroscedastic(scale, seed=20)
    assert nll(head, y, year) < true + 0.05


def test_bernoulli_learns_what_no_line_can():
    year, t = parent()
    x = dist.Bernoulli(logits=3 * torch.cos(2 * t)).sample()
    line, head = m.Bernoulli(hidden=()), fit(m.Bernoulli(hidden=(32, 32)), x, year, steps=150)
    calibrate(line, x, year)
    true = -dist.Bernoulli(logits=3 * torch.cos(2 * t)).log_prob(x).mean()
    assert nll(head, x, year) < true + 0.03 < nll(line, x, year)


def test_beyond_the_data_only_the_linear_part_goes_on():
    y, year, _ = heteroscedastic(1.0, seed=10)
    head = fit(m.Normal(hidden=(32, 32)), y, year, steps=50)
    at = [head(year.max() + 100 * step) for step in range(1, 4)]
    torch.testing.assert_close(at[2].loc - at[1].loc, at[1].loc - at[0].loc, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(at[2].scale, at[0].scale)


def test_latent_parents_are_not_clamped():
    z = torch.randn(50, generator=torch.Generator().manual_seed(0))
    head = m.Normal()
    calibrate(head, z.exp(), column(z, latent=True))
    assert head.predictor.low.item() == -math.inf and head.predictor.high.item() == math.inf


def test_penalty_weighs_as_the_prior_over_the_rows():
    year, t = parent(n=100)
    head = m.Normal(hidden=(8,))
    calibrate(head, t, year)
    with torch.no_grad():
        head.predictor.network[-1].weight.fill_(0.5)
        assert head.penalty().item() == pytest.approx(0.5 * 16 * 0.25 / 100)


# ---- levels


def test_levels_are_kept():
    assert m.Categorical(["low", "high"]).levels == ("low", "high")
    assert m.Categorical(5).levels is None
    head = m.Categorical(("a", "b", "c"))
    set_up(head)
    assert head().probs.shape == (3,)


@pytest.mark.parametrize("levels", [1, 0, ["only"], ["twice", "twice"], "abc"])
def test_levels_that_cannot_be(levels):
    with pytest.raises(ProgramError, match="can't be the levels"):
        m.Categorical(levels)


@pytest.mark.parametrize("head", [m.Poisson, m.NegativeBinomial])
def test_counts_in_the_millions(head):
    year, t = parent(n=300)
    rate = 2e6 * (0.3 * t).exp()
    x = rate.round()
    mechanism = head()
    given = calibrate(mechanism, x, year)
    assert mechanism(given[0][0]).mean.item() == pytest.approx(rate[0].item(), rel=0.02)
    assert nll(mechanism, x, *given).isfinite()
