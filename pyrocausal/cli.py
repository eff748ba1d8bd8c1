"""The command line: `pyrocausal demo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyrocausal._version import __version__
from pyrocausal.errors import PyrocausalError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="pyrocausal", description="Structural causal models as Pyro programs."
    )
    parser.add_argument("--version", action="version", version=f"pyrocausal {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="does quitting smoking make people gain weight? (NHEFS)")
    demo.add_argument(
        "--out", default="demo", help="folder for the pictures and inference.nc (default: demo)"
    )
    demo.add_argument("--seed", type=int, default=0, help="of training and refits (default: 0)")
    demo.add_argument("--replicas", type=int, default=100, help="refits for the interval (default: 100)")
    given = parser.parse_args(arguments)
    from pyrocausal.demo import run  # imported late, so that --help is quick

    try:
        run(given.out, seed=given.seed, replicas=given.replicas)
    except PyrocausalError as error:
        print(f"pyrocausal: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
