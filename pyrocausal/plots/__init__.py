"""Pictures of models and answers. Each function takes `ax=` and returns the Axes.

matplotlib is imported when a picture is drawn. Axes that a function makes have no ground and an ink that can
be read on white and on black; for axes of your own, `plt.style.use(pc.plots.STYLE)` gives them the same.
"""

from pyrocausal.plots.canvas import STYLE
from pyrocausal.plots.checks import (
    calibration,
    checks,
    independences,
    noise,
    overlap,
    refutations,
    sensitivity,
    verdicts,
)
from pyrocausal.plots.effects import answer, cate, dose_response, forest, training
from pyrocausal.plots.graphs import graph
from pyrocausal.plots.laws import densities, rungs
from pyrocausal.plots.units import images, worlds

__all__ = [
    "STYLE",
    "answer",
    "calibration",
    "cate",
    "checks",
    "densities",
    "dose_response",
    "forest",
    "graph",
    "images",
    "independences",
    "noise",
    "overlap",
    "refutations",
    "rungs",
    "sensitivity",
    "training",
    "verdicts",
    "worlds",
]
