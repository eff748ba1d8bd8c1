r"""Continuous scalars without a closed-form quantile: logistic noise through the distribution function.

``u = log F(x) - log S(x)`` is standard logistic, and both of its tails keep full precision. A pull evaluates
it (see `cdf`), a push solves it for x (see `solve`) inside a bracket that is a bound on the quantile.

=================  ===========================  ==============================================
family             coordinate y                 bracket of the quantile
=================  ===========================  ==============================================
Gamma, Chi2        log(rate x)                  F <= x^a / Gamma(a + 1); Laurent-Massart (2000)
Beta               logit x                      F <= e^(a y) / (a B), S <= e^(-b y) / (b B)
FisherSnedecor     logit of d1 x / (d1 x + d2)  that of Beta(d1/2, d2/2)
StudentT           asinh(z / sqrt(df))          S <= 2^df e^(-df y) / (df B(1/2, df/2))
VonMises           asinh(tan(angle / 2))        S <= 2 e^(-y) / (pi i0e); a Gaussian's
=================  ===========================  ==============================================

Tolerance of ``push(pull(x)) = x``, relative to x (to the scale for StudentT, to 1 for VonMises): 1e-9 in
float64 and 1e-5 in float32, for \|u\| up to 30 and beyond, wherever x is representable: neither under- nor
overflowing, nor so close to a bound of its support (Beta near 1) that neighbouring floats are further apart
than the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributions as td
from torch import Tensor
from torch.nn.functional import softplus

from .cdf import (
    Tails,
    beta_log_density,
    beta_tails,
    gamma_log_density,
    gamma_tails,
    log_beta,
    student_log_density,
    student_tails,
    von_mises_log_density,
    von_mises_tails,
)
from .law import Law
from .registry import Exogenous, exogenous, unit_shape
from .solve import invert

#: Brackets are widened by this, relative and absolute, against the rounding of the bounds.
_SLACK = 1e-6


@dataclass(frozen=True)
class Family:
    """A scalar law in an unbounded coordinate y, in float64: log tails, log density, quantile bounds."""

    tails: Callable[[Tensor], Tails]
    log_density: Callable[[Tensor], Tensor]
    bracket: Callable[[Tensor], tuple[Tensor, Tensor]]  # from logistic noise to bounds of y

    def noise(self, y: Tensor) -> Tensor:
        """``u = log F(y) - log S(y)``."""
        log_cdf, log_sf = self.tails(y)
        return log_cdf - log_sf

    def quantile(self, u: Tensor) -> Tensor:
        """The y whose noise is `u`."""
        low, high = self.bracket(u)
        low, high = low - _SLACK * (1 + low.abs()), high + _SLACK * (1 + high.abs())
        return invert(self.noise, self._slope, u, low, high)

    def _slope(self, y: Tensor) -> Tensor:
        log_cdf, log_sf = self.tails(y)  # du/dy = f / F + f / S = f / (F S)
        return torch.exp(self.log_density(y) - log_cdf - log_sf)


def through_cdf(
    d: td.Distribution,
    family: Family,
    coordinate: Callable[[Tensor], Tensor],
    value: Callable[[Tensor], Tensor],
    dtype: torch.dtype,
) -> Exogenous:
    """Logistic noise of ``x = value(y)``, ``y = coordinate(x)`` (in float64), where y follows `family`."""

    def push(u: Tensor) -> Tensor:
        return value(family.quantile(u.double())).to(torch.promote_types(u.dtype, dtype))

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        return family.noise(coordinate(x.double())).to(torch.promote_types(x.dtype, dtype))

    return Exogenous(Law("logistic", unit_shape(d)), push, pull)


def gamma_family(a: Tensor) -> Family:
    """``y = log x`` for x ~ Gamma(a, 1)."""

    def bracket(u: Tensor) -> tuple[Tensor, Tensor]:
        depth_below, depth_above = softplus(-u), softplus(u)  # -log F and -log S
        low = (torch.lgamma(a + 1) - depth_below) / a
        high = torch.log(a + torch.sqrt(2 * a * depth_above) + depth_above)
        return low, torch.maximum(low, high)

    return Family(lambda y: gamma_tails(a, y), lambda y: gamma_log_density(a, y), bracket)


def beta_family(a: Tensor, b: Tensor) -> Family:
    """``y = logit x`` for x ~ Beta(a, b)."""

    def bracket(u: Tensor) -> tuple[Tensor, Tensor]:
        log_b = log_beta(a, b)
        low = (torch.log(a) + log_b - softplus(-u)) / a
        high = (softplus(u) - torch.log(b) - log_b) / b
        return low, torch.maximum(low, high)

    return Family(lambda y: beta_tails(a, b, y), lambda y: beta_log_density(a, b, y), bracket)


def student_family(df: Tensor) -> Family:
    """``y = asinh(x / sqrt(df))`` for x ~ Student's t."""

    def reach(depth: Tensor) -> Tensor:
        log_b = log_beta(df / 2, torch.full_like(df, 0.5))
        return (depth + df * math.log(2) - torch.log(df) - log_b) / df

    return Family(
        lambda y: student_tails(df, y), lambda y: student_log_density(df, y), lambda u: _symmetric(u, reach)
    )


