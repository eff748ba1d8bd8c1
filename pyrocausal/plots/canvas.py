"""What all pictures share: axes, ink that can be read on white and on black, colours, legends, numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from pyrocausal.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#777777"  # 4.5 to 1 on white, 4.2 to 1 on the dark grounds of notebooks
SEEING, DOING, IMAGINING = "#2f86d1", "#e07b28", "#159a80"  # the three rungs; the graph's colours too
COLOURS = (SEEING, DOING, IMAGINING, "#c9459a", "#7a6ad8", "#a8891c")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (6, 2, 1.5, 2)),
    (0, (1.5, 1.5)),
    (0, (9, 2)),
    (0, (3, 1, 1, 1)),
)
#: Legible on white and on black.
VERDICT = {"pass": "#2e9b62", "warn": "#d98200", "fail": "#d33f3f"}

#: matplotlib settings without a ground, whose ink can be read on white and on black. Axes that a function
#: makes have it; for axes of your own, `plt.style.use(pc.plots.STYLE)`.
STYLE: Any = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"),
        INK,
    ),
}


def styled() -> Any:
    """Within, new axes have `STYLE`, unless the reader has chosen one of matplotlib's."""
    import matplotlib

    default = matplotlib.rcParamsDefault["text.color"]
    return matplotlib.rc_context(STYLE) if matplotlib.rcParams["text.color"] == default else nullcontext()


@contextmanager
def canvas(ax: Axes | None, *, width: float = 7.0, height: float = 3.2) -> Iterator[Any]:
    """The axes that were given, as they are; else new ones."""
    if ax is not None:
        yield ax
        return
    import matplotlib
    import matplotlib.pyplot as plt

    with styled():
        made = plt.subplots(figsize=(width, height), layout="constrained")[1]
        ink = matplotlib.rcParams["xtick.color"]
        made.tick_params(colors=ink)  # ticks are made later, out of this context
        yield made


def legend(ax: Axes, **options: Any) -> None:
    """A legend above the axes, where it covers nothing; in one column if its words are many."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    long = sum(map(len, labels)) + 6 * len(labels) > 78
    where = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2, "frameon": False}
    ax.legend(handles, labels, ncols=1 if long else len(labels), **{**where, **options})


def bare(ax: Axes, *sides: str) -> None:
    """Without the frame's sides that say nothing."""
    ax.spines[["top", "right", *sides]].set_visible(False)


def numbers(values: Any, what: str) -> np.ndarray:
    """One number a unit."""
    given = values.detach().cpu() if isinstance(values, Tensor) else values
    try:
        array = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{what}: these are no numbers", fix="pass a column of numbers") from None
    if array.ndim != 1 or not len(array):
        raise DataError(
            f"{what}: a number a unit is due, and this has shape {array.shape}",
            fix="pass one column, or one part of a vector",
        )
    return array


def percent(share: float, _: Any) -> str:
    return f"{100 * share:+.3g} %".replace("-", "−") if share else "0"


def shown(action: Any) -> str:
    """An action as it is written, if it is short."""
    if isinstance(action, str):
        return action
    if getattr(action, "shape", None) == ():
        action = action.item()
    return f"{action:.4g}" if isinstance(action, (int, float)) else "…"
