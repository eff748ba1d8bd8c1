"""Data to learn and test on: real data sets, and synthetic SCMs whose true counterfactuals are known."""

from pyrocausal.data.ihdp import ihdp
from pyrocausal.data.lalonde import card, cps, nsw
from pyrocausal.data.mnist import mnist
from pyrocausal.data.morphomnist import morphomnist
from pyrocausal.data.nhefs import nhefs
from pyrocausal.data.synthetic import SYNTHETIC, Equation, KnownSCM

__all__ = ["SYNTHETIC", "Equation", "KnownSCM", "card", "cps", "ihdp", "mnist", "morphomnist", "nhefs", "nsw"]
