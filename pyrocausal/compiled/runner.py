"""`Compiled`: `world.run`, from graphs that are traced and fused when a question is first asked."""

from __future__ import annotations

import copy
import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyrocausal.errors import PyrocausalError
from pyrocausal.intervene import Intervention
from pyrocausal.units import Program
from pyrocausal.world import Pass, run

from .keys import Baked, split

logger = logging.getLogger("pyrocausal")

PER_UNIT = "evidence", "noise", "draws", "given", "missing"  # the arguments of `run` with units first
CHECKED = 1000  # units on which a first result is compared with an eager one
CLOSE = 1e-3  # how far apart they may be, relative to the size of the numbers
FEW = 200  # of so many units one may differ: a discrete value whose noise lies at a boundary


class NotCompiled(Exception):
    """Why a question is not answered by a graph."""


class Question:
    """A call of `run`: what its graph depends on, apart from the graph's inputs."""

    def __init__(self, program: Program, units: int, asked: Mapping[str, Any]):
        self.program, self.units = program, units
        device = program.device
        named = [(kind, sorted((asked.get(kind) or {}).items())) for kind in PER_UNIT]
        self.names = tuple((kind, name) for kind, values in named for name, _ in values)
        self.per_unit = [x.to(device).contiguous() for _, values in named for _, x in values]
        actions, tensors, self.intervention = split(asked.get("intervention") or Intervention())
        self.acted = [x.to(device) for x in tensors]
        self.options: dict[str, Any] = {
            "pull": asked.get("pull", False),
            "score": asked.get("score", frozenset()),
        }
        levels = asked.get("levels") or {}
        layout = tuple((x.shape[1:], x.dtype) for x in self.per_unit), tuple(x.dtype for x in self.acted)
        shapes = tuple(x.shape for x in self.acted)
        self.key: Hashable = (
            (self.names, layout, shapes, actions, tuple(self.options.values()), tuple(levels.items())),
            (torch.get_default_dtype(), device),
        )
        self.options["levels"] = levels

    def about_few(self) -> Question:
        """The same question about the first units."""
        few = copy.copy(self)
        few.units = min(self.units, CHECKED)
        few.per_unit = [x[:CHECKED] for x in self.per_unit]
        return few

    def ask(self, acted: Sequence[Tensor], per_unit: Sequence[Tensor], units: int) -> Pass:
        """The answer by the program itself."""
        inputs: dict[str, Any] = {kind: {} for kind in PER_UNIT}
        for (kind, name), x in zip(self.names, per_unit, strict=True):
            inputs[kind][name] = x
        return run(self.program, units=units, intervention=self.intervention(acted), **inputs, **self.options)


class _Asking(torch.nn.Module):
    """The program as a function of its parameters, for `torch.func.functional_call`."""

    def __init__(self, question: Question):
        super().__init__()
        self.program, self.question = question.program, question

    def forward(self, acted: Sequence[Tensor], per_unit: Sequence[Tensor], units: int) -> Pass:
        return self.question.ask(acted, per_unit, units)


class Graph:
    """The compiled answer to one question, as long as what was baked into it holds."""

    def __init__(self, question: Question):
        program = question.program
        self.baked = Baked(program)
        self.slots: dict[str, tuple[dict[str, Any], str]] = {}  # where each parameter and buffer is
        seen: set[int] = set()
        for path, module in program.named_modules(prefix="program"):
            for store in (module._parameters, module._buffers):
                for name, x in store.items():
                    if x is not None and id(x) not in seen:
                        seen.add(id(x))
                        self.slots[f"{path}.{name}"] = store, name
        self.layout = [(x.shape, x.dtype) for x in self._parameters()]
        self.outputs: list[tuple[str, str]] = []  # field of the pass, and variable
        from .fusing import Fused  # inductor takes seconds to import
        from .tracing import trace

        asking, count = _Asking(question), len(self.slots)

        def function(fixed: Sequence[Tensor], per_unit: Sequence[Tensor], units: int) -> list[Tensor]:
            parameters = dict(zip(self.slots, fixed))
            found = torch.func.functional_call(asking, parameters, (fixed[count:], per_unit, units))
            columns = [
                (part, name, x) for part, values in found._asdict().items() for name, x in values.items()
            ]
            self.outputs = [(part, name) for part, name, _ in columns]
            return [x for _, _, x in columns]

        fixed = [*self._parameters(), *question.acted]
        traced = trace(function, fixed, question.per_unit)
        self.fused = Fused(traced, fixed, question.per_unit, [name for _, name in self.outputs])

    def _parameters(self) -> list[Tensor]:
        return [store[name] for store, name in self.slots.values()]

    def holds(self) -> bool:
        """Whether the program is still the one that was traced, whatever its parameters' values."""
        slots = self.slots.values()
        if not self.baked.holds() or any(store.get(name) is None for store, name in slots):
            return False
        return all(x.shape == s and x.dtype == d for x, (s, d) in zip(self._parameters(), self.layout))

    def __call__(self, question: Question) -> Pass:
        fixed = [*self._parameters(), *question.acted]
        found = self.fused(question.units, fixed, question.per_unit)
        seen = Pass({}, {}, {}, {}, {}, {})
        for (part, name), x in zip(self.outputs, found, strict=True):
            getattr(seen, part)[name] = x
        return seen


