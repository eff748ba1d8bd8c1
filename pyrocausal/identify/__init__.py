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
from pyrocausal.identify.expression import Constant, Expression, P, Product, Ratio, Regime, Sum, Symbol
from pyrocausal.identify.frontdoor import (
    front_door_formula,
    front_door_set,
    front_door_sets,
    is_front_door_set,
)
from pyrocausal.identify.implications import Independence, independences
from pyrocausal.identify.instruments import Instrument, instruments
from pyrocausal.identify.verma import VermaConstraint, verma_constraints

__all__ = [
    "Constant",
    "Expression",
    "Independence",
    "Instrument",
    "P",
    "Product",
    "Ratio",
    "Regime",
    "Sum",
    "Symbol",
    "VermaConstraint",
    "adjustment_formula",
    "adjustment_set",
    "adjustment_sets",
    "front_door_formula",
    "front_door_set",
    "front_door_sets",
    "independences",
    "instruments",
    "is_adjustment_set",
    "is_backdoor_set",
    "is_front_door_set",
    "verma_constraints",
    "why_no_adjustment",
]
