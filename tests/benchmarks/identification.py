"""Identification, at length: `python -m tests.benchmarks.identification` (two minutes).

Right: random questions of every kind, each formula against enumeration, each failure against the definition
of a hedge. How fast: the time of `identify` on sparse random graphs, and the exponent of its growth. With
``--y0 PYTHON``, an interpreter that has y0 (Johns Hopkins, BSD) answers the same questions, yes or no; y0 is
never imported here.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyrocausal.identification import identify
from tests.identification.cases import KINDS, Asked, random_question
from tests.identification.worlds import sparse_graph

RESULTS = Path(__file__).parent / "results" / "identification.json"
Y0 = Path(__file__).parent / "identification_y0.py"
SIZES = {10: 40, 50: 40, 200: 20, 1000: 10}  # nodes: graphs
TOLERANCE = 1e-9


def right(cases: int) -> dict[str, Any]:
    """Each kind of case, many times."""
    found = {}
    for number, kind in enumerate(KINDS):
        verdicts = [kind(np.random.default_rng([number, case])) for case in range(cases)]
        found[kind.__name__] = {
            "cases": cases,
            "identified": sum(verdict.identified for verdict in verdicts),
            "largest error": max(verdict.error for verdict in verdicts),
            "wrong": [verdict.case for verdict in verdicts if verdict.error > TOLERANCE],
        }
        print(kind.__name__, found[kind.__name__], flush=True)
    return found


def fast(parents: float) -> dict[str, Any]:
    """Seconds of `identify` on graphs of growing size.

    Asked is P(y | do(x)) for the y with the most ancestors among the last fifth of the nodes, and x one of
    these at random.
    """
    seconds: dict[int, list[float]] = {}
    identified = {}
    for nodes, graphs in SIZES.items():
        rng = np.random.default_rng(nodes)
        seconds[nodes], identified[nodes] = [], 0
        for _ in range(graphs):
            graph = sparse_graph(rng, nodes, parents)
            outcome = max(graph.nodes[-nodes // 5 :], key=lambda name: len(graph.ancestors(name)))
            action = str(rng.choice(list(graph.ancestors(outcome))))
            started = time.perf_counter()
            estimand = identify(graph, Asked((outcome,), (action,)).query)
            seconds[nodes].append(time.perf_counter() - started)
            identified[nodes] += estimand.identified
    medians = {nodes: float(np.median(times)) for nodes, times in seconds.items()}
    found = {
        "parents a node": parents,
        "median seconds": medians,
        "largest seconds": {nodes: max(times) for nodes, times in seconds.items()},
        "identified": {nodes: f"{identified[nodes]} of {graphs}" for nodes, graphs in SIZES.items()},
        "exponent": float(np.polyfit(np.log(list(medians)), np.log(list(medians.values())), 1)[0]),
    }
    print(found, flush=True)
    return found


def beside_y0(python: str, cases: int) -> dict[str, Any]:
    """The same questions, with conditions and without, to y0. What it raises is counted, too."""
    questions, ours = [], []
    for case in range(cases):
        graph, asked = random_question(np.random.default_rng([99, case]), conditions=case % 3)
        questions.append(
            {
                "nodes": graph.nodes,
                "edges": list(graph.edges),
                "bidirected": list(graph.bidirected),
                "outcomes": asked.outcomes,
                "actions": asked.actions,
                "given": asked.given,
            }
        )
        started = time.perf_counter()
        ours.append((identify(graph, asked.query).identified, time.perf_counter() - started))
    answered = subprocess.run(
        [python, str(Y0)], input=json.dumps(questions), capture_output=True, text=True, check=True
    )
    theirs = json.loads(answered.stdout)
    found: dict[str, Any] = {"cases": cases, "our seconds": sum(t for _, t in ours), "their seconds": 0.0}
    for question, (mine, _), (other, seconds) in zip(questions, ours, theirs):
        found["their seconds"] += seconds
        agree = (
            "y0 raised an error" if other not in (True, False) else "same" if mine == other else "different"
        )
        kind = f"{'with' if question['given'] else 'without'} conditions: {agree}"
        found[kind] = found.get(kind, 0) + 1
        if agree == "different":
            found.setdefault("differences", []).append({**question, "ours": mine, "y0": other})
    print({key: value for key, value in found.items() if key != "differences"}, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=600, help="random questions of each kind")
    parser.add_argument("--y0", metavar="PYTHON", help="an interpreter that can import y0")
    parser.add_argument("--y0-cases", type=int, default=600)
    arguments = parser.parse_args()
    results: Mapping[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = {
        **results,
        "machine": f"{platform.machine()}, Python {platform.python_version()}, one thread",
        "right": right(arguments.cases),
        "fast": [fast(parents) for parents in (1.25, 2.5)],
    }
    if arguments.y0:
        results["y0"] = beside_y0(arguments.y0, arguments.y0_cases)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
