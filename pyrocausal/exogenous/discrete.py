"""Discrete families: logistic noise through ordered cells (monotone), or Gumbel noise through an argmax.

Monotone coupling. With ``G(k) = log F(k) - log S(k)``, the logit of the distribution function, the value is
``x = #{k : G(k) <= u}`` (the smallest k with G(k) > u) for a logistic u: the inverse distribution function,
on the scale on which both of its tails have full precision. Uniform noise has not: at a logit of 90 the cell
of the rare value is empty in floating point. A pull draws u from the logistic truncated to the cell
``[G(x-1), G(x))``, and clamps it to that cell as `push` computes it: so ``push(pull(x)) == x`` always.

Gumbel coupling. ``x = argmax(logits + u)`` with iid Gumbel u. A pull draws the maximum, then the others below
it (top-down: Maddison, Tarlow and Minka, 2014), and breaks rounding ties in favour of x in the arithmetic of
`push`.
"""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as td
from torch import Tensor
from torch.nn.functional import logsigmoid

from .law import Law, inside_unit
from .registry import COUPLINGS, Exogenous, exogenous, unit_shape

#: Log-probabilities below this count as this: impossible values keep a finite (never drawn) noise.
LOG_ZERO = -1e4


def logistic_in_cell(low: Tensor, high: Tensor, v: Tensor) -> Tensor:
    """A standard logistic truncated to ``[low, high)``, from the uniform `v`; accurate in both tails.

    The result's distribution function is the convex combination of those of the ends, and so is its survival
    function: both are formed as sums of positive terms, never as differences.
    """
    v = inside_unit(v)
    near, far = torch.log1p(-v), torch.log(v)
    log_cdf = torch.logaddexp(near + logsigmoid(low), far + logsigmoid(high))
    log_sf = torch.logaddexp(near + logsigmoid(-low), far + logsigmoid(-high))
    u = log_cdf - log_sf
    below_high = torch.nextafter(high, torch.full_like(high, -torch.inf))
    return torch.minimum(torch.maximum(u, low), below_high)


def given_as_logits(d: td.Distribution) -> bool:
    """Whether `d` was parametrised by logits. (torch derives the other one later.)"""
    return next(name for name in vars(d) if name in ("probs", "logits")) == "logits"


def log_odds(d: Any) -> Tensor:
    """The logits of a binary parametrisation; from given `probs` without torch's clamp to eps."""
    logits = d.logits if given_as_logits(d) else torch.log(d.probs) - torch.log1p(-d.probs)
    return logits.clamp(min=LOG_ZERO, max=-LOG_ZERO)


@exogenous.register(td.Bernoulli, couplings=COUPLINGS)
def bernoulli(d: td.Bernoulli, coupling: str | None) -> Exogenous:
    """``x = 1`` if ``u >= -logit p`` (monotone); the two-class Gumbel argmax on request."""
    logits = log_odds(d)
    if coupling == "gumbel":
        two = torch.stack([torch.zeros_like(logits), logits], -1)
        race = Race(torch.log_softmax(two, -1))
        return Exogenous(
            Law("gumbel", (*unit_shape(d), 2)),
            push=lambda u: race.winner(u).to(logits.dtype),
            pull=lambda x, v: race.noise(x.long(), v),
            draws=(*unit_shape(d), 2),
        )
    threshold, limit = -logits, torch.full_like(logits, torch.finfo(logits.dtype).max)

    def pull(x: Tensor, v: Tensor) -> Tensor:
        one = x > 0.5
        return logistic_in_cell(torch.where(one, threshold, -limit), torch.where(one, limit, threshold), v)

    return Exogenous(
        Law("logistic", unit_shape(d)),
        push=lambda u: (u >= threshold).to(logits.dtype),
        pull=pull,
        draws=unit_shape(d),
    )


class Race:
    """The Gumbel argmax over the last dimension of normalised log-probabilities."""

    def __init__(self, log_probs: Tensor) -> None:
        self.log_probs = log_probs.clamp(min=LOG_ZERO)
        self.classes = torch.arange(log_probs.shape[-1], device=log_probs.device)

    def winner(self, u: Tensor) -> Tensor:
        return (self.log_probs + u).argmax(-1)

    def noise(self, x: Tensor, v: Tensor) -> Tensor:
        """A draw of u given ``winner(u) == x``, from uniforms `v` of the shape of u."""
        log_p = self.log_probs
        won = x.unsqueeze(-1) == self.classes
        gumbel = -torch.log(-torch.log(inside_unit(v)))
        # the maximum is Gumbel(log sum p = 0) whoever wins: it takes the winner's uniform
        top = torch.where(won, gumbel, 0.0).sum(-1, keepdim=True)
        free = log_p + gumbel
        u = torch.where(won, top, -torch.logaddexp(-free, -top)) - log_p
        return self._below_winner(u, won)

    def _below_winner(self, u: Tensor, won: Tensor) -> Tensor:
        # what `winner` compares is rounded: push losers that reach the winner down, clear of the rounding
        # error
        score = self.log_probs + u
        best = torch.where(won, score, 0.0).sum(-1, keepdim=True)
        step = 8 * torch.finfo(u.dtype).eps * torch.maximum(best.abs(), self.log_probs.abs()).clamp(min=1.0)
        return torch.where(~won & (score >= best), best - self.log_probs - step, u)


