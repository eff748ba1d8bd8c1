"""Answers about one population from studies in others."""

import numpy as np
import pytest

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification import Outcome, Query, Regime, Symbol, transport

from .cases import transported
from .worlds import World, aligned, tables

HERE = Regime()
TRIAL = Regime(frozenset("x"), "trial")
EFFECT = Query((Outcome.of("y", do=[Symbol("x")]),))


def test_random_graphs_against_enumeration():
    verdicts = [transported(np.random.default_rng([3, i])) for i in range(120)]
    assert not [verdict for verdict in verdicts if verdict.error > 1e-9]
    assert 20 < sum(verdict.identified for verdict in verdicts) < 115


@pytest.mark.parametrize(
    ("text", "differs", "formula"),
    [  # the first three after J. Pearl and E. Bareinboim, "Transportability of causal and statistical
        # relations" (AAAI 2011)
        ("z -> y; x -> y; x <-> y; z -> x", ["z"], "Σ_z P^{trial}(y | do(x), z) P(z)"),
        ("z <-> y; z -> x; x -> y; x <-> y", ["z"], "P^{trial}(y | do(x))"),
        ("x -> z -> y; x -> y; x <-> y", ["z"], "Σ_z P^{trial}(y | do(x), z) P(z | x)"),
        ("x -> y; x <-> y", [], "P^{trial}(y | do(x))"),
        ("x -> y; x <-> y; x -> k", ["k", "x"], "P^{trial}(y | do(x))"),
        ("x -> y; x <-> y", ["y"], ""),
        ("z -> y; x -> y; u [latent]; u -> z; x <-> y", ["u"], "Σ_z P^{trial}(y | do(x), z) P(z)"),
    ],
)
def test_classics(text: str, differs: list[str], formula: str):
    graph = CausalGraph.from_string(text)
    known = [HERE, TRIAL]
    estimand = transport(graph, EFFECT, {"trial": differs}, known)
    assert (str(estimand.expression) if estimand.identified else "") == formula
    if formula and not graph.latent:
        rng = np.random.default_rng(0)
        here = World(graph, rng)
        worlds = {"": here, "trial": here.changed(differs, rng)}
        value = aligned(estimand.evaluate(tables(worlds, known)), graph.nodes)
        np.testing.assert_allclose(value - here.truth(["y"], ["x"]), 0, atol=1e-12)


def test_a_failure_says_where_the_mechanism_differs():
    graph = CausalGraph.from_string("x -> y; x <-> y")
    witness = transport(graph, EFFECT, {"trial": ["y"]}, [HERE, TRIAL]).witness
    assert "the bow" in witness.text
    assert "in population trial" in witness.text


@pytest.mark.parametrize(
    ("differs", "known", "message"),
    [
        ({"": ["x"]}, [HERE], "differs from itself"),
        ({"trail": ["x"]}, [TRIAL], "'trial' is known.*did you mean 'trail'"),
        ({"trial": ["q"]}, [TRIAL], "no node 'q'.*population 'trial'"),
        ({"trial": "xy"}, [TRIAL], "is the string 'xy'"),
    ],
)
def test_wrong_names(differs, known, message: str):
    with pytest.raises(IdentifyError, match=message):
        transport(CausalGraph.from_string("x -> y"), EFFECT, differs, known)
