"""Amortised guides q(latents | evidence): programs about one unit, like the model, given its evidence.

`Amortized` puts one together from an encoder for each latent; any Pyro program that takes the evidence and
has a site for each latent will do. A guide's noise is derived from its distributions just as a model's is,
so its draws are differentiable, run for all units at once, and repeat with a seed.
"""

from .active import active_dimensions
from .amortized import Amortized, Encoder
from .evidence import Evidence, GuideError, NotGiven
from .guide import Guide, Proposal

__all__ = [
    "Amortized",
    "Encoder",
    "Evidence",
    "Guide",
    "GuideError",
    "NotGiven",
    "Proposal",
    "active_dimensions",
]
