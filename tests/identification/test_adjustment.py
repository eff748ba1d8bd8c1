"""Adjustment sets against numbers (linear and discrete models) and against all subsets."""

import itertools
import random
import time
from collections.abc import Iterator

import numpy as np
import pytest

from pyrocausal.errors import GraphError, IdentifyError
from pyrocausal.graph import CausalGraph
from pyrocausal.identification import (
    adjustment_formula,
    adjustment_set,
    adjustment_sets,
    is_adjustment_set,
    is_backdoor_set,
    why_no_adjustment,
)
from tests.graph.random_graphs import random_graph

from .discrete_scm import DiscreteSCM
from .linear_sem import LinearSEM

read = CausalGraph.from_string


def subsets(names) -> list[frozenset[str]]:
    names = list(names)
    sizes = range(len(names) + 1)
    return [frozenset(some) for size in sizes for some in itertools.combinations(names, size)]


def questions(seed: int, size: int = 6) -> Iterator[tuple[CausalGraph, list[str], list[str]]]:
    """Random graphs with some latent nodes, and one treatment, or two, or two outcomes."""
    rng = random.Random(seed)
    graph = random_graph(rng, size, edge=rng.uniform(0.25, 0.55), arc=rng.choice([0, 0.1, 0.25]))
    graph = graph.with_latent(rng.sample(graph.nodes, rng.choice([0, 0, 1])))
    for many_x, many_y in ((1, 1), (1, 1), (2, 1), (1, 2)):
        chosen = rng.sample(list(graph.observed), many_x + many_y)
        yield graph, chosen[:many_x], chosen[many_x:]


def valid_sets(graph: CausalGraph, x: list[str], y: list[str], allowed=None) -> list[frozenset[str]]:
    free = (graph.observed if allowed is None else set(allowed)) - {*x, *y}
    return [z for z in subsets(free) if is_adjustment_set(graph, x, y, z)]


# ---- which sets are valid ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_a_set_is_valid_exactly_where_regression_gives_the_effect(seed: int) -> None:
    for graph, x, y in questions(seed):
        model = LinearSEM(graph, np.random.default_rng(seed))
        for z in subsets(graph.observed - {*x, *y}):
            errors = [model.regression(x, one, z) - model.effect(x, one) for one in y]
            assert is_adjustment_set(graph, x, y, z) == (np.abs(errors).max() < 1e-9), (graph, x, y, z)


