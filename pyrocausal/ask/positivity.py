"""Whether the data that a model was fitted to could tell what a question sets (positivity)."""

from __future__ import annotations

import logging
from typing import Any

import torch

from pyrocausal.ask.actions import actions
from pyrocausal.overlap import overlap, untold
from pyrocausal.query.syntax import Node, Setting
from pyrocausal.query.worlds import terms, worlds
from pyrocausal.rows import Rows

logger = logging.getLogger("pyrocausal")

UNITS = 2_000  # of the model, that stand for the rows it was fitted to


@torch.no_grad()
def not_overlapping(scm: Any, question: Node, text: str, data: Any) -> tuple[str, ...]:
    """A sentence for every action of which next to nothing was seen among some kinds of units.

    Only a model that learned from data has seen anything.
    """
    settings = [s for term in terms(question) for world in worlds(term) for s in world]
    settings = [s for s in dict.fromkeys(settings) if not untold(scm, s.variable, _observed(scm))]
    if not settings or scm._intervention.names or not _fitted(scm):
        return ()
    rows = Rows.of(scm, scm.sample(UNITS, seed=0) if data is None else data, "data")
    return tuple(said for setting in settings if (said := _said(rows, setting, text)))


def _said(rows: Rows, setting: Setting, text: str) -> str:
    found = overlap(rows, setting.variable, actions((setting,), text), f"do({setting})")
    if found is None or found.verdict != "fail":
        return ""
    said = f"{found.action} has no overlap: {found.meaning}; the number extrapolates"
    logger.warning("%s.", said)
    return said


def _fitted(scm: Any) -> bool:
    """Whether the model learned its columns from data."""
    return any(v.column.dtype is not None or v.column.mean is not None for v in scm.variables.values())


def _observed(scm: Any) -> set[str]:
    return set(scm.variables) - set(scm._model.graph.latent)
