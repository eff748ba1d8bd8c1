"""Implied independences and Verma constraints against separation, models, and the dimension of models."""

import itertools
import random

import numpy as np
import pytest

from pyrocausal.errors import IdentifyError
from pyrocausal.graph import CausalGraph
from pyrocausal.identification import Independence, independences, verma_constraints
from tests.graph.random_graphs import random_graph

from .discrete_scm import DiscreteSCM
from .linear_sem import LinearSEM
from .test_adjustment import subsets

read = CausalGraph.from_string
VERMA = read("a -> b -> c -> d; b <-> d")


def separable(graph: CausalGraph, x: str, y: str) -> bool:
    return any(graph.is_d_separated(x, y, z) for z in subsets(graph.observed - {x, y}))


def ancestral(graph: CausalGraph) -> CausalGraph:
    """The maximal ancestral graph with the same independences: it has no other constraints of equality.

    T. Richardson and P. Spirtes, "Ancestral graph Markov models" (2002).
    """
    pairs = [pair for pair in itertools.combinations(graph.nodes, 2) if not separable(graph, *pair)]
    causal = {(a, b) for a, b in pairs if a in graph.ancestors(b)}
    return CausalGraph(graph.nodes, sorted(causal), [pair for pair in pairs if pair not in causal])


# ---- independences ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_pairs_are_all_that_can_be_separated_and_their_sets_are_minimal(seed: int) -> None:
    graph = random_graph(random.Random(seed), 5, 0.35, 0.2)
    found = {(i.x[0], i.y[0]): set(i.given) for i in independences(graph)}
    assert set(found) == {p for p in itertools.combinations(graph.nodes, 2) if separable(graph, *p)}
    for (x, y), z in found.items():
        assert graph.is_d_separated(x, y, z)
        assert not any(graph.is_d_separated(x, y, smaller) for smaller in subsets(z) if smaller != z)


def closure(known: tuple[Independence, ...]) -> set[tuple[frozenset, frozenset, frozenset]]:
    """All that follows by the graphoid axioms of every distribution (J. Pearl 1988)."""
    facts = {(frozenset(i.x), frozenset(i.y), frozenset(i.given)) for i in known}
    while True:
        facts |= {(y, x, z) for x, y, z in facts}
        new = set()
        for x, y, z in facts:
            for part in subsets(y):
                if part and part != y:
                    new |= {(x, part, z), (x, part, z | (y - part))}  # decomposition, weak union
            new |= {
                (x, y | w, z) for x2, w, zy in facts if x2 == x and zy == z | y and not w & zy
            }  # contraction
        if new <= facts:
            return facts
        facts |= new


@pytest.mark.parametrize("seed", range(25))
def test_from_the_local_ones_all_follow(seed: int) -> None:
    graph = random_graph(random.Random(seed), 4, 0.4, 0.3)
    facts = closure(independences(graph, "local"))
    for x, y in itertools.permutations(graph.nodes, 2):
        for z in subsets(graph.observed - {x, y}):
            assert ((frozenset({x}), frozenset({y}), z) in facts) == graph.is_d_separated(x, y, z)


@pytest.mark.parametrize("seed", range(20))
def test_both_kinds_hold_in_models_with_latent_nodes(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, 7, 0.3, 0.1).with_latent([f"v{i}" for i in rng.sample(range(7), 2)])
    model = LinearSEM(graph, np.random.default_rng(seed))
    for basis in ("pairs", "local"):
        for i in independences(graph, basis):
            assert not set((*i.x, *i.y, *i.given)) & graph.latent
            between = model.given((*i.x, *i.y), i.given)[: len(i.x), len(i.x) :]
            assert np.abs(between).max() < 1e-10


def test_a_dag_has_one_local_statement_for_each_variable() -> None:
    graph = read("a -> c <- b; c -> d; a -> d; b -> e")
    assert [str(i) for i in independences(graph, "local")] == ["b ⫫ a", "d ⫫ b | a, c", "e ⫫ a, c, d | b"]
    assert [str(i) for i in independences(graph)] == [
        "a ⫫ b", "a ⫫ e", "b ⫫ d | a, c", "c ⫫ e | b", "d ⫫ e | b",
    ]  # fmt: skip
    assert independences(graph)[2].latex() == r"b \perp\!\!\!\perp d \mid a, c"


