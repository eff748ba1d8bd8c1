"""The units in which `Continuous` works: power transforms, learnt once, that make data nearly symmetric."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints

__all__ = ["NaturalUnits", "PowerScale", "orthonormal"]

# The exponents to choose a power transform from; none is 0 or 2, where Yeo-Johnson's formula has a limit.
_EXPONENTS = (-1.0, -0.5, 0.001, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 1.999, 2.5, 3.0)
_LIKELIHOOD_GAIN = 4.0  # what a power other than 1 must gain, in nats over all rows, to be chosen
_ALL = slice(None)
_MAX_ROWS = 5000  # rows used to choose the power


def _branch(value: Tensor, power: Tensor) -> Tensor:
    """Yeo-Johnson's exponent: the power right of 0, and 2 - power left of it."""
    return torch.where(value >= 0, power, 2 - power)


def _sign(value: Tensor) -> Tensor:
    """The sign, 1 at 0: ``_sign(t) * t`` is then |t| with a derivative of 1 at 0, not 0."""
    return torch.where(value >= 0, 1.0, -1.0).to(value.dtype)


def _yeo_johnson(t: Tensor, power: Tensor) -> Tensor:
    e, sign = _branch(t, power), _sign(t)
    return sign * torch.expm1(e * torch.log1p(sign * t)) / e


def _yeo_johnson_inverse(y: Tensor, power: Tensor) -> Tensor:
    e, sign = _branch(y, power), _sign(y)
    return sign * torch.expm1(torch.log1p((e * sign * y).clamp_min(-1 + 1e-6)) / e)


def _yeo_johnson_log_slope(t: Tensor, power: Tensor) -> Tensor:
    return (_branch(t, power) - 1) * torch.log1p(t.abs())


