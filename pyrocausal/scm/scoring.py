"""Likelihoods of an SCM: exact ones, and bounds by its guide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyrocausal.abduct import Problem
from pyrocausal.abduct.bounds import BOUNDS, levels_of, log_marginal
from pyrocausal.errors import DataError, EvidenceError, FitError
from pyrocausal.intervene import Hard
from pyrocausal.scm.asking import WEIGHT_DRAWS, Asking
from pyrocausal.table import Table, read, whole
from pyrocausal.variables import check_names

MOST_RUNS = 1_000_000  # of one unit, in a likelihood under uncertain weights, unless more are asked for


class Scoring(Asking):
    """Likelihoods, and what data they take."""

    def log_prob(self, data: Any, *, num_samples: int | None = None) -> Tensor:
        """log p(observed variables) of each unit, `(units,)`, differentiable.

        Discrete latents are summed out. The data must have every variable that is not latent. Where weights
        have a posterior (`pc.units()`), p is averaged over draws of it: an estimate, which is -inf or too low
        far from the data.

        Args:
            num_samples: draws of the weights; default: all that are kept, or fewer for very many units.

        Raises:
            EvidenceError: a continuous latent is not in the data: see `elbo`.
        """
        problem, copies = self._scored(data, "log_prob", 0, num_samples=num_samples)
        with self._weighted(copies, problem.units // copies, problem.generator):
            each = log_marginal(problem).reshape(copies, -1)
        return torch.logsumexp(each, 0) - math.log(copies)

    def elbo(
        self,
        data: Any,
        *,
        num_particles: int = 1,
        bound: str = "elbo",
        summed: str | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """A lower bound of log p(observed variables) of each unit, `(units,)`, by draws from the guide.

        It is differentiable in the parameters of model and guide, so that a loss can be put together from
        submodels: `-scm.do(m=0.0).elbo(batch)`. Discrete latents that the guide does not propose are summed
        out; without any latent it is `log_prob`.

        Args:
            num_particles: draws a unit.
            bound: "elbo", or "iwae", which is tighter with more particles (Burda et al. 2016).
            summed: an observed variable with finitely many levels that the data lack: the bound is then
                log Σ_k exp ELBO(…, level k), over its levels, as for unlabelled rows of a classifier.
            seed: of the draws; default: torch's global state.

        Raises:
            FitError: an unknown bound, or weights with a posterior.
            EvidenceError: the variable that is `summed` is there, or has no list of levels.

        >>> import pyro, pyro.distributions as dist, pyrocausal as pc
        >>> def program():
        ...     y = pyro.sample("y", dist.Bernoulli(0.5))
        ...     pyro.sample("x", dist.Normal(2 * y, 1.0))
        >>> pc.SCM(program).elbo({"x": [1.0]}, summed="y")               # log N(1 | 0, 1): both levels alike
        tensor([-1.4189])
        """
        if not isinstance(bound, str) or bound not in BOUNDS:
            raise FitError(f"bound={bound!r}", fix=f"use one of {', '.join(BOUNDS)}")
        particles = whole(num_particles, "num_particles", least=1)
        if self._model.structure.shared:
            raise FitError(
                "elbo is about parameters, and this SCM has weights with a posterior", fix="use log_prob"
            )
        problem, copies = self._scored(data, "elbo", seed, summed=summed)
        found = BOUNDS[bound](problem, particles)
        return found if summed is None else torch.logsumexp(found.reshape(copies, -1), 0)

    def guide_log_prob(self, data: Any, *, seed: int | None = None) -> Tensor:
        """log q of the observed variables that the guide has sites for, `(units,)`, differentiable.

        The bound says nothing of them, because they are not drawn where they are known. `fit` maximises
        `elbo` + `guide_log_prob`, so that they can be proposed for units that lack them, as in Louizos et al.
        2017 (CEVAE), eq. 10: q(t | x) and q(y | x, t).

        >>> import pyro, pyro.distributions as dist, pyrocausal as pc
        >>> def program():
        ...     z = pyro.sample("z", dist.Normal(0.0, 1.0))
        ...     pyro.sample("x", dist.Normal(z, 1.0))
        ...     pyro.sample("y", dist.Normal(z, 1.0))
        >>> def mean_of_z(x, y):
        ...     return dist.Normal((x + y) / 3, 3**-0.5)
        >>> guide = pc.guides.Amortized(z=mean_of_z, y=lambda x: dist.Normal(x / 2, 1.5**0.5))
        >>> scm = pc.SCM(program, latent=["z"], guide=guide)
        >>> scm.guide_log_prob({"x": [0.0], "y": [0.0]})                # log q(y | x)
        tensor([-1.1217])
        >>> noise = scm.abduct({"x": [2.0], "y": [None]}, missing="abduct", method="guide", seed=0)
        >>> noise.mean("z").round()                                      # E[z | x] = 1
        tensor([1.], dtype=torch.float64)
        """
        if not any(name not in self._intervention.names for name in self._model.filled):
            raise FitError(
                "the guide proposes no observed variable that has its own mechanism here",
                why="guide_log_prob is log q of such",
                fix="leave it out, or give the guide a site for what units may lack: Amortized(t=…)",
            )
        return self._scored(data, "elbo", seed)[0].propose(1).log_told

    def _scored(
        self,
        data: Any,
        where: str,
        seed: int | None,
        *,
        num_samples: int | None = None,
        summed: str | None = None,
    ) -> tuple[Problem, int]:
        """The likelihood as a problem, and how many copies it has of each unit.

        The copies are for draws of the shared weights, or for the levels of the variable that is `summed`.
        """
        check_names([] if summed is None else [summed], self.variables, where="summed")
        proposed = self._model.proposed if where == "elbo" else ()
        need = [name for name in self._needed() if name not in proposed and name != summed]
        table = read(data, self.variables, where=where, need=need)
        self._agree(table.values, where)
        if summed is not None:
            table, copies = self._at_levels(table, summed)
        else:
            copies = self._count_draws(num_samples) or self._copies(len(next(iter(table.values.values()))))
            table = table.repeated(copies)
        return self._problem(table, seed, free=proposed, copies=copies), copies

    def _at_levels(self, table: Table, name: str) -> tuple[Table, int]:
        """Every unit once with each level of a variable that the table lacks."""
        if name in table.values or self._intervention.replaces(name):
            raise EvidenceError(
                f"'{name}' is to be summed over, and it is known",
                fix="leave it out of one of them",
            )
        levels = levels_of(self.variables[name])
        units = len(next(iter(table.values.values())))
        asked = table.repeated(len(levels))
        return replace(asked, values={**asked.values, name: levels.repeat_interleave(units, 0)}), len(levels)

    def _copies(self, units: int) -> int:
        """How many draws of the shared weights a likelihood averages over."""
        kept = [len(x) for x in self._model.program.weights_posterior.values()]
        return min(kept[0], max(WEIGHT_DRAWS, MOST_RUNS // units)) if kept else 1

    def _agree(self, values: Mapping[str, Tensor], where: str) -> None:
        """Data given for a variable that this submodel sets must be what it sets."""
        for name, chain in self._intervention.chains.items():
            action = chain[-1][1]
            fixed = name in values and isinstance(action, Hard) and not action.per_unit
            if fixed and (values[name] != action.value).any():  # type: ignore[union-attr]
                raise DataError(
                    f"{where}: the data's '{name}' is not what this submodel sets by do",
                    why="its mechanism is replaced there",
                    fix=f"leave '{name}' out, or use the rows in which it has that value",
                )
