"""Mechanisms: the conditional distribution of a variable given its parents, in natural units.

>>> from pyrocausal import mechanisms as m
>>> gain = m.Spline()                       # in a program: pyro.sample("gain", gain(age, quit))

============================ ======================================================
a number                     `Continuous` (the default), `Linear`, `Normal`, `Spline`
0 or 1, or one of K levels   `Bernoulli`, `Categorical`
a count                      `Poisson`, `NegativeBinomial`
a vector                     `Linear(dim=...)`, `Autoregressive`, `Coupling`
============================ ======================================================
"""

from .base import Mechanism
from .continuous import Continuous
from .flow import Autoregressive, Coupling, Spline
from .heads import Bernoulli, Categorical, NegativeBinomial, Normal, Poisson
from .linear import Linear

__all__ = [
    "Autoregressive",
    "Bernoulli",
    "Categorical",
    "Continuous",
    "Coupling",
    "Linear",
    "Mechanism",
    "NegativeBinomial",
    "Normal",
    "Poisson",
    "Spline",
]
