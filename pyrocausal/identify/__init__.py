"""Identification: from a causal graph and a question to a formula over what is known, or why none is.

It knows nothing of torch and Pyro.
"""

from pyrocausal.identify.expression import Constant, Expression, P, Product, Ratio, Regime, Sum, Symbol

__all__ = ["Constant", "Expression", "P", "Product", "Ratio", "Regime", "Sum", "Symbol"]
