r"""The default mechanism of a continuous scalar: a conditional quantile function with an exact inverse.

A variable x with parents' features f is modelled as

.. math:: x = T^{-1}\bigl(Q(u \mid h)\bigr), \qquad u \sim N(0, 1), \qquad h = T_f(f),

where T and T_f are fixed, standardising power transforms (:class:`PowerScale`) and Q increases strictly in u,
so that the noise of an observed unit is exactly ``pull(x) = Q^{-1}(T(x) | h)``. Q is a monotone
rational-quadratic spline in u (:class:`QuantileSpline`). Its median is ``linear(h) + quadratic(h) +
location(h)``, and its slope, at the knots and on average over the bins, is

.. math:: \log \frac{dQ}{du}(u \mid h) = s + \theta(u) + \delta_0(h)
          + \sum_{j=1}^{J} \delta_j(h) \, \frac{\cos(j \pi p(u))}{j},

with p(u) in [0, 1] the place of u in the spline's box: a scale and a shape shared by all parents' values, a
scale that depends on them, and a smooth change of the shape with them. ``location`` and ``form``, which gives
the deltas, are two small networks that start as 0, under priors that shrink the form much more than the
location: with few rows the model stays near a regression with one shape of noise. The linear term starts at
least squares. The quadratic one is least squares too and stays so; it is 0 unless it halves the residuals'
variance, because a quadratic that fits only a little better goes astray where the parents' values are new.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints
from torch.nn import functional as F

__all__ = ["ContinuousHead", "PowerScale", "QuantileSpline"]

# The exponents to choose a power transform from; none is 0 or 2, where Yeo-Johnson's formula has a limit.
_EXPONENTS = (-1.0, -0.5, 0.001, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 1.999, 2.5, 3.0)
_LIKELIHOOD_GAIN = 4.0  # what a power other than 1 must gain, in nats over all rows, to be chosen
_MAX_ROWS = 5000  # rows used to choose the power
_MARGIN = 1.0  # standard deviations beyond the training range at which the networks' inputs are held


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
    that never overflows. With ``centre`` at the data's end and a small ``scale`` it is a shifted logarithm or
    root. ``shape`` is ``()`` for one variable or ``(d,)`` for d columns.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        for name in ("centre", "mean"):
            self.register_buffer(name, torch.zeros(shape))
        for name in ("scale", "power", "sd"):
            self.register_buffer(name, torch.ones(shape))
        self.register_buffer("low", torch.full(shape, -1.0))
        self.register_buffer("high", torch.full(shape, 1.0))

    @torch.no_grad()
    def fit(self, x: Tensor, explained_by: Tensor, column: int | tuple[()] = ()) -> None:
        """Choose the power under which a regression of x (n,) on ``explained_by`` (n, p) is most likely."""
        x = x.double()
        centre, scale, power = self._choose(x, explained_by)
        t = (x - centre) / scale
        y = _yeo_johnson(t, power)
        found = {"centre": centre, "scale": scale, "power": power, "low": t.min(), "high": t.max()}
        found |= {"mean": y.mean(), "sd": y.std()}
        for name, value in found.items():
            getattr(self, name)[column] = value.to(self.sd.dtype)

    def fit_linear(self, centre: Tensor, scale: float, column: int) -> None:
        """Only shift and scale a column, as suits a 0/1 code."""
        self.mean[column], self.sd[column] = centre, scale

    @staticmethod
    def _choose(x: Tensor, explained_by: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The centre, scale and power of greatest profile likelihood, least squares standing for the mean."""
        rows = slice(None, None, max(1, len(x) // _MAX_ROWS))
        x, basis = x[rows], _orthonormal(explained_by[rows])
        best, choice = -math.inf, None
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
        t = t + (y - inside) * torch.exp(-_yeo_johnson_log_slope(t, self.power))
        return t * self.scale + self.centre

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x on the power's scale, its nearest point in the range of the data, and YJ's log-slope there."""
        t = (x - self.centre) / self.scale
        inside = t.clamp(self.low, self.high)
        return t, inside, _yeo_johnson_log_slope(inside, self.power)


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


def _orthonormal(columns: Tensor) -> Tensor:
    """An orthonormal basis of the space that the columns span."""
    columns = columns / columns.norm(dim=0).clamp_min(1e-12)
    left, singular, _ = torch.linalg.svd(columns, full_matrices=False)
    return left[:, singular > 1e-6 * singular[0]]


def _ones(n: int) -> Tensor:
    return torch.ones(n, 1, dtype=torch.float64)


def _polynomial(h: Tensor) -> Tensor:
    """1, h, its squares (with the products, if the columns are few) and its cubes, for a quick regression."""
    h = h.double().clamp(-4, 4)
    i, j = _pairs(h.shape[-1])
    return torch.cat([_ones(len(h)), h, h[:, i] * h[:, j], h**3], dim=1)


class QuantileSpline(Transform):
    r"""u -> z, an increasing rational-quadratic spline over equal bins of u, straight beyond +-bound.

    The spline passes ``centre`` at u = 0, has the mean slopes ``slopes`` (..., K) on its K bins (K even) and
    the slopes ``derivatives`` (..., K + 1) at the knots. In a bin with mean slope s, end slopes a and b, and
    t in [0, 1] (Gregory & Delbourgo 1982; Durkan et al. 2019, "Neural spline flows"):

    .. math:: z = z_0 + w \frac{s t^2 + a t(1-t)}{s + (a + b - 2s) t(1-t)}, \quad
              \frac{dz}{du} = s^2 \frac{b t^2 + 2 s t(1-t) + a(1-t)^2}{(s + (a + b - 2s) t(1-t))^2},

    with w the bin's height. The inverse is the root of a quadratic.
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = +1

    def __init__(self, centre: Tensor, slopes: Tensor, derivatives: Tensor, bound: float) -> None:
        super().__init__()
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
        return z + beyond * torch.where(beyond > 0, b, a)

    def _inverse(self, z: Tensor) -> Tensor:
        return self.inverse_and_log_slope(z)[0]

    def log_abs_det_jacobian(self, u: Tensor, z: Tensor) -> Tensor:
        k, t, _ = self._locate(u)
        return self._log_slope(t, *self._bin(k)[1:])

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
        beyond = (z - z0 - inside) / torch.where(y > 0.5, b, a)
        return (k + t) * self.width - self.bound + beyond, self._log_slope(t, s, a, b)

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


class _NaturalUnits(Transform):
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

    def log_abs_det_jacobian(self, z: Tensor, x: Tensor) -> Tensor:
        return -self.scale.log_slope(x)


class _SplineDistribution(dist.TransformedDistribution):
    """Normal noise through a spline and into natural units; the log-density looks each bin up only once."""

    def log_prob(self, x: Tensor) -> Tensor:
        spline, units = self.transforms
        u, log_slope = spline.inverse_and_log_slope(units.inv(x))
        return self.base_dist.log_prob(u) - log_slope + units.scale.log_slope(x)


def _bounded(a: Tensor, limit: float) -> Tensor:
    """The identity near 0, never beyond the limit."""
    return a / (1 + a.abs() / limit)


class ContinuousHead(nn.Module):
    """p(x | features) of a continuous scalar: see the module's text for the model.

    Args:
        num_features: how many features the parents give, 0 for a root.
        continuous: which features are continuous, (num_features,) bool (default: all); the others are 0/1.
        hidden, depth: width and number of each network's hidden layers.
        bins: bins of the spline, an even number, on u in (-bound, bound).
        shapes: J, in how many smooth ways the parents can change the distribution's shape.
        shrinkage: of the location's and of the form's weights, in whose layers with m inputs a weight has the
            prior N(0, 1 / (shrinkage * m)).
    """

    def __init__(
        self,
        num_features: int,
        *,
        continuous: Tensor | None = None,
        hidden: int = 64,
        depth: int = 2,
        bins: int = 8,
        bound: float = 3.0,
        shapes: int = 6,
        shrinkage: tuple[float, float] = (0.02, 0.1),
    ) -> None:
        super().__init__()
        self.num_features, self.bins, self.bound, self.shrinkage = num_features, bins, bound, shrinkage
        flags = (
            torch.ones(num_features, dtype=torch.bool) if continuous is None else torch.as_tensor(continuous)
        )
        self.register_buffer("continuous", flags)
        self.register_buffer("num_rows", torch.tensor(1.0))
        self.register_buffer("floor", torch.tensor(1e-4))
        self.register_buffer("feature_range", torch.zeros(2, num_features))
        self.register_buffer("basis", _cosines(shapes, bins), persistent=False)
        self.output_scale, self.input_scale = PowerScale(), PowerScale(num_features)
        self.linear = nn.Linear(num_features, 1) if num_features else None
        self.register_buffer("pairs", _pairs(num_features), persistent=False)
        self.register_buffer("quadratic", torch.zeros(self.pairs.shape[1]))
        self.centre = nn.Parameter(torch.zeros(()))
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.shape = nn.Parameter(torch.zeros(2 * bins + 1))
        self.location = _network(num_features, hidden, depth, 1) if num_features else None
        self.form = _network(num_features, hidden, depth, 1 + shapes) if num_features else None

    @torch.no_grad()
    def calibrate(self, x: Tensor, features: Tensor) -> None:
        """Learn the units of x (n,) and of the features (n, d), and start at the least-squares fit."""
        self.num_rows.fill_(len(x))
        h = self._calibrate_features(features)
        self.output_scale.fit(x, _polynomial(h))
        z = self.output_scale(x).double()
        self.floor.fill_(max(1e-4, 0.3 * _tie_gap(z)))
        self._start_at_least_squares(z, h)

    def forward(self, features: Tensor) -> dist.TransformedDistribution:
        """The distribution of x given features (..., d), with batch shape (...)."""
        spline = self._spline(self.input_scale(features))
        batch = features.shape[:-1]
        base = dist.Normal(features.new_zeros(batch), features.new_ones(batch), validate_args=False)
        return _SplineDistribution(base, [spline, _NaturalUnits(self.output_scale)], validate_args=False)

    def penalty(self) -> Tensor:
        """Minus the log-prior of the networks' weights and of the shared shape, per row."""
        total = 0.01 * self.shape.square().sum()
        if self.num_features:
            for net, shrinkage in zip((self.location, self.form), self.shrinkage, strict=True):
                total = total + shrinkage * sum(w.shape[1] * w.square().sum() for w in _weights(net))
        return 0.5 * total / self.num_rows

    def _spline(self, h: Tensor) -> QuantileSpline:
        """Q( . | h), from the shared parameters and, unless x is a root, from the networks."""
        centre, log_scale, shape = self.centre.expand(h.shape[:-1]), self.log_scale, self.shape
        if self.num_features:
            inside = h.clamp(self.feature_range[0], self.feature_range[1])
            delta = self.form(inside)
            products = inside[..., self.pairs[0]] * inside[..., self.pairs[1]]
            centre = centre + (self.linear(h) + self.location(inside))[..., 0] + products @ self.quadratic
            log_scale = log_scale + _bounded(delta[..., :1], 6.0)
            shape = shape + delta[..., 1:] @ self.basis
        slopes = torch.exp(log_scale + _bounded(shape, 4.6)) + self.floor
        slopes = slopes.expand(*h.shape[:-1], 2 * self.bins + 1)
        return QuantileSpline(centre, slopes[..., : self.bins], slopes[..., self.bins :], self.bound)

    def _calibrate_features(self, features: Tensor) -> Tensor:
        """Learn the features' units; returns them standardised."""
        for column, values in enumerate(features.T):
            if self.continuous[column]:
                self.input_scale.fit(values, _ones(len(values)), column)
            else:
                self.input_scale.fit_linear(values.mean(), 0.5, column)
        h = self.input_scale(features)
        if self.num_features:
            self.feature_range.copy_(torch.stack((h.amin(0) - _MARGIN, h.amax(0) + _MARGIN)))
        return h

    def _start_at_least_squares(self, z: Tensor, h: Tensor) -> None:
        """Start at the regression of z on h (and its products, if they pay), with its residuals' scale."""
        d = self.num_features
        products = h[:, self.pairs[0]] * h[:, self.pairs[1]]
        straight, curved = _least_squares(z, h), _least_squares(z, torch.cat([h, products], dim=1))
        pays = 0.5 * len(z) * torch.log(straight[1] / curved[1]) > products.shape[1] * math.log(len(z))
        weights, variance = curved if pays and straight[1] > 2 * curved[1] else straight
        self.centre.copy_(weights[0])
        if d:
            self.linear.weight.copy_(weights[None, 1 : d + 1])
            self.linear.bias.zero_()
        self.quadratic.copy_(weights[d + 1 :] if len(weights) > d + 1 else torch.zeros_like(self.quadratic))
        self.log_scale.copy_(0.5 * variance.clamp_min(1e-6).log())


def _least_squares(z: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """The barely ridged regression of z on 1 and the columns: its weights, and the residuals' variance."""
    design = torch.cat([_ones(len(z)), columns.double()], dim=1)
    ridge = 1e-6 * len(z) * torch.eye(design.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(design.T @ design + ridge, design.T @ z)
    return weights, (z - design @ weights).var()


def _pairs(d: int, limit: int = 12) -> Tensor:
    """Which of d features to multiply: every pair, or only each with itself if they are many."""
    return torch.triu_indices(d, d) if d <= limit else torch.arange(d).expand(2, d)


def _cosines(count: int, bins: int) -> Tensor:
    """Rows cos(j pi p) / j for j = 1 .. count, at the middles p of the bins and then at the knots."""
    place = torch.cat([torch.arange(bins) + 0.5, torch.arange(bins + 1)]) / bins
    j = torch.arange(1, count + 1)[:, None]
    return torch.cos(math.pi * j * place) / j


def _network(inputs: int, hidden: int, depth: int, outputs: int) -> nn.Sequential:
    """A perceptron that starts as the constant 0."""
    widths = [inputs, *[hidden] * depth]
    layers = [m for i, o in pairwise(widths) for m in (nn.Linear(i, o), nn.SiLU())]
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def _weights(net: nn.Sequential) -> list[Tensor]:
    return [layer.weight for layer in net if isinstance(layer, nn.Linear)]


def _tie_gap(z: Tensor) -> float:
    """The usual gap between neighbouring values times the share of tied rows: 0 for untied data."""
    values = z.unique()
    ties = 1 - len(values) / len(z)
    return ties * values.diff().median().item()
