"""Noise is derived, never hand-written: from a distribution to its noise and structural mechanism.

`law` names the standard laws; `registry` is the open table; the other modules fill it: `continuous` and
`vectors` (closed forms), `numeric` (through `cdf` and `solve`), `discrete` and `counts`, `mixtures`,
`wrappers`.
"""

from . import continuous, counts, discrete, mixtures, numeric, vectors, wrappers  # noqa: F401 (fill the table)
from .law import Law
from .registry import Exogenous, exogenous

__all__ = ["Exogenous", "Law", "exogenous"]
