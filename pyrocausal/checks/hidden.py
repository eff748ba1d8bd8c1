"""What a hidden common cause could do to the asked effect, beside the causes that are observed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pyrocausal.checks.effect import Effect
from pyrocausal.checks.refute import Refitted
from pyrocausal.checks.report import Checked, Finding, not_run
from pyrocausal.checks.rows import Rows
from pyrocausal.checks.sensitivity import (
    Regression,
    e_value,
    e_value_of_interval,
    risk_ratio_of_difference,
    times,
)
from pyrocausal.errors import DataError
from pyrocausal.graph.causal_graph import CausalGraph

E_VALUE, ROBUSTNESS, BENCHMARK = "E-value", "robustness value", "hidden cause"
MOST_SPREADS = 100  # standard deviations of the outcome, which are a risk ratio of 10^40
SIGNIFICANT = 0.05  # the level at which an effect is called explained away


@dataclass(frozen=True)
class Sensitivity:
    """What `plots.sensitivity` draws: the regression, and what the effect is called."""

    regression: Regression
    effect: str


def check_hidden(rows: Rows, effect: Effect, refits: Refitted | None) -> Checked:
    """The E-value of the effect, its robustness value, and the comparison with the strongest observed cause.

    None is a test: they say how strong a hidden cause must be, not whether there is one. The comparison warns
    if one like the strongest observed cause would take the effect away.
    """
    means = effect.means(rows.scm, rows.data)
    try:
        regression = regress(rows, effect)
    except DataError as error:
        return [not_run(BENCHMARK, str(effect), error.what)], {}
    reach = 1.96 * regression.se
    low, high = refits.interval() if refits else (means[0] - means[1] - reach, means[0] - means[1] + reach)
    found = [_e_value(rows, effect, means, low, high), _robustness(effect, regression)]
    return [*found, _benchmark(effect, regression)], {"sensitivity": Sensitivity(regression, str(effect))}


def _e_value(rows: Rows, effect: Effect, means: tuple[float, float], low: float, high: float) -> Finding:
    """Of the ratio of risks, or of the difference of means in standard deviations of the outcome."""
    difference = means[0] - means[1]
    if rows.scm.variables[effect.outcome].kind == "binary" and min(means) > 0:
        ratio, ends = means[0] / means[1], [max(1e-6, 1 + end / means[1]) for end in (low, high)]
    else:
        sd = rows.values[effect.outcome].double().std().item()
        if max(map(abs, (difference, low, high))) > MOST_SPREADS * sd:
            why = f"it is over {MOST_SPREADS} standard deviations of the outcome: no risk ratio says that"
            return not_run(E_VALUE, str(effect), why)
        ratio, *ends = (risk_ratio_of_difference(x, sd) for x in (difference, low, high))
    limit = e_value_of_interval(*ends)
    meaning = (
        "only a hidden cause that multiplies the chance of treatment and of outcome by this explains it away "
        f"({limit:.2f} to bring the interval to no effect)"
    )
    return Finding(E_VALUE, str(effect), "note", e_value(ratio), "risk ratio", meaning=meaning)


def _robustness(effect: Effect, regression: Regression) -> Finding:
    significant = regression.robustness(SIGNIFICANT)
    meaning = (
        "a hidden cause that explains less than this share of the rest of both treatment and outcome "
        f"can't take the linear effect of {regression.estimate:.3g} away "
        f"({significant:.1%} to make it insignificant)"
    )
    return Finding(ROBUSTNESS, str(effect), "note", regression.robustness(), "partial R²", meaning=meaning)


def _benchmark(effect: Effect, regression: Regression) -> Finding:
    name = regression.strongest
    if name is None:
        return not_run(BENCHMARK, str(effect), "no cause is observed to compare with")
    needed = regression.needed()
    rest = regression.adjusted(times(regression.causes[name], 1.0))
    verdict = "warn" if needed <= 1 else "pass"
    times_ = "no multiple of" if math.isinf(needed) else f"{needed:.2g} times"
    meaning = (
        f"to take the effect away a hidden cause must be {times_} '{name}', the strongest observed one; "
        f"one like it leaves {rest:.3g} of {regression.estimate:.3g}"
    )
    todo = f"ask what could be as strong as '{name}' and is not observed" if verdict == "warn" else ""
    return Finding(BENCHMARK, str(effect), verdict, needed, f"times '{name}'", meaning=meaning, todo=todo)


def regress(rows: Rows, effect: Effect) -> Regression:
    """The outcome on the treatment and what closes the back doors.

    Of a treatment with more than two levels only the rows with one of the two asked are used.

    Raises:
        DataError: there is no contrast, or nothing of the treatment is left.
    """
    variable = rows.scm.variables[effect.treatment]
    nothing = DataError("the actions don't move the treatment from one number, or level, to another")
    if variable.shape:
        raise nothing
    t = rows.values[effect.treatment].double().cpu().numpy()
    worlds = rows.scm.counterfactual(
        rows.data, do=dict(zip("ab", effect.actions)), num_samples=1, seed=0
    ).worlds
    a, b = (worlds[world][effect.treatment][0].double().cpu().numpy() for world in "ab")
    kept, contrast = np.full(len(t), True), float((a - b).mean())
    if (variable.cardinality or 0) > 2:
        if np.ptp(a) or np.ptp(b):
            raise nothing
        kept, t, contrast = (t == a[0]) | (t == b[0]), (t == a[0]).astype(float), 1.0
    covariates = {
        name: rows.numbers(name)[kept]
        for name in covariates_of(rows.scm.graph, effect.treatment, effect.outcome)
        if name in rows.values
    }
    if contrast == 0 or not np.ptp(t[kept]):
        raise nothing
    outcome = rows.values[effect.outcome].double().cpu().numpy()
    return Regression.of(outcome[kept], t[kept], covariates, contrast)


def covariates_of(graph: CausalGraph, treatment: str, outcome: str) -> list[str]:
    """The treatment's causes, which close what back doors can be closed, and the outcome's other ones.

    What the treatment itself acts on is left out (Pearl 2009, section 3.3.1).
    """
    below = {treatment, outcome, *graph.descendants(treatment)}
    return [
        name for name in graph.parents(treatment, outcome) if name not in below and name in graph.observed
    ]
