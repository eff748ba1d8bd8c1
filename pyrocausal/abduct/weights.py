"""Importance weights: how much they can be trusted, and draws with equal weights from them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EQUAL = 1e-4  # by how much, beside the largest weight, equal ones may differ by the rounding of scores
GOOD_K = 0.7  # above this Pareto shape the weights' mean can't be trusted (Vehtari et al. 2024)


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """1 / Σ w², for weights that sum to 1: how many equally weighted draws they are worth, `(units,)`.

    >>> effective_sample_size(torch.zeros(100, 1))
    tensor([100.0000], dtype=torch.float64)
    """
    return 1.0 / torch.softmax(log_weights.double(), 0).square().sum(0)


def pareto_k(log_weights: Tensor) -> Tensor:
    """The shape k of a generalised Pareto law fitted to the largest weights of every unit, `(units,)`.

    Below 0.5 their variance is finite and averages converge fast, above 0.7 they are not to be trusted
    (Vehtari, Simpson, Gelman, Yao and Gabry 2024, "Pareto smoothed importance sampling", JMLR 25). Weights
    of which the largest are equal have k = -inf, those with fewer than five that stand out k = inf.

    Args:
        log_weights: `(draws, units)`.
    """
    draws = len(log_weights)
    tail = math.ceil(min(0.2 * draws, 3 * draws**0.5))
    if tail < 5:
        return log_weights.new_full(log_weights.shape[1:], torch.nan, dtype=torch.double)
    ordered = log_weights.double().sort(0).values
    ordered = torch.exp(ordered - ordered[-1])
    excess = ordered[-tail:] - ordered[-tail - 1].clamp(min=torch.finfo(torch.double).tiny)
    excess = excess.clamp(min=0.0)  # weights that tie with the threshold are not in the tail
    count = (excess > 0).sum(0)
    k = torch.where(count < 5, torch.inf, _pareto_shape(excess, count))
    return torch.where(excess[-1] > _EQUAL, k, -torch.inf)


def _pareto_shape(x: Tensor, count: Tensor) -> Tensor:
    """Zhang and Stephens (2009), with the weak prior of Vehtari et al.

    Args:
        x: `(n, units)`, ascending: zeros, then the values.
        count: how many values there are.
    """
    grid = 30 + int(len(x) ** 0.5)
    first = len(x) - count + (count / 4 + 0.5).long() - 1
    quartile = x.gather(0, first.clamp(min=0, max=len(x) - 1)[None])[0]
    place = torch.arange(1, grid + 1, dtype=x.dtype, device=x.device)[:, None]
    b = (1 - (grid / (place - 0.5)).sqrt()) / (3 * quartile) + 1 / x[-1]
    k = torch.log1p(-b[:, None] * x).sum(1) / count
    profile = count * ((-b / k).log() - k - 1)
    b = (torch.softmax(profile, 0) * b).sum(0)
    k = torch.log1p(-b * x).sum(0) / count
    return (count * k + 10 * 0.5) / (count + 10)


def resample(log_weights: Tensor, generator: torch.Generator, count: int | None = None) -> Tensor:
    """Indices `(count, units)` of equally weighted draws: systematic resampling in each unit.

    One uniform a unit, evenly spaced positions: of all resamplings, among those that add the least noise.

    Args:
        log_weights: `(draws, units)`.
        count: how many; None for as many as there are.
    """
    draws, units = log_weights.shape
    count = count or draws
    weights = torch.softmax(log_weights.double(), 0)
    start = torch.rand(units, 1, generator=generator, dtype=weights.dtype)
    positions = ((start + torch.arange(count, dtype=weights.dtype)) / count).to(weights.device)
    cumulative = weights.T.cumsum(-1)
    # in float arithmetic the total may fall short of the last position: 1 it must be, at the last that counts
    cumulative = cumulative / cumulative[:, -1:]
    return torch.searchsorted(cumulative.contiguous(), positions.contiguous()).T
