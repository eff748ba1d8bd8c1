"""P(y, z | …): a distribution, as a table of probabilities or as draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from pyrocausal.ask.estimates import shares
from pyrocausal.ask.population import Population
from pyrocausal.query.syntax import Term
from pyrocausal.variables import Variable as Known


def distribution(
    term: Term, population: Population, known: Mapping[str, Known]
) -> tuple[pd.Series | pd.DataFrame, float]:
    """The distribution of a term's variables, and the effective number of units that it rests on.

    Discrete variables: a Series of probabilities over their levels. With a continuous one: a DataFrame, one
    row an equally likely draw.
    """
    share, ess = shares(term, population)
    share = share.flatten() / len(share)
    variables: list[Any] = list(term.of)
    one_world = len({v.world for v in variables}) == 1
    names = [v.name if one_world else str(v) for v in variables]
    columns = {
        name: _column(population.worlds[v.world][v.name].flatten(), known[v.name])
        for name, v in zip(names, variables)
    }
    frame = pd.DataFrame(columns)
    if all(known[v.name].discrete for v in variables):
        found = pd.Series(share.numpy(), pd.MultiIndex.from_frame(frame)).groupby(level=names).sum()
        return found[found > 0].rename("probability"), ess.min().item()
    if population.weights is None and not term.given:
        return frame, ess.min().item()
    generator = torch.Generator().manual_seed(0)
    chosen = torch.multinomial(share, len(share), replacement=True, generator=generator)
    return frame.iloc[chosen.numpy()].reset_index(drop=True), ess.min().item()


def _column(values: torch.Tensor, known: Known) -> Any:
    array = known.decode(values)
    return array.astype(int) if known.discrete and known.column.levels is None else array
