"""Normalising flows: any density, and an exact noise for every value.

All are written from noise to value, `x = T(u)` with `u` standard normal, and hold the inverse of a zuko
transform that is cheap from value to noise, the direction of training and of abduction.
"""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Transform
from torch.distributions.transforms import AffineTransform
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.transforms import (
    AutoregressiveTransform,
    ComposedTransform,
    MonotonicAffineTransform,
    MonotonicRQSTransform,
)

from pyrocausal.errors import ProgramError

from .predictor import LinearStart, shrinkage

#: Half the width of a spline's box, in sd of the residuals; beyond it a spline is the identity.
BOUND = 5.0

#: How far out, in sd of the residuals, one coordinate of a vector still changes what others depend on.
REACH = 10.0


def spline(parameters: Tensor, bins: int) -> MonotonicRQSTransform:
    """The spline of unconstrained widths, heights and slopes `(..., 3 * bins - 1)`; zeros: the identity."""
    widths, heights, slopes = parameters.tensor_split((bins, 2 * bins), -1)
    return MonotonicRQSTransform(widths, heights, slopes, bound=BOUND)


class Spline(LinearStart):
    r"""A number of any conditional density: a rational-quadratic spline between residual and noise.

    .. math:: x = c + s\,(\mu(f) + \sigma(f)\, S_f^{-1}(u)), \qquad u \sim N(0, 1)

    in units of a linear fit's residuals (:math:`c, s`, learned once). :math:`\mu` has a linear part that
    starts at least squares; a network gives the rest of :math:`\mu`, :math:`\log \sigma` and the spline
    :math:`S_f`, monotone with `bins` pieces on [-5, 5] and the identity beyond: the tails are linear, the
    inverse is exact. Training starts from the linear-Gaussian fit.

    Args:
        bins: the number of pieces.
        hidden: the sizes of the network's hidden layers.

    References:
        Durkan, Bekasov, Murray and Papamakarios: Neural Spline Flows, 2019, https://arxiv.org/abs/1906.04032

    Example:
        >>> gain = Spline(bins=4)
        >>> density = gain(torch.tensor(43.0), torch.tensor(1))
        >>> density.log_prob(torch.tensor(0.0))                   # before any training: standard normal
        tensor(-0.9189, grad_fn=...)
    """

    zero: Tensor
    one: Tensor

    def __init__(self, bins: int = 8, hidden: tuple[int, ...] = (64, 64)) -> None:
        super().__init__(hidden)
        self.bins = bins
        self.outputs = 2 + 3 * bins - 1

    def build(self) -> None:
        super().build()
        _standard_normal(self)

    def family(self, parameters: Tensor) -> Distribution:
        steps = [
            spline(parameters[..., 2:], self.bins).inv,
            AffineTransform(*self.location_scale(parameters)),
        ]
        return dist.TransformedDistribution(dist.Normal(self.zero, self.one), steps)


class _VectorFlow(LinearStart):
    """What flows for vectors share: a linear start, then layers that relate the coordinates."""

    dim: int
    zero: Tensor
    one: Tensor

    def __init__(self, dim: int, transforms: int, bins: int, hidden: tuple[int, ...]) -> None:
        super().__init__(hidden=(), dim=dim)
        if dim < 2:
            raise ProgramError(
                f"{type(self).__name__}({dim}) has nothing to relate",
                why="a vector flow needs at least two coordinates",
                fix="use Spline() for a number",
            )
        self.outputs = dim
        self.transforms, self.bins, self.widths = transforms, bins, tuple(hidden)

    def ranks(self, layer: int) -> Tensor:
        """Each coordinate's rank: it depends on those of lower rank. Layer 0 is next to the value."""
        raise NotImplementedError

    def build(self) -> None:
        super().build()
        _standard_normal(self, self.dim)
        self.layers = nn.ModuleList(self._layer(self.ranks(i)) for i in range(self.transforms))

    def _layer(self, ranks: Tensor) -> MaskedAutoregressiveTransform:
        shapes = [(), ()] + ([(3 * self.bins - 1,)] if self.bins else [])
        layer = MaskedAutoregressiveTransform(
            self.dim,
            self.num_features,
            adjacency=(ranks[:, None] > ranks) | torch.eye(self.dim, dtype=torch.bool),
            univariate=self._univariate,
            shapes=shapes,
            hidden_features=self.widths,
            activation=nn.SiLU,
        )
        nn.init.zeros_(_last(layer).weight)
        nn.init.zeros_(_last(layer).bias)
        return layer

    def _univariate(self, shift: Tensor, log_scale: Tensor, shape: Tensor | None = None) -> Transform:
        affine = MonotonicAffineTransform(shift, log_scale)
        return affine if shape is None else ComposedTransform(affine, spline(shape, self.bins))

    def distribution(self, features: Tensor) -> Distribution:
        z = self.predictor.inside(self.predictor.standardise(features))
        context = z if self.num_features else None
        loc = self.centre + self.scale * self.predictor(features)
        steps = [_safe(layer(context)).inv for layer in reversed(self.layers)]
        steps.append(AffineTransform(loc, self.scale, event_dim=1))
        base = dist.Normal(self.zero, self.one).to_event(1)
        return dist.TransformedDistribution(base, steps)

    def penalty(self) -> Tensor | float:
        return sum((shrinkage(_last(layer), self.predictor.per_row) for layer in self.layers), 0.0)


