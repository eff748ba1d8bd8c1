"""Training by maximum likelihood."""

from pyrocausal.fit.likelihood import SiteScores, log_prob
from pyrocausal.fit.options import FitOptions, History
from pyrocausal.fit.refit import Refits, bootstrap
from pyrocausal.fit.train import train

__all__ = ["FitOptions", "History", "Refits", "SiteScores", "log_prob", "bootstrap", "train"]
