"""Does the estimator find what is there, and nothing where nothing is? The model is refitted to altered rows.

The refutations are those of Sharma and Kiciman 2020 ("DoWhy: an end-to-end library for causal inference"),
with refits that are run as one batch (see `SCM.bootstrap`). They test the way from rows to a number, not the
graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from pyrocausal.checks.effect import Effect, Question
from pyrocausal.checks.report import Checked, Family, Finding, Trial, not_run
from pyrocausal.checks.rows import Rows
from pyrocausal.errors import FitError, PyrocausalError
from pyrocausal.program_from_graph import GraphProgram
from pyrocausal.table import take_rows

EFFECT = "effect"
CHECK = "refutation"
FAMILY = Family(
    CHECK,
    "off",
    matters=0.0,
    fine="as it should be",
    todo="train longer (epochs=), on more rows, or with simpler mechanisms",
)
_FAULTS = {
    "placebo treatment": "a shuffled treatment, which does nothing, still has an effect",
    "simulated outcome": "on rows drawn from the SCM itself the refits miss its known effect",
    "two halves": "two random halves of the rows disagree more than their refits' spread allows",
}
MOVED = 0.5, 1.0  # standard errors by which a cause that does nothing may move the effect: warn, fail


@dataclass(frozen=True)
class Refitted:
    """An effect by refits to resampled rows.

    Attributes:
        draws: one number a refit.
        expected: what it should be; NaN for the effect itself.
        value: the effect by the SCM that is checked, around which the refits' spread is told; NaN for none.
    """

    draws: Tensor
    expected: float = float("nan")
    value: float = float("nan")

    @property
    def mean(self) -> float:
        return self.draws.mean().item()

    @property
    def se(self) -> float:
        return self.draws.std().item()

    @property
    def p_value(self) -> float:
        """Of being what is expected: a t-test whose spread the refits estimate.

        Rows are one sample and refits R draws: the mean of refits errs by se √(1 + 1/R), with R - 1 degrees
        of freedom.
        """
        error = self.se * (1 + 1 / len(self.draws)) ** 0.5
        if error == 0:
            return float(self.mean == self.expected)
        return float(2 * stats.t.sf(abs(self.mean - self.expected) / error, len(self.draws) - 1))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Where the estimate would lie on other samples: a Student interval by the refits' spread."""
        reach = float(stats.t.ppf((1 + level) / 2, len(self.draws) - 1)) * self.se
        centre = self.mean if math.isnan(self.value) else self.value
        return centre - reach, centre + reach


@dataclass(frozen=True)
class Refuter:
    """Refits of one effect.

    Args:
        count: refits for each refutation.
        options: of training, see `FitOptions`.
    """

    rows: Rows
    effect: Callable[[Any, Any], Any]
    count: int
    seed: int
    options: Mapping[str, Any]

    def refit(self, data: Any, expected: float = float("nan"), scm: Any = None) -> Refitted:
        scm = scm or self.rows.scm
        draws = scm.bootstrap(
            data,
            self.effect,
            replicas=self.count,
            only=self.effect.between(scm) if isinstance(self.effect, Effect) else None,
            seed=self.seed,
            **self.options,
        )
        return Refitted(draws, expected)

    def placebo(self, treatment: str) -> Refitted:
        """The treatment is shuffled over the rows, so that it has no effect."""
        order = torch.randperm(len(self.rows), generator=self._generator(1))
        shuffled = take_rows(self.rows.data, order)[treatment]
        return self.refit(_with(self.rows.data, treatment, shuffled), expected=0.0)

    def simulated(self) -> Refitted:
        """The rows are drawn from the SCM, whose effect is known."""
        drawn = self.rows.scm.sample(len(self.rows), seed=self.seed + 1)
        rows = drawn.to_pandas() if isinstance(self.rows.data, pd.DataFrame) else dict(drawn)
        return self.refit(rows, expected=float(self.effect(self.rows.scm, rows)))

    def halves(self) -> Refitted:
        """The difference of the effect in two random halves of the rows."""
        order = torch.randperm(len(self.rows), generator=self._generator(2))
        half = len(order) // 2
        parts = order[:half], order[half : 2 * half]
        a, b = (self.refit(take_rows(self.rows.data, part)) for part in parts)
        return Refitted(a.draws - b.draws, 0.0)

    def common_cause(self, treatment: str, outcome: str) -> Refitted | None:
        """A column of pure noise is made a cause of treatment and outcome; None if that can't be."""
        program = self.rows.scm._model.program.module
        recipe = program.recipe() if isinstance(program, GraphProgram) else None
        if recipe is None:
            return None
        name = _new_name(recipe["parents"])
        parents = {name: [], **recipe["parents"]}
        for caused in (treatment, outcome):
            parents[caused] = [*parents[caused], name]
        kinds = {**recipe["kinds"], name: ("Normal", {})}
        scm = type(self.rows.scm)(GraphProgram.from_recipe({"parents": parents, "kinds": kinds}))
        column = torch.randn(len(self.rows), generator=self._generator(3)).numpy()
        data = _with(self.rows.data, name, column)
        scm.fit(data, epochs=1, progress=False, seed=self.seed)  # scales and sizes; refits start anew
        return self.refit(data, scm=scm)

    def _generator(self, stream: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed * 8 + stream)


