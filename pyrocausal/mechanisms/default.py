"""`Continuous`: the mechanism to start from for any continuous scalar."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from .base import Mechanism
from .continuous import ContinuousHead


class Continuous(Mechanism):
    """The default mechanism of a continuous scalar: learned location, scale and shape, exactly invertible.

    A network gives location and scale, a monotone spline the shape of the noise, both in the units of a learned power
    transform; it starts at the least-squares fit, and a prior keeps what the data do not ask for small. See
    `pyrocausal.mechanisms.continuous` for the model.

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
        self.head = ContinuousHead(self.num_features, continuous=torch.tensor(self.continuous, dtype=torch.bool), **self.options)  # type: ignore[arg-type]

    def distribution(self, features: Tensor) -> Distribution:
        return self.head(features)

    def learn_scales(self, x: Tensor, features: Tensor) -> None:
        self.head.calibrate(x, features)

    def penalty(self) -> Tensor | float:
        return self.head.penalty()