# ---- Verma constraints ------------------------------------------------------------------------


def deviations(graph: CausalGraph, model: DiscreteSCM) -> list[float]:
    """How much each formula changes with each of the variables that it should not depend on."""
    pmf = model.distribution()
    found = []
    for constraint in verma_constraints(graph):
        table = constraint.expression.evaluate(pmf)
        for name in constraint.free_of:
            others = [other for other in table.index.names if other != name]
            found.append(float(np.ptp(table.unstack(others).to_numpy(), axis=0).max()))
    return found


def test_vermas_graph_has_one_constraint() -> None:
    (only,) = verma_constraints(VERMA)
    assert str(only) == "Σ_b P(b | a) P(d | a, b, c) does not depend on a"
    assert only.district == ("d",)
    assert [str(i) for i in independences(VERMA)] == ["a ⫫ c | b"]
    assert r"\sum_{b} P(b \mid a)" in only.latex()
    hidden = read("a -> b -> c -> d; b <- u [latent] -> d")
    assert verma_constraints(hidden) == (only,)
    assert verma_constraints(read("a -> b -> c -> d; b <-> d; a -> d")) == ()


def with_a_chain(rng: random.Random, names: str) -> CausalGraph:
    """Among graphs with this chain, constraints are common; among all, they are rare."""
    pairs = list(itertools.combinations(names, 2))
    chain = set(itertools.pairwise(names))
    edges = [pair for pair in pairs if pair in chain or rng.random() < 0.1]
    return CausalGraph(list(names), edges, rng.sample(pairs, rng.randint(1, 3)))


@pytest.mark.parametrize("seed", range(80))
def test_constraints_hold_in_the_graphs_models_and_fail_where_only_the_independences_do(seed: int) -> None:
    graph = with_a_chain(random.Random(seed), "abcde")
    rng = np.random.default_rng(seed)
    assert max(deviations(graph, DiscreteSCM(graph, rng)), default=0) < 1e-9
    assert min(deviations(graph, DiscreteSCM(ancestral(graph), rng)), default=1) > 1e-6


def test_there_are_enough_constraints_in_that_test() -> None:
    graphs = [with_a_chain(random.Random(seed), "abcde") for seed in range(80)]
    assert sum(len(verma_constraints(graph)) for graph in graphs) >= 30


def dimension(graph: CausalGraph, rng: np.random.Generator) -> int:
    """Of the set of distributions that models with the graph have: the rank of the map from parameters.

    The distribution is linear in each row of a table alone, so its derivatives are differences.
    """
    model = DiscreteSCM(graph, rng, hidden=4)
    columns = []
    for name, (table, axes) in tuple(model.factors.items()):
        for cell in itertools.product(*map(range, table.shape[:-1])):
            for level in range(table.shape[-1] - 1):
                step = np.zeros_like(table)
                step[(*cell, level)], step[(*cell, -1)] = 1, -1
                model.factors[name] = (step, axes)
                columns.append(model.distribution().to_numpy())
        model.factors[name] = (table, axes)
    sizes = np.linalg.svd(np.array(columns), compute_uv=False)
    return int((sizes > 1e-7 * sizes[0]).sum())


@pytest.mark.parametrize("seed", range(20))
def test_there_is_a_constraint_exactly_where_the_model_is_smaller_than_its_independences_say(seed) -> None:
    graph = with_a_chain(random.Random(seed), "abcd")
    rng = np.random.default_rng(seed)
    smaller = dimension(graph, rng) < dimension(ancestral(graph), rng)
    assert bool(verma_constraints(graph)) == smaller


def test_a_constraint_between_two_that_no_set_separates() -> None:
    graph = read("a -> b -> c; a <-> c; a <-> d")
    assert not separable(graph, "c", "d")
    (only,) = verma_constraints(graph)
    assert str(only) == (
        "[Σ_a P(a) P(c | a, b) P(d | a, b, c)] / [Σ_a P(a) P(c | a, b)] does not depend on c"
    )


def test_errors() -> None:
    with pytest.raises(IdentifyError, match="no basis 'all'"):
        independences(VERMA, "all")
