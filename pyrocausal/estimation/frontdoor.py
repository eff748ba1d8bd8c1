r"""The front door: an effect through mediators, whatever confounds treatment and outcome.

.. math:: E[Y(a)] = E\Bigl[ \sum_{a'} P(a' \mid C) \, E\bigl[ \mu_{a'}(M, C) \mid A=a, C \bigr] \Bigr],
          \qquad \mu_{a'}(M, C) = E[Y \mid A=a', M, C].

Mediators may be of any number and type: their density enters by a ratio only, which Bayes' rule turns into
one of propensities,

.. math:: \frac{f(M \mid a, C)}{f(M \mid A, C)} =
          \frac{P(a \mid M, C)}{P(a \mid C)} \, \frac{P(A \mid C)}{P(A \mid M, C)} .
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pyrocausal.estimation import overlap
from pyrocausal.estimation.backdoor import Arms, one_step
from pyrocausal.estimation.learners import Learners
from pyrocausal.estimation.question import Question
from pyrocausal.estimation.resampling import Plan, own
from pyrocausal.estimation.result import Estimate
from pyrocausal.estimation.strategies import Backdoor, FrontDoor


def front_door(
    strategy: FrontDoor, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """The one-step estimator from the efficient influence function (Fulcher et al. 2020, theorem 1).

    Cross-fitted. The Wald interval is valid if all learners are consistent and the products of their errors
    vanish faster than :math:`n^{-1/2}`.
    """
    given = Backdoor(strategy.treatment, strategy.outcome, (*strategy.mediators, *strategy.adjust))
    arms = Arms.of(given, frame, question, plan)
    c = frame[list(strategy.adjust)]
    fold = plan.fold_of(arms.codes)
    training = plan.training(fold)
    propensity = learners["treatment"].probabilities
    e, e_m = (propensity(x, arms.codes, arms.size, training) for x in (c, arms.x))
    mu = np.stack(
        [learners["outcome"].mean(arms.x, arms.y, training * arms.arm(k)) for k in range(arms.size)]
    )
    terms, ratios = [], {}
    for level, code in zip(question.contrast, arms.compared):
        theta = np.stack([learners["outcome"].mean(c, m, training * arms.arm(code)) for m in mu])
        ratio = _of_observed(own(e, fold), arms) / _of_observed(own(e_m, fold), arms)
        ratios[level] = ratio * own(e_m, fold)[code] / own(e, fold)[code]
        gap = own((e * (mu - theta)).sum(0), fold)  # Σ_a' P(a'|C) (μ_a' - θ_a')
        terms.append(
            (arms.y - _of_observed(own(mu, fold), arms)) * ratios[level]
            + arms.arm(code) / own(e, fold)[code] * gap
            + _of_observed(own(theta, fold), arms)
        )
    diagnostics, warnings = _overlap(arms, own(e, fold), ratios)
    means = [float(term.mean()) for term in terms]
    influence = terms[0] - terms[1] - (means[0] - means[1])
    return one_step(arms, plan, "front door", means, influence, diagnostics, warnings, learners)


def _of_observed(each: np.ndarray, arms: Arms) -> np.ndarray:
    """Of `(levels, rows)`, the entry at each row's own treatment."""
    return each[arms.codes, np.arange(len(arms.y))]


def _overlap(arms: Arms, e: np.ndarray, ratios: dict) -> tuple[dict, tuple[str, ...]]:
    """Of the treatment given the confounders, and how much the density ratios concentrate."""
    named = dict(zip(arms.question.contrast, arms.compared))
    weights = {level: arms.arm(code) / e[code] for level, code in named.items()}
    shares = {level: arms.arm(code).mean() for level, code in named.items()}
    everybody = np.ones(len(arms.y))
    found, warnings = overlap.check(
        {level: e[code] for level, code in named.items()}, weights, everybody, shares, arms.strategy.treatment
    )
    sizes = {level: float(r.sum() ** 2 / (r**2).sum()) for level, r in ratios.items()}
    for level, ratio in ratios.items():
        more = overlap.concentrated(ratio, f"the mediators' ratio for {arms.strategy.treatment}={level!r}")
        warnings = (*warnings, *more)
    return {**found, "effective sample size of the mediators' ratios": sizes}, warnings
