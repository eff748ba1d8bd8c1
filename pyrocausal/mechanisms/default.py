"""`Continuous`: the mechanism to start from for any continuous scalar."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from .base import Mechanism
from .continuous import ContinuousHead

NODES = 32  # of Gauss-Hermite quadrature over the noise
NEWTON_STEPS = 4


class Continuous(Mechanism):
    """The default mechanism of a continuous scalar: learned location, scale and shape, exactly invertible.

    A network gives location and scale, a monotone spline the shape of the noise, both in the units of a learned power
    transform; it starts at the least-squares fit, and a prior keeps what the data do not ask for small. After
    training its means are matched to the data's (`match_means`). See `pyrocausal.mechanisms.continuous` for the model.

    Args:
        options: `hidden` (width, 64), `depth` (2), `bins` (8), `shapes`, `shrinkage`: see `ContinuousHead`.

    >>> from pyrocausal import mechanisms as m
    >>> m.Continuous()().event_shape        # a root: no parents
    torch.Size([])
    """

    def __init__(self, **options: float) -> None:
        super().__init__()
        self.options = options

    def build(self) -> None:
        flags = torch.tensor(self.continuous, dtype=torch.bool)
        self.head = ContinuousHead(self.num_features, continuous=flags, **self.options)  # type: ignore[arg-type]

    def distribution(self, features: Tensor) -> Distribution:
        return self.head(features)

    def learn_scales(self, x: Tensor, features: Tensor) -> None:
        self.head.calibrate(x, features)

    def penalty(self) -> Tensor | float:
        return self.head.penalty()

    def match_means(self, x: Tensor, features: Tensor) -> dict[str, Tensor]:
        r"""The linear part under which :math:`\sum_i h_i (x_i - E[x \mid h_i]) = 0`, with :math:`h = (1, features)`.

        A regularised likelihood gets the shape right and shrinks what few rows tell, the effect of a treatment on the
        mean among it; these are the equations that least squares solves, here by Newton's method on the location.
        """
        head = self.head
        h = head.input_scale(features)
        design = torch.cat([torch.ones_like(x)[:, None], h], 1)
        nodes, weights = (torch.tensor(a, dtype=x.dtype) for a in np.polynomial.hermite_e.hermegauss(NODES))
        weights = weights / weights.sum()
        spline = head._spline(h)
        z = torch.stack([spline(node) for node in nodes.expand(len(x), NODES).T], -1)
        shift = torch.zeros_like(design[0])
        for _ in range(NEWTON_STEPS):
            moved = z + (design @ shift)[:, None]
            values = head.output_scale.inverse(moved)
            slopes = torch.exp(-head.output_scale.log_slope(values))
            residual = x - values @ weights
            normal = design.T @ (design * (slopes @ weights)[:, None])
            ridge = 1e-6 * torch.diag(normal).mean() * torch.eye(len(shift), dtype=x.dtype)
            shift = shift + torch.linalg.solve(normal + ridge, design.T @ residual)
        found = {"head.centre": head.centre + shift[0]}
        if head.linear is not None:
            found["head.linear.weight"] = head.linear.weight + shift[None, 1:]
        return found
