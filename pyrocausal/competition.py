"""Which family does a variable of whole numbers belong to? The first that no other beats on held-out rows.

A column of whole numbers may hold a count, one of a few grades, or a rounded measurement. The likelihood of
an SCM is a product over its variables, so the families compete for each variable alone, given its parents'
values. What is rounded to k lay between k - 1/2 and k + 1/2, so a continuous family is fitted to values
spread evenly over that interval (Theis, van den Oord & Bethge 2016, "A note on the evaluation of generative
models", section 3.1), and judged by the probability that it gives to the interval,

.. math:: P(k) = F(k + 1/2) - F(k - 1/2),

which can be compared with a discrete family's.

Every row is judged once, by candidates trained on other rows (cross-validation). A family gives way only to
one whose log-likelihood is better by more than two standard errors of the mean paired difference. Two equally
good ones are told apart by mistake about once in forty times; else the tie goes to `Continuous`, whose
counterfactuals are exact.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module

from pyrocausal import mechanisms as m
from pyrocausal.fit import FitOptions
from pyrocausal.fit.likelihood import Inputs
from pyrocausal.fit.loop import Loop
from pyrocausal.fit.train import drive, split
from pyrocausal.mechanisms.base import Block, Mechanism

__all__ = ["Choice", "compete", "rivals"]

FEWEST_ROWS = 100  # below which held-out rows tell families apart by luck alone
MOST_ROWS = 3000  # to look at: by then the choice is clear, or of no consequence
FEWEST_OFF = 30  # rows away from the commonest value, or there is too little to learn a family from
WIDE = 10.0  # interquartile range from which rounding hardly matters: that of a normal variable of sd 7.4
MOST_LEVELS = 10  # of a categorical variable
FEWEST_PER_LEVEL = 10  # rows
FOLDS = 3
STEPS = 100  # of training, which starts at the best linear fit
BATCH = 256
VALIDATION = 0.2  # of a fold's training rows, to stop by
LEAST = -100.0  # log-likelihood of a row: an impossible value counts for much, and not for everything
MARGIN = 2.0  # standard errors of the mean paired difference
_FEATURES = "features of the parents"  # their key in a batch, beside the candidates' names


@dataclass(frozen=True)
class Choice:
    """The mechanism for a variable, and why.

    Attributes:
        kind: the mechanism's name in `pyrocausal.mechanisms`.
        options: what it is made with.
        why: the reason, in words.
        scores: held-out log-likelihood of each family that competed, in nats a row.
    """

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    scores: dict[str, float] = field(default_factory=dict)

    def make(self) -> Mechanism:
        """The mechanism, fresh."""
        return getattr(m, self.kind)(**self.options)


def rivals(column: np.ndarray) -> list[Choice]:
    """The families for a column of numbers, in order of preference; one alone is chosen without competition.

    Families compete for whole numbers from 0 up, if rows are enough to judge them by and the numbers so close
    together that rounding matters.

    >>> [choice.kind for choice in rivals(np.arange(200) % 4)]
    ['Continuous', 'Poisson', 'NegativeBinomial', 'Categorical']
    >>> rivals(np.arange(200))
    [Choice(kind='Continuous', options={}, why='whole numbers far apart', scores={})]
    """
    values, counts = np.unique(column, return_counts=True)
    if not (np.isfinite(values) & (values == np.round(values))).all():
        return [Choice("Continuous", why="numbers")]
    if values[0] < 0:
        return [Choice("Continuous", why="whole numbers, some negative")]
    if np.subtract(*np.quantile(column, [0.75, 0.25])) > WIDE:
        return [Choice("Continuous", why="whole numbers far apart")]
    seen = counts * min(1.0, MOST_ROWS / len(column))  # of the rows that are looked at
    if len(column) < FEWEST_ROWS or seen.sum() - seen.max() < FEWEST_OFF:
        return [Choice("Continuous", why="whole numbers in too few rows to compare families")]
    found = [Choice("Continuous"), Choice("Poisson"), Choice("NegativeBinomial")]
    if values[-1] < MOST_LEVELS and seen.min() >= FEWEST_PER_LEVEL:
        # Levels without names are the numbers themselves, so that means and inequalities keep their sense.
        found.append(Choice("Categorical", {"levels": int(values[-1]) + 1}))
    return found


def compete(
    x: Tensor, features: Tensor, blocks: Sequence[Block], families: Sequence[Choice], seed: int = 0
) -> Choice:
    """The first of the families, or the one to which it gives way.

    Args:
        x: whole numbers, `(n,)`.
        features: of the parents, `(n, d)`.
        blocks: how each parent enters the features.
        families: those that compete, in order of preference.
        seed: of the folds, of the values within a continuous family's intervals, and of the layers.

    >>> x = torch.poisson(torch.full((600,), 2.0), generator=torch.Generator().manual_seed(0))
    >>> compete(x, torch.zeros(600, 0), (), [Choice("Continuous"), Choice("Poisson")]).kind
    'Poisson'
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)[:MOST_ROWS]
    x, features = x[order].to(torch.get_default_dtype()), features[order]
    spread = x + torch.rand(x.shape, generator=generator, dtype=x.dtype) - 0.5
    scores = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for fold in range(FOLDS):
            rest = torch.arange(len(x)) % FOLDS != fold
            contest = _Contest(families, blocks)
            contest.learn(x[rest], spread[rest], features[rest], seed)
            scores.append(contest.judge(x[~rest], features[~rest]))
    return _verdict(families, {name: torch.cat([fold[name] for fold in scores]) for name in scores[0]})


