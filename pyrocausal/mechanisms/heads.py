"""Network heads for a scalar: a family each, whose parameters are a linear part plus a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyrocausal.errors import ProgramError

from .predictor import Head, LinearStart

#: Log-rates stay within this much of the log of the mean count: rates are finite whatever the features are.
RATE_RANGE = 20.0


class Normal(LinearStart):
    r"""A Gaussian number whose location and sd are networks of the parents.

    .. math:: x \sim N(c + s\,\mu(f),\, s\,\sigma(f)), \quad \sigma = \epsilon + (1 - \epsilon) e^{\lambda(f)}

    in units of a linear fit's residuals (:math:`c, s`, learned once). :math:`\mu` has a linear part, which
    starts at least squares and alone goes on beyond the training data; :math:`\sigma` stays above
    :math:`\epsilon = 0.001`.

    Args:
        hidden: the sizes of the network's hidden layers.

    Example:
        >>> weight = Normal(hidden=(32,))
        >>> weight(torch.tensor(1.8), torch.tensor(30.0))
        Normal(loc: 0.0, scale: 1.0)
    """

    outputs = 2

    def family(self, parameters: Tensor) -> Distribution:
        return dist.Normal(*self.location_scale(parameters))


class Bernoulli(Head):
    r"""A binary variable, 0 or 1, whose logit is a linear part plus a network.

    .. math:: P(x = 1 \mid f) = \mathrm{sigmoid}(b + W z + g(z))

    Training starts from logistic regression.

    Args:
        hidden: the sizes of the network's hidden layers.

    Example:
        >>> quit = Bernoulli()
        >>> quit(torch.tensor(43.0))
        Bernoulli(logits: 0.0)
    """

    def family(self, parameters: Tensor) -> Distribution:
        return dist.Bernoulli(logits=parameters.squeeze(-1))

    def base_rate(self, x: Tensor) -> Tensor:
        return ((x.sum() + 0.5) / (len(x) + 1)).logit()[None]


class Categorical(Head):
    r"""A variable with K levels, coded 0 to K - 1, whose logits are linear parts plus a network.

    .. math:: P(x = k \mid f) = \mathrm{softmax}(b + W z + g(z))_k

    Training starts from multinomial logistic regression.

    Args:
        levels: how many, or their names in the order of the codes.
        hidden: the sizes of the network's hidden layers.

    Example:
        >>> work = Categorical(["none", "part", "full"])
        >>> work.levels
        ('none', 'part', 'full')
        >>> work(torch.tensor(43.0)).probs
        tensor([0.3333, 0.3333, 0.3333], grad_fn=...)
    """

    def __init__(self, levels: int | Sequence[Any], hidden: tuple[int, ...] = (64, 64)) -> None:
        super().__init__(hidden)
        names = range(levels) if isinstance(levels, int) else levels
        self.levels = None if isinstance(levels, int) else tuple(levels)
        self.outputs = self.linear = len(names)
        if self.outputs < 2 or len(set(names)) < len(names) or isinstance(levels, str):
            raise ProgramError(
                f"{levels!r} can't be the levels of a categorical variable",
                fix='give their number, or at least two different names: Categorical(["low", "high"])',
            )

    def family(self, parameters: Tensor) -> Distribution:
        return dist.Categorical(logits=parameters)

    def base_rate(self, x: Tensor) -> Tensor:
        counts = torch.bincount(x.long(), minlength=self.outputs)
        return ((counts + 0.5) / (len(x) + 0.5 * self.outputs)).log().to(x)


class _Count(Head):
    """What the heads for counts share: the log-rate in units of the mean count, and bounded."""

    log_mean: Tensor

    def build(self) -> None:
        super().build()
        self.register_buffer("log_mean", torch.tensor(0.0))

    def log_rate(self, parameter: Tensor) -> Tensor:
        return self.log_mean + parameter.clamp(-RATE_RANGE, RATE_RANGE)

    def learn_scales(self, x: Tensor, features: Tensor) -> None:
        self.log_mean.copy_(((x.double().sum() + 0.5) / len(x)).log())
        super().learn_scales(x, features)


class Poisson(_Count):
    r"""A count whose log-rate is a linear part plus a network.

    .. math:: x \sim \mathrm{Poisson}(m\, e^{b + W z + g(z)})

    with the mean count :math:`m`, learned once. The exponent is held within ±20. Training starts from Poisson
    regression.

    Args:
        hidden: the sizes of the network's hidden layers.

    Example:
        >>> visits = Poisson()
        >>> visits(torch.tensor(43.0))
        Poisson(rate: 1.0)
    """

    def family(self, parameters: Tensor) -> Distribution:
        return dist.Poisson(self.log_rate(parameters.squeeze(-1)).exp())


class NegativeBinomial(_Count):
    r"""An over-dispersed count: a Poisson variable whose rate is itself Gamma distributed.

    .. math:: E[x \mid f] = \mu = m\, e^{b + W z + g(z)}, \qquad \mathrm{Var}[x \mid f] = \mu + \mu^2 / r(f)

    with the mean count :math:`m`, learned once, and a network for :math:`\log r = 8 \tanh(\cdot / 8)`: at
    the largest r, 3000, counts up to some hundreds are as good as Poisson. The exponent is held within ±20.
    Training starts from negative binomial regression.

    Args:
        hidden: the sizes of the network's hidden layers.

    Example:
        >>> visits = NegativeBinomial()
        >>> visits(torch.tensor(43.0))
        NegativeBinomial(total_count: 1.0, logits: 0.0)
    """

    outputs = 2

    def family(self, parameters: Tensor) -> Distribution:
        log_mean, log_r = self.log_rate(parameters[..., 0]), 8 * torch.tanh(parameters[..., 1] / 8)
        return dist.NegativeBinomial(log_r.exp(), logits=log_mean - log_r)
