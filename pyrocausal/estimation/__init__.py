"""Estimation: from an identified effect and a table to a number with a valid interval.

A *strategy* says how the effect is identified, as plain data (`Backdoor`, `FrontDoor`, `Instrument`,
`Proxies`, `PlugIn`). An estimator turns it into an `Estimate`, with the help of *learners* of two nuisances:
the outcome's mean and the treatment's probabilities.
"""

from pyrocausal.estimation.effect import estimate
from pyrocausal.estimation.result import Estimate
from pyrocausal.estimation.strategies import Backdoor, FrontDoor, Instrument, PlugIn, Proxies

__all__ = ["Backdoor", "Estimate", "FrontDoor", "Instrument", "PlugIn", "Proxies", "estimate"]
