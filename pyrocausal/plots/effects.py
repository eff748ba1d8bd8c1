"""Effects: with their intervals, by dose, by covariate; an answer; and training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pyrocausal.errors import DataError
from pyrocausal.plots.canvas import COLOURS, DASHES, INK, bare, canvas, legend, numbers
from pyrocausal.plots.laws import densities, kernel_density

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def forest(
    effects: pd.DataFrame | Mapping[str, Any] | Sequence[Any],
    *,
    references: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Effects with their intervals, a row each. A hollow point has no interval.

    Args:
        effects: `Answer`s and `Estimate`s, in a list or by name; or a table: index: what the effect is of;
            columns `effect`, `low` and `high`.
        references: values to mark with a vertical line, by label.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"effect": [3.4], "low": [2.5], "high": [4.3]}, index=["all"])
    >>> bool(forest(table).get_xlim()[1] > 3.4)
    True
    """
    table = effects if isinstance(effects, pd.DataFrame) else _table(effects)
    with canvas(ax, height=0.8 + 0.34 * len(table)) as ax:
        rows = np.arange(len(table))[::-1]
        known = table[["low", "high"]].notna().all(axis=1).to_numpy()
        reach = np.stack([table["effect"] - table["low"], table["high"] - table["effect"]])[:, known]
        at = table["effect"].to_numpy(dtype=float)
        ax.errorbar(at[known], rows[known], xerr=reach, fmt="o", color=COLOURS[0], capsize=3)
        ax.plot(at[~known], rows[~known], "o", color=COLOURS[0], markerfacecolor="none")
        for i, (label, value) in enumerate((references or {}).items(), start=1):
            look = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
            ax.axvline(value, linewidth=1.2, label=f"{label} ({value:.2f})", **look)
        ax.set_yticks(rows, [str(label) for label in table.index])
        ax.set_ylim(-0.7, len(table) - 0.3)
        ax.axvline(0, color=INK, linewidth=0.8, alpha=0.6)
        legend(ax)
        bare(ax, "left")
    return ax


def _table(effects: Mapping[str, Any] | Sequence[Any]) -> pd.DataFrame:
    named = effects if isinstance(effects, Mapping) else {_name(e): e for e in effects}
    if not named:
        raise DataError("forest: there are no effects", fix="pass a list of answers, or {name: answer}")
    rows = []
    for name, effect in named.items():
        try:
            value = float(effect)
        except (TypeError, ValueError):
            raise DataError(
                f"forest: {name!r} is no number but {type(effect).__name__}", fix="pass Answers and Estimates"
            ) from None
        low, high = getattr(effect, "interval", None) or (np.nan, np.nan)
        rows.append({"effect": value, "low": low, "high": high})
    return pd.DataFrame(rows, index=list(named))


def _name(effect: Any) -> str:
    """What an `Answer` or an `Estimate` is of."""
    return str(getattr(effect, "question", getattr(effect, "target", effect)))


def answer(found: Any, *, ax: Axes | None = None) -> Axes:
    """An `Answer`: a distribution as it is; a number with its draws and its interval.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> scm = pc.SCM(lambda: pyro.sample("x", dist.Bernoulli(0.3)))
    >>> [round(float(bar.get_height()), 2) for bar in pc.plots.answer(scm.ask("P(x)")).patches]
    [0.7, 0.3]
    """
    if isinstance(found.value, pd.Series):
        return _probabilities(found, ax)
    if isinstance(found.value, pd.DataFrame):
        return _drawn(found, ax)
    if found.draws is None:
        return forest([found], ax=ax)
    draws = found.draws.detach().cpu().double().numpy()
    with canvas(ax, height=2.6) as ax:
        pad = 0.15 * np.ptp(draws) or 1.0
        grid = np.linspace(draws.min() - pad, draws.max() + pad, 300)
        curve = kernel_density(draws, grid) if np.ptp(draws) > 0 else np.zeros(300)
        inside = (grid >= found.interval[0]) & (grid <= found.interval[1])
        ax.plot(grid, curve, color=COLOURS[0])
        ax.fill_between(
            grid, curve, where=inside, color=COLOURS[0], alpha=0.25, linewidth=0, label="95 % interval"
        )
        ax.axvline(found.value, color=COLOURS[1], label=f"{found.value:.4g}")
        ax.plot(draws, np.zeros(len(draws)), "|", color=INK, markersize=7, alpha=0.6)
        ax.set_xlabel(f"{found.question}\n{len(draws)} draws: {found.interval_of}")
        ax.set_yticks([])
        ax.set_ylim(bottom=0)
        legend(ax)
        bare(ax, "left")
    return ax


def _probabilities(found: Any, ax: Axes | None) -> Axes:
    with canvas(ax) as ax:
        table = found.value
        ax.bar(np.arange(len(table)), table.to_numpy(), color=COLOURS[0], width=0.7)
        ax.set_xticks(np.arange(len(table)), [str(level) for level in table.index])
        ax.set_ylabel("probability")
        ax.set_xlabel(found.question)
        bare(ax)
    return ax


