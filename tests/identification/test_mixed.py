"""The quick graph agrees with `CausalGraph`; tables and hedges in small."""

import numpy as np

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.hedge import smallest
from pyrocausal.identification.mixed import Mixed
from pyrocausal.identification.tables import Table

from .worlds import random_graph


def test_separation_agrees_with_the_graph():
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(400):
        graph = random_graph(rng, 6, 0.35, 0.2)
        a, b, *given = (graph.nodes[i] for i in rng.permutation(6)[: rng.integers(2, 6)])
        silent = {name for name in graph.nodes if rng.random() < 0.2}
        within = set(graph.nodes) - {name for name in graph.nodes if rng.random() < 0.2} | {a, b, *given}
        quick = Mixed(graph).separated([a], [b], set(given), within, silent)
        answers.append(quick)
        assert quick == graph.subgraph(within).without_outgoing(*silent & within).is_d_separated(a, b, given)
    assert 50 < sum(answers) < 350


def test_the_boundary_is_what_can_not_be_left_out():
    rng = np.random.default_rng(1)
    for _ in range(200):
        graph = random_graph(rng, 6, 0.35, 0.2)
        of, *given = (graph.nodes[i] for i in rng.permutation(6)[: rng.integers(2, 6)])
        kept = Mixed(graph).boundary([of], set(given), set(graph.nodes))
        assert kept == {z for z in given if not graph.is_d_separated(of, z, set(given) - {z})}
        assert kept == set(given) or graph.is_d_separated(of, set(given) - kept, kept)


def test_relations_agree_with_the_graph():
    rng = np.random.default_rng(2)
    for _ in range(50):
        graph = random_graph(rng, 6, 0.35, 0.3)
        quick, within = Mixed(graph), set(graph.nodes)
        for name in graph.nodes:
            assert quick.ancestors([name], within) == graph.ancestors(name) | {name}
            assert quick.district(name, within) == graph.district(name)
        assert quick.districts(within) == list(graph.districts)


def test_no_node_of_a_hedge_can_be_spared():
    graph = Mixed(CausalGraph.from_string("a -> b -> y; x -> b; a <-> x; x <-> b; b <-> y; a <-> y; x <-> y"))
    forest, root = smallest(graph, {"a", "b", "x", "y"}, {"b", "y"})
    assert (forest, root) == (["x", "b"], ["b"])


def test_a_mean_over_an_axis_passes_over_what_is_not_defined():
    table = Table(("z", "y"), {"z": (0, 1), "y": (0, 1)}, np.array([[0.2, np.nan], [0.4, np.nan]]))
    mean = table.averaged(["z"])
    assert mean.axes == ("y",)
    np.testing.assert_allclose(mean.cells, [0.3, np.nan])
