"""What every mechanism shares: layers built when first called, parents encoded, scales learned once."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import Distribution

from pyrocausal.errors import DataError, ProgramError


@dataclass(frozen=True)
class Origin:
    """Which variable a value is: set-up tags values with it, so that mechanisms know their parents."""

    name: str
    support: Any
    discrete: bool
    cardinality: int | None
    latent: bool = False


def tag(value: Tensor, origin: Origin) -> Tensor:
    """The value, marked with the variable that it is (the mark does not survive arithmetic)."""
    value = value.clone()
    value._pyrocausal_origin = origin  # type: ignore[attr-defined]
    return value


@dataclass(frozen=True)
class Block:
    """How one parent enters the feature vector: as `size` numbers, or one-hot over `size` levels.

    `dims` are those of one unit's value: axes left of them (units in a plate, say) stay there.
    """

    size: int
    one_hot: bool
    continuous: bool
    dims: int = 0


def block_of(parent: Tensor) -> Block:
    origin: Origin | None = getattr(parent, "_pyrocausal_origin", None)
    size, dims = parent.numel(), parent.dim()
    if origin is not None and origin.discrete:
        if origin.cardinality is not None and origin.cardinality > 2 and dims == 0:
            return Block(origin.cardinality, one_hot=True, continuous=False)
        levels = origin.cardinality is not None or origin.support is torch.distributions.constraints.one_hot
        return Block(size, one_hot=False, continuous=not levels, dims=dims)
    if origin is not None and origin.latent:  # there are no data to learn its scale from: it is 1 by design
        return Block(size, one_hot=False, continuous=False, dims=dims)
    return Block(size, one_hot=False, continuous=parent.is_floating_point(), dims=dims)


class Mechanism(nn.Module):
    """The conditional distribution of one variable given its parents, in natural units.

    A subclass says how many layers it needs (`build`), what distribution features give (`distribution`) and
    what it learns from the training split before training (`learn_scales`). Parents are encoded by what they
    are: categorical ones one-hot, everything else as numbers; vectors are flattened.

    Calling a mechanism with its parents' values (one unit's) returns a `torch.distributions.Distribution`,
    ready for `pyro.sample`.
    """

    levels: tuple[Any, ...] | None = None
    idle: bool  # while its distribution is not looked at: see `only`
    # By how many standard errors held-out rows may score worse than at best, and its weights still be kept:
    # 0 where nothing else guards against overfitting, more where a penalty does.
    tolerance: float = 0.0
    num_features: int
    continuous: tuple[bool, ...]  # which features are numbers in natural units, rather than 0/1 indicators
    calibrated: Tensor

    reads: tuple[str | None, ...] = ()  # the variables that it was built for, in the order of its arguments

    made_with: dict[str, Any]  # the arguments it was made with, so that a file can say how to make it again

    def __new__(cls, *args: Any, **kwargs: Any) -> Mechanism:
        mechanism = super().__new__(cls)
        given = inspect.signature(cls.__init__).bind_partial(mechanism, *args, **kwargs).arguments
        mechanism.__dict__["made_with"] = {name: value for name, value in list(given.items())[1:]}
        return mechanism

    def __init__(self) -> None:
        super().__init__()
        self.idle = False
        self.blocks: tuple[Block, ...] | None = None
        self.register_buffer("calibrated", torch.tensor(False))

    # ---- what a subclass says

    def build(self) -> None:
        """Create layers for `self.num_features` features (`self.continuous` tells which are numbers)."""
        raise NotImplementedError

    def distribution(self, features: Tensor) -> Distribution:
        """The distribution for features `(num_features,)` of one unit."""
        raise NotImplementedError

    def learn_scales(self, x: Tensor, features: Tensor) -> None:
        """Learn scales, and a good start, from the training split.

        `x` is `(n, *shape)`, the features are `(n, num_features)`.
        """

    def penalty(self) -> Tensor | float:
        """A regulariser, added to the mean negative log-likelihood of the variable, in nats per unit."""
        return 0.0

    def match_means(self, x: Tensor, features: Tensor) -> dict[str, Tensor]:
        """Parameters, by name, that bring the mechanism's means in line with all rows; training ends with it.

        It runs under `torch.vmap` over replicas, so it returns new values and changes nothing. Default: none.
        """
        return {}

    # ---- what the toolkit does with it

    @property
    def built(self) -> bool:
        return self.blocks is not None

    def forward(self, *parents: Any) -> Distribution:
        if self.idle:
            return _Unused()
        values = [torch.as_tensor(parent) for parent in parents]
        if self.blocks is None:
            self.reads = tuple(_name_of(value) for value in values)
            self.build_for([block_of(value) for value in values])
        features = self.encode(values)
        distribution = self.distribution(features)
        # Left on the distribution for set-up and fit, which meet it at the sample site.
        distribution.mechanism, distribution.features = self, features  # type: ignore[attr-defined]
        return distribution

    def encode(self, values: list[Tensor]) -> Tensor:
        """One unit's parents as one flat vector of features; axes left of a unit's own stay in front."""
        assert self.blocks is not None
        if len(values) != len(self.blocks):
            raise ProgramError(
                f"{type(self).__name__} was built for {len(self.blocks)} parents "
                f"and called with {len(values)}",
                fix="give each variable a mechanism of its own",
            )
        if not values:
            return torch.zeros(0, dtype=self.dtype, device=self.calibrated.device)
        dtype = self.dtype
        parts = [encoded(value, block, dtype) for value, block in zip(values, self.blocks, strict=True)]
        return side_by_side(parts)

    @property
    def dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.parameters()), torch.get_default_dtype())

    def calibrate(self, name: str, x: Tensor, features: Tensor) -> None:
        """Learn scales from the training split; done once, and again only after `reset`."""
        if self.calibrated:
            return
        if x.is_floating_point() and x.dim() == 1 and x.numel() > 1 and x.max() == x.min():
            raise DataError(
                f"column '{name}' is constant ({x[0].item():g})",
                why="a constant has no noise, so its density and its counterfactuals are not defined",
                fix="drop the variable, or write it as pyro.deterministic",
            )
        self.learn_scales(x, features)
        self.calibrated.fill_(True)

    def reset(self) -> None:
        """Back to fresh layers and unlearned scales."""
        if self.blocks is not None:
            self.calibrated.fill_(False)
            self.build_for(self.blocks)

    def build_for(self, blocks: Sequence[Block]) -> None:
        """Create the layers for parents that enter the features as the blocks say."""
        self.blocks = tuple(blocks)
        self.num_features = sum(block.size for block in blocks)
        self.continuous = tuple(block.continuous for block in blocks for _ in range(block.size))
        self.build()
        self.to(self.calibrated.device)


def _name_of(parent: Tensor) -> str | None:
    """Which variable a parent is; None if it was computed from variables."""
    origin: Origin | None = getattr(parent, "_pyrocausal_origin", None)
    return None if origin is None else origin.name


def mechanism_of(distribution: Any) -> tuple[Mechanism, Tensor] | None:
    """The mechanism that made a site's distribution and the features it was given, through any wrappers."""
    while distribution is not None:
        if hasattr(distribution, "mechanism"):
            return distribution.mechanism, distribution.features
        distribution = getattr(distribution, "base_dist", None)
    return None


