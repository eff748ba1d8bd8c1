"""pyrocausal: an SCM is a Pyro program for one unit, and Pearl's three rungs are three short calls on it."""

from pyrocausal import guides, mechanisms, plots
from pyrocausal._version import __version__ as __version__
from pyrocausal.answer import Answer
from pyrocausal.calibration import Calibration, check_abduction
from pyrocausal.effects import (
    atc,
    ate,
    att,
    cate,
    cde,
    dose_response,
    ett,
    ite,
    nde,
    nie,
    pn,
    pns,
    ps,
    total_effect,
)
from pyrocausal.errors import PyrocausalError
from pyrocausal.estimation import Estimate, estimate
from pyrocausal.exogenous import Exogenous, Law, exogenous
from pyrocausal.explorer import Explorer, explore
from pyrocausal.graph import CausalGraph
from pyrocausal.handlers import abduct, do, predict
from pyrocausal.intervene import edge, natural, policy
from pyrocausal.query import identify
from pyrocausal.samples import Counterfactual, Noise, Posterior, Samples
from pyrocausal.scm import SCM
from pyrocausal.twin import twin
from pyrocausal.units import units

__all__ = [
    "Answer",
    "Calibration",
    "CausalGraph",
    "Counterfactual",
    "Estimate",
    "Exogenous",
    "Explorer",
    "Law",
    "Noise",
    "Posterior",
    "PyrocausalError",
    "SCM",
    "Samples",
    "abduct",
    "atc",
    "ate",
    "att",
    "cate",
    "cde",
    "check_abduction",
    "do",
    "dose_response",
    "edge",
    "ett",
    "estimate",
    "exogenous",
    "explore",
    "guides",
    "identify",
    "ite",
    "mechanisms",
    "natural",
    "nde",
    "nie",
    "pn",
    "pns",
    "plots",
    "policy",
    "predict",
    "ps",
    "total_effect",
    "twin",
    "units",
]
