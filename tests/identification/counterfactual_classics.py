"""Counterfactual queries whose verdicts are in the literature: for the tests, and for the documentation."""

from __future__ import annotations

from dataclasses import dataclass

from pyrocausal.identification.expression import Constant, Symbol
from pyrocausal.identification.outcome import Outcome, Query


@dataclass(frozen=True)
class Classic:
    """A query and its verdict.

    Args:
        name: what it is called.
        graph: text that `CausalGraph.from_string` reads.
        query: what is asked.
        observational: the formula over P(v); None if there is none.
        experimental: the formula over all experiments; None if there is none.
        source: where the verdict stands.
    """

    name: str
    graph: str
    query: Query
    observational: str | None
    experimental: str | None
    source: str

    def __str__(self) -> str:
        return self.name


_of = Outcome.of
X, OTHER_X = Symbol("x"), Symbol("x", 1)
X0, X1, Y0, Y1 = Constant("x", 0), Constant("x", 1), Constant("y", 0), Constant("y", 1)

TREATED = Query((_of("y", do=[X]),), (_of("x", OTHER_X),))  # P(y_x | x')
NATURAL = Query((_of("y", do=[X1, _of("m", do=[X0])]),))  # P(y_{x=1, m_{x=0}})
NECESSITY = Query((_of("y", Y0, [X0]),), (_of("x", X1), _of("y", Y1)))
SUFFICIENCY = Query((_of("y", Y1, [X1]),), (_of("x", X0), _of("y", Y0)))
BOTH = Query((_of("y", Y1, [X1]), _of("y", Y0, [X0])))  # necessity and sufficiency

MEDIATION = "x -> m -> y; x -> y"
FAIRNESS = "z -> x -> m -> y; x -> y; z -> m; z -> y"
SHPITSER = "Shpitser and Pearl, What counterfactuals can be tested (2007)"
TREATED_SOURCE = "Shpitser and Pearl, Effects of treatment on the treated (2009)"
PEARL = "Pearl, Direct and indirect effects (2001)"
AVIN = "Avin, Shpitser and Pearl, Identifiability of path-specific effects (2005)"
PROBABILITIES = "Pearl, Causality (2009), section 9.2"

CLASSICS = (
    Classic(
        "effect on the treated, backdoor",
        "z -> x -> y; z -> y",
        TREATED,
        "Σ_z P(y | z, x) P(z | x')",
        "Σ_z P(y | do(z, x)) P(z | x')",
        TREATED_SOURCE,
    ),
    Classic(
        "effect on the treated, front door",
        "x -> m -> y; x <-> y",
        TREATED,
        "Σ_m P(m | x) P(y | m, x')",
        "Σ_m P(m | do(x)) P(y | do(m), x')",
        TREATED_SOURCE,
    ),
    Classic("effect on the treated, confounded", "x -> y; x <-> y", TREATED, None, None, TREATED_SOURCE),
    Classic(
        "effect on the treated of what they had",
        "x -> y; x <-> y",
        Query((_of("y", do=[X]),), (_of("x", X),)),
        "P(y | x)",
        "P(y | x)",
        "consistency",
    ),
    Classic("effect on the treated, instrument", "z -> x -> y; x <-> y", TREATED, None, None, TREATED_SOURCE),
    Classic("probability of necessity", "x -> y", NECESSITY, None, None, PROBABILITIES),
    Classic("probability of sufficiency", "x -> y", SUFFICIENCY, None, None, PROBABILITIES),
    Classic("probability of necessity and sufficiency", "x -> y", BOTH, None, None, PROBABILITIES),
    Classic("necessity, front door", "x -> m -> y; x <-> y", NECESSITY, None, None, PROBABILITIES),
    Classic(
        "natural effects",
        MEDIATION,
        NATURAL,
        "Σ_m P(y | x=1, m) P(m | x=0)",
        "Σ_m P(y | do(x=1, m)) P(m | do(x=0))",
        PEARL,
    ),
    Classic("natural effects, mediator confounded", MEDIATION + "; m <-> y", NATURAL, None, None, PEARL),
    Classic(
        "natural effects, mediator confounded by what is seen",
        MEDIATION + "; z -> m; z -> y",
        NATURAL,
        "Σ_{z, m} P(y | x=1, z, m) P(m | x=0, z) P(z)",
        "Σ_{z, m} P(y | do(x=1, z, m)) P(z, m | do(x=0))",
        PEARL,
    ),
    Classic(
        "natural effects, treatment confounded",
        MEDIATION + "; x <-> y",
        NATURAL,
        None,
        "Σ_m P(y | do(x=1, m)) P(m | do(x=0))",
        PEARL,
    ),
    Classic(
        "natural effects, confounder caused by treatment",
        "x -> z -> m -> y; z -> y; x -> y",
        NATURAL,
        None,
        None,
        AVIN,
    ),
    Classic(
        "a direct effect on the treated",
        FAIRNESS,
        Query(NATURAL.outcomes, (_of("x", X1),)),
        "Σ_{z, m} P(y | z, x=1, m) P(m | z, x=0) P(z | x=1)",
        "Σ_{z, m} P(y | do(z, x=1, m)) P(m | do(z, x=0)) P(z | x=1)",
        "Zhang and Bareinboim, Fairness in decision-making: the causal explanation formula (2018)",
    ),
    Classic(
        "path-specific effect, recanting witness",
        "x -> z -> m -> y; z -> y",
        Query((_of("y", do=[_of("z", do=[X1]), _of("m", do=[X0])]),)),
        None,
        None,
        AVIN,
    ),
    Classic(
        "path-specific effect, two mediators",
        "x -> m -> w -> y; x -> w; x -> y; m -> y",
        Query((_of("y", do=[X0, _of("m", do=[X0]), _of("w", do=[X1, _of("m", do=[X0])])]),)),
        "Σ_{m, w} P(y | x=0, m, w) P(w | x=1, m) P(m | x=0)",
        "Σ_{m, w} P(y | do(x=0, m, w)) P(w | do(x=1, m)) P(m | do(x=0))",
        AVIN,
    ),
    Classic(
        "four worlds",
        "x -> w -> y; d -> z -> y; x <-> y",
        Query((_of("y", do=[X]),), (_of("x", OTHER_X), _of("z", do=[Symbol("d")]), _of("d"))),
        "Σ_w P(w | x) P(y | w, z, x')",
        "Σ_w P(w | do(x)) P(y | do(w, z), x')",
        SHPITSER,
    ),
    Classic(
        "the same patient, the same treatment, another outcome",
        "x -> m -> y",
        Query((_of("y", Y1, [X1]),), (_of("x", X1), _of("y", Y0))),
        "0",
        "0",
        "composition: Galles and Pearl, An axiomatic characterization of causal counterfactuals (1998)",
    ),
)
