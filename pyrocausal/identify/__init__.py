"""Identification: from a causal graph and a question to a formula over what is known, or why none is.

It knows nothing of torch and Pyro.
"""

from pyrocausal.identify.calculus import derive
from pyrocausal.identify.estimand import Estimand, Step, Witness
from pyrocausal.identify.expression import Constant, Expression, P, Product, Ratio, Regime, Sum, Symbol
from pyrocausal.identify.identify import identify
from pyrocausal.identify.outcome import Outcome, Query
from pyrocausal.identify.surrogates import experiments
from pyrocausal.identify.transport import transport

__all__ = [
    "Constant",
    "Estimand",
    "Expression",
    "Outcome",
    "P",
    "Product",
    "Query",
    "Ratio",
    "Regime",
    "Step",
    "Sum",
    "Symbol",
    "Witness",
    "derive",
    "experiments",
    "identify",
    "transport",
]