class Autoregressive(_VectorFlow):
    r"""A vector of any conditional density: a masked autoregressive flow.

    .. math:: x = c + W f + s\,T_f(u), \qquad u_i = S_i(r_i;\, r_{<i}, f)

    in units of a linear fit's residuals, per coordinate. Each of the `transforms` layers takes :math:`r_i`
    to :math:`u_i` by a shift and a scale (Papamakarios et al.) and, with `bins`, then by a spline (Durkan et
    al.), whose parameters a masked network gives; every other layer takes the coordinates in reverse. Noise
    and density take one pass of the network a layer, a value from its noise `dim` passes.

    Args:
        dim: the length of the vector.
        transforms: the number of layers.
        bins: the pieces of each spline; 0 for none, an affine flow.
        hidden: the sizes of each network's hidden layers.

    References:
        | Papamakarios, Pavlakou and Murray: Masked Autoregressive Flow, 2017, https://arxiv.org/abs/1705.07057
        | Durkan, Bekasov, Murray and Papamakarios: Neural Spline Flows, 2019, https://arxiv.org/abs/1906.04032

    Example:
        >>> shape = Autoregressive(3)
        >>> shape(torch.tensor(43.0)).event_shape
        torch.Size([3])
    """

    def __init__(
        self, dim: int, transforms: int = 2, bins: int = 8, hidden: tuple[int, ...] = (64, 64)
    ) -> None:
        super().__init__(dim, transforms, bins, hidden)

    def ranks(self, layer: int) -> Tensor:
        order = torch.arange(self.dim)
        return order if layer % 2 == 0 else order.flip(0)


class Coupling(_VectorFlow):
    r"""A vector of any conditional density: a coupling flow, fast both ways.

    As `Autoregressive`, but in each layer the coordinates fall into two groups: those of the second depend
    on those of the first and on the parents, those of the first on the parents only. A value from its noise
    takes two passes of the network a layer, whatever `dim`. The groups come from the binary digits of the
    coordinates' positions, each split used both ways, so that :math:`2 \lceil \log_2 dim \rceil` layers
    relate every pair directly.

    Args:
        dim: the length of the vector.
        transforms: the number of layers; None for one more than relates every pair.
        bins: the pieces of each spline; 0 for none, an affine flow.
        hidden: the sizes of each network's hidden layers.

    References:
        | Dinh, Sohl-Dickstein and Bengio: Density Estimation using Real NVP, 2017, https://arxiv.org/abs/1605.08803
        | Durkan, Bekasov, Murray and Papamakarios: Neural Spline Flows, 2019, https://arxiv.org/abs/1906.04032

    Example:
        >>> shape = Coupling(16)
        >>> len(shape(torch.tensor(43.0)).transforms)             # the layers, and the units
        9
    """

    def __init__(
        self, dim: int, transforms: int | None = None, bins: int = 8, hidden: tuple[int, ...] = (64, 64)
    ) -> None:
        self.digits = max(1, math.ceil(math.log2(dim)))
        super().__init__(dim, transforms or 2 * self.digits, bins, hidden)

    def ranks(self, layer: int) -> Tensor:
        digit = torch.arange(self.dim) >> (layer // 2 % self.digits) & 1
        return digit if layer % 2 == 0 else 1 - digit


def _standard_normal(module: nn.Module, *shape: int) -> None:
    """The parameters of the noise, as constants of the module: they follow it to its device and dtype."""
    module.register_buffer("zero", torch.zeros(shape), persistent=False)
    module.register_buffer("one", torch.ones(shape), persistent=False)


def _last(layer: Any) -> nn.Linear:
    return layer.hyper[-1]


def _safe(transform: AutoregressiveTransform) -> AutoregressiveTransform:
    """The transform with its network bounded in the tails, and its latest answer kept.

    Far from the data a network runs away, and a value's rounding error with it: it sees coordinates up to
    `REACH` sd. A density asks for the noise, then for the Jacobian there: one pass of the network serves
    both.
    """
    network = transform.meta
    last: list[tuple[Tensor, Transform]] = []

    def meta(x: Tensor) -> Transform:
        if not last or last[0][0] is not x:
            last[:] = [(x, network(x.clamp(-REACH, REACH)))]
        return last[0][1]

    transform.meta = meta
    return transform
