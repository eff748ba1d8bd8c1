"""Distributions made of others: shapes, masks and transforms. Their noise is that of what they wrap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyro.distributions as dist
import torch.distributions as td
from pyro.distributions.torch_distribution import ExpandedDistribution, MaskedDistribution
from torch import Tensor
from torch.distributions import transforms as tt

from pyrocausal.errors import UnsupportedDistribution

from .law import Law
from .registry import COUPLINGS, Exogenous, exogenous, unit_shape, unsupported


@exogenous.register(td.Independent, MaskedDistribution, couplings=COUPLINGS)
def transparent(d: Any, coupling: str | None) -> Exogenous:
    """Moving batch dimensions into the event, or masking the score, does not touch the mechanism."""
    return exogenous(d.base_dist, coupling)


@exogenous.register(ExpandedDistribution, couplings=COUPLINGS)
def expanded(d: ExpandedDistribution, coupling: str | None) -> Exogenous:
    """Fresh noise along the new batch dimensions; the parameters broadcast against it."""
    base = exogenous(d.base_dist, coupling)
    if base.law.kind == "joint":  # a flattened noise has no batch dimensions that could be widened
        raise unsupported(type(d.base_dist), "it has no `expand` of its own and a joint noise")
    if base.law.kind == "none":
        return replace(base, push=lambda u: base.push(u).expand(*u.shape, *unit_shape(d)))
    old = len(d.base_dist.batch_shape)
    law = replace(base.law, shape=(*d.batch_shape, *base.law.shape[old:]))
    draws = None if base.draws is None else (*d.batch_shape, *base.draws[old:])
    return replace(base, law=law, draws=draws)


@exogenous.register(dist.Delta)
def delta(d: dist.Delta) -> Exogenous:
    """A value without noise: the noise is a zero that only carries the leading dimensions."""
    value, dims = d.v, d.v.dim()
    return Exogenous(
        Law("none", ()),
        push=lambda u: value.expand(u.shape + value.shape),
        pull=lambda x, v: value.new_zeros(x.shape[: x.dim() - dims]),
    )


@exogenous.register(td.TransformedDistribution, couplings=COUPLINGS)
def transformed(d: td.TransformedDistribution, coupling: str | None) -> Exogenous:
    """The base's noise, sent through the transforms; a pull goes back through their exact inverses."""
    base = exogenous(d.base_dist, coupling)
    steps = tuple(step for t in d.transforms for step in flatten(t))
    for transform, _ in steps:
        _check_invertible(transform)

    def push(u: Tensor) -> Tensor:
        x = base.push(u)
        for transform, forward in steps:
            x = _apply(transform, forward, x)
        return x

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        for transform, forward in reversed(steps):
            x = _apply(transform, not forward, x)
        return base.pull(x, v)

    return replace(base, push=push, pull=pull)


def flatten(transform: tt.Transform, forward: bool = True) -> tuple[tuple[tt.Transform, bool], ...]:
    """The elementary transforms inside compositions and inverses, each with its direction."""
    if isinstance(transform, tt.ComposeTransform):
        parts = transform.parts if forward else reversed(transform.parts)
        return tuple(step for part in parts for step in flatten(part, forward))
    if isinstance(transform, tt._InverseTransform):
        return flatten(transform.inv, not forward)
    if isinstance(transform, tt.IndependentTransform):
        return flatten(transform.base_transform, forward)
    return ((transform, forward),)


def _check_invertible(transform: tt.Transform) -> None:
    if not transform.bijective:
        raise _no_inverse(transform, "it is not one to one")
    if type(transform)._inverse is tt.Transform._inverse:
        raise _no_inverse(transform, "it defines no inverse")


def _apply(transform: tt.Transform, forward: bool, x: Tensor) -> Tensor:
    # _call and _inverse bypass the transform's cache, which would keep tensors of a trace or a vmap alive
    try:
        return transform._call(x) if forward else transform._inverse(x)
    except (KeyError, NotImplementedError) as error:  # Pyro's planar, radial ... flows say so only when asked
        raise _no_inverse(transform, "its inverse is not available in closed form") from error


def _no_inverse(transform: tt.Transform, why: str) -> UnsupportedDistribution:
    return UnsupportedDistribution(
        f"The transform {type(transform).__name__} can't be undone: no noise can be recovered",
        why=why,
        fix="use a transform with an inverse, for instance a zuko spline or affine transform",
    )


exogenous.refuse(
    dist.RelaxedBernoulliStraightThrough,
    dist.RelaxedOneHotCategoricalStraightThrough,
    why="its samples are discrete but its density is that of the relaxed value",
)
