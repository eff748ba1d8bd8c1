r"""Adjustment for confounders: outcome regression, inverse probability weighting, and both (doubly robust).

With levels a of the treatment T, confounders X, :math:`m_a(X) = E[Y | T=a, X]`,
:math:`e_a(X) = P(T=a | X)`, and the population S that is asked about (everybody, or those with T=s), the
efficient influence function of :math:`E[Y(a) | S]` is

.. math:: \frac{1}{P(S)} \Bigl( S\, m_a + 1[T=a] \frac{r}{e_a} (Y - m_a) - S \, E[Y(a) | S] \Bigr),

with r = 1 for everybody and r = e_s for those with T=s (Hahn 1998; for levels beyond two, Cattaneo 2010).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pyrocausal.errors import EstimateError
from pyrocausal.estimation import overlap
from pyrocausal.estimation.columns import contrast_levels, levels_of, matrix, numbers
from pyrocausal.estimation.learners import Learners
from pyrocausal.estimation.question import Question
from pyrocausal.estimation.resampling import Plan, own
from pyrocausal.estimation.result import Estimate
from pyrocausal.estimation.strategies import Backdoor


@dataclass(frozen=True)
class Arms:
    """The data of a treatment with levels, as arrays.

    Args:
        y: the outcome, `(rows,)`.
        codes: the treatment, 0 … size - 1.
        compared: the codes of the two levels that are compared.
        x: the confounders.
    """

    question: Question
    strategy: Backdoor
    y: np.ndarray
    codes: np.ndarray
    size: int
    compared: tuple[int, int]
    x: pd.DataFrame

    @classmethod
    def of(cls, strategy: Backdoor, frame: pd.DataFrame, question: Question, plan: Plan) -> Arms:
        treatment = frame[strategy.treatment]
        contrast = contrast_levels(treatment, question.contrast)
        levels = levels_of(treatment)
        codes = np.select([(treatment == level).to_numpy(bool) for level in levels], range(len(levels)))
        y, x = numbers(frame[strategy.outcome], "outcome"), frame[list(strategy.adjust)]
        a, b = (levels.index(level) for level in contrast)
        fewest = (matrix(x).shape[1] + 2) * plan.folds / max(plan.folds - 1, 1)
        for level, code in zip(contrast, (a, b)):
            if (count := (codes == code).sum()) < fewest:
                raise EstimateError(
                    f"{count} rows have {strategy.treatment}={level!r}",
                    why=f"a fit to {matrix(x).shape[1]} columns in {plan.folds} folds needs {fewest:.0f}",
                    fix="adjust for fewer columns, merge levels, or take fewer folds",
                )
        return cls(question, strategy, y, codes, len(levels), (a, b), x)

    def arm(self, code: int) -> np.ndarray:
        return (self.codes == code).astype(float)

    def population(self, e: np.ndarray | None = None) -> np.ndarray:
        """Who is asked about: 1 or 0. With propensities `(levels, ..., rows)`, those trimmed are not."""
        whose = self.question.whose
        asked = np.ones(len(self.y)) if whose is None else self.arm(self.compared[whose])
        return asked if e is None else asked * self.kept(e)

    def kept(self, e: np.ndarray) -> np.ndarray:
        return (e[list(self.compared)] >= self.question.trim).all(0).astype(float)

    def weights(self, e: np.ndarray) -> list[np.ndarray]:
        """The weights of both arms, :math:`1[T=a] r / e_a`."""
        whose = self.question.whose
        r = 1.0 if whose is None else e[self.compared[whose]]
        tiny = np.finfo(float).tiny
        return [self.arm(code) * self.kept(e) * r / np.maximum(e[code], tiny) for code in self.compared]

    def overlap(self, e: np.ndarray) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Of the levels that those asked about do not all have."""
        whose, compared = self.question.whose, list(zip(self.question.contrast, self.compared))
        needed = [i for i in (0, 1) if i != whose]
        arms = {level: self.arm(code) for level, code in (compared[i] for i in needed)}
        if not self.question.trim:
            overlap.check_strata(self.x, arms, self.population(), self.strategy.treatment)
        found, warnings = overlap.check(
            {level: e[code] for level, code in (compared[i] for i in needed)},
            {compared[i][0]: self.weights(e)[i] for i in needed},
            self.population(e),
            {level: arm.mean() for level, arm in arms.items()},
            self.strategy.treatment,
        )
        if self.question.trim:
            found["trimmed"] = int((1 - self.kept(e)).sum())
        return found, warnings

    def report(self, method: str, **found: Any) -> Estimate:
        target = self.question.target(self.strategy.treatment, self.strategy.outcome)
        rows = len(self.y) - found["diagnostics"].get("trimmed", 0)
        return Estimate(target=target, method=method, n=rows, **found)


