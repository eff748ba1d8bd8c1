"""From features to the parameters of a family: a linear part, begun at the best fit, and a network."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from .base import Mechanism, Standardise, perceptron

#: Sd of the Gaussian prior on a network's last layer, whose outputs are in units of the fit.
PRIOR_SD = 1.0

#: Sd of the prior on a linear start: it stays at maximum likelihood, and finite for separable data.
START_SD = 10.0

#: The least sd of a continuous variable, as a fraction of the residuals' of the linear fit.
FLOOR = 1e-3

#: A linear start looks at no more rows than about this many, evenly spaced.
START_ROWS = 100_000


class Predictor(nn.Module):
    r"""Parameters of a distribution from the features of one unit.

    .. math:: \theta = b + (W z, 0) + g(\bar z), \qquad z = (features - mean) / sd

    with a linear part :math:`W` for the first `linear` of the `outputs` and a network :math:`g` for all.
    Beyond the range of the training data only the linear part goes on: the network sees :math:`\bar z`,
    which is z clamped to that range. The last layer of the network starts at zero, so that training starts
    from the linear fit.

    Args:
        continuous: for each feature, whether it is a number in natural units.
        hidden: the sizes of the network's hidden layers; none, no network.
        outputs: how many parameters.
        linear: how many of them, from the first, have a linear part.
    """

    low: Tensor
    high: Tensor
    per_row: Tensor

    def __init__(self, continuous: tuple[bool, ...], hidden: tuple[int, ...], outputs: int, linear: int):
        super().__init__()
        inputs = len(continuous)
        self.continuous = continuous
        self.standardise = Standardise(continuous)
        self.register_buffer("low", torch.full((inputs,), -math.inf))
        self.register_buffer("high", torch.full((inputs,), math.inf))
        self.register_buffer("per_row", torch.tensor(0.0))  # 1 / (rows of the training split)
        self.linear = nn.Parameter(torch.zeros(linear, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.network = _network(inputs, hidden, outputs) if inputs and hidden else None

    def forward(self, features: Tensor) -> Tensor:
        z = self.standardise(features)
        beyond = len(self.bias) - len(self.linear)
        theta = self.bias + F.pad(F.linear(z, self.linear), (0, beyond))
        return theta if self.network is None else theta + self.network(self.inside(z))

    def inside(self, z: Tensor) -> Tensor:
        """Standardised features, clamped to the range of the training data."""
        return z.clamp(self.low, self.high) if len(self.low) else z

    def learn(self, features: Tensor) -> Tensor:
        """Learn the features' scales and range; returns the standardised features in float64."""
        self.standardise.learn(features)
        self.per_row.fill_(1 / len(features))
        z = self.standardise(features.double())
        if z.shape[-1]:
            indicator = ~torch.tensor(self.continuous, device=z.device)
            self.low.copy_(z.amin(0).masked_fill(indicator, -math.inf))
            self.high.copy_(z.amax(0).masked_fill(indicator, math.inf))
        return z

    @torch.no_grad()
    def start(self, linear: Tensor, bias: Tensor) -> None:
        """Set the linear part."""
        self.linear.copy_(linear)
        self.bias.copy_(bias)

    def penalty(self) -> Tensor | float:
        r"""Minus the log of a prior N(0, `PRIOR_SD`²) on the network's last layer, per row of training.

        It weighs as much as one row a weight: what a parent does beyond its linear effect must be borne out
        by data.
        """
        return 0.0 if self.network is None else shrinkage(self.network[-1], self.per_row)


def shrinkage(last: nn.Module, per_row: Tensor) -> Tensor:
    """Minus the log prior N(0, `PRIOR_SD`²) of a last layer's weights, up to a constant, per row."""
    assert isinstance(last, nn.Linear)
    return 0.5 * per_row * last.weight.square().sum() / PRIOR_SD**2


