"""The language of causal questions: text to a tree, and back."""

from pyrocausal.query.identification import identify
from pyrocausal.query.parse import parse

__all__ = ["identify", "parse"]
