"""Discrete SCMs against the enumeration of all units (`brute_force`), and their errors."""

import itertools
import random

import numpy as np
import pandas as pd
import pytest

from pyrocausal import CausalGraph
from pyrocausal.errors import GraphError, IdentifyError
from pyrocausal.identification import Constant, P, Regime, Symbol
from pyrocausal.identification import contraction as contraction_module
from pyrocausal.identification.contraction import contracted
from pyrocausal.identification.discrete import DiscreteSCM, Hidden, confounded
from pyrocausal.identification.outcome import Outcome, Query
from tests.graph.random_graphs import random_graph
from tests.identification import brute_force

BOW = CausalGraph.from_string("x -> y; x <-> y")


def models(count: int, largest: int = 4) -> list[DiscreteSCM]:
    """Random models over random graphs; every third has a variable of three levels that are words."""
    found = []
    for seed in range(count):
        rng = random.Random(seed)
        graph = random_graph(rng, rng.randint(2, largest), 0.6, 0.5)
        levels = {v: (0, 1) for v in graph.nodes}
        if seed % 3 == 0:
            levels[graph.nodes[0]] = ("high", "low", "none")
        found.append(DiscreteSCM.random(graph, seed, levels, types=3))
    return found


@pytest.mark.parametrize("scm", models(12), ids=lambda scm: scm.graph.to_string())
def test_joint_and_experiments_are_those_of_all_units(scm):
    for size in range(len(scm.graph.nodes)):
        for acted in itertools.combinations(scm.graph.nodes, size):
            table = scm.experiment(acted)
            for setting in itertools.product(*(scm.levels[v] for v in acted)):
                actions = dict(zip(acted, setting))
                truth: dict[tuple, float] = {}
                for p, unit in brute_force.units(scm):
                    values = brute_force.world(scm, unit, actions)
                    key = tuple(values[v] for v in table.index.names)
                    truth[key] = truth.get(key, 0.0) + p
                for key, p in truth.items():
                    assert table.loc[key if len(key) > 1 else key[0]] == pytest.approx(p, abs=1e-12)
                assert sum(truth.values()) == pytest.approx(1)
                done = scm.do(actions)
                rest = [v for v in scm.graph.nodes if v not in acted]
                assert list(done.index.names) == rest
                assert done.sum() == pytest.approx(1)
                first = next(iter(truth))
                cell = tuple(v for v, name in zip(first, table.index.names) if name in rest)
                assert done.loc[cell if len(cell) > 1 else cell[0]] == pytest.approx(truth[first], abs=1e-12)


def random_outcome(scm: DiscreteSCM, rng: random.Random, depth: int) -> Outcome:
    """In a random world; some actions are what a variable is in another world."""
    graph = scm.graph
    variable = rng.choice(graph.nodes)
    acted = [v for v in graph.nodes if v != variable and rng.random() < 0.5]

    def action(v: str) -> Constant | Outcome:
        if depth and rng.random() < 0.4:
            inner = [
                Constant(w, rng.choice(scm.levels[w])) for w in graph.nodes if w != v and rng.random() < 0.5
            ]
            if depth > 1 and inner:
                inner[0] = Outcome.of(inner[0].variable, do=[Constant(v, rng.choice(scm.levels[v]))])
            return Outcome.of(v, do=inner)
        return Constant(v, rng.choice(scm.levels[v]))

    value = Constant(variable, rng.choice(scm.levels[variable]))
    return Outcome.of(variable, value, do=map(action, acted))


@pytest.mark.parametrize("scm", models(12), ids=lambda scm: scm.graph.to_string())
def test_counterfactuals_are_those_of_all_units(scm):
    rng = random.Random(repr(scm))
    asked = 0
    while asked < 6:
        outcomes = tuple(random_outcome(scm, rng, depth=2) for _ in range(rng.randint(1, 3)))
        given = tuple(random_outcome(scm, rng, depth=1) for _ in range(rng.randint(0, 2)))
        if scm.probability(Query(given)) < 1e-9:
            with pytest.raises(IdentifyError, match="probability zero"):
                scm.probability(Query(outcomes, given))
            continue
        asked += 1
        query = Query(outcomes, given)
        assert scm.probability(query) == pytest.approx(brute_force.probability(scm, query), abs=1e-12)


