"""Experiments that are known: gID and z-identification."""

import numpy as np
import pytest

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification import Outcome, Query, Regime, Symbol, experiments, identify

from .cases import surrogate
from .worlds import World, aligned

OBSERVED = Regime()
EFFECT = Query((Outcome.of("y", do=[Symbol("x")]),))


def on(*names: str) -> Regime:
    return Regime(frozenset(names))


def test_random_graphs_against_enumeration():
    verdicts = [surrogate(np.random.default_rng([2, i])) for i in range(120)]
    assert not [verdict for verdict in verdicts if verdict.error > 1e-9]
    assert 20 < sum(verdict.identified for verdict in verdicts) < 115


@pytest.mark.parametrize(
    ("text", "known", "formula", "method"),
    [
        ("x -> y; x <-> y", [OBSERVED, on("x")], "P(y | do(x))", "gID"),
        ("x -> m -> y; x <-> y", [on("x"), OBSERVED], "P(y | do(x))", "gID"),
        ("x -> m -> y; x <-> y", [OBSERVED, on("x")], "P(y | do(x))", "gID"),
        # z-identification, Bareinboim and Pearl 2012: an experiment on z stands in for one on x
        ("z -> x -> y; z <-> x; z <-> y", [OBSERVED, on("z")], "P(y | do(z), x)", "gID"),
        ("z -> x -> y; z -> y", [OBSERVED, on("y")], "Σ_z P(y | x, z) P(z)", "ID"),
    ],
)
def test_classics(text: str, known: list[Regime], formula: str, method: str):
    graph = CausalGraph.from_string(text)
    estimand = identify(graph, EFFECT, known)
    assert (str(estimand.expression), estimand.method) == (formula, method)
    world = World(graph, np.random.default_rng(0))
    value = estimand.evaluate({regime: world.pmf(sorted(regime.do)) for regime in known})
    np.testing.assert_allclose(aligned(value, graph.nodes) - world.truth(["y"], ["x"]), 0, atol=1e-12)


def test_two_experiments_and_observation_together():
    """Each arm has its bow, and its experiment."""
    graph = CausalGraph.from_string("x1 -> a -> y <- b <- x2; x1 <-> a; x2 <-> b")
    query = Query((Outcome.of("y", do=[Symbol("x1"), Symbol("x2")]),))
    known = [OBSERVED, on("x1"), on("x2")]
    estimand = identify(graph, query, known)
    assert str(estimand.expression) == "Σ_{a, b} P(y | a, b) P(b | do(x2)) P(a | do(x1))"
    assert not identify(graph, query, known[:2]).identified
    world = World(graph, np.random.default_rng(0))
    value = estimand.evaluate({regime: world.pmf(sorted(regime.do)) for regime in known})
    np.testing.assert_allclose(aligned(value, graph.nodes) - world.truth(["y"], ["x1", "x2"]), 0, atol=1e-12)


def test_z_identification_knows_all_subsets():
    graph = CausalGraph.from_string("z -> x -> y; z <-> x; z <-> y")
    assert not identify(graph, EFFECT).identified
    assert identify(graph, EFFECT, experiments(["z"])).identified


def test_an_experiment_on_the_outcome_is_of_no_help():
    graph = CausalGraph.from_string("x -> y; x <-> y")
    witness = identify(graph, EFFECT, [on("y")]).witness
    assert witness.kind == "impossible"
    assert "leaves the mechanisms of y" in witness.text


def test_a_thicket_has_a_reason_for_each_distribution():
    graph = CausalGraph.from_string("z -> x -> y; x <-> y")
    witness = identify(graph, EFFECT, [OBSERVED, on("z"), on("y")]).witness
    assert witness.kind == "thicket"
    assert witness.nodes == {"x", "y"}
    assert witness.text.count("the bow") == 2
    assert "in the experiment do(y), it sets or changes y" in witness.text