@pytest.mark.parametrize("seed", range(25))
def test_the_formula_on_the_observed_distribution_is_the_truth(seed: int) -> None:
    for graph, x, y in questions(seed, size=5):
        model = DiscreteSCM(graph, np.random.default_rng(seed))
        observed, truth = model.distribution(), model.distribution(do=x).groupby([*x, *y]).sum()
        for z in subsets(graph.observed - {*x, *y}):
            found = adjustment_formula(x, y, z).evaluate(observed).reorder_levels([*x, *y]).sort_index()
            assert is_adjustment_set(graph, x, y, z) == np.allclose(found, truth.sort_index(), atol=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_the_back_door_is_pearls_and_implies_validity(seed: int) -> None:
    for graph, (x, *more), y in questions(seed):
        if more:
            continue
        cut = graph.without_outgoing(x)
        for z in subsets(graph.observed - {x, *y}):
            pearl = not z & graph.descendants(x) and not any(cut.open_paths(x, one, z) for one in y)
            assert is_backdoor_set(graph, x, y, z) == pearl
            assert is_adjustment_set(graph, x, y, z) or not pearl


# ---- finding and listing them -----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_listing_and_finding_agree_with_a_search_of_all_subsets(seed: int) -> None:
    rng = random.Random(seed)
    for graph, x, y in questions(seed):
        free = sorted(graph.observed - {*x, *y})
        allowed = rng.sample(free, rng.randint(len(free) - 1, len(free)))
        required = rng.sample(allowed, rng.choice([0, 0, 1]))
        valid = [z for z in valid_sets(graph, x, y, allowed) if z >= set(required)]
        minimal = [z for z in valid if not any(other < z for other in valid)]
        options = {"allowed": allowed, "required": required}
        for listed, expected in ((True, minimal), (False, valid)):
            found = list(adjustment_sets(graph, x, y, listed, **options))
            assert len(found) == len(set(found))
            assert set(found) == set(expected), (graph, x, y, options)
        costs = {name: rng.choice([0, 1, 2, 5]) for name in free}
        for kind in ("minimal", "minimum", "optimal", "all"):
            z = adjustment_set(graph, x, y, kind, **options)
            assert (z in valid) if valid else (z is None), (kind, z, graph, x, y, options)
            assert bool(why_no_adjustment(graph, x, y, **options)) is (z is None)
        if valid:
            assert adjustment_set(graph, x, y, **options) in minimal
            assert len(adjustment_set(graph, x, y, "minimum", **options)) == min(map(len, valid))
            cheapest = adjustment_set(graph, x, y, "minimum", costs=costs, **options)
            assert sum(map(costs.get, cheapest)) == min(sum(map(costs.get, z)) for z in valid)
            assert cheapest in minimal
            assert len(adjustment_set(graph, x, y, "all", **options)) >= max(map(len, minimal))


@pytest.mark.parametrize("seed", range(40))
def test_the_parents_are_taken_where_they_are_valid(seed: int) -> None:
    for graph, x, y in questions(seed):
        parents = graph.parents(*x) - set(x)
        fine = not parents & {*graph.latent, *y} and is_adjustment_set(graph, x, y, parents)
        assert adjustment_set(graph, x, y, "parents") == (parents if fine else None)


@pytest.mark.parametrize("seed", range(150))
def test_the_optimal_set_has_the_smallest_asymptotic_variance(seed: int) -> None:
    for graph, x, y in questions(seed):
        if len(x) == len(y) == 1 and (valid := valid_sets(graph, x, y)):
            model = LinearSEM(graph, np.random.default_rng(seed))
            variance = {z: model.asymptotic_variance(*x, *y, z) for z in valid}
            minimal = [z for z in valid if not any(other < z for other in valid)]
            fewest = [z for z in valid if len(z) == min(map(len, valid))]
            everything_measured = not graph.latent and not graph.bidirected
            only_ancestors = graph.observed <= {*graph.ancestors(*x, *y), *x, *y}
            kinds = {"minimal": minimal, "minimum": fewest, "optimal": minimal}
            if everything_measured or only_ancestors:
                effects = frozenset() if graph.ancestors(*y) & set(x) else graph.descendants(*y)
                kinds["optimal"] = [z for z in valid if not z & effects] or minimal
            for kind, rivals in kinds.items():
                best = min(variance[z] for z in rivals)
                assert variance[adjustment_set(graph, x, y, kind)] <= best * (1 + 1e-9), (kind, graph, x, y)


def test_the_optimal_set_under_limits_is_the_best_of_those_that_have_the_required() -> None:
    graph = read("x <- a -> b -> y; x -> y; y <- c; x <- d")
    assert adjustment_set(graph, "x", "y", "optimal") == {"b", "c"}
    assert adjustment_set(graph, "x", "y", "optimal", required="d") == {"b", "c", "d"}
    assert adjustment_set(graph, "x", "y", "optimal", allowed=["a", "c"]) == {"a", "c"}


# ---- known graphs -----------------------------------------------------------------------------


def test_m_bias() -> None:
    graph = read("a -> x; a -> m; b -> m; b -> y; x -> y; a [latent]; b [latent]")
    assert list(adjustment_sets(graph, "x", "y")) == [frozenset()]
    assert not is_adjustment_set(graph, "x", "y", "m")
    assert why_no_adjustment(graph, "x", "y", "m") == "x <- a -> m <- b -> y is open given m"
    assert why_no_adjustment(graph, "x", "y", ()) == ""


def test_shriers_and_platts_warm_up_graph() -> None:
    """I. Shrier and R. Platt (2008), figure 2: dagitty's example; its minimal sets are on dagitty.net."""
    graph = read(
        """
        Coach -> `Team motivation` -> `Warm-up exercises` -> `Intra-game proprioception` -> Injury
        Coach -> Fitness -> `Pre-game proprioception` -> `Warm-up exercises`
        `Team motivation` -> `Previous injury`; `Contact sport` -> `Previous injury`
        `Contact sport` -> `Intra-game proprioception`
        Genetics -> Fitness -> `Neuromuscular fatigue` -> `Intra-game proprioception`
        Genetics -> `Neuromuscular fatigue`; Genetics -> `Connective tissue disorder`
        `Connective tissue disorder` -> `Tissue weakness` -> Injury
        `Connective tissue disorder` -> `Neuromuscular fatigue` -> Injury
        """
    )
    found = set(adjustment_sets(graph, "Warm-up exercises", "Injury"))
    assert frozenset({"Fitness", "Team motivation"}) in found
    assert frozenset({"Coach", "Fitness"}) in found
    assert frozenset({"Pre-game proprioception", "Team motivation"}) in found
    assert frozenset({"Neuromuscular fatigue", "Tissue weakness"}) in found


def test_why_a_set_is_wrong() -> None:
    graph = read("x <- age -> y; x -> m -> y; m -> test; x <-> y")
    assert "'m', 'test' are forbidden" in why_no_adjustment(graph, "x", "y", ["m", "test"])
    assert why_no_adjustment(graph, "x", "y") == "x <-> y stays open, whatever is adjusted for"
    assert why_no_adjustment(graph, "x", "y", "age") == "x <-> y is open given age"
    assert adjustment_set(graph, "x", "y") is None
    assert list(adjustment_sets(graph, "x", "y")) == []


# ---- speed and errors -------------------------------------------------------------------------


def test_a_thousand_nodes() -> None:
    rng = random.Random(1)
    names = [f"v{i}" for i in range(1000)]
    edges = {(names[i], names[min(i + rng.randrange(1, 60), 999)]) for i in range(999) for _ in range(3)}
    graph = CausalGraph(names, sorted(edges))
    start = time.process_time()
    for kind in ("minimal", "optimal", "all", "parents"):
        assert is_adjustment_set(graph, "v300", "v990", adjustment_set(graph, "v300", "v990", kind))
    assert time.process_time() - start < 3
    start = time.process_time()
    assert len(adjustment_set(graph, "v300", "v990", "minimum")) <= len(graph.parents("v300"))
    assert len(list(itertools.islice(adjustment_sets(graph, "v300", "v990"), 20))) == 20
    assert time.process_time() - start < 8


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda g: adjustment_set(g, "x", "yy"), GraphError, "did you mean 'y'"),
        (lambda g: adjustment_set(g, "x", "y", allowed=["ag"]), GraphError, "no node 'ag'"),
        (lambda g: adjustment_set(g, "x", "x"), IdentifyError, "'x' stands both in x and in y"),
        (lambda g: is_adjustment_set(g, "x", "y", "x"), IdentifyError, "'x' stands both in x and in"),
        (lambda g: is_adjustment_set(g, "x", "y", "u"), IdentifyError, "'u' .* is latent"),
        (lambda g: adjustment_set(g, "u", "y"), IdentifyError, "'u' in x is latent"),
        (lambda g: adjustment_set(g, [], "y"), IdentifyError, "x is empty"),
        (lambda g: adjustment_set(g, "x", "y", "best"), IdentifyError, "no kind 'best'"),
        (
            lambda g: adjustment_set(g, "x", "y", "minimum", costs={"a": -1}),
            IdentifyError,
            "cost of 'a' is -1",
        ),
        (lambda g: adjustment_set(g, "x", "y", costs={"a": 1}), IdentifyError, "costs are given"),
        (lambda g: adjustment_formula("x", "y", "x"), IdentifyError, "stands both"),
    ],
)
def test_errors(wrong, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        wrong(read("x <- a -> y; x -> y; u [latent] -> y"))
