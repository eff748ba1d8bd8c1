"""Counterfactual identification against the literature's verdicts and the enumeration of all units."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification import Constant, Outcome, Query, Regime, Symbol, identify
from pyrocausal.identification.counterfactual import identify_counterfactual
from pyrocausal.identification.expression import OBSERVED
from tests.identification.counterfactual_cases import case, largest_error
from tests.identification.counterfactual_classics import BOTH, CLASSICS, NATURAL, TREATED, X0, X1, Y0, Y1, X
from tests.identification.functional import FunctionalSCM, random_graph

_of, _graph = Outcome.of, CausalGraph.from_string
OTHER_Y = Symbol("y", 1)


@pytest.mark.parametrize("given", ["observational", "experimental"])
@pytest.mark.parametrize("classic", CLASSICS, ids=str)
def test_classic(classic, given):
    graph, formula = _graph(classic.graph), getattr(classic, given)
    estimand = identify_counterfactual(graph, classic.query, given=given)
    if formula is None:
        assert not estimand.identified, f"{classic.source} says that it is not identified: {estimand}"
        assert estimand.witness.text and estimand.witness.root <= estimand.witness.nodes <= set(graph.nodes)
        return
    assert str(estimand.expression) == formula
    scm = FunctionalSCM(graph, dict.fromkeys(graph.nodes, 2), np.random.default_rng(0))
    assert largest_error(estimand, scm) < 1e-9


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("kind", ["observational", "surrogate", "experimental"])
def test_random_question(seed, kind):
    assert (found := case(seed, kind, nodes=5)).error < 1e-9, found


def test_random_questions_are_of_all_sorts():
    cases = [case(seed, "experimental", nodes=4) for seed in range(60)]
    counterfactual = [c.verdict for c in cases if c.query.rung == 3]
    assert {"identified", "not identified", "certain", "refused"} <= set(counterfactual)
    assert any(o.nested for c in cases for o in c.query.outcomes)


@pytest.mark.parametrize("seed", range(60))
def test_one_world_is_as_identify_says(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 5)
    y, z, *actions = map(str, rng.permutation(graph.nodes)[: rng.integers(2, 5)])
    do = [Symbol(name) for name in actions]
    query = Query((_of(y, do=do),), (_of(z, do=do),) if rng.random() < 0.5 else ())
    one, other = identify_counterfactual(graph, query), identify(graph, query)
    assert one.identified == other.identified, (str(one), str(other))
    if one.identified:
        scm = FunctionalSCM(graph, dict.fromkeys(graph.nodes, 2), rng)
        assert largest_error(one, scm) < 1e-9 > largest_error(other, scm)


def test_what_is_seen_of_a_unit_is_what_its_treatment_does():
    """P(y_x | x) = P(y | x), for one symbol or one constant, whatever is hidden."""
    bow = _graph("x -> y; x <-> y")
    same = identify_counterfactual(bow, Query((_of("y", do=[X]),), (_of("x", X),)))
    assert str(same.expression) == "P(y | x)"
    one = identify_counterfactual(bow, Query((_of("y", do=[X1]), _of("x", X1))))
    assert str(one.expression) == "P(x=1, y)"
    assert not identify_counterfactual(bow, Query((_of("y", do=[X1]), _of("x", X0)))).identified


def test_a_formula_for_different_values_holds_for_equal_ones():
    graph = _graph("x -> m -> y; x <-> y")
    scm = FunctionalSCM(graph, {"x": 3, "m": 2, "y": 2}, np.random.default_rng(1))
    table = identify_counterfactual(graph, TREATED).evaluate(scm.pmf(OBSERVED))
    seen = scm.pmf(OBSERVED).groupby(["x", "y"]).sum()
    for x in range(3):
        for y in range(2):
            cell = table.xs((x, x, y), level=("x", "x'", "y")).item()
            assert cell == pytest.approx(seen[x, y] / seen[x].sum(), abs=1e-12)


def test_events_that_cannot_be_have_probability_zero():
    graph = _graph("x -> y")
    assert identify_counterfactual(graph, Query((_of("y", Y1, [X1]), _of("y", Y0, [X1])))).evaluate({}) == 0
    assert identify_counterfactual(graph, Query((_of("x", X0, [X1]),))).evaluate({}) == 0
    assert identify_counterfactual(graph, Query((_of("x", X1, [X1]),))).evaluate({}) == 1


def test_two_symbols_for_one_value_are_refused():
    graph = _graph("x -> m -> y")
    with pytest.raises(IdentifyError, match="both 'y' and 'y''"):
        identify_counterfactual(graph, Query((_of("y", do=[X1]), _of("y", OTHER_Y, [X1]))))
    with pytest.raises(IdentifyError, match="both"):  # y_{x=1} is y where x=1
        identify_counterfactual(graph, Query((_of("y", do=[X1]),), (_of("x", X1), _of("y", OTHER_Y))))


def test_a_nested_action_that_is_the_variables_own_value_changes_nothing():
    graph = _graph("x -> y; x <-> y")
    natural = identify_counterfactual(graph, Query((_of("y", do=[_of("x")]),)))
    assert str(natural.expression) == "P(y)"
    own = identify_counterfactual(_graph("x -> y"), Query((_of("y", do=[_of("y", do=[X1])]),)))
    assert str(own.expression) == "P(y | x=1)"


def test_the_witness_says_what_no_experiment_shows():
    witness = identify_counterfactual(_graph("x -> y"), BOTH, given="experimental").witness
    assert (witness.kind, witness.nodes) == ("inconsistent", {"y"})
    assert "y under x=1 and y under x=0 share y's own noise, and no experiment shows both" in witness.text
    hedge = identify_counterfactual(_graph("x -> m -> y; x -> y; x <-> y"), NATURAL).witness
    assert (hedge.kind, hedge.nodes) == ("hedge", {"x", "y"})


def test_an_experiment_that_is_known_is_used():
    graph = _graph("x -> m -> y; x -> y; x <-> m")
    assert not identify_counterfactual(graph, NATURAL).identified
    found = identify_counterfactual(graph, NATURAL, [OBSERVED, Regime(frozenset("x"))])
    assert str(found.expression) == "Σ_m P(y | x=1, m) P(m | do(x=0))"


def test_the_steps_end_in_the_formula():
    estimand = identify_counterfactual(_graph("x -> m -> y; x -> y"), NATURAL)
    assert [step.formula for step in estimand.steps] == [
        "Σ_m P(y_{m, x=1}, m_{x=0})",
        "Σ_m P(y_{m, x=1}) P(m_{x=0})",
        "Σ_m P(y | do(x=1, m)) P(m | do(x=0))",
        "P(y | do(x=1, m)) = P(y | x=1, m)",
        "P(m | do(x=0)) = P(m | x=0)",
        "Σ_m P(y | x=1, m) P(m | x=0)",
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(()), "no outcomes"),
        (Query((_of("yy", do=[X1]),)), "did you mean 'y'"),
        (Query((_of("y", do=[Constant("u", 1)]),)), "'u', in 'y_{u=1}', is latent"),
        (Query((_of("y", do=[_of("m", do=[Constant("xx", 1)])]),)), "did you mean 'x'"),
        (Query((Outcome("y", X1),)), "not of 'y'"),
        (Query((_of("y", do=[X0, X1]),)), "twice"),
        (Query((_of("y"),), (_of("x", X0), _of("x", X1))), "can't happen"),
    ],
    ids=str,
)
def test_bad_questions_are_refused(query, message):
    with pytest.raises(IdentifyError, match=message):
        identify_counterfactual(_graph("x -> m -> y; u [latent] -> y; u -> m"), query)


def test_bad_knowledge_is_refused():
    graph = _graph("x -> y")
    with pytest.raises(IdentifyError, match="did you mean 'experimental'"):
        identify_counterfactual(graph, BOTH, given="experiment")
    with pytest.raises(IdentifyError, match="no distribution is known"):
        identify_counterfactual(graph, BOTH, known=())
    with pytest.raises(IdentifyError, match="'z', in an experiment"):
        identify_counterfactual(graph, BOTH, known=[Regime(frozenset("z"))])


def test_the_same_formula_in_every_process():
    code = (  # a dozen formulas, of all sorts
        "from tests.identification.counterfactual_cases import case\n"
        "print(*(case(seed, 'experimental', 4).estimand for seed in range(15)), sep='\\n')"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": "."},
        capture_output=True,
        check=True,
        text=True,
    )
    here = [case(seed, "experimental", 4).estimand for seed in range(15)]
    assert other.stdout.splitlines() == list(map(str, here))
