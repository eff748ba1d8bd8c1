"""Tests for pyrocausal.mechanisms.flow."""

import math

import pyro.distributions as dist
import pytest
import torch

from pyrocausal import mechanisms as m
from pyrocausal.errors import ProgramError

from .fitting import calibrate, encode, fit, nll, round_trip, stir

N = 2000


def parent(seed=0, n=N):
    t = torch.randn(n, generator=torch.Generator().manual_seed(seed))
    return 2000 + 10 * t, t


def skewed(scale, seed):
    """A shifted log-normal whose spread depends on the parent, in units of `scale`; and its true NLL."""
    year, t = parent(seed)
    truth = dist.LogNormal(0.0, 0.5 + 0.2 * torch.tanh(t))
    e = (truth.base_dist.scale * torch.randn(N, generator=torch.Generator().manual_seed(seed + 1))).exp()
    return scale * (100 + 3 * t + e), year, math.log(scale) - truth.log_prob(e).mean()


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_spline_reaches_the_true_likelihood_in_any_units(scale):
    y, year, _ = skewed(scale, seed=10)
    flow = fit(m.Spline(hidden=(32,)), y, year, steps=150)
    y, year, true = skewed(scale, seed=20)
    assert nll(flow, y, year) < true + 0.1


def banana(seed, n=4000):
    """x₀ ~ N(0, 1), x₁ = x₀² + 0.3 e, in units of (1000, 0.01); and its entropy."""
    e = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    x = torch.stack((e[:, 0], e[:, 0] ** 2 + 0.3 * e[:, 1]), 1) * torch.tensor([1e3, 1e-2])
    return x, math.log(2 * math.pi * math.e) + math.log(0.3 * 1e3 * 1e-2)


@pytest.mark.parametrize(
    "make",
    [lambda: m.Autoregressive(2, transforms=1, hidden=(32,)), lambda: m.Coupling(2, bins=0, hidden=(32,))],
    ids=["Autoregressive", "Coupling"],
)
def test_a_banana_is_learned(make):
    x, _ = banana(seed=1)
    flow = fit(make(), x, steps=200, lr=2e-2)
    x, entropy = banana(seed=2)
    assert nll(flow, x) < entropy + 0.1


def vectors(dim, n=200):
    year, t = parent(n=n)
    e = torch.randn(n, dim, generator=torch.Generator().manual_seed(5))
    return (e + t[:, None]) * 10.0 ** torch.linspace(-3, 3, dim), year


FLOWS = {
    "Spline": lambda dim: m.Spline(),
    "Autoregressive": m.Autoregressive,
    "Autoregressive, affine": lambda dim: m.Autoregressive(dim, transforms=3, bins=0),
    "Coupling": m.Coupling,
    "Coupling, affine": lambda dim: m.Coupling(dim, bins=0),
}


@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize("make", FLOWS.values(), ids=FLOWS)
def test_the_inverse_is_exact_in_the_tails_too(make, dim):
    flow = make(dim)
    x, year = vectors(dim)
    x = x[:, 0] if isinstance(flow, m.Spline) else x
    calibrate(flow, x, year)
    stir(flow, 0.05)
    far = torch.logspace(0, 6, len(x)).reshape(-1, *[1] * (x.dim() - 1))
    for value in (x, x * far, -x * far):
        error = (round_trip(flow, value, year) - value).abs()
        assert (error <= 1e-5 * x.std(0) + 1e-6 * value.abs()).all()


@pytest.mark.parametrize("make", FLOWS.values(), ids=FLOWS)
def test_the_density_is_that_of_the_noise(make):
    flow = make(3).double() if isinstance(make, type) else make(3)
    x, year = vectors(3, n=5)
    x = x[:, 0] if isinstance(flow, m.Spline) else x
    calibrate(flow, x, year)
    stir(flow).double()
    d = flow.distribution(encode(flow, (year,), 5)[0].double())
    x = x[1].double()

    def noise(x):
        for transform in reversed(d.transforms):
            x = transform.inv(x)
        return x

    jacobian = torch.autograd.functional.jacobian(noise, x).reshape(x.numel(), -1)
    expected = d.base_dist.log_prob(noise(x)) + torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(d.log_prob(x), expected)


@pytest.mark.parametrize("make", FLOWS.values(), ids=FLOWS)
def test_training_starts_at_least_squares(make):
    flow = make(3)
    x, year = vectors(3)
    x = x[:, :1].squeeze(-1) if isinstance(flow, m.Spline) else x
    linear = m.Linear()
    calibrate(flow, x, year)
    start = nll(flow, x, year)
    expected = 0.0
    for column in x.reshape(len(x), -1).T:
        linear = m.Linear()
        calibrate(linear, column, year)
        expected += nll(linear, column, year)
    torch.testing.assert_close(start, expected, rtol=1e-3, atol=1e-3)


def test_a_layer_depends_on_coordinates_before_only():
    flow = m.Autoregressive(4, transforms=2)
    x, year = vectors(4, n=5)
    calibrate(flow, x, year)
    stir(flow)
    second, first, _ = flow.distribution(encode(flow, (year,), 5)[0]).transforms
    for transform, lower in ((first, True), (second, False)):
        jacobian = torch.autograd.functional.jacobian(transform.inv, torch.randn(4))
        masked = jacobian.tril() if lower else jacobian.triu()
        torch.testing.assert_close(jacobian, masked, rtol=0, atol=0)
        assert (jacobian.diagonal() > 0).all() and (jacobian != 0).sum() == 10


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_coupling_relates_every_pair_both_ways(dim):
    flow = m.Coupling(dim)
    related = torch.zeros(dim, dim, dtype=torch.bool)
    for layer in range(flow.transforms):
        ranks = flow.ranks(layer)
        assert set(ranks.tolist()) == {0, 1}
        related |= ranks[:, None] > ranks
    assert torch.equal(related, ~torch.eye(dim, dtype=torch.bool))


def test_a_density_takes_one_pass_of_each_network():
    flow = m.Autoregressive(3)
    x, year = vectors(3, n=5)
    calibrate(flow, x, year)
    passes = []
    for layer in flow.layers:
        layer.hyper.register_forward_hook(lambda *_: passes.append(1))
    flow(year[0]).log_prob(x[0])
    assert len(passes) == 2


@pytest.mark.parametrize("flow", [m.Autoregressive, m.Coupling])
def test_one_coordinate_is_no_vector(flow):
    with pytest.raises(ProgramError, match=r"Spline\(\) for a number"):
        flow(1)
