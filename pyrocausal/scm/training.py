"""Training an SCM, its likelihoods, and its file."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from pyrocausal import storage
from pyrocausal.errors import DataError, FitError, SaveError
from pyrocausal.fit import FitOptions, bootstrap, log_prob, train
from pyrocausal.intervene import Hard
from pyrocausal.scm.base import Base
from pyrocausal.table import read, take_rows
from pyrocausal.variables import check_names


class Training(Base):
    """Likelihoods, training, and keeping what was trained."""

    def log_prob(self, data: Any) -> Tensor:
        """log p(observed variables) of each unit, `(units,)`, differentiable.

        The data must have every variable that is not latent.
        """
        table = read(data, self.variables, where="log_prob", need=self._needed())
        self._agree(table.values, "log_prob")
        return log_prob(self._model.program, self._model.structure, self._intervention, table.values)

    def fit(self, data: Any, **options: Any) -> Self:
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
