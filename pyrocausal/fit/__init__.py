"""Training by maximum likelihood."""

from pyrocausal.fit.joint import train_jointly
from pyrocausal.fit.likelihood import SiteScores
from pyrocausal.fit.options import FitOptions, History
from pyrocausal.fit.refit import Refits, bootstrap
from pyrocausal.fit.train import check_trainable, train
from pyrocausal.fit.weights import infer_weights, prior_weights

__all__ = [
    "FitOptions",
    "History",
    "Refits",
    "SiteScores",
    "bootstrap",
    "check_trainable",
    "infer_weights",
    "prior_weights",
    "train",
    "train_jointly",
]