def test_symbols_make_a_table_of_the_same_numbers_as_constants():
    scm = DiscreteSCM.random(CausalGraph.from_string("x -> m -> y; x -> y; x <-> y"), seed=3)
    effect_on_the_treated = Query((Outcome.of("y", do=[Symbol("x", 1)]),), (Outcome("x", Symbol("x")),))
    table = scm.probability(effect_on_the_treated)
    assert set(table.index.names) == {"y", "x", "x'"}
    for y, x, other in itertools.product((0, 1), repeat=3):
        query = Query(
            (Outcome.of("y", Constant("y", y), do=[Constant("x", other)]),), (Outcome("x", Constant("x", x)),)
        )
        at = {"y": y, "x": x, "x'": other}
        assert table.loc[tuple(at[name] for name in table.index.names)] == pytest.approx(
            scm.probability(query)
        )


def test_one_symbol_in_two_places_is_one_value():
    """P(y_x = y | x) with one x is the observed conditional (consistency)."""
    scm = DiscreteSCM.random(BOW, seed=0)
    query = Query((Outcome.of("y", do=[Symbol("x")]),), (Outcome("x", Symbol("x")),))
    observed = P.of("y", given="x").evaluate(scm.joint())
    found = scm.probability(query).reorder_levels(observed.index.names).sort_index()
    pd.testing.assert_series_equal(found, observed.sort_index(), check_names=False)


def test_estimands_take_its_tables():
    """Front-door: the formula on P(v), and the experiment's own table, are the truth."""
    scm = DiscreteSCM.random(CausalGraph.from_string("x -> m -> y; x <-> y"), seed=4, levels=3)
    regime = Regime(frozenset({"x"}))
    direct = P.of("y", given="x", regime=regime).evaluate({regime: scm.experiment("x")}, {"x": 2})
    query = Query((Outcome.of("y", do=[Constant("x", 2)]),))
    np.testing.assert_allclose(direct, scm.probability(query))
    p = scm.joint()
    m_given_x = P.of("m", given="x").evaluate(p, {"x": 2})
    y = sum(
        m_given_x[m] * (P.of("y", given=("x", "m")).evaluate(p, {"m": m, "x": x}) * P.of("x").evaluate(p)[x])
        for m in range(3)
        for x in range(3)
    )
    np.testing.assert_allclose(y, direct)


def test_every_random_model_is_positive_and_keeps_the_independences_of_its_graph():
    chain = CausalGraph.from_string("x <-> y; y <-> z")
    for seed in range(5):
        p = DiscreteSCM.random(chain, seed).joint()
        assert (p > 0).all()
        xz = p.groupby(["x", "z"]).sum()
        for x, z in itertools.product((0, 1), repeat=2):
            assert xz[x, z] == pytest.approx(xz[x].sum() * xz[:, z].sum(), abs=1e-12)


def test_the_same_seed_gives_the_same_model():
    one, two, other = (DiscreteSCM.random(BOW, seed).joint() for seed in (1, 1, 2))
    pd.testing.assert_series_equal(one, two)
    assert abs(one - other).max() > 1e-3


def test_confounded_sets_are_the_largest_cliques():
    graph = random_graph(random.Random(5), 7, 0.3, 0.5)
    found = confounded(graph)
    cliques = [
        set(names)
        for size in range(1, 8)
        for names in itertools.combinations(graph.nodes, size)
        if all(b in graph.spouses(a) for a, b in itertools.combinations(names, 2))
    ]
    largest = [c for c in cliques if not any(c < other for other in cliques)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, largest))


