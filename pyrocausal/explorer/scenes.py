"""The worlds that the explorer shows: of the population, and of single units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from pyrocausal.explorer.stage import Axis
from pyrocausal.graph import draw
from pyrocausal.plots.units import quantile
from pyrocausal.samples import Samples

Actions = Mapping[str, float]  # codes for levels


class Scenes:
    """Answers to "what if", ready to be drawn.

    Args:
        scm: a model.
        axes: what is shown.
        population: units drawn for a density; the same noise under all actions.
        seed: of these, and of abduction.
    """

    def __init__(self, scm: Any, axes: Mapping[str, Axis], population: int, seed: int):
        self.scm, self.axes, self.size, self.seed = scm, axes, population, seed
        self.known = {name: variable.column.levels for name, variable in scm.variables.items()}

    def population(self, actions: Actions) -> dict[str, list[int]]:
        """The density of each variable that an action reaches; of all, if there is none."""
        samples = self._under(actions).sample(self.size, seed=self.seed)
        shown = self._reached(actions) if actions else self.axes
        return {name: self.axes[name].curve(samples[name]) for name in shown}

    def units(self, rows: pd.DataFrame, actions: Actions) -> list[dict[str, list[float]]]:
        """Of each unit what is believed of each variable, under the actions.

        Of a number its mean and the middle 90 % of draws; of levels, the probability of each.
        """
        if actions:
            world: Samples = self.scm.counterfactual(rows, do=self._actions(actions), seed=self.seed)
        else:
            noise = self.scm.abduct(rows, seed=self.seed)
            world = noise.factual if noise.factual is not None else self.scm.predict(noise)
        beliefs = {name: self._beliefs(world, name) for name in self.axes}
        return [{name: each[i] for name, each in beliefs.items()} for i in range(len(rows))]

    def graph(self, actions: Actions) -> str:
        """The mutilated graph."""
        return draw.svg(self._under(actions).graph)

    def written(self, rows: pd.DataFrame) -> list[dict[str, float]]:
        """The units' values as numbers: codes for levels."""
        found: list[dict[str, float]] = [{} for _ in range(len(rows))]
        for name in (column for column in rows if column in self.axes):
            codes = self.scm.variables[name].encode(rows[name], where="evidence").tolist()
            for unit, code in zip(found, codes):
                unit[name] = _short(code)
        return found

    def read(self, evidence: Mapping[str, float]) -> pd.DataFrame:
        """One unit's row, from numbers: levels by their names."""
        values = {}
        for name, value in evidence.items():
            levels = self.known[name]
            values[name] = [float(value)] if levels is None else [levels[int(value)]]
        return pd.DataFrame(values)

    def _under(self, actions: Actions) -> Any:
        return self.scm.do(self._actions(actions)) if actions else self.scm

    def _actions(self, actions: Actions) -> dict[str, torch.Tensor]:
        of = self.scm.variables
        return {name: torch.tensor(value, dtype=of[name].dtype) for name, value in actions.items()}

    def _reached(self, actions: Actions) -> list[str]:
        """Also what is acted on."""
        below = {other for name in actions for other in (name, *self.scm.graph.descendants(name))}
        return [name for name in self.axes if name in below]

    def _beliefs(self, world: Samples, name: str) -> list[list[float]]:
        levels = self.axes[name].levels
        if levels:
            of = world.values_[name] if world.has_draws else world.values_[name][None]
            even = torch.full(of.shape, 1 / len(of), dtype=torch.double)
            weights = even if world.weights is None else world.weights.double()
            each = [(weights * (of == code)).sum(0) for code in range(len(levels))]
            return [[_short(p) for p in unit] for unit in torch.stack(each, 1).tolist()]
        mean = world.mean(name).cpu().numpy()
        if not world.has_draws:
            return [[_short(x)] for x in mean]
        draws = world[name].double()
        ends = [quantile(draws, world.weights, share) for share in (0.05, 0.95)]
        return [[_short(x) for x in unit] for unit in np.stack([mean, *ends], 1)]


def _short(value: float) -> float:
    return float(f"{value:.5g}")
