"""Training an SCM, its likelihoods, and its file."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor

from pyrocausal import storage
from pyrocausal.abduct import Problem
from pyrocausal.abduct.bounds import BOUNDS, log_marginal
from pyrocausal.errors import DataError, FitError, SaveError
from pyrocausal.fit import FitOptions, bootstrap, check_trainable, infer_weights, train, train_jointly
from pyrocausal.intervene import Hard
from pyrocausal.scm.asking import WEIGHT_DRAWS, Asking
from pyrocausal.table import Table, read, take_rows, whole
from pyrocausal.variables import check_names

MOST_RUNS = 1_000_000  # of one unit, in a likelihood under uncertain weights, unless more are asked for


class Training(Asking):
    """Likelihoods, training, and keeping what was trained."""

    def log_prob(self, data: Any, *, num_samples: int | None = None) -> Tensor:
        """log p(observed variables) of each unit, `(units,)`, differentiable.

        Discrete latents are summed out. The data must have every variable that is not latent. Where weights
        have a posterior (`pc.units()`), p is averaged over draws of it: an estimate, which is -inf or too low
        far from the data.

        Args:
            num_samples: draws of the weights; default: all that are kept, or fewer for very many units.

        Raises:
            EvidenceError: a continuous latent is not in the data: see `elbo`.
        """
        problem, copies = self._scored(data, "log_prob", 0, num_samples)
        with self._weighted(copies, problem.units // copies, problem.generator):
            each = log_marginal(problem).reshape(copies, -1)
        return torch.logsumexp(each, 0) - math.log(copies)

    def elbo(
        self, data: Any, *, num_particles: int = 1, bound: str = "elbo", seed: int | None = None
    ) -> Tensor:
        """A lower bound of log p(observed variables) of each unit, `(units,)`, by draws from the guide.

        It is differentiable in the parameters of model and guide, so that a loss can be put together from
        submodels: `-scm.do(m=0.0).elbo(batch)`. Discrete latents that the guide does not propose are summed
        out; without any latent it is `log_prob`.

        Args:
            num_particles: draws a unit.
            bound: "elbo", or "iwae", which is tighter with more particles (Burda et al. 2016).
            seed: of the draws; default: torch's global state.
        """
        if bound not in BOUNDS:
            raise FitError(f"bound={bound!r}", fix=f"use one of {', '.join(BOUNDS)}")
        particles = whole(num_particles, "num_particles", least=1)
        if self._model.structure.shared:
            raise FitError(
                "elbo is about parameters, and this SCM has weights with a posterior", fix="use log_prob"
            )
        return BOUNDS[bound](self._scored(data, "elbo", seed)[0], particles)

    def guide_log_prob(self, data: Any, *, seed: int | None = None) -> Tensor:
        """log q of the observed variables that the guide has sites for, `(units,)`, differentiable.

        The bound says nothing of them, because they are not drawn where they are known. `fit` maximises
        `elbo` + `guide_log_prob`, so that they can be proposed for units that lack them, as in Louizos et al.
        2017 (CEVAE), eq. 10: q(t | x) and q(y | x, t).

        >>> import pyro, pyro.distributions as dist, pyrocausal as pc
        >>> def program():
        ...     z = pyro.sample("z", dist.Normal(0.0, 1.0))
        ...     pyro.sample("x", dist.Normal(z, 1.0))
        ...     pyro.sample("y", dist.Normal(z, 1.0))
        >>> def mean_of_z(x, y):
        ...     return dist.Normal((x + y) / 3, 3**-0.5)
        >>> guide = pc.guides.Amortized(z=mean_of_z, y=lambda x: dist.Normal(x / 2, 1.5**0.5))
        >>> scm = pc.SCM(program, latent=["z"], guide=guide)
        >>> scm.guide_log_prob({"x": [0.0], "y": [0.0]})                # log q(y | x)
        tensor([-1.1217])
        >>> noise = scm.abduct({"x": [2.0], "y": [None]}, missing="abduct", method="guide", seed=0)
        >>> noise.mean("z").round()                                      # E[z | x] = 1
        tensor([1.], dtype=torch.float64)
        """
        if not self._model.fills:
            raise FitError(
                "the guide proposes no observed variable",
                why="guide_log_prob is log q of such",
                fix="leave it out, or give the guide a site for what units may lack: Amortized(t=…)",
            )
        return self._scored(data, "elbo", seed)[0].propose(1).log_told

    def fit(self, data: Any, **options: Any) -> Self:
        """Maximum likelihood training on a DataFrame or mapping of tensors; returns self.

        Scales are learned from the training split, once (`reset=True` starts anew). Mechanisms are trained
        together and each keeps the averaged weights that were best on its own held-out likelihood.

        Weights with a prior (see `pc.units`) get a posterior instead: `method="svi"` (a Gaussian, its draws
        weighted and resampled) or "nuts".

        With latents, model and guide are trained together by the evidence lower bound (`bound="iwae"`: the
        importance-weighted one), plus `guide_log_prob` if the guide proposes observed variables; with
        discrete latents only and no guide, by the exact likelihood. With `loss=`, by that: `data` may then
        also be several tables by name, of which each batch has rows.

        The options (epochs, batch_size, learning_rate, weight_decay, validation, patience, averaging, seed,
        device, progress, checkpoint, reset, only, loss, num_particles, bound, method) are those of
        `pyrocausal.fit.FitOptions`.

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
        if settings.loss is not None and _several(data):
            tables = {name: self._training_table(table, settings) for name, table in data.items()}
        else:
            tables = {"": self._training_table(data, settings)}
        model, first = self._model, next(iter(tables.values()))
        unseen = [n for n in self._needed_of_all() if n not in first]
        if model.structure.shared:
            return self._fit_weights(first, unseen, settings)
        if settings.method is not None:
            raise FitError(
                f"method={settings.method!r} is for weights that have a prior",
                why="this SCM has none, and its parameters are trained by gradient descent",
                fix="leave it out",
            )
        check_trainable(model.program, self._intervention, first)
        if settings.loss is None:
            self._check_bounded(unseen)
        if settings.loss is None and not unseen:
            model.history = train(model.program, model.structure, self._intervention, first, settings)
        else:
            loss = partial(settings.loss or _bound(settings), self)
            model.history = train_jointly(
                model.program, model.structure, self._intervention, model.guide, tables, loss, settings
            )
        return self

    def _fit_weights(self, table: dict[str, Tensor], unseen: list[str], settings: FitOptions) -> Self:
        """Infer the posterior of the weights that all units share."""
        model = self._model
        for name in unseen:
            if not self.variables[name].discrete:
                raise FitError(
                    f"'{name}' is a continuous latent, and weights have priors",
                    why="the weights' posterior needs each row's likelihood, which is an integral over it",
                    fix="observe it, or make the weights parameters (torch.nn.Parameter) and give a guide",
                )
        if any(p.requires_grad for p in model.program.parameters()) or settings.loss is not None:
            raise FitError(
                "the program has weights with a prior, and parameters (or a loss) too",
                why="the weights get a posterior given all rows, which parameters don't have",
                fix="give every parameter a prior, or none",
            )
        problem = self._problem(Table(table, None, {}), settings.seed)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(settings.seed)
            draws, model.diagnostics = infer_weights(problem, settings.method or "svi")
        model.program.keep_posterior(draws)
        return self

    def _training_table(self, data: Any, settings: FitOptions) -> dict[str, Tensor]:
        self._model.prepare(data, reset=settings.reset)
        need = self._needed() if settings.loss is None else []
        table = read(data, self.variables, where="fit", need=need)
        self._agree(table.values, "fit")
        self._model.learn_columns(data, table.values)
        return table.values

    def _needed_of_all(self) -> list[str]:
        """Every variable with a mechanism of its own, latents too."""
        replaced = self._intervention.replaces
        return [v.name for v in self.variables.values() if not (v.computed or v.optional or replaced(v.name))]

    def _check_bounded(self, unseen: list[str]) -> None:
        """Every latent must be proposed by the guide or be discrete, to be summed out."""
        proposed = self._model.proposed
        for name in unseen:
            if name not in proposed and not self.variables[name].discrete:
                raise FitError(
                    f"an SCM with the unobserved latent '{name}' can't be trained by likelihood alone",
                    why="the likelihood is an integral over the latent",
                    fix=f'give it a guide: SCM(program, latent=["{name}"], '
                    f'guide=pc.guides.Amortized("{name}"))',
                )

    def _scored(
        self, data: Any, where: str, seed: int | None, num_samples: int | None = None
    ) -> tuple[Problem, int]:
        """The likelihood as a problem, and how many draws of the shared weights it has of each unit."""
        proposed = self._model.proposed if where == "elbo" else ()
        need = [name for name in self._needed() if name not in proposed]
        table = read(data, self.variables, where=where, need=need)
        self._agree(table.values, where)
        copies = self._count_draws(num_samples) or self._copies(len(next(iter(table.values.values()))))
        return self._problem(table.repeated(copies), seed, free=proposed, copies=copies), copies

    def _copies(self, units: int) -> int:
        """How many draws of the shared weights a likelihood averages over."""
        kept = [len(x) for x in self._model.program.weights_posterior.values()]
        return min(kept[0], max(WEIGHT_DRAWS, MOST_RUNS // units)) if kept else 1

    def bootstrap(
        self,
        data: Any,
        statistic: Callable[[Any, Any], Any],
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
        if self._model.structure.shared or self._model.graph.latent or settings.loss is not None:
            raise FitError(
                "bootstrap refits fully observed SCMs by likelihood",
                why="with latents or a loss of your own, refits can't share one batched training",
                fix="resample the rows yourself and fit a copy to each",
            )
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

    def _copy(self) -> Self:
        """The same (sub)model with parameters of its own."""
        twin = copy.copy(self)
        twin._model = copy.copy(self._model)
        twin._model.program = copy.deepcopy(self._model.program)
        return twin

    def save(self, path: str | Path) -> None:
        """Parameters, scales, levels and graph in one safetensors file, written atomically."""
        if self._intervention.names:
            raise SaveError(
                "this is a submodel, under do(…)", fix="save the model, and act again after loading"
            )
        storage.save(path, self._model.program, self.variables, self._model.graph)

    @classmethod
    def load(cls, path: str | Path, program: Callable[[], Any] | None = None, **options: Any) -> Self:
        """The SCM that `save` wrote. One made from a graph needs nothing else; others need their program."""
        found = storage.read(path)
        options.setdefault("latent", tuple(found.graph.latent))
        scm = cls(program if program is not None else found.graph_program(path), **options)
        scm._model.restore(found, path)
        return scm

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


def _several(data: Any) -> bool:
    """Whether data is several tables by name."""
    tables = (pd.DataFrame, Mapping)
    return isinstance(data, Mapping) and bool(data) and all(isinstance(x, tables) for x in data.values())


def _bound(settings: FitOptions) -> Callable[[Any, Any], Tensor]:
    def loss(scm: Any, batch: Any) -> Tensor:
        bound = scm.elbo(batch, num_particles=settings.num_particles, bound=settings.bound)
        return -bound - scm.guide_log_prob(batch) if scm._model.fills else -bound

    return loss
