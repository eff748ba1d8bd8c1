"""Graphs that every course has, each with a question and its answer: for the tests and the docs."""

from __future__ import annotations

from dataclasses import dataclass

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification import Outcome, Query, Symbol


@dataclass(frozen=True)
class Classic:
    """P(y | do(x), z) on a graph.

    Args:
        name: what the graph is called.
        source: where it is from.
        graph: its text.
        formula: the answer, or "" if there is none.
        hedge: the nodes of the witness, if there is no answer.
        y, x, z: names, with spaces between them.
    """

    name: str
    source: str
    graph: str
    formula: str = ""
    hedge: str = ""
    y: str = "y"
    x: str = "x"
    z: str = ""

    @property
    def causal_graph(self) -> CausalGraph:
        return CausalGraph.from_string(self.graph)

    @property
    def query(self) -> Query:
        do = [Symbol(name) for name in self.x.split()]
        y, z = (tuple(Outcome.of(n, do=do) for n in names.split()) for names in (self.y, self.z))
        return Query(y, z)


PEARL_1995 = "J. Pearl, Causal diagrams for empirical research, Biometrika 1995"
CAUSALITY = "J. Pearl, Causality, 2nd edition, 2009"
SHPITSER_PEARL = "I. Shpitser and J. Pearl, Identification of joint interventional distributions, AAAI 2006"
SHPITSER_PEARL_IDC = (
    "I. Shpitser and J. Pearl, Identification of conditional interventional distributions, UAI 2006"
)
TIAN_PEARL = "J. Tian and J. Pearl, On the testable implications of causal models, UAI 2002"
WHY = "J. Pearl and D. Mackenzie, The Book of Why, 2018"
GREENLAND = "S. Greenland, J. Pearl and J. Robins, Causal diagrams for epidemiologic research, 1999"

CLASSICS = [
    Classic("an unconfounded cause", CAUSALITY, "x -> y", "P(y | x)"),
    Classic("a mediator", CAUSALITY, "x -> m -> y; x -> y", "P(y | x)"),
    Classic("a confounded mediator", CAUSALITY, "x -> m -> y; x -> y; m <-> y", "P(y | x)"),
    Classic("a confounder", CAUSALITY, "z -> x -> y; z -> y", "Σ_z P(y | x, z) P(z)"),
    Classic("a proxy near the cause", CAUSALITY, "z <-> x -> y; z -> y", "Σ_z P(y | x, z) P(z)"),
    Classic("a proxy near the outcome", CAUSALITY, "z -> x -> y; z <-> y", "Σ_z P(y | x, z) P(z)"),
    Classic("a chain of confounders", CAUSALITY, "a -> b -> y; a -> x -> y", "Σ_a P(y | x, a) P(a)"),
    Classic(
        "six covariates",
        f"{CAUSALITY}, figure 3.4",
        "a -> c -> x; a -> d; b -> d; b -> e -> y; d -> x; d -> y; x -> m -> y",
        "Σ_{a, d} P(y | x, a, d) P(a, d)",
    ),
    Classic("the front door", PEARL_1995, "x -> m -> y; x <-> y", "Σ_m P(m | x) Σ_x' P(y | x', m) P(x')"),
    Classic(
        "a front door with a back door",
        CAUSALITY,
        "z -> x -> m -> y; z -> m; z -> y; x <-> y; x <-> z; z <-> y",
        "Σ_{z, m} P(m | x, z) P(z) Σ_x' P(y | x', z, m) P(x' | z)",
    ),
    Classic(
        "a front door and three covariates",
        f"{CAUSALITY}, figure 3.8 (g)",
        "b -> x -> a -> y; b -> a; b -> c -> y; x <-> b; x <-> y; b <-> y; x <-> c",
        "Σ_{b, a} P(a | x, b) P(b) Σ_x' P(y | x', b, a) P(x' | b)",
    ),
    Classic("the bow", SHPITSER_PEARL, "x -> y; x <-> y", hedge="x y"),
    Classic("an instrument", CAUSALITY, "z -> x -> y; x <-> y", hedge="x y"),
    Classic("a mediator that shares the cause's cause", CAUSALITY, "x -> m -> y; x <-> m", hedge="x m"),
    Classic("a hedge of three", SHPITSER_PEARL, "x -> m -> y; x <-> y; m <-> y", hedge="x m y"),
    Classic("M-bias", GREENLAND, "a -> x -> y; a -> m; b -> m; b -> y", "P(y | x)"),
    Classic("M-bias, with hidden causes", GREENLAND, "x <-> m <-> y; x -> y", "P(y | x)"),
    Classic(
        "the butterfly, with hidden causes", GREENLAND, "x <-> m <-> y; m -> x -> y; m -> y", hedge="m x y"
    ),
    Classic(
        "the napkin",
        WHY,
        "w -> z -> x -> y; w <-> x; w <-> y",
        "[Σ_w P(x, y | w, z) P(w)] / [Σ_w P(x | w, z) P(w)]",
    ),
    Classic(
        "Verma's graph",
        TIAN_PEARL,
        "a -> b -> c -> d; b <-> d",
        "Σ_b P(d | c, a, b) P(b | a)",
        y="d",
        x="c",
    ),
    Classic(
        "a plan of two treatments",
        "J. Pearl and J. Robins, Probabilistic evaluation of sequential plans, UAI 1995",
        "a1 -> l -> a2 -> y; a1 -> y; l <-> y; a1 -> a2",
        "Σ_l P(y | a1, a2, l) P(l | a1)",
        x="a1 a2",
    ),
    Classic("a condition that is a cause", SHPITSER_PEARL_IDC, "x -> z -> y; x <-> z", "P(y | z)", z="z"),
    Classic("the same, unconditional", SHPITSER_PEARL_IDC, "x -> z -> y; x <-> z", hedge="x z"),
    Classic(
        "a confounded condition", SHPITSER_PEARL_IDC, "x -> z; x -> y; x <-> z; z <-> y", hedge="x z", z="z"
    ),
]
