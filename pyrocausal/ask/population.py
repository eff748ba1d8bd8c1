"""The units that a question is about, with their values in all of its worlds.

Either units of the model (drawn from it; or, where they are finitely many kinds, all of them with their
probabilities), or the rows of a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyrocausal.abduct import abduct, prior
from pyrocausal.abduct.countable import affordable
from pyrocausal.abduct.enumeration import TooManyAtoms
from pyrocausal.abduct.problem import Problem
from pyrocausal.ask.actions import actions
from pyrocausal.errors import QueryError
from pyrocausal.intervene import Edge, Natural
from pyrocausal.query.syntax import Variable, World
from pyrocausal.randomness import generator_of
from pyrocausal.samples import Noise, Samples
from pyrocausal.table import Table, read

FACTUAL: World = ()
EXACT = "enumerate"
WEIGHTS = 400  # draws of the weights, where units share some


@dataclass(frozen=True)
class Population:
    """Units and their values.

    Attributes:
        worlds: the values of all variables in each, `(weights, draws, units)`: draws of the weights that all
            units share (1 if there are none), and draws a unit where abduction is stochastic.
        weights: how much each counts, of the same shape; None if all count alike.
        exact: whether these are all units that there can be, not a sample.
        rows: whether they are the rows of a table, which are what was asked about and no sample either.
        spread: by how much resampling makes draws worth less than independent ones.
        method: how they were found.
        told: variables that have the values asked for by evidence: no unit is left out by these.
    """

    worlds: Mapping[World, Samples]
    weights: Tensor | None
    exact: bool = False
    rows: bool = False
    spread: float = 1.0
    method: str = "sampled"
    told: frozenset[Variable] = frozenset()

    @property
    def draws(self) -> tuple[int, int]:
        """How many of the weights, and of a unit's noise."""
        like = next(iter(next(iter(self.worlds.values())).values()))
        return like.shape[0], like.shape[1]

    def values(self, variable: Variable) -> Tensor:
        """`(weights, draws, units)`, in double precision."""
        return self.worlds[variable.world][variable.name].double()


def of_model(
    scm: Any,
    worlds: Sequence[World],
    text: str,
    *,
    evidence: Mapping[str, float],
    evidence_world: World,
    units: int,
    seed: int | None,
    exact_only: bool = False,
) -> Population | None:
    """Units of the model, given evidence in one of the worlds; None if `exact_only` and that can't be had."""
    _refuse_nested(scm)
    submodels = {world: scm.do(actions(world, text)) if world else scm for world in worlds}
    interventions = {world: model._intervention for world, model in submodels.items()}
    if scm._model.structure.shared:
        _refuse_density(evidence)
        return None if exact_only else _under_weights(scm, interventions, units, seed)
    told = frozenset(Variable(name, evidence_world) for name in evidence)
    base = scm if evidence_world == FACTUAL else submodels[evidence_world]
    apart = tuple(interventions.values()) if base is scm else ()
    problem = base._problem(_table(evidence, scm.variables), seed, worlds=apart, free=scm.variables)
    found = _listed(scm, problem, interventions, seed, told) if base is scm else None
    if found is not None or exact_only:
        return found
    if evidence:
        noise = abduct(problem, num_samples=units)
        lacking = [v for v in scm.variables.values() if not v.computed and v.name not in noise]
        fresh = {name: u[:, None] for name, u in prior(_by_name(lacking), units, problem.generator).items()}
        noise.values_ = {**noise.values_, **fresh}  # what is set in the evidence's world may differ elsewhere
    else:
        noise = Noise(prior(scm.variables, units, problem.generator))
    return _run(scm, noise, interventions, seed, told)


def _refuse_density(evidence: Mapping[str, float]) -> None:
    for name in evidence:
        raise QueryError(
            f"'{name}' is continuous, and given by its value",
            why="that weighs units by a density, which is not supported where weights have a posterior",
            fix=f"give an interval, e.g. {evidence[name] - 0.1:g} < {name} < {evidence[name] + 0.1:g}",
        )


