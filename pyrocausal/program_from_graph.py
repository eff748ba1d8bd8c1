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
from pyrocausal.errors import DataError, GraphError, ProgramError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.units import module_key
from pyrocausal.variables import check_names

#: Mechanisms that a file can name, and how each is made again.
FACTORIES: dict[str, Callable[..., Mechanism]] = {
    name: getattr(m, name) for name in m.__all__ if name != "Mechanism"
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
        if graph.latent or graph.intervened:
            marked = sorted(graph.latent | graph.intervened)[0]
            mark = "latent" if marked in graph.latent else "intervened"
            raise GraphError(
                f"'{marked}' is marked as {mark} in the graph",
                why="an SCM made from a graph is fitted to data of every variable",
                fix="drop the mark; write a model with latents as a program, and act by do()",
            )
        check_names(mechanisms or {}, graph.nodes, where="mechanisms")
        for name, mechanism in (mechanisms or {}).items():
            if not isinstance(mechanism, Mechanism):
                raise ProgramError(
                    f"mechanisms: {mechanism!r} for '{name}' is no mechanism",
                    fix="pass an instance, e.g. m.Normal()",
                )
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
            self.kinds[name] = choose(data[name], name)
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
        """What `from_recipe` needs; None where a mechanism is the user's own (a file keeps no code)."""
        kinds = dict(self.kinds)
        for name, mechanism in self.given.items():
            if FACTORIES.get(type(mechanism).__name__) is not type(mechanism):
                return None
            kinds[name] = (type(mechanism).__name__, mechanism.made_with)
        # The order of sites and of a mechanism's inputs is part of the model; a graph's text loses it.
        return {"parents": self.parents, "kinds": kinds}

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> GraphProgram:
        parents: Mapping[str, list[str]] = recipe["parents"]
        program = cls(CausalGraph(tuple(parents), [(p, name) for name in parents for p in parents[name]]))
        program.parents = {name: list(parents[name]) for name in parents}
        program.kinds = {name: (kind, dict(options)) for name, (kind, options) in recipe["kinds"].items()}
        program._make()
        return program


def choose(column: Any, name: str = "") -> tuple[str, dict[str, Any]]:
    """The kind of mechanism for a column: categorical for names, binary for two values, else continuous."""
    if isinstance(column, torch.Tensor):
        column = column.detach().cpu().numpy()
    if isinstance(column, pd.DataFrame):
        raise DataError(f"fit: the column '{name}' is there twice", fix="drop or rename one")
    series = pd.Series(column).dropna().infer_objects()
    if isinstance(series.dtype, pd.CategoricalDtype):
        levels = series.cat.categories.tolist()
    elif series.dtype == object or pd.api.types.is_string_dtype(series.dtype):
        levels = _names(name, series)
    elif not pd.api.types.is_numeric_dtype(series.dtype):
        raise DataError(
            f"fit: the column '{name}' has type {series.dtype}", fix="convert it to numbers or names"
        )
    else:
        levels = np.unique(series.to_numpy()).tolist()
        if len(levels) != 2:
            return "Continuous", {}
        if set(levels) <= {0, 1}:
            return "Bernoulli", {}
    return "Categorical", {"levels": levels}


def _names(name: str, series: pd.Series) -> list[Any]:
    """The levels of a column of names; numbers written as text, dates and labels of single rows are none."""
    levels = series.unique().tolist()
    if not all(isinstance(level, str) for level in levels):
        kinds = sorted({type(level).__name__ for level in levels})
        raise DataError(
            f"fit: the column '{name}' holds {' and '.join(kinds)}",
            fix="convert it to numbers, or all to text",
        )
    if len(levels) > max(20, len(series) // 5):
        raise DataError(
            f"fit: the column '{name}' has {len(levels)} levels in {len(series)} rows",
            why="nearly every row would have a level of its own",
            fix="convert numbers written as text by pd.to_numeric, drop identifiers, or merge levels",
        )
    return sorted(levels)


def _key(name: str) -> str:
    return "of_" + module_key(name)
