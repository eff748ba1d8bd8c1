"""Counterfactuals behind an autoencoder, engine by engine: `python -m tests.benchmarks.abduction` (a minute).

A synthetic SCM with a latent z in the plane: z -> x <- t, and 8 numbers x = f(z, t) + noise that bend with
both. Seen are t and x; asked is x under do(t = 1), which is known, since z and the noise are.

Two SCMs are asked. In one the mechanism is the true one, and a guide is trained to it: errors are those of
abduction alone. In the other the mechanism is a network trained together with the guide, a variational
autoencoder: errors are also those of the network, which all engines share.

The error is the root mean square, over units and numbers, of the posterior mean's distance from the truth, in
standard deviations of x. "no abduction" answers E[x | do(t = 1)] to everyone. Chains are slow, so NUTS is
asked about fewer units, and compared with the guide on these.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.abduct import ENGINES

RESULTS = Path(__file__).parent / "results" / "abduction.json"
LATENT, NUMBERS, NOISE = 2, 8, 0.3
DO = {"t": 1.0}
COMPARED = {"guide": 1000, "importance": 1000, "svi": 1000, "nuts": 200}  # draws a unit


class Truth(PyroModule):
    """z -> x <- t, with a mechanism of random coefficients (the seed of the module fixes them)."""

    def __init__(self, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("weights", torch.randn(NUMBERS, LATENT, generator=generator))
        self.register_buffer("effect", torch.randn(NUMBERS, generator=generator))
        self.register_buffer("phase", 3 * torch.randn(NUMBERS, generator=generator))

    def mean(self, z: Tensor, t: Tensor) -> Tensor:
        along = self.weights @ z
        return along * torch.exp(0.5 * self.effect * t) + torch.sin(along + self.phase) + self.effect * t

    def scale(self) -> Tensor:
        return torch.full((NUMBERS,), NOISE)

    def forward(self):
        z = pyro.sample("z", dist.Normal(torch.zeros(LATENT), 1.0).to_event(1))
        t = pyro.sample("t", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(self.mean(z, t), self.scale()).to_event(1))


class Autoencoder(Truth):
    """The same graph; the mechanism of x is a network."""

    def __init__(self, hidden: int = 64):
        super().__init__()
        self.decoder = nn.Sequential(
            nn.Linear(LATENT + 1, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, NUMBERS),
        )
        self.log_scale = nn.Parameter(torch.zeros(NUMBERS))

    def mean(self, z: Tensor, t: Tensor) -> Tensor:
        return self.decoder(torch.cat([z, t[None]]))

    def scale(self) -> Tensor:
        return torch.exp(self.log_scale)


@dataclass(frozen=True)
class Row:
    """One engine's answers."""

    mechanism: str
    engine: str
    units: int
    error: float
    relative: float  # to the guide's error on the same units
    gain: float  # how much smaller its squared errors are than the guide's, in standard errors
    seconds: float  # for 100 units


class Study:
    """Training rows, units to ask, and what they would have been."""

    def __init__(self, *, rows: int = 4000, units: int = 500, chains: int = 50):
        truth = pc.SCM(Truth(), latent=["z"])
        self.asked = {"nuts": chains}  # how many of the units; default all
        self.rows = seen(truth.sample(rows, seed=0))
        whole = truth.sample(units, seed=1)
        self.evidence = seen(whole)
        self.answer = truth.counterfactual(whole, do=DO)["x"]
        self.sd = self.rows["x"].std(0)

    def trained(self, mechanism: str, epochs: int, seed: int = 0) -> pc.SCM:
        """The SCM with a guide, and with it the network, trained to the rows."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Truth() if mechanism == "known" else Autoencoder()
            scm = pc.SCM(model, latent=["z"], guide=pc.guides.Amortized("z"), seed=seed)
        return scm.fit(self.rows, epochs=epochs, seed=seed, progress=False)

    def without_abduction(self, scm: pc.SCM) -> Tensor:
        everyone = scm.do(DO).sample(20_000, seed=0)["x"].mean(0)
        return self.squares(everyone.expand_as(self.answer))

    def squares(self, found: Tensor) -> Tensor:
        """The mean squared error of every unit."""
        return ((found.double() - self.answer[: len(found)]) / self.sd).square().mean(-1)

    def ask(self, scm: pc.SCM, engine: str) -> Tensor:
        """The engine's squared errors."""
        some = {name: x[: self.asked.get(engine)] for name, x in self.evidence.items()}
        cf = scm.counterfactual(some, do=DO, method=engine, num_samples=COMPARED[engine], seed=0)
        return self.squares(cf.mean("x"))


def seen(samples: pc.Samples) -> dict[str, Tensor]:
    return {name: samples[name] for name in ("t", "x")}


def compared(mechanism: str, engine: str, squares: Tensor, of_guide: Tensor, seconds: float) -> Row:
    n = len(squares)
    saved = of_guide[:n] - squares
    gain = (saved.mean() / (saved.std() / n**0.5)).nan_to_num().item()
    relative = (squares.mean() / of_guide[:n].mean()).sqrt().item()
    return Row(mechanism, engine, n, squares.mean().sqrt().item(), relative, gain, seconds / n * 100)


def rows_of(study: Study, mechanism: str, epochs: int) -> list[Row]:
    scm = study.trained(mechanism, epochs)
    of_guide = study.ask(scm, "guide")
    rows = [compared(mechanism, "no abduction", study.without_abduction(scm), of_guide, 0.0)]
    for engine in (name for name in COMPARED if name in ENGINES):
        started = time.perf_counter()
        squares = study.ask(scm, engine)
        rows.append(compared(mechanism, engine, squares, of_guide, time.perf_counter() - started))
    return rows


def table(rows: list[Row]) -> str:
    """As Markdown."""
    lines = [
        "| mechanism | engine | units | error | of the guide's | gain (standard errors) | s / 100 units |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        numbers = f"{r.units} | {r.error:.4f} | {r.relative:.3f} | {r.gain:.1f} | {r.seconds:.2f}"
        lines.append(f"| {r.mechanism} | {r.engine} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    torch.set_num_threads(1)
    study = Study()
    rows = [row for mechanism in ("known", "learned") for row in rows_of(study, mechanism, epochs=30)]
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
