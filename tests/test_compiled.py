"""Law 8: eager = compiled. Every SCM here is small, since compiling one of its variables takes a second.

What compiling saves is measured by `tests/benchmarks/speed.py`.
"""

from __future__ import annotations

import copy
import logging

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import nn

import pyrocausal as pc
from pyrocausal.compiled.keys import frozen

FACTOR = 2.0
BENDS = [1.0]


class Mixed(PyroModule):
    """A normal, a network, a bit, a category and a vector."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(1, 2)
        self.slope = 0.5

    def forward(self):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        h = self.net(x[None])
        y = pyro.sample("y", dist.Normal(h[0], h[1].exp()))
        b = pyro.sample("b", dist.Bernoulli(logits=self.slope * y))
        c = pyro.sample("c", dist.Categorical(logits=torch.stack([x, y, b])))
        pyro.sample("v", dist.Normal(torch.stack([y, c.float()]), 1.0).to_event(1))


@pytest.fixture(scope="module")
def scm() -> pc.SCM:
    torch.manual_seed(0)
    return pc.SCM(Mixed())


def graphs(scm: pc.SCM) -> int:
    return sum(map(len, scm._model.compiled.graphs.values()))


def same(one, other) -> None:
    assert list(one) == list(other)
    for name in one:
        assert torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-4, equal_nan=True), name


def both(scm: pc.SCM, *args, **options) -> pc.Counterfactual:
    """The compiled counterfactual, once it is the eager one."""
    eager = scm.counterfactual(*args, **options)
    compiled = scm.counterfactual(*args, **options, compile=True)
    for name, world in eager.worlds.items():
        same(world, compiled.worlds[name])
    same(eager.noise, compiled.noise)
    assert not scm._model.compiled.refused
    return compiled


def test_counterfactuals_of_all_kinds_are_those_of_the_program(scm: pc.SCM):
    one, many = scm.sample(1, seed=0), scm.sample(1000, seed=1)
    both(scm, one, do={"x": 1.0}, seed=2, num_samples=1)  # a lone unit first must not fix the graph
    known = graphs(scm)
    both(scm, many, do={"x": 2.0}, seed=2, num_samples=3)  # one graph for all sizes and values
    assert graphs(scm) == known
    large = scm.sample(20_000, seed=3)  # more than a block
    both(scm, large, do={"x": torch.linspace(-1, 1, 20_000)}, seed=2, num_samples=1)
    worlds = {
        "shift": {"x": lambda x: x + 1},
        "policy": {"y": pc.policy(lambda v: v["x"] * 2)},
        "drawn": {"x": dist.Normal(1.0, 0.5)},
        "natural": {"x": 1.0, "y": pc.natural(x=0.0)},
    }
    both(scm, many, do=worlds, seed=2, num_samples=1)
    known = graphs(scm)
    again = {"shift": {"x": lambda x: x + 1}, "drawn": {"x": dist.Normal(5.0, 2.0)}}
    both(scm, many, do=again, seed=2, num_samples=1)
    assert graphs(scm) == known + 1  # the lambda is another, since it is written elsewhere


def test_parameters_and_python_values_that_change_are_seen(scm: pc.SCM):
    many = scm.sample(500, seed=1)
    before = both(scm, many, do={"x": 2.0}, seed=2, num_samples=1)
    known, program = graphs(scm), scm.module.module
    with torch.no_grad():
        program.net.weight.add_(1.0)
    after = both(scm, many, do={"x": 2.0}, seed=2, num_samples=1)
    assert graphs(scm) == known and not torch.allclose(before["y"], after["y"])
    program.slope = 3.0
    both(scm, many, do={"x": 2.0}, seed=2, num_samples=1)
    assert graphs(scm) > known


def test_seeds_and_missing_cells(scm: pc.SCM):
    same(scm.sample(50, seed=4), scm.sample(50, seed=4, compile=True))
    first, second = (scm.sample(50, compile=True)["x"] for _ in range(2))
    assert not torch.equal(first, second)
    frame = scm.sample(40, seed=5).to_pandas()[["x", "y", "b", "c", "v[0]", "v[1]"]]
    frame.loc[::3, "y"] = float("nan")
    values = {n: torch.tensor(frame[n].to_numpy()) for n in ("x", "y", "b", "c")}
    values["v"] = torch.tensor(frame[["v[0]", "v[1]"]].to_numpy())
    options = {"missing": "abduct", "seed": 0, "num_samples": 20, "method": "importance"}
    same(scm.abduct(values, **options), scm.abduct(values, **options, compile=True))


def test_captured_values_of_a_function_are_looked_up():
    weight = torch.tensor([2.0, 1.0])

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(weight.sum() * BENDS[0] * FACTOR * x, 1.0))

    global FACTOR
    scm = pc.SCM(program).compile()
    unit, do = {"x": [1.0], "y": [6.0]}, {"x": 0.0}
    assert scm.counterfactual(unit, do=do)["y"].item() == pytest.approx(0.0)
    weight[0] = 3.0  # in place
    assert scm.counterfactual(unit, do=do)["y"].item() == pytest.approx(-2.0)
    try:
        BENDS[0], FACTOR = 2.0, 1.0
        assert scm.counterfactual(unit, do={"x": 0.5})["y"].item() == pytest.approx(2.0)
        FACTOR = 3.0
        assert scm.counterfactual(unit, do={"x": 0.5})["y"].item() == pytest.approx(-6.0)
    finally:
        BENDS[0], FACTOR = 1.0, 2.0
    assert copy.deepcopy(scm._model.compiled).graphs == {}


def test_what_cannot_be_traced_runs_as_it_is_and_says_so_once(caplog: pytest.LogCaptureFixture):
    def branches():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(1.0 if x > 0 else -1.0, 1.0))

    scm = pc.SCM(branches)
    with caplog.at_level(logging.WARNING, "pyrocausal"):
        same(scm.sample(5, seed=0), scm.sample(5, seed=0, compile=True))
        scm.sample(5, compile=True)
    assert sum("not compiled" in record.message for record in caplog.records) == 1


def test_a_compiler_that_fails_is_no_error(monkeypatch, caplog: pytest.LogCaptureFixture):
    import torch._inductor

    def broken(*args, **kwargs):
        raise RuntimeError("no compiler found")

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(torch.sin(torch.atan(x)) ** 3, 7.0))

    monkeypatch.setattr(torch._inductor, "standalone_compile", broken)
    scm = pc.SCM(program)
    with caplog.at_level(logging.WARNING, "pyrocausal"):
        same(scm.sample(5, seed=0), scm.sample(5, seed=0, compile=True))
    assert "no compiler found" in caplog.text


def test_a_wrong_graph_is_not_used(monkeypatch, caplog: pytest.LogCaptureFixture):
    from pyrocausal.compiled import fusing

    def program():
        pyro.sample("x", dist.Normal(3.0, 1.0))

    right = fusing.Fused._run
    monkeypatch.setattr(fusing.Fused, "_run", lambda *a: [x + 1 for x in right(*a)])
    scm = pc.SCM(program)
    with caplog.at_level(logging.WARNING, "pyrocausal"):
        same(scm.sample(5, seed=0), scm.sample(5, seed=0, compile=True))
    assert "compiled and eager runs give other" in caplog.text


def test_frozen_tells_functions_by_what_they_do():
    def shift(by):
        return lambda x: x + by

    assert frozen(shift(1.0)) == frozen(shift(1.0)) != frozen(shift(2.0))
    assert frozen(0.0) != frozen(0) != frozen(False)
