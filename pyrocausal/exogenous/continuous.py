"""Continuous families that are a fixed function of a standard member: exact, in closed form."""

from __future__ import annotations

import math

import pyro.distributions as dist
import torch
import torch.distributions as td
from torch import Tensor
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from torch.nn.functional import logsigmoid, softplus

from .discrete import log_odds
from .law import Law, log1mexp
from .registry import Exogenous, exogenous, unit_shape


def _location_scale(kind: str, d: td.Distribution, loc: Tensor, scale: Tensor) -> Exogenous:
    """``x = loc + scale u``."""
    return Exogenous(
        Law(kind, unit_shape(d)),
        push=lambda u: torch.addcmul(loc, scale, u),
        pull=lambda x, v: (x - loc) / scale,
    )


for _class, _kind in (
    (td.Normal, "normal"),
    (td.Laplace, "laplace"),
    (td.Cauchy, "cauchy"),
    (td.Gumbel, "gumbel"),
    (dist.Logistic, "logistic"),
):
    exogenous.register(_class)(lambda d, kind=_kind: _location_scale(kind, d, d.loc, d.scale))


@exogenous.register(td.Uniform)
def uniform(d: td.Uniform) -> Exogenous:
    """``x = low + (high - low) u``."""
    return _location_scale("uniform", d, d.low, d.high - d.low)


def _scale(kind: str, d: td.Distribution, scale: Tensor) -> Exogenous:
    """``x = scale u`` on the positive half line."""
    return Exogenous(Law(kind, unit_shape(d)), push=lambda u: scale * u, pull=lambda x, v: x / scale)


@exogenous.register(td.HalfNormal)
def half_normal(d: td.HalfNormal) -> Exogenous:
    return _scale("half_normal", d, d.scale)


@exogenous.register(td.HalfCauchy)
def half_cauchy(d: td.HalfCauchy) -> Exogenous:
    return _scale("half_cauchy", d, d.scale)


@exogenous.register(td.Exponential)
def exponential(d: td.Exponential) -> Exogenous:
    rate = d.rate
    return Exogenous(Law("exponential", unit_shape(d)), push=lambda u: u / rate, pull=lambda x, v: x * rate)


@exogenous.register(td.Weibull)
def weibull(d: td.Weibull) -> Exogenous:
    """``log x = log scale - u / concentration``, Gumbel u: no power that could under- or overflow."""
    return _exponentiated("gumbel", d, torch.log(d.scale), -d.concentration.reciprocal())


@exogenous.register(td.Pareto)
def pareto(d: td.Pareto) -> Exogenous:
    """``log x = log scale + u / alpha``, exponential u."""
    return _exponentiated("exponential", d, torch.log(d.scale), d.alpha.reciprocal())


def _exponentiated(kind: str, d: td.Distribution, loc: Tensor, scale: Tensor) -> Exogenous:
    """``x = exp(loc + scale u)``."""
    return Exogenous(
        Law(kind, unit_shape(d)),
        push=lambda u: torch.exp(torch.addcmul(loc, scale, u)),
        pull=lambda x, v: (torch.log(x) - loc) / scale,
    )


@exogenous.register(td.GeneralizedPareto)
def generalized_pareto(d: td.GeneralizedPareto) -> Exogenous:
    """``x = loc + scale (e^(c u) - 1) / c``, exponential u; ``scale u`` where the concentration c is 0."""
    loc, scale = d.loc, d.scale
    small = d.concentration.abs() < torch.finfo(loc.dtype).eps
    c = torch.where(small, 1.0, d.concentration)
    return Exogenous(
        Law("exponential", unit_shape(d)),
        push=lambda u: loc + scale * torch.where(small, u, torch.expm1(c * u) / c),
        pull=lambda x, v: torch.where(small, (x - loc) / scale, torch.log1p(c * (x - loc) / scale) / c),
    )


@exogenous.register(td.Kumaraswamy)
def kumaraswamy(d: td.Kumaraswamy) -> Exogenous:
    """``S(x) = (1 - x^a)^b`` solved for x, with logistic u."""
    a, b = d.concentration1, d.concentration0

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        log_sf = b * log1mexp(a * torch.log(x))
        return log1mexp(log_sf) - log_sf

    return Exogenous(
        Law("logistic", unit_shape(d)),
        push=lambda u: torch.exp(log1mexp(-softplus(u) / b) / a),
        pull=pull,
    )


