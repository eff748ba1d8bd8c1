"""Prediction: the same units, with the same noise, in other worlds.

K worlds are K runs that share one noise store. A world in which an action takes the natural value of another
world (`natural`) has that world run first; a world that is needed twice runs once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyrocausal.errors import DataError, InterventionError
from pyrocausal.graph.discover import Structure
from pyrocausal.intervene import Action, Hard, Intervention, Natural, Policy, Shift, Stochastic
from pyrocausal.units import Program
from pyrocausal.world import Pass, Runner, Values, action_noise, run

logger = logging.getLogger("pyrocausal")


class Worlds:
    """Worlds of the same units: each is one pass, run once.

    Args:
        noise: every variable's noise, units (or draws × units) first.
        units: the number of units; `copies` of them lie one after the other where draws are folded in.
        generator: for actions that draw afresh.
        factual: values of the world `base`, if known: what an action does not reach keeps them, without a
            computation.
        levels: see `World`.
        labels: of the units, if they have any.
        run: what makes a pass.
    """

    def __init__(
        self,
        program: Program,
        structure: Structure,
        noise: Values,
        *,
        units: int,
        copies: int = 1,
        generator: torch.Generator,
        factual: Values | None = None,
        base: Intervention | None = None,
        levels: Mapping[str, int] | None = None,
        labels: pd.Index | None = None,
        run: Runner = run,
    ):
        self._pass = run
        self.levels = levels
        self.factual, self.base = factual or {}, base or Intervention()
        self.program, self.structure, self.noise = program, structure, noise
        self.units, self.copies, self.generator, self.labels = units, copies, generator, labels
        self._memo: dict[Any, Pass] = {}
        self._fresh: dict[int, Tensor] = {}

    def run(self, intervention: Intervention) -> Pass:
        key = tuple(_key(layer) for layer in intervention.layers)
        if key not in self._memo:
            self._memo[key] = self._run(intervention)
        return self._memo[key]

    def given(self, intervention: Intervention) -> Values:
        """The per-unit inputs of an intervention's actions, other worlds resolved first."""
        given: Values = {}
        for depth, key, name, action in intervention.items():
            match action:
                case Hard(per_unit=True):
                    value = action.of_units(name, self.labels, self.units)
                    given[key] = value.repeat(self.copies, *[1] * (value.dim() - 1))
                case Stochastic():
                    given[key] = self._action_noise(name, action)
                case Natural():
                    elsewhere = intervention.before(depth)
                    if action.actions:
                        elsewhere = elsewhere.then(action.actions)
                    given[key] = self.run(elsewhere).values[name]
        return given

    def _run(self, intervention: Intervention) -> Pass:
        kept = self._kept(intervention)
        inputs: dict[str, Any] = {
            "noise": self.noise,
            "evidence": kept,
            "given": self.given(intervention),
            "intervention": intervention,
            "levels": self.levels,
        }
        total = self.units * self.copies
        moving = [name for name in self.structure.variables if name not in kept]
        try:
            with self.structure.resting(self.program, moving):
                seen = self._pass(self.program, units=total, vectorised=self.structure.vectorised, **inputs)
        except RuntimeError as error:
            if not self.structure.vectorised or not _branches(error, intervention):
                raise
            logger.warning(
                "An action branches on a unit's value, so units run one by one; torch.where is fast."
            )
            seen = run(self.program, units=total, vectorised=False, **inputs)
        self._check(seen, intervention)
        return seen

    def _kept(self, intervention: Intervention) -> Values:
        """The factual values of what the actions beyond the base do not reach."""
        depth = len(self.base.layers)
        if (
            not self.factual
            or not self.structure.vectorised
            or intervention.layers[:depth] != self.base.layers
        ):
            return {}
        acted = {name for layer in intervention.layers[depth:] for name in layer}
        readers = any(isinstance(a, Policy) for layer in intervention.layers for a in layer.values())
        graph = self.structure.graph
        if readers:  # a policy adds edges
            return {}
        reached = acted.union(*(graph.descendants(name) for name in acted), self.base.names)
        return {
            n: x
            for n, x in self.factual.items()
            if n not in reached and not self.structure.variables[n].computed
        }

    def _action_noise(self, name: str, action: Stochastic) -> Tensor:
        """What the action drew, if it was abducted; else one fresh draw for all worlds with this action."""
        known = self.noise.get(action_noise(name))
        if known is not None and tuple(known.shape[1:]) == action.law.shape:
            return known
        if id(action) not in self._fresh:
            total = self.units * self.copies
            law = action.law
            self._fresh[id(action)] = law.sample(total, self.generator, torch.get_default_dtype())
        return self._fresh[id(action)]

    def _check(self, seen: Pass, intervention: Intervention) -> None:
        for name, value in seen.values.items():
            variable = self.structure.variables[name]
            if name in intervention.chains and not isinstance(intervention.chains[name][-1][1], Hard):
                variable.check(value, where="do", missing_ok=variable.optional)
            elif value.is_floating_point() and not variable.optional and not torch.isfinite(value).all():
                row = int((~torch.isfinite(value.reshape(len(value), -1))).any(-1).nonzero()[0]) % self.units
                raise DataError(
                    f"'{name}' comes out as {value.reshape(len(value), -1)[row].tolist()[:3]} for unit {row}",
                    why="its distribution is not valid at these values of its parents",
                    fix="check the program, the training, or an intervention far outside of the data",
                )


def _branches(error: RuntimeError, intervention: Intervention) -> bool:
    names = [name for _, _, name, action in intervention.items() if isinstance(action, (Shift, Policy))]
    if names and "random operation" in str(error):
        raise InterventionError(
            f"the action on '{names[0]}' draws random numbers of its own",
            why="they can't be repeated by a seed or shared between worlds",
            fix="let the action be a distribution, or draw per-unit values beforehand",
        ) from error
    return bool(names) and "vmap" in str(error)


def _key(layer: Mapping[str, Action]) -> Any:
    """Layers that do the same have the same key, so that `natural(t=0)` written twice is one world."""
    parts: list[tuple[Any, ...]] = []
    for name, action in sorted(layer.items()):
        match action:
            case Hard(per_unit=False):
                parts.append((name, tuple(action.value.flatten().tolist())))
            case Natural():
                parts.append((name, "natural", _key(action.actions)))
            case _:
                parts.append((name, id(action)))
    return tuple(parts)