def _drawn(found: Any, ax: Axes | None) -> Axes:
    (name, *others) = [str(column) for column in found.value.columns]
    if not others:
        return densities({found.question: found.value}, name, ax=ax)
    with canvas(ax, height=4.0) as ax:
        ax.plot(found.value[name], found.value[others[0]], ".", color=COLOURS[0], alpha=0.3, markersize=4)
        ax.set_xlabel(name)
        ax.set_ylabel(others[0])
        bare(ax)
    return ax


def dose_response(
    curves: Any, *, rows: Any = None, references: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
    """The mean outcome under every dose, with a band of 95 % for its Monte Carlo error.

    The band says how well the model's mean is computed. It does not say how well the model is known.

    Args:
        curves: what `pc.dose_response` gives; or several of them by name.
        rows: data or samples, whose doses are marked below: far from these, the curve is extrapolation.
        references: doses to mark with a vertical line, by label.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(x**2, 0.1))
    >>> curve = pc.dose_response(pc.SCM(program), "x", "y", [-1.0, 0.0, 1.0], num_samples=100, seed=0)
    >>> pc.plots.dose_response(curve).get_ylabel()
    'E[y | do(x)]'
    """
    named = curves if isinstance(curves, Mapping) else {"": curves}
    first = next(iter(named.values()))
    with canvas(ax) as ax:
        for i, (name, found) in enumerate(named.items()):
            table = found.curve.sort_index()
            doses, mean = table.index.to_numpy(dtype=float), table["mean"].to_numpy()
            colour, error = COLOURS[(1 + i) % len(COLOURS)], 1.96 * table["error"].to_numpy()
            ax.plot(doses, mean, color=colour, linestyle=DASHES[i % len(DASHES)], label=name or None)
            ax.fill_between(doses, mean - error, mean + error, color=colour, alpha=0.25, linewidth=0)
        for label, dose in (references or {}).items():
            ax.axvline(dose, color=INK, linestyle=":", label=f"{label} ({dose:g})")
        if rows is not None:
            _rug(ax, numbers(rows[first.treatment], f"dose_response: '{first.treatment}'"))
        ax.set_xlabel(first.treatment)
        ax.set_ylabel(f"E[{first.outcome} | do({first.treatment})]")
        legend(ax)
        bare(ax)
    return ax


def _rug(ax: Any, doses: np.ndarray) -> None:
    """Where the rows are, as a strip of ticks below the curve."""
    low, high = ax.get_xlim()
    inside = doses[(doses >= low) & (doses <= high)]
    shown = (
        inside[np.linspace(0, len(inside) - 1, min(400, len(inside))).astype(int)] if len(inside) else inside
    )
    ax.plot(
        shown,
        np.full(len(shown), 0.02),
        "|",
        color=INK,
        alpha=0.4,
        markersize=8,
        transform=ax.get_xaxis_transform(),
    )
    ax.set_xlim(low, high)


def cate(
    effects: Any, by: Any, *, bins: int = 8, smooth: bool = False, label: str = "", ax: Axes | None = None
) -> Axes:
    """Unit effects by a covariate: all of them, and their mean with a 95 % interval.

    The interval is of a mean of these units' effects, which it takes as the model gives them. For one that
    covers the model too, ask `pc.cate` with `replicas=`, and draw the answers with `forest`.

    Args:
        effects: what `pc.ite` gives, or one effect a unit.
        by: the covariate, one value a unit; of a few levels, each has a mean of its own.
        bins: into how many parts of equal size numbers are cut.
        smooth: a local linear fit instead of bins.
        label: the covariate's; default its name.

    >>> import pandas as pd
    >>> age = pd.Series([30.0, 31.0, 32.0, 60.0, 61.0, 62.0, 63.0], name="age")
    >>> ax = cate([1.0, 1.1, 1.2, 3.0, 3.1, 3.2, 3.1], age, bins=2)
    >>> [round(float(mean), 1) for mean in ax.containers[0].lines[0].get_ydata()]
    [1.1, 3.1]
    """
    each = effects["effect"] if isinstance(effects, pd.DataFrame) else effects
    y = numbers(each, "cate: effects")
    column = by if isinstance(by, pd.Series) else pd.Series(np.asarray(by))
    if len(column) != len(y):
        raise DataError(
            f"cate: {len(y)} effects and {len(column)} values of the covariate",
            fix="pass both for the same units",
        )
    with canvas(ax) as ax:
        if column.dtype.kind not in "fiu" or column.nunique() <= 6:
            _by_level(ax, y, column)
        elif smooth:
            _smooth(ax, y, column.to_numpy(dtype=float))
        else:
            _binned(ax, y, column.to_numpy(dtype=float), bins)
        ax.axhline(0, color=INK, linewidth=0.8, alpha=0.6)
        ax.set_xlabel(label or (str(column.name) if column.name is not None else ""))
        ax.set_ylabel("effect")
        legend(ax)
        bare(ax)
    return ax


def _means(ax: Any, places: Sequence[float], parts: Sequence[np.ndarray]) -> None:
    means = [part.mean() for part in parts]
    reach = [1.96 * part.std(ddof=1) / len(part) ** 0.5 if len(part) > 1 else 0.0 for part in parts]
    ax.errorbar(
        places, means, yerr=reach, fmt="o", color=COLOURS[1], capsize=3, label="mean (95 %)", zorder=3
    )


def _units(ax: Any, x: np.ndarray, y: np.ndarray) -> None:
    ax.plot(x, y, ".", color=COLOURS[0], alpha=min(0.6, 0.15 + 60 / len(y)), markersize=4, label="a unit")


def _by_level(ax: Any, y: np.ndarray, column: pd.Series) -> None:
    codes, levels = pd.factorize(column, sort=True)
    jitter = np.random.default_rng(0).uniform(-0.14, 0.14, len(y))
    _units(ax, codes + jitter, y)
    present = [code for code in range(len(levels)) if (codes == code).any()]
    _means(ax, present, [y[codes == code] for code in present])
    ax.set_xticks(range(len(levels)), [str(level) for level in levels])
    ax.set_xlim(-0.5, len(levels) - 0.5)


def _binned(ax: Any, y: np.ndarray, x: np.ndarray, bins: int) -> None:
    _units(ax, x, y)
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)))
    part = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    present = [i for i in range(len(edges) - 1) if (part == i).any()]
    _means(ax, [x[part == i].mean() for i in present], [y[part == i] for i in present])


