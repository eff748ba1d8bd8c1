"""What an SCM is: program, graph, variables; and `do`, which gives a submodel that shares them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import pandas as pd
import torch
from torch import nn

from pyrocausal.errors import InterventionError, ProgramError
from pyrocausal.fit import History
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.given import as_graph
from pyrocausal.intervene import (
    Earlier,
    Edge,
    Hard,
    Intervention,
    Policy,
    Shift,
    along,
    parse_action,
    parse_actions,
)
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.model import Model
from pyrocausal.program_from_graph import GraphProgram
from pyrocausal.samples import Samples
from pyrocausal.scm.described import described
from pyrocausal.variables import Variable

logger = logging.getLogger("pyrocausal")

FAR = 5.0  # standard deviations from the training mean at which an action is called far


class Base:
    """What an SCM is made of, and its submodels."""

    def __init__(
        self,
        program: Callable[[], Any],
        *,
        graph: Any = None,
        latent: Iterable[str] = (),
        guide: Callable[..., Any] | None = None,
        seed: int = 0,
    ):
        names = (latent,) if isinstance(latent, str) else tuple(latent)
        self._model = Model(program, graph, names, guide, seed)
        self._intervention = Intervention()
        self._graph: CausalGraph | None = None

    @classmethod
    def from_graph(
        cls,
        graph: Any,
        *,
        mechanisms: Mapping[str, Mechanism] | None = None,
        choose: str = "likelihood",
        seed: int = 0,
    ) -> Self:
        """An SCM without a program: a graph, and for every variable a mechanism chosen by its column.

        Numbers get `m.Continuous()`, 0 and 1 `m.Bernoulli()`, names and two other values
        `m.Categorical(levels)`. For whole numbers from 0 that lie close together, as counts and grades do,
        `m.Continuous()` competes by held-out likelihood with `m.Poisson()`, `m.NegativeBinomial()` and, up to
        9, `m.Categorical()`, and gives way only to what is better beyond noise. The choice is made when `fit`
        first sees the data (again with `reset=True`); `chosen` says what it is, and why.

        Args:
            graph: a DAG: its text, a `CausalGraph` or a networkx graph.
            mechanisms: by name, for variables whose mechanism is not to be chosen.
            choose: "likelihood", or "type" to go by a column's type alone, without competition.
            seed: for building layers and for the set-up checks.

        >>> import pandas as pd, torch, pyrocausal as pc
        >>> generator = torch.Generator().manual_seed(0)
        >>> age = 40 + 12 * torch.randn(500, generator=generator)
        >>> visits = torch.poisson(torch.exp(age / 40), generator=generator)
        >>> data = pd.DataFrame({"age": age, "visits": visits})
        >>> scm = pc.SCM.from_graph("age -> visits").fit(data, epochs=1, progress=False)
        >>> scm.chosen.mechanism.to_dict()
        {'age': 'Continuous', 'visits': 'Poisson'}
        """
        return cls(GraphProgram(as_graph(graph), dict(mechanisms or {}), choose), seed=seed)

    # ---- what it is

    @property
    def graph(self) -> CausalGraph:
        """The causal graph; that of a submodel is mutilated."""
        return self._graph if self._graph is not None else self._model.graph

    @property
    def variables(self) -> Mapping[str, Variable]:
        """Every variable of the program, in its order."""
        return self._model.structure.variables

    @property
    def mechanisms(self) -> dict[str, Mechanism]:
        """The toolkit's mechanisms in the program, by their attribute name."""
        found = self._model.program.named_modules()
        return {name.split(".", 1)[-1]: m for name, m in found if isinstance(m, Mechanism)}

    @property
    def chosen(self) -> pd.DataFrame:
        """What `from_graph` chose, a row a variable: mechanism, parents, why, and the scores of families.

        A score is the log-likelihood of held-out rows, in nats a row, of a family that competed.
        """
        program = self._model.program.module
        if not isinstance(program, GraphProgram):
            raise ProgramError(
                "nothing was chosen: this SCM is made from a program",
                why="its mechanisms are written in the program",
                fix="look at scm.mechanisms",
            )
        _ = self._model.structure  # an error before `fit`
        return program.table()

    @property
    def history(self) -> History | None:
        """The training curves of the last `fit`."""
        return self._model.history

    @property
    def weights(self) -> Samples:
        """Draws from the posterior of the weights that all units share (until `fit`, from their prior).

        A mapping of name to `(draws, 1, *shape)`; empty without `pc.units()`.
        """
        draws = {name: x[:, None] for name, x in self._model.program.weights_posterior.items()}
        found = Samples(draws, self._model.structure.shared, draws=True)
        found.group = "posterior"
        return found

    @property
    def module(self) -> nn.Module:
        """All parameters and buffers, as one torch module."""
        return self._model.program

    def parameters(self) -> Iterator[nn.Parameter]:
        return self._model.program.parameters()

    def to(self, device: str | torch.device) -> Self:
        """Move parameters and buffers; answers come back on that device."""
        self._model.program.to(device)
        return self

    # ---- rung 2: doing

    def do(self, actions: Mapping[str, Any] | None = None, /, **kw: Any) -> Self:
        """The submodel M_x: the same parameters, with actions on some variables, and the mutilated graph.

        An action is a number or level, a tensor (of one unit's shape, or one value per unit), a function of
        the natural value, `pc.policy(function of earlier variables)`, a distribution, `pc.natural(...)`, or
        `pc.edge({child: action})`, which only some children see. A later `do` acts on the submodel:
        `do(x=1).do(x=lambda v: v + 1)` sets x to 2.
        """
        layer = parse_actions(actions, kw, self.variables)
        if not layer:
            raise InterventionError("do() without an action", fix="write do(x=1)")
        edges = {name: action for name, action in layer.items() if isinstance(action, Edge)}
        nodes = {name: action for name, action in layer.items() if name not in edges}
        submodel = self._after(nodes) if nodes else self
        return submodel._along(edges) if edges else submodel

    def _after(self, layer: Mapping[str, Any]) -> Self:
        self._warn_far(layer)
        return self._submodel(self._intervention.then(layer), self._mutilated(layer))

    def _along(self, edges: Mapping[str, Edge]) -> Self:
        """The submodel in which some children see other values than their parents take."""
        intervention = self._intervention
        for layer in along(edges, self.graph, self.variables):
            intervention = intervention.then(layer)
        cut, added = set(), set()
        for name, action in edges.items():
            for child, value in action.by_child.items():
                seen = parse_action(self.variables[name], value, self.variables)
                if not isinstance(seen, Shift):  # a function still reads its parent
                    cut.add((name, child))
                if isinstance(seen, Policy):
                    added |= {(read, child) for read in self._reads(name, seen)}
        return self._submodel(intervention, self.graph.rewired(cut, added))

    def _submodel(self, intervention: Intervention, graph: CausalGraph) -> Self:
        submodel = type(self).__new__(type(self))
        submodel._model, submodel._intervention, submodel._graph = self._model, intervention, graph
        return submodel

    def __repr__(self) -> str:
        fitted = f"\n  {self.history.summary()}" if self.history else ""
        return f"{self._name()}: {self.graph.to_string()}{fitted}"

    def _repr_html_(self) -> str:
        return described(self, self._name())

    def _name(self) -> str:
        return f"SCM under do({', '.join(self._intervention.names)})" if self._intervention.names else "SCM"

    # ---- inside

    def sample(self, n: int = 1, *, seed: int | None = None) -> Samples:
        raise NotImplementedError

    def _needed(self) -> list[str]:
        latent = self._model.graph.latent
        return [
            v.name
            for v in self.variables.values()
            if not v.computed and v.name not in latent and not self._intervention.replaces(v.name)
        ]

    def _mutilated(self, layer: Mapping[str, Any]) -> CausalGraph:
        parents = {}
        for name, action in layer.items():
            if isinstance(action, Shift):
                parents[name] = tuple(self.graph.parents(name))
            elif isinstance(action, Policy):
                parents[name] = self._reads(name, action)
        return self.graph.do(*layer, parents=parents)

    def _reads(self, name: str, action: Policy) -> tuple[str, ...]:
        """The variables that a policy reads, by showing it one unit."""
        values = self.sample(1, seed=0).values_
        earlier = list(values)[: list(values).index(name)]
        shown = Earlier(name, {k: values[k][0] for k in earlier})
        try:
            action.function(shown)
        except (AttributeError, TypeError) as error:
            raise InterventionError(
                f"the policy for '{name}' fails: {error}",
                why="it is called with a mapping of the variables before it",
                fix='read them as in policy(lambda v: v["age"] > 50)',
            ) from error
        return tuple(dict.fromkeys(shown.read))

    def _warn_far(self, layer: Mapping[str, Any]) -> None:
        for name, action in layer.items():
            column = self.variables[name].column
            if isinstance(action, Hard) and column.mean is not None and column.sd:
                gap = ((action.value.double() - column.mean) / column.sd).abs().amax().item()
                if gap > FAR:
                    logger.warning(
                        "do(%s) is %.0f standard deviations from the training data: "
                        "the answer is extrapolation.",
                        name,
                        gap,
                    )
