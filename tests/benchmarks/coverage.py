"""How often 95 % intervals of `pc.estimate` cover the truth: `python -m tests.benchmarks.coverage` (minutes).

Studies are simulated from SCMs with a known effect. The number of intervals that cover it is binomial if
they are right; each study says whether the count lies in the central 99.9 % of that distribution. Two
negative controls must not: the unadjusted difference in means, and linear learners where nothing is linear.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.estimation import PlugIn
from pyrocausal.estimation.strategies import Strategy
from pyrocausal.identification import P, Symbol
from pyrocausal.identification.expression import product, summed

RESULTS = Path(__file__).parent / "results" / "coverage.json"
LEVEL, BAND = 0.95, 0.999

Draw = Callable[[np.random.Generator, int], pd.DataFrame]


@dataclass(frozen=True)
class Study:
    """An SCM, a question to `pc.estimate`, and the right answer.

    Args:
        draw: a data set of a given size.
        rows: its size.
        truth: the effect that is asked for.
        options: of `pc.estimate`.
        strategy: what is passed first, if not ("y", "t").
        repetitions: how many data sets.
        covers: whether the intervals should cover at 95 %; False for the negative controls.
    """

    draw: Draw
    rows: int
    truth: float
    options: dict[str, Any] = field(default_factory=dict)
    strategy: Strategy | None = None
    repetitions: int = 1000
    covers: bool = True

    def interval(self, seed: int) -> tuple[float, float, tuple[float, float]]:
        """Value, standard error and interval on one data set."""
        found = self.estimate(seed)
        return found.value, found.std_error, found.interval

    def estimate(self, seed: int) -> pc.Estimate:
        data = self.draw(np.random.default_rng(seed), self.rows)
        options = {"level": LEVEL, "seed": seed, **self.options}
        if self.strategy is not None:
            return pc.estimate(self.strategy, data, **options)
        return pc.estimate("y", "t", data, **options)


class Model(Study):
    """The same of an SCM that is fitted to the data and asked, with refits of the outcome's mechanism."""

    def interval(self, seed: int) -> tuple[float, float, tuple[float, float]]:
        data = self.draw(np.random.default_rng(seed), self.rows)
        mechanisms = {name: m.Linear() for name in data.columns if name != "t"}
        scm = pc.SCM.from_graph("x1 -> t; x2 -> t; x1 -> y; x2 -> y; t -> y", mechanisms=mechanisms)
        scm.fit(data, epochs=2, seed=seed, progress=False)
        question = "E[y | do(t=1)] - E[y | do(t=0)]"
        options = {"only": ["y"], "epochs": 2, "progress": False, "seed": seed}
        found = scm.ask(question, data=data, replicas=100, **options)
        return float(found), found.draws.std().item(), found.interval


