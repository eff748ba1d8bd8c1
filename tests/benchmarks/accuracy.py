"""How close fitted SCMs come to the truth: counterfactuals and interventions on SCMs with known equations.

    python -m tests.benchmarks.accuracy --rows 2000 20000 --seeds 0 1 2 --methods pyrocausal dowhy causalflows

Every method is fitted to the same rows with its default settings. For each variable x that has descendants,
it then answers for 1,000 held-out units what they had been under do(x = v), for v the quartiles of x.

* *error*: for each x and each descendant y of x, the root of the mean square of (answer - truth) over the
  units and the quartiles, divided by the standard deviation of y; the average of this over all pairs (x, y).
* *mmd*: the distance of 1,000 draws under do(x = v) from 1,000 true ones, averaged over x and v: the biased
  maximum mean discrepancy over the standardised variables other than x, with a mean of five Gaussian kernels
  whose widths surround the median distance. For ``no_abduction``, it is the distance of two true samples.

Two groups of SCMs are listed apart, because no method need come close there. Where an equation is not
monotone in its noise, counterfactuals are not identified from the data. Where a discrete variable has
parents, its noise is known up to an interval only, so that even the true SCM errs. Finished cells stay in the
results file and are not run again.
"""

import argparse
import fcntl
import json
import math
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from pyrocausal.data.synthetic import SYNTHETIC, KnownSCM

from .peers import METHODS, Fitted, Values

__all__ = ["counterfactual_error", "interventional_mmd", "load", "main", "markdown", "run_cell"]

UNITS = 1000
QUARTILES = (0.25, 0.5, 0.75)
COLUMNS = {
    "pyrocausal": "ours",
    "dowhy": "DoWhy",
    "dowhy_better": "DoWhy, better",
    "causalflows": "causalflows",
    "no_abduction": "no abduction",
}
TABLE = ("pyrocausal", "dowhy", "causalflows", "no_abduction")
GROUPS = ("continuous, monotone", "with discrete effects", "not monotone")
Cell = dict[str, Any]


# --------------------------------------------------------------------------------------------------- measures


def reference(known: KnownSCM) -> tuple[dict[str, tuple[float, ...]], dict[str, float]]:
    """Quartiles of the variables that have descendants (each value once), and every standard deviation."""
    values, _ = known.sample(20_000, seed=99_999)
    q = torch.tensor(QUARTILES, dtype=torch.float64)
    actions = {}
    for x in known.equations:
        if known.descendants(x):
            interpolation = "linear" if known.kinds[x] == "continuous" else "nearest"
            actions[x] = tuple(dict.fromkeys(values[x].quantile(q, interpolation=interpolation).tolist()))
    return actions, {x: value.std().item() for x, value in values.items()}


def counterfactual_error(fitted: Fitted, known: KnownSCM, seed: int) -> dict[str, float]:
    """The error of each pair "x->y", in standard deviations of y; infinite where an answer is not finite."""
    values, noise = known.sample(UNITS, seed=10_000 + seed)
    actions, scales = reference(known)
    squares: dict[str, list[Tensor]] = {}
    for x, levels in actions.items():
        for level in levels:
            truth = known.predict(noise, do={x: level})
            answer = fitted.counterfactual(values, {x: level})
            for y in known.descendants(x):
                squares.setdefault(f"{x}->{y}", []).append(
                    (answer[y] - truth[y]).square().mean() / scales[y] ** 2
                )
    errors = {pair: torch.stack(square).mean().sqrt().item() for pair, square in squares.items()}
    return {pair: error if math.isfinite(error) else math.inf for pair, error in errors.items()}


def interventional_mmd(fitted: Fitted, known: KnownSCM, seed: int) -> dict[str, float]:
    """The distance of the draws under do(x = v) from true draws, for each x, averaged over v."""
    actions, scales = reference(known)
    distances = {}
    for x, levels in actions.items():
        of_levels = []
        for k, level in enumerate(levels):
            truth = known.predict(known.sample_noise(UNITS, seed=20_000 + seed), do={x: level})
            drawn = fitted.interventional(UNITS, {x: level}, seed=30_000 + 10 * seed + k)
            of_levels.append(mmd(*(_standardised(world, scales, without=x) for world in (drawn, truth))))
        distances[x] = statistics.fmean(of_levels)
    return distances