def check_by_refits(refuter: Refuter, alpha: float) -> tuple[Checked, Refitted | None]:
    """The effect with its interval, and the refutations; the picture; and the effect's own refits."""
    effect = refuter.effect
    if not any(True for _ in refuter.rows.scm.parameters()):
        return ([not_run(CHECK, _named(effect), "the program has nothing to train")], {}), None
    try:
        own = refuter.refit(refuter.rows.data)
        own = replace(own, value=float(effect(refuter.rows.scm, refuter.rows.data)))
    except FitError as error:
        return ([not_run(CHECK, _named(effect), f"{error.what}: {error.why}")], {}), None
    refutations = {"simulated outcome": refuter.simulated, "two halves": refuter.halves}
    rest = []
    if isinstance(effect, Effect):
        refutations = {"placebo treatment": partial(refuter.placebo, effect.treatment), **refutations}
        rest = [_common_cause(own, refuter.common_cause(effect.treatment, effect.outcome))]
    tried = {}
    for name, refitted in refutations.items():
        try:
            tried[name] = refitted()
        except PyrocausalError as error:  # altered rows may be impossible under the model
            rest.append(not_run(CHECK, name, error.what))
    trials = [Trial(name, abs(r.mean - r.expected), r.p_value, _FAULTS[name]) for name, r in tried.items()]
    found = [_estimate(effect, own), *FAMILY.judged(trials, alpha), *rest]
    around = Refitted(own.draws - own.mean + own.value)  # what is drawn is what is reported
    return (found, {"refutations": {"the effect": around, **tried}}), own


def _named(effect: Any) -> str:
    return str(effect) if isinstance(effect, Effect | Question) else getattr(effect, "__name__", "the effect")


def _estimate(effect: Any, own: Refitted) -> Finding:
    """By the SCM itself; it warns if the refits' mean lies outside of the interval."""
    low, high = own.interval()
    meaning = f"by the model; 95 % interval {low:.3g} to {high:.3g}, by the spread of {len(own.draws)} refits"
    if low <= own.mean <= high:
        return Finding(EFFECT, _named(effect), "note", own.value, meaning=meaning)
    meaning += f", whose mean is {own.mean:.3g}: the model and its refits are not alike"
    todo = "train refits as the model was (epochs=), or the model longer"
    return Finding(EFFECT, _named(effect), "warn", own.value, meaning=meaning, todo=todo)


def _common_cause(own: Refitted, added: Refitted | None) -> Finding:
    about = "a common cause of noise added"
    if added is None:
        return not_run(
            CHECK, about, "a cause can be added to an SCM made from a graph, and not to a program of yours"
        )
    moved = abs(added.mean - own.mean) / max(own.se, 1e-12)
    verdict = "fail" if moved > MOVED[1] else "warn" if moved > MOVED[0] else "pass"
    meaning = "a cause that does nothing moves the effect" + (" little" if verdict == "pass" else "")
    todo = "" if verdict == "pass" else "train longer, or on more rows"
    return Finding(CHECK, about, verdict, moved, "standard errors moved", meaning=meaning, todo=todo)


def _with(data: Any, name: str, column: Any) -> Any:
    """The same rows with one column replaced or added."""
    if isinstance(data, pd.DataFrame):
        column = column.set_axis(data.index) if isinstance(column, pd.Series) else column
        return data.assign(**{name: column})
    return {**data, name: torch.as_tensor(column) if isinstance(column, np.ndarray) else column}


def _new_name(taken: Mapping[str, Any]) -> str:
    name = "noise"
    while name in taken:
        name += "_"
    return name