class PowerScale(nn.Module):
    """A standardising power transform ``z = (YJ((x - centre) / scale; power) - mean) / sd``, learnt once.

    Beyond the range of the data it goes on as a straight line, so that it is a bijection of the real line
    that never overflows: along the tangent or, where that is steep (as the inverse of a logarithm is), at
    five times the inverse's mean slope within the range. With ``centre`` at the data's end and a small
    ``scale`` it is a shifted logarithm or root. ``shape`` is ``()`` for one variable, ``(d,)`` for d columns.
    """

    centre: Tensor
    scale: Tensor
    power: Tensor
    mean: Tensor
    sd: Tensor
    low: Tensor
    high: Tensor
    least: Tensor  # log of the least slope beyond the range

    def __init__(self, *shape: int) -> None:
        super().__init__()
        for name in ("centre", "mean"):
            self.register_buffer(name, torch.zeros(shape))
        for name in ("scale", "power", "sd"):
            self.register_buffer(name, torch.ones(shape))
        self.register_buffer("low", torch.full(shape, -1.0))
        self.register_buffer("high", torch.full(shape, 1.0))
        self.register_buffer("least", torch.full(shape, -math.inf))

    @torch.no_grad()
    def fit(self, x: Tensor, explained_by: Tensor, column: int | tuple[()] = (), rows: slice = _ALL) -> None:
        """Choose the power under which a regression of x[rows] on ``explained_by`` (n, p) is most likely."""
        x = x.double()
        centre, scale, power = self._choose(x[rows], explained_by)
        t = (x - centre) / scale
        y = _yeo_johnson(t, power)
        found = {"centre": centre, "scale": scale, "power": power, "low": t.min(), "high": t.max()}
        found |= {"mean": y.mean(), "sd": y.std()}
        found["least"] = torch.log((y.max() - y.min()) / (t.max() - t.min()) / 5)
        for name, value in found.items():
            getattr(self, name)[column] = value.to(self.sd.dtype)

    @torch.no_grad()
    def fit_linear(self, centre: Tensor, scale: Tensor | float, column: int | tuple[()] = ()) -> None:
        """Only shift and scale, as suits a 0/1 code."""
        plain = {"centre": centre, "scale": scale, "power": 1.0, "mean": 0.0, "sd": 1.0}
        for name, value in {**plain, "low": -1.0, "high": 1.0, "least": -math.inf}.items():
            getattr(self, name)[column] = value

    @staticmethod
    def _choose(x: Tensor, explained_by: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The centre, scale and power of greatest profile likelihood, least squares standing for the mean."""
        rows = slice(None, None, max(1, len(x) // _MAX_ROWS))
        x, basis = x[rows], orthonormal(explained_by[rows])
        best, choice = x.new_tensor(-math.inf), None
        for centre, scale, power in _candidates(x):
            t = (x - centre) / scale
            y = _yeo_johnson(t, power)
            z = (y - y.mean()) / y.std()
            rest = (z.square().sum() - (basis.T @ z).square().sum()).clamp_min(1e-12 * len(x))
            log_slope = _yeo_johnson_log_slope(t, power).sum() - len(x) * torch.log(scale * y.std())
            likelihood = log_slope - 0.5 * len(x) * torch.log(rest) - _LIKELIHOOD_GAIN * (power != 1)
            if likelihood > best:
                best, choice = likelihood, (centre, scale, power)
        if choice is None:
            raise ValueError("no finite likelihood: x holds values that are not finite, or it is constant")
        return choice

    def forward(self, x: Tensor) -> Tensor:
        """x -> z."""
        t, inside, log_slope = self._split(x)
        return (_yeo_johnson(inside, self.power) + (t - inside) * log_slope.exp() - self.mean) / self.sd

    def log_slope(self, x: Tensor) -> Tensor:
        """log dz/dx."""
        return self._split(x)[2] - torch.log(self.scale * self.sd)

    def inverse(self, z: Tensor) -> Tensor:
        """z -> x."""
        y = z * self.sd + self.mean
        ends = _yeo_johnson(torch.stack((self.low, self.high)), self.power)
        inside = y.clamp(ends[0], ends[1])
        t = _yeo_johnson_inverse(inside, self.power)
        slope = torch.exp(torch.maximum(_yeo_johnson_log_slope(t, self.power), self.least))
        return (t + (y - inside) / slope) * self.scale + self.centre

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x on the power's scale, its nearest point in the range of the data, and YJ's log-slope there."""
        t = (x - self.centre) / self.scale
        inside = t.clamp(self.low, self.high)
        log_slope = _yeo_johnson_log_slope(inside, self.power)
        return t, inside, torch.where(t == inside, log_slope, torch.maximum(log_slope, self.least))


class NaturalUnits(Transform):
    """z -> x, the inverse of a learnt :class:`PowerScale`."""

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = +1

    def __init__(self, scale: PowerScale) -> None:
        super().__init__()
        self.scale = scale

    def _call(self, z: Tensor) -> Tensor:
        return self.scale.inverse(z)

    def _inverse(self, x: Tensor) -> Tensor:
        return self.scale(x)

    def log_abs_det_jacobian(self, z: Tensor, value: Tensor) -> Tensor:
        return -self.scale.log_slope(value)


def _candidates(x: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Centres, scales and powers to try: around the median, or from either end as a logarithm or a root."""
    low, q1, median, q3, high = torch.quantile(x, torch.tensor([0, 0.25, 0.5, 0.75, 1], dtype=x.dtype))
    spread = torch.where(q3 > q1, torch.minimum(x.std(), (q3 - q1) / 1.349), x.std())
    for power in _EXPONENTS:
        yield median, spread, x.new_tensor(power)
        for part in (4, 16):
            if 0 < power < 1:
                yield low, spread / part, x.new_tensor(power)
            if 1 < power < 2:
                yield high, spread / part, x.new_tensor(power)


def orthonormal(columns: Tensor) -> Tensor:
    """An orthonormal basis of the space that the columns span."""
    columns = columns / columns.norm(dim=0).clamp_min(1e-12)
    left, singular, _ = torch.linalg.svd(columns, full_matrices=False)
    return left[:, singular > 1e-6 * singular[0]]
