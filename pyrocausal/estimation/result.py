"""What an estimator gives: a number, how sure it is, and what it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pyrocausal import cards


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """An estimated effect.

    Attributes:
        value: the number.
        std_error: its standard error; of a bootstrap, the standard deviation of the replicas.
        interval: the confidence interval.
        level: the interval's, e.g. 0.95.
        target: what is estimated, in words.
        method: how.
        n: the rows that it rests on.
        diagnostics: what to look at before believing it, by name.
        warnings: what speaks against believing it.
        influence: of each row on the value, `(n,)`; None if the interval is from the bootstrap.
    """

    value: float
    std_error: float
    interval: tuple[float, float]
    level: float
    target: str
    method: str
    n: int
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    influence: np.ndarray | None = None

    def to_pandas(self) -> pd.Series:
        """Value, standard error, ends of the interval and n, with the target as its name."""
        low, high = self.interval
        return pd.Series(
            {"value": self.value, "std_error": self.std_error, "low": low, "high": high, "n": self.n},
            name=self.target,
        )

    def __float__(self) -> float:
        return self.value

    def _lines(self) -> list[tuple[str, str]]:
        interval = f"{100 * self.level:.4g} % interval {_shown(self.interval)}"
        lines = [
            (f"{self.target}:", f"{_shown(self.value)}  ({interval})"),
            ("method:", f"{self.method}; {self.n:,} rows; standard error {_shown(self.std_error)}"),
        ]
        lines += [(f"{name}:", _shown(value)) for name, value in self.diagnostics.items()]
        return lines + [("warning:", warning) for warning in self.warnings]

    def __repr__(self) -> str:
        return "\n".join(" ".join(line) for line in self._lines())

    def _repr_html_(self) -> str:
        (target, value), *rest = self._lines()
        said = cards.rows((name.removesuffix(":"), text) for name, text in rest)
        return cards.card(f"{target} {value}", said)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_shown(part)} at {name!r}" for name, part in value.items())
    if isinstance(value, tuple):
        return " to ".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
    return str(value)
