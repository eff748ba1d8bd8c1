"""The demo's effect, checked: `python -m tests.benchmarks.nhefs [--coverage N]` (minutes).

1. Real outcomes: the effect for five seeds beside a linear g-formula on the same covariates.
2. Simulated outcomes over the real covariates, with a known effect and strong confounding: bias beside the
   naive bias.
3. With `--coverage`, in N simulated studies: how often the 95 % bootstrap interval covers the known effect.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from pyrocausal.data import nhefs
from pyrocausal.demo import Smoking, effects
from pyrocausal.scm import SCM

RESULTS = Path(__file__).parent / "results" / "nhefs.json"
TRUE_EFFECT = 2.0


def design(frame: pd.DataFrame) -> np.ndarray:
    """Intercept, treatment, and all covariates (levels as indicators)."""
    covariates = pd.get_dummies(frame.drop(columns=["quit", "weight_change"]), drop_first=True).astype(float)
    return np.column_stack([np.ones(len(frame)), frame.quit, covariates])


def linear_g_formula(frame: pd.DataFrame) -> float:
    """The coefficient of quitting in a linear regression on it and all covariates."""
    return float(np.linalg.lstsq(design(frame), frame.weight_change, rcond=None)[0][1])


def association(frame: pd.DataFrame) -> float:
    """The difference in means: what ignoring confounding gives."""
    means = frame.groupby("quit").weight_change.mean()
    return float(means[1] - means[0])


def estimate(frame: pd.DataFrame, *, seed: int, epochs: int = 60) -> float:
    """The effect of quitting by the demo's SCM."""
    scm = SCM(Smoking(frame), seed=seed).fit(frame, epochs=epochs, seed=seed, progress=False)
    return float(effects(scm, frame).mean())


def simulated(seed: int) -> pd.DataFrame:
    """Real people, simulated decision and weight change: strong confounding, heavy tails, a known effect."""
    frame, generator = nhefs(), np.random.default_rng(seed)
    age, years = (_standard(frame[c]) for c in ("age", "smoking_years"))
    intensity, weight = (_standard(frame[c]) for c in ("smoking_intensity", "weight_1971"))
    female = (frame.sex == "female").to_numpy(float)
    severity = 0.8 * age + 0.6 * intensity - 0.7 * weight + 0.5 * female
    frame["quit"] = (generator.random(len(frame)) < 1 / (1 + np.exp(1 - 1.2 * severity))).astype(int)
    outcome = 4.0 * severity + 1.0 * weight**2 + 0.5 * age * years + 3.0 * generator.standard_t(5, len(frame))
    frame["weight_change"] = outcome + TRUE_EFFECT * frame.quit
    return frame


def _standard(column: pd.Series) -> np.ndarray:
    return ((column - column.mean()) / column.std()).to_numpy()


def covered(seed: int) -> bool:
    """Whether the demo's interval covers the known effect in one simulated study."""
    frame = simulated(seed)
    scm = SCM(Smoking(frame), seed=seed).fit(frame, epochs=20, seed=seed, progress=False)
    draws = scm.bootstrap(
        frame,
        lambda model, rows: effects(model, rows).mean(),
        replicas=100,
        only=["weight_change"],
        epochs=20,
        seed=seed,
        progress=False,
    )
    return abs(float(effects(scm, frame).mean()) - TRUE_EFFECT) <= 1.96 * float(draws.std())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--coverage", type=int, default=0, help="simulated studies for the interval's coverage"
    )
    studies = parser.parse_args().coverage
    torch.set_num_threads(1)
    real, found = nhefs(), {}
    found["linear_g_formula"], found["association"] = linear_g_formula(real), association(real)
    found["effect_by_seed"] = [estimate(real, seed=seed) for seed in tqdm(range(5), desc="real outcomes")]
    frames = [simulated(seed) for seed in range(5)]
    found["true_effect"] = TRUE_EFFECT
    found["naive_by_study"] = [association(frame) for frame in frames]
    found["estimate_by_study"] = [
        estimate(frame, seed=seed) for seed, frame in enumerate(tqdm(frames, desc="simulated outcomes"))
    ]
    if studies:
        found["coverage_studies"] = studies
        found["covered"] = sum(covered(100 + seed) for seed in tqdm(range(studies), desc="coverage"))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