@dataclass
class Compiled:
    """`world.run` for one program: graphs by question, and the program itself where there is none.

    Only passes without gradients are compiled. What can't be is run by the program itself, and a warning says
    so once a program.
    """

    graphs: dict[Hashable, list[Graph]] = field(default_factory=dict)
    refused: dict[Hashable, str] = field(default_factory=dict)
    said: bool = False

    def forget(self) -> None:
        """Drop all graphs: the program has changed."""
        self.graphs.clear()
        self.refused.clear()

    def __reduce__(self) -> Any:
        return Compiled, ()  # a copy of a program compiles its own

    def __call__(self, program: Program, *, units: int, vectorised: bool = True, **asked: Any) -> Pass:
        if torch.is_grad_enabled():
            return run(program, units=units, vectorised=vectorised, **asked)
        if not vectorised or program.has_weights:
            self._say(
                program, "it has weights that all units share" if vectorised else "its units run one by one"
            )
            return run(program, units=units, vectorised=vectorised, **asked)
        question = Question(program, units, asked)
        graph = self._graph(question)
        if graph is not None:
            try:
                return graph(question)
            except RuntimeError as error:
                self._refuse(question, error)
        return run(program, units=units, **asked)

    def _graph(self, question: Question) -> Graph | None:
        if question.key in self.refused:
            return None
        known = self.graphs.setdefault(question.key, [])
        for graph in known:
            if graph.holds():
                return graph
        logger.info("Compiling a question about %s, once.", question.program.name)
        try:
            graph = Graph(question)
            _check(graph, question)
        except PyrocausalError:
            return None  # the eager run will say it
        except Exception as error:
            self._refuse(question, error)
            return None
        known.append(graph)
        return graph

    def _refuse(self, question: Question, error: Exception) -> None:
        self.refused[question.key] = str(error)
        self.graphs.pop(question.key, None)
        self._say(question.program, f"{type(error).__name__}: {error}")

    def _say(self, program: Program, reason: str) -> None:
        if not self.said:
            logger.warning(
                "%s is not compiled but run as it is: %s", program.name, " ".join(reason.split())[:200]
            )
        self.said = True


def _check(graph: Graph, question: Question) -> None:
    """Compare with the program's own answer to the same question.

    The trace saw no numbers at all, so any are fresh to the graph.
    """
    few = question.about_few()
    for part, found, wanted in zip(Pass._fields, graph(few), few.ask(few.acted, few.per_unit, few.units)):
        if list(found) != list(wanted):
            raise NotCompiled(f"the {part} of compiled and eager runs are of other variables")
        for name, x in found.items():
            if not _agree(x, wanted[name]):
                raise NotCompiled(f"compiled and eager runs give other {part} of '{name}'")


def _agree(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    one, other = one.double().reshape(len(one), -1), other.double().reshape(len(other), -1)
    size = other.abs().nan_to_num(0.0, 0.0, 0.0).mean()
    near = torch.isclose(one, other, rtol=CLOSE, atol=CLOSE * float(size), equal_nan=True)
    return int((~near).any(-1).sum()) <= len(near) // FEW
