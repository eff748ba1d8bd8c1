"""An SCM in a file: parameters and scales as tensors; levels, dtypes and graph as JSON beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyrocausal.errors import SaveError
from pyrocausal.files import read_tensors, write_tensors
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.program_from_graph import GraphProgram
from pyrocausal.units import Program
from pyrocausal.variables import Column, Variable

FORMAT = 1


@dataclass(frozen=True)
class Stored:
    """What a file holds."""

    tensors: dict[str, Tensor]
    graph: CausalGraph
    columns: dict[str, Column]
    recipe: dict[str, Any] | None  # of an SCM made from a graph
    reads: dict[str, list[str | None]]  # mechanism to the parents that it is called with, in order

    def graph_program(self, path: str | Path) -> GraphProgram:
        if self.recipe is None:
            raise SaveError(
                f"{path} holds an SCM made from a program, or with mechanisms of your own",
                why="a file keeps parameters, not code",
                fix="pass the program: SCM.load(path, Smoking())",
            )
        return GraphProgram.from_recipe(self.recipe)

    def load_into(self, program: Program, variables: Mapping[str, Variable], path: str | Path) -> None:
        """Set parameters and buffers, all or none."""
        odd_names = sorted(set(self.columns) ^ set(variables))
        if odd_names:
            raise SaveError(
                f"{path} does not fit the program",
                why=f"the variable '{odd_names[0]}' is only in the "
                f"{'file' if odd_names[0] in self.columns else 'program'}",
                fix="pass the program that was saved",
            )
        for name, parents in _reads(program).items():
            before = self.reads.get(name, parents)
            if parents != before:
                raise SaveError(
                    f"{path} does not fit the program",
                    why=f"'{_shown(name)}' was called with the parents {_listed(before)} and now with "
                    f"{_listed(parents)}",
                    fix="call it as in the program that was saved: its weights belong to their order",
                )
        state = program.state_dict()
        missing, extra = sorted(set(state) - set(self.tensors)), sorted(set(self.tensors) - set(state))
        shapes = [k for k in state if k in self.tensors and state[k].shape != self.tensors[k].shape]
        if missing or extra or shapes:
            odd = (missing or extra or shapes)[0]
            wrong = "differs in shape"
            if missing or extra:
                wrong = "is not in the file" if missing else "is not in the program"
            raise SaveError(
                f"{path} does not fit the program",
                why=f"'{odd}' {wrong}",
                fix="pass its guide too: SCM.load(path, program, guide=…)"
                if extra and extra[0].startswith("guide.")
                else "pass the program that was saved, of the same sizes",
            )
        program.load_state_dict(self.tensors)


def save(path: str | Path, program: Program, variables: Mapping[str, Variable], graph: CausalGraph) -> None:
    recipe = program.module.recipe() if isinstance(program.module, GraphProgram) else None
    about = {
        "format": FORMAT,
        "graph": graph.to_string(),
        "columns": {name: asdict(v.column) for name, v in variables.items()},
        "recipe": recipe,
        "reads": _reads(program),
    }
    write_tensors(path, program.state_dict(), {"pyrocausal": json.dumps(about)})


def read(path: str | Path) -> Stored:
    tensors, metadata = read_tensors(path)
    if "pyrocausal" not in metadata:
        raise SaveError(f"{path} was not written by SCM.save", fix="check the path")
    broken = [name for name, x in tensors.items() if x.is_floating_point() and torch.isnan(x).any()]
    if broken:
        raise SaveError(
            f"{path} is damaged", why=f"'{broken[0]}' is not a number", fix="save the model again, or a copy"
        )
    about = json.loads(metadata["pyrocausal"])
    if about["format"] > FORMAT:
        raise SaveError(f"{path} was written by a newer pyrocausal", fix="upgrade: pip install -U pyrocausal")
    columns = {
        name: Column(**{**c, "levels": None if c["levels"] is None else tuple(c["levels"])})
        for name, c in about["columns"].items()
    }
    graph = CausalGraph.from_string(about["graph"])
    return Stored(tensors, graph, columns, about["recipe"], about.get("reads", {}))


def _reads(program: Program) -> dict[str, list[str | None]]:
    mechanisms = {path: m for path, m in program.named_modules() if isinstance(m, Mechanism)}
    return {path: list(m.reads) for path, m in mechanisms.items()}


def _shown(path: str) -> str:
    return path.split(".", 1)[-1]


def _listed(parents: list[str | None]) -> str:
    return "(" + ", ".join("a computed value" if p is None else f"'{p}'" for p in parents) + ")"
