"""How far a ratio of linear functions of probabilities can move, while other linear functions stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ratio:
    """The cells of a query as functions of weights: ``above @ weights / below @ weights``."""

    above: np.ndarray
    below: np.ndarray

    def at(self, weights: np.ndarray) -> np.ndarray:
        return (self.above @ weights) / (self.below @ weights)

    def slope(self, weights: np.ndarray) -> np.ndarray:
        return (self.above - self.at(weights)[:, None] * self.below) / (self.below @ weights)[:, None]

    def most_free(self, free: np.ndarray, weights: np.ndarray) -> Ratio | None:
        """The cell that can move most."""
        lengths = np.linalg.norm(self.slope(weights) @ free, axis=1)
        if lengths.max(initial=0.0) < 1e-7:
            return None
        most = lengths.argmax()
        return Ratio(self.above[[most]], self.below[[most]])

    def raised(self, weights: np.ndarray, free: np.ndarray, sign: int) -> np.ndarray:
        """The weights, moved along `free` to where the value is largest (for sign -1, smallest), nearly.

        Affine scaling: steps that are steepest in units of the weights, so that none runs out early
        (I. Dikin, "Iterative solution of problems of linear and quadratic programming", 1967).
        """
        for _ in range(10):
            scaled = free / weights[:, None]
            slope = sign * self.slope(weights)[0] @ free
            step = free @ np.linalg.lstsq(scaled.T @ scaled, slope, rcond=None)[0]
            further = weights + 0.9 * step / max((-step / weights).max(), 1e-12)
            if sign * (self.at(further) - self.at(weights))[0] < 1e-6:
                break
            weights = further
        return weights


def nullspace(rows: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span it."""
    _, lengths, directions = np.linalg.svd(np.linalg.qr(rows, mode="r"))
    return directions[(lengths > 1e-10 * lengths[0]).sum() :].T