class _Contest(nn.Module):
    """The candidates side by side, trained by the loop of `fit` as if each had a variable of its own."""

    def __init__(self, families: Sequence[Choice], blocks: Sequence[Block]):
        super().__init__()
        self.candidates = {family.kind: family.make() for family in families}
        self.registered = nn.ModuleDict(self.candidates)
        for candidate in self.candidates.values():
            candidate.build_for(blocks)

    @property
    def program(self) -> nn.Module:
        return self

    def forward(
        self,
        batch: Mapping[str, Tensor],
        sites: Collection[str],
        parameters: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The scores of `fit.loop.Scores`, of whole batches at once."""
        if parameters is not None:
            with _reparametrize_module(self, dict(parameters)):
                return self(batch, sites)
        active = {name: c for name, c in self.candidates.items() if name in sites}
        return {name: c.distribution(batch[_FEATURES]).log_prob(batch[name]) for name, c in active.items()}

    def learn(self, x: Tensor, spread: Tensor, features: Tensor, seed: int) -> None:
        """Learn scales and parameters from these rows, a part of which is held out to stop in time."""
        data = {name: spread if isinstance(c, m.Continuous) else x for name, c in self.candidates.items()}
        passes = -(-STEPS // -(-len(x) // BATCH))
        options = FitOptions(
            epochs=passes, batch_size=BATCH, validation=VALIDATION, progress=False, seed=seed
        )
        training, held = split(len(x), options)
        for name, candidate in self.candidates.items():
            candidate.calibrate(name, data[name][training], features[training])
        inputs = Inputs(self.candidates, dict.fromkeys(data, features))
        table = {**data, _FEATURES: features}
        loop = Loop(self, inputs, table, training, held, dict(self.named_parameters()), options, sites=data)
        drive(loop, table, options)
        loop.finish()

    @torch.no_grad()
    def judge(self, x: Tensor, features: Tensor) -> dict[str, Tensor]:
        """log P(x | features), by each candidate."""
        return {name: _log_mass(c.distribution(features), x) for name, c in self.candidates.items()}


def _log_mass(distribution: Any, x: Tensor) -> Tensor:
    """log P(x), or of what is rounded to x; never below `LEAST`."""
    if hasattr(distribution, "log_prob_between"):
        score = distribution.log_prob_between(x.double() - 0.5, x.double() + 0.5)
    else:
        score = distribution.log_prob(x).double()
    return score.clamp_min(LEAST)


def _verdict(families: Sequence[Choice], scores: Mapping[str, Tensor]) -> Choice:
    """The first family, or of those that beat it the first that no other of them beats."""
    first, *others = families
    better = [f for f in others if _beats(scores[f.kind], scores[first.kind])]
    means = {name: score.mean().item() for name, score in scores.items()}
    if not better:
        nearest = max((f.kind for f in others), key=lambda kind: means[kind])
        words = _words(scores[nearest], scores[first.kind])
        return replace(first, why=f"whole numbers, and {nearest} is no better: {words}", scores=means)
    # None beats the one of the best mean, so there is one.
    winner = next(f for f in better if not any(_beats(scores[g.kind], scores[f.kind]) for g in better))
    words = _words(scores[winner.kind], scores[first.kind])
    return replace(winner, why=f"whole numbers, better than {first.kind}: {words}", scores=means)


def _words(score: Tensor, other: Tensor) -> str:
    gain, error = _gain(score, other)
    return f"{gain:+.2g} ± {error:.1g} nats a row"


def _beats(score: Tensor, other: Tensor) -> bool:
    gain, error = _gain(score, other)
    return gain > MARGIN * error


def _gain(score: Tensor, other: Tensor) -> tuple[float, float]:
    """How much better the rows score than by another, on average, and its standard error."""
    difference = score - other
    return difference.mean().item(), (difference.std() / math.sqrt(len(difference))).item()