def _smooth(ax: Any, y: np.ndarray, x: np.ndarray) -> None:
    _units(ax, x, y)
    low, high = np.quantile(x, [0.01, 0.99])
    grid = np.linspace(low, high, 120)
    line, error = local_linear(x, y, grid)
    ax.plot(grid, line, color=COLOURS[1], label="mean (95 %)", zorder=3)
    ax.fill_between(grid, line - 1.96 * error, line + 1.96 * error, color=COLOURS[1], alpha=0.25, linewidth=0)


def local_linear(x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A local linear fit and its standard error (J. Fan and I. Gijbels 1996, chapter 3).

    The bandwidth is the normal rule for densities, which suits a mean roughly; the error is that of a linear
    smoother with the residuals' own squares.

    >>> x = np.linspace(0, 1, 50)
    >>> bool(np.allclose(local_linear(x, 3 * x, np.array([0.2, 0.8]))[0], [0.6, 2.4]))
    True
    """
    width = 1.06 * x.std() * len(x) ** -0.2
    weights = _smoother(x, grid, width)
    residual = y - _smoother(x, x, width) @ y
    return weights @ y, np.sqrt(weights**2 @ residual**2)


def _smoother(x: np.ndarray, grid: np.ndarray, width: float) -> np.ndarray:
    """`(grid, units)`: how much each unit counts at each place."""
    away = x[None, :] - grid[:, None]
    kernel = np.exp(-0.5 * (away / width) ** 2)
    zeroth, first, second = (np.sum(kernel * away**k, axis=1, keepdims=True) for k in range(3))
    return kernel * (second - first * away) / (zeroth * second - first**2)


def training(history: Any, *, ax: Axes | None = None) -> Axes:
    """The training curves: how far each variable's held-out loss was above its best, and where that was.

    Args:
        history: `scm.history`, after `fit`.

    >>> import pandas as pd, pyrocausal.fit
    >>> curves = pd.DataFrame({"x": [2.0, 1.5, 1.4, 1.6]}, index=[0, 10, 20, 30])
    >>> training(pyrocausal.fit.History(curves, {"x": 20})).get_xlabel()
    'step'
    """
    if history is None or history.curves.empty:
        raise DataError("training: there are no curves", fix="fit the SCM first, with validation rows")
    curves = history.curves
    with canvas(ax) as ax:
        for i, name in enumerate(curves.columns):
            above = curves[name] - curves[name].min()
            look = {
                "color": COLOURS[i % len(COLOURS)],
                "linestyle": DASHES[(i // len(COLOURS)) % len(DASHES)],
            }
            ax.plot(curves.index, above, label=f"{name} ({curves[name].min():.3g})", linewidth=1.5, **look)
            if history.best.get(name) in curves.index:
                at = history.best[name]
                ax.plot(at, above[at], "o", color=look["color"], markersize=5, clip_on=False, zorder=3)
        if (curves - curves.min()).max().max() > 0.1:
            ax.set_yscale("symlog", linthresh=0.01)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("step")
        ax.set_ylabel("held-out loss above\nits best (nats a unit)")
        legend(ax)
        bare(ax)
    return ax
