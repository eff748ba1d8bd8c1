"""Do the rows have the independences that the graph says they have?

A missing edge between two observed variables makes them independent given some others (the Markov property;
Pearl 2009, section 1.2.3; for hidden common causes Richardson 2003). Each such pair is tested once.
"""

from __future__ import annotations

import numpy as np

from pyrocausal.checks.dependence import conditional_independence
from pyrocausal.checks.report import Checked, Family, Trial, not_run
from pyrocausal.checks.rows import Rows
from pyrocausal.identification.implications import independences

FAMILY = Family(
    "graph",
    "partial correlation",
    matters=0.1,
    fine="the rows have this independence",
    todo="add the edge, or the common cause, that explains it",
)


def check_implications(rows: Rows, *, most: int, alpha: float, seed: int) -> Checked:
    """Every testable independence, at level alpha for all together by Holm; and the same as a picture.

    The rate holds where the regressions on `given` are right: smooth functions of few variables (see
    `conditional_independence`).
    """
    graph, variables = rows.scm.graph, rows.scm.variables
    tested = [name for name in graph.observed if not (variables[name].computed or variables[name].optional)]
    told = independences(graph.project(tested))
    if not told:
        return [not_run(FAMILY.check, "all", "the graph implies no independence of observed variables")], {}
    used = rows.some(most, seed)
    tests = []
    for independence in told:
        given = [used.features(name) for name in independence.given]
        x, y = (used.bent(*names) for names in (independence.x, independence.y))
        number, p = conditional_independence(x, y, np.hstack([np.empty((len(used), 0)), *given]))
        tests.append(Trial(str(independence), number, p, "the graph says so, and the rows do not"))
    found = FAMILY.judged(tests, alpha)
    return found, {"independences": found}
