"""Exploring a model by hand: actions on sliders, one unit's values in cells, all worlds beside each other."""

from pyrocausal.explorer.explore import Explorer, explore

__all__ = ["Explorer", "explore"]