def von_mises_family(kappa: Tensor) -> Family:
    """``y = asinh(tan(x / 2))`` for x ~ von Mises about 0."""

    log_norm = math.log(math.pi) + torch.log(torch.special.i0e(kappa))
    rate = 2 * kappa.clamp(min=1e-12) / math.pi**2  # 1 - cos(x) >= 2 x^2 / pi^2

    def reach(depth: Tensor) -> Tensor:
        exponential = depth + math.log(2) - log_norm
        square = (depth + 0.5 * torch.log(math.pi / rate) - log_norm - math.log(4)) / rate
        angle = torch.sqrt(square.clamp(min=0)).clamp(max=3.0)
        gaussian = torch.where(angle < 3, torch.asinh(torch.tan(angle / 2)), torch.inf)
        return torch.minimum(exponential, gaussian)

    return Family(
        lambda y: von_mises_tails(kappa, y),
        lambda y: von_mises_log_density(kappa, y),
        lambda u: _symmetric(u, reach),
    )


def _symmetric(u: Tensor, reach: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """A bracket about 0; `reach` bounds the distance at which a tail has minus log probability `depth`."""
    far = reach(softplus(u.abs())).clamp(min=0)
    return torch.where(u < 0, -far, 0.0), torch.where(u < 0, 0.0, far)


@exogenous.register(td.Gamma)
def gamma(d: td.Gamma) -> Exogenous:
    log_rate, info = torch.log(d.rate.double()), torch.finfo(d.rate.dtype)
    return through_cdf(
        d,
        gamma_family(d.concentration.double()),
        coordinate=lambda x: torch.log(x) + log_rate,
        value=lambda y: torch.exp(y - log_rate).clamp(info.tiny, info.max),
        dtype=d.rate.dtype,
    )


@exogenous.register(td.Beta)
def beta(d: td.Beta) -> Exogenous:
    dtype = d.concentration1.dtype
    info = torch.finfo(dtype)
    return through_cdf(
        d,
        beta_family(d.concentration1.double(), d.concentration0.double()),
        coordinate=lambda x: torch.log(x) - torch.log1p(-x),
        value=lambda y: torch.sigmoid(y).clamp(info.tiny, 1 - info.eps / 2),
        dtype=dtype,
    )


@exogenous.register(td.FisherSnedecor)
def fisher_snedecor(d: td.FisherSnedecor) -> Exogenous:
    """``d1 x / (d1 x + d2)`` is Beta(d1/2, d2/2)."""
    a, b = d.df1.double() / 2, d.df2.double() / 2
    log_ratio, info = torch.log(a) - torch.log(b), torch.finfo(d.df1.dtype)
    return through_cdf(
        d,
        beta_family(a, b),
        coordinate=lambda x: torch.log(x) + log_ratio,
        value=lambda y: torch.exp(y - log_ratio).clamp(info.tiny, info.max),
        dtype=d.df1.dtype,
    )


@exogenous.register(td.StudentT)
def student_t(d: td.StudentT) -> Exogenous:
    """Always through its distribution function, so that the noise is free of df even where df has parents."""
    df, loc = d.df.double(), d.loc.double()
    scale = d.scale.double() * torch.sqrt(df)

    def coordinate(x: Tensor) -> Tensor:
        z = (x - loc) / scale
        return torch.sign(z) * torch.asinh(z.abs())

    return through_cdf(d, student_family(df), coordinate, lambda y: loc + scale * torch.sinh(y), d.loc.dtype)


@exogenous.register(td.VonMises)
def von_mises(d: td.VonMises) -> Exogenous:
    """Angles measured from `loc`, cut opposite to it; as torch's, values lie in ``[-pi, pi)``."""
    loc = d.loc.double()

    def wrap(angle: Tensor) -> Tensor:
        return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi

    return through_cdf(
        d,
        von_mises_family(d.concentration.double()),
        coordinate=lambda x: torch.asinh(torch.tan(wrap(x - loc) / 2)),
        value=lambda y: wrap(loc + 2 * torch.atan(torch.sinh(y))),
        dtype=d.loc.dtype,
    )
