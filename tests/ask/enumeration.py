"""The truth about discrete SCMs, by listing every kind of unit: no toolkit in it.

A variable with levels 0 … k-1 is the number of cumulative probabilities, of its parents' row, that a uniform
u exceeds: the monotone coupling. Between neighbouring thresholds of all rows, x is the same function of the
parents, so units differ in finitely many ways.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyro
import pyro.distributions as dist
import torch

Action = (
    float | Callable[[np.ndarray, Mapping[str, np.ndarray]], np.ndarray]
)  # of the natural value and the world


@dataclass
class Discrete:
    """A discrete SCM as tables: `parents` by variable in causal order, `probs[name][parents' levels]`."""

    parents: dict[str, list[str]]
    probs: dict[str, np.ndarray]

    @classmethod
    def random(cls, parents: dict[str, list[str]], levels: dict[str, int], seed: int) -> Discrete:
        rng = np.random.default_rng(seed)
        probs = {
            name: rng.dirichlet(np.ones(levels[name]), size=[levels[p] for p in above]) * 0.9
            + 0.1 / levels[name]
            for name, above in parents.items()
        }
        return cls(parents, probs)

    def program(self) -> None:
        values: dict[str, torch.Tensor] = {}
        for name, above in self.parents.items():
            row = torch.as_tensor(self.probs[name])
            for parent in above:
                row = torch.einsum(
                    "k,k...->...",
                    torch.nn.functional.one_hot(values[parent].long(), row.shape[0]).to(row),
                    row,
                )
            if row.shape[-1] == 2:
                values[name] = pyro.sample(name, dist.Bernoulli(row[..., 1].float()))
            else:
                site = dist.Categorical(row.float())
                values[name] = pyro.sample(name, site, infer={"noise": "monotone"})

    def __post_init__(self) -> None:
        cuts = {}
        for name, table in self.probs.items():
            inner = np.cumsum(table, -1)[..., :-1].ravel()
            cuts[name] = np.concatenate([[0.0], np.unique(inner), [1.0]])
        grids = [range(len(c) - 1) for c in cuts.values()]
        units = np.array(list(itertools.product(*grids)))
        self.u = {n: ((c[1:] + c[:-1]) / 2)[units[:, i]] for i, (n, c) in enumerate(cuts.items())}
        self.weight = np.prod([np.diff(c)[units[:, i]] for i, c in enumerate(cuts.values())], 0)

    def world(self, do: Mapping[str, Action] | None = None) -> dict[str, np.ndarray]:
        """The values of all kinds of units under actions."""
        values: dict[str, np.ndarray] = {}
        for name, above in self.parents.items():
            rows = self.probs[name][tuple(values[p].astype(int) for p in above)]
            rows = np.broadcast_to(rows, (len(self.weight), rows.shape[-1]))
            natural = (self.u[name][:, None] > np.cumsum(rows, -1)[:, :-1]).sum(-1).astype(float)
            action = (do or {}).get(name)
            values[name] = (
                natural
                if action is None
                else np.broadcast_to(action(natural, values) if callable(action) else action, natural.shape)
            )
        return values

    def mean(self, x: np.ndarray, given: np.ndarray | bool = True) -> float:
        weight = self.weight * given
        return float((weight * x).sum() / weight.sum())
