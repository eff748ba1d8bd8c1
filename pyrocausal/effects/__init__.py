"""Causal effects by name: each is a question that `SCM.ask` answers, written for you."""

from pyrocausal.effects.average import atc, ate, att, cate, ett, ite, total_effect
from pyrocausal.effects.causation import pn, pns, ps
from pyrocausal.effects.doses import DoseResponse, dose_response
from pyrocausal.effects.mediation import cde, nde, nie

__all__ = [
    "DoseResponse",
    "atc",
    "ate",
    "att",
    "cate",
    "cde",
    "dose_response",
    "ett",
    "ite",
    "nde",
    "nie",
    "pn",
    "pns",
    "ps",
    "total_effect",
]
