"""The probabilities of a discrete distribution's levels, as its derived mechanism sees them."""

from __future__ import annotations

import torch
import torch.distributions as td
from pyro.distributions.torch_distribution import ExpandedDistribution, MaskedDistribution
from torch import Tensor
from torch.nn.functional import logsigmoid

from .discrete import LOG_ZERO, log_odds, normalised_log_probs


def log_levels(d: td.Distribution, count: int) -> Tensor:
    """log P(x = k) for k < `count`, on a last dimension; at least `LOG_ZERO`.

    It does not have the floor of 1e-7 that torch's own `log_prob` has where probabilities were given.

    >>> log_levels(td.Categorical(torch.tensor([0.5, 0.25, 0.25])), 3).exp()
    tensor([0.5000, 0.2500, 0.2500])
    """
    return _log_levels(d, count).clamp(min=LOG_ZERO)


def _log_levels(d: td.Distribution, count: int) -> Tensor:
    if isinstance(d, td.Independent | MaskedDistribution):
        return _log_levels(d.base_dist, count)
    if isinstance(d, ExpandedDistribution):
        base = _log_levels(d.base_dist, count)
        return base.expand(*d.batch_shape, base.shape[-1])
    if isinstance(d, td.Bernoulli):
        odds = log_odds(d)
        return logsigmoid(torch.stack([-odds, odds], -1))
    if isinstance(d, td.OneHotCategorical):
        return normalised_log_probs(d._categorical)
    if isinstance(d, td.Categorical):
        return normalised_log_probs(d)
    levels = torch.arange(count, device=d.mean.device).reshape(count, *[1] * len(d.batch_shape))
    return d.log_prob(levels).movedim(0, -1)
