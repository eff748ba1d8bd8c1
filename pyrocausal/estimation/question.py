"""What about an effect is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pyrocausal.errors import EstimateError

WHOSE = {"ate": None, "att": 0, "atc": 1}


@dataclass(frozen=True)
class Question:
    """What about the effect is asked.

    Args:
        contrast: the two levels of the treatment that are compared.
        effect: "ate" (everybody), "att" (those who have the first level), "atc" (those who have the second).
        trim: rows whose propensity of either level is below it are left out, and out of the question.
    """

    contrast: tuple[Any, Any] = (1, 0)
    effect: str = "ate"
    trim: float = 0.0

    def __post_init__(self) -> None:
        if (
            not isinstance(self.contrast, tuple)
            or len(self.contrast) != 2
            or any(np.ndim(value) for value in self.contrast)
            or self.contrast[0] == self.contrast[1]
        ):
            raise EstimateError(
                f"contrast={self.contrast!r}", fix="pass a pair of two different values, e.g. (1, 0)"
            )
        if not isinstance(self.effect, str) or self.effect not in WHOSE:
            raise EstimateError(f"effect={self.effect!r}", fix='pass "ate", "att" or "atc"')
        if not isinstance(self.trim, int | float) or not 0 <= self.trim < 0.5:
            raise EstimateError(f"trim={self.trim!r}", fix="pass a propensity from 0 to below 0.5")

    @property
    def whose(self) -> int | None:
        """The effect on those with this level of the contrast; None: on everybody."""
        return WHOSE[self.effect]

    def step(self, treatment: pd.Series) -> float:
        """By how much the contrast's values differ: what a slope in the treatment is multiplied by.

        Raises:
            EstimateError: the values are no numbers, or none that a treatment of 0 and 1 has.
        """
        levels = treatment.unique().tolist()
        if set(levels) <= {0, 1} and not set(self.contrast) <= set(levels):
            raise EstimateError(
                f"contrast={self.contrast!r}",
                why=f"'{treatment.name}' is {' or '.join(map(str, sorted(levels)))}",
                fix="compare values that it has",
            )
        try:
            step = float(self.contrast[0]) - float(self.contrast[1])
            if not math.isfinite(step):
                raise ValueError
            return step
        except (TypeError, ValueError):
            raise EstimateError(
                f"contrast={self.contrast!r}",
                why="the effect is a slope, for numbers",
                fix="code the treatment as a number",
            ) from None

    def target(self, treatment: str, outcome: str) -> str:
        a, b = self.contrast
        text = f"average effect of {treatment}={a!r} against {treatment}={b!r} on {outcome}"
        if self.whose is not None:
            text += f" among those with {treatment}={self.contrast[self.whose]!r}"
        return text + (f", where both propensities are at least {self.trim:g}" if self.trim else "")
