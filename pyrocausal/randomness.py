"""Seeds and generators."""

from __future__ import annotations

import torch

from pyrocausal.table import whole


def generator_of(seed: int | None, stream: int = 0) -> torch.Generator:
    """A generator of its own for every call and stream; without a seed, from torch's global state."""
    start = int(torch.randint(2**62, ())) if seed is None else whole(seed, "seed", least=0) * 8 + stream
    return torch.Generator().manual_seed(start % 2**63)
