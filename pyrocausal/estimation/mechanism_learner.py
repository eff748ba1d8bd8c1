"""The toolkit's own mechanisms as learners: what `SCM.from_graph` would model a variable by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pyrocausal import mechanisms as m
from pyrocausal.estimation.learners import is_binary
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.scm import SCM

DRAWS = 100  # of the outcome for each row, whose mean is taken
_RESULT = "learned"


class MechanismLearner:
    """`m.Continuous`, `m.Bernoulli` or `m.Categorical`, trained by likelihood; one training for each fit.

    Args:
        options: of `SCM.fit`.
    """

    name = "mechanism"

    def __init__(self, **options: Any):
        self.options = {"progress": False, "seed": 0, **options}

    def mean(
        self, x: pd.DataFrame, y: np.ndarray, weights: np.ndarray, at: pd.DataFrame | None = None
    ) -> np.ndarray:
        there = x if at is None else at
        targets = np.broadcast_to(y, weights.shape)
        if is_binary(y):
            return np.stack([self._probabilities(x, *one, there, 2)[1] for one in zip(targets, weights)])
        found = []
        for target, often in zip(targets, weights):
            if not x.shape[1]:
                found.append(np.full(len(there), np.average(target, weights=often)))
                continue
            scm = self._fitted(x, target, often, **{_RESULT: m.Continuous()})
            set_to = {n: scm.variables[n].encode(there[n], where="estimate").repeat(DRAWS) for n in there}
            drawn = scm.do(set_to).sample(DRAWS * len(there), seed=0)[_RESULT]
            found.append(drawn.reshape(DRAWS, -1).double().mean(0).numpy())
        return np.stack(found)

    def probabilities(self, x: pd.DataFrame, codes: np.ndarray, size: int, weights: np.ndarray) -> np.ndarray:
        return np.stack([self._probabilities(x, codes, often, x, size) for often in weights], 1)

    def _probabilities(
        self, x: pd.DataFrame, codes: np.ndarray, often: np.ndarray, at: pd.DataFrame, size: int
    ) -> np.ndarray:
        """`(size, rows)`."""
        if not x.shape[1]:
            shares = np.bincount(codes.astype(int), often, size) / often.sum()
            return np.repeat(shares[:, None], len(at), 1)
        levels = codes.astype(int) if size == 2 else np.array([f"level {k:03d}" for k in codes])
        return self._fitted(x, levels, often).infer(_RESULT, given=at).probs.numpy().T

    def _fitted(self, x: pd.DataFrame, y: np.ndarray, often: np.ndarray, **mechanisms: m.Mechanism) -> SCM:
        rows = np.repeat(np.arange(len(x)), often.astype(int))
        graph = CausalGraph(x.columns, [(name, _RESULT) for name in x.columns])
        frame = x.iloc[rows].assign(**{_RESULT: y[rows]})
        scm = SCM.from_graph(graph, mechanisms=mechanisms)
        return scm.fit(frame, only=[f"mechanism.of_{_RESULT}"], **self.options)
