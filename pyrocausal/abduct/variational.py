r"""Variational inference for each unit: the engine "svi".

In normal scores (see `scores`) Gaussians :math:`q = N(\mu, L L^\top)` are fitted to every unit's posterior:
each maximises the evidence lower bound :math:`E_q[h]`, :math:`h(s) = \log p(e, s) - \log q(s)`, from a start
of its own, so that several may find several modes. All units are fitted at once. Draws of these Gaussians
are then weighted by the posterior and resampled: they need not be right, only near, and the weights tell.

Gradients are the path derivatives :math:`g = \nabla h(s)` at :math:`s = \mu + L \epsilon` ("sticking the
landing": Roeder, Wu and Duvenaud 2017), which vanish for every single draw when q is the posterior. They are
followed by natural gradient (Khan and Rue 2023, "The Bayesian learning rule", sec. 4). With
:math:`r = L^\top g`, and by Stein's lemma
:math:`E_q[\nabla^2 h] = L^{-\top} E[r \epsilon^\top] L^{-1}`, a step of rate :math:`\rho` is

.. math:: M = I - \rho\, E[r \epsilon^\top], \qquad
    \Sigma^{-1} \leftarrow L^{-\top} M L^{-1}, \qquad \mu \leftarrow \mu + \rho\, L M^{-1} E[r].

The draws of a step have mean 0 and covariance I exactly, so that one full step reaches a Gaussian posterior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .importance import PROPOSALS, resampled
from .problem import Draws, Problem
from .scores import Scores, log_standard

FULL = 100  # dimensions up to which the covariance is full; beyond, diagonal
STARTS = 4  # Gaussians a unit, which may find different modes
NARROW = 0.25  # the standard deviations that all but one of them start with
STEPS = 60
STEADY = 5  # full steps, before the rate decays as 1 / t
CONVERGED = 1e-4  # a Gaussian stops at a step that changes it by less, in KL divergence (nats)
ADAM_STEPS, ADAM_RATE = 300, 0.1  # for diagonal covariances
NARROWEST, WIDEST = 0.25, 2.0  # bounds on how one step changes a standard deviation …
FARTHEST = 4.0  # … and on how far it moves the mean, in standard deviations
DEFENSIVE = 0.1  # share of the prior in the proposal, so that no weight exceeds ten likelihoods
WIDE, SPREAD = 0.25, 3.0  # share of a Gaussian that is drawn spread out: posteriors are skewed and bent


def svi(problem: Problem, count: int | None) -> Draws:
    """P(u | evidence) by importance resampling from the Gaussians nearest to it (see the module)."""
    scores = Scores(problem, "svi")
    s, log_weights = proposals(scores, fitted(scores), max(count or 0, PROPOSALS))
    return resampled(problem, scores.noise(s), log_weights, "svi", count)


def fitted(scores: Scores) -> Gaussian:
    """Gaussians nearest to the posterior of every unit, `(STARTS, units)`."""
    q = Gaussian.start(scores.problem.units, scores.dim, scores.problem.generator)
    return _natural(scores, q) if scores.dim <= FULL else _adam(scores, q)


def _natural(scores: Scores, q: Gaussian) -> Gaussian:
    """By natural gradient."""
    moving = torch.ones(q.mean.shape[:2], dtype=torch.bool)
    for step in range(STEPS):
        eps, r = _residuals(scores, q)
        q, change = q.stepped(r, eps, moving * min(1.0, STEADY / (step + 1)))
        moving &= change > CONVERGED  # each stops by itself: no unit's answer depends on the others
        if not moving.any():
            break
    return q


def _adam(scores: Scores, q: Gaussian) -> Gaussian:
    """By Adam, for diagonal L: natural gradient would overshoot where coordinates depend on one another."""
    fit = torch.stack([q.mean, q.scale[..., 0].log()])  # means and log standard deviations
    optimiser = torch.optim.Adam([fit], ADAM_RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, ADAM_STEPS)
    for _ in range(ADAM_STEPS):
        q = Gaussian(fit[0], fit[1].exp().unsqueeze(-1))
        eps, r = _residuals(scores, q)
        fit.grad = -torch.stack([r.mean(0) / fit[1].exp(), (r * eps).mean(0)])
        optimiser.step()
        decay.step()
    return q


def _residuals(scores: Scores, q: Gaussian) -> tuple[Tensor, Tensor]:
    """Draws eps, and r = Lᵀ ∇h there, both in blocks."""
    eps = balanced(q.mean.shape[-2:], scores.problem.generator)
    value, slope = scores.slope(q.at(eps))
    known = value.isfinite()[..., None, None]  # a draw that could not be tells nothing of where to go
    return eps, (q.back(slope) + eps) * known


def proposals(scores: Scores, q: Gaussian, draws: int) -> tuple[Tensor, Tensor]:
    """Scores `(draws, units, d)` from a unit's Gaussians, a tenth from the prior, and their log weights.

    The weights are those of the mixture, whatever part of it a draw came from (Owen and Zhou 2000): they stay
    bounded where the Gaussians miss a tail of the posterior, or a mode.
    """
    generator, units = scores.problem.generator, scores.problem.units
    s = torch.randn(draws, units, scores.dim, generator=generator, dtype=torch.double)
    near = torch.randperm(draws, generator=generator)[int(DEFENSIVE * draws) :]
    s[near[: int(WIDE * len(near))]] *= SPREAD
    for start in range(STARTS):
        rows = near[start::STARTS]
        s[rows] = q[start].at(q.blocks(s[rows]))
    share = math.log((1 - DEFENSIVE) / STARTS)
    parts = [share + q[start].log_prob(s) for start in range(STARTS)]
    log_q = torch.stack([math.log(DEFENSIVE) + log_standard(s), *parts]).logsumexp(0)
    return s, scores.log_joint(s) - log_q


def balanced(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Standard normal draws `(draws, 1, 1, blocks, b)`, of mean 0 and of covariance I in a block, exactly."""
    blocks, size = shape
    half = torch.randn(blocks, max(8, size), size, generator=generator, dtype=torch.double)
    factor = torch.linalg.cholesky(half.mT @ half / half.shape[1])
    half = torch.linalg.solve_triangular(factor, half.mT, upper=False).permute(2, 0, 1)
    return torch.cat([half, -half])[:, None, None]


