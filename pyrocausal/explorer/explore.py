"""`pc.explore`: a widget for Jupyter, and the same as a page of its own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pyrocausal.errors import DataError, InterventionError
from pyrocausal.explorer import page
from pyrocausal.explorer.scenes import Scenes
from pyrocausal.explorer.stage import Slider, actionable, axes, sliders
from pyrocausal.table import whole

UNITS = 8  # that can be chosen among
SCENES = 250  # combinations of actions that a page may hold
FINENESS = (25, 17, 13, 9, 7, 5)  # values of a slider, by what fits


def explore(
    scm: Any,
    *,
    do: Iterable[str] | None = None,
    evidence: Any = None,
    population: int = 1000,
    seed: int = 0,
) -> Explorer:
    """Explore a model: set variables by sliders, and see the population and one unit change with them.

    In Jupyter it is a live widget (`pip install 'pyrocausal[explore]'`), whose cells take any evidence. As a
    page for a lecture, without a kernel, it has a grid of actions that is computed beforehand.

    Args:
        scm: a model, fitted or written down.
        do: the variables that get a slider; default all scalars that have effects.
        evidence: units to choose among, in a DataFrame, or one as a mapping; default a few from the model.
        population: units drawn for each density.
        seed: of all draws.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(2 * x, 1.0))
    >>> lecture = pc.explore(pc.SCM(program), do=["x"])
    >>> lecture.to_html()[:15]
    '<!doctype html>'
    """
    return Explorer(scm, do, evidence, whole(population, "population", least=50), seed)


class Explorer:
    """What `pc.explore` gives: in Jupyter it shows itself, and `to_html` writes a page."""

    def __init__(self, scm: Any, do: Iterable[str] | None, evidence: Any, population: int, seed: int):
        self.scm, self.chosen = scm, do is not None
        samples = scm.sample(max(population, 1000), seed=seed)
        self.sliders = sliders(scm.variables, actionable(scm, do), samples)
        if not self.sliders:
            raise InterventionError(
                "explore: no variable can be acted on",
                why="a slider needs a scalar variable with an effect",
                fix='name one: explore(scm, do=["x"])',
            )
        self.units = _units(scm, evidence, seed)
        extremes = [
            scm.do({s.name: torch.tensor(end, dtype=scm.variables[s.name].dtype)}).sample(500, seed=seed)
            for s in self.sliders
            for end in (s.grid(2)[0], s.grid(2)[-1])
        ]
        self.scenes = Scenes(scm, axes(scm.variables, [samples, *extremes]), population, seed)

    def widget(self) -> Any:
        """The live widget.

        Raises:
            MissingExtra: anywidget is not installed.
        """
        from pyrocausal.explorer.widget import widget  # which needs anywidget

        return widget(self)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget()._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        acted = ", ".join(s.name for s in self.sliders)
        return f"Explorer of {self.scm!r}\n  sliders: {acted}; .to_html(path) writes a page"

    def scene(self, actions: dict[str, float], row: pd.DataFrame) -> dict[str, Any]:
        """One unit and the population under some actions, with the graph."""
        return {
            "population": self.scenes.population(actions) if actions else {},
            "was": self.scenes.units(row, {})[0],
            "now": self.scenes.units(row, actions)[0] if actions else None,
            "graph": self.scenes.graph(actions),
        }

    def setting(self) -> dict[str, Any]:
        """What does not change with the actions: variables, their axes and sliders, the units."""
        of = {s.name: s for s in self.sliders}
        seen = set(self.scenes.scm._needed())
        return {
            "variables": [
                {
                    "name": name,
                    "low": axis.low,
                    "high": axis.high,
                    "levels": axis.levels,
                    "kind": self.scm.variables[name].kind,
                    "observed": name in seen,
                    "slider": _written(of.get(name)),
                }
                for name, axis in self.scenes.axes.items()
            ],
            "population": self.scenes.population({}),
            "units": [
                {"label": str(label), "evidence": evidence}
                for label, evidence in zip(self.units.index, self.scenes.written(self.units))
            ],
            "size": self.scenes.size,
        }

    def to_html(self, path: str | Path | None = None) -> str:
        """One HTML file that needs neither a kernel nor a network; returns its text, and writes it.

        Its sliders stop at the values of a grid, and its units are the ones that were chosen: all their
        worlds are in the file.

        Args:
            path: where to write it, if anywhere.
        """
        text = page.html({**self.setting(), **self.precomputed()})
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def precomputed(self) -> dict[str, Any]:
        """Every scene of the grid. A key has a slider's place for each, 0 where it is not used."""
        used, points = self._affordable()
        grids = {s.name: s.grid(points) for s in used}
        scenes: dict[str, Any] = {}
        graphs: dict[str, str] = {}
        for places in itertools.product(*(range(len(grid) + 1) for grid in grids.values())):
            actions = {n: grid[p - 1] for p, (n, grid) in zip(places, grids.items()) if p}
            units = self.scenes.units(self.units, actions)
            population = self.scenes.population(actions) if actions else {}
            scenes[",".join(map(str, places))] = {"population": population, "units": units}
            graphs.setdefault(",".join(str(int(p > 0)) for p in places), self.scenes.graph(actions))
        left = [s.name for s in self.sliders if s.name not in grids]
        return {"grids": grids, "scenes": scenes, "graphs": graphs, "left": left}

    def _affordable(self) -> tuple[list[Slider], int]:
        """The sliders of a page, and how many values each has."""
        for count in range(len(self.sliders), 0, -1):
            used = self.sliders[:count]
            for points in FINENESS:
                if math.prod(len(s.grid(points)) + 1 for s in used) <= SCENES:
                    return used, points
            if self.chosen:
                break
        names = ", ".join(s.name for s in self.sliders)
        raise InterventionError(
            f"explore: all combinations of {names} are too many for a page",
            why=f"with five values each they are more than {SCENES}",
            fix=f'choose fewer: explore(scm, do=["{self.sliders[0].name}"])',
        )


def _written(slider: Slider | None) -> dict[str, Any] | None:
    return None if slider is None else {"low": slider.low, "high": slider.high, "codes": slider.codes}


def _units(scm: Any, evidence: Any, seed: int) -> pd.DataFrame:
    """The units to choose among, as rows with all that is observed."""
    if evidence is None:
        evidence = scm.sample(5, seed=seed + 1).to_pandas()
        evidence.index = pd.Index([f"unit {i + 1}" for i in range(len(evidence))])
    elif not isinstance(evidence, pd.DataFrame):
        evidence = pd.DataFrame({name: _one(value) for name, value in dict(evidence).items()})
    if evidence.empty:
        raise DataError("explore: evidence has no rows", fix="pass at least one unit, or leave it out")
    needed = [name for name in scm._needed() if name in evidence or not scm.variables[name].shape]
    lacking = [name for name in needed if name not in evidence]
    if lacking:
        raise DataError(
            f"explore: the evidence has no '{lacking[0]}'", fix="give every variable that is not latent"
        )
    return evidence[needed].head(UNITS)


def _one(value: Any) -> Any:
    return [value] if isinstance(value, (int, float, str)) or getattr(value, "shape", None) == () else value
