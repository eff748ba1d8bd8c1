"""Mixtures: scalar ones through the distribution function, vector ones by the selector and each component."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import torch
import torch.distributions as td
from torch import Tensor

from .cdf import Tails
from .counts import counting, through_counts
from .density import log_density
from .discrete import Race, normalised_log_probs
from .law import STANDARD, Law, inside_unit
from .registry import Exogenous, exogenous, unit_shape, unsupported
from .solve import invert

#: A mixture's distribution function can be flat between its components: more steps than one smooth family
#: needs.
STEPS = 24


@exogenous.register(td.MixtureSameFamily)
def mixture_same_family(d: td.MixtureSameFamily) -> Exogenous:
    """Scalars: one logistic noise, exact. Vectors: one noise per component and the selector's."""
    log_weights = normalised_log_probs(d.mixture_distribution)
    tails = counting(d.component_distribution)
    if d.event_shape:
        return _vector_mixture(d, log_weights)
    if tails is not None:
        log_weights = log_weights.double()
        return through_counts(d, lambda k: _mixed(log_weights, tails(k.unsqueeze(-1))))
    return _scalar_mixture(d, log_weights)


def _mixed(log_weights: Tensor, tails: Tails) -> Tails:
    """The log tails of the mixture, from those of its components (the last dimension)."""
    log_cdf, log_sf = tails
    return torch.logsumexp(log_weights + log_cdf, -1), torch.logsumexp(log_weights + log_sf, -1)


def _scalar_mixture(d: td.MixtureSameFamily, log_weights: Tensor) -> Exogenous:
    """Logistic noise through ``F = sum_k w_k F_k``, F_k read off the noise that its component is pulled to.

    The quantile lies between the least and the greatest of the components' quantiles. Works in float64; the
    tolerance is that of `numeric`, except where the density is negligible between components: F is flat there
    to rounding, many values share one noise, and ``push(pull(x)) = x`` can't hold.
    """
    site, dtype = exogenous(d.component_distribution), log_weights.dtype
    if site.draws is not None or site.law.kind not in STANDARD:
        raise unsupported(
            type(d.component_distribution), "a mixture needs components with a known distribution function"
        )
    standard = STANDARD[site.law.kind]

    def value(u: Tensor) -> Tensor:
        """The components' values (the last dimension) at the quantile that logistic noise u stands for."""
        return site.push(standard.from_logistic(u))

    # a component may fall with its noise (an affine transform with a negative scale)
    one = torch.ones(site.law.shape, dtype=torch.float64, device=log_weights.device)
    rising = value(one).detach() > value(-one).detach()

    def logit(x: Tensor) -> Tensor:
        u = site.pull(x.unsqueeze(-1), None)
        below, above = standard.log_cdf(u), standard.log_sf(u)
        log_cdf, log_sf = _mixed(
            log_weights, (torch.where(rising, below, above), torch.where(rising, above, below))
        )
        return log_cdf - log_sf

    def between(u: Tensor) -> tuple[Tensor, Tensor]:
        quantiles = value(torch.where(rising, one, -one) * u.unsqueeze(-1)).detach()
        return quantiles.amin(-1), quantiles.amax(-1)

    def slope(u: Tensor) -> Callable[[Tensor], Tensor]:
        # a central difference, at a millionth of the width over which the components live around this noise
        width = 1e-6 * (between(u + 1)[1] - between(u - 1)[0])
        return lambda x: (logit(x + width) - logit(x - width)) / (2 * width)

    def push(u: Tensor) -> Tensor:
        u = u.double()
        low, high = between(u)
        return invert(logit, slope(u), u, low, high, STEPS).to(dtype)

    return Exogenous(Law("logistic", unit_shape(d)), push, pull=lambda x, v: logit(x.double()).to(dtype))


