"""Experiments: what a model file can be asked to run, and a record of what came out.

A file makes one `Experiments` and decorates a function for each experiment. The function's keyword arguments
become options of the command line; beside them every command has --quick, --seed, --device and --out. What it
claims is printed, held against its bar, and written to a JSON file, from which `table` makes the comparison
with what was published.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyrocausal._version import __version__
from pyrocausal.errors import PyrocausalError, did_you_mean
from pyrocausal.files import write_whole

TAKEN = ("quick", "seed", "device", "out", "no_progress", "command")


class ExperimentError(PyrocausalError):
    """An experiment that can't be run as asked."""


@dataclass
class Run:
    """One run of an experiment, as the experiment sees it.

    Attributes:
        name: of the system and the experiment, "cevae-ihdp"; files begin with it.
        quick: whether a small version is asked for.
        seed, device, progress: to pass on to `fit` and queries.
        out: the folder of results.
    """

    name: str
    quick: bool = False
    seed: int = 0
    device: str = "cpu"
    out: Path = Path("results")
    progress: bool = True
    claims: list[dict[str, Any]] = field(default_factory=list)

    def file(self, name: str) -> Path:
        """Where a figure, model or checkpoint of this run belongs: "cevae-ihdp.figure.png"."""
        self.out.mkdir(parents=True, exist_ok=True)
        return self.out / f"{self.name}{'.quick' if self.quick else ''}.{name}"

    def claim(
        self,
        what: str,
        ours: float,
        *,
        published: str = "",
        below: float | None = None,
        above: float | None = None,
        near: tuple[float, float] | None = None,
    ) -> bool:
        """Record a number, hold it against its bar, and say so; returns whether it holds.

        Args:
            what: the quantity, with its unit.
            published: what the paper or its code reports, with the source.
            below, above: the bar that the number must stay under or over.
            near: a value and how far from it the number may be.

        >>> Run("demo").claim("error of the effect", 0.2, below=0.3)
        error of the effect: 0.2 (bar: < 0.3)
        True
        """
        ours = _number(what, ours)
        bars: list[str] = []
        holds = True
        if below is not None:
            bars, holds = [*bars, f"< {below:g}"], holds and ours < below
        if above is not None:
            bars, holds = [*bars, f"> {above:g}"], holds and ours > above
        if near is not None:
            bars, holds = [*bars, f"{near[0]:.4g} ± {near[1]:g}"], holds and abs(ours - near[0]) <= near[1]
        bar = " and ".join(bars)
        row = {"what": what, "ours": float(ours), "published": published, "bar": bar, "holds": bool(holds)}
        self.claims.append(row)
        print(f"{what}: {ours:.4g}" + (f" (bar: {bar}{'' if holds else '; MISSED'})" if bar else ""))
        return bool(holds)


