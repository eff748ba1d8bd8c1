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

from .importance import by_guide, importance
from .problem import Draws, Problem, check_explained, check_presence, prior

__all__ = ["ENGINES", "Problem", "abduct", "check_presence", "prior"]

logger = logging.getLogger("pyrocausal")

LARGE = 500  # observed numbers a unit from which weights collapse onto one draw


def exact(problem: Problem, count: int | None) -> Draws:
    """Nothing is unobserved: each site's noise is pulled out, for discrete ones as a draw of P(u | x)."""
    return Draws({}, count, None, {"method": "exact"})


ENGINES: dict[str, Callable[[Problem, int | None], Draws]] = {
    "exact": exact,
    "guide": by_guide,
    "importance": importance,
}


def abduct(problem: Problem, *, method: str = "auto", num_samples: int | None = None) -> Noise:
    """The noise of every variable, and the factual world, given a problem's evidence.

    Args:
        method: a name in `ENGINES`, or "auto".
        num_samples: draws a unit; None for the engine's default.
    """
    chosen = choose(problem) if method == "auto" else method
    check_method(problem, chosen)
    draws = ENGINES[chosen](problem, num_samples)
    if method == "auto" and chosen != "exact":
        logger.info("Abduction by %s.", draws.diagnostics["method"])
    return _explained(problem, draws)


def choose(problem: Problem) -> str:
    """The cheapest engine that is right for a problem."""
    if not problem.unobserved:
        return "exact"
    if problem.guide is not None and not problem.lacking.any() and _size(problem) > LARGE:
        return "guide"
    return "importance"


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
    return noise


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
