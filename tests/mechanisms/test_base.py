"""Tests for pyrocausal.mechanisms.base: what holds for every mechanism."""

import copy

import pyro
import pyro.distributions as dist
import pytest
import torch

from pyrocausal import mechanisms as m
from pyrocausal.errors import DataError, ProgramError
from pyrocausal.mechanisms.base import Block, Origin, Standardise, block_of, mechanism_of, tag

from .fitting import calibrate, column, encode, nll, over_units, round_trip, set_up, stir

N = 30


def values(seed=0):
    """A number near 100,000, a level out of three, and a latent vector."""
    generator = torch.Generator().manual_seed(seed)
    number = 1e5 + 1e4 * torch.randn(N, generator=generator)
    level = torch.randint(3, (N,), generator=generator)
    return number, level, torch.randn(N, 2, generator=generator)


def parents():
    number, level, latent = values()
    return number, column(level, cardinality=3), column(latent, latent=True)


def outcome(kind):
    number, level, latent = values()
    t = (number - 1e5) / 1e4
    generator = torch.Generator().manual_seed(2)
    y = 3e-3 * (t + level + latent[:, 0] + torch.randn(N, generator=generator))
    count = torch.poisson((1 + 0.3 * t).exp(), generator=generator)
    vector = torch.stack((y, y**2, 1e3 * torch.randn(N, generator=generator)), 1)
    return {"number": y, "binary": (y > 0).float(), "level": level.roll(1), "count": count, "vector": vector}[
        kind
    ]


MECHANISMS = {
    "Linear": (m.Linear, "number"),
    "Linear(dim=3)": (lambda: m.Linear(dim=3), "vector"),
    "Normal": (m.Normal, "number"),
    "Bernoulli": (m.Bernoulli, "binary"),
    "Categorical": (lambda: m.Categorical(3), "level"),
    "Poisson": (m.Poisson, "count"),
    "NegativeBinomial": (m.NegativeBinomial, "count"),
    "Spline": (m.Spline, "number"),
    "Autoregressive": (lambda: m.Autoregressive(3), "vector"),
    "Autoregressive(bins=0)": (lambda: m.Autoregressive(3, bins=0), "vector"),
    "Coupling": (lambda: m.Coupling(3), "vector"),
}
each_mechanism = pytest.mark.parametrize("make, kind", MECHANISMS.values(), ids=MECHANISMS)


@each_mechanism
def test_vmap_equals_a_loop_over_units(make, kind):
    mechanism, x = make(), outcome(kind)
    given = calibrate(mechanism, x, *parents())
    stir(mechanism)
    mapped = over_units(lambda x, *one: mechanism(*one).log_prob(x), x, *given)
    with pyro.validation_enabled(True):
        looped = torch.stack([mechanism(*(p[i] for p in given)).log_prob(x[i]) for i in range(N)])
    torch.testing.assert_close(mapped, looped, rtol=1e-4, atol=1e-4)


@each_mechanism
def test_works_without_parents(make, kind):
    mechanism, x = make(), outcome(kind)
    calibrate(mechanism, x)
    stir(mechanism)
    torch.testing.assert_close(nll(mechanism, x), -mechanism().log_prob(x).mean(), rtol=1e-4, atol=1e-4)
    total = nll(mechanism, x) + mechanism.penalty()
    total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in mechanism.parameters())


@each_mechanism
def test_noise_gives_the_value_back(make, kind):
    mechanism, x = make(), outcome(kind)
    given = calibrate(mechanism, x, *parents())
    stir(mechanism)
    again = round_trip(mechanism, x, *given)
    tolerance = 1e-5 * x.std(0) if kind in ("number", "vector") else 0
    assert ((again - x).abs() <= tolerance).all()


@each_mechanism
def test_finite_far_outside_the_data(make, kind):
    mechanism, x = make(), outcome(kind)
    number, level, latent = calibrate(mechanism, x, *parents())
    stir(mechanism)
    for far in (-1e9, 1e9):  # 1e5 sd away
        given = (torch.full_like(number, far), level, latent)
        logs = over_units(lambda x, *one: mechanism(*one).log_prob(x), x, *given)
        assert logs.isfinite().all()


