"""Pairs of models that agree on what is known and differ on the query, checked on tables and unit by unit."""

import itertools
import random
import sys

import numpy as np
import pytest

from pyrocausal import CausalGraph
from pyrocausal.errors import GraphError, IdentifyError
from pyrocausal.identification import Constant, Outcome, Query, Regime, Symbol, identify
from pyrocausal.identification.counterexample import counterexample
from pyrocausal.identification.counterfactual import identify_counterfactual
from pyrocausal.identification.expression import OBSERVED
from pyrocausal.identification.weights import nullspace
from tests.identification import brute_force
from tests.identification.random_queries import KINDS, asked

BOW = "x -> y; x <-> y"
MEDIATOR = "x -> m -> y; x -> y"
ACTED_X = Regime(frozenset({"x"}))


def effect(of: str, do: str, given: str = "") -> Query:
    """P(of | do(do), given), names of one letter."""
    world = [Symbol(name) for name in do]
    outcomes, conditions = (tuple(Outcome.of(name, do=world) for name in group) for group in (of, given))
    return Query(outcomes, conditions)


def at(name: str, value: int, *do: Constant | Outcome) -> Outcome:
    return Outcome.of(name, Constant(name, value), do=do)


X0, X1, M1 = Constant("x", 0), Constant("x", 1), Constant("m", 1)


def experiments(graph, known, given):
    """The regimes whose distributions are known, as sets of variables."""
    if given == "observational":
        return [regime.do for regime in known]
    return [s for size in range(len(graph.nodes)) for s in itertools.combinations(graph.nodes, size)]


def check(graph, query, known=(OBSERVED,), given="observational", seed=0, least=0.02):
    """The pair is what it says: on the tables of everything that is known, and of the query."""
    low, high = counterexample(graph, query, known, given, seed)
    for do in experiments(graph, known, given):
        one, other = (model.experiment(do) for model in (low, high))
        assert (one > 0).all()
        assert abs(one - other).max() < 1e-9
    for model in (low, high):
        assert model.graph.nodes == graph.nodes
        assert model.graph.edges <= graph.edges and model.graph.bidirected <= graph.bidirected
    one, other = (
        m.table([*query.outcomes, *query.given]).divided(m.table(query.given), "") for m in (low, high)
    )
    assert np.nanmax(np.abs(one.cells - other.cells)) > least
    return low, high


@pytest.mark.parametrize(
    "graph, query",
    [
        (BOW, effect("y", "x")),
        ("z -> x -> y; x <-> y", effect("y", "x")),  # an instrument
        ("x -> z -> y; x <-> z", effect("y", "x")),
        ("x -> z -> y; x <-> y; z <-> y", effect("y", "x")),
        ("z -> x -> y; x <-> z; z <-> y", effect("y", "x")),  # an M whose middle is a cause
        ("x -> y; z -> y; x <-> z; z <-> y", effect("y", "x")),
        ("x -> z -> y; x <-> y; x <-> z", effect("y", "x")),
        ("x -> w -> z -> y; w <-> y; x <-> z; x <-> w", effect("y", "w")),  # Verma's graph and one arc more
        ("w -> z -> x -> y; w <-> x; w <-> y; x <-> y", effect("y", "x")),  # the napkin, likewise
        ("x -> y; w -> y; x <-> w; w <-> v; v <-> y; v -> w", effect("y", "x")),
        ("x -> y -> z; x <-> z; y <-> z", effect("y", "x", "z")),
        ("x -> y; x -> z; y <-> z; x <-> z", effect("y", "x", "z")),
        ("a -> b -> y; a <-> b; b <-> y", effect("y", "ab")),
    ],
)
def test_hedges_have_pairs(graph, query):
    check(CausalGraph.from_string(graph), query)


