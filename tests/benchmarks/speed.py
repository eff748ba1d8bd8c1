"""What a query costs beside the same computation by hand in torch: `python -m tests.benchmarks.speed`.

Chains x0 -> x1 -> ... of 5, 20 and 50 variables, asked about 1, 1,000 and 100,000 units; every variable is
Gaussian with a network of its parent for location and scale ("normal"), or has a rational-quadratic spline
whose parameters are a network of its parent ("spline"). The code by hand uses the same networks on batches
and does no more than it must: no checks, no names, no seeds. Asked are a counterfactual, do(x0 = 1), with all
observed, and a sample.

Every number is a ratio within one run: the ways to compute the same thing take turns, and medians are
compared. "call" is the whole call of the user (`scm.counterfactual(values, do=...)`), whose checks of
arguments and results are part of the price; "passes" are the fused passes of it alone. The first question's
time to compile is that of an empty disk cache (a second process reuses it).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn
from zuko.transforms import MonotonicRQSTransform

import pyrocausal as pc

RESULTS = Path(__file__).parent / "results"
BINS, WIDTH = 8, 32
DEPTHS, UNITS, KINDS = (5, 20, 50), (1, 1_000, 100_000), ("normal", "spline")
SECONDS = 2.0  # for the repeats of a row, at least 5
Values = Mapping[str, Tensor]


class Chain(PyroModule):
    """x0 -> x1 -> ...: the program, and below it the same by hand."""

    def __init__(self, depth: int, kind: str):
        super().__init__()
        self.kind = kind
        outputs = 2 if kind == "normal" else 3 * BINS - 1
        self.nets = nn.ModuleList(
            nn.Sequential(
                nn.Linear(1, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, outputs)
            )
            for _ in range(depth)
        )

    def forward(self):
        parent = torch.zeros(())
        for i, net in enumerate(self.nets):
            parent = pyro.sample(f"x{i}", self.mechanism(net(parent[None])))

    def mechanism(self, h: Tensor) -> dist.TorchDistribution:
        if self.kind == "normal":
            return dist.Normal(h[0], h[1].exp())
        return dist.TransformedDistribution(dist.Normal(torch.zeros(()), torch.ones(())), [spline(h).inv])


def spline(h: Tensor) -> MonotonicRQSTransform:
    return MonotonicRQSTransform(h[..., :BINS], h[..., BINS : 2 * BINS], h[..., 2 * BINS :])


# ---- by hand


def pull(kind: str, h: Tensor, x: Tensor) -> Tensor:
    return (x - h[:, 0]) / h[:, 1].exp() if kind == "normal" else spline(h)(x)


def push(kind: str, h: Tensor, u: Tensor) -> Tensor:
    return h[:, 0] + h[:, 1].exp() * u if kind == "normal" else spline(h).inv(u)


@torch.no_grad()
def counterfactual(chain: Chain, values: Values, x0: float) -> list[Tensor]:
    units, nets = len(values["x0"]), chain.nets
    before = [torch.zeros(units, 1), *(x[:, None] for x in values.values())]
    noise = [pull(chain.kind, net(p), x) for net, p, x in zip(nets, before, values.values())]
    found = [torch.full((units,), x0)]
    for net, u in zip(nets[1:], noise[1:]):
        found.append(push(chain.kind, net(found[-1][:, None]), u))
    return found


@torch.no_grad()
def sample(chain: Chain, units: int) -> list[Tensor]:
    found: list[Tensor] = []
    parent = torch.zeros(units)
    for net in chain.nets:
        parent = push(chain.kind, net(parent[:, None]), torch.randn(units))
        found.append(parent)
    return found


# ---- beside each other


@dataclass
class Row:
    query: str
    kind: str
    depth: int
    units: int
    by_hand_ms: float
    eager: float  # times by hand: the call
    compiled: float
    passes: float  # the compiled passes of the call alone
    repeats: int


def medians(ways: Mapping[str, Callable[[], Any]]) -> tuple[dict[str, float], int]:
    """Median milliseconds of each way; they take turns."""
    for way in ways.values():
        way()
    found: dict[str, list[float]] = {name: [] for name in ways}
    end = time.perf_counter() + SECONDS
    while len(found["hand"]) < 5 or (time.perf_counter() < end and len(found["hand"]) < 200):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            found[name].append(1e3 * (time.perf_counter() - begun))
    return {name: statistics.median(times) for name, times in found.items()}, len(found["hand"])


def recorded(scm: pc.SCM, call: Callable[[], Any]) -> Callable[[], Any]:
    """The compiled passes that a call makes, to be made again without the rest of it."""
    model, made = scm._model, []
    compiled = model.compiled

    class Recorder(type(compiled)):  # type: ignore[misc]
        def __call__(self, program: Any, **asked: Any) -> Any:
            made.append(asked)
            return compiled(program, **asked)

    model.compiled = Recorder()
    try:
        call()
    finally:
        model.compiled = compiled

    @torch.no_grad()
    def again() -> None:
        for asked in made:
            compiled(model.program, **asked)

    return again


def rows_of(kind: str, depth: int) -> tuple[list[Row], dict[str, Any]]:
    torch.manual_seed(0)
    chain = Chain(depth, kind)
    scm = pc.SCM(chain)
    few = dict(scm.sample(7, seed=0))
    begun = time.perf_counter()
    scm.counterfactual(few, do={"x0": 1.0}, compile=True)
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    scm.sample(3, compile=True)
    second = time.perf_counter() - begun
    compile_time = {"kind": kind, "depth": depth, "counterfactual_s": first, "then_sample_s": second}
    rows = []
    for units in UNITS:
        values = dict(scm.sample(units, seed=1))
        check(chain, scm, values)
        for query in ("counterfactual", "sample"):
            if query == "counterfactual":
                by_hand: Callable[[], Any] = lambda: counterfactual(chain, values, 1.0)  # noqa: B023, E731
                call: Any = lambda **k: scm.counterfactual(values, do={"x0": 1.0}, **k)  # noqa: B023, E731
            else:
                by_hand = lambda: sample(chain, units)  # noqa: B023, E731
                call = lambda **k: scm.sample(units, **k)  # noqa: B023, E731
            fused = lambda: call(compile=True)  # noqa: B023, E731
            ways = {"hand": by_hand, "eager": call, "compiled": fused, "passes": recorded(scm, fused)}
            ms, repeats = medians(ways)
            ratios = [ms[name] / ms["hand"] for name in ("eager", "compiled", "passes")]
            rows.append(Row(query, kind, depth, units, ms["hand"], *ratios, repeats))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    return rows, compile_time


def check(chain: Chain, scm: pc.SCM, values: Values) -> None:
    """The three ways say the same."""
    by_hand = counterfactual(chain, values, 1.0)
    for fused in (False, True):
        found = scm.counterfactual(values, do={"x0": 1.0}, compile=fused)
        for x, wanted in zip(found.values(), by_hand, strict=True):
            torch.testing.assert_close(x, wanted, rtol=1e-3, atol=1e-3)


def table(rows: list[Row]) -> str:
    lines = [
        "| query | mechanism | depth | units | by hand (ms) | eager call | compiled call | compiled passes |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        numbers = f"{r.by_hand_ms:.2f} | {r.eager:.2f} | {r.compiled:.2f} | {r.passes:.2f}"
        lines.append(f"| {r.query} | {r.kind} | {r.depth} | {r.units:,} | {numbers} |")
    return "\n".join(lines)


def compile_table(times: list[dict[str, Any]]) -> str:
    lines = ["| mechanism | depth | first counterfactual (s) | then sample (s) |", "|---|---:|---:|---:|"]
    for t in times:
        seconds = f"{t['counterfactual_s']:.1f} | {t['then_sample_s']:.1f}"
        lines.append(f"| {t['kind']} | {t['depth']} | {seconds} |")
    return "\n".join(lines)


def machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    load = os.getloadavg()[0]
    return f"{cpu}, {os.cpu_count()} cores, load {load:.1f}, torch {torch.__version__}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def one_process(kind: str, depth: int, threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    rows, compile_time = rows_of(kind, depth)
    return {"rows": [asdict(row) for row in rows], "compile": [compile_time]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    path = RESULTS / f"speed_{given.threads}.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for kind in given.kinds:
        for depth in given.depths:
            with tempfile.TemporaryDirectory() as cache:  # compile times are those of a first process
                found = _apart(kind, depth, given.threads, cache)
            for part, new in found.items():  # other rows stay from earlier runs
                old = [r for r in record.get(part, []) if (r["kind"], r["depth"]) != (kind, depth)]
                record[part] = sorted(old + new, key=lambda r: (r["kind"], r["depth"], r.get("query", "")))
            record |= {"machine": machine(), "threads": given.threads}
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            rows = table([Row(**row) for row in record["rows"]])
            head = f"{record['machine']}; {given.threads} thread(s)"
            text = f"{head}\n\n{rows}\n\n{compile_table(record['compile'])}\n"
            path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


def _apart(kind: str, depth: int, threads: int, cache: str) -> dict[str, Any]:
    """In a process of its own, whose compile cache is empty."""
    context = torch.multiprocessing.get_context("spawn")
    before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(one_process, kind, depth, threads).result()
    finally:
        os.environ.pop("TORCHINDUCTOR_CACHE_DIR")
        if before is not None:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = before


if __name__ == "__main__":
    main()
