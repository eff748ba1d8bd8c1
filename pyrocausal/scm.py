"""`SCM`: what a user holds. It owns no algorithm: it checks what comes in and calls those who do the work."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyrocausal import storage
from pyrocausal.abduct import abduct, prior
from pyrocausal.counterfactual import Worlds
from pyrocausal.errors import DataError, EvidenceError, FitError, InterventionError, SaveError
from pyrocausal.fit import FitOptions, History, bootstrap, log_prob, train
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.intervene import Earlier, Hard, Intervention, Natural, Policy, Shift, parse_actions
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.model import Model, as_graph
from pyrocausal.program_from_graph import GraphProgram
from pyrocausal.samples import Counterfactual, Noise, Samples
from pyrocausal.table import read, take_rows, whole
from pyrocausal.variables import Variable, check_names
from pyrocausal.world import action_noise

logger = logging.getLogger("pyrocausal")

FAR = 5.0  # standard deviations from the training mean at which an action is called far


class SCM:
    """A structural causal model: a Pyro program for one unit, with Pearl's three rungs as calls.

    Args:
        program: a function or `PyroModule` (an instance) that takes no arguments and whose `pyro.sample`
            sites are the model's variables, for one unit: no plate, no batch dimension.
        graph: what the graph is believed to be (a `CausalGraph`, its text, or a networkx graph). An edge of
            the program that it lacks is an error; an edge of it that the program lacks, a warning.
        latent: variables that are never observed.
        seed: for building layers and for the set-up checks; the global random state is left alone.

    Raises:
        ProgramError: the program is no SCM (observed sites, hidden randomness, state between calls …).
        UnsupportedDistribution: a site's distribution has no derived noise; the error shows how to give it.

    >>> import pyro, pyro.distributions as dist, torch, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     y = pyro.sample("y", dist.Normal(2.0 * x, 1.0))
    >>> scm = pc.SCM(program)
    >>> scm.graph.to_string()
    'x -> y'
    >>> cf = scm.counterfactual({"x": [1.0], "y": [3.0]}, do={"x": 0.0})
    >>> cf["y"]
    tensor([1.])
    """

    def __init__(
        self,
        program: Callable[[], Any],
        *,
        graph: Any = None,
        latent: Iterable[str] = (),
        seed: int = 0,
    ):
        self._model = Model(program, graph, (latent,) if isinstance(latent, str) else tuple(latent), seed)
        self._intervention = Intervention()
        self._graph: CausalGraph | None = None

    @classmethod
    def from_graph(
        cls,
        graph: Any,
        *,
        mechanisms: Mapping[str, Mechanism] | None = None,
        seed: int = 0,
    ) -> SCM:
        """An SCM without a program: a graph, and for every variable a mechanism chosen by its column's type.

        Numbers get `m.Continuous()`, 0 and 1 `m.Bernoulli()`, names and two other values
        `m.Categorical(levels)`; `mechanisms` overrides by name. The choice is made when `fit` sees the data.

        >>> import pandas as pd, torch, pyrocausal as pc
        >>> x = torch.randn(300, generator=torch.Generator().manual_seed(0))
        >>> data = pd.DataFrame({"x": x, "y": 2 * x + 1})
        >>> scm = pc.SCM.from_graph("x -> y").fit(data, epochs=1, progress=False)
        >>> scm.variables["y"].kind
        'continuous'
        """
        return cls(GraphProgram(as_graph(graph), dict(mechanisms or {})), seed=seed)

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
    def history(self) -> History | None:
        """The training curves of the last `fit`."""
        return self._model.history

    @property
    def module(self) -> nn.Module:
        """All parameters and buffers, as one torch module."""
        return self._model.program

    def parameters(self) -> Iterator[nn.Parameter]:
        return self._model.program.parameters()

    def to(self, device: str | torch.device) -> SCM:
        """Move parameters and buffers; answers come back on that device."""
        self._model.program.to(device)
        return self

    # ---- rung 1: seeing

    @torch.no_grad()
    def sample(self, n: int = 1, *, seed: int | None = None) -> Samples:
        """`n` units drawn from the model (of a submodel: from the interventional distribution)."""
        n = whole(n, "the number of units n", least=1)
        generator = _generator(seed)
        noise = prior(self.variables, n, generator)
        worlds = self._worlds(noise, n, 1, generator)
        return Samples(worlds.run(self._intervention).values, self.variables)

    def log_prob(self, data: Any) -> Tensor:
        """log p(observed variables) of each unit, `(units,)`, differentiable.

        The data must have every variable that is not latent.
        """
        table = read(data, self.variables, where="log_prob", need=self._needed())
        self._agree(table.values, "log_prob")
        return log_prob(self._model.program, self._model.structure, self._intervention, table.values)

    def fit(self, data: Any, **options: Any) -> SCM:
        """Maximum likelihood training on a DataFrame or mapping of tensors; returns self.

        Scales are learned from the training split, once (`reset=True` starts anew). Mechanisms are trained
        together and each keeps the averaged weights that were best on its own held-out likelihood.

        The options (epochs, batch_size, learning_rate, validation, patience, averaging, seed, device,
        progress, checkpoint, reset) are those of `pyrocausal.fit.FitOptions`.

        >>> import pyro, pyrocausal as pc, torch
        >>> from pyro.nn import PyroModule
        >>> from pyrocausal import mechanisms as m
        >>> class Line(PyroModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.x, self.y = m.Linear(), m.Linear()
        ...     def forward(self):
        ...         x = pyro.sample("x", self.x())
        ...         pyro.sample("y", self.y(x))
        >>> x = torch.randn(500, generator=torch.Generator().manual_seed(0))
        >>> scm = pc.SCM(Line()).fit({"x": x, "y": 3 * x + 0.1 * torch.randn(500)}, epochs=3, progress=False)
        >>> round(scm.do(x=2.0).sample(2000, seed=0)["y"].mean().item())
        6
        """
        settings = FitOptions.of(options)
        self._model.prepare(data, reset=settings.reset)
        table = read(data, self.variables, where="fit", need=self._needed())
        self._agree(table.values, "fit")
        self._model.learn_columns(data, table.values)
        self._model.history = train(
            self._model.program, self._model.structure, self._intervention, table.values, settings
        )
        return self

    def bootstrap(
        self,
        data: Any,
        statistic: Callable[[SCM, Any], Any],
        *,
        replicas: int = 100,
        only: Iterable[str] | None = None,
        **options: Any,
    ) -> Tensor:
        """What a statistic would have been on other samples: refits to resampled rows, run as one batch.

        Args:
            data: what the SCM was fitted to.
            statistic: a function of a refitted SCM and its resampled rows, giving a number or tensor.
            replicas: how many refits.
            only: variables whose mechanisms are refitted, if the statistic depends on no others; default all.
            options: of `FitOptions`. Each refit starts anew and is judged on its out-of-bag rows.

        Returns:
            The statistic of every refit, `(replicas, ...)`; its quantiles are the percentile interval.
        """
        settings = FitOptions.of(options)
        if not isinstance(replicas, int) or replicas < 2:
            raise FitError(
                f"replicas={replicas!r}", why="an interval needs at least two refits", fix="pass 100 or more"
            )
        sites = list(self._needed()) if only is None else list(only)
        check_names(sites, self.variables, where="bootstrap(only=…)")
        table = read(data, self.variables, where="bootstrap", need=self._needed())
        twin = self._copy()
        refits = bootstrap(
            twin._model.program, twin._model.structure, table.values, settings, replicas=replicas, sites=sites
        )
        found = [torch.as_tensor(statistic(twin, take_rows(data, rows))) for rows in refits]
        return torch.stack(found)

    def _copy(self) -> SCM:
        """The same (sub)model with parameters of its own."""
        twin = copy.copy(self)
        twin._model = copy.copy(self._model)
        twin._model.program = copy.deepcopy(self._model.program)
        return twin

    # ---- rung 2: doing

    def do(self, actions: Mapping[str, Any] | None = None, /, **kw: Any) -> SCM:
        """The submodel M_x: the same parameters, with actions on some variables, and the mutilated graph.

        An action is a number or level, a tensor (of one unit's shape, or one value per unit), a function of
        the natural value, `pc.policy(function of earlier variables)`, a distribution, or `pc.natural(...)`. A
        later `do` acts on the submodel: `do(x=1).do(x=lambda v: v + 1)` sets x to 2.
        """
        layer = parse_actions(actions, kw, self.variables)
        if not layer:
            raise InterventionError("do() without an action", fix="write do(x=1)")
        submodel = SCM.__new__(SCM)
        submodel._model = self._model
        submodel._intervention = self._intervention.then(layer)
        submodel._graph = self._mutilated(layer)
        self._warn_far(layer)
        return submodel

    # ---- rung 3: imagining

    @torch.no_grad()
    def abduct(
        self,
        evidence: Any,
        *,
        method: str = "auto",
        num_samples: int | None = None,
        seed: int | None = None,
    ) -> Noise:
        """Step 1: the exogenous noise given evidence, P(u | evidence).

        Args:
            evidence: a DataFrame, mapping or Series with every variable that is not latent.
            method: "exact" (everything observed: noise is pulled out; for discrete variables it is one draw
                from its posterior), "importance" (latents proposed from their prior, weighted and resampled),
                or "auto".
            num_samples: draws per unit, as a leading axis; default: no axis for "exact", 1000 for
                "importance".
            seed: for the draws.

        Raises:
            EvidenceError: a variable is missing, or the evidence is impossible or contradicts the model.
        """
        num_samples = (
            None if num_samples is None else whole(num_samples, "the number of draws num_samples", least=1)
        )
        if any(isinstance(action, Natural) for _, _, _, action in self._intervention.items()):
            raise EvidenceError(
                "evidence in a submodel with natural(…) is not supported",
                why="its value depends on a second world, whose noise is what is asked for",
                fix="abduct in the model without it, and predict in this one",
            )
        table = read(evidence, self.variables, where="evidence")
        generator = _generator(seed)
        units = len(next(iter(table.values.values())))
        given = (
            self._worlds({}, units, 1, generator).given(self._intervention)
            if self._intervention.names
            else {}
        )
        noise = abduct(
            self._model.program,
            self._model.structure,
            self._intervention,
            table.values,
            given=given,
            method=method,
            num_samples=num_samples,
            generator=generator,
        )
        noise.index = noise.factual.index = table.index  # type: ignore[union-attr]
        return noise

    @torch.no_grad()
    def predict(self, noise: Noise, *, seed: int | None = None) -> Samples:
        """Step 3: the values of these units in this (sub)model, from their noise."""
        if not isinstance(noise, Noise):
            raise EvidenceError(f"predict takes the Noise that abduct gives, not {type(noise).__name__}")
        actions = [action_noise(name) for name in self.variables]
        check_names(noise, [*self.variables, *actions], where="noise")
        lacking = [v.name for v in self.variables.values() if not v.computed and v.name not in noise]
        if lacking:
            raise EvidenceError(f"the noise of '{lacking[0]}' is missing", fix="pass all that abduct gave")
        return self._predict_worlds(noise, {"": self._intervention}, seed)[0][""]

    @torch.no_grad()
    def counterfactual(
        self,
        evidence: Any,
        *,
        do: Mapping[str, Any],
        method: str = "auto",
        num_samples: int | None = None,
        seed: int | None = None,
    ) -> Counterfactual:
        """Abduction, action and prediction in one: what the same units would have been.

        Args:
            evidence: see `abduct`.
            do: actions, `{"quit": 1}`; or several named worlds, `{"quit": {"quit": 1}, "stay": {"quit": 0}}`.
            method, seed: see `abduct`.
            num_samples: draws per unit, as a leading axis. Default: none where the answer is exact; 100 where
                it depends on noise that evidence does not determine (discrete descendants of an action); 1000
                with latents.
        """
        worlds = _named_worlds(do)
        submodels = {name: self.do(actions) if actions else self for name, actions in worlds.items()}
        if num_samples is None and method != "importance" and self._ambiguous(submodels.values()):
            num_samples = 100
        noise = self.abduct(evidence, method=method, num_samples=num_samples, seed=seed)
        assert noise.factual is not None
        found, natural = self._predict_worlds(
            noise, {k: m._intervention for k, m in submodels.items()}, seed, factual=noise.factual
        )
        return Counterfactual(found, factual=noise.factual, noise=noise, natural=natural)

    # ---- keeping

    def save(self, path: str | Path) -> None:
        """Parameters, scales, levels and graph in one safetensors file, written atomically."""
        if self._intervention.names:
            raise SaveError(
                "this is a submodel, under do(…)", fix="save the model, and act again after loading"
            )
        storage.save(path, self._model.program, self.variables, self._model.graph)

    @classmethod
    def load(cls, path: str | Path, program: Callable[[], Any] | None = None, **options: Any) -> SCM:
        """The SCM that `save` wrote. One made from a graph needs nothing else; others need their program."""
        found = storage.read(path)
        options.setdefault("latent", tuple(found.graph.latent))
        scm = cls(program if program is not None else found.graph_program(path), **options)
        scm._model.restore(found, path)
        return scm

    def __repr__(self) -> str:
        done = f" under do({', '.join(self._intervention.names)})" if self._intervention.names else ""
        return f"SCM{done}: {self.graph.to_string()}"

    def _repr_html_(self) -> str:
        return self.graph._repr_html_()

    # ---- inside

    def _needed(self) -> list[str]:
        latent = self._model.graph.latent
        return [
            v.name
            for v in self.variables.values()
            if not v.computed and v.name not in latent and not self._intervention.replaces(v.name)
        ]

    def _worlds(
        self,
        noise: Mapping[str, Tensor],
        units: int,
        copies: int,
        generator: torch.Generator,
        factual: Mapping[str, Tensor] | None = None,
    ) -> Worlds:
        return Worlds(
            self._model.program,
            self._model.structure,
            dict(noise),
            units=units,
            copies=copies,
            generator=generator,
            factual=dict(factual or {}),
            base=self._intervention,
        )

    def _predict_worlds(
        self,
        noise: Noise,
        worlds: Mapping[str, Intervention],
        seed: int | None,
        factual: Samples | None = None,
    ) -> tuple[dict[str, Samples], dict[str, Samples]]:
        draws, units = noise.num_draws, noise.num_units

        def flat(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {k: x.flatten(0, 1) if noise.has_draws else x for k, x in values.items()}

        store = self._worlds(flat(noise), units, draws or 1, _generator(seed, stream=1), flat(factual or {}))

        def shaped(values: Mapping[str, Tensor]) -> Samples:
            if draws is not None:
                values = {k: x.reshape(draws, units, *x.shape[1:]) for k, x in values.items()}
            return Samples(values, self.variables, draws=draws is not None, index=noise.index)

        passes = {name: store.run(intervention) for name, intervention in worlds.items()}
        natural = {
            name: shaped({k: seen.natural[k] for k in worlds[name].names}) for name, seen in passes.items()
        }
        return {name: shaped(seen.values) for name, seen in passes.items()}, natural

    def _ambiguous(self, submodels: Iterable[SCM]) -> bool:
        """Whether some world's values depend on noise that exact evidence does not determine."""
        random = {v.name for v in self.variables.values() if v.draws is not None}
        moved: set[str] = set()
        for submodel in submodels:
            for name in submodel._intervention.names:
                moved |= set(submodel.graph.descendants(name))
            moved -= {n for n in submodel._intervention.names if submodel._intervention.replaces(n)}
        return bool(random & moved) and not self._model.graph.latent

    def _agree(self, values: Mapping[str, Tensor], where: str) -> None:
        """Data given for a variable that this submodel sets must be what it sets."""
        for name, chain in self._intervention.chains.items():
            action = chain[-1][1]
            fixed = name in values and isinstance(action, Hard) and not action.per_unit
            if fixed and (values[name] != action.value).any():  # type: ignore[union-attr]
                raise DataError(
                    f"{where}: the data's '{name}' is not what this submodel sets by do",
                    why="its mechanism is replaced there",
                    fix=f"leave '{name}' out, or use the rows in which it has that value",
                )

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


def _named_worlds(do: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    if not isinstance(do, Mapping) or not do:
        raise InterventionError(f"do={do!r} names no action", fix='write do={"x": 1}')
    if all(isinstance(value, Mapping) for value in do.values()):
        return dict(do)
    return {"do": do}


def _generator(seed: int | None, stream: int = 0) -> torch.Generator:
    """A generator of its own for every call and stream; without a seed, from torch's global state."""
    start = int(torch.randint(2**62, ())) if seed is None else whole(seed, "seed", least=0) * 8 + stream
    return torch.Generator().manual_seed(start % 2**63)
