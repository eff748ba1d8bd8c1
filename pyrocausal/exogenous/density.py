"""log p(x) of a distribution, zero outside its support.

Without validation (which branches on data, and stops at the first value outside) torch extrapolates some
densities: an Exponential's at -5 is finite, and so is that of any shift of it. A latent above such evidence
would keep draws that make the evidence impossible.
"""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as td
from pyro.distributions.torch_distribution import ExpandedDistribution, MaskedDistribution
from torch import Tensor
from torch.distributions import constraints

from .discrete import normalised_log_probs
from .wrappers import flatten


def log_density(d: Any, x: Tensor) -> Tensor:
    """log p(x) over the batch shape of `d`, -inf where a continuous x is outside the support.

    (What a discrete variable can be does not depend on its parents, and is checked when data come in.)

    >>> late = td.Exponential(1.0, validate_args=False)
    >>> log_density(late, torch.tensor([-1.0, 1.0]))
    tensor([-inf, -1.])
    """
    if isinstance(d, td.Independent):
        return _summed(log_density(d.base_dist, x), d.reinterpreted_batch_ndims)
    if isinstance(d, ExpandedDistribution):
        return log_density(d.base_dist, x)
    if isinstance(d, MaskedDistribution):
        return d.log_prob(x) if d._mask is False else _masked(d._mask, log_density(d.base_dist, x))
    if isinstance(d, td.MixtureSameFamily):
        each = log_density(d.component_distribution, x.unsqueeze(-1 - len(d.event_shape)))
        return torch.logsumexp(normalised_log_probs(d.mixture_distribution) + each, -1)
    if isinstance(d, dist.MaskedMixture):
        parts = log_density(d.component1, x), log_density(d.component0, x)
        return torch.where(d.mask, *parts)  # type: ignore[call-overload]  # Pyro's stub has a method there
    if type(d).log_prob is td.TransformedDistribution.log_prob:
        return _transformed(d, x)
    if type(d).log_prob is td.Uniform.log_prob:  # torch leaves the upper end out
        x = torch.where(x == d.high, d.low, x)
    return _within(_support(d), x, d.log_prob(x), len(d.event_shape))


def number_support(d: Any) -> Any:
    """The support of each number of a value; None if bounds of it may depend on the parents unseen.

    Of a transformed distribution torch tells what its last transform may give, whatever comes before: the
    real line for a shifted exponential.
    """
    while isinstance(d, td.Independent | ExpandedDistribution | MaskedDistribution):
        d = d.base_dist
    if isinstance(d, td.MixtureSameFamily) and number_support(d.component_distribution) is None:
        return None
    if type(d).support is td.TransformedDistribution.support and _hides_bounds(d):
        return None
    return of_numbers(d.support)


def _hides_bounds(d: td.TransformedDistribution) -> bool:
    before = [number_support(d.base_dist), *(of_numbers(t.codomain) for t in _steps(d)[:-1])]
    return not all(support is constraints.real for support in before)


def _steps(d: td.TransformedDistribution) -> list[Any]:
    """The elementary transforms, each in its direction."""
    return [t if forward else t.inv for whole in d.transforms for t, forward in flatten(whole)]


def _transformed(d: td.TransformedDistribution, y: Tensor) -> Tensor:
    """Back through the transforms, whose values have bounds too (torch's inverse of a sigmoid clamps)."""
    dims = len(d.event_shape)
    score = torch.zeros((), dtype=y.dtype, device=y.device)
    for transform in reversed(_steps(d)):
        score = _within(transform.codomain, y, score, dims)
        x = transform.inv(y)
        if x.shape == y.shape:  # a number outside, which is scored so, may have no inverse
            x = torch.where(x.isnan() & ~y.isnan(), 1.0, x)
        of_x = dims + transform.domain.event_dim - transform.codomain.event_dim
        score = score - _summed(transform.log_abs_det_jacobian(x, y), of_x - transform.domain.event_dim)
        y, dims = x, of_x
    base = _summed(log_density(d.base_dist, y), dims - len(d.base_dist.event_shape))
    return torch.where(score == -torch.inf, score, score + base)


def _masked(mask: Tensor | bool, score: Tensor) -> Tensor:
    return score if mask is True else torch.where(torch.as_tensor(mask), score, 0.0)


def _within(support: Any, x: Tensor, score: Tensor, dims: int) -> Tensor:
    """The score, -inf where a number of x, which has `dims` of an event, is outside bounds of the support."""
    support = of_numbers(support)
    if support is constraints.real or support.event_dim or support.is_discrete:
        return score
    outside = ~support.check(x)
    return torch.where(outside.any(tuple(range(-dims, 0))) if dims else outside, -torch.inf, score)


def of_numbers(support: Any) -> Any:
    """The support of each number of an event."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support


def _support(d: td.Distribution) -> Any:
    try:
        return d.support
    except NotImplementedError:  # a class of the user's that does not say
        return constraints.real


def _summed(score: Tensor, dims: int) -> Tensor:
    return score.sum(tuple(range(-dims, 0))) if dims else score
