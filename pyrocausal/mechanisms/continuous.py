r"""The default mechanism of a continuous scalar: a conditional quantile function with an exact inverse.

A variable x with parents' features f is modelled as

.. math:: x = T^{-1}\bigl(Q(u \mid h)\bigr), \qquad u \sim N(0, 1), \qquad h = T_f(f),

where T and T_f are fixed, standardising power transforms (:class:`~pyrocausal.mechanisms.power.PowerScale`)
and Q increases strictly in u, so that the noise of an observed unit is exactly
``pull(x) = Q^{-1}(T(x) | h)``. Q is a monotone rational-quadratic spline in u
(:class:`~pyrocausal.mechanisms.quantile.QuantileSpline`). Its median is ``linear(h) + polynomial(h) +
location(h)``, and its slope, at the knots and on average over the bins, is

.. math:: \log \frac{dQ}{du}(u \mid h) = s + \theta(u) + \delta_0(h)
          + \sum_{j=1}^{J} \delta_j(h) \, \frac{\cos(j \pi p(u))}{j},

with p(u) in [0, 1] the place of u in the spline's box: a scale and a shape shared by all parents' values, a
scale that depends on them, and a smooth, bounded change of the shape with them. ``location`` and ``form``,
which gives the deltas, are two small networks that start as 0, under priors that shrink the form much more
than the location: with few rows the model stays near a regression with one shape of noise. The linear term
starts at least squares. The polynomial one, of degrees 2 and 3, is least squares too and stays so. It is 0
unless its quadratic part halves the residuals' variance, also on the outermost rows if fitted to the others,
because one that fits only a little better goes astray where the parents' values are new. A cubic one is the
whole model or none.

The networks are free to bend the model only where the data ask for it
(:mod:`~pyrocausal.mechanisms.parsimony`). If the residuals of a linear, quadratic or cubic regression are
normal and independent of the parents, it is the model; if those of a flexible regression are independent
of them, the noise is additive, and the form stays 0. That is settled before training, with the units.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from .base import Mechanism, perceptron
from .parsimony import MOST_COLUMNS, additive, ones, polynomials, products, regressors, suffices
from .power import NaturalUnits, PowerScale, orthonormal
from .quantile import QuantileDistribution, QuantileSpline

__all__ = ["Continuous"]

_MARGIN = 1.0  # standard deviations beyond the training range at which the networks' inputs are held
_FORM = 2.0  # of the shape's change in a bin, as a log: where parents' values are new it would know no bound
_TAILS = 2.0  # factor by which slopes beyond the box may differ from those shared by all parents' values
_NODES = 32  # of Gauss-Hermite quadrature over the noise
_INNER = 0.9  # of the rows, near the middle of the parents' values, that must foretell the outermost
_MOST_ROWS = 20_000  # to look at when choosing how simple the model is
_NEWTON_STEPS = 4  # to match the means


class Continuous(Mechanism):
    """The default mechanism of a continuous scalar: learned location, scale and shape, exactly invertible.

    A network gives location and scale, a monotone spline the shape of the noise, both in the units of a
    learned power transform; it starts at the least-squares fit, and a prior keeps what the data do not ask
    for small. After training its means are matched to the data's (`match_means`). See
    `pyrocausal.mechanisms.continuous` for the model.

    Args:
        hidden: the width of each network's hidden layers.
        depth: their number.
        bins: bins of the spline, an even number, on u in (-bound, bound).
        bound: where the spline's straight tails begin, in standard deviations of the noise.
        shapes: J, in how many smooth ways the parents can change the distribution's shape.
        shrinkage: of the location's and of the form's weights, in whose layers with m inputs a weight has
            the prior N(0, 1 / (shrinkage * m)).

    >>> from pyrocausal import mechanisms as m
    >>> m.Continuous()().event_shape        # a root: no parents
    torch.Size([])
    """

    # The prior guards against overfitting; held-out rows are too few to see the small gains of late training,
    # which in counterfactuals are not small.
    tolerance = 2.0

    num_rows: Tensor
    floor: Tensor
    feature_range: Tensor
    basis: Tensor
    factors: Tensor
    polynomial: Tensor
    free: Tensor  # whether the location's and the form's network may bend the model: 1 or 0
    linear: nn.Linear  # this and the two networks only if there are parents
    location: nn.Sequential
    form: nn.Sequential

    def __init__(
        self,
        *,
        hidden: int = 64,
        depth: int = 2,
        bins: int = 8,
        bound: float = 3.0,
        shapes: int = 6,
        shrinkage: tuple[float, float] = (0.02, 0.1),
    ) -> None:
        super().__init__()
        self.hidden, self.depth = hidden, depth
        self.bins, self.bound, self.shapes, self.shrinkage = bins, bound, shapes, shrinkage

    def build(self) -> None:
        d, bins = self.num_features, self.bins
        self.register_buffer("num_rows", torch.tensor(1.0))
        self.register_buffer("floor", torch.tensor(1e-4))
        self.register_buffer("feature_range", torch.zeros(2, d))
        self.register_buffer("basis", _cosines(self.shapes, bins), persistent=False)
        self.register_buffer("factors", _factors(d), persistent=False)
        self.register_buffer("polynomial", torch.zeros(len(self.factors)))
        self.register_buffer("free", torch.ones(2))
        self.centre = nn.Parameter(torch.zeros(()))
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.shape = nn.Parameter(torch.zeros(2 * bins + 1))
        self.output_scale, self.input_scale = PowerScale(), PowerScale(d)
        if d:
            self.linear = nn.Linear(d, 1)
            self.location = self._network(1)
            self.form = self._network(1 + self.shapes)

    def distribution(self, features: Tensor) -> Distribution:
        """The distribution of x given features (..., d), with batch shape (...)."""
        spline = self.spline(self.input_scale(features))
        batch = features.shape[:-1]
        base = dist.Normal(features.new_zeros(batch), features.new_ones(batch), validate_args=False)
        return QuantileDistribution(base, [spline, NaturalUnits(self.output_scale)], validate_args=False)

    def spline(self, h: Tensor) -> QuantileSpline:
        """Q( . | h), from the shared parameters and, unless x is a root, from the networks."""
        centre = self.centre.expand(h.shape[:-1])
        log_scale: Tensor = self.log_scale
        shape: Tensor = self.shape
        if self.num_features:
            inside = h.clamp(self.feature_range[0], self.feature_range[1])
            delta = self.free[1] * self.form(inside)
            location = self.linear(h) + self.free[0] * self.location(inside)
            products = F.pad(inside, (1, 0), value=1.0)[..., self.factors].prod(-1)
            centre = centre + location[..., 0] + products @ self.polynomial
            log_scale = log_scale + _bounded(delta[..., :1], 6.0)
            shape = shape + _bounded(delta[..., 1:] @ self.basis, _FORM)
        slopes = torch.exp(log_scale + _bounded(shape, 4.6)) + self.floor
        slopes = slopes.expand(*h.shape[:-1], 2 * self.bins + 1)
        derivatives = slopes[..., self.bins :]
        # Beyond the box slopes differ little between parents' values, so that an extreme unit keeps its
        # distance; slopes of its own, tiny here and large there, would blow it up.
        ends = [self.bins, -1]
        shared = torch.exp(self.log_scale + _bounded(self.shape[ends], 4.6)) + self.floor
        tails = slopes[..., ends].clamp(shared / _TAILS, shared * _TAILS).detach()
        return QuantileSpline(centre, slopes[..., : self.bins], derivatives, self.bound, tails)

    @torch.no_grad()
    def learn_scales(self, x: Tensor, features: Tensor) -> None:
        """Learn the units of x (n,) and of the features (n, d), what is free, and where to start."""
        self.num_rows.fill_(len(x))
        degree = self._learn_units(x, features)
        h, z = self.input_scale(features), self.output_scale(x).double()
        if self.num_features:  # a polynomial that explains everything is taken at its word, far out too
            margin = _MARGIN if degree is None else math.inf
            self.feature_range.copy_(torch.stack((h.amin(0) - margin, h.amax(0) + margin)))
        self.floor.fill_(max(1e-4, 0.3 * _tie_gap(z)))
        self._start_at_least_squares(z, h, degree)

    def penalty(self) -> Tensor:
        """Minus the log-prior of the networks' weights and of the shared shape, per row."""
        total = 0.01 * self.shape.square().sum()
        if self.num_features:
            for net, shrinkage in zip((self.location, self.form), self.shrinkage, strict=True):
                weights = [layer.weight for layer in net if isinstance(layer, nn.Linear)]
                total = total + shrinkage * sum(w.shape[1] * w.square().sum() for w in weights)
        return 0.5 * total / self.num_rows

    def match_means(self, x: Tensor, features: Tensor) -> dict[str, Tensor]:
        r"""The linear part under which :math:`\sum_i h_i (x_i - E[x \mid h_i]) = 0`, with 1 among the h.

        A regularised likelihood gets the shape right and shrinks what few rows tell, the effect of a
        treatment on the mean among it; these are the equations that least squares solves, here by Newton's
        method on the location.
        """
        h = self.input_scale(features)
        design = torch.cat([torch.ones_like(x)[:, None], h], 1)
        nodes, weights = (torch.tensor(a, dtype=x.dtype) for a in np.polynomial.hermite_e.hermegauss(_NODES))
        weights = weights / weights.sum()
        spline = self.spline(h)
        z = torch.stack([spline(node) for node in nodes.expand(len(x), _NODES).T], -1)
        shift = torch.zeros_like(design[0])
        for _ in range(_NEWTON_STEPS):
            moved = z + (design @ shift)[:, None]
            values = self.output_scale.inverse(moved)
            slopes = torch.exp(-self.output_scale.log_slope(values))
            residual = x - values @ weights
            normal = design.T @ (design * (slopes @ weights)[:, None])
            shift = shift + _ridge_solve(normal, design.T @ residual)
        found = {"centre": self.centre + shift[0]}
        if self.num_features:
            found["linear.weight"] = self.linear.weight + shift[None, 1:]
        return found

    def _network(self, outputs: int) -> nn.Sequential:
        """A perceptron that starts as the constant 0."""
        network = perceptron(self.num_features, (self.hidden,) * self.depth, outputs)
        last = network[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return network

    def _learn_units(self, x: Tensor, features: Tensor) -> int | None:
        """Learn the scales, and what is free, from the simplest model that will do; returns its degree.

        Tried in turn are a linear, a quadratic and a cubic model and one whose location is free, of x itself
        and then of its power. Only if each leaves residuals that depend on the parents, the noise's form is
        free too.
        """
        plain_features = self._learn_feature_scales(features)
        rows = slice(None, None, -(-len(x) // _MOST_ROWS))
        h = self.input_scale(features[rows]).double()
        flexible = regressors(h)
        plain, power = copy.deepcopy(self.output_scale), self.output_scale
        plain.fit_linear(x.mean(), x.std())
        power.fit(x, flexible, rows=rows)
        if not 0 < self.num_features <= MOST_COLUMNS:
            return None
        straight, *curved = polynomials(plain_features(features[rows]).double())
        models = [
            (plain_features, 1, straight),
            (self.input_scale, 1, polynomials(h, 1)[0]),
            *((plain_features, degree, columns) for degree, columns in enumerate(curved, start=2)),
        ]
        for scale in (plain, power):
            z = scale(x[rows]).double()
            enough = ((units, degree) for units, degree, c in models if suffices(z, c, flexible, h))
            units, degree = next(enough, (self.input_scale, None))
            if degree or additive(z, flexible, h):
                self.output_scale.load_state_dict(scale.state_dict())
                self.input_scale.load_state_dict(units.state_dict())
                self.free.copy_(torch.tensor([degree is None, False]))
                return degree
        return None

    def _learn_feature_scales(self, features: Tensor) -> PowerScale:
        """Learn the features' units; returns also those without a power."""
        plain = copy.deepcopy(self.input_scale)
        for column, values in enumerate(features.T):
            if self.continuous[column]:
                self.input_scale.fit(values, ones(len(values)), column)
                plain.fit_linear(values.mean(), values.std(), column)
            else:
                for scale in (self.input_scale, plain):
                    scale.fit_linear(values.mean(), 0.5, column)
        return plain

    def _start_at_least_squares(self, z: Tensor, h: Tensor, degree: int | None) -> None:
        """Start at the regression of z on h; of no given degree, it is quadratic if that pays."""
        d, designs = self.num_features, polynomials(h.double(), degree or 2)
        if degree is None:
            degree = 2 if d and _halves(z, *designs) else 1
        weights, variance = _least_squares(z, designs[degree - 1])
        self.centre.copy_(weights[0])
        if d:
            self.linear.weight.copy_(weights[None, 1 : d + 1])
            self.linear.bias.zero_()
        self.polynomial.zero_()
        self.polynomial[: len(weights) - d - 1] = weights[d + 1 :]
        self.log_scale.copy_(0.5 * variance.clamp_min(1e-6).log())


def _least_squares(z: Tensor, design: Tensor) -> tuple[Tensor, Tensor]:
    """The barely ridged regression of z on the design's columns: its weights, and the residuals' variance."""
    ridge = 1e-6 * len(z) * torch.eye(design.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(design.T @ design + ridge, design.T @ z)
    return weights, (z - design @ weights).var()


def _halves(z: Tensor, straight: Tensor, curved: Tensor) -> bool:
    """Whether the second design's regression halves the variance that the first's leaves, far out too."""
    before, after = (_least_squares(z, columns)[1] for columns in (straight, curved))
    pays = 0.5 * len(z) * torch.log(before / after) > (curved.shape[1] - straight.shape[1]) * math.log(len(z))
    leverage = orthonormal(straight).square().sum(1)
    inner = leverage <= leverage.quantile(_INNER)

    def squares(columns: Tensor) -> Tensor:
        weights, _ = _least_squares(z[inner], columns[inner])
        return (z - columns @ weights)[~inner].square().sum()

    return bool(pays and before > 2 * after and squares(straight) > 2 * squares(curved))


def _factors(d: int) -> Tensor:
    """Rows of three: the columns to multiply in each of the polynomial's terms, 0 standing for a 1."""
    return torch.cat([F.pad(factors, (0, 3 - factors.shape[1])) for factors in products(d)])


def _cosines(count: int, bins: int) -> Tensor:
    """Rows cos(j pi p) / j for j = 1 .. count, at the middles p of the bins and then at the knots."""
    place = torch.cat([torch.arange(bins) + 0.5, torch.arange(bins + 1)]) / bins
    j = torch.arange(1, count + 1)[:, None]
    return torch.cos(math.pi * j * place) / j


def _bounded(a: Tensor, limit: float) -> Tensor:
    """The identity near 0, never beyond the limit."""
    return a / (1 + a.abs() / limit)


def _tie_gap(z: Tensor) -> float:
    """The usual gap between neighbouring values times the share of tied rows: 0 for untied data."""
    values = z.unique()
    ties = 1 - len(values) / len(z)
    return ties * values.diff().median().item()


def _ridge_solve(matrix: Tensor, vector: Tensor) -> Tensor:
    """The solution for a positive matrix that collinear features (one-hot ones, say) make singular."""
    wide = matrix.double()  # in single precision so small a ridge would be lost in rounding
    ridge = 1e-6 * torch.diag(wide).mean() * torch.eye(len(wide), dtype=wide.dtype, device=wide.device)
    return torch.linalg.solve(wide + ridge, vector.double()).to(vector.dtype)
