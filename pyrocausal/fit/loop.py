"""The training loop: all mechanisms at once, each judged on its own held-out likelihood.

The likelihood of a fully observed SCM is a sum over sites, so one loop trains every mechanism as if alone:
each keeps the averaged weights that were best on the held-out rows, and stops when it no longer improves.
A mechanism with a `tolerance` keeps the last ones that are not clearly worse than the best, nor by much.

The parameters may carry a leading axis of replicas (see `pyrocausal.fit.refit`): then every replica is
trained on its own resample of the rows, all of them in the same tensor operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module

from pyrocausal.errors import FitError
from pyrocausal.fit.likelihood import Inputs, families
from pyrocausal.fit.options import FitOptions, History
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.world import Values

OWN = 3  # times the steps, where variables have no mechanism of the toolkit's
EVALUATIONS = 40  # of the held-out likelihood in one training
CHUNK = 10  # replicas judged at once, so that the intermediate tensors stay in the cache
TOLERATED = 0.01  # nats a row by which late weights may at most be worse, however unsure that is
WARM_UP = 0.05  # fraction of the steps in which the learning rate rises
NOTHING = -1e30  # a score that any other beats; finite, because rows that do not count have weight 0

T = TypeVar("T")


class Scores(Protocol):
    """What a loop maximises the mean of: scores `(units,)` of a batch by site, at given parameters."""

    @property
    def program(self) -> nn.Module: ...

    def __call__(
        self, batch: Any, sites: Collection[str], parameters: Mapping[str, Tensor] | None = None
    ) -> Values: ...


class Loop:
    """One training in progress.

    Args:
        rows: training rows `(n,)`, or `(replicas, n)`.
        held: held-out rows; `weights` `(replicas, held)` says which count for which replica.
        parameters: leaves by name, each with a leading axis of replicas if `rows` has one.
        constants: buffers by name that each replica has of its own, with the axis of replicas.
        sites: whose mechanisms to train; default all.
        evaluations: how often, in all, the held-out likelihood is looked at.
    """

    def __init__(
        self,
        scores: Scores,
        inputs: Inputs,
        data: Values,
        rows: Tensor,
        held: Tensor,
        parameters: Mapping[str, Tensor],
        options: FitOptions,
        *,
        weights: Tensor | None = None,
        constants: Mapping[str, Tensor] | None = None,
        sites: Collection[str] | None = None,
        evaluations: int = EVALUATIONS,
    ):
        self.scores, self.inputs, self.data = scores, inputs, data
        self.rows, self.held, self.weights = rows, held, weights
        self.parameters, self.constants, self.options = dict(parameters), dict(constants or {}), options
        self.replicated = rows.dim() == 2
        self.steps, self.batch = options.sized(rows.shape[-1])
        if options.epochs is None and set(data) - set(inputs.mechanisms):
            self.steps *= OWN  # layers and parameters of the user's do not start near their optimum
        self.every = max(min(10, self.steps), self.steps // evaluations)
        self.step = 0
        self.groups = families(self._sample_scores(data if sites is None else sites), parameters)
        self.active = {i for i, _ in enumerate(self.groups)}
        self.average = {name: p.detach().clone() for name, p in parameters.items()}
        self.best = {name: p.detach().clone() for name, p in parameters.items()}
        self.tolerance = [min(map(self._tolerance, sites)) for sites, _ in self.groups]
        self.top = [torch.full((*self._replica_shape, 1), NOTHING) for _ in self.groups]
        self.best_step = [0 for _ in self.groups]
        self.curves: dict[int, dict[str, float]] = {}
        self.optimizer = self._optimizer()

    # ---- one step

    @property
    def due(self) -> bool:
        return self.step % self.every == 0 or self.step == self.steps

    def advance(self) -> None:
        """One step of Adam on the next batch of rows, and of the weights' moving average."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._map(self._objective)(self._arguments(), rows_of(self.data, self._next_rows()))
        if not torch.isfinite(loss).all():
            self._diverged()
        loss.sum().backward()
        self.optimizer.step()
        self.step += 1
        self._average()

    def _objective(self, parameters: Mapping[str, Tensor], batch: Values) -> Tensor:
        """Mean negative log-likelihood of the active sites, plus their mechanisms' penalties."""
        active = self._active_sites()
        used = self._mechanisms(active)
        with self._at(parameters):
            scores = self.scores(batch, active)
            penalty = sum((m.penalty() for m in used), start=torch.zeros(()))
        return penalty - torch.stack([scores[site].mean() for site in sorted(active)]).sum()

    def _average(self) -> None:
        decay = min(self.options.averaging, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, p in self.parameters.items():
                self.average[name].lerp_(p, 1.0 - decay)

    # ---- judging

    @torch.no_grad()
    def evaluate(self) -> float:
        """Look at the held-out rows: each group keeps good averages, and stops when they no longer are."""
        scores = self._held_scores()
        before = self.curves.get(max(self.curves, default=0), {})
        means = {site: float(-self._held_mean(score).mean()) for site, score in scores.items()}
        self.curves[self.step] = {**before, **means}
        for i in sorted(self.active):
            sites, names = self.groups[i]
            score = torch.stack([scores[site] for site in sorted(sites)]).sum(0)
            gain, error = self._gain(score, self.top[i])
            self.top[i] = torch.where((gain > 0)[..., None], score, self.top[i])
            good = (gain > 0) | (gain > -(self.tolerance[i] * error).clamp_max(TOLERATED))
            for name in names:
                p = self.average[name]
                self.best[name] = torch.where(_like(good, p), p, self.best[name])
            if good.any():
                self.best_step[i] = self.step
            elif self.step - self.best_step[i] > self.options.patience * self.steps:
                self.active.discard(i)
        return sum(self.curves[self.step].values())

    def _held_scores(self) -> Values:
        """Every site's scores of the held-out rows at the averages, `(held,)` or `(replicas, held)`.

        Without held-out rows it is the step's own number, so that the last step is the best.
        """
        if not len(self.held):
            ahead = torch.full((*self._replica_shape, 1), float(self.step))
            return dict.fromkeys(self.trained, ahead)
        return self._held_units(self.average, self._active_sites() or self.trained)

    def _held_units(self, parameters: Mapping[str, Tensor], sites: Collection[str]) -> Values:
        """Scores of the held-out rows, `(held,)` or `(replicas, held)`, by site."""
        batch = rows_of(self.data, self.held)
        if not self.replicated:
            return self.scores(batch, sites, parameters)
        score = torch.vmap(lambda p: self.scores(batch, sites, p), chunk_size=CHUNK)
        return score({**parameters, **self.constants})

    def _held_mean(self, x: Tensor) -> Tensor:
        """The mean over the held-out rows that count."""
        return x.mean(-1) if self.weights is None else (x * self.weights).sum(-1) / self.weights.sum(-1)

    def _gain(self, score: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """How much better the held-out rows score than before, on average, and its standard error."""
        gain = score - before
        mean = self._held_mean(gain)
        variance = self._held_mean((gain - mean[..., None]).square())
        rows = gain.shape[-1] if self.weights is None else self.weights.sum(-1)
        return mean, (variance / rows).sqrt()

    @torch.no_grad()
    def finish(self) -> None:
        """Put the best weights into the parameters, then match the means of each mechanism to all rows."""
        if not self.curves:
            self.evaluate()
        for name, p in self.parameters.items():
            p.copy_(self.best[name])
        matched = self._map(self._matched)(self._arguments(), self.rows_of_all())
        accepted = self._believable(matched) if len(self.held) else {}
        for site, values in matched.items():
            for name, value in values.items():
                p = self.parameters[name]
                ok = accepted.get(site, torch.ones(self._replica_shape, dtype=torch.bool))
                p.copy_(torch.where(_like(ok, p), value, p))

    def _believable(self, matched: Mapping[str, Values]) -> dict[str, Tensor]:
        """For each site, whether matched means are as likely on the held-out rows, within one standard error.

        Where a mean hangs on a few extreme values they are not, and the likelihood's own location stays.
        """
        if not matched:
            return {}
        moved = {**self.parameters, **{k: v for values in matched.values() for k, v in values.items()}}
        before, after = (self._held_units(p, list(matched)) for p in (self.parameters, moved))
        gains = {site: self._gain(after[site], before[site]) for site in matched}
        return {site: gain >= -error for site, (gain, error) in gains.items()}

    def _matched(self, parameters: Mapping[str, Tensor], rows: Tensor) -> dict[str, Values]:
        """What `Mechanism.match_means` gives, by site and the program's parameter names."""
        paths = {id(m): path for path, m in self.scores.program.named_modules()}
        found: dict[str, Values] = {}
        with self._at(parameters):
            for mechanism, sites, x, features in self.inputs.each(self.data):
                if len(sites) == 1 and sites[0] in self.trained:  # if shared, it has no one mean to match
                    values = mechanism.match_means(x[rows], features[rows])
                    named = {f"{paths[id(mechanism)]}.{name}": value for name, value in values.items()}
                    found[sites[0]] = {name: v for name, v in named.items() if name in self.parameters}
        return {site: values for site, values in found.items() if values}

    def rows_of_all(self) -> Tensor:
        """Every row that the loop knows: training and held-out ones; of a replica, its resample."""
        return self.rows if self.replicated else torch.cat([self.rows, self.held])

    def unfinished(self) -> list[str]:
        """Sites of the user's own whose held-out likelihood rose by over 0.05 nat in the last quarter.

        The toolkit's mechanisms start at the best linear fit; on tied values their density may go on rising.
        """
        if not len(self.held) or len(self.curves) < 2:
            return []
        before = self.curves[max(step for step in self.curves if step <= 0.75 * self.steps)]
        last = self.curves[max(self.curves)]
        own = self.trained - set(self.inputs.mechanisms)
        return sorted(site for site in own if before[site] - last[site] > 0.05)

    def history(self) -> History:
        best = {site: self.best_step[i] for i, (sites, _) in enumerate(self.groups) for site in sites}
        curves = pd.DataFrame.from_dict(self.curves, orient="index").rename_axis("step")
        rows = self.rows.shape[-1]
        return History(curves, best, rows, len(self.held), self.step / -(-rows // self.batch))

    # ---- pieces

    def _mechanisms(self, sites: Collection[str]) -> dict[Mechanism, None]:
        return dict.fromkeys(m for site, m in self.inputs.mechanisms.items() if site in sites)

    def _tolerance(self, site: str) -> float:
        """The tolerance of a site's mechanism, 0 if it has none of the toolkit's."""
        mechanism = self.inputs.mechanisms.get(site)
        return 0.0 if mechanism is None else mechanism.tolerance

    @property
    def _replica_shape(self) -> tuple[int, ...]:
        return self.rows.shape[:-1]

    def _map(self, function: Callable[..., T]) -> Callable[..., T]:
        return torch.vmap(function) if self.replicated else function

    def _arguments(self) -> dict[str, Tensor]:
        return {**self.parameters, **self.constants} if self.replicated else {}

    def _at(self, parameters: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        return _reparametrize_module(self.scores.program, dict(parameters)) if parameters else nullcontext()

    @property
    def trained(self) -> set[str]:
        return {site for sites, _ in self.groups for site in sites}

    def _active_sites(self) -> set[str]:
        return {site for i in self.active for site in self.groups[i][0]}

    def _sample_scores(self, sites: Collection[str]) -> Values:
        """Scores of two rows, to see which parameters each site uses."""
        batch = rows_of(self.data, self.rows[..., :2])
        if not self.replicated:
            return self.scores(batch, sites)
        return torch.vmap(lambda p, b: self.scores(b, sites, p))(self._arguments(), batch)

    def _optimizer(self) -> torch.optim.Adam:
        trained = {name for _, names in self.groups for name in names}
        leaves = [p for name, p in self.parameters.items() if name in trained]
        decay = self.options.weight_decay
        return torch.optim.Adam(leaves, lr=self.options.learning_rate, betas=(0.9, 0.99), weight_decay=decay)

    def _learning_rate(self) -> float:
        done = self.step / self.steps
        rise = min(1.0, (self.step + 1) / max(1.0, WARM_UP * self.steps))
        return self.options.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * done))

    def _next_rows(self) -> Tensor:
        """The rows of this step: every pass goes through all rows in its own order, given by the seed."""
        n = self.rows.shape[-1]
        first = self.step * self.batch
        turn, offset = divmod(first, n)
        order = self._order(turn)[offset : offset + self.batch]
        if len(order) < self.batch:
            order = torch.cat([order, self._order(turn + 1)[: self.batch - len(order)]])
        return self.rows[..., order]

    def _order(self, turn: int) -> Tensor:
        if getattr(self, "_shuffled", (None,))[0] != turn:
            generator = torch.Generator().manual_seed(self.options.seed * 1_000_003 + turn)
            self._shuffled = (turn, torch.randperm(self.rows.shape[-1], generator=generator))
        return self._shuffled[1]

    def _diverged(self) -> None:
        raise FitError(
            f"the loss is no longer finite at step {self.step}",
            why="a step was too long, or the data hold values that the model gives probability zero",
            fix="lower learning_rate, or look for outliers in the data",
        )


def rows_of(data: Any, rows: Tensor) -> Any:
    """These rows of a table, or of every table of a mapping."""
    return {name: rows_of(x, rows) if isinstance(x, Mapping) else x[rows] for name, x in data.items()}


def _like(choice: Tensor, p: Tensor) -> Tensor:
    """A choice for each replica, in as many dimensions as the parameter that it is about."""
    return choice.reshape(choice.shape + (1,) * (p.dim() - choice.dim()))