@each_mechanism
def test_untrained_and_uncalibrated_is_usable(make, kind):
    mechanism = make()
    given = set_up(mechanism, *parents())
    assert nll(mechanism, torch.zeros_like(outcome(kind)), *given).isfinite()
    assert torch.as_tensor(mechanism.penalty()).detach() == 0


@each_mechanism
def test_scales_are_learned_once(make, kind):
    mechanism, x = make(), outcome(kind)
    given = calibrate(mechanism, x, *parents())
    before = copy.deepcopy(mechanism.state_dict())
    mechanism.calibrate("x", x.roll(7, 0), encode(mechanism, given, N).roll(3, 0))
    after = mechanism.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    mechanism.reset()
    assert not mechanism.calibrated and mechanism.built


@each_mechanism
def test_state_moves_to_a_fresh_mechanism(make, kind):
    mechanism, x = make(), outcome(kind)
    given = calibrate(mechanism, x, *parents())
    stir(mechanism)
    other = make()
    set_up(other, *parents())
    other.load_state_dict(mechanism.state_dict())
    torch.testing.assert_close(nll(other, x, *given), nll(mechanism, x, *given), rtol=0, atol=0)


@each_mechanism
def test_runs_in_double(make, kind):
    mechanism, x = make(), outcome(kind)
    given = calibrate(mechanism, x, *parents())
    single = nll(stir(mechanism), x, *given)
    x = x.double() if x.is_floating_point() else x
    double = nll(mechanism.double(), x, *given)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-3, atol=1e-3)


@each_mechanism
def test_marks_its_distribution(make, kind):
    mechanism = make()
    given = set_up(mechanism, *parents())
    distribution = mechanism(*(value[0] for value in given))
    marked, features = mechanism_of(distribution.mask(True))
    assert marked is mechanism and features.shape == (mechanism.num_features,)


def test_parents_are_encoded_by_what_they_are():
    mechanism = m.Normal()
    number, level, latent = set_up(mechanism, *parents())
    assert mechanism.num_features == 1 + 3 + 2
    assert mechanism.continuous == (True, False, False, False, False, False)
    expected = torch.cat((number[:, None], torch.eye(3)[level], latent), 1)
    torch.testing.assert_close(encode(mechanism, (number, level, latent), N), expected)


def test_binary_parents_are_indicators_and_counts_are_numbers():
    binary = Origin("binary", None, discrete=True, cardinality=2)
    count = Origin("count", None, discrete=True, cardinality=None)
    assert block_of(tag(torch.tensor(1.0), binary)) == Block(1, one_hot=False, continuous=False)
    assert block_of(tag(torch.tensor(7.0), count)) == Block(1, one_hot=False, continuous=True)


def test_a_mechanism_serves_one_variable():
    mechanism = m.Linear()
    mechanism(torch.tensor(1.0))
    with pytest.raises(ProgramError, match="built for 1 parents and called with 2"):
        mechanism(torch.tensor(1.0), torch.tensor(2.0))


def test_a_constant_column_is_an_error():
    with pytest.raises(DataError, match="'x' is constant"):
        calibrate(m.Normal(), torch.full((10,), 3.0), torch.arange(10.0))


def test_standardise_leaves_indicators_their_scale():
    standardise = Standardise((True, False, True))
    features = torch.tensor([[1e5, 0.0, 7.0], [3e5, 1.0, 7.0]])
    standardise.learn(features)
    torch.testing.assert_close(standardise(features), torch.tensor([[-1.0, -0.5, 0.0], [1.0, 0.5, 0.0]]))


def test_a_distribution_without_mechanism_has_none():
    assert mechanism_of(dist.Normal(0.0, 1.0).expand([2]).to_event(1)) is None


def test_mechanisms_are_copied_and_pickled():
    import copy
    import pickle

    from pyrocausal import mechanisms as m

    mechanism = m.Categorical(3, hidden=(4,))
    for twin in (copy.deepcopy(mechanism), pickle.loads(pickle.dumps(mechanism))):
        assert twin.made_with == {"levels": 3, "hidden": (4,)} == mechanism.made_with
