"""pyrocausal: an SCM is a Pyro program for one unit, and Pearl's three rungs are three short calls on it."""

from pyrocausal import mechanisms
from pyrocausal._version import __version__ as __version__
from pyrocausal.errors import PyrocausalError
from pyrocausal.exogenous import Exogenous, Law, exogenous
from pyrocausal.graph import CausalGraph
from pyrocausal.handlers import abduct, do, predict
from pyrocausal.intervene import natural, policy
from pyrocausal.samples import Counterfactual, Noise, Samples
from pyrocausal.scm import SCM

__all__ = [
    "SCM",
    "CausalGraph",
    "Counterfactual",
    "Exogenous",
    "Law",
    "Noise",
    "PyrocausalError",
    "Samples",
    "abduct",
    "do",
    "exogenous",
    "mechanisms",
    "natural",
    "policy",
    "predict",
]
