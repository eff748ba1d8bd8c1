"""Distributions of one variable: as it is seen, under actions, and of units as they would have been."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from pyrocausal.errors import DataError
from pyrocausal.plots.canvas import COLOURS, DASHES, bare, canvas, legend, shown
from pyrocausal.samples import Counterfactual, Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = 20  # up to as many whole numbers are drawn as bars


class Law(NamedTuple):
    """Values of one variable, how much each counts (adding up to 1), and the names of levels."""

    values: np.ndarray
    weights: np.ndarray
    names: tuple[Any, ...] | None = None


def densities(laws: Any, variable: str | None = None, *, label: str = "", ax: Axes | None = None) -> Axes:
    """Densities of one variable under several laws; bars for what has levels, a line where all is one value.

    Args:
        laws: by name, `Samples`, a DataFrame, or the values themselves; or a `Counterfactual`, of which the
            factual world and all others are shown.
        variable: its name; not needed where values are passed.
        label: of the axis; default the variable.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(2 * x, 1.0))
    >>> scm = pc.SCM(program)
    >>> laws = {"seen": scm.sample(500, seed=0), "do(x=3)": scm.do(x=3.0).sample(500, seed=0)}
    >>> [line.get_label() for line in pc.plots.densities(laws, "y").lines]
    ['seen', 'do(x=3)']
    """
    if isinstance(laws, Counterfactual):
        laws = {"factual": laws.factual, **{name or "counterfactual": w for name, w in laws.worlds.items()}}
    if not isinstance(laws, Mapping) or not laws:
        raise DataError("densities: nothing to draw", fix='pass {"name": samples, …} and a variable')
    found = {name: _law(source, variable) for name, source in laws.items()}
    with canvas(ax) as ax:
        values = np.concatenate([law.values for law in found.values()])
        if _has_levels(values):
            _bars(ax, found, values)
        else:
            _curves(ax, found, values)
        ax.set_xlabel(label or variable or "")
        legend(ax)
    return ax


def rungs(
    scm: Any,
    variable: str,
    do: Mapping[str, Any],
    *,
    rows: Any = None,
    n: int = 5000,
    seed: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One variable on the three rungs: as it is seen, under an action, and of given units under that action.

    Args:
        do: the action.
        rows: units, for the third rung; each has its own noise.
        n: units drawn for each of the first two.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(2 * x, 1.0))
    >>> scm = pc.SCM(program)
    >>> ax = pc.plots.rungs(scm, "y", {"x": 3.0}, rows=scm.sample(50, seed=1), n=500, seed=0)
    >>> [line.get_label() for line in ax.lines]
    ['seeing: P(y)', 'doing: P(y | do(x=3))', 'imagining: these 50 units, had x been 3']
    """
    action = ", ".join(f"{name}={shown(value)}" for name, value in do.items())
    had = " and ".join(f"{name} been {shown(value)}" for name, value in do.items())
    laws = {
        f"seeing: P({variable})": scm.sample(n, seed=seed),
        f"doing: P({variable} | do({action}))": scm.do(do).sample(n, seed=seed),
    }
    if rows is not None:
        cf = scm.counterfactual(rows, do=do, seed=seed)
        laws[f"imagining: these {cf.num_units:,} units, had {had}"] = cf
    return densities(laws, variable, ax=ax)


def _law(source: Any, variable: str | None) -> Law:
    names = None
    if isinstance(source, (Samples, pd.DataFrame, Mapping)):
        if variable is None:
            raise DataError("densities: which variable?", fix='name it: densities(laws, "y")')
        if isinstance(source, Samples) and variable in source.variables:
            names = source.variables[variable].column.levels
        values, weights = source[variable], getattr(source, "weights", None)
    else:
        values, weights = source, None
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if names is None and array.dtype.kind in "OUS":
        codes, uniques = pd.factorize(pd.Series(array.ravel()), sort=True)
        array, names = codes, tuple(uniques)
    each = None if weights is None else np.asarray(weights.detach().cpu(), dtype=float)
    due = 1 + source.has_draws if isinstance(source, Samples) else array.ndim
    if array.ndim != due:
        raise DataError(
            f"densities: {variable!r} is a vector", fix='draw one part of it: {"name": samples["v"][:, 0]}'
        )
    flat = array.astype(float).ravel()
    counts = np.ones(len(flat)) if each is None else each.ravel()
    kept = np.isfinite(flat)
    if not kept.any():
        raise DataError("densities: there are no values", fix="pass at least one finite number")
    return Law(flat[kept], counts[kept] / counts[kept].sum(), names)


def _has_levels(values: np.ndarray) -> bool:
    distinct = np.unique(values[: 10 * LEVELS])
    if len(distinct) > LEVELS or not np.equal(np.mod(distinct, 1), 0).all():
        return False
    distinct = np.unique(values)
    return len(distinct) <= LEVELS and bool(np.equal(np.mod(distinct, 1), 0).all())


def _bars(ax: Any, laws: Mapping[str, Law], values: np.ndarray) -> None:
    levels = np.unique(values)
    width = 0.8 / len(laws)
    for i, (name, law) in enumerate(laws.items()):
        shares = [law.weights[law.values == level].sum() for level in levels]
        places = np.arange(len(levels)) + (i - (len(laws) - 1) / 2) * width
        ax.bar(places, shares, 0.92 * width, color=COLOURS[i % len(COLOURS)], label=name)
    names = next((law.names for law in laws.values() if law.names), None)
    ticks = [str(names[int(level)]) if names else f"{level:g}" for level in levels]
    ax.set_xticks(np.arange(len(levels)), ticks)
    ax.set_ylabel("probability")
    bare(ax)


def _curves(ax: Any, laws: Mapping[str, Law], values: np.ndarray) -> None:
    low, high = np.quantile(values, [0.002, 0.998])
    pad = 0.06 * (high - low) or 1.0
    grid = np.linspace(low - pad, high + pad, 300)
    for i, (name, law) in enumerate(laws.items()):
        look = {"color": COLOURS[i % len(COLOURS)], "label": name, "linewidth": 1.8}
        if np.ptp(law.values) <= 1e-6 * (high - low):
            ax.axvline(law.values[0], linestyle=DASHES[i % len(DASHES)], **look)
            continue
        curve = kernel_density(law.values, grid, law.weights)
        ax.plot(grid, curve, linestyle=DASHES[i % len(DASHES)], **look)
        ax.fill_between(grid, curve, color=look["color"], alpha=0.10, linewidth=0)
    ax.set_ylim(bottom=0)
    ax.set_yticks([])
    bare(ax, "left")


def kernel_density(x: np.ndarray, grid: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    from scipy.stats import gaussian_kde

    return gaussian_kde(x, weights=weights)(grid)