def normalised_log_probs(d: td.Categorical) -> Tensor:
    """Normalised log-probabilities, from `probs` without torch's clamp to eps where `probs` was given."""
    if given_as_logits(d):
        return torch.log_softmax(d.logits.clamp(min=torch.finfo(d.logits.dtype).min / 4), -1)
    return torch.log(d.probs)


@exogenous.register(td.Categorical, couplings=COUPLINGS)
def categorical(d: td.Categorical, coupling: str | None) -> Exogenous:
    """Gumbel argmax; with ``coupling="monotone"``, ordered classes by the inverse distribution function."""
    log_probs = normalised_log_probs(d)
    if coupling == "monotone":
        log_cdf = torch.logcumsumexp(log_probs, -1)[..., :-1]
        log_sf = torch.logcumsumexp(log_probs.flip(-1), -1).flip(-1)[..., 1:]
        return _ordered(d, log_cdf - log_sf)
    race = Race(log_probs)
    return Exogenous(
        Law("gumbel", tuple(log_probs.shape)), race.winner, race.noise, draws=tuple(log_probs.shape)
    )


def _ordered(d: td.Distribution, thresholds: Tensor) -> Exogenous:
    """``x`` = the number of `thresholds` (the last dimension, increasing) at or below u."""
    count = thresholds.shape[-1]
    info = torch.finfo(thresholds.dtype)
    # a class of probability ~0 gets a sliver of a few ulps, so that a value in it can still be pulled and
    # pushed
    thresholds = thresholds.clamp(LOG_ZERO, -LOG_ZERO)
    sliver = 4 * info.eps * thresholds.abs().amax(-1, keepdim=True).clamp(min=1.0)
    rank = torch.arange(count, device=thresholds.device, dtype=thresholds.dtype) * sliver
    thresholds = torch.cummax(thresholds - rank, -1).values + rank
    edge = torch.full_like(thresholds[..., :1], info.max)
    edges = torch.cat([-edge, thresholds, edge], -1)

    def pull(x: Tensor, v: Tensor) -> Tensor:
        # gather the two edges of x's cell, for any leading dimensions
        here = x.long().unsqueeze(-1) == torch.arange(count + 1, device=x.device)
        low = torch.where(here, edges[..., :-1], 0.0).sum(-1)
        high = torch.where(here, edges[..., 1:], 0.0).sum(-1)
        return logistic_in_cell(low, high, v)

    return Exogenous(
        Law("logistic", unit_shape(d)),
        push=lambda u: (u.unsqueeze(-1) >= thresholds).sum(-1),
        pull=pull,
        draws=unit_shape(d),
    )


@exogenous.register(td.OneHotCategorical)
def one_hot_categorical(d: td.OneHotCategorical) -> Exogenous:
    """The Gumbel argmax of `categorical`, as an indicator vector."""
    race = Race(normalised_log_probs(d._categorical))

    def push(u: Tensor) -> Tensor:
        return (race.winner(u).unsqueeze(-1) == race.classes).to(race.log_probs.dtype)

    return Exogenous(
        Law("gumbel", unit_shape(d)), push, lambda x, v: race.noise(x.argmax(-1), v), draws=unit_shape(d)
    )


@exogenous.register(td.OneHotCategoricalStraightThrough)
def one_hot_straight_through(d: td.OneHotCategoricalStraightThrough) -> Exogenous:
    """As `one_hot_categorical`, with the gradient of the probabilities in the backward pass."""
    hard, probs = one_hot_categorical(d), d.probs
    return Exogenous(
        hard.law,
        push=lambda u: hard.push(u) + (probs - probs.detach()),
        pull=hard.pull,
        draws=hard.draws,
    )


@exogenous.register(dist.OrderedLogistic, couplings=COUPLINGS)
def ordered_logistic(d: dist.OrderedLogistic, coupling: str | None) -> Exogenous:
    """``x = #{k : cutpoint_k - predictor <= u}``: the latent-variable form of the ordered logit itself."""
    if coupling == "gumbel":
        return categorical(d, coupling)
    return _ordered(d, d.cutpoints - d.predictor.unsqueeze(-1))
