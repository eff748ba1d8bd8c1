"""What a user holds: construction, the three rungs as calls, seeds, and what is refused as no SCM."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import nn

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.errors import (
    GraphError,
    ProgramError,
    PyrocausalError,
    UnknownVariable,
    UnsupportedCoupling,
    UnsupportedDistribution,
)

from . import scenarios


def refused(program, kind=ProgramError, **options):
    with pytest.raises(kind) as caught:
        pc.SCM(program, **options)
    error = caught.value
    assert error.what and error.fix, "an error names the thing and the fix"
    return error


# ---- what it knows of itself


def test_variables_in_the_programs_order(confounded):
    assert list(confounded.variables) == ["z", "x", "y"]
    assert confounded.graph.edges == pc.CausalGraph.from_string("z -> x -> y; z -> y").edges
    assert "z -> x -> y" in repr(confounded) and "do(x)" in repr(confounded.do(x=1.0))
    assert "<svg" in confounded._repr_html_()


@pytest.mark.parametrize(
    "name, variable, kind",
    [
        ("additive", "x", "continuous"),
        ("bernoulli", "x", "binary"),
        ("gumbel-max", "y", "categorical"),
        ("poisson", "y", "count"),
        ("matrix", "v", "vector"),
    ],
)
def test_kinds(name, variable, kind):
    assert scenarios.named(name).scm().variables[variable].kind == kind


def test_a_deterministic_site_is_computed():
    variables = scenarios.named("deterministic").scm().variables
    assert variables["square"].computed and not variables["y"].computed


def test_a_declared_graph_is_compared(caplog):
    e = refused(scenarios.confounded, GraphError, graph="z -> x; x -> y")
    assert "z -> y" in e.what and "'z'" in e.why
    with caplog.at_level("WARNING", "pyrocausal"):
        pc.SCM(scenarios.confounded, graph="z -> x; z -> y; x -> y")
        assert not caplog.records
        pc.SCM(scenarios.mediated, graph="x -> m; m -> y; x -> y")
    assert "x -> y was never seen" in caplog.text


def test_latents_are_declared_by_name():
    assert pc.SCM(scenarios.confounded, latent="z").graph.latent == {"z"}
    assert "did you mean 'z'" in refused(scenarios.confounded, PyrocausalError, latent=["zz"]).fix


# ---- seeds and the global random state


@pytest.fixture
def state():
    torch.manual_seed(123)
    return torch.get_rng_state()


def untouched(state) -> bool:
    return torch.equal(torch.get_rng_state(), state)


def test_setting_up_leaves_the_global_random_state(state):
    pc.SCM(scenarios.confounded)
    pc.SCM(scenarios.branching, seed=3)
    assert untouched(state)


def test_seeded_calls_leave_the_global_random_state(state, confounded):
    units = confounded.sample(5, seed=0)
    confounded.abduct(units, seed=0)
    confounded.do(x=dist.Normal(0.0, 1.0)).sample(3, seed=0)
    confounded.counterfactual(units, do={"x": 1.0}, seed=0)
    confounded.log_prob(units)
    confounded.do(y=pc.policy(lambda v: v["x"]))
    assert untouched(state)


def test_lazy_layers_are_seeded(state):
    def weights(seed):
        return nn.utils.parameters_to_vector(pc.SCM(Learned(), seed=seed).parameters())

    one, again, other = weights(0), weights(0), weights(1)
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert untouched(state)


def test_unseeded_calls_follow_the_global_seed(confounded):
    torch.manual_seed(5)
    one, two = confounded.sample(3)["y"], confounded.sample(3)["y"]
    torch.manual_seed(5)
    assert torch.equal(confounded.sample(3)["y"], one)
    assert not torch.equal(one, two)


def test_the_same_seed_gives_the_same_sample(confounded):
    assert torch.equal(confounded.sample(3, seed=1)["y"], confounded.sample(3, seed=1)["y"])
    assert not torch.equal(confounded.sample(3, seed=1)["y"], confounded.sample(3, seed=2)["y"])


def test_modules_mode_and_gradients_are_restored():
    scm = pc.SCM(scenarios.Module())
    assert all(p.grad is None for p in scm.parameters())
    assert not scm.sample(2)["y"].requires_grad


# ---- rung 1


def test_samples_have_the_programs_distribution(confounded):
    n = 40_000
    s = confounded.sample(n, seed=0)
    # var z = 4, var x = 1 + 1, cov(x, z) = 2, y = 2x + z + u/2
    assert abs(s["z"].mean() - 1) < 5 * 2 / n**0.5
    assert abs(s["y"].mean() - 2) < 5 * (20.25 / n) ** 0.5
    assert abs(s["y"].var() - 20.25) < 5 * 20.25 * (2 / n) ** 0.5
    assert abs(torch.cov(torch.stack([s["x"], s["z"]]))[0, 1] - 2) < 5 * (12 / n) ** 0.5


@pytest.mark.parametrize("n", [0, -1, 2.5, "3"])
def test_numbers_of_units(confounded, n):
    with pytest.raises(pc.PyrocausalError, match="number of units"):
        confounded.sample(n)


def test_log_prob_is_the_sum_over_sites(confounded):
    s = confounded.sample(5, seed=0)
    z, x, y = (s[k] for k in "zxy")
    by_hand = (
        dist.Normal(1, 2).log_prob(z)
        + dist.Normal(0.5 * z, 1).log_prob(x)
        + dist.Normal(2 * x + z, 0.5).log_prob(y)
    )
    assert torch.allclose(confounded.log_prob(s), by_hand, atol=1e-5)


def test_log_prob_is_differentiable():
    scm = pc.SCM(scenarios.Module())
    scm.log_prob({"x": [2.0], "y": [5.0]}).sum().backward()
    (gradient,) = (p.grad for p in scm.parameters())
    assert torch.allclose(gradient, torch.tensor(-2.0))  # d/dw -(5 - 2w)²/2 = 2 (5 - 2w) at w = 3


def test_log_prob_under_do_leaves_the_acted_site_out(confounded):
    s = confounded.do(x=1.0).sample(5, seed=0)
    z, y = s["z"], s["y"]
    by_hand = dist.Normal(1, 2).log_prob(z) + dist.Normal(2 + z, 0.5).log_prob(y)
    assert torch.allclose(confounded.do(x=1.0).log_prob({"z": z, "y": y}), by_hand, atol=1e-5)


def test_log_prob_counts_what_is_not_masked():
    scm = scenarios.named("expand").scm()
    found = scm.log_prob({"x": [0.0], "y": [[1.0, 100.0, 2.0]]})
    by_hand = (
        dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.0))
        + dist.Normal(0.0, 2.0).log_prob(torch.tensor([1.0, 2.0])).sum()
    )
    assert torch.allclose(found, by_hand)


def test_log_prob_with_a_latent_is_refused():
    scm = pc.SCM(scenarios.confounded, latent=["z"])
    with pytest.raises(pc.PyrocausalError, match="'z'"):
        scm.log_prob({"x": [0.0], "y": [0.0]})
    assert scm.log_prob({"x": [0.0], "y": [0.0], "z": [0.0]}).shape == (1,)


def test_log_prob_needs_every_variable(confounded):
    with pytest.raises(pc.PyrocausalError, match="no column 'z'"):
        confounded.log_prob({"x": [0.0], "y": [0.0]})


# ---- parameters


class Learned(PyroModule):
    def __init__(self):
        super().__init__()
        self.a, self.b = m.Normal(), m.Normal()

    def forward(self):
        x = pyro.sample("x", self.a())
        pyro.sample("y", self.b(x))


def test_mechanisms_by_name():
    assert set(pc.SCM(Learned()).mechanisms) == {"a", "b"}


@pytest.mark.parametrize("name, count", [("module", 1), ("pyro.param", 2), ("closure over a layer", 2)])
def test_parameters_wherever_they_are(name, count):
    assert len(list(scenarios.named(name).scm().parameters())) == count


def test_two_scms_of_one_function_do_not_share_parameters():
    pyro.clear_param_store()
    one, other = pc.SCM(scenarios.with_param), pc.SCM(scenarios.with_param)
    with torch.no_grad():
        next(one.parameters()).fill_(-1.0)
    assert next(other.parameters()) == 3.0
    assert len(pyro.get_param_store()) == 0


def test_a_constrained_param_keeps_its_constraint():
    scm = pc.SCM(scenarios.with_param)
    noise = pc.Noise({"x": torch.zeros(1), "y": torch.ones(1)})
    assert torch.allclose(scm.predict(noise)["y"], torch.tensor(0.5))
    with torch.no_grad():
        for p in scm.parameters():
            p.fill_(-1.0)
    assert torch.allclose(scm.predict(noise)["y"], torch.exp(torch.tensor(-1.0)))


def test_predict_takes_noise_only(confounded):
    with pytest.raises(pc.PyrocausalError, match="predict takes the Noise"):
        confounded.predict({"x": [1.0]})
    with pytest.raises(UnknownVariable, match="'q'"):
        confounded.predict(pc.Noise({"q": torch.zeros(1)}))


def test_predict_needs_everyones_noise(confounded):
    with pytest.raises(pc.PyrocausalError, match="'x'"):
        confounded.predict(pc.Noise({"z": torch.zeros(1)}))


# ---- programs that are no SCM


def test_a_class_instead_of_an_instance():
    assert "instance" in refused(scenarios.Module).why


def test_what_is_not_callable():
    assert "'x -> y'" in refused("x -> y").what


def test_no_sites():
    assert "no sample sites" in refused(lambda: None).what


def test_evidence_inside_the_program():
    def program():
        pyro.sample("x", dist.Normal(0.0, 1.0), obs=torch.tensor(1.0))

    assert "'x'" in refused(program).what


def test_randomness_outside_of_sites():
    def direct():
        pyro.sample("x", dist.Normal(torch.randn(()), 1.0))

    def through_dropout():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(torch.nn.functional.dropout(x, training=True), 1.0))

    for program in (direct, through_dropout):
        assert "pyro.sample" in refused(program).fix


def test_pythons_own_randomness():
    import random

    def program():
        pyro.sample("x", dist.Normal(random.gauss(0, 1), 1.0))

    assert "'x'" in refused(program).what


def test_state_between_calls():
    calls = []

    def program():
        calls.append(1)
        pyro.sample("x", dist.Normal(float(len(calls)), 1.0))

    e = refused(program)
    assert "'x'" in e.what and "state" in e.fix


def test_batch_norm():
    class Normed(PyroModule):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self):
            pyro.sample("x", dist.Normal(self.norm(torch.zeros(1, 2))[0], 1.0).to_event(1))

    e = refused(Normed())
    assert "BatchNorm1d" in e.what and "'norm'" in e.what and "LayerNorm" in e.fix


def test_dropout():
    class Dropped(PyroModule):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self):
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(self.drop(x), 1.0))

    e = refused(Dropped())
    assert "Dropout" in e.what and "'drop'" in e.what


def test_a_subsampling_plate():
    def program():
        with pyro.plate("rows", 10, subsample_size=2):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    assert "'rows' subsamples" in refused(program).what


def test_a_factor():
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("prefer", -x)

    assert "'prefer'" in refused(program).what


def test_two_sites_of_one_name():
    def program():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(0.0, 1.0))

    assert "'x'" in refused(program).what


def test_a_family_that_changes_between_worlds():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0) if z > 0 else dist.Laplace(z, 1.0))

    e = refused(program)
    assert "'x' changes" in e.what and "normal" in e.why and "laplace" in e.why


def test_an_unknown_distribution():
    class Mine(dist.TorchDistribution):
        arg_constraints = {}
        support = dist.constraints.real

        def sample(self, sample_shape=()):
            return torch.zeros(sample_shape)

        def log_prob(self, x):
            return -x.abs()

    def program():
        pyro.sample("x", Mine())

    e = refused(program, UnsupportedDistribution)
    assert "site 'x'" in e.what and "Mine" in e.what and "register" in e.fix


def test_an_unknown_coupling():
    def program():
        pyro.sample("x", dist.Bernoulli(0.5), infer={"noise": "gumble"})

    e = refused(program, UnsupportedCoupling)
    assert "site 'x'" in e.what and "gumble" in e.what


def test_a_mechanism_that_is_never_called():
    class Idle(PyroModule):
        def __init__(self):
            super().__init__()
            self.a, self.b = m.Normal(), m.Normal()

        def forward(self):
            pyro.sample("x", self.a())

    assert "'b'" in refused(Idle()).what


def test_pyros_error_for_wrong_parameters_comes_through():
    def program():
        pyro.sample("x", dist.Normal(0.0, -1.0))

    with pytest.raises(ValueError, match="scale"):
        pc.SCM(program)


@pytest.mark.parametrize("seed", [1.5, "0"])
def test_a_seed_is_a_whole_number(confounded, seed):
    with pytest.raises(PyrocausalError, match="seed"):
        confounded.sample(2, seed=seed)
