"""The synthetic SCMs: noise, values and worlds hang together."""

import pytest
import torch

from pyrocausal.data.synthetic import SYNTHETIC

SCMS = pytest.mark.parametrize("scm", SYNTHETIC.values(), ids=SYNTHETIC.keys())


@SCMS
def test_sample_is_predict_of_its_noise(scm):
    values, noise = scm.sample(200, seed=0)
    again = scm.predict(scm.sample_noise(200, seed=0))
    for x in scm.equations:
        assert torch.equal(values[x], again[x])
        assert torch.equal(noise[x], scm.sample_noise(200, seed=0)[x])


@SCMS
def test_values_are_finite_float64_vectors_that_vary(scm):
    values, _ = scm.sample(20_000, seed=1)
    assert list(values) == list(scm.equations)
    for value in values.values():
        assert value.dtype == torch.float64 and value.shape == (20_000,)
        assert value.isfinite().all() and value.std() > 0


@SCMS
@pytest.mark.parametrize("per_unit", [False, True])
def test_do_sets_its_variable_and_moves_descendants_only(scm, per_unit):
    values, noise = scm.sample(300, seed=2)
    for x in scm.equations:
        action = values[x].flip(0) if per_unit else values[x].median().item()
        world = scm.predict(noise, do={x: action})
        assert torch.equal(world[x], torch.as_tensor(action, dtype=torch.float64).expand(300))
        moved = {y for y in scm.equations if y != x and not torch.equal(world[y], values[y])}
        assert moved == set(scm.descendants(x))


@SCMS
def test_do_the_factual_values_changes_nothing(scm):
    values, noise = scm.sample(100, seed=3)
    for x in scm.equations:
        world = scm.predict(noise, do={x: values[x]})
        assert all(torch.equal(world[y], values[y]) for y in scm.equations)


@SCMS
def test_monotone_is_what_the_equations_are(scm):
    noise = scm.sample_noise(60, seed=4)
    values = scm.predict(noise)
    directions_agree = True
    for x, equation in scm.equations.items():
        grid = noise[x].sort().values[:, None].expand(60, 60)
        parents = [values[parent].expand(60, 60) for parent in equation.parents]
        steps = equation.function(grid, *parents).diff(dim=0)
        directions_agree &= bool((steps >= -1e-12).all() or (steps <= 1e-12).all())
    assert directions_agree == scm.monotone


@SCMS
def test_kinds_describe_the_values(scm):
    values, _ = scm.sample(1000, seed=5)
    assert set(scm.kinds) == set(scm.equations)
    for x, kind in scm.kinds.items():
        if kind != "continuous":
            assert torch.equal(values[x], values[x].round())
        if kind == "binary":
            assert set(values[x].unique().tolist()) == {0.0, 1.0}


def test_graph_is_text_with_an_edge_for_every_parent():
    assert SYNTHETIC["triangle_nlin"].graph == "x1 -> x2; x1 -> x3; x2 -> x3"
    assert SYNTHETIC["fork_nlin"].descendants("x1") == ("x3", "x4")


def test_unknown_variable_in_do_is_an_error():
    scm = SYNTHETIC["chain_nlin"]
    with pytest.raises(KeyError, match="x9"):
        scm.predict(scm.sample_noise(3, seed=0), do={"x9": 1.0})
