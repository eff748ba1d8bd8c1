"""Are counterfactual queries identified rightly? `python -m tests.benchmarks.identification_counterfactual`.

Random questions about random graphs of 2 to 6 nodes: up to three outcomes and two conditions in several
worlds, some nested. What is known is P(v), or some experiments too, or all. (A few minutes.)

Every formula is evaluated on a random SCM's tables and compared with the enumeration of all its units, at all
values of its symbols. Every "no" about several worlds has to be proven by two SCMs that agree on all that is
known and differ on the query.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from pyrocausal.errors import IdentifyError
from pyrocausal.identification.counterexample import counterexample
from tests.identification.counterfactual_cases import KINDS, Case, case

RESULTS = Path(__file__).parent / "results" / "identification_counterfactual.json"
TOLERANCE = 1e-9


def proven(found: Case, kind: str) -> bool:
    """Whether two models are found that show that the query is not identified."""
    given = "experimental" if kind == "experimental" else "observational"
    try:
        counterexample(found.graph, found.query, found.estimand.known, given)
    except IdentifyError as error:
        print(f"no counterexample: {found}: {error}")
        return False
    return True


def run(kind: str, questions: int) -> dict:
    """Ask so many questions of a kind."""
    start = time.perf_counter()
    cases = [case(seed, kind) for seed in range(questions)]
    seconds = time.perf_counter() - start
    wrong = [found for found in cases if not found.error < TOLERANCE]
    for found in wrong:
        print(f"wrong by {found.error:.1g}: {found}")
    unidentified = [c for c in cases if c.verdict == "not identified" and c.query.rung == 3]
    return {
        "questions": questions,
        "verdicts": dict(sorted(Counter(found.verdict for found in cases).items())),
        "verdicts on several worlds": dict(
            sorted(Counter(found.verdict for found in cases if found.query.rung == 3).items())
        ),
        "largest error": max(found.error for found in cases),
        "wrong": len(wrong),
        "not identified": len(unidentified),
        "of these proven by two models": sum(proven(found, kind) for found in unidentified),
        "seconds for the questions": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1000, help="of each kind (default 1000)")
    questions = parser.parse_args().questions
    results = {kind: run(kind, questions) for kind in KINDS}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(RESULTS.read_text())
    failed = [
        kind
        for kind, result in results.items()
        if result["wrong"] or result["of these proven by two models"] < result["not identified"]
    ]
    if failed:
        raise SystemExit(f"identification failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
