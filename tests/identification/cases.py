"""Random questions, answered by a formula and by enumeration: shared by the tests and the benchmark.

Each function of `KINDS` makes one case from a generator of random numbers, and gives back its `Verdict`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification import Estimand, Outcome, Query, Regime, Symbol, Witness, identify, transport
from pyrocausal.identification.calculus import derive

from .blackboard import value_of
from .worlds import World, aligned, random_graph, tables

OBSERVED = Regime()


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    Args:
        identified: whether there is a formula.
        error: its largest distance from the truth; of a failure, 0 if its witness is one, else infinite.
        case: what was asked, to look at.
    """

    identified: bool
    error: float
    case: str


@dataclass(frozen=True)
class Asked:
    """P(outcomes | do(actions), given)."""

    outcomes: tuple[str, ...]
    actions: tuple[str, ...]
    given: tuple[str, ...] = ()

    @property
    def query(self) -> Query:
        do = [Symbol(name) for name in self.actions]
        outcomes, given = (
            tuple(Outcome.of(name, do=do) for name in names) for names in (self.outcomes, self.given)
        )
        return Query(outcomes, given)


def interventional(rng: np.random.Generator) -> Verdict:
    """P(y | do(x)) from P(v)."""
    graph, asked = random_question(rng, conditions=0)
    return _verdict(identify(graph, asked.query, by_name=False), asked, {"": World(graph, rng)})


def by_name(rng: np.random.Generator) -> Verdict:
    """The same, with adjustment and the front door first: the verdict is that of the algorithm."""
    graph, asked = random_question(rng, conditions=0)
    found, plain = identify(graph, asked.query), identify(graph, asked.query, by_name=False)
    assert found.identified == plain.identified, (graph, asked)
    return _verdict(found, asked, {"": World(graph, rng)})


def conditional(rng: np.random.Generator) -> Verdict:
    """P(y | do(x), z) from P(v)."""
    graph, asked = random_question(rng, conditions=int(rng.integers(1, 3)))
    return _verdict(identify(graph, asked.query, by_name=False), asked, {"": World(graph, rng)})


def surrogate(rng: np.random.Generator) -> Verdict:
    """P(y | do(x), z) from up to three experiments, P(v) among them or not."""
    graph, asked = random_question(rng, conditions=int(rng.integers(0, 2)))
    known = [_regime(rng, graph, "") for _ in range(rng.integers(1, 4))]
    return _verdict(identify(graph, asked.query, known, by_name=False), asked, {"": World(graph, rng)})


def transported(rng: np.random.Generator) -> Verdict:
    """P(y | do(x), z) in one population from studies in three."""
    graph, asked = random_question(rng, conditions=int(rng.integers(0, 2)))
    here = World(graph, rng)
    differs = {place: _some(rng, graph.nodes, 0, 2) for place in ("east", "west")}
    worlds = {"": here} | {place: here.changed(names, rng) for place, names in differs.items()}
    places = ["", "east", "west"]
    known = [_regime(rng, graph, places[rng.integers(3)]) for _ in range(rng.integers(2, 5))]
    return _verdict(transport(graph, asked.query, differs, known), asked, worlds)


def derived(rng: np.random.Generator) -> Verdict:
    """Every line of a derivation is true, and every licence holds."""
    graph, asked = random_question(rng, conditions=int(rng.integers(0, 2)))
    known = [OBSERVED, *(_regime(rng, graph, "") for _ in range(rng.integers(0, 2)))]
    world = World(graph, rng)
    try:
        lines = derive(graph, asked.query, known)
    except IdentifyError:
        return Verdict(False, 0.0, f"{asked.query} on {graph}")
    errors = [0.0]
    for line in lines:
        if line.licence is not None and not line.licence.holds(graph):
            errors.append(np.inf)
        if "'" not in line.formula and "[" not in line.formula.split("=")[0]:
            left, right = (value_of(side, world) for side in line.formula.split(" = "))
            errors.append(float(np.abs(left - right).max()))
    return Verdict(True, max(errors), f"{asked.query} on {graph}")


KINDS: list[Callable[[np.random.Generator], Verdict]] = [
    interventional,
    by_name,
    conditional,
    surrogate,
    transported,
    derived,
]


def random_question(rng: np.random.Generator, conditions: int) -> tuple[CausalGraph, Asked]:
    """A graph of 3 to 7 nodes; an action or two, an outcome or two, and conditions if nodes are left."""
    graph = random_graph(rng, int(rng.integers(3, 8)), rng.uniform(0.3, 0.8), rng.uniform(0.05, 0.4))
    names = list(_some(rng, graph.nodes, len(graph.nodes), len(graph.nodes)))
    actions = names[: (cut := int(rng.integers(1, min(3, len(names) - 1))))]
    outcomes = names[cut : (more := cut + int(rng.integers(1, min(3, len(names) - cut + 1))))]
    return graph, Asked(tuple(outcomes), tuple(actions), tuple(names[more : more + conditions]))


def _some(rng: np.random.Generator, names: Sequence[str], least: int, most: int) -> tuple[str, ...]:
    return tuple(names[i] for i in rng.permutation(len(names))[: rng.integers(least, most + 1)])


def _regime(rng: np.random.Generator, graph: CausalGraph, population: str) -> Regime:
    return Regime(frozenset(_some(rng, graph.nodes, 0, 2)), population)


def _verdict(estimand: Estimand, asked: Asked, worlds: dict[str, World]) -> Verdict:
    graph = worlds[""].graph
    case = f"{asked.query} on {graph} from {estimand.known}"
    if estimand.witness is not None:
        sound = estimand.known != (OBSERVED,) or is_hedge(graph, asked, estimand.witness)
        return Verdict(False, 0.0 if sound else np.inf, case)
    found = aligned(estimand.evaluate(tables(worlds, estimand.known)), graph.nodes)
    truth = worlds[""].truth(asked.outcomes, asked.actions, asked.given)
    return Verdict(True, float(np.abs(found - truth).max()), f"{case}: {estimand.expression}")


def is_hedge(graph: CausalGraph, asked: Asked, witness: Witness) -> bool:
    """By the definition of Shpitser and Pearl 2006, of P(y, z | do(x)) when rule 2 has done what it can."""
    forest, root = witness.nodes, witness.root
    inside = graph.subgraph(forest)
    actions = set(asked.actions) | _exchangeable(graph, asked)
    rest = graph.subgraph(set(graph.nodes) - actions)
    targets = (set(asked.outcomes) | set(asked.given)) - actions
    return (
        root < forest
        and _joined(inside, forest)
        and _joined(graph.subgraph(root), root)
        and inside.ancestors(*root) | root == forest
        and root <= rest.ancestors(*targets) | targets
        and bool(forest & actions)
        and not root & actions
    )


def _joined(graph: CausalGraph, names: Collection[str]) -> bool:
    return len(graph.districts) == 1 and graph.districts[0] == set(names)


def _exchangeable(graph: CausalGraph, asked: Asked) -> set[str]:
    """The conditions that rule 2 turns into actions."""
    actions, left = set(asked.actions), list(asked.given)
    while moved := next((z for z in left if _rule_2(graph, asked.outcomes, actions, z, left)), None):
        left.remove(moved)
        actions.add(moved)
    return actions - set(asked.actions)


def _rule_2(
    graph: CausalGraph, outcomes: Iterable[str], actions: set[str], z: str, given: Sequence[str]
) -> bool:
    others = actions | set(given) - {z}
    return graph.do(*sorted(actions)).without_outgoing(z).is_d_separated(outcomes, z, others)