@pytest.mark.parametrize(
    "graph, query, known",
    [
        ("z -> x -> y; x <-> y", effect("y", "x"), [OBSERVED, Regime(frozenset({"z"}))]),
        ("x -> y <- z; x <-> y; z <-> y; x <-> z", effect("y", "xz"), [OBSERVED, ACTED_X]),
        (BOW, effect("y", ""), [ACTED_X]),
        (
            "z -> x -> y; x <-> y; z <-> y",
            effect("y", "x"),
            [Regime(frozenset({"z"})), Regime(frozenset({"y"}))],
        ),
    ],
)
def test_known_experiments_do_not_tell_the_pair_apart(graph, query, known):
    check(CausalGraph.from_string(graph), query, known)


@pytest.mark.parametrize(
    "graph, query, given",
    [
        # probability of necessity and sufficiency; of necessity; the effect on the treated
        ("x -> y", Query((at("y", 1, X1), at("y", 0, X0))), "experimental"),
        (BOW, Query((at("y", 1, X1), at("y", 0, X0))), "experimental"),
        ("x -> y", Query((at("y", 0, X0),), (at("x", 1), at("y", 1))), "experimental"),
        (BOW, Query((at("y", 1, X0),), (at("x", 1),)), "observational"),
        (BOW, Query((at("y", 1, X0),), (at("x", 1),)), "experimental"),
        # natural direct effects whose mediator is confounded, or has a cause that x changes too
        (f"{MEDIATOR}; m <-> y", Query((at("y", 1, X1, Outcome.of("m", do=[X0])),)), "experimental"),
        (f"{MEDIATOR}; m <-> y", Query((at("y", 1, X1, Outcome.of("m", do=[X0])),)), "observational"),
        (
            f"{MEDIATOR}; x -> w; w -> m; w -> y",
            Query((at("y", 1, X1, Outcome.of("m", do=[X0])),)),
            "experimental",
        ),
        (f"{MEDIATOR}; x <-> m", Query((at("y", 1, X1, Outcome.of("m", do=[X0])),)), "observational"),
        # what would have been, in units that were otherwise
        ("x -> y; x -> z; y <-> z", Query((at("y", 1, X1),), (at("z", 1, X0),)), "experimental"),
    ],
)
def test_counterfactuals_have_pairs(graph, query, given):
    check(CausalGraph.from_string(graph), query, given=given)


@pytest.mark.parametrize("kind", KINDS)
def test_every_no_has_a_pair(kind):
    """Small graphs here, larger ones in tests/benchmarks/counterexamples.py."""
    found = 0
    for seed in range(1000):
        question = asked(kind, random.Random(f"small {kind} {seed}"), sizes=(3, 4))
        try:
            if question.given == "observational" and question.query.rung < 3:
                estimand = identify(question.graph, question.query, question.known)
            else:
                estimand = identify_counterfactual(
                    question.graph, question.query, question.known, question.given
                )
        except IdentifyError:  # a condition that can't be
            continue
        if not estimand.identified:
            check(question.graph, question.query, question.known, question.given, seed, least=1e-3)
            found += 1
        if found == 6:
            return


def test_the_pair_differs_by_the_enumeration_of_units_too():
    query = Query((at("y", 1, X1), at("y", 0, X0)))
    low, high = counterexample(CausalGraph.from_string(BOW), query, given="experimental")
    one, other = (brute_force.probability(model, query) for model in (low, high))
    assert other - one > 0.05
    assert one == pytest.approx(low.probability(query)) and other == pytest.approx(high.probability(query))


def test_the_pair_has_the_same_mechanisms_and_few_edges():
    graph = CausalGraph.from_string("a -> z -> x -> y; a -> y; x <-> y; z <-> a; y -> b")
    low, high = check(graph, effect("y", "x"))
    assert low.graph == CausalGraph(graph.nodes, [("x", "y")], [("x", "y")])
    assert all((low.functions[v] == high.functions[v]).all() for v in graph.nodes)
    changed = [
        one.name for one, other in zip(low.hidden, high.hidden) if (one.weights != other.weights).any()
    ]
    assert changed == ["u[x, y]"]


