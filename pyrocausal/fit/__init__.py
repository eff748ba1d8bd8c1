"""Training by maximum likelihood."""

from pyrocausal.fit.joint import train_jointly
from pyrocausal.fit.likelihood import SiteScores
from pyrocausal.fit.options import FitOptions, History
from pyrocausal.fit.refit import Refits, bootstrap
from pyrocausal.fit.train import check_trainable, train

__all__ = [
    "FitOptions",
    "History",
    "Refits",
    "SiteScores",
    "bootstrap",
    "check_trainable",
    "train",
    "train_jointly",
]
