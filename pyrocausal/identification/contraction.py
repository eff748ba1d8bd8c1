"""Sums of products of tables, one variable summed out at a time.

R. Dechter, "Bucket elimination: a unifying framework for reasoning" (1999). The next variable is the one
whose elimination makes the smallest table (the min-weight heuristic).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np

from pyrocausal.errors import IdentifyError
from pyrocausal.identification.tables import LARGEST

Factor = tuple[tuple[Hashable, ...], np.ndarray]  # an array, and what its axes are


def contracted(factors: Sequence[Factor], kept: Sequence[Hashable]) -> np.ndarray:
    """The product of all factors, summed over every axis that is not kept; its axes stand as in `kept`.

    Raises:
        IdentifyError: a table on the way would be too large.

    >>> p_x, p_y_given_x = (("x",), np.array([0.4, 0.6])), (("x", "y"), np.array([[0.5, 0.5], [0.1, 0.9]]))
    >>> contracted([p_x, p_y_given_x], ["y"])
    array([0.26, 0.74])
    """
    size = {axis: length for axes, array in factors for axis, length in zip(axes, array.shape)}
    left: list[Factor] = [((), np.ones(())), *factors]
    waiting = [axis for axis in size if axis not in set(kept)]
    while waiting:
        tables = {axis: _union(f for f in left if axis in f[0]) for axis in waiting}
        axis = min(waiting, key=lambda a: math.prod(size[b] for b in tables[a] if b != a))
        waiting.remove(axis)
        involved = [f for f in left if axis in f[0]]
        left = [f for f in left if axis not in f[0]]
        left.append(_summed(involved, [b for b in tables[axis] if b != axis], size))
    return _summed(left, kept, size)[1]


def _union(factors) -> dict[Hashable, None]:
    """The axes of all, in order of appearance."""
    return dict.fromkeys(axis for axes, _ in factors for axis in axes)


def _summed(factors: Sequence[Factor], kept: Sequence[Hashable], size: dict[Hashable, int]) -> Factor:
    if math.prod(size[axis] for axis in kept) > LARGEST:
        raise IdentifyError(
            "the answer needs a table that is too large",
            why=f"it has {math.prod(size[axis] for axis in kept):.0g} cells, {LARGEST:,} are the most",
            fix="ask about fewer variables, or take fewer levels",
        )
    code = {axis: number for number, axis in enumerate(_union(factors))}
    operands = [part for axes, array in factors for part in (array, [code[axis] for axis in axes])]
    return tuple(kept), np.einsum(*operands, [code[axis] for axis in kept], optimize="greedy")
