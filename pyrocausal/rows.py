"""Rows of data beside the SCM that they are rows of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from pyrocausal.table import read


@dataclass(frozen=True)
class Rows:
    """The user's rows.

    Attributes:
        data: as they came.
        values: by variable, `(n, *event)`, for what the SCM observes.
    """

    scm: Any
    data: Any
    values: Mapping[str, Tensor]

    @classmethod
    def of(cls, scm: Any, data: Any, where: str = "check") -> Self:
        return cls(scm, data, read(data, scm.variables, where=where, need=scm._needed()).values)

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))
