"""What `fit` does to one mechanism, in a few lines: mechanisms are tested before and without it."""

import math

import pyro
import torch
from torch import Tensor

from pyrocausal.exogenous import exogenous
from pyrocausal.mechanisms.base import Mechanism, Origin, tag


def column(value: Tensor, cardinality: int | None = None, latent: bool = False) -> tuple[Tensor, Origin]:
    """A parent's values `(n, *shape)`, and what set-up would know of it."""
    return value, Origin(
        "parent", None, discrete=cardinality is not None, cardinality=cardinality, latent=latent
    )


def set_up(mechanism: Mechanism, *parents: Tensor | tuple[Tensor, Origin]) -> tuple[Tensor, ...]:
    """Builds the mechanism from one unit, seeded, as set-up does; returns the parents' values."""
    pairs = [parent if isinstance(parent, tuple) else column(parent) for parent in parents]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mechanism(*(tag(value[0], origin) for value, origin in pairs))
    return tuple(value for value, _ in pairs)


def over_units(function, *values: Tensor):
    """`torch.vmap` as the toolkit runs it: distributions unchecked."""
    with pyro.validation_enabled(False):
        return torch.vmap(function)(*values)


def encode(mechanism: Mechanism, parents: tuple[Tensor, ...], units: int) -> Tensor:
    if not parents:
        return torch.zeros(units, 0)
    return over_units(lambda *values: mechanism.encode(list(values)), *parents)


def calibrate(
    mechanism: Mechanism, x: Tensor, *parents: Tensor | tuple[Tensor, Origin]
) -> tuple[Tensor, ...]:
    """Sets up and learns the scales; returns the parents' values."""
    values = set_up(mechanism, *parents)
    mechanism.calibrate("x", x, encode(mechanism, values, len(x)))
    return values


def nll(mechanism: Mechanism, x: Tensor, *parents: Tensor) -> Tensor:
    """The mean negative log-likelihood, in nats per unit."""
    features = encode(mechanism, parents, len(x))
    return -over_units(lambda x, f: mechanism.distribution(f).log_prob(x), x, features).mean()


def fit(
    mechanism: Mechanism, x: Tensor, *parents: Tensor | tuple[Tensor, Origin], steps=300, lr=1e-2
) -> Mechanism:
    """Scales and start from the data, then a short Adam loop on batches of 256, with a cosine schedule."""
    values = calibrate(mechanism, x, *parents)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(mechanism.parameters(), lr, betas=(0.9, 0.99))
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        batch = torch.randint(len(x), (256,), generator=generator)
        loss = nll(mechanism, x[batch], *(value[batch] for value in values)) + mechanism.penalty()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return mechanism.requires_grad_(False)


def stir(mechanism: Mechanism, by: float = 0.1) -> Mechanism:
    """Random parameters, as no training gives them: what holds for these holds for any."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in mechanism.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator)
    return mechanism


def round_trip(mechanism: Mechanism, x: Tensor, *parents: Tensor) -> Tensor:
    """push(pull(x)), unit by unit."""
    features = encode(mechanism, parents, len(x))
    with pyro.validation_enabled(False):
        draws = exogenous(mechanism.distribution(features[0])).draws
    uniforms = torch.rand(len(x), *(draws or ()), generator=torch.Generator().manual_seed(0))

    def one(x: Tensor, f: Tensor, v: Tensor) -> Tensor:
        site = exogenous(mechanism.distribution(f))
        return site.push(site.pull(x, v))

    return over_units(one, x, features, uniforms)
