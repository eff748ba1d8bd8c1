"""log p(x) is torch's inside the support, and -inf outside of it."""

import math

import pyro.distributions as dist
import pyro.distributions.transforms as pt
import pytest
import torch

from pyrocausal.exogenous import exogenous
from pyrocausal.exogenous.density import log_density

from .catalogue import ALL, ids

# torch's GeneralizedPareto compares with a float32 zero and can't be scored in float64
SCORED = [case for case in ALL if "GeneralizedPareto" not in case.name]


@pytest.fixture(autouse=True)
def unvalidated():
    """As within a program's run: validation branches on data, which a map over units can't."""
    before = torch.distributions.Distribution._validate_args
    torch.distributions.Distribution.set_default_validate_args(False)
    yield
    torch.distributions.Distribution.set_default_validate_args(before)


@pytest.mark.parametrize("case", SCORED, ids=ids(SCORED))
def test_inside_the_support_it_is_what_torch_says(case):
    d = case()
    u = exogenous(d, case.coupling).law.sample((), torch.Generator().manual_seed(0), torch.float64)
    x = exogenous(d, case.coupling).push(u)
    assert torch.allclose(log_density(d, x), d.log_prob(x), rtol=1e-9, atol=1e-9, equal_nan=True)


def shifted(base):
    return dist.TransformedDistribution(base, pt.AffineTransform(torch.tensor(3.0), torch.tensor(1.0)))


def exponential():
    return dist.Exponential(torch.tensor(1.0))


OUTSIDE = {
    "Exponential": (exponential, -5.0),
    "shifted": (lambda: shifted(exponential()), 2.0),
    "shifted twice": (lambda: shifted(shifted(exponential())), 5.0),
    "Pareto": (lambda: dist.Pareto(torch.tensor(2.0), torch.tensor(1.5)), 1.0),
    "Weibull": (lambda: dist.Weibull(torch.tensor(2.0), torch.tensor(2.0)), -1.0),
    "GeneralizedPareto": (lambda: dist.GeneralizedPareto(*torch.tensor([1.0, 2.0, 0.3]).unbind()), 0.5),
    "sigmoid": (lambda: dist.TransformedDistribution(dist.Normal(0.0, 1.0), pt.SigmoidTransform()), 2.0),
    "expanded": (lambda: shifted(exponential()).expand([3]).to_event(1), 2.0),
    "masked": (lambda: shifted(exponential()).mask(torch.tensor(True)), 2.0),
    "ContinuousBernoulli": (lambda: dist.ContinuousBernoulli(torch.tensor(0.9)), 1.5),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_it_is_minus_infinity_also_over_units(name):
    build, outside = OUTSIDE[name]
    x = torch.full(build().shape(), outside)
    assert log_density(build(), x) == -math.inf
    over = torch.vmap(lambda v: log_density(build(), v))(torch.stack([x, x]))
    assert (over == -math.inf).all()


def test_a_vector_is_outside_if_one_of_its_numbers_is():
    d = shifted(dist.Exponential(torch.ones(2))).to_event(1)
    scores = log_density(d, torch.tensor([[4.0, 4.0], [2.0, 4.0]]))
    assert scores.tolist() == [-2.0, -math.inf]


def test_only_the_components_that_reach_a_value_count():
    weights = torch.tensor([0.25, 0.75])
    late = dist.TransformedDistribution(
        dist.Exponential(torch.ones(2)), pt.AffineTransform(torch.tensor([0.0, 3.0]), 1.0)
    )
    d = dist.MixtureSameFamily(dist.Categorical(weights), late)
    found = log_density(d, torch.tensor([1.0, 4.0]))
    truth = torch.tensor([0.25 * math.exp(-1), 0.25 * math.exp(-4) + 0.75 * math.exp(-1)]).log()
    assert torch.allclose(found, truth, atol=1e-6)


def test_what_is_masked_has_no_density():
    d = exponential().expand([2]).mask(torch.tensor([True, False])).to_event(1)
    assert log_density(d, torch.tensor([1.0, -1.0])) == -1.0
    assert log_density(exponential().mask(False), torch.tensor(-1.0)) == 0.0
