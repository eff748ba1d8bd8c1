"""Identification: from a causal graph and a question to a formula over what is known, or why none is.

It knows nothing of torch and Pyro.
"""

from pyrocausal.identify.adjustment import (
    adjustment_formula,
    adjustment_set,
    adjustment_sets,
    is_adjustment_set,
    is_backdoor_set,
    why_no_adjustment,
)
from pyrocausal.identify.calculus import derive
from pyrocausal.identify.counterexample import counterexample
from pyrocausal.identify.discrete import DiscreteSCM
from pyrocausal.identify.estimand import Estimand, Step, Witness
from pyrocausal.identify.expression import Constant, Expression, P, Product, Ratio, Regime, Sum, Symbol
from pyrocausal.identify.frontdoor import (
    front_door_formula,
    front_door_set,
    front_door_sets,
    is_front_door_set,
)
from pyrocausal.identify.identify import identify
from pyrocausal.identify.implications import Independence, independences
from pyrocausal.identify.instruments import Instrument, instruments
from pyrocausal.identify.outcome import Outcome, Query
from pyrocausal.identify.surrogates import experiments
from pyrocausal.identify.transport import transport
from pyrocausal.identify.verma import VermaConstraint, verma_constraints

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
