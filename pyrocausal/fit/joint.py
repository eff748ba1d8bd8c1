"""Training by one objective of all parameters: an evidence lower bound, or a loss of the user's own.

Where something is latent the likelihood is no sum over sites, so there is one loss, one held-out number and
one best step. All else is the training loop of `pyrocausal.fit.loop`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.stateless import _reparametrize_module

from pyrocausal.errors import FitError, did_you_mean
from pyrocausal.fit.likelihood import Inputs, refuse_unseen_parameters
from pyrocausal.fit.loop import Loop
from pyrocausal.fit.options import FitOptions, History
from pyrocausal.fit.train import drive, split
from pyrocausal.graph.discover import Structure
from pyrocausal.guides import Guide
from pyrocausal.intervene import Intervention
from pyrocausal.mechanisms.base import Mechanism
from pyrocausal.table import Checked
from pyrocausal.units import Program
from pyrocausal.world import Values

Loss = Callable[[Any], Tensor]  # of a batch: one table's rows, or several tables' by name
SITE = "loss"  # what the loop calls the one thing that it scores


class LossScores:
    """Minus the loss, as the training loop wants it: a score by "site", of which there is one."""

    def __init__(self, program: Program, loss: Loss):
        self.program, self.loss = program, loss

    def __call__(
        self, batch: Any, sites: Collection[str], parameters: Mapping[str, Tensor] | None = None
    ) -> Values:
        if parameters is None:
            return {SITE: -self._value(batch)}
        with _reparametrize_module(self.program, dict(parameters)):
            return {SITE: -self._value(batch)}

    def _value(self, batch: Any) -> Tensor:
        value = self.loss(_checked(batch))
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() > 1:
            kind = type(value).__name__
            if isinstance(value, Tensor):
                kind = f"a tensor of {value.dtype} and shape {tuple(value.shape)}"
            raise FitError(
                f"the loss returned {kind}",
                fix="return a tensor: one number, or one a unit, such as -scm.elbo(batch)",
            )
        return value.flatten()


class Batches(dict[str, Checked]):
    """Rows of several tables, by name."""

    def __missing__(self, name: str) -> Checked:
        raise FitError(
            f"the loss reads a table {name!r}",
            why=f"fit was given {', '.join(map(repr, self))}",
            fix=did_you_mean(str(name), self) or "use one of these",
        )


def _checked(batch: Any) -> Checked | Batches:
    if all(isinstance(x, Tensor) for x in batch.values()):
        return Checked(batch)
    return Batches({name: Checked(table) for name, table in batch.items()})


class JointLoop(Loop):
    """The training loop for one loss.

    Its draws depend on the seed and the step only, so that a resumed run equals an uninterrupted one.
    """

    def advance(self) -> None:
        with self._drawing(self.step + 1):
            super().advance()

    def evaluate(self) -> float:
        with self._drawing(0):  # the same draws every time: what differs is the weights
            return super().evaluate()

    def _optimizer(self) -> torch.optim.Adam:
        if not self.groups:
            raise FitError(
                "the loss does not depend on the parameters that are trained",
                why="its gradient in all of them is nothing: is it detached, or only= names others?",
                fix="return what hangs on them, such as -scm.elbo(batch)",
            )
        return super()._optimizer()

    def _mechanisms(self, sites: Collection[str]) -> dict[Mechanism, None]:
        return dict.fromkeys(self.inputs.mechanisms.values())

    def _matched(self, parameters: Mapping[str, Tensor], rows: Tensor) -> dict[str, Values]:
        return {}  # the latents that the means depend on are not known

    def unfinished(self) -> list[str]:
        return []

    @contextmanager
    def _drawing(self, turn: int) -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed * 1_000_003 + turn)
            yield


@torch.enable_grad()
def train_jointly(
    program: Program,
    structure: Structure,
    intervention: Intervention,
    guide: Guide | None,
    tables: Mapping[str, Values],
    loss: Loss,
    options: FitOptions,
) -> History:
    """Minimise a loss over the rows of one table (named "") or several; sets the program's parameters."""
    if options.device:
        program.to(options.device)
    aligned = {name: _aligned(table, options) for name, table in tables.items()}
    rows = max(len(training) for training, _ in aligned.values())
    held = max(len(held) for _, held in aligned.values())
    laid = {
        name: _laid_out(table, *aligned[name], rows=rows, held=held, device=program.device)
        for name, table in tables.items()
    }
    data: Any = laid.get("", laid)
    fullest = max(laid.values(), key=len)
    training = {name: x[:rows] for name, x in fullest.items()}
    with torch.no_grad():
        inputs = Inputs.of(program, structure, intervention, training)
        for mechanism, sites, x, features in inputs.each(training):
            mechanism.calibrate(sites[0], x, features)
        if guide is not None:
            guide.learn_scales(training)
    chosen = program.select(options.only)
    scores = LossScores(program, loss)
    with torch.random.fork_rng(devices=[]):
        if options.loss is None:  # a loss of the user's may hang on tensors that are no part of the model
            two = {name: x[:2] for name, x in training.items()}
            refuse_unseen_parameters(scores(two, [SITE]), program)
        loop = JointLoop(
            scores, inputs, data, torch.arange(rows), torch.arange(rows, rows + held), chosen, options
        )  # fmt: skip
        try:
            drive(loop, data, options)
            loop.finish()
        finally:
            program.zero_grad()
    return loop.history()


def _aligned(table: Values, options: FitOptions) -> tuple[Tensor, Tensor]:
    """(training rows, held-out rows) of one table."""
    return split(len(next(iter(table.values()))), options)


def _laid_out(
    table: Values, training: Tensor, held_out: Tensor, *, rows: int, held: int, device: torch.device
) -> Values:
    """A table with its held-out rows last; one that is shorter than others is repeated to their length."""
    order = torch.cat([_repeated(training, rows), _repeated(held_out, held)])
    return {name: x[order].to(device) for name, x in table.items()}


def _repeated(rows: Tensor, length: int) -> Tensor:
    return rows.repeat(-(-length // max(1, len(rows))))[:length]