class Experiments:
    """The experiments of one system.

    Args:
        system: its name; files of results begin with it.
        about: the docstring of the model file.
        source: the paper.

    >>> experiments = Experiments("demo", "Throw a coin.", source="nobody, 1900")
    >>> @experiments
    ... def coin(run, *, throws: int = 10):
    ...     '''Throw it some times.'''
    ...     run.claim("heads", throws / 2, above=1.0)
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = experiments.main(["coin", "--throws", "20", "--quick", "--out", folder])
    heads: 10 (bar: > 1)
    >>> found["options"]["throws"], found["claims"][0]["holds"]
    (20, True)
    """

    def __init__(self, system: str, about: str | None, *, source: str) -> None:
        self.system, self.about, self.source = system, about or "", source
        self.functions: dict[str, Callable[..., Any]] = {}

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        for name, default in _options(function).items():
            if name in TAKEN or default is inspect.Parameter.empty or default == ():
                raise ExperimentError(
                    f"{function.__name__}: the option '{name}' can't be",
                    why="its name is one that every experiment has, or it has no default to show its type",
                    fix="rename it, or give it a default",
                )
        self.functions[function.__name__] = function
        return function

    def run(self, command: str, *, run: Run | None = None, **options: Any) -> dict[str, Any]:
        """Run an experiment; returns its record, which is written to `run.file("json")`.

        Raises:
            ExperimentError: there is no such experiment or option, or results can't be written.
        """
        self._check(command, options)
        run = run or Run(f"{self.system}-{command}")
        run.out = Path(run.out)
        try:
            run.file("json")
        except OSError as error:
            raise ExperimentError(f"results can't be written to {run.out}", why=str(error)) from None
        start = time.perf_counter()
        torch.manual_seed(run.seed)
        details = self.functions[command](run, **options)
        defaults = _options(self.functions[command])
        record = {
            "system": self.system,
            "experiment": command,
            "about": (inspect.getdoc(self.functions[command]) or "").split("\n")[0],
            "source": self.source,
            "options": {**defaults, **options, "seed": run.seed, "device": run.device, "quick": run.quick},
            "minutes": round((time.perf_counter() - start) / 60, 2),
            "versions": {
                "pyrocausal": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "claims": run.claims,
            "details": details,
        }
        write(run.file("json"), record)
        return record

    def main(self, arguments: Sequence[str] | None = None) -> dict[str, Any]:
        """The command line of the model file."""
        given = vars(self._parser().parse_args(arguments))
        command = given.pop("command")
        shared = {name: given.pop(name) for name in ("quick", "seed", "device", "out")}
        run = Run(f"{self.system}-{command}", progress=not given.pop("no_progress"), **shared)
        try:
            return self.run(command, run=run, **given)
        except PyrocausalError as error:
            raise SystemExit(f"{self.system} {command}: {error}") from None

    def _check(self, command: str, options: Mapping[str, Any]) -> None:
        if command not in self.functions:
            raise ExperimentError(
                f"{self.system} has no experiment {command!r}",
                why=f"it has {', '.join(self.functions)}",
                fix=did_you_mean(command, self.functions),
            )
        known = _options(self.functions[command])
        for name in options:
            if name not in known:
                raise ExperimentError(
                    f"{command} has no option {name!r}",
                    why=f"its options are {', '.join(known) or 'none'}",
                    fix=did_you_mean(name, known),
                )

    def _parser(self) -> argparse.ArgumentParser:
        shape = argparse.RawDescriptionHelpFormatter
        about = self.about.replace("%", "%%")
        parser = argparse.ArgumentParser(description=about, formatter_class=shape)
        commands = parser.add_subparsers(dest="command", required=True)
        for name, function in self.functions.items():
            about = (inspect.getdoc(function) or "").replace("%", "%%")
            command = commands.add_parser(
                name, help=about.split("\n")[0], description=about, formatter_class=shape
            )
            for option, default in _options(function).items():
                _add(command, option, default)
            command.add_argument("--quick", action="store_true", help="a small version, to see that it works")
            command.add_argument("--seed", type=int, default=0, help="of all randomness (default: 0)")
            command.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
            command.add_argument(
                "--out", type=Path, default=Path("models/results"), help="folder (default: models/results)"
            )
            command.add_argument("--no-progress", action="store_true", help="no progress bars")
        return parser


def _options(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword options of an experiment, with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY}


def _add(parser: argparse.ArgumentParser, name: str, default: Any) -> None:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        parser.add_argument(
            flag, action=argparse.BooleanOptionalAction, default=default, help=f"default: {default}"
        )
    elif isinstance(default, (tuple, list)):
        kind = type(default[0])
        shown = " ".join(map(str, default))
        parser.add_argument(flag, type=kind, nargs="+", default=default, help=f"default: {shown}")
    else:
        parser.add_argument(flag, type=type(default), default=default, help=f"default: {default}")


def write(path: Path, record: Any) -> None:
    """Write JSON; numbers that are not finite become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_plain(record), indent=1, ensure_ascii=False)
    write_whole(path, f"{text}\n".encode())


def _plain(item: Any) -> Any:
    if isinstance(item, dict):
        return {str(key): _plain(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_plain(value) for value in item]
    if isinstance(item, (torch.Tensor, np.ndarray, np.generic)):
        return _plain(item.tolist())
    if isinstance(item, float) or hasattr(item, "__float__"):
        number = float(item) if not isinstance(item, (int, bool)) else item
        return None if isinstance(number, float) and not math.isfinite(number) else _rounded(number)
    return item if isinstance(item, (str, int, bool, type(None))) else str(item)


def _number(what: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ExperimentError(f"the claim {what!r} is {value!r}", fix="claim one number") from None


def _rounded(number: Any) -> Any:
    return float(f"{number:.6g}") if isinstance(number, float) else number


def table(folder: str | Path) -> str:
    """What was published beside what came out, as Markdown: a row a claim, of a folder of JSON files."""
    paths = sorted(p for p in Path(folder).glob("*.json") if not p.name.endswith(".quick.json"))
    if not paths:
        raise ExperimentError(f"there are no results in {folder}", fix="run the experiments first")
    lines = [
        "| system | experiment | what | published | ours | bar | holds |",
        "|---|---|---|---|---:|---|---|",
    ]
    for path in paths:
        try:
            record = json.loads(path.read_text())
            claims = record["claims"]
        except (ValueError, KeyError, TypeError) as error:
            raise ExperimentError(f"{path} is no record of an experiment", why=repr(error)) from None
        for row in claims:
            ours = "n/a" if row["ours"] is None else f"{row['ours']:.4g}"
            verdict = ("yes" if row["holds"] else "**no**") if row["bar"] else ""
            cells = [row["what"], row["published"], ours, row["bar"], verdict]
            cells = [str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells]
            lines.append(f"| {record['system']} | {record['experiment']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