def _standardised(world: Values, scales: Mapping[str, float], without: str) -> Tensor:
    return torch.stack([world[y] / scale for y, scale in scales.items() if y != without], -1)


def mmd(a: Tensor, b: Tensor) -> float:
    """Biased maximum mean discrepancy; the median distance within b sets the widths."""
    if not a.isfinite().all():
        return math.inf
    both = torch.cat([a, b])
    square_distances = torch.cdist(both, both).square()
    median = square_distances[len(a) :, len(a) :].median()
    kernel = (
        sum(torch.exp(-square_distances / (2 * factor * median)) for factor in (1 / 16, 1 / 4, 1, 4, 16)) / 5
    )
    signs = torch.cat([torch.full((len(a),), 1 / len(a)), torch.full((len(b),), -1 / len(b))]).double()
    return (signs @ kernel @ signs).clamp_min(0).sqrt().item()


# ------------------------------------------------------------------------------------------------------ cells


def run_cell(method: str, known: KnownSCM, rows: int, seed: int) -> Cell:
    """Fit one method to one sample of one SCM and measure it; a failure is recorded as such."""
    values, _ = known.sample(rows, seed=seed)
    cell: Cell = {"checksum": checksum(known, rows, seed)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start, cpu_start = time.perf_counter(), time.process_time()
            fitted = METHODS[method](values, known, seed)
            cell["fit_seconds"] = time.perf_counter() - start
            cell["fit_cpu_seconds"] = time.process_time() - cpu_start
            start = time.perf_counter()
            errors = counterfactual_error(fitted, known, seed)
            cell["query_seconds"] = time.perf_counter() - start
            distances = interventional_mmd(fitted, known, seed)
        cell |= {"error": statistics.fmean(errors.values()), "mmd": statistics.fmean(distances.values())}
        cell |= {"errors": errors, "mmds": distances, "note": fitted.note}
    except Exception as failure:  # a peer may fail in any way; the table then says n/a
        cell["failed"] = f"{type(failure).__name__}: {failure}"
    return cell


def checksum(known: KnownSCM, rows: int, seed: int) -> float:
    """A number that changes when the training data do, so that cells of an older SCM are run again."""
    values, _ = known.sample(rows, seed=seed)
    return sum(k * value.tanh().mean().item() for k, value in enumerate(values.values(), start=1))


def key(method: str, scm: str, rows: int, seed: int) -> str:
    """The name of a cell in the results file."""
    return f"{scm}|{rows}|{seed}|{method}"


def load(path: Path) -> dict[str, Cell]:
    """All cells of a results file; none if there is no such file."""
    return json.loads(path.read_text()) if path.exists() else {}


def save(path: Path, name: str, cell: Cell) -> None:
    """Add a cell to the file, in one step, keeping what other processes have added meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        cells = dict(sorted((load(path) | {name: cell}).items()))
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
            json.dump(_rounded(cells), file, indent=1)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)


def _rounded(item: Any) -> Any:
    """The same with six significant digits, which keeps the file readable."""
    if isinstance(item, dict):
        return {name: _rounded(value) for name, value in item.items()}
    return float(f"{item:.6g}") if isinstance(item, float) else item


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------------------------------------------ table


def markdown(
    cells: Mapping[str, Cell], rows: int, measure: str = "error", methods: Sequence[str] = TABLE
) -> str:
    """A table of one measure (``error``, ``mmd``, ``fit_cpu_seconds``): medians over the seeds, for each SCM.

    The best of the fitted methods is bold. Each group of SCMs ends with the medians over those of its SCMs on
    which every method shown was run.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for name, cell in cells.items():
        scm, n, _, method = name.split("|")
        if int(n) == rows and method in methods and (measure in cell or "failed" in cell):
            values.setdefault((scm, method), []).append(cell.get(measure, math.nan))
    shown = [method for method in methods if any(method == m for _, m in values)]
    lines = ["| SCM | " + " | ".join(COLUMNS[m] for m in shown) + " |", "|---|" + "---:|" * len(shown)]
    for title in GROUPS:
        medians = {
            scm: {m: _median(values[scm, m]) for m in shown if (scm, m) in values}
            for scm, known in SYNTHETIC.items()
            if group(known) == title and any((scm, m) in values for m in shown)
        }
        if medians:
            complete = [row for row in medians.values() if len(row) == len(shown)]
            overall = {m: _median([row[m] for row in complete]) for m in shown}
            lines += [_line(scm, row, shown) for scm, row in medians.items()]
            lines += [_line(f"*median of {len(complete)}: {title}*", overall, shown)] if complete else []
    return "\n".join(lines)


def group(known: KnownSCM) -> str:
    """Which group of the table an SCM belongs to."""
    if not known.monotone:
        return GROUPS[2]
    caused = {x for x, equation in known.equations.items() if equation.parents}
    return GROUPS[1] if any(known.kinds[x] != "continuous" for x in caused) else GROUPS[0]


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def _line(title: str, row: Mapping[str, float], shown: Iterable[str]) -> str:
    """A line of the table: "n/a" where a method failed, empty where it was not run."""
    fitted = [value for m, value in row.items() if m != "no_abduction" and not math.isnan(value)]
    texts = []
    for m in shown:
        text = "" if m not in row else "n/a" if math.isnan(row[m]) else f"{round(row[m], 5):.3g}"
        texts.append(
            f"**{text}**" if text and row[m] == min(fitted, default=None) and m != "no_abduction" else text
        )
    return f"| {title} | " + " | ".join(texts) + " |"


def report(cells: Mapping[str, Cell]) -> str:
    """All tables, and the failures."""
    parts = []
    for rows in sorted({int(name.split("|")[1]) for name in cells}):
        for measure, title in (
            ("error", "Counterfactual error"),
            ("mmd", "MMD"),
            ("fit_cpu_seconds", "CPU seconds to fit"),
        ):
            parts.append(f"### {title}, {rows:,} rows\n\n{markdown(cells, rows, measure)}\n")
    failed = [f"- {name}: {cell['failed']}" for name, cell in cells.items() if "failed" in cell]
    return "\n".join(parts + (["### Failures\n", *failed] if failed else []))


# ------------------------------------------------------------------------------------------------------- main


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cells that are not in the results file yet, then print the tables."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    scms = list(SYNTHETIC) if options.scms == ["all"] else options.scms
    cells = load(options.out)
    grid = list(product(options.rows, options.seeds, scms, options.methods))
    with tqdm(grid, unit="cell", disable=options.report) as bar:
        for rows, seed, scm, method in bar if not options.report else ():
            name = key(method, scm, rows, seed)
            if not _finished(cells.get(name), SYNTHETIC[scm], rows, seed, options.retry):
                bar.set_postfix_str(name)
                save(options.out, name, run_cell(method, SYNTHETIC[scm], rows, seed))
    print(report(load(options.out)))


def _finished(cell: Cell | None, known: KnownSCM, rows: int, seed: int, retry: bool) -> bool:
    if cell is None or (retry and "failed" in cell):
        return False
    return math.isclose(cell["checksum"], checksum(known, rows, seed), rel_tol=1e-5)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="accuracy", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--scms", nargs="+", default=["all"], choices=["all", *SYNTHETIC], metavar="SCM")
    parser.add_argument("--methods", nargs="+", default=["pyrocausal", "no_abduction"], choices=METHODS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "accuracy.json")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--retry", action="store_true", help="run failed cells again")
    parser.add_argument("--report", action="store_true", help="only print the tables")
    return parser


if __name__ == "__main__":
    main()
