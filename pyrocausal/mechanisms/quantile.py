"""Monotone splines as conditional quantile functions, and the distributions that they define."""

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Transform, constraints
from torch.nn import functional as F

__all__ = ["QuantileDistribution", "QuantileSpline"]


class QuantileSpline(Transform):
    r"""u -> z, an increasing rational-quadratic spline over equal bins of u, straight beyond +-bound.

    The spline passes ``centre`` at u = 0, has the mean slopes ``slopes`` (..., K) on its K bins (K even) and
    the slopes ``derivatives`` (..., K + 1) at the knots. In a bin with mean slope s, end slopes a and b, and
    t in [0, 1] (Gregory & Delbourgo 1982; Durkan et al. 2019, "Neural spline flows"):

    .. math:: z = z_0 + w \frac{s t^2 + a t(1-t)}{s + (a + b - 2s) t(1-t)}, \quad
              \frac{dz}{du} = s^2 \frac{b t^2 + 2 s t(1-t) + a(1-t)^2}{(s + (a + b - 2s) t(1-t))^2},

    with w the bin's height. The inverse is the root of a quadratic. Beyond the box the slopes are ``tails``
    (..., 2), by default the end derivatives.
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = +1

    def __init__(
        self, centre: Tensor, slopes: Tensor, derivatives: Tensor, bound: float, tails: Tensor | None = None
    ) -> None:
        super().__init__()
        self.tails = derivatives[..., [0, -1]] if tails is None else tails
        bins = slopes.shape[-1]
        self.bins, self.bound, self.width = bins, bound, 2 * bound / bins
        knots = F.pad(slopes.cumsum(-1), (1, 0)) * self.width
        self.knots = knots - knots[..., bins // 2, None] + centre[..., None]
        self.table = torch.stack(
            (self.knots[..., :-1], slopes, derivatives[..., :-1], derivatives[..., 1:]), -2
        )

    def _call(self, u: Tensor) -> Tensor:
        k, t, beyond = self._locate(u)
        z0, s, a, b = self._bin(k)
        q = t * (1 - t)
        z = z0 + self.width * s * (s * t * t + a * q) / (s + (a + b - 2 * s) * q)
        return z + beyond * self._tail(beyond)

    def _inverse(self, z: Tensor) -> Tensor:
        return self.inverse_and_log_slope(z)[0]

    def log_abs_det_jacobian(self, u: Tensor, z: Tensor) -> Tensor:
        k, t, beyond = self._locate(u)
        return torch.where(beyond == 0, self._log_slope(t, *self._bin(k)[1:]), torch.log(self._tail(beyond)))

    def inverse_and_log_slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The u that gives z, and log dz/du there."""
        k = (self.knots[..., 1:-1] <= z[..., None]).sum(-1)
        z0, s, a, b = self._bin(k)
        height = self.width * s
        inside = torch.minimum((z - z0).clamp_min(0), height)
        y = inside / height
        curve = y * (a + b - 2 * s)
        quadratic, linear = s - a + curve, a - curve
        root = (linear * linear + 4 * quadratic * s * y).clamp_min(1e-12 * s * s).sqrt()
        t = 2 * s * y / (linear + root)
        outside = (z < self.knots[..., 0]) | (z > self.knots[..., -1])
        beyond = torch.where(outside, z - z0 - inside, 0.0)
        tail = self._tail(beyond)
        log_slope = torch.where(beyond == 0, self._log_slope(t, s, a, b), torch.log(tail))
        return (k + t) * self.width - self.bound + beyond / tail, log_slope

    def _tail(self, beyond: Tensor) -> Tensor:
        """The slope on the side of the box where `beyond` lies."""
        return torch.where(beyond > 0, self.tails[..., 1], self.tails[..., 0])

    def _locate(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The bin of u, its place in the bin, and how far it lies outside the box."""
        inside = u.clamp(-self.bound, self.bound)
        place = (inside + self.bound) / self.width
        k = place.floor().clamp(0, self.bins - 1)
        return k.long(), place - k, u - inside

    def _bin(self, k: Tensor) -> tuple[Tensor, ...]:
        """The bin's lower end, mean slope and end slopes."""
        shape = torch.broadcast_shapes(k.shape, self.table.shape[:-2])
        table = self.table.expand(*shape, 4, self.bins)
        return table.gather(-1, k.expand(shape)[..., None, None].expand(*shape, 4, 1)).squeeze(-1).unbind(-1)

    @staticmethod
    def _log_slope(t: Tensor, s: Tensor, a: Tensor, b: Tensor) -> Tensor:
        q = t * (1 - t)
        ratio = s / (s + (a + b - 2 * s) * q)
        return torch.log((b * t * t + 2 * s * q + a * (1 - t).square()) * ratio.square())


class QuantileDistribution(dist.TransformedDistribution):
    """Normal noise through a spline and into natural units; the log-density looks each bin up only once."""

    def log_prob_between(self, low: Tensor, high: Tensor) -> Tensor:
        """log P(low < x < high), in double precision, and accurate in both tails."""
        spline, units = self.transforms
        a, b = (spline.inv(units.inv(x.double())) for x in (low, high))
        right = a > 0  # the interval's mirror image lies in the left tail, whose probabilities are small
        a, b = torch.where(right, -b, a), torch.where(right, -a, b)
        below_a, below_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
        return below_b + torch.log(-torch.expm1(below_a - below_b))

    def log_prob(self, x: Tensor) -> Tensor:
        spline, units = self.transforms
        u, log_slope = spline.inverse_and_log_slope(units.inv(x))
        return self.base_dist.log_prob(u) - log_slope + units.scale.log_slope(x)
