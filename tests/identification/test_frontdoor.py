"""Front-door sets against Pearl's definition, path by path, and the formula against the truth."""

import itertools
import random

import numpy as np
import pytest

from pyrocausal.errors import IdentifyError
from pyrocausal.graph import CausalGraph
from pyrocausal.identification import front_door_formula, front_door_set, front_door_sets, is_front_door_set
from tests.graph.random_graphs import random_graph

from .discrete_scm import DiscreteSCM
from .test_adjustment import questions, subsets

read = CausalGraph.from_string


def by_definition(graph: CausalGraph, x: str, y: str, m: frozenset[str]) -> bool:
    """J. Pearl (2009), definition 3.3.3, on lists of paths."""

    def back_doors(a: str, b: str, given=()) -> list[str]:
        return [path for path in graph.open_paths(a, b, given) if path.split()[1] != "->"]

    directed = [path.split(" -> ") for path in graph.open_paths(x, y) if "<" not in path]
    return (
        all(m.intersection(path) for path in directed)
        and not any(back_doors(x, one) for one in m)
        and not any(back_doors(one, y, {x}) for one in m)
    )


@pytest.mark.parametrize("seed", range(80))
def test_single_mediators_are_judged_by_pearls_definition(seed: int) -> None:
    """His words are about one m; of several, a path from one through another is no back door of the set."""
    graph = random_graph(random.Random(seed), 5, 0.35, 0.15)
    for x, y in itertools.permutations(graph.nodes, 2):
        for m in subsets(graph.observed - {x, y}):
            if len(m) <= 1:
                assert is_front_door_set(graph, x, y, m) == by_definition(graph, x, y, m)
            elif by_definition(graph, x, y, m):
                assert is_front_door_set(graph, x, y, m)


@pytest.mark.parametrize("seed", range(80))
def test_the_formula_is_the_truth_for_every_set(seed: int) -> None:
    for graph, x, y in questions(seed, size=5):
        sets = list(front_door_sets(graph, x, y, minimal=False))
        if sets:
            model = DiscreteSCM(graph, np.random.default_rng(seed))
            truth = model.distribution(do=x).groupby([*x, *y]).sum()
            for m in filter(None, sets):
                found = front_door_formula(x, y, m).evaluate(model.distribution())
                assert np.allclose(found.reorder_levels([*x, *y]).sort_index(), truth.sort_index(), atol=1e-9)


@pytest.mark.parametrize("seed", range(80))
def test_listing_and_finding_agree_with_a_search_of_all_subsets(seed: int) -> None:
    rng = random.Random(seed)
    for graph, x, y in questions(seed):
        free = sorted(graph.observed - {*x, *y})
        allowed = rng.sample(free, rng.randint(len(free) - 1, len(free)))
        required = rng.sample(allowed, rng.choice([0, 0, 0, 1]))
        valid = [m for m in subsets(allowed) if m >= set(required) and is_front_door_set(graph, x, y, m)]
        minimal = [m for m in valid if not any(other < m for other in valid)]
        for only, expected in ((True, minimal), (False, valid)):
            found = list(front_door_sets(graph, x, y, only, allowed=allowed, required=required))
            assert len(found) == len(set(found))
            assert set(found) == set(expected)
        one = front_door_set(graph, x, y, allowed=allowed, required=required)
        assert (one in minimal) if valid else (one is None)


def test_nothing_between_x_and_y() -> None:
    assert front_door_set(read("x -> y; x <-> y"), "x", "y") is None
    assert front_door_set(read("x -> m -> y; x <-> y; x <-> m"), "x", "y") is None
    assert front_door_set(read("x; y"), "x", "y") == frozenset()
    assert str(front_door_formula("x", "y", ())) == "P(y)"
    with pytest.raises(IdentifyError, match="both in x and in m"):
        front_door_formula("x", "y", "x")


def test_every_cut_of_the_paths_is_a_front_door_set() -> None:
    graph = read("x -> a -> b -> c -> y; a -> d -> y; x <-> y")
    assert is_front_door_set(graph, "x", "y", ["a"])
    assert is_front_door_set(graph, "x", "y", ["a", "b", "c", "d"])
    assert not is_front_door_set(graph, "x", "y", ["b"])  # a -> d -> y goes past
    assert set(front_door_sets(graph, "x", "y")) == {frozenset("a"), frozenset("bd"), frozenset("cd")}
