"""Pictures of what checks found: of a report of `scm.check`, and of `check_abduction`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pyrocausal.plots.canvas import COLOURS, INK, VERDICT, bare, canvas, percent, styled
from pyrocausal.plots.effects import forest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def calibration(check: Any, *, alpha: float = 0.01, ax: Axes | None = None) -> Axes:
    """The distribution function of ranks less that of uniform ones, a line a variable.

    All lines of a right posterior stay in the band with probability 1 - alpha. A wave that first rises and
    then falls below is of draws that are too narrow, its mirror image of draws too wide; an arch above is of
    draws that are too high, one below of draws too low.

    Args:
        check: a `Calibration`, which `check_abduction` gives.
    """
    with canvas(ax) as ax:
        ranks = np.arange(-1, check.num_samples + 1)  # both ends are 0 by construction
        for i, (low, high) in enumerate(check.bands(alpha)):
            label = f"{100 * (1 - alpha):g} % of right posteriors" if i == 0 else None
            edges = np.pad(low, 1), np.pad(high, 1)
            ax.fill_between(ranks, *edges, step="post", color=INK, alpha=0.2, linewidth=0, label=label)
        ax.axhline(0, color=INK, linewidth=0.8)
        for name, difference in check.differences().items():
            ax.step(ranks, np.pad(difference, 1), where="post", linewidth=1.4, label=name)
        ax.set_xlabel(f"rank of the true value among {check.num_samples} draws")
        ax.set_ylabel("share at or below it, less expected")
        ax.yaxis.set_major_formatter(percent)
        ax.set_xlim(-1, check.num_samples)
        ax.margins(y=0.15)
        bare(ax)
        ax.legend(frameon=False)
    return ax


def noise(picture: Any, *, ax: Axes | None = None) -> Axes:
    """The distribution function of each variable's noise less that of the law that the model gives it.

    All lines of a right model stay in the band, but with the chance that the report states.

    Args:
        picture: `report.pictures["noise"]`.
    """
    with canvas(ax) as ax:
        low, high = picture.band()
        grid = np.linspace(0, 1, len(low) + 2)
        edges = np.pad(low, 1), np.pad(high, 1)
        ax.fill_between(grid, *edges, color=INK, alpha=0.25, linewidth=0, label="right models")
        ax.axhline(0, color=INK, linewidth=0.8)
        for name, line in picture.differences().items():
            outside = bool(((line < low) | (line > high)).any())
            style: dict[str, Any] = {"linewidth": 1.6, "label": name} if outside else {"color": INK}
            ax.plot(grid, np.pad(line, 1), **{"linewidth": 0.8, **style})
        ax.set_xlabel("noise, as a share of its law")
        ax.set_ylabel("share of rows below,\nless expected")
        ax.yaxis.set_major_formatter(percent)
        ax.set_xlim(0, 1)
        ax.margins(y=0.15)
        ax.legend(frameon=False, fontsize="small")
        ax.set_title("Does noise have its law?", loc="left", fontsize="medium")
        bare(ax)
    return ax


def independences(findings: Sequence[Any], *, most: int = 12, ax: Axes | None = None) -> Axes:
    """What the graph says is zero: the partial correlations that speak most against it, worst on top.

    Args:
        findings: `report.pictures["independences"]`.
        most: how many are shown.
    """
    shown = sorted(findings, key=lambda f: f.number, reverse=True)[:most]
    with canvas(ax, height=0.8 + 0.3 * len(shown)) as ax:
        places = np.arange(len(shown))[::-1]
        ax.barh(places, [f.number for f in shown], color=[VERDICT[f.verdict] for f in shown], height=0.55)
        for place, f in zip(places, shown):
            ax.text(f.number, place, "  " + f.about.replace("⫫", "⊥"), va="center", fontsize="small")
        ax.set_yticks([])
        ax.set_ylim(min(-0.7, len(shown) - 4.3), len(shown) - 0.3)  # few bars are no wider than many
        ax.set_xlim(0, max(0.2, 2.2 * max(f.number for f in shown)))
        ax.set_xlabel("partial correlation in the rows")
        ax.locator_params(axis="x", nbins=5)
        ax.set_title("Independences of the graph", loc="left", fontsize="medium")
        bare(ax)
    return ax


def overlap(pictures: Sequence[Any], *, ax: Axes | None = None) -> Axes:
    """How likely each row was to take what is asked, one histogram an action.

    Args:
        pictures: `report.pictures["overlap"]`.
    """
    with canvas(ax) as ax:
        chances = [np.clip(p.chance, 0, None) for p in pictures]
        top = max(1.0, float(np.quantile(np.concatenate(chances), 0.995)))
        bins = np.linspace(0, top, 41).tolist()
        for i, (p, chance) in enumerate(zip(pictures, chances)):
            label = f"{p.action}: worth {p.effective:,.0f} of {len(chance):,} rows"
            ax.hist(chance.clip(max=top), bins, color=COLOURS[i % len(COLOURS)], alpha=0.35, linewidth=0)
            ax.hist(
                chance.clip(max=top),
                bins,
                color=COLOURS[i % len(COLOURS)],
                histtype="step",
                linewidth=1.4,
                label=label,
            )
        ax.axvspan(0, 0.05, color=VERDICT["fail"], alpha=0.15, linewidth=0)
        beside = "chance of the action, given the row's causes"
        ax.set_xlabel(
            beside if top <= 1 else "density at the action, given the row's causes, beside that of all"
        )
        ax.set_ylabel("rows")
        ax.set_xlim(0, top)
        ax.set_ylim(0, ax.get_ylim()[1] * 1.25)
        ax.legend(frameon=False, fontsize="small", loc="upper right")
        ax.set_title("Overlap", loc="left", fontsize="medium")
        bare(ax)
    return ax


def refutations(refitted: Mapping[str, Any], *, ax: Axes | None = None) -> Axes:
    """The effect, and what refits to altered rows find, with 95 % intervals; a bar marks what is expected.

    Args:
        refitted: `report.pictures["refutations"]`.
    """
    low, high = zip(*(r.interval() for r in refitted.values()))
    means = [r.mean for r in refitted.values()]
    table = pd.DataFrame({"effect": means, "low": low, "high": high}, index=list(refitted))
    ax = forest(table, ax=ax)
    for place, r in zip(np.arange(len(table))[::-1], refitted.values()):
        if not np.isnan(r.expected):
            ax.plot([r.expected] * 2, [place - 0.3, place + 0.3], color=COLOURS[1], linewidth=2)
    ax.set_xlabel("effect by refits (95 %); expected")
    ax.set_title("Refutations", loc="left", fontsize="medium")
    return ax


def sensitivity(picture: Any, *, ax: Axes | None = None) -> Axes:
    """What the linear effect would be, had a hidden cause of each strength been observed.

    The contours are of Cinelli and Hazlett 2020; the marks, hidden causes once, twice and three times as
    strong as the observed one that matters most; behind the heavy line the effect changes its sign.

    Args:
        picture: `report.pictures["sensitivity"]`.
    """
    with canvas(ax, height=4.0) as ax:
        regression = picture.regression
        marks = regression.benchmarks()
        reach = [max([0.12, *(1.3 * getattr(m, side) for m in marks)]) for side in ("treatment", "outcome")]
        x, y = (np.linspace(1e-9, min(r, 0.98), 120) for r in reach)
        left = regression.estimate - np.sign(regression.estimate) * regression.bias_at(x[None, :], y[:, None])
        lines = ax.contour(
            x,
            y,
            left,
            levels=np.sort(np.linspace(-2, 5, 8) / 5 * regression.estimate),
            colors=INK,
            linewidths=0.8,
        )
        ax.clabel(lines, fmt="%.3g", fontsize=7)
        if left.min() < 0 < left.max():
            ax.contour(x, y, left, levels=[0.0], colors=[VERDICT["fail"]], linewidths=2)
        for k, m in enumerate(marks, start=1):
            ax.plot(m.treatment, m.outcome, "D", color=COLOURS[0], markersize=5)
            label = f"{k} × {regression.strongest}: {regression.adjusted(m):.3g}"
            ax.annotate(label, (m.treatment, m.outcome), (6, 4), textcoords="offset points", fontsize="small")
        ax.plot(0, 0, "o", color=COLOURS[0], clip_on=False)
        ax.annotate(
            f"as observed: {regression.estimate:.3g}",
            (0, 0),
            (8, 6),
            textcoords="offset points",
            fontsize="small",
        )
        ax.set_xlabel("what a hidden cause explains of the treatment's rest")
        ax.set_ylabel("… of the outcome's rest")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(lambda share, _: f"{share:.0%}")
        ax.set_title("Sensitivity to a hidden cause", loc="left", fontsize="medium")
        bare(ax)
    return ax


def verdicts(summary: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """The verdict of each check, in its colour.

    Args:
        summary: `report.summary()`.
    """
    with canvas(ax) as ax:
        for place, row in enumerate(summary.itertuples()):
            y = 1 - (place + 0.5) / len(summary)
            ax.text(0.0, y, str(row.check), transform=ax.transAxes, va="center")
            colour = VERDICT.get(str(row.verdict), INK)
            ax.text(
                0.5, y, str(row.verdict), transform=ax.transAxes, va="center", color=colour, weight="bold"
            )
        ax.set_title("Verdicts", loc="left", fontsize="medium")
        ax.set_axis_off()
    return ax


_OF_CHECKS: dict[str, Callable[..., Axes]] = {
    "noise": noise,
    "independences": independences,
    "overlap": overlap,
    "refutations": refutations,
    "sensitivity": sensitivity,
}


def checks(report: Any, *, figure: Figure | None = None) -> Figure:
    """The verdicts and all pictures of a report of `scm.check`, as one figure."""
    import matplotlib.pyplot as plt

    shown = [name for name in _OF_CHECKS if name in report.pictures]
    rows = -(-(len(shown) + 1) // 2)
    with styled():
        figure = figure or plt.figure(figsize=(10.4, 3.4 * rows), layout="constrained")
        verdicts(report.summary(), ax=figure.add_subplot(rows, 2, 1))
        for i, name in enumerate(shown, start=2):
            _OF_CHECKS[name](report.pictures[name], ax=figure.add_subplot(rows, 2, i))
    return figure
