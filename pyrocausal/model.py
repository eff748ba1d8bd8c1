"""What a model and all its submodels share: the program, what is known of it, and what training learned."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pyrocausal import storage
from pyrocausal.abduct import prior
from pyrocausal.competition import compete
from pyrocausal.compiled import Compiled
from pyrocausal.errors import GraphError, ProgramError
from pyrocausal.fit import History, prior_weights
from pyrocausal.fit.likelihood import Inputs
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.discover import Structure, discover
from pyrocausal.graph.given import as_graph
from pyrocausal.guides import Encoder, Guide
from pyrocausal.intervene import Intervention
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.program_from_graph import GraphProgram
from pyrocausal.table import read
from pyrocausal.units import Program
from pyrocausal.variables import column_of, table_column
from pyrocausal.world import Runner, Values, run

logger = logging.getLogger("pyrocausal")

PRIOR_UNITS = 200  # drawn from the model, to show a guide what evidence may look like


class Model:
    """What a model and all its submodels share: program, structure, history."""

    def __init__(
        self,
        program: Callable[[], Any],
        graph: Any,
        latent: tuple[str, ...],
        guide: Callable[..., Any] | None,
        seed: int,
    ):
        self.program = Program(program)
        self.guide = None if guide is None else Guide(guide)
        if self.guide is not None:  # trained, moved and saved with the program
            self.program.add_module("guide", self.guide.program)
        self.latent, self.seed = latent, seed
        self.declared = None if graph is None else as_graph(graph)
        self.history: History | None = None
        self.diagnostics: dict[str, Any] = {}  # of the weights' posterior
        self._structure: Structure | None = None
        self.compiled = Compiled()
        self.run: Runner = run  # what makes a pass: `run`, or `compiled`
        if not (isinstance(program, GraphProgram) and not program.ready):
            self.set_up()

    @property
    def structure(self) -> Structure:
        if self._structure is None:
            raise ProgramError(
                "the SCM has no mechanisms yet",
                why="made from a graph, it chooses them by the data",
                fix="call fit(df) first",
            )
        return self._structure

    @property
    def graph(self) -> CausalGraph:
        if self._structure is None:
            return self.program.module.graph  # type: ignore[union-attr, return-value]
        return self._structure.graph

    @property
    def proposed(self) -> tuple[str, ...]:
        """The latents that the guide proposes."""
        return tuple(n for n in self.guide.sites if n in self.latent) if self.guide else ()

    @property
    def filled(self) -> tuple[str, ...]:
        """The observed variables that the guide proposes too, for units that lack them."""
        return tuple(n for n in self.guide.sites if n not in self.latent) if self.guide else ()

    @contextmanager
    def compiling(self, compile: bool | None) -> Iterator[None]:
        """Within, passes are compiled or not; None: as it was."""
        before = self.run
        if compile is not None:
            self.run = self.compiled if compile else run
        try:
            yield
        finally:
            self.run = before

    def set_up(self) -> None:
        self.compiled.forget()
        self._structure = discover(self.program, latent=self.latent, seed=self.seed)
        if self.declared is not None:
            _compare(self.declared, self._structure.graph)
        if self._structure.shared and not self.program.weights_posterior:
            with torch.no_grad():
                self.program.keep_posterior(prior_weights(self.program, self._structure, self.seed))
        if self.guide is not None:
            self._set_up_guide(self.guide, self._structure)

    def _set_up_guide(self, guide: Guide, structure: Structure) -> None:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(self.seed)
            noise = prior(
                {**structure.variables, **structure.shared},
                PRIOR_UNITS,
                torch.Generator().manual_seed(self.seed),
            )
            units = run(self.program, units=PRIOR_UNITS, noise=noise, vectorised=structure.vectorised)
            values = {name: units.values[name] for name in structure.variables if name in units.values}
            guide.set_up(structure.variables, self.latent, values)

    def prepare(self, data: Any, *, reset: bool, seed: int) -> None:
        """Before training: choose mechanisms by the data where there are none, or start anew."""
        module = self.program.module
        if reset:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                for part in self.program.modules():
                    if isinstance(part, (Mechanism, Encoder)):
                        part.reset()
        if isinstance(module, GraphProgram) and (reset or not module.ready):
            self._choose(module, data, seed)
        if reset or self._structure is None:
            self.set_up()
        self._name_levels(data)

    def _choose(self, module: GraphProgram, data: Any, seed: int) -> None:
        """Choose mechanisms by type, and where several fit, let them compete.

        The parents' features are those of a trial model by type, which is thrown away.
        """
        contested = module.choose(data)
        if contested:
            trial = Model(copy.deepcopy(module), None, (), None, self.seed)
            trial.program.to("cpu")
            trial._name_levels(data)
            values = read(data, trial.structure.variables, where="fit", need=module.graph.nodes).values
            inputs = Inputs.of(trial.program, trial.structure, Intervention(), values)
            for name, families in contested.items():
                blocks = inputs.mechanisms[name].blocks or ()
                module.settle(name, compete(values[name], inputs.features[name], blocks, families, seed))
        logger.info("Mechanisms: %s.", module.summary(contested))

    def _name_levels(self, data: Any) -> None:
        """Level names must be known before columns are read as codes."""
        for name, variable in self.structure.variables.items():
            values = table_column(data, name, variable.shape) if hasattr(data, "__contains__") else None
            if (
                values is not None
                and variable.discrete
                and not variable.computed
                and variable.column.dtype is None
            ):
                self.structure.variables[name] = variable.with_column(column_of(variable, values))

    def learn_columns(self, data: Any, values: Values) -> None:
        """Remember scales and types, and warn of levels that no row has."""
        for name, variable in self.structure.variables.items():
            column = table_column(data, name, variable.shape)
            if column is not None and not variable.discrete and variable.column.sd is None:
                self.structure.variables[name] = variable.with_column(column_of(variable, column))
            if name in values and variable.column.levels is not None:
                seen = set(values[name].long().flatten().tolist())
                for code, level in enumerate(variable.column.levels):
                    if code not in seen:
                        logger.warning(
                            "No row has level %r of '%s': answers about it rest on nothing.", level, name
                        )

    def restore(self, found: storage.Stored, path: str | Path) -> None:
        found.load_into(self.program, self.structure.variables, path)
        for name, column in found.columns.items():
            self.structure.variables[name] = self.structure.variables[name].with_column(column)


def _compare(declared: CausalGraph, seen: CausalGraph) -> None:
    extra = set(seen.edges) - set(declared.edges)
    if extra:
        a, b = sorted(extra)[0]
        raise GraphError(
            f"the program has the edge {a} -> {b}, which the declared graph lacks",
            why=f"the value of '{a}' changes the distribution of '{b}'",
            fix="correct the program, or add the edge to the graph",
        )
    for a, b in sorted(set(declared.edges) - set(seen.edges)):
        logger.warning("The declared edge %s -> %s was never seen in the program.", a, b)
