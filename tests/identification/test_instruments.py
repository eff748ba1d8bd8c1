"""Instruments against the algebra of linear models, and against a search of all sets to condition on."""

import itertools

import numpy as np
import pytest

from pyrocausal.errors import IdentifyError
from pyrocausal.graph import CausalGraph
from pyrocausal.identification import adjustment_set, instruments

from .linear_sem import LinearSEM
from .test_adjustment import questions, subsets

read = CausalGraph.from_string


def ratio(model: LinearSEM, x: str, y: str, z: str, w) -> float | None:
    """cov(z, y | w) / cov(z, x | w); None if z and x are independent given w."""
    s = model.given([z, x, y], w)
    return None if abs(s[0, 1]) < 1e-9 else s[0, 2] / s[0, 1]


@pytest.mark.parametrize("seed", range(120))
def test_the_ratio_is_the_effect_and_no_instrument_is_missed(seed: int) -> None:
    for graph, x, y in questions(seed):
        if len(x) == len(y) == 1 and x[0] in graph.ancestors(*y):
            model = LinearSEM(graph, np.random.default_rng(seed))
            effect = model.effect(x, *y)[0]
            found = {i.z: i.given for i in instruments(graph, *x, *y)}
            for z in graph.observed - {*x, *y}:
                all_that_work = [
                    w for w in subsets(graph.observed - {*x, *y, z})
                    if (r := ratio(model, *x, *y, z, w)) is not None and abs(r - effect) < 1e-8
                ]  # fmt: skip
                works = [w for w in all_that_work if w <= graph.ancestors(z, *y)]
                assert found or not all_that_work
                assert (z in found) == bool(works), (graph, x, y, z, works)
                if z in found:
                    assert found[z] in works
                    assert not any(w < found[z] for w in works)


def test_the_smallest_set_is_conditioned_on() -> None:
    graph = read("z -> x -> y; x <-> y; z <- w; w -> a -> y; w -> b -> y")
    (only,) = (i for i in instruments(graph, "x", "y") if i.z == "z")
    assert only.given == {"w"}


def test_roles_and_known_graphs() -> None:
    graph = read("z -> x -> y; x <-> y")
    assert [str(i) for i in instruments(graph, "x", "y")] == ["z (cause)"]
    assert adjustment_set(graph, "x", "y") is None
    assert instruments(read("z -> x -> y; x <-> y; z -> y"), "x", "y") == ()
    assert instruments(read("z -> x -> y; x <-> y; z <-> y"), "x", "y") == ()
    far = instruments(read("z -> a -> x -> y; x <-> y; c [latent]; c -> x; c -> p; p"), "x", "y")
    assert [str(i) for i in far] == ["z (mediated)", "a (cause)", "p (proxy)"]


def test_the_example_of_brito_and_pearl() -> None:
    """Their figure 1b: z is an instrument given w."""
    graph = read("w -> z -> x -> y; w -> y; x <-> y; w <-> z")
    assert "z | w (cause)" in map(str, instruments(graph, "x", "y"))


def test_the_total_effect_runs_through_mediators_too() -> None:
    graph = read("z -> x -> m -> y; x -> y; x <-> y; m -> test")
    assert [i.z for i in instruments(graph, "x", "y")] == ["z"]


def test_errors() -> None:
    graph = read("z -> x -> y; x <-> y; w -> x")
    with pytest.raises(IdentifyError, match="one x and one y"):
        instruments(graph, ["x", "w"], "y")
    assert [i.z for i in instruments(graph, "x", "y", allowed=["w"])] == ["w"]
    assert list(itertools.chain(instruments(graph, "y", "x"))) == []
