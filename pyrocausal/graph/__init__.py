"""Causal graphs: what causes what, what is hidden, and what the picture alone implies."""

from pyrocausal.graph.causal_graph import CausalGraph

__all__ = ["CausalGraph"]
