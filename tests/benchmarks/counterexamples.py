"""Are counterexamples found? `python -m tests.benchmarks.counterexamples` (a quarter of an hour).

Random questions of every kind about random graphs of 3 to 7 nodes. Whenever identification says "no", a pair
of models that agree on all that is known and differ on the query has to be found: then the "no" is proven.
The pair is checked here anew, on the tables of all known distributions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pyrocausal.errors import IdentifyError
from pyrocausal.identification.counterexample import counterexample
from pyrocausal.identification.discrete import DiscreteSCM
from tests.identification.random_queries import KINDS, Asked, asked

RESULTS = Path(__file__).parent / "results" / "counterexamples.json"
SIZES = (3, 4, 5, 6, 7)


def experiments(question: Asked) -> Iterator[frozenset[str]]:
    """The sets of variables that were set in a known distribution."""
    if question.given == "observational":
        yield from (regime.do for regime in question.known)
        return
    for size in range(len(question.graph.nodes)):
        yield from map(frozenset, itertools.combinations(question.graph.nodes, size))


def disagreement(question: Asked, pair: tuple[DiscreteSCM, DiscreteSCM]) -> float:
    """The largest relative difference in what is known."""
    tables = ([model.experiment(sorted(do)) for model in pair] for do in experiments(question))
    return max(float(np.abs(high / low - 1).max()) for low, high in tables)


def difference(question: Asked, pair: tuple[DiscreteSCM, DiscreteSCM]) -> float:
    """The largest absolute difference of the query, where it has a value."""
    query = question.query
    low, high = (
        m.table([*query.outcomes, *query.given]).divided(m.table(query.given), str(query)).cells for m in pair
    )
    return float(np.nanmax(np.abs(high - low)))


def run(kind: str, wanted: int) -> dict[str, object]:
    """Ask until so many queries were not identified."""
    found, seconds, disagreements, missed, identified = [], [], [], [], 0
    for seed in itertools.count():
        question = asked(kind, random.Random(f"{kind} {seed}"), SIZES)
        start = time.perf_counter()
        try:
            pair = counterexample(question.graph, question.query, question.known, question.given, seed)
        except IdentifyError as error:
            if "no two models were found" in str(error):
                missed.append(f"{seed}: {question.query} in {question.graph.to_string()}")
                print("missed", missed[-1], flush=True)
            else:
                identified += "is identified" in str(error)
        else:
            seconds.append(time.perf_counter() - start)
            found.append(difference(question, pair))
            disagreements.append(disagreement(question, pair))
        if len(found) + len(missed) == wanted:
            break
    return {
        "unidentified": wanted,
        "found": len(found),
        "missed": missed,
        "identified": identified,
        "difference of the query": dict(
            zip(("least", "5 %", "median"), np.quantile(found, [0, 0.05, 0.5]).round(3))
        ),
        "largest relative difference of what is known": max(disagreements),
        "seconds": dict(zip(("median", "95 %", "most"), np.quantile(seconds, [0.5, 0.95, 1]).round(2))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wanted", type=int, default=300, help="unidentified queries of each kind")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for kind in options.kinds:
        results[kind] = run(kind, options.wanted)
        print(kind, json.dumps(results[kind], indent=1), flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
