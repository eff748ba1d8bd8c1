"""Identification: from a causal graph and a question to a formula over what is known, or why none is.

It knows nothing of torch and Pyro.
"""

from pyrocausal.identification.adjustment import (
    adjustment_formula,
    adjustment_set,
    adjustment_sets,
    is_adjustment_set,
    is_backdoor_set,
    why_no_adjustment,
)
from pyrocausal.identification.calculus import derive
from pyrocausal.identification.counterexample import counterexample
from pyrocausal.identification.discrete import DiscreteSCM
from pyrocausal.identification.estimand import Estimand, Step, Witness
from pyrocausal.identification.expression import Constant, Expression, P, Product, Ratio, Regime, Sum, Symbol
from pyrocausal.identification.frontdoor import (
    front_door_formula,
    front_door_set,
    front_door_sets,
    is_front_door_set,
)
from pyrocausal.identification.identify import identify
from pyrocausal.identification.implications import Independence, independences
from pyrocausal.identification.instruments import Instrument, instruments
from pyrocausal.identification.outcome import Outcome, Query
from pyrocausal.identification.surrogates import experiments
from pyrocausal.identification.transport import transport
from pyrocausal.identification.verma import VermaConstraint, verma_constraints

__all__ = [
    "Constant",
    "DiscreteSCM",
    "Estimand",
    "Expression",
    "Independence",
    "Instrument",
    "Outcome",
    "P",
    "Product",
    "Query",
    "Ratio",
    "Regime",
    "Step",
    "Sum",
    "Symbol",
    "VermaConstraint",
    "Witness",
    "adjustment_formula",
    "adjustment_set",
    "adjustment_sets",
    "counterexample",
    "derive",
    "experiments",
    "front_door_formula",
    "front_door_set",
    "front_door_sets",
    "identify",
    "independences",
    "instruments",
    "is_adjustment_set",
    "is_backdoor_set",
    "is_front_door_set",
    "transport",
    "verma_constraints",
    "why_no_adjustment",
]
