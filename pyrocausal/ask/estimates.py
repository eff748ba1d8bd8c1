"""Numbers of a population: means, probabilities and their kin, each with what every unit adds to its error.

An estimate comes with its *influence*, one number a unit: the estimate's error is, to first order, their sum.
So the Monte Carlo error of any arithmetic of estimates on the same units follows from that of the parts, with
their dependence (the delta method).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pyrocausal.ask.arithmetic import value_of
from pyrocausal.ask.population import Population
from pyrocausal.errors import QueryError
from pyrocausal.query.syntax import Node, Term
from pyrocausal.query.worlds import equality, variables


class Estimate(NamedTuple):
    """`value` and `ess` have a number for every draw of the weights; `influence` as `Population.worlds`."""

    value: Tensor
    influence: Tensor
    ess: Tensor  # how many units of equal weight the conditions leave


def estimate(term: Term, population: Population) -> Estimate:
    """A term's number."""
    share, ess = shares(term, population)
    of = [_value(node, population) for node in term.of]
    if term.kind == "P":
        of = [torch.stack([x.double() for x in of]).amin(0)]
    value, influence = _KINDS[term.kind](share, *of, **({"level": term.level} if term.kind == "Q" else {}))
    return Estimate(value, influence * share, ess)


def shares(term: Term, population: Population) -> tuple[Tensor, Tensor]:
    """How much of the term's population every unit is, adding up to 1; and the effective number of units."""
    like = next(iter(next(iter(population.worlds.values())).values()))
    weight = torch.ones_like(like, dtype=torch.float64) if population.weights is None else population.weights
    weight = weight.double().expand(like.shape)
    for event in term.given:
        found = equality(event)
        if found is not None and found[0] in population.told:
            continue
        weight = torch.where(_value(event, population), weight, 0.0)
    total = weight.sum((1, 2), keepdim=True)
    if (total == 0).any():
        _nobody(term, population, like)
    share = weight / total
    return share, 1 / (share**2).sum((1, 2)) / population.spread


def _nobody(term: Term, population: Population, like: Tensor) -> None:
    conditions = ", ".join(map(str, term.given))
    if population.exact:
        raise QueryError(f"{conditions}: this has probability zero", why="no unit of the model is such")
    what = "no row has" if population.rows else f"none of {like[0].numel():,} units drawn from the model has"
    raise QueryError(
        f"{what} {conditions}",
        why="the condition is too rare, or impossible",
        fix="widen it" if population.rows else "widen it, or draw more units with num_samples=",
    )


def _value(node: Node, population: Population) -> Tensor:
    values: dict[Node, Tensor] = {v: population.values(v) for v in variables(node)}
    like = next(iter(next(iter(population.worlds.values())).values()))
    return value_of(node, values).expand(like.shape)


def _mean(share: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    # 0 · inf is nan: what has no share must not count, whatever it is.
    x = torch.where(share > 0, x.double(), 0.0)
    mean = (share * x).sum((1, 2))
    return mean, x - mean[:, None, None]


def _covariance(share: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    dx, dy = _mean(share, x)[1], _mean(share, y)[1]
    return _mean(share, dx * dy)


def _variance(share: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return _covariance(share, x, x)


def _deviation(share: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    variance, influence = _variance(share, x)
    sd = variance.sqrt()
    return sd, influence / (2 * sd[:, None, None]).clamp_min(1e-300)


def _correlation(share: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    (cov, of_cov), (vx, of_vx), (vy, of_vy) = (_covariance(share, *p) for p in ((x, y), (x, x), (y, y)))
    scale = (vx * vy).sqrt()
    r = cov / scale
    parts = (of_cov, of_vx, of_vy)
    each = (1 / scale, -r / (2 * vx), -r / (2 * vy))
    return r, sum((p * e[:, None, None] for p, e in zip(parts, each)), torch.zeros_like(of_cov))


def _quantile(share: Tensor, x: Tensor, level: float | None = 0.5) -> tuple[Tensor, Tensor]:
    """The smallest value below which the level lies; its influence has the density there, by differences."""
    assert level is not None
    flat, weight = x.double().flatten(1), share.flatten(1)
    ordered, order = flat.sort(-1)
    below = weight.gather(-1, order).cumsum(-1)

    def at(p: float) -> Tensor:
        place = (below < p - 1e-12).sum(-1, keepdim=True).clamp_max(flat.shape[1] - 1)
        return ordered.gather(-1, place)[:, 0]

    found = at(level)
    reach = min(1.0 / math.sqrt(flat.shape[1]), level / 2, (1 - level) / 2)
    slope = (at(level + reach) - at(level - reach)) / (2 * reach)  # 1 / density
    return found, (level - (x <= found[:, None, None]).double()) * slope[:, None, None]


_KINDS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "E": _mean,
    "P": _mean,
    "Var": _variance,
    "SD": _deviation,
    "Cov": _covariance,
    "Corr": _correlation,
    "Med": _quantile,
    "Q": _quantile,
}


def standard_error(influence: Tensor, population: Population) -> Tensor:
    """The Monte Carlo error, one for every draw of the weights.

    Units drawn from the model are independent, and so are the draws of every row's noise.
    """
    if population.exact:
        return torch.zeros(len(influence), dtype=torch.float64)
    if not population.rows:
        return ((influence**2).sum((1, 2)) * population.spread).sqrt()
    draws = influence.shape[1]
    if draws == 1:
        return torch.zeros(len(influence), dtype=torch.float64)
    return (influence.sum(2).var(1) * draws).sqrt()
