"""Derivations by do-calculus: each line is true, and each licence holds."""

import numpy as np
import pytest

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification import Outcome, Query, Regime, Symbol
from pyrocausal.identification.calculus import derive
from pyrocausal.identification.rules import Conditional, Separation, rule_2, rule_3

from .blackboard import value_of
from .cases import derived
from .classics import CLASSICS, Classic
from .worlds import World


def test_random_derivations_line_by_line():
    """Every formula in do-notation is read back and valued by enumeration; every separation is looked up."""
    verdicts = [derived(np.random.default_rng([4, i])) for i in range(120)]
    assert not [verdict for verdict in verdicts if verdict.error > 1e-9]
    assert sum(verdict.identified for verdict in verdicts) > 60


@pytest.mark.parametrize("classic", [c for c in CLASSICS if c.formula], ids=lambda classic: classic.name)
def test_classics(classic: Classic):
    lines = derive(classic.causal_graph, classic.query)
    assert lines[-1].formula == f"{classic.query} = {classic.formula}"
    for line in lines:
        assert line.rule.startswith("rule") == (line.licence is not None)
        assert line.licence is None or line.licence.holds(classic.causal_graph)


def test_the_back_door_by_rules_2_and_3():
    graph = CausalGraph.from_string("z -> x -> y; z -> y")
    lines = derive(graph, Query((Outcome.of("y", do=[Symbol("x")]),)))
    assert [(line.formula, line.why) for line in lines if line.licence] == [
        ("P(z | do(x)) = P(z)", "z ⫫ x in the graph without edges into x"),
        ("P(y | do(x), z) = P(y | x, z)", "y ⫫ x | z in the graph without edges out of x"),
    ]


def test_a_false_separation_does_not_hold():
    graph = CausalGraph.from_string("x -> m -> y; x <-> y")
    assert not Separation(("y",), ("x",), given=("m",), out_of=("x",)).holds(graph)
    assert not rule_2(Conditional(("y",)), ["x"]).holds(graph)
    assert not rule_3(graph, Conditional(("y",)), ["x"]).holds(graph)


def test_rule_3_keeps_the_edges_into_causes_of_conditions():
    """z causes the condition w, so cutting the edges into z would be wrong: Z(W) is empty."""
    graph = CausalGraph.from_string("z -> w; z <-> y")
    licence = rule_3(graph, Conditional(("y",), given=("w",)), ["z"])
    assert licence.into == ()
    assert not licence.holds(graph)


def test_the_reader_of_formulas_sees_a_wrong_one():
    world = World(CausalGraph.from_string("z -> x -> y; z -> y"), np.random.default_rng(0))
    right, wrong = (value_of(text, world) for text in ("Σ_z P(y | x, z) P(z)", "P(y | x)"))
    truth = world.truth(["y"], ["x"])
    assert np.abs(right - truth).max() < 1e-12 < 1e-3 < np.abs(wrong - truth).max()


def test_what_is_not_identified_has_no_derivation():
    graph = CausalGraph.from_string("x -> y; x <-> y")
    with pytest.raises(IdentifyError, match="the bow"):
        derive(graph, Query((Outcome.of("y", do=[Symbol("x")]),)))


def test_an_experiment_that_sets_a_condition():
    """P(y | do(x), z) from P(y | do(x, z)): rule 2 makes the condition an action."""
    graph = CausalGraph.from_string("z -> x -> y; z -> y; x <-> y")
    query = Query(tuple(Outcome.of(name, do=[Symbol("x")]) for name in ("z", "y")))
    lines = derive(graph, query, [Regime(), Regime(do=frozenset({"x", "z"}))])
    (line,) = [line for line in lines if line.formula == "P(y | do(x), z) = P(y | do(x, z))"]
    assert line.rule == "rule 2 of do-calculus" and line.licence is not None
    assert line.licence.holds(graph)
