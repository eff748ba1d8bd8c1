"""How often checks err, and what they see: `python -m tests.benchmarks.checks` (three minutes).

Of right models: the share of samples in which a family of tests has a warning or failure at level 0.05, and
that of single tests of independence. Of wrong models: the share in which the fault is found at level 0.01, by
the size of the fault. The refutations' rate is that of their formula, see `tests/checks/test_refute.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import torch
from tqdm import tqdm

import pyrocausal as pc
from pyrocausal.checks.dependence import centred_distances, conditional_independence, distance_correlation
from tests.checks.test_dependence import confounded, features
from tests.checks.test_implications import chain
from tests.checks.test_noise import right

RESULTS = Path(__file__).parent / "results" / "checks.json"
LEVEL, SURE = 0.05, 0.01
SAMPLES = 100
REPEATS = 25  # of each wrong model
ROWS = (200, 500)


def false_alarms(program: Callable[[], None], rows: int) -> dict[str, float]:
    """By family, the share of samples of a right model with an alarm."""
    scm, alarms = pc.SCM(program), {}
    table = scm.sample(SAMPLES * rows, seed=rows).to_pandas()
    for seed in tqdm(range(SAMPLES), desc=f"right, {rows} rows", mininterval=10):
        report = scm.check(table[rows * seed : rows * (seed + 1)], alpha=LEVEL, seed=seed)
        for row in report.summary().itertuples():
            alarms.setdefault(row.check, []).append(row.verdict in ("warn", "fail"))
    return {check: float(np.mean(found)) for check, found in alarms.items()}


def of_independence(rows: int) -> dict[str, float]:
    """Rejections by single tests: of two variables, and of two given others, by what these look like."""
    rng, found = np.random.default_rng(rows), {}
    draws = {
        "distance correlation, normal": lambda: rng.normal(size=(rows, 1)),
        "distance correlation, binary": lambda: (rng.random((rows, 1)) < 0.3).astype(float),
        "distance correlation, heavy tails": lambda: rng.standard_t(3, size=(rows, 1)),
    }
    for name, draw in draws.items():
        p = [distance_correlation(*(centred_distances(draw()) for _ in "xy"))[1] for _ in range(SAMPLES)]
        found[name] = float(np.mean(np.array(p) <= LEVEL))
    for kind in ("linear", "bent", "spread", "heavy", "binary", "several"):
        p = []
        for _ in range(SAMPLES):
            x, y, z = confounded(kind, rows, rng)
            p.append(conditional_independence(features(x), features(y), z)[1])
        found[f"given others, {kind}"] = float(np.mean(np.array(p) <= LEVEL))
    return found


def line(bend: float = 0.0, hidden: float = 0.0, spread: float = 0.0) -> Callable[[], None]:
    """y = x + noise, and what a model of that misses; `hidden` is the correlation of the noises."""

    def program():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        share, rest = hidden**0.5, (1 - hidden) ** 0.5
        x = pyro.sample("x", dist.Normal(share * u, rest))
        mean = x + bend * (x**2 - 1) / 2**0.5 + share * u
        pyro.sample("y", dist.Normal(mean, rest * torch.exp(spread * x)))

    return program


FAULTS: Mapping[str, tuple[str, str]] = {
    "bend": ("noise and causes", "y"),
    "spread": ("noise and causes", "y"),
    "hidden": ("noise and noise", "x, y"),
}


def power(fault: str, size: float, rows: int) -> float:
    """The share of samples in which a fault of that size is found."""

    def believed():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0))

    scm, check, found = pc.SCM(believed), FAULTS[fault], []
    table = pc.SCM(line(**{fault: size})).sample(REPEATS * rows, seed=0).to_pandas().drop(columns="u")
    for seed in range(REPEATS):
        report = scm.check(table[rows * seed : rows * (seed + 1)], alpha=SURE, seed=seed)
        found.append(any((f.check, f.about) == check and f.verdict != "pass" for f in report.findings))
    return float(np.mean(found))


def main() -> None:
    rates = {
        f"{name}, {rows} rows": false_alarms(program, rows)
        for name, program in (("mixed types", right), ("a chain", chain()))
        for rows in ROWS
    }
    single = {f"{rows} rows": of_independence(rows) for rows in ROWS}
    sizes = (0.1, 0.2, 0.3)
    seen = {
        f"{fault} of {size}, {rows} rows": power(fault, size, rows)
        for fault in FAULTS
        for size in sizes
        for rows in ROWS
    }
    print(pd.DataFrame(rates).T.round(3), pd.DataFrame(single).round(3), pd.Series(seen), sep="\n\n")
    result = {"level": LEVEL, "samples": SAMPLES, "false alarms": rates, "single tests": single}
    RESULTS.write_text(json.dumps({**result, "found at 0.01": seen}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