def expit(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def bent(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    """Nonlinear confounding of a binary treatment, an effect that differs, normal noise. E[y1 - y0] = 2."""
    x1, x2, x3 = generator.normal(size=(3, rows))
    t = generator.random(rows) < expit(0.6 * x1 - 0.5 * x2 + 0.3 * (x1**2 - 1))
    y = 1.5 * x1 + x1**2 + np.sin(1.5 * x2) + 0.5 * x1 * x2 + (2 + x1) * t + generator.normal(size=rows)
    return pd.DataFrame({"x1": x1, "x2": x2, "x3": x3, "t": t.astype(int), "y": y})


REGIONS, AGES = np.array(["east", "north", "south", "west"]), np.arange(20, 61)
SHARES = np.array([0.4, 0.3, 0.2, 0.1])
DOSES = np.array(["none", "low", "high"])


def dose_probabilities(region: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Of none, low and high: strong confounding, all at least 0.04."""
    a = (age - 40) / 12
    logits = np.stack([0 * a, 0.6 * a + 0.4 * (region == 1), 0.3 - 0.8 * a + 0.8 * (region == 2)])
    odds = np.exp(logits)
    return odds / odds.sum(0)


def dose_effect(region: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Of high against none."""
    return 1.0 + 0.05 * (age - 40) + 1.0 * (region == 3)


def doses(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    """Three levels, a categorical confounder, heavy-tailed noise whose spread grows with age."""
    region, age = generator.choice(4, rows, p=SHARES), generator.choice(AGES, rows)
    cumulated = dose_probabilities(region, age).cumsum(0)
    t = (generator.random(rows) > cumulated[:2]).sum(0)
    noise = generator.standard_t(5, rows) * (0.5 + age / 60)
    y = 2 * np.sin(age / 8) + 1.5 * (region == 2) + 0.5 * (t == 1) + dose_effect(region, age) * (t == 2)
    return pd.DataFrame({"region": REGIONS[region], "age": age, "t": DOSES[t], "y": y + noise})


def dose_truth(weigh_by: int | None = None) -> float:
    """The mean effect of high against none, over everybody or those with one level; an exact sum."""
    region, age = (grid.ravel() for grid in np.meshgrid(np.arange(4), AGES, indexing="ij"))
    weight = SHARES[region] * (1 if weigh_by is None else dose_probabilities(region, age)[weigh_by])
    return float((weight * dose_effect(region, age)).sum() / weight.sum())


def front_door(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    """A hidden cause of t and y; the effect goes through m. E[y | do(t=1)] - E[y | do(t=0)] = 1.2."""
    hidden, c = generator.normal(size=(2, rows))
    t = generator.random(rows) < expit(hidden + 0.5 * c)
    m = 0.8 * t + 0.3 * c + generator.normal(size=rows)
    y = 1.5 * m + np.cos(c) + hidden + generator.normal(size=rows)
    return pd.DataFrame({"c": c, "t": t.astype(int), "m": m, "y": y})


def encouraged(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    """An instrument of modest strength, noise whose spread depends on it. The effect is 1."""
    hidden, c = generator.normal(size=(2, rows))
    z = (generator.random(rows) < expit(c)).astype(int)
    t = 0.35 * z + 0.5 * c + hidden + generator.normal(size=rows)
    y = t + c - 1.5 * hidden + (0.5 + z) * generator.normal(size=rows)
    return pd.DataFrame({"c": c, "z": z, "t": t, "y": y})


def amount(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    """A treatment that is an amount, with nonlinear confounding. The slope is 0.7."""
    x1, x2 = generator.normal(size=(2, rows))
    t = np.sin(2 * x1) + 0.5 * x2 + generator.normal(size=rows)
    y = 0.7 * t + x1**2 + np.exp(0.5 * x2) + generator.normal(size=rows)
    return pd.DataFrame({"x1": x1, "x2": x2, "t": t, "y": y})


def linear(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    """Linear outcome and logit: right models for the bootstrapped estimators. The effect is 1."""
    x1, x2 = generator.normal(size=(2, rows))
    t = generator.random(rows) < expit(0.8 * x1 - 0.5 * x2)
    y = t + x1 + x2 + generator.normal(size=rows)
    return pd.DataFrame({"x1": x1, "x2": x2, "t": t.astype(int), "y": y})


def discrete_front_door(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    """All binary. The effect is (P(m=1 | t=1) - P(m=1 | t=0)) (E[y | m=1] - E[y | m=0]) = 0.6 * 0.4."""
    hidden = generator.random(rows) < 0.5
    t = generator.random(rows) < 0.2 + 0.6 * hidden
    m = generator.random(rows) < 0.2 + 0.6 * t
    y = generator.random(rows) < 0.1 + 0.4 * m + 0.4 * hidden
    return pd.DataFrame({"t": t.astype(int), "m": m.astype(int), "y": y.astype(int)})


def front_door_formula() -> PlugIn:
    """Σ_m P(m | t) Σ_t' P(y | t', m) P(t')."""
    t, m, other = Symbol("t"), Symbol("m"), Symbol("t", primes=1)
    inner = summed([other], product(P((Symbol("y"),), (other, m)), P((other,))))
    return PlugIn(summed([m], product(P((m,), (t,)), inner)), "y", "t")


XS, CATEGORIES = {"adjust": ["x1", "x2", "x3"]}, {"adjust": ["region", "age"], "contrast": ("high", "none")}
PAIR = {"adjust": ["x1", "x2"], "learners": "linear", "replicas": 300}

STUDIES: dict[str, Study] = {
    "AIPW, bent": Study(bent, 1000, 2.0, XS),
    "AIPW, three levels": Study(doses, 1500, dose_truth(), CATEGORIES),
    "AIPW, three levels, ATT": Study(doses, 1500, dose_truth(2), {**CATEGORIES, "effect": "att"}),
    "front door, one-step": Study(front_door, 1000, 1.2, {"mediators": ["m"], "adjust": ["c"]}),
    "instrument, Anderson-Rubin": Study(encouraged, 1000, 1.0, {"instruments": ["z"], "adjust": ["c"]}),
    "partially linear": Study(amount, 1000, 0.7, {"adjust": ["x1", "x2"]}),
    "IPW, bootstrap": Study(linear, 500, 1.0, {**PAIR, "method": "ipw"}, repetitions=300),
    "regression, bootstrap": Study(linear, 500, 1.0, {**PAIR, "method": "regression"}, repetitions=300),
    "plug-in, bootstrap": Study(discrete_front_door, 1000, 0.24, {}, front_door_formula(), repetitions=300),
    "model, refits": Model(linear, 500, 1.0, repetitions=300),
    "control: no adjustment, bent": Study(bent, 1000, 2.0, {"adjust": []}, covers=False),
    "control: linear learners, bent": Study(bent, 1000, 2.0, {**XS, "learners": "linear"}, covers=False),
}


def band(repetitions: int, level: float = LEVEL, inside: float = BAND) -> tuple[int, int]:
    """The counts of covering intervals between the tails of (1 - inside) / 2 of the binomial distribution.

    >>> band(1000)
    (926, 971)
    """
    mass = [
        math.comb(repetitions, k) * level**k * (1 - level) ** (repetitions - k)
        for k in range(repetitions + 1)
    ]
    cumulated, tail = np.cumsum(mass), (1 - inside) / 2
    return int((cumulated < tail).sum()), int((cumulated < 1 - tail).sum())


def run(study: Study, repetitions: int, label: str = "") -> dict[str, Any]:
    """Coverage, bias and spread over simulated data sets. One that an estimator refuses does not cover."""
    rows, refused = [], 0
    start = time.process_time()
    for seed in tqdm(range(repetitions), desc=label, disable=not label):
        try:
            value, error, (low, high) = study.interval(seed)
        except pc.PyrocausalError:
            refused += 1
            continue
        rows.append((value, error, low <= study.truth <= high))
    values, errors, covered = (np.array(column) for column in zip(*rows))
    least, most = band(repetitions)
    return {
        "rows": study.rows,
        "repetitions": repetitions,
        "refused": refused,
        "covered": int(covered.sum()),
        "coverage": round(float(covered.sum() / repetitions), 4),
        "band": [least / repetitions, most / repetitions],
        "within": bool(least <= covered.sum() <= most),
        "should": study.covers,
        "truth": study.truth,
        "bias": float(values.mean() - study.truth),
        "spread": float(values.std(ddof=1)),
        "standard_error": float(np.median(errors)),
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    lines = ["| study | rows | data sets | coverage | band | bias | spread | standard error | verdict |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for name, row in found.items():
        low, high = row["band"]
        inside = f"{low:.3f} to {high:.3f}"
        verdict = "as it should" if row["within"] == row["should"] else "**not as it should**"
        lines.append(
            f"| {name} | {row['rows']} | {row['repetitions']} | {row['coverage']:.3f} | {inside} "
            f"| {row['bias']:.4f} | {row['spread']:.4f} | {row['standard_error']:.4f} | {verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="studies whose name contains this; the others keep their results")
    parser.add_argument("--repetitions", type=int, help="data sets of each; nothing is written")
    given = parser.parse_args()
    logging.getLogger("pyrocausal").setLevel(logging.ERROR)
    chosen = {name: study for name, study in STUDIES.items() if (given.only or "") in name}
    found = {name: run(study, given.repetitions or study.repetitions, name) for name, study in chosen.items()}
    if not given.repetitions:
        before = json.loads(RESULTS.read_text(encoding="utf-8")) if given.only and RESULTS.exists() else {}
        every = {
            name: found.get(name, before.get(name)) for name in STUDIES if name in found or name in before
        }
        RESULTS.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")
    print(table(found))
    if any(row["within"] != row["should"] for row in found.values()):
        raise SystemExit("some coverage is not as it should be")


if __name__ == "__main__":
    main()
