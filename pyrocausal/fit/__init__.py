"""Training by maximum likelihood."""

from pyrocausal.fit.likelihood import SiteScores, log_prob
from pyrocausal.fit.options import FitOptions, History
from pyrocausal.fit.train import refit, train

__all__ = ["FitOptions", "History", "SiteScores", "log_prob", "refit", "train"]
