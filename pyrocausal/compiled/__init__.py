"""Passes as fused code: the same program, the same handler, traced once a question and compiled.

A pass is a pure function of parameters, buffers, evidence, values of actions, noise and draws. `tracing`
turns it into a graph of tensor operations that holds for any number of units, `fusing` compiles the graph's
regions, `keys` says when a graph may be used again, and `Compiled` is `world.run` on top of them.
"""

from .runner import Compiled

__all__ = ["Compiled"]
