"""Counts: logistic noise, monotone, through log tails that are computed rather than tabulated.

The coupling is that of `discrete`: ``x`` is the smallest k with ``G(k) = log F(k) - log S(k) > u``. `push`
finds it by fixing the binary digits of x from the highest down; `pull` draws u in the cell ``[G(x-1), G(x))``
of the very same G, so that ``push(pull(x)) == x`` in every tail. Counts reach 2^24 in float32 and 2^31 in
float64.

One limit is the noise's own: a value far less likely than its neighbours on *both* sides (between the modes
of a mixture, or between a zero-inflated 0 and the bulk) has a cell narrower than the spacing of floats if its
probability is below 1e-7 (float32) or 1e-16 (float64); such evidence is moved to the nearest value of
positive width.
"""

from __future__ import annotations

from collections.abc import Callable

import pyro.distributions as dist
import torch
import torch.distributions as td
from pyro.distributions.zero_inflated import ZeroInflatedDistribution
from torch import Tensor
from torch.nn.functional import logsigmoid

from .cdf import Tails, binomial_tails, geometric_tails, negative_binomial_tails, poisson_tails
from .discrete import log_odds, logistic_in_cell
from .law import Law, inside_unit
from .registry import Exogenous, exogenous, unit_shape, unsupported

#: From a distribution to its log tails at ``k >= 0``, in float64.
Counting = Callable[[Tensor], Tails]
_COUNTINGS: dict[type, Callable[..., Counting]] = {}


def _counts(*classes: type) -> Callable[[Callable[..., Counting]], Callable[..., Counting]]:
    """Registers the log tails of a family of counts, for itself and as a part of others (mixtures ...)."""

    def decorate(rule: Callable[..., Counting]) -> Callable[..., Counting]:
        _COUNTINGS.update(dict.fromkeys(classes, rule))
        exogenous.register(*classes)(lambda d: through_counts(d, rule(d)))
        return rule

    return decorate


def counting(d: td.Distribution) -> Counting | None:
    """The log tails of `d`, or None if it is no distribution of counts."""
    rule = next((_COUNTINGS[base] for base in type(d).__mro__ if base in _COUNTINGS), None)
    return rule and rule(d)


def through_counts(d: td.Distribution, tails: Counting) -> Exogenous:
    """Monotone logistic noise for counts with these log tails."""

    def logit(k: Tensor, dtype: torch.dtype) -> Tensor:
        log_cdf, log_sf = tails(k.double())
        return (log_cdf - log_sf).to(dtype)

    def push(u: Tensor) -> Tensor:
        digits = 24 if u.dtype == torch.float32 else 31
        x = torch.zeros_like(u)
        for digit in reversed(range(digits)):
            candidate = x + 2.0**digit
            x = torch.where(logit(candidate - 1, u.dtype) <= u, candidate, x)
        return x

    def pull(x: Tensor, v: Tensor) -> Tensor:
        low = torch.where(x > 0, logit((x - 1).clamp(min=0), v.dtype), -torch.inf)
        return logistic_in_cell(low, logit(x, v.dtype), v)

    return Exogenous(Law("logistic", unit_shape(d)), push, pull, draws=unit_shape(d))


@_counts(td.Poisson)
def poisson(d: td.Poisson) -> Counting:
    rate = d.rate.double().clamp(min=1e-300)
    return lambda k: poisson_tails(rate, k)


@_counts(td.Geometric)
def geometric(d: td.Geometric) -> Counting:
    logits = log_odds(d).double()
    return lambda k: geometric_tails(logits, k)


@_counts(td.NegativeBinomial)
def negative_binomial(d: td.NegativeBinomial) -> Counting:
    failures, logits = d.total_count.double(), log_odds(d).double()
    return lambda k: negative_binomial_tails(failures, logits, k)


@_counts(dist.GammaPoisson)
def gamma_poisson(d: dist.GammaPoisson) -> Counting:
    """A Poisson with a Gamma rate is a negative binomial with odds 1 / rate."""
    failures, logits = d.concentration.double(), -torch.log(d.rate.double())
    return lambda k: negative_binomial_tails(failures, logits, k)


@_counts(td.Binomial)
def binomial(d: td.Binomial) -> Counting:
    total, logits = d.total_count.double(), log_odds(d).double()

    def tails(k: Tensor) -> Tails:
        log_cdf, log_sf = binomial_tails(
            total.clamp(min=1), logits, torch.minimum(k, (total - 1).clamp(min=0))
        )
        return torch.where(k < total, log_cdf, 0.0), torch.where(k < total, log_sf, -torch.inf)

    return tails


@_counts(ZeroInflatedDistribution)
def zero_inflated(d: ZeroInflatedDistribution) -> Counting:
    """``F(k) = g + (1 - g) F_base(k)`` and ``S(k) = (1 - g) S_base(k)``."""
    base = counting(d.base_dist)
    if base is None:
        raise unsupported(type(d.base_dist), "zero inflation is known only for distributions of counts")
    if "gate_logits" in vars(d) and "gate" not in vars(d):
        log_gate, log_open = logsigmoid(d.gate_logits.double()), logsigmoid(-d.gate_logits.double())
    else:
        log_gate, log_open = torch.log(d.gate.double()), torch.log1p(-d.gate.double())

    def tails(k: Tensor) -> Tails:
        log_cdf, log_sf = base(k)
        return torch.logaddexp(log_gate.expand_as(log_cdf), log_open + log_cdf), log_open + log_sf

    return tails


@exogenous.register(dist.BetaBinomial)
def beta_binomial(d: dist.BetaBinomial) -> Exogenous:
    """Its own two steps: a probability from the Beta, then a Binomial; two logistic noises, dimension -1.

    (A single monotone noise would need the distribution function, which has no closed form.) A pull draws the
    probability from its posterior Beta given x, then the Binomial's noise given both.
    """
    total, a, b = d.total_count, d.concentration1, d.concentration0
    prior = exogenous(dist.Beta(a, b, validate_args=False))

    def binomial_given(p: Tensor) -> Exogenous:
        return exogenous(dist.Binomial(total, p, validate_args=False))

    def push(u: Tensor) -> Tensor:
        return binomial_given(prior.push(u[..., 0])).push(u[..., 1])

    def pull(x: Tensor, v: Tensor) -> Tensor:
        posterior = exogenous(dist.Beta(a + x, b + total - x, validate_args=False))
        p = posterior.push(torch.logit(inside_unit(v[..., 0])))
        of_prior = prior.pull(p, None)
        p = prior.push(of_prior)  # as `push` will see it, to the last bit
        return torch.stack([of_prior, binomial_given(p).pull(x, v[..., 1])], -1)

    shape = (*unit_shape(d), 2)
    return Exogenous(Law("logistic", shape), push, pull, draws=shape)
