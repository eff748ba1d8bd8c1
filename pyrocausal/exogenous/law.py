"""The laws of exogenous noise: a handful of standard members, free of parents and of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus


@dataclass(frozen=True)
class Standard:
    """One standard scalar law: how to draw it, score it and build it.

    ``draw`` works in float64, so that both tails are exact and a float32 sample is the rounding of the
    float64 one. ``from_logistic`` maps a standard logistic to the noise with the same distribution function:
    a quantile function whose argument has full precision in both tails.
    """

    draw: Callable[[tuple[int, ...], torch.Generator | None], Tensor]
    log_density: Callable[[Tensor], Tensor]
    from_logistic: Callable[[Tensor], Tensor]
    log_cdf: Callable[[Tensor], Tensor]
    log_sf: Callable[[Tensor], Tensor]
    build: Callable[[Tensor, Tensor], dist.TorchDistribution]
    bounds: tuple[float, float] = (-math.inf, math.inf)


def _exponential(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    draw = torch.empty(shape, dtype=torch.float64).exponential_(generator=generator)
    return draw.clamp_(min=1e-300)


def _normal(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _uniform(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def _cauchy(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    numerator, denominator = _normal((2, *shape), generator)
    return numerator / denominator


def _logistic(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    above, below = _exponential((2, *shape), generator)
    return above.log() - below.log()


def _laplace(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    above, below = _exponential((2, *shape), generator)
    return above - below


def log1mexp(log_p: Tensor) -> Tensor:
    """``log(1 - exp(log_p))`` for ``log_p <= 0``, accurate at both ends (Maechler, 2012)."""
    log_p = log_p.clamp(max=-torch.finfo(log_p.dtype).tiny)
    near = log_p > -math.log(2)
    # each branch sees only arguments it is made for, so that neither sends a NaN into the gradient
    small = torch.where(near, log_p, -1.0)
    large = torch.where(near, -1.0, log_p)
    return torch.where(near, torch.log(-torch.expm1(small)), torch.log1p(-torch.exp(large)))


def log_ndtr(u: Tensor) -> Tensor:
    """The log of the normal distribution function. (torch's own has no batching rule for vmap.)"""
    low = u < -1
    scaled = torch.where(low, -u, 1.0) / math.sqrt(2)
    deep = torch.log(0.5 * torch.special.erfcx(scaled)) - scaled * scaled
    return torch.where(low, deep, torch.log1p(-0.5 * torch.erfc(torch.where(low, 0.0, u) / math.sqrt(2))))


def _cauchy_log_sf(u: Tensor) -> Tensor:
    # atan2(1, u) = pi/2 - atan(u) in (0, pi), without cancellation for large u
    return torch.atan2(torch.ones_like(u), u).log() - math.log(math.pi)


def _laplace_log_sf(u: Tensor) -> Tensor:
    tail = -u.abs() - math.log(2)
    return torch.where(u > 0, tail, log1mexp(tail))


def _log_gumbel_sf(u: Tensor) -> Tensor:
    return log1mexp(-torch.exp(-u))


def _odd(half: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The odd function that is `half` for z >= 0. (By sign(z) and |z| it would have no slope at 0.)"""

    def function(z: Tensor) -> Tensor:
        sign = torch.where(z < 0, -1.0, 1.0).to(z.dtype)
        return sign * half(sign * z)

    return function


def _half_normal_quantile(z: Tensor) -> Tensor:
    deep = -torch.special.ndtri(0.5 * torch.sigmoid(-z.clamp(min=0)))
    return torch.where(z > 0, deep, math.sqrt(2) * torch.special.erfinv(torch.sigmoid(z.clamp(max=0))))


def _half_cauchy_quantile(z: Tensor) -> Tensor:
    size = torch.where(z > 0, z, -z)
    tangent = torch.tan(0.5 * math.pi * torch.sigmoid(-size))
    return torch.where(z > 0, 1 / tangent, tangent)


_ROUNDING = 1e-4  # of a pull, beside the noise's scale of about 1
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

STANDARD: dict[str, Standard] = {
    "normal": Standard(
        draw=_normal,
        log_density=lambda u: -0.5 * u * u - _HALF_LOG_2PI,
        from_logistic=_odd(lambda z: -torch.special.ndtri(torch.sigmoid(-z))),
        log_cdf=log_ndtr,
        log_sf=lambda u: log_ndtr(-u),
        build=dist.Normal,
    ),
    "logistic": Standard(
        draw=_logistic,
        log_density=lambda u: logsigmoid(u) + logsigmoid(-u),
        from_logistic=lambda z: z,
        log_cdf=logsigmoid,
        log_sf=lambda u: logsigmoid(-u),
        build=dist.Logistic,
    ),
    "gumbel": Standard(
        draw=lambda shape, generator: -_exponential(shape, generator).log(),
        log_density=lambda u: -u - torch.exp(-u),
        from_logistic=lambda z: -torch.log(softplus(-z)),
        log_cdf=lambda u: -torch.exp(-u),
        log_sf=_log_gumbel_sf,
        build=dist.Gumbel,
    ),
    "laplace": Standard(
        draw=_laplace,
        log_density=lambda u: -u.abs() - math.log(2),
        from_logistic=_odd(lambda z: softplus(z) - math.log(2)),
        log_cdf=lambda u: _laplace_log_sf(-u),
        log_sf=_laplace_log_sf,
        build=dist.Laplace,
    ),
    "cauchy": Standard(
        draw=_cauchy,
        log_density=lambda u: -torch.log1p(u * u) - math.log(math.pi),
        from_logistic=_odd(lambda z: 1 / torch.tan(math.pi * torch.sigmoid(-z))),
        log_cdf=lambda u: _cauchy_log_sf(-u),
        log_sf=_cauchy_log_sf,
        build=dist.Cauchy,
    ),
    "uniform": Standard(
        draw=_uniform,
        log_density=lambda u: torch.where((u >= 0) & (u <= 1), torch.zeros_like(u), -math.inf),
        from_logistic=torch.sigmoid,
        log_cdf=lambda u: torch.log(u.clamp(0, 1)),
        log_sf=lambda u: torch.log1p(-u.clamp(0, 1)),
        build=dist.Uniform,
        bounds=(0.0, 1.0),
    ),
    "exponential": Standard(
        draw=_exponential,
        log_density=lambda u: torch.where(u >= 0, -u, -math.inf),
        from_logistic=softplus,
        log_cdf=lambda u: log1mexp(-u.clamp(min=0)),
        log_sf=lambda u: -u.clamp(min=0),
        build=lambda zero, one: dist.Exponential(one),
        bounds=(0.0, math.inf),
    ),
    "half_normal": Standard(
        draw=lambda shape, generator: _normal(shape, generator).abs(),
        log_density=lambda u: torch.where(u >= 0, -0.5 * u * u - _HALF_LOG_2PI + math.log(2), -math.inf),
        from_logistic=_half_normal_quantile,
        log_cdf=lambda u: torch.log(torch.erf(u.clamp(min=0) / math.sqrt(2))),
        log_sf=lambda u: log_ndtr(-u.clamp(min=0)) + math.log(2),
        build=lambda zero, one: dist.HalfNormal(one),
        bounds=(0.0, math.inf),
    ),
    "half_cauchy": Standard(
        draw=lambda shape, generator: _cauchy(shape, generator).abs(),
        log_density=lambda u: torch.where(u >= 0, math.log(2 / math.pi) - torch.log1p(u * u), -math.inf),
        from_logistic=_half_cauchy_quantile,
        log_cdf=lambda u: torch.log(torch.atan(u.clamp(min=0)) * (2 / math.pi)),
        log_sf=lambda u: _cauchy_log_sf(u.clamp(min=0)) + math.log(2),
        build=lambda zero, one: dist.HalfCauchy(one),
        bounds=(0.0, math.inf),
    ),
}


@dataclass(frozen=True)
class Law:
    """The exogenous law of one site's noise: free of parents and of parameters.

    Args:
        kind: a key of `STANDARD`; ``"joint"`` for several laws side by side (vector mixtures), where `u` is
        the
            flattened concatenation of the parts; or ``"none"`` for a site without noise, whose `u` is a zero.
        shape: the shape of `u` for one unit.
        parts: the laws side by side, for ``"joint"``.

    >>> law = Law("logistic", (2,))
    >>> u = law.sample(1000, torch.Generator().manual_seed(0))
    >>> u.shape, law.log_prob(u).shape
    (torch.Size([1000, 2]), torch.Size([1000]))
    >>> law.distribution.shape()
    torch.Size([2])
    """

    kind: str
    shape: tuple[int, ...]
    parts: tuple[Law, ...] = ()

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    def sample(
        self,
        n: int | tuple[int, ...] = (),
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Draws of shape ``(n, *shape)`` from a CPU generator, accurate in both tails whatever the dtype."""
        lead = (n,) if isinstance(n, int) else tuple(n)
        dtype = dtype or torch.get_default_dtype()
        if self.kind == "none":
            return torch.zeros(lead + self.shape, dtype=dtype)
        if self.kind == "joint":
            return torch.cat(
                [p.sample(lead, generator, dtype).reshape(*lead, p.numel) for p in self.parts], -1
            )
        draw = STANDARD[self.kind].draw(lead + self.shape, generator)
        if self.kind == "uniform":  # rounding to a coarser dtype must not reach 0 or 1
            return inside_unit(draw.to(dtype))
        return draw.to(dtype)

    def log_prob(self, u: Tensor) -> Tensor:
        """The log density of `u`, summed over `shape`."""
        if self.kind == "none":
            return u.new_zeros(u.shape[: u.dim() - len(self.shape)])
        if self.kind == "joint":
            return torch.stack([p.log_prob(v) for p, v in zip(self.parts, self.split(u), strict=True)]).sum(0)
        score = STANDARD[self.kind].log_density(u)
        return score.sum(tuple(range(-len(self.shape), 0))) if self.shape else score

    def contains(self, u: Tensor) -> Tensor:
        """Whether each number is finite and, up to rounding, a value that the noise can have."""
        if self.kind == "joint":
            inside = [p.contains(v).flatten(u.dim() - 1) for p, v in zip(self.parts, self.split(u))]
            return torch.cat(inside, -1)
        low, high = STANDARD[self.kind].bounds if self.kind != "none" else (-math.inf, math.inf)
        return torch.isfinite(u) & (u >= low - _ROUNDING) & (u <= high + _ROUNDING)

    def from_uniform(self, v: Tensor) -> Tensor:
        """The noise whose distribution function is the uniform `v`; both have shape ``(..., *shape)``."""
        if self.kind == "none":
            return torch.zeros_like(v)
        if self.kind == "joint":
            pairs = zip(self.parts, self.split(v), strict=True)
            return torch.cat([p.from_uniform(w).flatten(v.dim() - 1) for p, w in pairs], -1)
        return STANDARD[self.kind].from_logistic(torch.logit(inside_unit(v)))

    def from_normal(self, s: Tensor) -> Tensor:
        """The noise at normal scores `s`, `(..., *shape)`: of this law if `s` is standard normal.

        It goes through the log odds log Φ(s) - log Φ(-s), which keep full precision in both tails, in
        float64, as `sample` does; and is differentiable, twice.

        >>> Law("exponential", ()).from_normal(torch.tensor([-5.0, 0.0, 5.0]))
        tensor([2.8665e-07, 6.9315e-01, 1.5065e+01])
        """
        if self.kind == "none":
            return torch.zeros_like(s)
        if self.kind == "normal":
            return s
        if self.kind == "joint":
            pairs = zip(self.parts, self.split(s), strict=True)
            return torch.cat([p.from_normal(w).reshape(*s.shape[:-1], p.numel) for p, w in pairs], -1)
        score = s.double()
        u = STANDARD[self.kind].from_logistic(log_ndtr(score) - log_ndtr(-score)).to(s.dtype)
        return inside_unit(u) if self.kind == "uniform" else u

    def split(self, u: Tensor) -> tuple[Tensor, ...]:
        """The parts of a joint noise, each in its own shape."""
        pieces = u.split([p.numel for p in self.parts], -1)
        return tuple(w.reshape(*u.shape[:-1], *p.shape) for p, w in zip(self.parts, pieces, strict=True))

    @property
    def distribution(self) -> dist.TorchDistribution:
        """The law as a Pyro distribution with event shape `shape`."""
        if self.kind == "none":
            return dist.Delta(torch.zeros(self.shape)).to_event(len(self.shape))
        if self.kind == "joint":
            return JointNoise(self)
        member = STANDARD[self.kind].build(torch.zeros(self.shape), torch.ones(self.shape))
        return member.to_event(len(self.shape))


def inside_unit(v: Tensor) -> Tensor:
    """`v` moved into the open interval (0, 1), in its own dtype."""
    info = torch.finfo(v.dtype)
    return v.clamp(min=info.tiny, max=1 - info.eps / 2)


class JointNoise(dist.TorchDistribution):
    """Independent noises side by side, as one vector: `Law.distribution` of a ``"joint"`` law."""

    arg_constraints: dict = {}
    support = dist.constraints.real_vector

    def __init__(self, law: Law, batch_shape: tuple[int, ...] = ()) -> None:
        self.law = law
        super().__init__(torch.Size(batch_shape), torch.Size(law.shape), validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.law.sample(tuple(sample_shape) + tuple(self.batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.law.log_prob(value)

    def expand(self, batch_shape: Any, _instance: object = None) -> JointNoise:
        return JointNoise(self.law, tuple(batch_shape))
