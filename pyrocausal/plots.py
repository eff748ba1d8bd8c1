"""Pictures of answers. Each function takes `ax=` and returns the Axes; matplotlib is imported when needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyrocausal.graph import draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

graph = draw.axes


def forest(
    table: pd.DataFrame, *, references: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
    """Effects with their intervals, a row each.

    Args:
        table: index: what the effect is of; columns `effect`, `low` and `high`.
        references: values to mark with a vertical line, by label.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"effect": [3.4], "low": [2.5], "high": [4.3]}, index=["all"])
    >>> bool(forest(table).get_xlim()[1] > 3.4)
    True
    """
    ax = _axes(ax, height=0.6 + 0.34 * len(table))
    rows = np.arange(len(table))[::-1]
    reach = [table["effect"] - table["low"], table["high"] - table["effect"]]
    ax.errorbar(table["effect"], rows, xerr=reach, fmt="o", color="C0", capsize=3)
    for i, (label, value) in enumerate((references or {}).items(), start=1):
        ax.axvline(value, color=f"C{i}", linestyle="--", linewidth=1, label=f"{label} ({value:.2f})")
    ax.set_yticks(rows, [str(label) for label in table.index])
    ax.set_ylim(-0.7, len(table) - 0.3)
    ax.axvline(0, color="0.7", linewidth=0.8)
    if references:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(references), frameon=False)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def densities(samples: Mapping[str, Tensor], *, label: str = "", ax: Axes | None = None) -> Axes:
    """Densities of one variable under several laws (observed, do(…), …), by name."""
    ax = _axes(ax)
    every = torch.cat([x.flatten() for x in samples.values()]).double()
    ends = torch.quantile(every, torch.tensor([0.002, 0.998], dtype=torch.double)).tolist()
    grid = np.linspace(ends[0], ends[1], 300)
    for name, x in samples.items():
        ax.plot(grid, _kernel_density(x.flatten().double().numpy(), grid), label=name)
    ax.set_xlabel(label)
    ax.set_yticks([])
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def calibration(check: Any, *, alpha: float = 0.01, ax: Axes | None = None) -> Axes:
    """The distribution function of ranks less that of uniform ones, a line a variable.

    All lines of a right posterior stay in the band with probability 1 - alpha. A wave that first rises and
    then falls below is of draws that are too narrow, its mirror image of draws too wide; an arch above is of
    draws that are too high, one below of draws too low.

    Args:
        check: a `Calibration`, which `check_abduction` gives.
    """
    ax = _axes(ax)
    ranks = np.arange(-1, check.num_samples + 1)  # both ends are 0 by construction
    for i, (low, high) in enumerate(check.bands(alpha)):
        label = f"{100 * (1 - alpha):g} % of right posteriors" if i == 0 else None
        edges = np.pad(low, 1), np.pad(high, 1)
        ax.fill_between(ranks, *edges, step="post", color="0.5", alpha=0.2, linewidth=0, label=label)
    ax.axhline(0, color="0.7", linewidth=0.8)
    for name, difference in check.differences().items():
        ax.step(ranks, np.pad(difference, 1), where="post", linewidth=1.4, label=name)
    ax.set_xlabel(f"rank of the true value among {check.num_samples} draws")
    ax.set_ylabel("share at or below it, less expected")
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:+.3g} %".replace("-", "−") if share else "0")
    ax.set_xlim(-1, check.num_samples)
    ax.margins(y=0.15)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def _kernel_density(x: np.ndarray, grid: np.ndarray) -> np.ndarray:
    from scipy.stats import gaussian_kde

    return gaussian_kde(x)(grid)


def _axes(ax: Axes | None, height: float = 3.2) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7, height), layout="constrained")[1]
