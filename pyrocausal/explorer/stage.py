"""What the explorer shows of each variable, and which actions it offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyrocausal.errors import InterventionError
from pyrocausal.variables import Variable, check_names

POINTS = 64  # of a density
COUNTS = 9  # up to as many whole numbers are bars, and values of a slider


@dataclass(frozen=True)
class Axis:
    """Where a variable's values lie: numbers from `low` to `high`, or codes with names."""

    name: str
    low: float
    high: float
    levels: tuple[str, ...] = ()

    @property
    def grid(self) -> np.ndarray:
        return np.linspace(self.low, self.high, POINTS)

    def curve(self, values: Tensor) -> list[int]:
        """The density, in thousandths of one over the axis' length; of levels their shares, per mille."""
        x = values.detach().cpu().double().numpy()
        if self.levels:
            return [round(1000 * float(np.mean(x == code))) for code in range(len(self.levels))]
        return np.rint(1000 * (self.high - self.low) * density(x, self.grid)).astype(int).tolist()


def density(x: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A Gaussian kernel density of binned values, by the normal rule; no narrower than the grid can show.

    >>> x = np.random.default_rng(0).normal(size=20_000)
    >>> bool(abs(density(x, np.array([0.0]))[0] - 0.399) < 0.02)
    True
    """
    step = (grid[-1] - grid[0]) / max(len(grid) - 1, 1)
    quartiles = np.quantile(x, [0.25, 0.75])
    spread = min(x.std(), (quartiles[1] - quartiles[0]) / 1.34) or x.std()
    width = max(1.06 * spread * len(x) ** -0.2, step) or 1e-9
    counts, edges = np.histogram(x, bins=400)
    away = (grid[:, None] - (edges[1:] + edges[:-1]) / 2) / width
    return np.exp(-0.5 * away**2) @ (counts / len(x)) / (width * np.sqrt(2 * np.pi))


def axes(variables: Mapping[str, Variable], seen: Iterable[Mapping[str, Tensor]]) -> dict[str, Axis]:
    """Of every scalar variable; `seen` are samples and units that should be in view."""
    worlds = list(seen)
    return {
        name: _axis(v, [w[name] for w in worlds if name in w]) for name, v in variables.items() if not v.shape
    }


def _axis(variable: Variable, seen: list[Tensor]) -> Axis:
    every = torch.cat([x.detach().double().flatten().cpu() for x in seen])
    every = every[every.isfinite()]
    names = variable.column.levels or range(variable.cardinality or 0)
    if variable.discrete and not names and every.max() <= COUNTS:
        names = range(int(every.max()) + 1)
    if names:
        return Axis(variable.name, 0.0, len(names) - 1.0, tuple(map(str, names)))
    ends = [torch.quantile(x.double().cpu(), torch.tensor([0.005, 0.995]).double()) for x in seen]
    low, high = min(e[0].item() for e in ends), max(e[1].item() for e in ends)
    pad = 0.05 * (high - low) or 1.0
    return Axis(variable.name, low - pad, high + pad)


@dataclass(frozen=True)
class Slider:
    """The values that one variable can be set to."""

    name: str
    low: float
    high: float
    codes: tuple[int, ...] = ()  # of a variable with levels

    def grid(self, points: int) -> list[float]:
        """Its values, or as many of them."""
        if self.codes:
            return [float(code) for code in self.codes]
        return [float(f"{value:.3g}") for value in np.linspace(self.low, self.high, points)]


def sliders(
    variables: Mapping[str, Variable], names: Iterable[str], samples: Mapping[str, Tensor]
) -> list[Slider]:
    """From the 1st to the 99th percentile of what is seen; of variables with levels, all of them."""
    return [_slider(variables[name], samples[name].double()) for name in names]


def _slider(variable: Variable, seen: Tensor) -> Slider:
    if variable.cardinality:
        return Slider(variable.name, 0.0, variable.cardinality - 1.0, tuple(range(variable.cardinality)))
    low, high = torch.quantile(
        seen, torch.tensor([0.01, 0.99], dtype=seen.dtype, device=seen.device)
    ).tolist()
    if variable.discrete:
        codes = np.unique(np.linspace(low, max(high, low + 1), COUNTS).round().astype(int))
        return Slider(variable.name, low, high, tuple(codes.tolist()))
    return Slider(variable.name, low, high)


def actionable(scm: Any, chosen: Iterable[str] | None) -> list[str]:
    """The variables that get a slider: those chosen, or all scalars that have observed effects."""
    if chosen is None:
        latent = scm.graph.latent
        return [
            name
            for name, v in scm.variables.items()
            if not (v.shape or v.computed or name in latent) and scm.graph.children(name)
        ]
    names = [chosen] if isinstance(chosen, str) else list(chosen)
    check_names(names, scm.variables, where="explore(do=…)")
    for name in names:
        if scm.variables[name].shape or scm.variables[name].computed:
            kind = "a vector" if scm.variables[name].shape else "computed from others"
            raise InterventionError(
                f"explore: '{name}' is {kind}, and a slider sets one number", fix="act on another variable"
            )
    return names