def _vector_mixture(d: td.MixtureSameFamily, log_weights: Tensor) -> Exogenous:
    """``x = x_k`` with k the selector's Gumbel argmax; a joint noise of the selector and of every component.

    A pull draws k from its responsibilities given x, then the selector's noise given k, the noise of
    component k given x, and the others' from their prior: 2 K uniforms for the first two, the rest for the
    components.
    """
    component, batch, size = d.component_distribution, tuple(d.batch_shape), log_weights.shape[-1]
    log_weights = log_weights.expand(*batch, size)
    site, race = exogenous(component), Race(log_weights)
    _check_blocks(component, site, (*batch, size))
    selector = Law("gumbel", (*batch, size))
    law = Law("joint", (selector.numel + site.law.numel,), (selector, site.law))
    own = Law("uniform", site.draws or (0,))
    uniforms = Law(
        "joint", (2 * selector.numel + site.law.numel + own.numel,), (selector, selector, site.law, own)
    )
    scored = without_validation(component)
    tail = len(site.law.shape) - len(batch) - 1  # dimensions of one component's noise

    def chosen(k: Tensor, dims: int) -> Tensor:
        return (k.unsqueeze(-1) == race.classes).reshape(*k.shape, size, *(1,) * dims)

    def push(u: Tensor) -> Tensor:
        of_selector, of_components = law.split(u)
        here = chosen(race.winner(of_selector), len(d.event_shape))
        return torch.where(here, site.push(of_components), 0).sum(-1 - len(d.event_shape))

    def pull(x: Tensor, v: Tensor) -> Tensor:
        choose, of_selector, prior, of_component = uniforms.split(inside_unit(v))
        x = x.unsqueeze(-1 - len(d.event_shape))
        k = (log_weights + log_density(scored, x) + selector.from_uniform(choose)).argmax(-1)
        pulled = site.pull(x, None if site.draws is None else of_component)
        parts = race.noise(k, of_selector), torch.where(chosen(k, tail), pulled, site.law.from_uniform(prior))
        return _side_by_side(law, parts)

    return Exogenous(law, push, pull, draws=uniforms.shape)


@exogenous.register(dist.MaskedMixture)
def masked_mixture(d: Any) -> Exogenous:
    """One of two, as the mask says: a noise for each; a pull draws the idle one from its prior."""
    sites = exogenous(d.component0), exogenous(d.component1)
    for component, site in zip((d.component0, d.component1), sites, strict=True):
        _check_blocks(component, site, tuple(d.batch_shape))
    law = Law("joint", (sum(s.law.numel for s in sites),), tuple(s.law for s in sites))
    own = tuple(Law("uniform", s.draws or (0,)) for s in sites)
    uniforms = Law("joint", (law.numel + sum(w.numel for w in own),), (*law.parts, *own))

    def mask_over(shape: tuple[int, ...]) -> Tensor:
        return d.mask.reshape(*d.batch_shape, *(1,) * (len(shape) - len(d.batch_shape)))

    def push(u: Tensor) -> Tensor:
        first, second = (s.push(w) for s, w in zip(sites, law.split(u), strict=True))
        return torch.where(mask_over(unit_shape(d)), second, first)

    def pull(x: Tensor, v: Tensor) -> Tensor:
        *priors, first, second = uniforms.split(inside_unit(v))
        parts = []
        for site, prior, mine, active in zip(sites, priors, (first, second), (~d.mask, d.mask), strict=True):
            active = active.reshape(mask_over(site.law.shape).shape)
            pulled = site.pull(x, None if site.draws is None else mine)
            parts.append(torch.where(active, pulled, site.law.from_uniform(prior)))
        return _side_by_side(law, tuple(parts))

    return Exogenous(law, push, pull, draws=uniforms.shape)


def _check_blocks(component: td.Distribution, site: Exogenous, batch: tuple[int, ...]) -> None:
    if site.law.kind not in STANDARD or site.law.shape[: len(batch)] != batch:
        raise unsupported(
            type(component), "its noise does not split into one block per component of a mixture"
        )


def _side_by_side(law: Law, parts: tuple[Tensor, ...]) -> Tensor:
    """The flattened concatenation of the parts of a joint noise."""
    lead = parts[0].shape[: parts[0].dim() - len(law.parts[0].shape)]
    return torch.cat([w.reshape(*lead, p.numel) for w, p in zip(parts, law.parts, strict=True)], -1)


def without_validation(d: Any) -> Any:
    """A copy whose log_prob does not check its argument: the check branches on data."""
    d = copy.copy(d)
    if "base_dist" in vars(d):
        d.base_dist = without_validation(d.base_dist)
    d._validate_args = False
    return d
