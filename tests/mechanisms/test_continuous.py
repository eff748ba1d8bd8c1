"""`Continuous`, the default for numbers: exactly invertible, the same under vmap, and close to the truth."""

import math

import pytest
import torch

from pyrocausal.mechanisms import Continuous
from pyrocausal.mechanisms.power import PowerScale
from pyrocausal.mechanisms.quantile import QuantileSpline

from .fitting import column, set_up


def data(n=600, seed=0):
    """Skewed x with a scale that depends on a skewed parent, a normal one and a binary one."""
    generator = torch.Generator().manual_seed(seed)
    e = torch.randn(n, 4, generator=generator)
    features = torch.stack((50 * e[:, 0].exp(), e[:, 1], (e[:, 2] > 0).float()), dim=-1)
    x = 1000 + 30 * (0.1 * features[:, 0]).sqrt() * (1 + features[:, 2]) * torch.exp(0.6 * e[:, 3])
    return x, features


def built(*parents, **options):
    """The mechanism with its layers, for these parents' values."""
    mechanism = Continuous(**options)
    set_up(mechanism, *parents)
    return mechanism


def an_arbitrary_one(seed=0, wild=0.3):
    """A mechanism with learnt scales and random weights: an arbitrary conditional distribution."""
    torch.manual_seed(seed)
    x, features = data()
    mechanism = built(features[:, 0], features[:, 1], column(features[:, 2], cardinality=2), hidden=16)
    mechanism.learn_scales(x, features)
    with torch.no_grad():
        for parameter in mechanism.parameters():
            parameter.add_(wild * torch.randn_like(parameter))
    return mechanism, x, features


def pull(distribution, x):
    for transform in reversed(distribution.transforms):
        x = transform.inv(x)
    return x


def push(distribution, u):
    for transform in distribution.transforms:
        u = transform(u)
    return u


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shift", [0.0, 20.0, -20.0, 1000.0])
def test_push_inverts_pull_also_far_out(seed, shift):
    mechanism, x, features = an_arbitrary_one(seed)
    x = x + shift * x.std()
    distribution = mechanism.distribution(features)
    back = push(distribution, pull(distribution, x))
    assert ((back - x).abs() <= 1e-5 * x.std() + 1e-6 * x.abs()).all()


def test_pull_inverts_push_and_both_increase():
    mechanism, _, features = an_arbitrary_one()
    u = torch.linspace(-6, 6, 201)[:, None]
    x = push(mechanism.distribution(features[:50]), u.expand(201, 50))
    assert x.isfinite().all() and (x.diff(dim=0) > 0).all()
    x, u = x.double(), u.double()
    assert ((pull(mechanism.double().distribution(features[:50].double()), x) - u).abs() < 0.02).all()


@pytest.mark.parametrize("factor", [-1e4, 1e4])
def test_features_far_from_the_data_stay_finite(factor):
    mechanism, x, features = an_arbitrary_one()
    distribution = mechanism.distribution(features * factor)
    assert push(distribution, torch.randn(len(x))).isfinite().all()
    assert distribution.log_prob(x).isfinite().all()


def test_log_prob_is_the_change_of_variables():
    mechanism, x, features = an_arbitrary_one()
    x = x.double().requires_grad_()
    distribution = mechanism.double().distribution(features.double())
    u = pull(distribution, x)
    slope = torch.autograd.grad(u.sum(), x)[0]
    expected = -0.5 * u**2 - 0.5 * math.log(2 * math.pi) + slope.log()
    torch.testing.assert_close(distribution.log_prob(x), expected, rtol=1e-4, atol=1e-4)
    generic = super(type(distribution), distribution).log_prob(x)
    torch.testing.assert_close(generic, expected, rtol=1e-4, atol=1e-4)


