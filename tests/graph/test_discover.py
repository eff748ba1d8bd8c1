"""From a program to its graph: by provenance, and by a probe for what provenance misses."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import nn

import pyrocausal as pc
from pyrocausal.errors import ProgramError
from pyrocausal.graph import edges as edge_finding
from pyrocausal.graph.discover import _own_randomness, discover
from pyrocausal.units import Program


def edges(program) -> set[tuple[str, str]]:
    return set(pc.SCM(program).graph.edges)


def by_provenance(program) -> set[tuple[str, str]]:
    program = Program(program)
    variables = discover(program).variables
    with torch.no_grad(), _own_randomness(0):
        return {(a, b) for a, b in edge_finding.by_provenance(program, variables, 0) if a != b}


def normal(name, loc=0.0, scale=1.0):
    return pyro.sample(name, dist.Normal(loc, scale))


# ---- what provenance sees


def test_through_networks_and_deterministic_sites():
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))

    def program():
        x, z = normal("x"), normal("z")
        hidden = pyro.deterministic("hidden", net(torch.stack([x, z]))[0])
        normal("y", hidden)

    assert edges(program) == {("x", "hidden"), ("z", "hidden"), ("hidden", "y")} == by_provenance(program)


def test_parents_of_the_scale_count():
    def program():
        x = normal("x")
        normal("y", 0.0, torch.exp(x))

    assert edges(program) == {("x", "y")}


def test_through_flows():
    class Flow(PyroModule):
        def __init__(self):
            super().__init__()
            self.spline = pc.mechanisms.Spline()

        def forward(self):
            x = normal("x")
            pyro.sample("y", self.spline(x))

    assert edges(Flow()) == {("x", "y")}


def test_masked_sites_keep_their_parents():
    def program():
        x = normal("x")
        pyro.sample("y", dist.Normal(x, 1.0).mask(False))

    assert edges(program) == {("x", "y")}


# ---- what only the probe sees (the control: provenance alone misses it)


def branch():
    z = normal("z")
    normal("y", 5.0 if z > 0 else -5.0)


def numpy_round_trip():
    x = normal("x")
    normal("y", torch.as_tensor(np.sin(x.item()), dtype=torch.get_default_dtype()))


class IntoABuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("held", torch.zeros(2))

    def forward(self):
        x = normal("x")
        self.held[0] = float(x)
        normal("y", self.held.sum())


@pytest.mark.parametrize("build, edge", [
    (lambda: branch, ("z", "y")), (lambda: numpy_round_trip, ("x", "y")), (IntoABuffer, ("x", "y")),
])  # fmt: skip
def test_the_probe_finds_what_provenance_misses(build, edge):
    assert edge not in by_provenance(build())
    assert edges(build()) == {edge}


def test_a_branch_deep_in_the_tails_is_found():
    def program():
        z = normal("z")
        normal("y", 100.0 if z > 6 else 0.0)

    assert edges(program) == {("z", "y")}


def test_one_level_of_many_is_enough():
    def program():
        k = pyro.sample("k", dist.Categorical(torch.tensor([0.999] + [0.001 / 9] * 9)))
        table = torch.zeros(10)
        table[9] = 3.0
        normal("y", table[k])

    assert edges(program) == {("k", "y")}


def test_switching_parents():
    def program():
        k = pyro.sample("k", dist.Bernoulli(0.5))
        a, b = normal("a"), normal("b")
        normal("y", torch.where(k > 0.5, a, b))

    assert edges(program) == {("k", "y"), ("a", "y"), ("b", "y")}


# ---- what is no edge


def test_independent_sites():
    def program():
        normal("x"), normal("y")

    assert edges(program) == set()


def test_only_direct_edges():
    def program():
        x = normal("x")
        m = normal("m", x)
        normal("y", m)

    assert edges(program) == {("x", "m"), ("m", "y")}


def test_a_value_times_nothing_is_seen_by_provenance_only():
    """An edge that could be: edges are the union, so none is missed."""

    def program():
        x = normal("x")
        normal("y", 0.0 * x)

    assert edges(program) == {("x", "y")}


# ---- the variables


def test_what_is_recorded_of_a_variable():
    def program():
        pyro.sample("a", dist.Gamma(2.0, 1.0))
        pyro.sample("b", dist.Binomial(4, 0.5))
        pyro.sample("c", dist.OneHotCategorical(torch.ones(3) / 3))

    a, b, c = pc.SCM(program).variables.values()
    assert (a.shape, a.discrete, a.draws, a.kind) == ((), False, None, "continuous")
    assert (b.discrete, b.cardinality, b.draws) == (True, 5, ())
    assert (c.shape, c.discrete, c.law.kind) == ((3,), True, "gumbel")


def test_optional_variables():
    def program():
        z = normal("z")
        if z > 0:
            normal("extra", z)

    scm = pc.SCM(program)
    assert scm.variables["extra"].optional and not scm.variables["z"].optional


def test_a_support_that_depends_on_the_parents():
    def program():
        x = pyro.sample("x", dist.Uniform(1.0, 2.0))
        pyro.sample("y", dist.Uniform(torch.zeros(()), x))

    variables = pc.SCM(program).variables
    assert variables["x"].support is not None and variables["y"].support is None


def test_set_up_restores_mode_gradients_and_the_random_state():
    module = nn.Linear(1, 1)

    def program():
        normal("x", module(torch.ones(1))[0])

    wrapped = Program(program)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    discover(wrapped)
    assert torch.equal(torch.get_rng_state(), before)
    assert module.weight.grad is None


def test_a_shape_that_changes_from_run_to_run():
    def program():
        z = normal("z")
        pyro.sample("x", dist.Normal(torch.zeros(2 if z > 0 else 3), 1.0).to_event(1))

    with pytest.raises(ProgramError, match="'x' changes from run to run"):
        pc.SCM(program)
