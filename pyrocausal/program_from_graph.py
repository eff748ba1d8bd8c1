"""A program written by a graph: one mechanism for each variable, chosen by its column."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyro
import torch
from torch import nn

from pyrocausal import mechanisms as m
from pyrocausal.competition import Choice, rivals
from pyrocausal.errors import DataError, GraphError, ProgramError, did_you_mean
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.units import module_key
from pyrocausal.variables import check_names

WAYS = ("likelihood", "type")


class GraphProgram(nn.Module):
    """The program of an SCM made from a graph.

    Args:
        graph: a DAG; its nodes are the variables.
        mechanisms: given by name; the others are chosen when the data are seen.
        choose: "likelihood" (families that fit a column compete by held-out likelihood) or "type" (its type
            alone decides).
    """

    def __init__(
        self,
        graph: CausalGraph,
        mechanisms: Mapping[str, Mechanism] | None = None,
        choose: str = "likelihood",
    ):
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
        if choose not in WAYS:
            raise ProgramError(
                f"choose={choose!r} is no way to choose mechanisms",
                why=f"the ways are {', '.join(WAYS)}",
                fix=did_you_mean(str(choose), WAYS) or "use one of these",
            )
        check_names(mechanisms or {}, graph.nodes, where="mechanisms")
        for name, mechanism in (mechanisms or {}).items():
            if not isinstance(mechanism, Mechanism):
                raise ProgramError(
                    f"mechanisms: {mechanism!r} for '{name}' is no mechanism",
                    fix="pass an instance, e.g. m.Normal()",
                )
        self.graph, self.way = graph, choose
        self.parents = {name: [p for p in graph.nodes if p in graph.parents(name)] for name in graph.nodes}
        self.given = dict(mechanisms or {})
        self.choices: dict[str, Choice] = {}
        self.mechanism = nn.ModuleDict()

    @property
    def ready(self) -> bool:
        """Whether every variable has its mechanism."""
        return len(self.mechanism) == len(self.graph.nodes)

    def choose(self, data: Any) -> dict[str, list[Choice]]:
        """Pick a mechanism for each variable by the type of its column.

        Returns:
            The families that fit a column's type, for columns that several do; `settle` takes one of them.
        """
        contested: dict[str, list[Choice]] = {}
        for name in self.graph.nodes:
            if name in self.given:
                continue
            if name not in data:
                raise ProgramError(
                    f"fit: there is no column '{name}'", fix="add it, or leave it out of the graph"
                )
            families = choose(data[name], name)
            self.choices[name] = families[0]
            if len(families) > 1:
                contested[name] = families
        for mechanism in self.given.values() if self.ready else ():
            mechanism.blocks = None  # the parents' new mechanisms may change how they enter it
        self._make()
        return contested if self.way == "likelihood" else {}

    def settle(self, name: str, choice: Choice) -> None:
        """Take this mechanism for a variable, instead of the one that its type gives."""
        self.choices[name] = choice
        self._make()

    def _make(self) -> None:
        for name in self.graph.nodes:
            self.mechanism[_key(name)] = self.given[name] if name in self.given else self.choices[name].make()

    def forward(self) -> None:
        values: dict[str, torch.Tensor] = {}
        for name, parents in self.parents.items():
            mechanism = self.mechanism[_key(name)]
            values[name] = pyro.sample(name, mechanism(*[values[parent] for parent in parents]))

    def table(self) -> pd.DataFrame:
        """A row a variable: its mechanism, its parents, why it was chosen, and how its rivals scored."""
        rows = {}
        for name, parents in self.parents.items():
            choice = self.choices.get(name, Choice("", why="given"))
            mechanism = type(self.mechanism[_key(name)]).__name__
            chosen = {"mechanism": mechanism, "parents": ", ".join(parents), "why": choice.why}
            rows[name] = {**chosen, **choice.scores}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variable")

    def summary(self, explained: Collection[str] = ()) -> str:
        """Every variable's mechanism in one line, with the reason for some."""
        return ", ".join(
            f"{name} {type(self.mechanism[_key(name)]).__name__}"
            + (f" ({self.choices[name].why})" if name in explained else "")
            for name in self.graph.nodes
        )

    def recipe(self) -> dict[str, Any] | None:
        """What `from_recipe` needs; None where a mechanism is the user's own (a file keeps no code)."""
        for mechanism in self.given.values():
            if getattr(m, type(mechanism).__name__, None) is not type(mechanism):
                return None
        given = {name: (type(x).__name__, x.made_with) for name, x in self.given.items()}
        kinds = {name: (choice.kind, choice.options) for name, choice in self.choices.items()}
        return {
            "parents": self.parents,  # the order of sites and of inputs is part of the model; a text loses it
            "kinds": kinds | given,
            "given": list(given),
            "why": {name: (choice.why, choice.scores) for name, choice in self.choices.items()},
            "choose": self.way,
        }

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> GraphProgram:
        parents: Mapping[str, list[str]] = recipe["parents"]
        graph = CausalGraph(tuple(parents), [(p, name) for name in parents for p in parents[name]])
        why = recipe.get("why", {})  # files of earlier versions have none
        choices = {name: Choice(*kind, *why.get(name, ())) for name, kind in recipe["kinds"].items()}
        given = {name: choices.pop(name).make() for name in recipe.get("given", ())}
        program = cls(graph, given, recipe.get("choose", "likelihood"))
        program.parents = {name: list(parents[name]) for name in parents}
        program.choices = choices
        program._make()
        return program


def choose(column: Any, name: str = "") -> list[Choice]:
    """The mechanisms that fit a column's type, first the one that the type alone gives.

    Names and two values other than 0 and 1 are categorical, 0 and 1 binary, other numbers continuous; to some
    whole numbers counts and levels fit too (`pyrocausal.competition.rivals`).
    """
    if isinstance(column, torch.Tensor):
        column = column.detach().cpu().numpy()
    if isinstance(column, pd.DataFrame):
        raise DataError(f"fit: the column '{name}' is there twice", fix="drop or rename one")
    if np.ndim(column) > 1:
        raise DataError(
            f"fit: the column '{name}' has shape {np.shape(column)}",
            why="mechanisms are chosen for scalars alone",
            fix=f'give one: from_graph(…, mechanisms={{"{name}": m.Linear(dim={np.shape(column)[-1]})}})',
        )
    series = pd.Series(column).dropna().infer_objects()
    if isinstance(series.dtype, pd.CategoricalDtype):
        return [Choice("Categorical", {"levels": series.cat.categories.tolist()}, "names")]
    if series.dtype == object or pd.api.types.is_string_dtype(series.dtype):
        return [Choice("Categorical", {"levels": _names(name, series)}, "names")]
    if not pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_complex_dtype(series.dtype):
        raise DataError(
            f"fit: the column '{name}' has type {series.dtype}", fix="convert it to numbers or names"
        )
    levels = np.unique(series.to_numpy()).tolist()
    if len(levels) == 2:
        if set(levels) <= {0, 1}:
            return [Choice("Bernoulli", why="0 and 1")]
        return [Choice("Categorical", {"levels": levels}, "two values")]
    return rivals(series.to_numpy(dtype=float)) if levels else [Choice("Continuous", why="numbers")]


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
