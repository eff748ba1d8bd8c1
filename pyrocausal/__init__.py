"""pyrocausal: an SCM is a Pyro program for one unit, and Pearl's three rungs are three short calls on it."""

from pyrocausal import guides, mechanisms
from pyrocausal._version import __version__ as __version__
from pyrocausal.calibration import Calibration, check_abduction
from pyrocausal.errors import PyrocausalError
from pyrocausal.estimate import Estimate, estimate
from pyrocausal.exogenous import Exogenous, Law, exogenous
from pyrocausal.graph import CausalGraph
from pyrocausal.handlers import abduct, do, predict
from pyrocausal.intervene import edge, natural, policy
from pyrocausal.samples import Counterfactual, Noise, Posterior, Samples
from pyrocausal.scm import SCM
from pyrocausal.twin import twin
from pyrocausal.units import units

__all__ = [
    "SCM",
    "Calibration",
    "CausalGraph",
    "Counterfactual",
    "Estimate",
    "Exogenous",
    "Law",
    "Noise",
    "Posterior",
    "PyrocausalError",
    "Samples",
    "abduct",
    "check_abduction",
    "do",
    "edge",
    "estimate",
    "exogenous",
    "guides",
    "mechanisms",
    "natural",
    "policy",
    "predict",
    "twin",
    "units",
]