@dataclass(frozen=True)
class Gaussian:
    """A batch of N(mean, L Lᵀ), L block-diagonal: one block of size d, or d blocks of size 1.

    Args:
        mean: `(*batch, blocks, b)`.
        scale: L, lower triangular, `(*batch, blocks, b, b)`.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def start(cls, units: int, dim: int, generator: torch.Generator) -> Gaussian:
        """For every unit the prior, and narrow Gaussians at draws from it."""
        blocks, size = (1, dim) if dim <= FULL else (dim, 1)
        mean = torch.randn(STARTS, units, blocks, size, generator=generator, dtype=torch.double)
        scale = NARROW * torch.eye(size, dtype=torch.double).repeat(STARTS, units, blocks, 1, 1)
        mean[0] = 0.0
        scale[0] /= NARROW
        return cls(mean, scale)

    def __getitem__(self, index: Any) -> Gaussian:
        return Gaussian(self.mean[index], self.scale[index])

    def blocks(self, s: Tensor) -> Tensor:
        return s.unflatten(-1, self.mean.shape[-2:])

    def at(self, eps: Tensor) -> Tensor:
        """mean + L eps, `(…, d)`, for eps in blocks."""
        return (self.mean + (self.scale @ eps.unsqueeze(-1)).squeeze(-1)).flatten(-2)

    def back(self, g: Tensor) -> Tensor:
        """Lᵀ g in blocks: a gradient in s, `(…, d)`, as one in eps."""
        return (self.scale.mT @ self.blocks(g).unsqueeze(-1)).squeeze(-1)

    def whitened(self, s: Tensor) -> Tensor:
        """The eps of s, `(…, d)`."""
        centred = (self.blocks(s) - self.mean).unsqueeze(-1)
        return torch.linalg.solve_triangular(self.scale, centred, upper=False).flatten(-3)

    def log_prob(self, s: Tensor) -> Tensor:
        """The log density, a share `WIDE` of it spread out."""
        eps, log_scale = self.whitened(s), self.scale.diagonal(dim1=-2, dim2=-1).log().sum((-2, -1))
        wide = log_standard(eps / SPREAD) - eps.shape[-1] * math.log(SPREAD)
        mixed = torch.logaddexp(math.log(1 - WIDE) + log_standard(eps), math.log(WIDE) + wide)
        return mixed - log_scale

    def stepped(self, r: Tensor, eps: Tensor, rate: Tensor) -> tuple[Gaussian, Tensor]:
        """After one natural-gradient step, and its size KL(new, old), of the shape of `rate`."""
        rate = rate[..., None, None, None]
        hessian = torch.einsum("k...i,k...j->...ij", r, eps.expand_as(r)) / len(r)
        values, vectors = torch.linalg.eigh(torch.eye(r.shape[-1]) - rate * (hessian + hessian.mT) / 2)
        values = values.clamp(min=WIDEST**-2).unsqueeze(-1)
        move = vectors @ (vectors.mT @ (rate * r.mean(0).unsqueeze(-1)) / values)
        length = move.square().sum((-3, -2, -1), keepdim=True).sqrt()
        short = (FARTHEST * math.sqrt(move[0, 0].numel()) / length).clamp(max=1.0)
        move = move * short
        values = values.clamp(max=NARROWEST**-2).where(
            short == 1, values.clamp(max=1.0)
        )  # arrive, then narrow
        change = (1 / values - 1 + values.log() + move.square()).sum((-3, -2, -1)) / 2
        inverse = (vectors / values.mT) @ vectors.mT
        mean = self.mean + (self.scale @ move).squeeze(-1)
        return Gaussian(mean, self.scale @ torch.linalg.cholesky(inverse)), change
