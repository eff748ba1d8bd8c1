"""Training an SCM, and its file."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor

from pyrocausal import storage
from pyrocausal.answer import Answer
from pyrocausal.ask import ask
from pyrocausal.errors import FitError, SaveError
from pyrocausal.fit import FitOptions, bootstrap, check_trainable, infer_weights, train, train_jointly
from pyrocausal.scm.scoring import Scoring
from pyrocausal.table import Table, read, take_rows
from pyrocausal.variables import check_names


class Training(Scoring):
    """Training, and keeping what was trained."""

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
        self._check_device(settings)
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

    def _check_device(self, settings: FitOptions) -> None:
        try:
            torch.empty(0, device=settings.device)
        except (RuntimeError, AssertionError) as error:
            raise FitError(
                f"device={settings.device!r} can't be used", why=str(error).split("\n")[0], fix='try "cpu"'
            ) from None

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
        self._model.prepare(data, reset=settings.reset, seed=settings.seed)
        need = self._needed() if settings.loss is None else []
        table = read(data, self.variables, where="fit", need=need)
        self._agree(table.values, "fit")
        self._model.learn_columns(data, table.values)
        if settings.loss is not None:
            return table.values
        return {name: x for name, x in table.values.items() if not self.variables[name].computed}

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

    def ask(
        self,
        question: str,
        *,
        data: Any = None,
        num_samples: int | None = None,
        replicas: int | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> Answer:
        """The answer to a causal question in the field's notation, with what it rests on.

        ``P(y > 0 | x=1)``, ``E[y | do(x=1)]``, ``E[y | do(x=1), z=2]`` (z after it),
        ``E[y_{x=1} - y_{x=0} | x=0]`` (of the units with x=0 of themselves), ``E[y_{x=1, m_{x=0}}]``,
        ``Q(y | do(x=x+1), 0.9)``; E, P, Var, SD, Cov, Corr, Med, Q; arithmetic between terms. Names that are
        no words stand in backticks, levels in quotes.

        Args:
            data: rows that the question is about; default: the population of the model. With rows, a term is
                an average over these, each with its own noise.
            num_samples: units drawn from the model (default 50,000; with counts 5,000; with weights that have
                a posterior 5,000 for each of 400 draws of these; none where all can be listed: then the
                answer is exact); with data, draws of a row's noise.
            replicas: refits to resampled rows, for a 95 % interval (100 or more); needs `data`.
            options: of the refits: `only=` (variables whose mechanisms are refitted), epochs, progress ….

        Raises:
            QueryError: the question can't be read or asked; a caret stands under the place.

        >>> import pyro, pyro.distributions as dist, pyrocausal as pc
        >>> def program():
        ...     x = pyro.sample("x", dist.Bernoulli(0.5))
        ...     pyro.sample("y", dist.Bernoulli(0.2 + 0.6 * x))
        >>> scm = pc.SCM(program)
        >>> round(float(scm.ask("E[y | do(x=1)] - E[y | do(x=0)]")), 4)
        0.6
        >>> round(float(scm.ask("P(y_{x=0}=0 | x=1, y=1)")), 4)           # probability of necessity
        0.75
        """
        return ask(
            self, question, data=data, num_samples=num_samples, replicas=replicas, seed=seed, **options
        )

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


def _several(data: Any) -> bool:
    """Whether data is several tables by name."""
    tables = (pd.DataFrame, Mapping)
    return isinstance(data, Mapping) and bool(data) and all(isinstance(x, tables) for x in data.values())


def _bound(settings: FitOptions) -> Callable[[Any, Any], Tensor]:
    def loss(scm: Any, batch: Any) -> Tensor:
        bound = scm.elbo(batch, num_particles=settings.num_particles, bound=settings.bound)
        own = any(name not in scm._intervention.names for name in scm._model.filled)
        return -bound - scm.guide_log_prob(batch) if own else -bound

    return loss
