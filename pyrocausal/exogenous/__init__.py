"""Noise is derived, never hand-written: from a distribution to its noise and structural mechanism."""

from . import continuous, counts, discrete, mixtures, numeric, vectors, wrappers
from .law import Law
from .registry import Exogenous, exogenous

__all__ = ["Exogenous", "Law", "exogenous"]