def _refuse_nested(scm: Any) -> None:
    if any(isinstance(action, Natural | Edge) for _, _, _, action in scm._intervention.items()):
        raise QueryError(
            "this submodel takes natural values from another world",
            why="questions are put to the model without it",
            fix="ask the model itself, with subscripts: E[y_{x=1, m_{x=0}}]",
        )


def _by_name(variables: Sequence[Any]) -> dict[str, Any]:
    return {v.name: v for v in variables}


def _table(evidence: Mapping[str, float], variables: Mapping[str, Any]) -> Table:
    """One unit's evidence."""
    values = {
        name: torch.tensor([evidence[name]], dtype=variables[name].dtype)
        for name in variables
        if name in evidence
    }
    return Table(values, None, {})


def _listed(
    scm: Any,
    problem: Problem,
    interventions: Mapping[World, Any],
    seed: int | None,
    told: frozenset[Variable],
) -> Population | None:
    """All units that these worlds can tell apart, if that is a finite number and not too large."""
    if not affordable(problem):
        return None
    with suppress(TooManyAtoms):
        return _run(scm, abduct(problem, method=EXACT), interventions, seed, told)
    return None


def _run(
    scm: Any,
    noise: Noise,
    interventions: Mapping[World, Any],
    seed: int | None,
    told: frozenset[Variable],
) -> Population:
    """The worlds of one unit's draws, or of many units without: both count as units here.

    The factual world comes first, because the others only differ from it below their actions.
    """
    found, _ = scm._predict_worlds(noise, {FACTUAL: scm._intervention}, seed)
    others = {world: i for world, i in interventions.items() if world != FACTUAL}
    found |= scm._predict_worlds(noise, others, seed, factual=found[FACTUAL])[0]
    worlds = {world: _shaped(samples, lambda x: x.reshape(1, 1, -1)) for world, samples in found.items()}
    method = noise.diagnostics.get("method", "sampled")
    ess = noise.diagnostics.get("ess")
    count = noise.num_draws or noise.num_units
    return Population(
        worlds,
        None if noise.weights is None else noise.weights.reshape(1, 1, -1),
        exact=method == EXACT and noise.weights is not None,
        spread=1.0 if ess is None else max(1.0, count / ess.min().item()),
        method=method,
        told=told,
    )


def _shaped(samples: Samples, change: Any) -> Samples:
    scalars = {name: change(x) for name, x in samples.items() if not samples.variables[name].shape}
    return Samples(scalars, samples.variables, draws=True)


def _under_weights(scm: Any, interventions: Mapping[World, Any], units: int, seed: int | None) -> Population:
    """Units for each of many draws of the weights' posterior (of the prior, before `fit`)."""
    draws = min(WEIGHTS, *(len(x) for x in scm._model.program.weights_posterior.values()))
    generator = generator_of(seed)
    with scm._weighted(draws, units, generator):
        noise = prior(scm.variables, units * draws, generator)
        store = scm._worlds(noise, units, draws, generator)
        found = {world: store.run(intervention).values for world, intervention in interventions.items()}
    worlds = {
        world: _shaped(Samples(values, scm.variables), lambda x: x.reshape(draws, 1, units))
        for world, values in found.items()
    }
    return Population(worlds, None)


def of_rows(
    scm: Any,
    data: Any,
    worlds: Sequence[World],
    text: str,
    *,
    num_samples: int | None,
    seed: int | None,
) -> Population:
    """The rows of a table, each with its own noise."""
    submodels = {world: scm.do(actions(world, text)) if world else scm for world in worlds}
    table = read(data, scm.variables, where="data", need=scm._needed())
    noise = scm._abduct(table, "auto", num_samples, seed, tuple(submodels.values()))
    found, _ = scm._predict_worlds(
        noise, {w: m._intervention for w, m in submodels.items()}, seed, factual=noise.factual
    )
    found[FACTUAL] = noise.factual
    lead = 0 if scm._model.structure.shared else 1  # where the axis of draws goes, if there is one

    def shaped(x: Tensor) -> Tensor:
        return x.unsqueeze(1 - lead) if noise.has_draws else x[None, None]

    weights = None if noise.weights is None else shaped(noise.weights)
    return Population(
        {world: _shaped(samples, shaped) for world, samples in found.items()},
        weights,
        rows=True,
        method=noise.diagnostics.get("method", "exact"),
    )