def difference(
    strategy: Backdoor, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """The difference in means. Welch's interval is valid if the treatment was randomised.

    With clusters it is the Wald interval of their sums.
    """
    arms = Arms.of(Backdoor(strategy.treatment, strategy.outcome), frame, question, plan)
    means = [arms.y[arms.codes == code].mean() for code in arms.compared]
    influence = sum(
        sign * arms.arm(code) * (arms.y - mean) / arms.arm(code).mean()
        for sign, code, mean in zip((1, -1), arms.compared, means)
    )
    found = one_step(arms, plan, "difference in means", means, np.asarray(influence), {}, ())
    return found if plan.clusters is not None else _welch(found, arms, plan)


def _welch(found: Estimate, arms: Arms, plan: Plan) -> Estimate:
    """Welch (1947): variances of their own, and the degrees of freedom of Satterthwaite (1946)."""
    groups = [arms.y[arms.codes == code] for code in arms.compared]
    sizes = [len(y) for y in groups]
    if min(sizes) < 2:
        raise EstimateError(
            f"{min(sizes)} row has one of the two values", why="a group's spread needs two", fix="add rows"
        )
    parts = np.array([y.var(ddof=1) / n for y, n in zip(groups, sizes)])
    error = float(np.sqrt(parts.sum()))
    freedom = parts.sum() ** 2 / (parts**2 / (np.array(sizes) - 1)).sum() if error > 0 else 1.0
    reach = error * float(stats.t.ppf(0.5 + plan.level / 2, freedom))
    return replace(found, std_error=error, interval=(found.value - reach, found.value + reach))


def aipw(
    strategy: Backdoor, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """The doubly robust one-step estimator with cross-fitting (Robins, Rotnitzky and Zhao 1994;
    Chernozhukov et al. 2018, section 5.1).

    Consistent if one of the two learners is. The Wald interval from the efficient influence function is valid
    if both are consistent and the product of their errors vanishes faster than :math:`n^{-1/2}`.
    """
    arms = Arms.of(strategy, frame, question, plan)
    fold = plan.fold_of(arms.codes)
    training = plan.training(fold)
    e = own(learners["treatment"].probabilities(arms.x, arms.codes, arms.size, training), fold)
    m = [
        own(learners["outcome"].mean(arms.x, arms.y, training * arms.arm(code)), fold)
        for code in arms.compared
    ]
    diagnostics, warnings = arms.overlap(e)
    s = arms.population(e)
    terms = [s * m_a + w * (arms.y - m_a) for m_a, w in zip(m, arms.weights(e))]
    means = [term.sum() / s.sum() for term in terms]
    influence = (terms[0] - terms[1] - s * (means[0] - means[1])) / s.mean()
    diagnostics |= _losses(arms, m, e)
    return one_step(arms, plan, "AIPW", means, influence, diagnostics, warnings, learners)


def one_step(
    arms: Arms,
    plan: Plan,
    method: str,
    means: list[Any],
    influence: np.ndarray,
    diagnostics: dict[str, Any],
    warnings: tuple[str, ...],
    learners: Learners | None = None,
) -> Estimate:
    value, error = float(means[0] - means[1]), plan.standard_error(influence)
    if learners:
        method += f" ({learners['outcome'].name}, {learners['treatment'].name}; {plan.fitting})"
    return arms.report(
        method,
        value=value,
        std_error=error,
        interval=plan.wald(value, error),
        level=plan.level,
        diagnostics={"means": dict(zip(arms.question.contrast, map(float, means))), **diagnostics},
        warnings=warnings,
        influence=influence,
    )


def _losses(arms: Arms, m: list[np.ndarray], e: np.ndarray) -> dict[str, float]:
    """How well the learners foretell rows that they have not seen."""
    seen = sum(arms.arm(code) for code in arms.compared)
    fitted = np.select([arms.codes == code for code in arms.compared], m)
    null = sum(
        (arms.arm(code) * (arms.y - arms.y[arms.codes == code].mean()) ** 2).sum() for code in arms.compared
    )
    right = e[arms.codes, np.arange(len(arms.y))]
    shares = np.bincount(arms.codes) / len(arms.codes)
    return {
        "R² of the outcome, given the treatment": float(1 - (seen * (arms.y - fitted) ** 2).sum() / null),
        "gain in log-likelihood of the treatment, a row": float(
            np.log(np.maximum(right, 1e-300)).mean() - np.log(shares[arms.codes]).mean()
        ),
    }


def ipw(
    strategy: Backdoor, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """Inverse probability weighting with weights that add up to one (Hájek 1971).

    The bootstrap fits the propensities anew on each resample. Its percentile interval is valid if the
    treatment's learner is a right parametric model.
    """
    arms = Arms.of(strategy, frame, question, plan)

    def means(often: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        e = learners["treatment"].probabilities(arms.x, arms.codes, arms.size, often)
        weighted = [often * w for w in arms.weights(e)]
        return np.stack([(w @ arms.y) / w.sum(-1) for w in weighted]), e[:, 0]

    found, e = means(plan.resamples())
    diagnostics, warnings = arms.overlap(e)
    return _bootstrapped(arms, plan, f"IPW ({learners['treatment'].name})", found, diagnostics, warnings)


def regression(
    strategy: Backdoor, frame: pd.DataFrame, question: Question, learners: Learners, plan: Plan
) -> Estimate:
    """The g-formula: an outcome model for each arm, averaged over the population (Robins 1986).

    The bootstrap fits the outcome models anew on each resample. Its percentile interval is valid if the
    outcome's learner is a right parametric model. Propensities are learned once, to check the overlap.
    """
    arms = Arms.of(strategy, frame, question, plan)
    often = plan.resamples()
    e = learners["treatment"].probabilities(arms.x, arms.codes, arms.size, often[:1])[:, 0]
    diagnostics, warnings = arms.overlap(e)
    s = often * arms.population(e)
    found = np.stack(
        [
            (s * learners["outcome"].mean(arms.x, arms.y, often * arms.arm(code))).sum(1) / s.sum(1)
            for code in arms.compared
        ]
    )
    return _bootstrapped(arms, plan, f"regression ({learners['outcome'].name})", found, diagnostics, warnings)


def _bootstrapped(
    arms: Arms,
    plan: Plan,
    method: str,
    means: np.ndarray,
    diagnostics: dict[str, Any],
    warnings: tuple[str, ...],
) -> Estimate:
    """From the means `(2, 1 + replicas)` at both levels; the first are of the data as they are."""
    values = means[0] - means[1]
    return arms.report(
        method,
        value=float(values[0]),
        std_error=float(values[1:].std(ddof=1)),
        interval=plan.percentile(values[1:]),
        level=plan.level,
        diagnostics={"means": dict(zip(arms.question.contrast, means[:, 0].tolist())), **diagnostics},
        warnings=warnings,
    )