def test_one_unit_under_vmap_is_a_row_of_the_batch():
    mechanism, x, features = an_arbitrary_one()
    distribution = mechanism.distribution(features)
    u = torch.vmap(lambda x, f: pull(mechanism.distribution(f), x))(x, features)
    torch.testing.assert_close(u, pull(distribution, x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        torch.vmap(lambda u, f: push(mechanism.distribution(f), u))(u, features),
        push(distribution, u),
        rtol=1e-5,
        atol=1e-3,
    )
    torch.testing.assert_close(
        torch.vmap(lambda x, f: mechanism.distribution(f).log_prob(x))(x, features),
        distribution.log_prob(x),
        rtol=1e-4,
        atol=1e-4,
    )


def test_slopes_far_out_differ_by_a_bounded_factor():
    mechanism, _, features = an_arbitrary_one(wild=1.0)
    mechanism.free.fill_(1.0)
    tails = mechanism.spline(mechanism.input_scale(features)).tails
    assert (tails.amax(0) / tails.amin(0) <= 4.001).all() and (tails.amax(0) > tails.amin(0)).all()


def test_parents_change_the_shape_within_bounds():
    """However wild the form's network is: where the parents are new, nothing else would hold it."""
    mechanism, _, features = an_arbitrary_one(wild=1.0)
    mechanism.free.fill_(1.0)
    h = mechanism.input_scale(features)
    with torch.no_grad():
        last = mechanism.form[-1]
        last.weight.mul_(1000.0)
        last.weight[0].zero_()  # the scale, which has a bound of its own
        last.bias[0].zero_()
        wild = mechanism.spline(h).table[..., 1, :]
        mechanism.free[1] = 0.0
        shared = mechanism.spline(h).table[..., 1, :]
    ratio = (wild / shared).log().abs()
    assert 1.0 < ratio.max() <= 2.0


def test_a_root_has_no_features():
    mechanism = built()
    x = torch.randn(500).exp() * 1e6
    mechanism.learn_scales(x, torch.zeros(500, 0))
    assert mechanism.distribution(torch.zeros(0)).batch_shape == ()
    assert mechanism.distribution(torch.zeros(500, 0)).log_prob(x).isfinite().all()
    assert mechanism.distribution(torch.zeros(7, 0)).sample().shape == (7,)


def test_the_start_is_least_squares():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2000, 2, generator=generator)
    x = 3 + features @ torch.tensor([1.0, -2.0]) + 0.1 * torch.randn(2000, generator=generator)
    mechanism = built(*features.T)
    mechanism.learn_scales(x, features)
    assert (
        mechanism.distribution(features).log_prob(x).mean()
        > -(0.5 * math.log(2 * math.pi * math.e) + math.log(0.1)) - 0.1
    )


def test_the_start_takes_a_quadratic_that_pays():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2000, 2, generator=generator)
    x = features[:, 0] * features[:, 1] + 0.1 * torch.randn(2000, generator=generator)
    mechanism = built(*features.T)
    mechanism.learn_scales(x, features)
    assert (
        mechanism.distribution(features).log_prob(x).mean()
        > -(0.5 * math.log(2 * math.pi * math.e) + math.log(0.1)) - 0.1
    )


def fit(mechanism, x, features, steps=120, lr=1e-2):
    mechanism.learn_scales(x, features)
    optimiser = torch.optim.Adam(mechanism.parameters(), lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        (mechanism.penalty() - mechanism.distribution(features).log_prob(x).mean()).backward()
        optimiser.step()


def test_a_quick_fit_is_near_the_true_likelihood():
    torch.manual_seed(0)
    f = torch.randn(3000, 1)
    x = (torch.sin(2 * f[:, 0]) + torch.exp(0.5 * f[:, 0]) * torch.randn(3000) / 2) * 100
    true = torch.distributions.Normal(100 * torch.sin(2 * f[:, 0]), 50 * torch.exp(0.5 * f[:, 0])).log_prob(x)
    mechanism = built(f[:, 0])
    fit(mechanism, x[:2000], f[:2000])
    assert mechanism.distribution(f[2000:]).log_prob(x[2000:]).mean() > true[2000:].mean() - 0.05


def test_ties_do_not_collapse_the_spline():
    torch.manual_seed(0)
    f = torch.randn(1000, 1)
    x = torch.floor(5 + f[:, 0] + 2 * torch.randn(1000))
    mechanism = built(f[:, 0])
    fit(mechanism, x, f)
    u = torch.randn(2000)
    draws = push(mechanism.distribution(f[:1].expand(2000, 1)), u)
    near_a_tie = ((draws - draws.round()).abs() < 0.1).float().mean()
    assert near_a_tie < 0.45  # 0.2 if spread evenly, 1 if collapsed
    assert mechanism.distribution(f).log_prob(x).mean() < 0


@pytest.mark.parametrize("transform", [lambda e: e.exp(), lambda e: -e.exp(), lambda e: e, lambda e: 1e8 + e])
def test_power_scale_is_a_bijection_of_the_line(transform):
    x = transform(torch.randn(2000, generator=torch.Generator().manual_seed(0)).double())
    scale = PowerScale().double()
    scale.fit(x, torch.ones(2000, 1, dtype=torch.float64))
    z = torch.linspace(-50, 50, 1001, dtype=torch.float64)
    assert scale.inverse(z).isfinite().all() and (scale.inverse(z).diff() > 0).all()
    torch.testing.assert_close(scale(scale.inverse(z)), z, rtol=1e-4, atol=1e-4)
    assert abs(scale(x).mean()) < 1e-3 and abs(scale(x).std() - 1) < 1e-3
    skewness = scale(x).pow(3).mean()
    assert abs(skewness) < 0.3


def test_the_identity_is_a_spline():
    ones = torch.ones(8)
    spline = QuantileSpline(torch.zeros(()), ones, torch.ones(9), bound=3.0)
    u = torch.linspace(-5, 5, 101)
    torch.testing.assert_close(spline(u), u)
    torch.testing.assert_close(spline.inv(u), u, rtol=1e-5, atol=1e-5)