def test_the_mechanism_reads_like_a_table():
    scm = DiscreteSCM.random(BOW, seed=0, types=2)
    table = scm.mechanism("y")
    assert table.columns.name == "x" and list(table.index.names) == ["u[x, y]", "e[y]"]
    assert table.loc[(1, 0), 1] == scm.levels["y"][scm.functions["y"][1, 1, 0]]
    text = str(scm)
    assert text.count("\n") < 20 and "P(u[x, y]) = " in text and "\ny:\n" in text
    assert repr(scm) == "DiscreteSCM('x -> y; x <-> y', hidden: u[x, y], e[x], e[y])"


def test_contraction_is_einsum():
    rng = np.random.default_rng(0)
    a, b, c = rng.random((2, 3)), rng.random((3, 4, 2)), rng.random(4)
    found = contracted([("ij", a), ("jki", b), ("k", c)], ["k"])
    np.testing.assert_allclose(found, np.einsum("ij,jki,k->k", a, b, c))
    assert contracted([], []) == 1


def test_a_table_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(contraction_module, "LARGEST", 3)
    with pytest.raises(IdentifyError, match="too large"):
        DiscreteSCM.random(BOW).joint()


def bow(**changes):
    given = {
        "graph": BOW,
        "levels": {"x": (0, 1), "y": (0, 1)},
        "hidden": (Hidden(("x", "y"), np.array([0.5, 0.5])),),
        "functions": {"x": np.array([0, 1]), "y": np.array([[0, 1], [1, 0]])},
    }
    return DiscreteSCM(**given | changes)


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: bow(graph=CausalGraph.from_string("x -> y")), GraphError, "the graph does not join"),
        (
            lambda: bow(graph=CausalGraph.from_string("x [latent] -> y; x <-> y")),
            GraphError,
            "latent nodes: x",
        ),
        (lambda: bow(hidden=(Hidden(("x", "y"), np.array([0.5, 0.4])),)), IdentifyError, "no probabilities"),
        (lambda: bow(hidden=(Hidden(("x", "y"), np.array([1.5, -0.5])),)), IdentifyError, "no probabilities"),
        (lambda: bow(hidden=bow().hidden * 2), IdentifyError, "two hidden causes are called"),
        (lambda: bow(levels={"x": (0, 1)}), IdentifyError, "'y' has no levels"),
        (lambda: bow(levels={"x": (0, 1), "y": (0, 0)}), IdentifyError, "'y' has a level twice"),
        (lambda: bow(functions={"x": np.array([0, 1])}), IdentifyError, "'y' has no function"),
        (lambda: bow(functions=bow().functions | {"y": np.zeros((2, 3), int)}), IdentifyError, r"\(2, 3\)"),
        (
            lambda: bow(functions=bow().functions | {"y": np.full((2, 2), 2)}),
            IdentifyError,
            "no table of its",
        ),
        (lambda: bow().do(z=1), IdentifyError, "'z' is not a variable"),
        (lambda: bow().do(x=5), IdentifyError, "'x' has no level 5"),
        (lambda: bow().do({"X": 1}), IdentifyError, "did you mean 'x'"),
        (lambda: bow().experiment(["x", "y"]), IdentifyError, "nothing is left"),
        (lambda: bow().mechanism("Y"), IdentifyError, "did you mean 'y'"),
        (
            lambda: bow().probability(Query((Outcome("z", Symbol("z")),))),
            IdentifyError,
            "'z' is not a variable",
        ),
        (lambda: bow().probability(Query((Outcome("y", Constant("y", 3)),))), IdentifyError, "no level 3"),
        (
            lambda: bow().probability(Query((Outcome("y", Constant("x", 1)),))),
            IdentifyError,
            "a value of 'x'",
        ),
        (lambda: DiscreteSCM.random(BOW, levels=1), IdentifyError, "levels"),
        (lambda: DiscreteSCM.random(BOW, levels={"x": (0, 1)}), IdentifyError, "'y' has no levels"),
        (lambda: DiscreteSCM.random(BOW, types=0), IdentifyError, "types"),
    ],
)
def test_what_cannot_be_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
