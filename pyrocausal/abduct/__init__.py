"""Abduction: evidence in, exogenous noise out.

One meaning, P(u | evidence), and an engine for each case (`ENGINES`). What is observed is pulled out exactly;
the engines differ in how they find the noise of what is not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from pyrocausal.errors import EvidenceError
from pyrocausal.samples import Noise, Samples
from pyrocausal.world import Pass, Values

from .countable import enumerable
from .enumeration import enumerate_levels, listed_or_drawn
from .importance import by_guide, importance, poor, warn_if_poor
from .mcmc import nuts
from .problem import Draws, Problem, check_explained, check_presence, prior
from .variational import svi

__all__ = ["ENGINES", "Problem", "abduct", "check_presence", "one_of_each", "prior"]

logger = logging.getLogger("pyrocausal")

LARGE = 500  # observed numbers a unit from which weights collapse onto one draw


def exact(problem: Problem, count: int | None) -> Draws:
    """Nothing is unobserved: each site's noise is pulled out, for discrete ones as a draw of P(u | x)."""
    return Draws({}, count, None, {"method": "exact"})


ENGINES: dict[str, Callable[[Problem, int | None], Draws]] = {
    "exact": exact,
    "enumerate": enumerate_levels,
    "guide": by_guide,
    "importance": importance,
    "svi": svi,
    "nuts": nuts,
}


def abduct(problem: Problem, *, method: str = "auto", num_samples: int | None = None) -> Noise:
    """The noise of every variable, and the factual world, given a problem's evidence.

    Args:
        method: a name in `ENGINES`, or "auto".
        num_samples: draws a unit; None for the engine's default.
    """
    chosen = choose(problem) if method == "auto" else method
    if chosen in ("svi", "nuts") and not problem.unobserved:
        chosen = "exact"  # no unit of this table happens to lack a cell
    check_method(problem, chosen)
    engine = listed_or_drawn if (method, chosen) == ("auto", "enumerate") else ENGINES[chosen]
    if chosen == "guide" and problem.intervention.names:
        logger.warning(
            "The guide was trained for the model without do(%s), and its draws are taken as they are: "
            'method="importance" weights them by this submodel.',
            ", ".join(problem.intervention.names),
        )
    draws = engine(problem, num_samples)
    if method == "auto" and _needs_gradients(problem, draws):
        draws = max(draws, svi(problem, num_samples), key=lambda d: float(d.diagnostics["ess"].min()))
    if draws.diagnostics["method"] in ("importance", "svi"):
        warn_if_poor(draws.diagnostics)
    if method == "auto" and chosen != "exact":
        logger.info("Abduction by %s.", draws.diagnostics["method"])
    return _explained(problem, draws)


def choose(problem: Problem) -> str:
    """The cheapest engine that is right for a problem."""
    if not problem.unobserved:
        return "exact"
    if enumerable(problem):
        return "enumerate"
    if problem.guide is not None and not problem.lacking.any() and _size(problem) > LARGE:
        return "guide"
    return "importance"


def _needs_gradients(problem: Problem, draws: Draws) -> bool:
    """Whether draws from the proposal missed some unit's posterior, and gradients can lead to it."""
    if draws.diagnostics["method"] != "importance":
        return False
    return bool(poor(draws.diagnostics).any()) and not any(v.discrete for v in problem.unobserved.values())


def check_method(problem: Problem, method: str) -> None:
    if method not in ENGINES:
        raise EvidenceError(
            f"method={method!r} is no abduction engine", fix=f"use one of auto, {', '.join(ENGINES)}"
        )
    unobserved = list(problem.unobserved)
    if method == "exact" and unobserved:
        name = unobserved[0]
        what = "lacks cells" if name in problem.missing else "is latent"
        raise EvidenceError(
            f"'{name}' {what}, so its noise can't be computed exactly",
            fix='use method="importance" (or "auto"), or give its value as evidence',
        )
    if method == "guide" and problem.guide is None:
        raise EvidenceError(
            "the SCM has no guide", fix='pass one: SCM(program, latent=["z"], guide=pc.guides.Amortized("z"))'
        )


def _size(problem: Problem) -> int:
    """How many observed numbers a unit's weight depends on."""
    return sum(x[0].numel() for x in problem.evidence.values())


def _explained(problem: Problem, draws: Draws) -> Noise:
    """The evidence's noise pulled out, given the unobserved's; checked, and shaped for the user."""
    count = draws.size or 1
    seen = problem.explain(draws.noise, count)
    check_explained(problem, seen)
    found = _complete(problem, seen, count) | (draws.noise if draws.settled else {})

    def shaped(values: Values) -> Values:
        if draws.size is None:
            return values
        return {name: x.reshape(count, problem.units, *x.shape[1:]) for name, x in values.items()}

    noise = Noise(shaped(found), draws=draws.size is not None)
    noise.factual = Samples(shaped(seen.values), problem.structure.variables, draws=draws.size is not None)
    noise.weights = noise.factual.weights = _normalised(draws.log_weights)
    noise.diagnostics = draws.diagnostics
    noise.chains = noise.factual.chains = draws.diagnostics.get("chains", 1)
    return noise


def one_of_each(noise: Noise, draws: int, weights: Values, generator: torch.Generator) -> Noise:
    """Noise of `draws` copies of every unit, one after the other, as noise with an axis of draws.

    Where each copy has several draws of its own, one of them is taken.
    """
    assert noise.factual is not None
    units = noise.num_units // draws
    chosen = None
    if noise.has_draws:
        odds = noise.weights if noise.weights is not None else torch.ones(noise.num_draws or 1, draws * units)
        chosen = torch.multinomial(odds.T.double(), 1, generator=generator)[:, 0]

    def shaped(values: Values) -> Values:
        each = torch.arange(draws * units)
        picked = values if chosen is None else {name: x[chosen, each] for name, x in values.items()}
        return {name: x.unflatten(0, (draws, units)) for name, x in picked.items()}

    found = Noise(shaped(noise.values_), draws=True)
    found.factual = Samples(shaped(noise.factual.values_), noise.factual.variables, draws=True)
    found.weights_used = weights
    found.diagnostics = noise.diagnostics
    return found


def _complete(problem: Problem, seen: Pass, count: int) -> Values:
    """Units whose run did not reach an optional variable get noise from its law."""
    optional = [name for name, v in problem.structure.variables.items() if v.optional]
    filled = {
        name: torch.where(torch.isnan(seen.noise[name]), u, seen.noise[name]) if name in seen.noise else u
        for name, u in problem.prior(count, optional).items()
    }
    return {**seen.noise, **filled}


def _normalised(log_weights: Tensor | None) -> Tensor | None:
    return None if log_weights is None else torch.softmax(log_weights.double(), 0)
