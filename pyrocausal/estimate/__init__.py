"""Estimation: from an identified effect and a table to a number with a valid interval.

A *strategy* says how the effect is identified, as plain data (`Backdoor`, `FrontDoor`, `Instrument`,
`PlugIn`). An estimator turns it into an `Estimate`, with the help of *learners* of two nuisances: the
outcome's mean and the treatment's probabilities.
"""

from pyrocausal.estimate.effect import estimate
from pyrocausal.estimate.result import Estimate
from pyrocausal.estimate.strategies import Backdoor, FrontDoor, Instrument, PlugIn

__all__ = ["Backdoor", "Estimate", "FrontDoor", "Instrument", "PlugIn", "estimate"]
