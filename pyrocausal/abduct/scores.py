"""Normal scores: the unobserved noise in coordinates that are standard normal a priori.

Each law of noise is a monotone function of a standard normal score s, u = Q(Φ(s)) with Q its quantile
function. In scores every problem has one shape: a prior N(0, I) on d real numbers a unit, no bounds, no heavy
tails, and a likelihood. The engines that follow gradients (`variational`, `mcmc`) work there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyrocausal.errors import EvidenceError
from pyrocausal.world import Values

from .problem import Problem


class Scores:
    """A problem in normal scores: tensors `(…, units, d)` in float64.

    Args:
        problem: whose unobserved variables are all continuous.
        method: the engine that asks, for the error.

    Raises:
        EvidenceError: an unobserved variable is discrete.
    """

    def __init__(self, problem: Problem, method: str):
        discrete = [name for name, v in problem.unobserved.items() if v.discrete]
        if discrete:
            raise EvidenceError(
                f"method={method!r} can't infer '{discrete[0]}', which is discrete",
                why="it follows the gradient of the likelihood in the noise, which is zero there",
                fix='use method="importance" (or "auto")',
            )
        self.problem = problem
        self.laws = {name: v.law for name, v in problem.unobserved.items()}
        self.dim = sum(law.numel for law in self.laws.values())

    def noise(self, s: Tensor) -> Values:
        """The noise at scores, `(draws * units, *shape)` of each variable."""
        pieces = s.reshape(-1, self.dim).split([law.numel for law in self.laws.values()], -1)
        dtype = torch.get_default_dtype()
        return {
            name: law.from_normal(piece.reshape(-1, *law.shape)).to(dtype)
            for (name, law), piece in zip(self.laws.items(), pieces, strict=True)
        }

    def log_joint(self, s: Tensor) -> Tensor:
        """log p(evidence, s), `(…, units)`."""
        draws = s[..., 0, 0].numel()
        return self.problem.log_likelihood(self.noise(s), draws).reshape(s.shape[:-1]).to(s) + log_standard(s)

    def slope(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """log p(evidence, s) and its gradient in s; where either is no number, -inf and 0."""
        with torch.enable_grad():
            s = s.detach().requires_grad_()
            value = self.log_joint(s)
            (slope,) = torch.autograd.grad(value.sum(), s)
        known = value.isfinite() & slope.isfinite().all(-1)
        return torch.where(known, value.detach(), -torch.inf), torch.where(known.unsqueeze(-1), slope, 0.0)


def log_standard(s: Tensor) -> Tensor:
    """The log density of N(0, I), of the last axis."""
    return -0.5 * (s.square() + math.log(2 * math.pi)).sum(-1)
