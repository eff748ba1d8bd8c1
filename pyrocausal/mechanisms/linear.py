"""The linear-Gaussian mechanism."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution

from .predictor import LinearStart


class Linear(LinearStart):
    r"""A linear-Gaussian variable: a number, or with `dim` a vector.

    .. math:: x \sim N(W f + b, \sigma^2) \qquad\text{or}\qquad x \sim N(W f + b, L L^\top)

    with features :math:`f` (categorical parents one-hot), a constant :math:`\sigma`, and for vectors a full
    covariance by its Cholesky factor :math:`L`: the parts of one variable share causes, and a diagonal
    covariance is among those. Training starts at the maximum-likelihood solution: ordinary least squares and
    the residuals' covariance.

    Args:
        dim: the length of the vector, for a variable of shape `(dim,)`.

    Example:
        >>> t = torch.arange(8.0)
        >>> rent = Linear()
        >>> _ = rent(t[0])                                        # the first call builds it
        >>> rent.calibrate("rent", 900 + 12 * t + (t - 3.5) ** 2, t[:, None])
        >>> rent(torch.tensor(10.0))
        Normal(loc: 1025.2..., scale: 4.58...)
        >>> rent.coefficients, rent.intercept
        (tensor([12.]), tensor(905.2500))
    """

    places: Tensor

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(hidden=(), dim=dim)
        self.outputs = 2 if dim is None else dim + dim * (dim + 1) // 2

    def build(self) -> None:
        super().build()
        if self.dim is not None:
            self.register_buffer("places", _places(self.dim), persistent=False)

    def family(self, parameters: Tensor) -> Distribution:
        if self.dim is None:
            return dist.Normal(*self.location_scale(parameters))
        loc, entries = parameters.tensor_split((self.dim,), -1)
        factor = self.scale[:, None] * self._factor(entries)
        return dist.MultivariateNormal(self.centre + self.scale * loc, scale_tril=factor)

    def _factor(self, entries: Tensor) -> Tensor:
        """The Cholesky factor from the logs of its diagonal and the entries below it."""
        log_diagonal, below = entries.tensor_split((len(self.places),), -1)
        with_zero = torch.cat((torch.zeros_like(entries[..., :1]), below), -1)
        return with_zero[..., self.places] + torch.diag_embed(log_diagonal.exp())

    def learn_scales(self, x: Tensor, features: Tensor) -> None:
        residual = self.start_at_least_squares(x, features)
        if self.dim is None:
            return
        correlation = residual.T @ residual / len(residual)
        factor = torch.linalg.cholesky(correlation + 1e-8 * torch.eye(self.dim).to(correlation))
        rows, columns = torch.tril_indices(self.dim, self.dim, -1)
        entries = torch.cat((factor.diagonal().log(), factor[rows, columns]))
        self.predictor.bias.data[self.dim :] = entries.to(self.predictor.bias)

    @property
    def coefficients(self) -> Tensor:
        """:math:`W` in natural units, as `(num_features,)`, or `(dim, num_features)`."""
        weight = self.scale.reshape(-1, 1) * self.predictor.linear / self.predictor.standardise.scale
        return (weight if self.dim else weight[0]).detach()

    @property
    def intercept(self) -> Tensor:
        """:math:`b` in natural units, as `()`, or `(dim,)`."""
        at_mean = self.centre + self.scale * self.predictor.bias[: self.linear].reshape(self.scale.shape)
        return (at_mean - self.coefficients @ self.predictor.standardise.mean).detach()


def _places(dim: int) -> Tensor:
    """Where each entry of a lower triangle comes from: 1 + its position below the diagonal, or 0 for none."""
    places = torch.zeros(dim, dim, dtype=torch.long)
    rows, columns = torch.tril_indices(dim, dim, -1)
    places[rows, columns] = torch.arange(1, len(rows) + 1)
    return places
