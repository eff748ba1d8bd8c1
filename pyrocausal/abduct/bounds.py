"""log p(evidence) where something is unobserved: summed out exactly, or bounded from below by the guide."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor

from pyrocausal.errors import EvidenceError
from pyrocausal.variables import Variable
from pyrocausal.world import Values

from .importance import weighted
from .problem import Problem

MOST = 10_000  # combinations of levels that are summed over


def log_marginal(problem: Problem) -> Tensor:
    """log p(evidence) of every unit, `(units,)`; discrete latents are summed out."""
    return _summed(problem, {}, 1)


def elbo(problem: Problem, particles: int) -> Tensor:
    r"""The evidence lower bound of every unit, `(units,)`, by draws from the guide.

    .. math:: E_{q(z \mid e)} [\log p(e, z) - \log q(z \mid e)] \le \log p(e)

    Discrete latents that the guide does not propose are summed out of p.
    """
    log_weights, log_jump = _log_weights(problem, particles)
    return (log_weights + _credit(log_weights, log_weights, log_jump)).mean(0)


def iwae(problem: Problem, particles: int) -> Tensor:
    r"""The importance-weighted bound (Burda, Grosse and Salakhutdinov 2016, eq. 8), `(units,)`.

    .. math:: E \log \frac{1}{K} \sum_{k=1}^K \frac{p(e, z_k)}{q(z_k \mid e)}, \quad z_k \sim q(z \mid e)
    """
    log_weights, log_jump = _log_weights(problem, particles)
    bound = torch.logsumexp(log_weights, 0) - math.log(particles)
    return bound + _credit(bound.expand_as(log_weights), log_weights, log_jump).sum(0)


def log_evidence(problem: Problem, draws: int) -> Tensor:
    """An estimate of log p(evidence) of every unit, `(units,)`.

    It is exact where all that the evidence hangs on and that is unobserved has few levels. Else it is the
    importance-weighted bound, with the guide as proposal or, without one, the prior.
    """
    rest = [v for v in problem.unobserved.values() if v.name in problem.relevant]
    if math.prod(_number_of_levels(v) or math.inf for v in rest) <= MOST:
        return log_marginal(problem)
    return torch.logsumexp(weighted(problem, draws)[1], 0) - math.log(draws)


BOUNDS = {"elbo": elbo, "iwae": iwae}


def _log_weights(problem: Problem, particles: int) -> tuple[Tensor, Tensor]:
    """log p(e, z) - log q(z | e), and the part of log q that is of discrete latents, `(particles, units)`."""
    if problem.guide is None:
        known = log_marginal(problem).expand(particles, -1)
        return known, torch.zeros_like(known)
    proposal = problem.propose(particles)
    log_joint = _summed(problem, proposal.values, particles)
    return (log_joint - proposal.log_prob).reshape(particles, -1), proposal.log_jump.reshape(particles, -1)


def _credit(reward: Tensor, log_weights: Tensor, log_jump: Tensor) -> Tensor:
    r"""Zero, with the gradient that draws of discrete latents lack, `(particles, units)`.

    It is that of the score function, :math:`(r - b) \nabla \log q(k)` (Williams 1992). The baseline b is the
    mean log weight of a unit's other particles, or of the other units if it has one: independent of the draw.
    """
    if not log_jump.requires_grad:
        return torch.zeros_like(log_jump)
    axis = 0 if len(log_weights) > 1 else 1
    others = log_weights.shape[axis] - 1
    baseline = (log_weights.sum(axis, keepdim=True) - log_weights) / max(1, others)
    return (reward - baseline).detach() * (log_jump - log_jump.detach())


def _summed(problem: Problem, values: Values, draws: int) -> Tensor:
    """log p(evidence, values), `(draws * units,)`, the remaining unobserved summed out."""
    _refuse_drawn(problem)
    # what no evidence hangs on sums to 1
    rest = [v for n, v in problem.unobserved.items() if n not in values and n in problem.relevant]
    if not rest:
        return problem.log_joint(values, draws)
    levels = [levels_of(v) for v in rest]
    cells = list(product(*levels))
    if len(cells) > MOST:
        raise EvidenceError(
            f"the discrete latents have {len(cells):,} combinations of levels",
            why=f"each is one pass over all units, and more than {MOST:,} are too many",
            fix="let the guide propose some of them",
        )
    size = draws * problem.units
    chosen = {
        v.name: torch.stack([cell[i] for cell in cells]).repeat_interleave(size, 0)
        for i, v in enumerate(rest)
    }
    repeated = {name: x.repeat(len(cells), *[1] * (x.dim() - 1)) for name, x in values.items()}
    scores = problem.log_joint({**repeated, **chosen}, len(cells) * draws)
    return torch.logsumexp(scores.reshape(len(cells), size), 0)


def _refuse_drawn(problem: Problem) -> None:
    """A variable that an action draws afresh has a density of its own, which is not scored."""
    for name in problem.intervention.names:
        if problem.intervention.drawn(name) is not None:
            raise EvidenceError(
                f"'{name}' is drawn afresh in this submodel, and its likelihood is not supported",
                why="its value would be another random draw in each call",
                fix=f"score the model itself, or a submodel that sets '{name}' to values: do({name}=tensor)",
            )


def _number_of_levels(v: Variable) -> int | None:
    """How many values `levels_of` lists, if it can."""
    if v.support is torch.distributions.constraints.one_hot and len(v.shape) == 1:
        return v.shape[0]
    return None if v.shape else v.cardinality


def levels_of(v: Variable) -> Tensor:
    """Every value of a discrete variable with finitely many, `(levels, *event)`."""
    count = _number_of_levels(v)
    if count is None:
        raise EvidenceError(
            f"'{v.name}' is not observed, and its likelihood is an integral that has no closed form",
            why=f"a {v.kind} variable can't be summed out",
            fix=f"give its values, or a guide that proposes them: SCM(program, latent=['{v.name}'], guide=…)",
        )
    return torch.eye(count, dtype=v.dtype) if v.shape else torch.arange(count).to(v.dtype)
