"""The posterior of the weights that all units share: abduction again, with all rows as the evidence of one.

A Bayesian SCM's weights are exogenous like any unit's noise, and the rows are what they explain. So the
engines that abduct a unit's latents infer them too: this casts the question in their terms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pyrocausal.abduct import ENGINES, Problem
from pyrocausal.abduct.bounds import log_marginal
from pyrocausal.abduct.problem import prior
from pyrocausal.errors import FitError
from pyrocausal.graph.discover import Structure
from pyrocausal.units import Program
from pyrocausal.variables import Variable
from pyrocausal.world import Values, run

METHODS = ("svi", "nuts", "importance")
DRAWS = 1000  # kept of the posterior


@dataclass(frozen=True)
class WeightsProblem:
    """P(weights | rows), as a `Problem` about one unit.

    Args:
        rows: what the weights must explain: a problem about the rows, under given weights.
    """

    rows: Problem

    units = 1
    guide = None

    @property
    def generator(self) -> torch.Generator:
        return self.rows.generator

    @property
    def unobserved(self) -> dict[str, Variable]:
        return dict(self.rows.structure.shared)

    @property
    def lacking(self) -> Tensor:
        return torch.zeros(1, dtype=torch.bool)

    def prior(self, draws: int = 1) -> Values:
        return prior(self.unobserved, draws, self.generator)

    def log_likelihood(self, noise: Values, draws: int = 1) -> Tensor:
        """The sum over rows of log p(row | weights), `(draws,)`, differentiable in the weights' noise."""
        program, units = self.rows.program, self.rows.units
        weights = values_of(program, self.rows.structure, noise, self.generator)
        repeated = {n: x.repeat(draws, *[1] * (x.dim() - 1)) for n, x in self.rows.evidence.items()}
        with program.weights(weights, block=units):
            scores = log_marginal(replace(self.rows, evidence=repeated))
        return scores.reshape(draws, units).sum(1)


def values_of(program: Program, structure: Structure, noise: Values, generator: torch.Generator) -> Values:
    """Weights `(draws, *shape)` from their noise, by the priors that the program gives them."""
    draws = len(next(iter(noise.values())))
    rest = prior(structure.variables, draws, generator)
    seen = run(program, units=draws, noise={**rest, **noise}, vectorised=structure.vectorised)
    return {name: seen.values[name] for name in structure.shared}


def prior_weights(program: Program, structure: Structure, seed: int) -> Values:
    generator = torch.Generator().manual_seed(seed)
    return values_of(program, structure, prior(structure.shared, DRAWS, generator), generator)


def infer_weights(rows: Problem, method: str) -> tuple[Values, dict[str, Any]]:
    """Draws of the weights' posterior, `(DRAWS, *shape)`, and how far they can be trusted."""
    if method not in METHODS:
        raise FitError(
            f"method={method!r} is no way to infer weights", fix=f"use one of {', '.join(METHODS)}"
        )
    problem: Any = WeightsProblem(rows)
    found = ENGINES[method](problem, DRAWS)
    weights = values_of(rows.program, rows.structure, found.noise, rows.generator)
    return {name: x[:DRAWS] for name, x in weights.items()}, found.diagnostics
