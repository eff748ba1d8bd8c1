"""What a user may set about training, and what training reports."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pyrocausal import cards, plots
from pyrocausal.errors import FitError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class FitOptions:
    """Options of `SCM.fit`; None means a default that grows with the number of rows.

    Args:
        epochs: passes over the training split.
        batch_size: rows per step.
        learning_rate: of Adam, reached after a short warm-up and lowered to zero along a cosine.
        weight_decay: adds `weight_decay / 2` times the squared norm of all trained parameters to the loss.
        validation: fraction of rows held out to choose each mechanism's weights; 0 keeps the last averages.
        patience: a mechanism stops after this fraction of training without improvement on the held-out rows.
        averaging: decay of the exponential moving average of the weights, per step.
        seed: of the split and of the batches.
        device: where to train ("cpu", "cuda" …); default: where the parameters are.
        progress: whether to show a progress bar.
        checkpoint: a file to which training writes its state as it goes, and from which it resumes.
        reset: forget parameters and scales, and learn all anew.
        only: names of parts whose parameters are trained, as in `["decoder", "guide.z"]`; default: all. (The
            first `fit` learns the scales, and so the starting point, of every mechanism all the same.)
        loss: `(scm, batch) -> tensor`, one number or one a unit, to be minimised in place of the likelihood
            or the bound; it may use submodels, as in `lambda scm, batch: -scm.do(m=0.0).elbo(batch)`.
        num_particles: draws of the latents a unit and step, for the bound.
        bound: "elbo" or "iwae".
        method: "svi" (the default) or "nuts", for the posterior of weights that have a prior.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    validation: float = 0.1
    patience: float = 0.35
    averaging: float = 0.99
    seed: int = 0
    device: str | None = None
    progress: bool = True
    checkpoint: str | Path | None = None
    reset: bool = False
    only: Sequence[str] | None = None
    loss: Callable[[Any, Any], Any] | None = None
    num_particles: int = 1
    bound: str = "elbo"
    method: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> FitOptions:
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise FitError(
                    f"fit has no option {name!r}",
                    why=f"its options are {', '.join(known)}",
                    fix=did_you_mean(name, known),
                )
        options = cls(**given)
        options._check()
        return options

    def _check(self) -> None:
        positive = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate}
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise FitError(
                f"seed={self.seed!r}", why="a training's seed is a whole number", fix="leave it out for 0"
            )
        positive["num_particles"] = self.num_particles
        self._check_loss()
        if self.only is not None and not len(self.only):
            raise FitError(f"only={self.only!r} names no part to train", fix="leave it out to train all")
        for name, value in positive.items():
            if value is not None and not (isinstance(value, (int, float)) and value > 0):
                raise FitError(
                    f"{name}={value!r}", why="it must be positive", fix=f"leave {name} out for its default"
                )
        if not 0 <= self.validation < 1:
            raise FitError(
                f"validation={self.validation!r}", why="it is the fraction of rows held out, 0 to below 1"
            )
        if not (isinstance(self.weight_decay, (int, float)) and self.weight_decay >= 0):
            raise FitError(f"weight_decay={self.weight_decay!r}", why="it must be 0 or more")
        if not 0 <= self.averaging < 1:
            raise FitError(f"averaging={self.averaging!r}", why="it is a decay per step, 0 to below 1")

    def _check_loss(self) -> None:
        if self.loss is None:
            return
        if not callable(self.loss):
            raise FitError(f"loss={self.loss!r} is no function", fix="pass loss=lambda scm, batch: …")
        try:
            inspect.signature(self.loss).bind(None, None)
        except TypeError as error:
            raise FitError(
                f"the loss can't be called with an SCM and a batch: {error}",
                fix="pass loss=lambda scm, batch: …",
            ) from None
        except ValueError:  # a callable without a signature to read
            return

    def sized(self, rows: int) -> tuple[int, int]:
        """(steps, batch size) for a number of training rows.

        By default 1,000 steps at 2,000 rows, growing with their cube root, within 500 and 3,000.
        """
        batch = min(self.batch_size or (256 if rows <= 5000 else 512), rows)
        if self.epochs is not None:
            return max(1, self.epochs * -(-rows // batch)), batch
        return round(min(max(1000 * (rows / 2000) ** (1 / 3), 500), 3000)), batch


@dataclass(frozen=True)
class History:
    """Training curves: mean negative log-likelihood (nats per unit) of each variable on the held-out rows.

    Attributes:
        curves: a DataFrame, one row per evaluation (index: step) and one column per variable.
        best: step at which each variable's weights were taken.
        rows, held: how many rows were trained on, and held out.
        epochs: passes over the training rows.
    """

    curves: pd.DataFrame
    best: dict[str, int]
    rows: int = 0
    held: int = 0
    epochs: float = 0.0

    @property
    def taken(self) -> dict[str, float]:
        """The held-out loss of each variable's weights."""
        found = self.curves.reindex(columns=list(self.best))
        return {name: float(found[name].get(step, math.nan)) for name, step in self.best.items()}

    def summary(self) -> str:
        """What was fitted, in a line."""
        return f"fitted to {self.rows:,} rows in {self.epochs:.3g} epochs, {self.held:,} held out"

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """`pyrocausal.plots.training` of this."""
        return plots.training(self, ax=ax)

    def _repr_html_(self) -> str:
        return cards.card("Training", cards.frame(self.curves.tail()), beside=self.summary())
