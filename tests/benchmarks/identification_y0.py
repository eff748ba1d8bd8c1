"""Questions on standard input, y0's answers on standard output: run by the interpreter that has y0.

An answer is whether y0 finds a formula, or the name of the error that it raises, and the seconds it took.
"""

import json
import sys
import time


def answer(question):
    from y0.algorithm.identify import Unidentifiable, identify_outcomes
    from y0.dsl import Variable
    from y0.graph import NxMixedGraph

    def variables(names):
        return [Variable(name) for name in names]

    graph = NxMixedGraph.from_edges(
        nodes=variables(question["nodes"]),
        directed=[tuple(variables(edge)) for edge in question["edges"]],
        undirected=[tuple(variables(edge)) for edge in question["bidirected"]],
    )
    outcomes, actions, given = (set(variables(question[key])) for key in ("outcomes", "actions", "given"))
    started = time.perf_counter()
    try:
        found = identify_outcomes(graph, actions, outcomes, given or None) is not None
    except Unidentifiable:
        found = False
    except Exception as error:
        found = type(error).__name__
    return found, time.perf_counter() - started


if __name__ == "__main__":
    json.dump([answer(question) for question in json.load(sys.stdin)], sys.stdout)