def test_the_same_seed_gives_the_same_pair_and_another_seed_another():
    graph, query = CausalGraph.from_string(BOW), effect("y", "x")
    one, two, other = (counterexample(graph, query, seed=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.hidden[0].weights, two.hidden[0].weights)
    assert str(one) == str(two) != str(other)


def test_latent_nodes_are_projected_out():
    graph = CausalGraph.from_string("u [latent] -> x -> y; u -> y")
    low, high = counterexample(graph, effect("y", "x"))
    assert low.graph == high.graph == CausalGraph.from_string(BOW)


@pytest.mark.parametrize("levels", [(1, 2), (0.5, 1.5), ("yes", "no"), (10, 20, 30), (True, False)])
def test_the_values_that_the_query_names_are_levels(levels):
    graph = CausalGraph.from_string(BOW)
    condition = Outcome("x", Constant("x", levels[0]))
    worlds = [Outcome.of("y", Constant("y", "good"), do=[Constant("x", x)]) for x in levels]
    low, _ = check(graph, Query(tuple(worlds), (condition,)))
    assert set(levels) <= set(low.levels["x"]) and len(low.levels["x"]) == len(low.levels["y"]) >= len(levels)


def test_an_estimand_shows_its_own():
    estimand = identify(CausalGraph.from_string(BOW), effect("y", "x"))
    low, high = estimand.counterexample(seed=3)
    assert abs(low.joint() - high.joint()).max() < 1e-9
    assert abs(low.do(x=1) - high.do(x=1)).max() > 0.02 or abs(low.do(x=0) - high.do(x=0)).max() > 0.02


def test_an_estimand_remembers_that_experiments_are_known():
    query = Query((at("y", 1, X1), at("y", 0, X0)))
    estimand = identify_counterfactual(CausalGraph.from_string(BOW), query, given="experimental")
    low, high = estimand.counterexample()
    assert abs(low.experiment("x") - high.experiment("x")).max() < 1e-9
    assert abs(low.probability(query) - high.probability(query)) > 0.02


@pytest.mark.parametrize(
    "graph, query, known, given",
    [
        ("z -> x -> y; z -> y", effect("y", "x"), (OBSERVED,), "observational"),
        ("x -> m -> y; x <-> y", effect("y", "x"), (OBSERVED,), "observational"),
        (BOW, effect("y", "x"), (OBSERVED, ACTED_X), "observational"),
        (BOW, effect("y", "x"), (OBSERVED,), "experimental"),
        (MEDIATOR, Query((at("y", 1, X1, Outcome.of("m", do=[X0])),)), (OBSERVED,), "observational"),
    ],
)
def test_an_identified_query_has_none(graph, query, known, given):
    with pytest.raises(IdentifyError, match="is identified: no two models"):
        counterexample(CausalGraph.from_string(graph), query, known, given)


def test_a_search_that_fails_says_that_this_is_no_proof(monkeypatch):
    monkeypatch.setattr(sys.modules[counterexample.__module__], "SIZES", (1,))
    with pytest.raises(IdentifyError, match="no proof"):
        counterexample(CausalGraph.from_string(BOW), effect("y", "x"))


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"query": effect("y", "q")}, "'q'"),
        ({"known": [Regime(population="elsewhere")]}, "another population, 'elsewhere'"),
        ({"known": [Regime(frozenset({"q"}))]}, "'q'"),
        ({"given": "all"}, "all"),
    ],
)
def test_what_cannot_be_is_refused(changes, match):
    given = {"graph": CausalGraph.from_string(BOW), "query": effect("y", "x")}
    with pytest.raises((IdentifyError, GraphError), match=match):
        counterexample(**given | changes)


def test_the_nullspace_is_orthogonal_to_the_rows():
    rng = np.random.default_rng(0)
    rows = rng.random((7, 3)) @ rng.random((3, 6))  # rank 3
    free = nullspace(rows)
    assert free.shape == (6, 3)
    np.testing.assert_allclose(rows @ free, 0, atol=1e-12)
    np.testing.assert_allclose(free.T @ free, np.eye(3), atol=1e-12)
