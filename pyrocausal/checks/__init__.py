"""Check before believing: the mechanisms, the graph, and the effect that is asked.

What can be tested on rows is tested, each family of tests at a stated rate of false alarms; what no data can
tell, hidden common causes, is measured against what is observed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyrocausal.checks.effect import Effect, Question, effect_of
from pyrocausal.checks.hidden import check_hidden
from pyrocausal.checks.implications import check_implications
from pyrocausal.checks.noise import check_noise
from pyrocausal.checks.overlap import check_overlap
from pyrocausal.checks.refute import Refuter, check_by_refits
from pyrocausal.checks.report import Checked, Finding, Report
from pyrocausal.checks.rows import Rows
from pyrocausal.checks.sensitivity import Regression, e_value, robustness_value
from pyrocausal.errors import DataError, InterventionError, QueryError
from pyrocausal.fit import FitOptions
from pyrocausal.table import whole

__all__ = ["Effect", "Finding", "Regression", "Report", "check", "e_value", "robustness_value"]

LEAST = 50  # rows; the tests' rates hold for many
MOST_UNSURE = 5  # refits; with fewer their spread is a guess


def check(
    scm: Any,
    data: Any,
    *,
    effect: str | Callable[[Any, Any], Any] | None = None,
    treatment: str | None = None,
    outcome: str | None = None,
    contrast: tuple[Any, Any] = (1, 0),
    alpha: float = 0.01,
    rows: int = 1000,
    refits: int = 20,
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Report:
    """What can be checked of an SCM on rows; see `pyrocausal.SCM.check`."""
    if scm._intervention.names:
        raise InterventionError(
            "this is a submodel, under do(…)",
            why="the rows are of the model without it",
            fix="check the model",
        )
    if not isinstance(alpha, float) or not 0 < alpha <= 0.05:
        raise DataError(
            f"alpha={alpha!r}", why="the tests' rates hold from 0 to 0.05", fix="leave it out for 0.01"
        )
    most = whole(rows, "rows", least=LEAST)
    count = _refits(refits)
    FitOptions.of({**options, "seed": seed})  # refuses what training does not know, at the door
    asked = effect_of(effect, treatment, outcome, contrast)
    if asked is None and (idle := [*options, *(["contrast"] if contrast != (1, 0) else [])]):
        raise QueryError(
            f"{', '.join(f'{name}=' for name in idle)} without an effect",
            why="the contrast is of an effect, and options of training are for its refits",
            fix="pass effect= or treatment= and outcome=, or leave these out",
        )
    if effect is not None and contrast != (1, 0):
        raise QueryError("effect= and contrast= are two ways to say the actions", fix="leave contrast= out")
    if isinstance(asked, Effect | Question):
        asked.check(scm)
    table = Rows.of(scm, data)
    if len(table) < LEAST:
        raise DataError(f"check: {len(table)} rows", why=f"the tests need {LEAST}", fix="pass more rows")
    parts: list[Checked] = [
        check_noise(table, most=most, alpha=alpha, seed=seed),
        check_implications(table, most=most, alpha=alpha, seed=seed),
    ]
    if isinstance(asked, Effect):
        parts.append(check_overlap(table, asked))
    refitted = None
    if asked is not None and count:
        training = {**options, "progress": progress}
        refuter = Refuter(table, asked, count, seed, training)
        part, refitted = check_by_refits(refuter, alpha)
        parts.append(part)
    if isinstance(asked, Effect):
        parts.append(check_hidden(table, asked, refitted))
    findings = tuple(finding for part, _ in parts for finding in part)
    shown = {name: picture for _, part in parts for name, picture in part.items()}
    return Report(findings, _about(table, alpha), shown)


def _refits(count: Any) -> int:
    if count == 0:
        return 0
    return whole(count, "refits", least=MOST_UNSURE)


def _about(rows: Rows, alpha: float) -> str:
    origin = {
        True: ", the ones it was fitted to, on which noise looks better than on new ones",
        False: ", not the ones it was fitted to, as their means tell",
        None: "",
    }[rows.trained_on]
    rate = f"a family of tests errs on a right model with a chance of {alpha:.0%} at most"
    return f"{len(rows):,} rows{origin}; {rate}."
