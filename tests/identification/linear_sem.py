"""Linear structural equation models over a graph, with everything in closed form."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pyrocausal.graph import CausalGraph


class LinearSEM:
    """v = B v + e, with random coefficients, and noises that are correlated where the graph is bidirected."""

    def __init__(self, graph: CausalGraph, rng: np.random.Generator):
        self.at = {name: i for i, name in enumerate(graph.nodes)}
        size = len(graph.nodes)
        self.coefficients = np.zeros((size, size))
        for cause, effect in graph.edges:
            self.coefficients[self.at[effect], self.at[cause]] = rng.choice([-1, 1]) * rng.uniform(0.4, 1.2)
        noise = np.diag(rng.uniform(0.5, 1.5, size))
        for a, b in graph.bidirected:  # a hidden cause of both
            weights = np.zeros(size)
            weights[[self.at[a], self.at[b]]] = rng.choice([-1, 1], 2) * rng.uniform(0.4, 1.2, 2)
            noise += np.outer(weights, weights)
        total = np.linalg.inv(np.eye(size) - self.coefficients)
        self.covariance = total @ noise @ total.T

    def effect(self, x: Iterable[str], y: str) -> np.ndarray:
        """The change of E[y | do(x)] with each of x."""
        xs = [self.at[name] for name in x]
        left = self.coefficients.copy()
        left[xs] = 0
        return np.linalg.inv(np.eye(len(left)) - left)[self.at[y], xs]

    def given(self, of: Iterable[str], given: Iterable[str]) -> np.ndarray:
        """The covariance of some variables given others."""
        a, c = ([self.at[name] for name in names] for names in (of, given))
        s = self.covariance
        return s[np.ix_(a, a)] - s[np.ix_(a, c)] @ np.linalg.pinv(s[np.ix_(c, c)]) @ s[np.ix_(c, a)]

    def regression(self, x: Iterable[str], y: str, z: Iterable[str]) -> np.ndarray:
        """The coefficients of x when y is regressed on x and z."""
        x = list(x)
        s = self.given([*x, y], z)
        return np.linalg.solve(s[:-1, :-1], s[:-1, -1])

    def asymptotic_variance(self, x: str, y: str, z: Iterable[str]) -> float:
        """Of the coefficient of x when y is regressed on x and z, times the number of rows."""
        z = list(z)
        return float(self.given([y], [x, *z])[0, 0] / self.given([x], z)[0, 0])
