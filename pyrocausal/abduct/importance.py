"""Importance sampling: draws of the unobserved from a proposal, weighted by the evidence and resampled.

All draws of all units are one pass. The proposal is the guide where there is one, else the exogenous laws
themselves; units that lack cells of their evidence, which a guide can't read, are proposed from the laws.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from pyrocausal.errors import EvidenceError
from pyrocausal.guides import GuideError, NotGiven
from pyrocausal.variables import row_names
from pyrocausal.world import Values

from .problem import Draws, Problem
from .weights import GOOD_K, effective_sample_size, pareto_k, resample

logger = logging.getLogger("pyrocausal")

PROPOSALS = 1000  # default draws a unit, and the fewest that draws of importance resampling are chosen from
FEW = 50.0  # effective draws below which an answer is called unreliable


def importance(problem: Problem, count: int | None) -> Draws:
    """P(u | evidence) by importance resampling."""
    noise, log_weights = weighted(problem, max(count or 0, PROPOSALS))
    return resampled(problem, noise, log_weights, "importance", count)


def by_guide(problem: Problem, count: int | None) -> Draws:
    """Draws from the guide as they are; the weights that they would get are only looked at."""
    draws = count or PROPOSALS
    if problem.lacking.any():
        raise EvidenceError(
            f"the guide can't read the evidence of {row_names(problem.lacking)}, which lacks cells",
            fix='use method="importance" (or "auto")',
        )
    noise, log_weights = _from_guide(problem, draws)
    return Draws(noise, draws, None, {"method": "guide", **diagnose(log_weights)})


def weighted(problem: Problem, draws: int) -> tuple[Values, Tensor]:
    """Noise of the unobserved from the proposal, and its log weights `(draws, units)`."""
    if problem.guide is None:
        return _from_prior(problem, draws)
    try:
        guided, log_weights = _from_guide(problem, draws)
    except NotGiven:  # it reads what is not in this evidence
        return _from_prior(problem, draws)
    lacking = problem.lacking
    if not lacking.any():
        return guided, log_weights
    plain = problem.prior(draws)
    noise = {name: _either(lacking.repeat(draws), plain[name], u) for name, u in guided.items()}
    at_plain = problem.log_likelihood(noise, draws).reshape(draws, -1)
    return noise, torch.where(lacking, at_plain, log_weights)


def _from_prior(problem: Problem, draws: int) -> tuple[Values, Tensor]:
    noise = problem.prior(draws)
    return noise, problem.log_likelihood(noise, draws).reshape(draws, -1)


def _from_guide(problem: Problem, draws: int) -> tuple[Values, Tensor]:
    proposal = problem.propose(draws)
    broken = proposal.log_prob.isnan().reshape(draws, -1).any(0)
    if broken.any():
        raise GuideError(
            f"the guide gives no distribution for the evidence of {row_names(broken)}",
            why="a parameter of it is no number there, or a scale is not positive",
            fix="keep scales positive (softplus, exp) and all parameters finite, whatever the evidence",
        )
    noise, log_joint = problem.given_values(proposal.values, draws)
    return noise, (log_joint - proposal.log_prob).reshape(draws, -1)


def resampled(
    problem: Problem, noise: Values, log_weights: Tensor, method: str, count: int | None = None
) -> Draws:
    """Equally weighted draws, as many as there are weights or `count`."""
    log_weights = possible(log_weights)
    chosen = resample(log_weights, problem.generator, count)
    draws, units = chosen.shape
    flat = (chosen * units + torch.arange(units)).flatten()
    found = {"method": method, **diagnose(log_weights)}
    return Draws({name: u[flat] for name, u in noise.items()}, draws, None, found)


def possible(log_weights: Tensor) -> Tensor:
    """The weights, those that are no number counted as zero; units without any other are an error."""
    log_weights = torch.where(log_weights.isnan(), -torch.inf, log_weights)
    impossible = ~torch.isfinite(log_weights).any(0)
    if impossible.any():
        raise EvidenceError(
            f"no draw of the unobserved variables explains the evidence in {row_names(impossible)}",
            fix="raise num_samples, or check the evidence; a computed variable behind continuous "
            "latents has a value that no draw meets: leave it out, or observe it with noise",
        )
    return log_weights


def diagnose(log_weights: Tensor) -> dict[str, Tensor]:
    """Effective sample size and Pareto k of every unit, beside the weights."""
    return {
        "ess": effective_sample_size(log_weights),
        "pareto_k": pareto_k(log_weights),
        "log_weights": log_weights,
    }


def poor(found: dict[str, Any]) -> Tensor:
    """Units whose weights can't be relied on, `(units,)`."""
    return (found["ess"] < max(FEW, 0.01 * len(found["log_weights"]))) | (found["pareto_k"] > GOOD_K)


def warn_if_poor(found: dict[str, Any]) -> None:
    bad = poor(found)
    if bad.any():
        other = 'method="nuts"' if found["method"] == "svi" else 'method="svi" or "nuts"'
        logger.warning(
            "Importance sampling (%s) is unreliable for %d of %d units: effective sample size as low as %.1f "
            "of %d draws, Pareto k up to %.2f (above %.1f the weights can't be trusted). Raise num_samples, "
            "use %s, or observe more.",
            found["method"],
            int(bad.sum()),
            len(bad),
            float(found["ess"].min()),
            len(found["log_weights"]),
            float(found["pareto_k"].max()),
            GOOD_K,
            other,
        )


def _either(which: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(which.reshape(-1, *[1] * (one.dim() - 1)), one, other)