@exogenous.register(dist.AsymmetricLaplace)
def asymmetric_laplace(d: dist.AsymmetricLaplace) -> Exogenous:
    """Exponential on either side of loc, with P(x < loc) = left / (left + right); logistic u."""
    loc, left, right = d.loc, d.left_scale, d.right_scale
    log_left, log_right = torch.log(left / (left + right)), torch.log(right / (left + right))
    split = log_left - log_right

    def push(u: Tensor) -> Tensor:
        below = left * (logsigmoid(u) - log_left).clamp(max=0)
        above = right * (log_right - logsigmoid(-u)).clamp(min=0)
        return loc + torch.where(u < split, below, above)

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        z = x - loc
        log_cdf, log_sf = log_left + z.clamp(max=0) / left, log_right - z.clamp(min=0) / right
        return torch.where(z < 0, log_cdf - log1mexp(log_cdf), log1mexp(log_sf) - log_sf)

    return Exogenous(Law("logistic", unit_shape(d)), push, pull)


@exogenous.register(dist.SkewLogistic)
def skew_logistic(d: dist.SkewLogistic) -> Exogenous:
    """``log F(x) = -asymmetry softplus(-(x - loc) / scale)``, with logistic u."""
    loc, scale, asymmetry = d.loc, d.scale, d.asymmetry

    def push(u: Tensor) -> Tensor:
        depth = softplus(-u) / asymmetry
        # -log(e^depth - 1), for shallow and deep
        return loc - scale * (depth + log1mexp(-depth))

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        log_cdf = -asymmetry * softplus((loc - x) / scale)
        return log_cdf - log1mexp(log_cdf)

    return Exogenous(Law("logistic", unit_shape(d)), push, pull)


@exogenous.register(dist.SoftLaplace)
def soft_laplace(d: dist.SoftLaplace) -> Exogenous:
    """``F(x) = (2 / pi) atan(e^z)`` with ``z = (x - loc) / scale``; logistic u."""
    loc, scale = d.loc, d.scale

    def push(u: Tensor) -> Tensor:
        tail = torch.log(torch.tan(0.5 * math.pi * torch.sigmoid(-u.abs())))  # of the smaller side
        return loc - scale * torch.sign(u) * tail

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        z = (x - loc) / scale
        far = torch.exp(-z.abs()).clamp(min=torch.finfo(z.dtype).tiny)
        log_near, log_far = (
            torch.log(0.5 * math.pi - torch.atan(far)),
            torch.log(torch.atan(far) / far) - z.abs(),
        )
        return torch.sign(z) * (log_near - log_far)

    return Exogenous(Law("logistic", unit_shape(d)), push, pull)


@exogenous.register(td.ContinuousBernoulli)
def continuous_bernoulli(d: td.ContinuousBernoulli) -> Exogenous:
    """An exponential cut to [0, 1]: ``x = (softplus(u + l) - softplus(u)) / l``, l the logit, logistic u."""
    logits = log_odds(d)
    # at l = 0 it is uniform; a tiny l is indistinguishable from that, and divides safely
    tiny = torch.finfo(logits.dtype).eps
    logits = torch.where(logits.abs() < tiny, tiny, logits)
    rate, shallow = logits.abs(), logits.abs() < 1

    def push(u: Tensor) -> Tensor:
        near = torch.log1p(torch.sigmoid(u) * torch.expm1(logits.clamp(-1, 1)))
        return torch.where(shallow, near, softplus(u + logits) - softplus(u)) / logits

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        tilt = torch.where(logits < 0, x * rate, (x - 1) * rate)
        return torch.log(torch.expm1(-x * rate) / torch.expm1((x - 1) * rate)) + tilt

    return Exogenous(Law("logistic", unit_shape(d)), push, pull)


@exogenous.register(LogitRelaxedBernoulli)
def logit_relaxed_bernoulli(d: LogitRelaxedBernoulli) -> Exogenous:
    """``x = (logits + u) / temperature``, logistic u: the part of RelaxedBernoulli before its sigmoid."""
    logits, temperature = log_odds(d), d.temperature
    return Exogenous(
        Law("logistic", unit_shape(d)),
        push=lambda u: (logits + u) / temperature,
        pull=lambda x, v: x * temperature - logits,
    )
