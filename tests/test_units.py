"""Programs and how they run over many units."""

import functools

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import nn

import pyrocausal as pc
from pyrocausal.errors import ProgramError
from pyrocausal.units import Program, over_units

from . import scenarios


def test_over_units_at_once_is_one_by_one():
    generator = torch.Generator().manual_seed(0)
    inputs = {"a": torch.randn(4, 3, generator=generator), "b": torch.randn(4, generator=generator)}

    def one(x):
        return {"sum": x["a"].sum() + x["b"], "inner": {"soft": torch.softmax(x["a"], 0)}}

    together, alone = (over_units(one, inputs, vectorised=v) for v in (True, False))
    assert torch.allclose(together["sum"], alone["sum"])
    assert torch.allclose(together["inner"]["soft"], alone["inner"]["soft"])
    assert not torch.allclose(
        together["inner"]["soft"], torch.softmax(inputs["a"], 0)
    )  # control: a batch's softmax


def test_randomness_inside_is_refused():
    with pytest.raises(RuntimeError, match="random"):
        over_units(lambda x: x + torch.randn(()), torch.zeros(3))


def test_what_a_unit_lacks_is_blank():
    def one(x):
        return {"a": x, "b": x} if x > 0 else {"a": x}

    found = over_units(one, torch.tensor([1.0, -1.0]), vectorised=False)
    assert found["b"][0] == 1 and torch.isnan(found["b"][1])
    whole = over_units(lambda x: {"k": x} if x > 1 else {}, torch.tensor([1, 2]), vectorised=False)
    assert whole["k"].tolist() == [0, 2]


def test_a_branch_runs_unit_by_unit_and_says_so_once(caplog):
    with caplog.at_level("WARNING", "pyrocausal"):
        scm = pc.SCM(scenarios.branching)
        scm.sample(3, seed=0)
        scm.counterfactual(scm.sample(3, seed=0), do={"z": 1.0})
    said = [r for r in caplog.records if "unit by unit" in r.getMessage()]
    assert len(said) == 1 and "branching" in said[0].getMessage() and "torch.where" in said[0].getMessage()


def test_a_numpy_round_trip_still_runs(caplog):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(torch.as_tensor(float(x) ** 2), 1.0))

    with caplog.at_level("WARNING", "pyrocausal"):
        scm = pc.SCM(program)
    assert set(scm.graph.edges) == {("x", "y")} and "unit by unit" in caplog.text
    assert torch.allclose(
        scm.counterfactual({"x": [1.0], "y": [0.0]}, do={"x": 2.0})["y"], torch.tensor([3.0])
    )


def test_a_site_that_vmap_maps_wrongly_is_named():
    """The self-check at set-up: three units at once must be three times one unit."""

    class Rounded(torch.autograd.Function):
        generate_vmap_rule = False

        @staticmethod
        def forward(x):
            return x.clone()

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def vmap(info, in_dims, x):
            return x.mean(0, keepdim=True).expand_as(x).clone(), 0  # mixes units

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(Rounded.apply(x), 1.0))

    with pytest.raises(ProgramError, match="'y' differs between three units at once"):
        pc.SCM(program)


# ---- where parameters are found


def names(program):
    return {name for name, _ in Program(program).named_parameters()}


def test_modules_reached_by_closure_global_list_dict_method_and_partial():
    layer = nn.Linear(1, 1)
    several, by_name = [nn.Linear(1, 1), nn.Linear(1, 1)], {"a.b": nn.Linear(1, 1)}

    def closure():
        return layer

    def listed():
        return several

    def mapped():
        return by_name

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def run(self):
            return self.layer

    assert len(names(closure)) == 2
    assert len(names(listed)) == 4
    assert len(names(mapped)) == 2
    assert len(names(Holder().run)) == 2
    assert len(names(functools.partial(closure))) == 2


def test_a_modules_own_name():
    assert Program(scenarios.Module()).name == "Module" and Program(scenarios.chain).name == "chain"


def test_param_without_a_value_is_an_error():
    def program():
        pyro.sample("x", dist.Normal(pyro.param("loc"), 1.0))

    with pytest.raises(ProgramError, match=r"'loc'.* has no initial value"):
        pc.SCM(program)


def test_params_stay_out_of_pyros_global_store():
    pyro.clear_param_store()
    pyro.param("weight", torch.tensor(-5.0))
    scm = pc.SCM(scenarios.with_param)
    assert list(pyro.get_param_store().keys()) == ["weight"] and pyro.param("weight") == -5.0
    assert scm.sample(1, seed=0)["y"].isfinite()
    pyro.clear_param_store()


def test_pyro_samples_of_a_module_are_sites():
    """A `PyroSample` attribute is a variable like any other."""
    from pyro.nn import PyroSample

    class Line(PyroModule):
        def __init__(self):
            super().__init__()
            self.slope = PyroSample(dist.Normal(0.0, 1.0))

        def forward(self):
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(self.slope * x, 1.0))

    scm = pc.SCM(Line())
    assert set(scm.graph.edges) == {("slope", "y"), ("x", "y")}
