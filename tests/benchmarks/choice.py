"""The choice of mechanisms, checked: `python -m tests.benchmarks.choice` (minutes).

1. How often each family is chosen for columns of known origin, given one parent.
2. Held-out log-likelihood of every variable (nats a row, and of a continuous mechanism's whole numbers the
   probability of the interval around them), and CPU seconds to fit, of `choose="likelihood"` beside "type".
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from pyrocausal.competition import compete, rivals
from pyrocausal.data import nhefs
from pyrocausal.data.synthetic import SYNTHETIC
from pyrocausal.fit.likelihood import Inputs
from pyrocausal.intervene import Intervention
from pyrocausal.mechanisms.base import Block
from pyrocausal.scm import SCM
from pyrocausal.table import read

RESULTS = Path(__file__).parent / "results" / "choice.json"
TIMES = 25  # columns of each origin

Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]

#: Whole numbers from a standard normal parent z, by what they are.
COLUMNS: dict[str, Draw] = {
    "Poisson, mean 2": lambda r, z: r.poisson(2 * np.exp(0.3 * z)),
    "Poisson, mean 6": lambda r, z: r.poisson(6 * np.exp(0.3 * z)),
    "over-dispersed, mean 4": lambda r, z: r.poisson(4 * np.exp(0.3 * z) * r.gamma(1.5, 1 / 1.5, len(z))),
    "grades 1 to 5": lambda r, z: np.digitize(z + r.normal(size=len(z)), [-1.5, -0.3, 0.6, 1.2]) + 1,
    "rounded normal, sd 1.7": lambda r, z: np.round(12 + 0.7 * z + 1.5 * r.normal(size=len(z))).clip(0),
    "rounded normal, sd 5": lambda r, z: np.round(40 + 3 * z + 4 * r.normal(size=len(z))).clip(0),
    "rounded normal, sd 10": lambda r, z: np.round(70 + 5 * z + 8.7 * r.normal(size=len(z))).clip(0),
    "whole years, 18 to 30": lambda r, z: np.floor(18 + 12 / (1 + np.exp(-z - r.normal(size=len(z))))),
}


def chosen(name: str, rows: int, seed: int) -> str:
    """The family chosen for one column."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=rows)
    column = COLUMNS[name](generator, z).astype(float)
    families = rivals(column)
    if len(families) == 1:
        return families[0].kind
    features = torch.tensor(z, dtype=torch.float32)[:, None]
    block = Block(1, one_hot=False, continuous=True)
    return compete(torch.tensor(column), features, [block], families, seed).kind


def clinic(rows: int, seed: int) -> pd.DataFrame:
    """Counts, a grade and a rounded age that act on each other."""
    r = np.random.default_rng(seed)
    age = np.round(r.normal(45, 12, rows).clip(18))
    children = r.poisson(np.exp(0.02 * age - 0.4))
    pain = np.digitize(age / 20 + r.normal(size=rows), [1.0, 1.8, 2.6, 3.2]) + 1
    visits = r.poisson(np.exp(0.4 * pain - 0.3) * r.gamma(1.5, 1 / 1.5, rows))
    cost = 200 + 90 * visits + 40 * pain + 2 * age + 60 * r.normal(size=rows)
    return pd.DataFrame({"age": age, "children": children, "pain": pain, "visits": visits, "cost": cost})


def frames(rows: int) -> dict[str, tuple[str, pd.DataFrame]]:
    """Graphs with tables, by name."""
    found = {
        "clinic": ("age -> children; age -> pain -> visits -> cost <- pain; age -> cost", clinic(rows, 0))
    }
    for name in ("counts", "mixed"):
        values, _ = SYNTHETIC[name].sample(rows, seed=0)
        found[name] = SYNTHETIC[name].graph, pd.DataFrame({k: v.numpy() for k, v in values.items()})
    people = nhefs()
    causes = people.columns.drop(["quit", "weight_change"])
    graph = "; ".join(f"{x} -> quit; {x} -> weight_change" for x in causes) + "; quit -> weight_change"
    return found | {"nhefs": (graph, people)}


def held_out(scm: SCM, rows: pd.DataFrame) -> dict[str, float]:
    """Mean log-likelihood of each variable, for whole numbers as a probability."""
    model = scm._model
    values = read(rows, scm.variables, where="evidence").values
    inputs = Inputs.of(model.program, model.structure, Intervention(), values)
    scores = {}
    for name, mechanism in inputs.mechanisms.items():
        x, given = values[name], mechanism.distribution(inputs.features[name])
        if hasattr(given, "log_prob_between") and bool((x == x.round()).all()):
            scores[name] = given.log_prob_between(x.double() - 0.5, x.double() + 0.5).mean().item()
        else:
            scores[name] = given.log_prob(x).mean().item()
    return scores


def compared(graph: str, table: pd.DataFrame) -> dict[str, object]:
    """Both ways of choosing, fitted to one half of the table and judged on the other."""
    training, test = table.iloc[::2], table.iloc[1::2]
    found: dict[str, object] = {}
    for way in ("likelihood", "type"):
        start = time.process_time()
        scm = SCM.from_graph(graph, choose=way).fit(training, progress=False)
        found[f"seconds, {way}"] = round(time.process_time() - start, 1)
        found[f"mechanisms, {way}"] = scm.chosen.mechanism.to_dict()
        found[f"held out, {way}"] = {name: round(x, 4) for name, x in held_out(scm, test).items()}
    return found


def main() -> None:
    torch.set_num_threads(1)
    rates = {
        f"{name}, {rows} rows": dict(Counter(chosen(name, rows, seed) for seed in range(TIMES)))
        for name in tqdm(COLUMNS, desc="columns")
        for rows in (500,)
    }
    fits = {name: compared(*frame) for name, frame in tqdm(frames(1600).items(), desc="fits")}
    found = {"rates": rates, "fits": fits}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