@contextmanager
def only(active: Collection[Mechanism], among: Iterable[Mechanism]) -> Iterator[None]:
    """Within, the other mechanisms do no work: for passes in which their sites are given and not scored."""
    rest = [mechanism for mechanism in among if mechanism not in active]
    for mechanism in rest:
        mechanism.idle = True
    try:
        yield
    finally:
        for mechanism in rest:
            mechanism.idle = False


class _Unused(TorchDistribution):
    """What an idle mechanism returns: a distribution of which nothing may be asked."""

    arg_constraints: dict[str, Any] = {}

    def __init__(self) -> None:
        super().__init__(validate_args=False)

    def _itself(self, *args: Any) -> Any:
        return self

    to_event = mask = expand_by = _itself
    expand = _itself  # type: ignore[assignment]  # Pyro's signature is narrower


class Standardise(nn.Module):
    """Features in natural units to mean 0 and sd 1, learned once; indicators are only centred."""

    continuous: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, continuous: tuple[bool, ...]):
        super().__init__()
        self.register_buffer("continuous", torch.tensor(continuous, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(len(continuous)))
        self.register_buffer("scale", torch.ones(len(continuous)))

    def learn(self, features: Tensor) -> None:
        if not features.numel():
            return
        self.mean.copy_(features.mean(0))
        sd = features.std(0, correction=0)
        self.scale.copy_(torch.where(self.continuous & (sd > 0), sd, torch.ones_like(sd)))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.scale


def perceptron(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """A multilayer perceptron with SiLU units, smooth so that densities and gradients are."""
    sizes = (inputs, *hidden)
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


def encoded(value: Tensor, block: Block, dtype: torch.dtype) -> Tensor:
    """A parent's value as features, `(*lead, size)`."""
    if block.one_hot:
        return (value.long()[..., None] == torch.arange(block.size, device=value.device)).to(dtype)
    return value.reshape(*value.shape[: value.dim() - block.dims], block.size).to(dtype)


def side_by_side(parts: list[Tensor]) -> Tensor:
    """Features of several parents as one vector; their leading axes are broadcast."""
    lead = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return torch.cat([part.expand(*lead, part.shape[-1]) for part in parts] if lead else parts, -1)
