"""`estimate`: from an identified effect and a table to a number with an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pyrocausal.errors import EstimateError
from pyrocausal.estimation import backdoor, dose, frontdoor, identified, instrument, plugin, proximal
from pyrocausal.estimation.columns import is_discrete, read
from pyrocausal.estimation.learners import Learners, by_role
from pyrocausal.estimation.question import Question
from pyrocausal.estimation.resampling import Plan
from pyrocausal.estimation.result import Estimate
from pyrocausal.estimation.strategies import Backdoor, FrontDoor, Instrument, PlugIn, Proxies, Strategy
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.estimand import Estimand

Method = Callable[[Any, pd.DataFrame, Question, Learners, Plan], Estimate]

#: By strategy, the estimators; the first is the default. Of `Backdoor`, those for a treatment with levels.
METHODS: dict[type[Strategy], dict[str, Method]] = {
    Backdoor: {
        "aipw": backdoor.aipw,
        "regression": backdoor.regression,
        "ipw": backdoor.ipw,
        "difference": backdoor.difference,
    },
    FrontDoor: {"front-door": frontdoor.front_door},
    Instrument: {"iv": instrument.instrument},
    Proxies: {
        "proximal": proximal.proximal,
        "linear-bridge": proximal.linear_bridge,
        "matrix-bridge": proximal.matrix_bridge,
    },
    PlugIn: {"plug-in": plugin.plug_in},
}
#: Those for a treatment that is an amount.
DOSE_METHODS: dict[str, Method] = {
    "partially-linear": dose.partially_linear,
    "regression": dose.dose_regression,
}


def estimate(
    what: str | Estimand | Strategy,
    treatment: str | pd.DataFrame | None = None,
    /,
    data: pd.DataFrame | None = None,
    *,
    adjust: Sequence[str] | None = None,
    graph: CausalGraph | str | None = None,
    mediators: Sequence[str] | None = None,
    instruments: Sequence[str] | None = None,
    proxies: Sequence[str] | None = None,
    method: str = "auto",
    effect: str = "ate",
    contrast: tuple[Any, Any] = (1, 0),
    learners: Any = "smooth",
    folds: int = 5,
    trim: float = 0.0,
    replicas: int = 500,
    level: float = 0.95,
    clusters: str | None = None,
    seed: int = 0,
) -> Estimate:
    """The effect of a treatment on an outcome, from data: a number, its interval, and what to look at.

    ``estimate("gain", "quit", df, adjust=["age"])``, or ``estimate(estimand, df)`` with what
    `pyrocausal.identification` found, or with a strategy such as ``FrontDoor("quit", "gain", ["craving"])``.

    How it is identified has to be said, by one of: `adjust` (an empty list if the treatment was randomised),
    `graph` (from which the way is found), `mediators` (the front door), `instruments`, `proxies`.

    Args:
        what: the outcome's column; or an estimand or strategy, with the data next.
        treatment: its column.
        data: a DataFrame, a row a unit.
        adjust: confounders; with mediators, instruments or proxies, those of theirs.
        graph: a causal graph, as an object or text: adjustment by the optimal set if one is valid, else the
            front door, else any formula that identifies the effect.
        mediators: through which all of the effect goes.
        instruments: which move the treatment, and the outcome only through it.
        proxies: two of a hidden confounder; the first has nothing else to do with the outcome, the second
            nothing else with the treatment.
        method: "auto", or one of

            - "aipw": doubly robust, cross-fitted; the default with confounders.
            - "regression": the g-formula, bootstrapped.
            - "ipw": weights that add up to one, bootstrapped.
            - "difference": of means; the default without confounders.
            - "partially-linear": the default for a treatment that is an amount (over ten distinct numbers).
            - "front-door", "iv", "plug-in": the only ones of their strategies.
            - "linear-bridge", "matrix-bridge": of proxies; by default the latter if all has levels.
        effect: "ate" on everybody, "att" on those with the first level of the contrast, "atc" on those with
            the second; of adjustment for a treatment with levels.
        contrast: the two values of the treatment that are compared.
        learners: of the outcome and of the treatment. "smooth" (the default: regression with splines and
            products, penalised so that held-out loss is least), "linear" (the interval is wrong where that
            is), "mechanism" (a neural `Continuous` mechanism; slow), an estimator of scikit-learn, or
            a dict with keys "outcome" and "treatment".
        folds: of cross-fitting.
        trim: leave out rows whose propensity of either level is below it; the answer is about the others.
        replicas: of the bootstrap.
        level: of the interval.
        clusters: a column; rows with the same value may depend on each other.
        seed: of folds and resamples.

    Returns:
        See `Estimate`. What the interval is valid for is in the docstring of each method, in
        `pyrocausal.estimation`.

    Raises:
        DataError: columns that are missing, constant, of a wrong type, or have gaps.
        EstimateError: no overlap (some could hardly have had one of the values); too few rows; a contrast,
            method or effect that does not fit.

    >>> from pyrocausal.data import nsw
    >>> import pyrocausal as pc
    >>> trial = nsw()
    >>> round(pc.estimate("earnings_1978", "trained", trial, adjust=[]).value)
    1794
    """
    ways = {"mediators": mediators, "instruments": instruments, "proxies": proxies, "graph": graph}
    if isinstance(what, (Estimand, Strategy)):
        both = treatment is not None and data is not None
        if both or not all(way is None for way in (adjust, *ways.values())):
            raise EstimateError(
                f"the {type(what).__name__} says all of how the effect is identified",
                fix="pass it and the data alone, with options of the method",
            )
        strategy = identified.by_estimand(what) if isinstance(what, Estimand) else what
        data = treatment if data is None else data  # type: ignore[assignment]
    else:
        if not isinstance(what, str) or not isinstance(treatment, str):
            raise EstimateError(
                "the first two arguments name outcome and treatment",
                fix='write estimate("y", "t", df, adjust=[...]), or estimate(estimand, df)',
            )
        columns = data.columns if isinstance(data, pd.DataFrame) else ()
        strategy = _strategy(what, treatment, adjust, ways, method, columns)
    _check_types(method, clusters)
    question = Question(contrast, effect, trim)
    _refuse_unused(strategy, question, learners)
    frame = read(data, strategy, clusters)
    estimator = _estimator(strategy, frame, method, question)
    groups = None if clusters is None else np.unique(frame[clusters].to_numpy(), return_inverse=True)[1]
    plan = Plan(len(frame), groups, folds, replicas, level, seed)
    return estimator(strategy, frame, question, by_role(learners), plan)


def _check_types(method: Any, clusters: Any) -> None:
    for name, value in (("method", method), ("clusters", "" if clusters is None else clusters)):
        if not isinstance(value, str):
            raise EstimateError(f"{name}={value!r} is no text", fix=f'write {name}="..."')


def _refuse_unused(strategy: Strategy, question: Question, learners: Any) -> None:
    """Arguments that would change nothing."""
    kind = type(strategy).__name__
    if isinstance(strategy, PlugIn | Instrument | Proxies) and learners != "smooth":
        raise EstimateError(f"learners={learners!r} with {kind}", why="it learns nothing", fix="leave it out")
    if isinstance(strategy, PlugIn) and not strategy.treatment and question.contrast != (1, 0):
        raise EstimateError(
            f"contrast={question.contrast!r} with a formula that has the treatment's value in it",
            fix="leave it out, or identify P(y | do(t)) for any value",
        )


def _strategy(
    outcome: Any,
    treatment: Any,
    adjust: Sequence[str] | None,
    ways: Mapping[str, Any],
    method: str,
    columns: Any,
) -> Strategy:
    """What the arguments say of how the effect is identified."""
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1 or (given == ["graph"] and adjust is not None):
        given = [*given, "adjust"] if len(given) == 1 else given
        raise EstimateError(f"{' and '.join(given)} are two ways to identify the effect", fix="choose one")
    if given == ["graph"]:
        return identified.by_graph(ways["graph"], treatment, outcome, columns, method)
    if given:
        kind = {"mediators": FrontDoor, "instruments": Instrument, "proxies": Proxies}[given[0]]
        return kind(treatment, outcome, ways[given[0]], () if adjust is None else adjust)
    if adjust is None and method != "difference":
        raise EstimateError(
            f"nothing says how the effect of {treatment} on {outcome} is identified",
            why="a difference between groups is an effect only if nothing confounds it",
            fix="pass adjust=[...] (an empty list if it was randomised), or graph=, mediators=, "
            "instruments= or proxies=",
        )
    return Backdoor(treatment, outcome, () if adjust is None else adjust)


def _estimator(strategy: Strategy, frame: pd.DataFrame, method: str, question: Question) -> Method:
    """The function of this name for this strategy and this kind of treatment."""
    methods = METHODS[type(strategy)]
    kind = type(strategy).__name__
    if isinstance(strategy, Backdoor):
        if not is_discrete(frame[strategy.treatment]):
            methods, kind = DOSE_METHODS, f"the amount '{strategy.treatment}'"
        elif method == "partially-linear":
            methods = DOSE_METHODS
        elif method == "auto" and not strategy.adjust:
            method = "difference"
    elif question.effect != "ate" or question.trim:
        raise EstimateError(
            f"effect={question.effect!r}, trim={question.trim:g} with {kind}", fix="these are for adjustment"
        )
    if method == "auto":
        method = next(iter(methods))
    if method == "difference" and isinstance(strategy, Backdoor) and (strategy.adjust or question.trim):
        raise EstimateError(
            "a difference in means adjusts for nothing and trims nobody",
            fix='leave out adjust and trim, or choose method="aipw"',
        )
    if method not in methods:
        raise EstimateError(
            f"method={method!r} with {kind}",
            why=f"its methods are {', '.join(methods)}",
            fix="choose one of these" + (", or cut it into levels" if methods is DOSE_METHODS else ""),
        )
    return methods[method]
