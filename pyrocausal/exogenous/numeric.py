r"""Continuous scalars without a closed-form quantile: logistic noise through the distribution function.

``u = log F(x) - log S(x)`` is standard logistic, and both of its tails keep full precision. A pull evaluates it (see
`cdf`), a push solves it for x (see `solve`) inside a bracket that is a bound on the quantile.

=================  ===========================  ==============================================
family             coordinate y                 bracket of the quantile
=================  ===========================  ==============================================
Gamma, Chi2        log(rate x)                  F <= x^a / Gamma(a + 1); Laurent-Massart (2000)
Beta               logit x                      F <= e^(a y) / (a B), S <= e^(-b y) / (b B)
FisherSnedecor     logit of d1 x / (d1 x + d2)  that of Beta(d1/2, d2/2)
StudentT           asinh(z / sqrt(df))          S <= 2^df e^(-df y) / (df B(1/2, df/2))
VonMises           asinh(tan(angle / 2))        S <= 2 e^(-y) / (pi i0e(kappa))
=================  ===========================  ==============================================

Tolerance of ``push(pull(x)) = x``, relative to x (to the scale for StudentT, to 1 for VonMises): 1e-10 in float64 and
1e-5 in float32, for \|u\| up to 30 and beyond, wherever x is representable: neither under- nor overflowing, nor so
close to a bound of its support (Beta near 1) that neighbouring floats are further apart than the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.distributions as td
from torch import Tensor
from torch.nn.functional import softplus

from .cdf import Tails, beta_tails, gamma_tails, log_beta, student_tails, von_mises_tails
from .law import Law
from .registry import Exogenous, exogenous, unit_shape
from .solve import invert

#: Brackets are widened by this, relative and absolute, against the rounding of the bounds.
_SLACK = 1e-6


def through_cdf(
    d: td.Distribution,
    tails: Callable[[Tensor], Tails],
    bracket: Callable[[Tensor], tuple[Tensor, Tensor]],
    coordinate: Callable[[Tensor], Tensor],
    value: Callable[[Tensor], Tensor],
    dtype: torch.dtype,
) -> Exogenous:
    """Logistic noise of a scalar whose log tails are known in a coordinate ``y = coordinate(x)``, ``x = value(y)``.

    `tails` and `value` take float64; `bracket` maps the noise to bounds of y.
    """

    def logit(y: Tensor) -> Tensor:
        log_cdf, log_sf = tails(y)
        return log_cdf - log_sf

    def push(u: Tensor) -> Tensor:
        u64 = u.double()
        low, high = bracket(u64)
        low, high = low - _SLACK * (1 + low.abs()), high + _SLACK * (1 + high.abs())
        return value(invert(logit, u64, low, high)).to(torch.promote_types(u.dtype, dtype))

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        return logit(coordinate(x.double())).to(torch.promote_types(x.dtype, dtype))

    return Exogenous(Law("logistic", unit_shape(d)), push, pull)


def gamma_bracket(a: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``log x`` for the quantile of Gamma(a, 1) at logistic noise `u`."""
    depth_below, depth_above = softplus(-u), softplus(u)  # -log F and -log S
    low = (torch.lgamma(a + 1) - depth_below) / a
    high = torch.log(a + torch.sqrt(2 * a * depth_above) + depth_above)
    return low, torch.maximum(low, high)


def beta_bracket(a: Tensor, b: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of ``logit x`` for the quantile of Beta(a, b)."""
    log_b = log_beta(a, b)
    low = (torch.log(a) + log_b - softplus(-u)) / a
    high = (softplus(u) - torch.log(b) - log_b) / b
    return low, torch.maximum(low, high)


@exogenous.register(td.Gamma)
def gamma(d: td.Gamma) -> Exogenous:
    a, log_rate = d.concentration.double(), torch.log(d.rate.double())
    info = torch.finfo(d.rate.dtype)
    return through_cdf(
        d,
        tails=lambda y: gamma_tails(a, y),
        bracket=lambda u: gamma_bracket(a, u),
        coordinate=lambda x: torch.log(x) + log_rate,
        value=lambda y: torch.exp(y - log_rate).clamp(info.tiny, info.max),
        dtype=d.rate.dtype,
    )


@exogenous.register(td.Beta)
def beta(d: td.Beta) -> Exogenous:
    a, b = d.concentration1.double(), d.concentration0.double()
    info = torch.finfo(d.concentration1.dtype)
    return through_cdf(
        d,
        tails=lambda y: beta_tails(a, b, y),
        bracket=lambda u: beta_bracket(a, b, u),
        coordinate=lambda x: torch.log(x) - torch.log1p(-x),
        value=lambda y: torch.sigmoid(y).clamp(info.tiny, 1 - info.eps / 2),
        dtype=d.concentration1.dtype,
    )


@exogenous.register(td.FisherSnedecor)
def fisher_snedecor(d: td.FisherSnedecor) -> Exogenous:
    """``d1 x / (d1 x + d2)`` is Beta(d1/2, d2/2)."""
    a, b = d.df1.double() / 2, d.df2.double() / 2
    log_ratio, info = torch.log(a) - torch.log(b), torch.finfo(d.df1.dtype)
    return through_cdf(
        d,
        tails=lambda y: beta_tails(a, b, y),
        bracket=lambda u: beta_bracket(a, b, u),
        coordinate=lambda x: torch.log(x) + log_ratio,
        value=lambda y: torch.exp(y - log_ratio).clamp(info.tiny, info.max),
        dtype=d.df1.dtype,
    )


@exogenous.register(td.StudentT)
def student_t(d: td.StudentT) -> Exogenous:
    """Always through its distribution function, so that the noise is free of df even where df has parents."""
    df, loc, scale = d.df.double(), d.loc.double(), d.scale.double() * torch.sqrt(d.df.double())

    def bracket(u: Tensor) -> tuple[Tensor, Tensor]:
        # the smaller tail is at most exp(-bound), and at most a half
        log_b = log_beta(df / 2, torch.full_like(df, 0.5))
        reach = (softplus(u.abs()) + df * math.log(2) - torch.log(df) - log_b) / df
        return torch.where(u < 0, -reach, 0.0), torch.where(u < 0, 0.0, reach)

    def coordinate(x: Tensor) -> Tensor:
        z = (x - loc) / scale
        return torch.sign(z) * torch.asinh(z.abs())

    return through_cdf(
        d,
        tails=lambda y: student_tails(df, y),
        bracket=bracket,
        coordinate=coordinate,
        value=lambda y: loc + scale * torch.sinh(y),
        dtype=d.loc.dtype,
    )


@exogenous.register(td.VonMises)
def von_mises(d: td.VonMises) -> Exogenous:
    """Angles measured from `loc`, cut opposite to it; as torch's, values lie in ``[-pi, pi)``."""
    loc, kappa = d.loc.double(), d.concentration.double()

    def bracket(u: Tensor) -> tuple[Tensor, Tensor]:
        log_norm = math.log(math.pi) + torch.log(torch.special.i0e(kappa))
        reach = softplus(u.abs()) + math.log(2) - log_norm
        return torch.where(u < 0, -reach, 0.0), torch.where(u < 0, 0.0, reach)

    def wrap(angle: Tensor) -> Tensor:
        return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi

    return through_cdf(
        d,
        tails=lambda y: von_mises_tails(kappa, y),
        bracket=bracket,
        coordinate=lambda x: torch.asinh(torch.tan(wrap(x - loc) / 2)),
        value=lambda y: wrap(loc + 2 * torch.atan(torch.sinh(y))),
        dtype=d.loc.dtype,
    )