def _network(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    last = nn.Linear(hidden[-1], outputs, bias=False)
    nn.init.zeros_(last.weight)
    return nn.Sequential(*perceptron(inputs, hidden[:-1], hidden[-1]), nn.SiLU(), last)


class Head(Mechanism):
    """A mechanism whose distribution is a family with parameters from a `Predictor`.

    A subclass sets `outputs` and `linear` and says what the `family` is; its start is the maximum-likelihood
    linear fit, unless it overrides `learn_scales` with something better.
    """

    outputs: int = 1
    linear: int = 1

    def __init__(self, hidden: tuple[int, ...] = (64, 64)) -> None:
        super().__init__()
        self.hidden = tuple(hidden)

    def build(self) -> None:
        self.predictor = Predictor(self.continuous, self.hidden, self.outputs, self.linear)

    def family(self, parameters: Tensor) -> Distribution:
        """The distribution for parameters `(..., outputs)`."""
        raise NotImplementedError

    def base_rate(self, x: Tensor) -> Tensor:
        """Parameters `(outputs,)` of a fit without features, in float64: where the search begins."""
        return x.new_zeros(self.outputs)

    def distribution(self, features: Tensor) -> Distribution:
        return self.family(self.predictor(features))

    def learn_scales(self, x: Tensor, features: Tensor) -> None:
        z, x = self.predictor.learn(features), x.double()
        every = math.ceil(len(x) / START_ROWS)
        x, z = x[::every], z[::every]
        fit = maximum_likelihood(
            lambda t: self.family(t).log_prob(x).sum(), z, self.base_rate(x), self.linear
        )
        self.predictor.start(*fit)

    def penalty(self) -> Tensor | float:
        return self.predictor.penalty()


def least_squares(z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""The weights `(d, p)` and intercept `(d,)` of the least-squares fit of x `(n, d)` on z `(n, p)`.

    Of collinear columns (one-hot ones, say) the solution of least norm.
    """
    mean_z, mean_x = z.mean(0), x.mean(0)
    z = z - mean_z
    gram, cross = z.T @ z, z.T @ (x - mean_x)
    weight = (torch.linalg.pinv(gram, rtol=1e-11, hermitian=True) @ cross).T if len(gram) else cross.T
    return weight, mean_x - weight @ mean_z


def maximum_likelihood(
    log_likelihood: Callable[[Tensor], Tensor], z: Tensor, bias: Tensor, linear: int
) -> tuple[Tensor, Tensor]:
    r"""The :math:`W` and :math:`b` that maximise the likelihood of parameters :math:`(W z, 0) + b`.

    Args:
        log_likelihood: of all rows, from their parameters `(n, outputs)`.
        z: standardised features `(n, p)`, in float64.
        bias: where to start, `(outputs,)`; the weights start at zero.
        linear: for how many of the parameters there are weights.
    """
    outputs, size = len(bias), linear * z.shape[-1]
    free = torch.cat((z.new_zeros(size), bias)).requires_grad_()
    search = torch.optim.LBFGS(
        [free],
        max_iter=100,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        search.zero_grad()
        weight, b = free[:size].reshape(linear, -1), free[size:]
        theta = b + F.pad(z @ weight.T, (0, outputs - linear))
        prior = 0.5 * (free - start).square().sum() / START_SD**2
        value = (prior - log_likelihood(theta)) / len(z)
        value.backward()
        return value

    start = free.detach().clone()
    search.step(loss)
    weight, bias = free.detach().split((size, outputs))
    return weight.reshape(linear, -1), bias


class LinearStart(Head):
    r"""A head for a continuous x, in units of what a linear fit leaves over.

    .. math:: x = c + s\, r

    where :math:`s` is the sd of the residuals of the least-squares fit of x on the features, and :math:`c`
    the mean of x; both are learned once. The family is that of r, whose location is the first of the
    parameters (the first `dim`, for a vector): it starts at the linear fit, with sd 1.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, hidden: tuple[int, ...] = (64, 64), dim: int | None = None) -> None:
        super().__init__(hidden)
        self.dim = dim
        self.linear = dim or 1

    def build(self) -> None:
        super().build()
        shape = () if self.dim is None else (self.dim,)
        self.register_buffer("centre", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def location_scale(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Of a scalar, in natural units, from a location and a log-scale in units of the residuals."""
        sd = FLOOR + (1 - FLOOR) * parameters[..., 1].exp()
        return self.centre + self.scale * parameters[..., 0], self.scale * sd

    def learn_scales(self, x: Tensor, features: Tensor) -> None:
        self.start_at_least_squares(x, features)

    def start_at_least_squares(self, x: Tensor, features: Tensor) -> Tensor:
        """Learn the scales, set the linear part; returns the residuals `(n, dim)` in units of their sd."""
        z, x = self.predictor.learn(features), x.double().reshape(len(x), -1)
        weight, intercept = least_squares(z, x)
        residual = x - (intercept + z @ weight.T)
        scale = _residual_scale(x, residual)
        centre = x.mean(0)
        self.centre.copy_(centre.reshape(self.centre.shape))
        self.scale.copy_(scale.reshape(self.scale.shape))
        bias = torch.zeros_like(self.predictor.bias)
        bias[: self.linear] = (intercept - centre) / scale
        self.predictor.start(weight / scale[:, None], bias)
        return residual / scale


def _residual_scale(x: Tensor, residual: Tensor) -> Tensor:
    """The residuals' sd; if there are none to speak of, a ten-thousandth of the sd of x (1, if that is 0)."""
    least = 1e-4 * x.std(0, correction=0)
    sd = torch.maximum(residual.square().mean(0).sqrt(), least)
    return torch.where(sd > 0, sd, torch.ones_like(sd))
