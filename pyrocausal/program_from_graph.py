"""A program written by a graph: one mechanism for each variable, chosen by its column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyro
import torch
from torch import nn

from pyrocausal import mechanisms as m
from pyrocausal.errors import GraphError, ProgramError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.variables import check_names

#: Mechanisms that a file can name, and how each is made again.
FACTORIES: dict[str, Callable[..., Mechanism]] = {
    "Continuous": m.Continuous,
    "Bernoulli": m.Bernoulli,
    "Categorical": m.Categorical,
}


class GraphProgram(nn.Module):
    """The program of an SCM made from a graph.

    Args:
        graph: a DAG; its nodes are the variables.
        mechanisms: given by name; the others are chosen when the data are seen.
    """

    def __init__(self, graph: CausalGraph, mechanisms: Mapping[str, Mechanism] | None = None):
        super().__init__()
        if graph.bidirected:
            a, b = sorted(sorted(pair) for pair in graph.bidirected)[0]
            raise GraphError(
                f"the graph has {a} <-> {b}",
                why="an SCM needs the latent variable behind a bidirected edge as a node",
                fix="write the latent out, and the model as a program with latent=[…]",
            )
        check_names(mechanisms or {}, graph.nodes, where="mechanisms")
        self.graph = graph
        self.parents = {name: [p for p in graph.nodes if p in graph.parents(name)] for name in graph.nodes}
        self.given = dict(mechanisms or {})
        self.kinds: dict[str, tuple[str, dict[str, Any]]] = {}
        self.mechanism = nn.ModuleDict()

    @property
    def chosen(self) -> bool:
        return len(self.mechanism) == len(self.graph.nodes)

    def choose(self, data: Any) -> None:
        """Pick a mechanism for each variable by the type of its column."""
        for name in self.graph.nodes:
            if name in self.given:
                continue
            if name not in data:
                raise ProgramError(
                    f"fit: there is no column '{name}'", fix="add it, or leave it out of the graph"
                )
            self.kinds[name] = choose(data[name])
        self._make()

    def _make(self) -> None:
        for name in self.graph.nodes:
            kind = self.kinds.get(name)
            made = self.given[name] if kind is None else FACTORIES[kind[0]](**kind[1])
            self.mechanism[_key(name)] = made

    def forward(self) -> None:
        values: dict[str, torch.Tensor] = {}
        for name, parents in self.parents.items():
            mechanism = self.mechanism[_key(name)]
            values[name] = pyro.sample(name, mechanism(*[values[parent] for parent in parents]))

    def recipe(self) -> dict[str, Any] | None:
        """What `from_recipe` needs; None where a mechanism was given by the user (its code is not saved)."""
        if self.given:
            return None
        # The order of sites and of each mechanism's inputs is part of the model; a graph's text does not keep it.
        return {"parents": self.parents, "kinds": self.kinds}

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> GraphProgram:
        parents: Mapping[str, list[str]] = recipe["parents"]
        program = cls(CausalGraph(tuple(parents), [(p, name) for name in parents for p in parents[name]]))
        program.parents = {name: list(parents[name]) for name in parents}
        program.kinds = {name: (kind, dict(options)) for name, (kind, options) in recipe["kinds"].items()}
        program._make()
        return program


def choose(column: Any) -> tuple[str, dict[str, Any]]:
    """The kind of mechanism for a column: categorical for names, binary for two values, else continuous."""
    if isinstance(column, torch.Tensor):
        column = column.detach().cpu().numpy()
    series = pd.Series(column).dropna()
    if isinstance(series.dtype, pd.CategoricalDtype):
        levels = series.cat.categories.tolist()
    elif series.dtype == object or pd.api.types.is_string_dtype(series.dtype):
        levels = sorted(series.unique().tolist(), key=str)
    else:
        levels = np.unique(series.to_numpy()).tolist()
        if len(levels) != 2:
            return "Continuous", {}
        if set(levels) <= {0, 1}:
            return "Bernoulli", {}
    return "Categorical", {"levels": levels}


def _key(name: str) -> str:
    return "of_" + name.replace(".", "/")
