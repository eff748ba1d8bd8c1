"""How far the weights of hidden causes can move a query, while all that is known stays.

In the weights of one hidden cause everything is linear: the known distributions, and the numerator and the
denominator of any query, whatever its worlds, because a unit has one noise for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyrocausal.identification.discrete import DiscreteSCM, Hidden
from pyrocausal.identification.expression import Symbol
from pyrocausal.identification.outcome import Outcome, Query
from pyrocausal.identification.tables import Table

POSSIBLE = 1e-3  # the least probability of a query's condition


@dataclass(frozen=True)
class Moves:
    """What is asked and what is known of a model.

    Args:
        query: the one that shall move.
        factors: the sets S whose Q[S] shall not.
    """

    query: Query
    factors: Sequence[tuple[str, ...]]

    def apart(self, model: DiscreteSCM) -> tuple[DiscreteSCM, DiscreteSCM] | None:
        """The model twice, with weights of its first hidden cause that make a cell of the query as small, and
        as large, as can be. None if they can move no cell, or what is known is not positive."""
        cause = model.hidden[0]
        free = self._free(model, cause)
        if free is None:
            return None
        above, below = self._query(model, cause)
        likely = below @ cause.weights > POSSIBLE
        above, below = above[likely], below[likely]
        lengths = np.linalg.norm(_slope(above, below, cause.weights) @ free, axis=1)
        if lengths.max(initial=0.0) < 1e-7:
            return None
        most = lengths.argmax()
        ends = (_climbed(sign * above[most], below[most], cause.weights, free) for sign in (-1, 1))
        low, high = (replace(model, hidden=(replace(cause, weights=w), *model.hidden[1:])) for w in ends)
        return low, high

    def _free(self, model: DiscreteSCM, cause: Hidden) -> np.ndarray | None:
        """The directions in which the weights can go; None if what is known is not positive."""
        moved = [names for names in self.factors if not set(cause.children).isdisjoint(names)]
        known = _rows((c_factor(model, names, by=cause) for names in moved), cause)
        rows = np.concatenate([np.ones((1, len(cause.weights))), *known])
        now = rows @ cause.weights
        return nullspace(rows / now[:, None]) if now.min() > 1e-12 else None

    def _query(self, model: DiscreteSCM, cause: Hidden) -> list[np.ndarray]:
        """Numerator and denominator of all cells, given every level of the cause."""
        above = model.table([*self.query.outcomes, *self.query.given], by=cause)
        ones = Table(above.axes, above.levels, np.ones_like(above.cells))
        return _rows((above, ones.times(model.table(self.query.given, by=cause))), cause)


def c_factor(model: DiscreteSCM, names: Iterable[str], by: Hidden | None = None) -> Table:
    """Q[S] = P(s | do(parents of S)) of a model."""
    names = tuple(names)
    world = [Symbol(p) for p in model.graph.parents(*names) if p not in names]
    return model.table([Outcome.of(name, do=world) for name in names], by=by)


def nullspace(rows: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span it.

    >>> nullspace(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])).shape
    (3, 2)
    """
    _, lengths, directions = np.linalg.svd(np.linalg.qr(rows, mode="r"))
    return directions[(lengths > 1e-10 * lengths[0]).sum() :].T


def _rows(tables: Iterable[Table], cause: Hidden) -> list[np.ndarray]:
    return [table.cells.reshape(-1, len(cause.weights)) for table in tables]


def _slope(above: np.ndarray, below: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The gradient of ``above @ weights / below @ weights``, for each row."""
    down = (below @ weights)[..., None]
    return (above - (above @ weights)[..., None] / down * below) / down


def _climbed(above: np.ndarray, below: np.ndarray, weights: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The weights, moved along `free` to where ``above @ weights / below @ weights`` is largest, nearly.

    Affine scaling: steps that are steepest in units of the weights, so that none runs out early (I. Dikin,
    "Iterative solution of problems of linear and quadratic programming", 1967).
    """
    for _ in range(10):
        scaled = free / weights[:, None]
        slope = _slope(above, below, weights) @ free
        step = free @ np.linalg.lstsq(scaled.T @ scaled, slope, rcond=None)[0]
        further = weights + 0.9 * step / max((-step / weights).max(), 1e-12)
        gain = above @ further / (below @ further) - above @ weights / (below @ weights)
        if not gain > 1e-6 or below @ further < POSSIBLE:
            break
        weights = further
    return weights
