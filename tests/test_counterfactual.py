"""Rung 3 against closed forms; every check has a control without abduction that must fail it."""

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc

from . import scenarios
from .scenarios import DISCRETE, EXACT, cases

# For frequencies: |f - p| < 5 standard errors rejects a right answer with probability 6e-7 (normal tail).
# With some 60 comparisons a reseeding fails by chance less than once in 25,000 times; the seeds are fixed.
Z = 5.0
DRAWS = 2000


def redrawn(scm, case, seed=3):
    """What a toolkit without abduction answers: the interventional distribution."""
    return scm.do(case.do).sample(20, seed=seed)


def wrong(found, truth, tolerance) -> bool:
    scale = truth.double().abs().amax().clamp_min(1.0)
    return bool((found.double() - truth.double()).abs().amax() > tolerance * scale)


@pytest.mark.parametrize("case", cases(EXACT))
def test_exact_counterfactuals(case):
    scm = case.scm()
    units = scm.sample(20, seed=1)
    found = scm.counterfactual(units, do=case.do)
    truth = case.truth(units)
    for name, expected in truth.items():
        assert not wrong(found[name], expected, case.tolerance), name
        assert torch.equal(found.factual[name], units[name])
    control = redrawn(scm, case)
    random = [name for name in truth if not scm.variables[name].computed]
    assert all(wrong(control[name], truth[name], case.tolerance) for name in random)


@pytest.mark.parametrize("case", cases(EXACT))
def test_structure_of_the_scenarios(case):
    scm = case.scm()
    assert set(scm.graph.edges) == set(pc.CausalGraph.from_string(case.graph).edges)
    assert scm._model.structure.vectorised == case.vectorised


def frequencies(found, levels):
    return torch.stack([(found == k).double().mean(0) for k in range(levels)], -1)


def far_off(found, p) -> bool:
    error = Z * torch.sqrt(p.double() * (1 - p.double()) / DRAWS) + 1e-9
    return bool(((frequencies(found, p.shape[-1]) - p).abs() > error).any())


@pytest.mark.parametrize("case", cases(DISCRETE))
def test_discrete_counterfactuals_have_the_exact_posterior(case):
    scm = case.scm()
    units = scm.sample(6, seed=2)
    found = scm.counterfactual(units, do=case.do, num_samples=DRAWS, seed=0)
    for name, value in case.truth(units).items():
        assert not wrong(found[name], value.expand(DRAWS, -1), case.tolerance)
    for name, p in case.posterior(units).items():
        slack = 2.5e-3 * (case.name == "gumbel-max")  # the truth is a simulation of at least 100,000 that fit
        off = (frequencies(found[name], p.shape[-1]) - p).abs()
        assert (off <= Z * torch.sqrt(p * (1 - p) / DRAWS) + slack + 1e-9).all(), name
        assert far_off(scm.do(case.do).sample(6 * DRAWS, seed=0)[name].reshape(DRAWS, 6), p), "control passed"


def test_draws_agree_with_the_evidence():
    """Each abducted noise reproduces its unit, draw by draw."""
    for case in DISCRETE:
        scm = case.scm()
        units = scm.sample(30, seed=3)
        noise = scm.abduct(units, num_samples=20, seed=0)
        again = scm.predict(noise)
        for name, value in units.items():
            if scm.variables[name].discrete:
                assert torch.equal(again[name], value.expand(20, *value.shape))


def test_gumbel_and_monotone_couplings_differ_for_three_levels():
    """The choice matters, which is why it can be made: it is no implementation detail."""
    gumbel, monotone = scenarios.named("gumbel-max"), scenarios.named("categorical, monotone")
    evidence = {"x": torch.zeros(1), "y": torch.tensor([1])}
    one, other = (case.posterior(evidence)["y"] for case in (gumbel, monotone))
    assert (one - other).abs().max() > 0.1


def test_gumbel_max_is_counterfactually_stable():
    """y stays at k unless some other level's odds against k rose (Oberst and Sontag 2019)."""

    def program():
        x = pyro.sample("x", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Categorical(logits=x * torch.tensor([1.0, 0.0, 0.5])))

    scm = pc.SCM(program)
    found = scm.counterfactual({"x": [0.0, 0.0, 0.0], "y": [0, 1, 2]}, do={"x": 1}, num_samples=2000, seed=0)[
        "y"
    ]
    assert (found[:, 0] == 0).all()
    assert (found[:, 2] != 1).all()
    assert {0, 1, 2} == set(found[:, 1].tolist())


# ---- the shape of answers


def test_no_draws_axis_where_the_answer_is_exact(confounded):
    units = confounded.sample(3, seed=0)
    assert confounded.counterfactual(units, do={"x": 0.0})["y"].shape == (3,)
    assert confounded.counterfactual(units, do={"x": 0.0}, num_samples=5)["y"].shape == (5, 3)


def test_a_hundred_draws_where_discrete_noise_is_open(bernoulli):
    units = bernoulli.sample(3, seed=0)
    assert bernoulli.counterfactual(units, do={"x": 1})["y"].shape == (100, 3)


def test_no_draws_where_the_discrete_variable_is_not_moved():
    scm = scenarios.named("mixed").scm()
    units = scm.sample(3, seed=0)
    assert scm.counterfactual(units, do={"cured": 1})["y"].shape == (3,)
    assert scm.counterfactual(units, do={"y": 1.0})["y"].shape == (100, 3)


def test_several_worlds_share_their_noise(confounded):
    units = confounded.sample(4, seed=0)
    found = confounded.counterfactual(units, do={"up": {"x": 1.0}, "down": {"x": -1.0}})
    assert torch.allclose(
        found.worlds["up"]["y"] - found.worlds["down"]["y"], torch.full((4,), 4.0), atol=1e-5
    )
    assert len(found.worlds) == 2
    with pytest.raises(pc.PyrocausalError, match="several worlds"):
        found["y"]


def test_worlds_share_discrete_noise_too():
    """The same draws in both worlds: y can only rise with x. Separately drawn noise would break that."""

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Bernoulli(logits=x))

    scm = pc.SCM(program)
    units = {"x": torch.zeros(50), "y": torch.zeros(50)}
    found = scm.counterfactual(units, do={"low": {"x": 1.0}, "high": {"x": 2.0}}, seed=0)
    low, high = found.worlds["low"]["y"], found.worlds["high"]["y"]
    assert (high >= low).all() and low.sum() > 100
    apart = scm.counterfactual(units, do={"x": 2.0}, seed=1)["y"]
    assert not (apart >= low).all()


def test_the_three_steps_are_the_one_call(confounded):
    units = confounded.sample(4, seed=0)
    at_once = confounded.counterfactual(units, do={"x": 1.0}, seed=0)
    step = confounded.do(x=1.0).predict(confounded.abduct(units, seed=0), seed=0)
    assert torch.equal(at_once["y"], step["y"])


def test_counterfactual_of_a_submodel():
    """Evidence from the world do(z=1): z's own cause says nothing, and the action acts on that submodel."""

    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(z, 1.0))
        pyro.sample("y", dist.Normal(x + z, 1.0))

    scm = pc.SCM(program).do(z=1.0)
    found = scm.counterfactual({"x": [2.0], "y": [3.0]}, do={"x": 0.0})
    assert found["y"].tolist() == [1.0] and found["z"].tolist() == [1.0]
    with pytest.raises(pc.PyrocausalError, match="set by do"):
        scm.counterfactual({"z": [0.0], "x": [2.0], "y": [3.0]}, do={"x": 0.0})


# ---- natural


def test_mediation_with_natural(chain):
    """m = x/2 + u, y = x + 2m + u: every unit has natural direct effect 1, indirect effect 1, total 2."""
    units = chain.sample(10, seed=0)
    found = chain.counterfactual(
        units,
        do={
            "x0": {"x": 0.0},
            "x1": {"x": 1.0},
            "direct": {"x": 1.0, "m": pc.natural(x=0.0)},
            "indirect": {"x": 0.0, "m": pc.natural(x=1.0)},
        },
    )
    y = {name: world["y"] for name, world in found.worlds.items()}
    assert torch.allclose(y["direct"] - y["x0"], torch.ones(10), atol=1e-5)
    assert torch.allclose(y["indirect"] - y["x0"], torch.ones(10), atol=1e-5)
    assert torch.allclose(y["x1"] - y["x0"], torch.full((10,), 2.0), atol=1e-5)
    assert torch.equal(found.worlds["direct"]["m"], found.worlds["x0"]["m"])


def test_mediation_with_an_interaction():
    """y = xm + u, m = x + u_m: the direct effect of a unit is its own m at x=0, which is u_m."""

    def program():
        x = pyro.sample("x", dist.Bernoulli(0.5))
        m = pyro.sample("m", dist.Normal(x, 1.0))
        pyro.sample("y", dist.Normal(x * m, 1.0))

    scm = pc.SCM(program)
    units = scm.sample(10, seed=0)
    own = units["m"] - units["x"]
    found = scm.counterfactual(units, do={"0": {"x": 0}, "d": {"x": 1, "m": pc.natural(x=0)}})
    assert torch.allclose(found.worlds["d"]["y"] - found.worlds["0"]["y"], own, atol=1e-5)


def test_natural_nested(chain):
    """m takes its value in the world where x takes its value in the world do(x=3): that is do(x=3)'s m."""
    units = chain.sample(5, seed=0)
    nested = chain.counterfactual(units, do={"x": 0.0, "m": pc.natural(x=pc.natural(x=3.0))})
    plain = chain.counterfactual(units, do={"x": 0.0, "m": pc.natural(x=3.0)})
    assert torch.equal(nested["y"], plain["y"])
    deeper = pc.natural(x=1.0, m=pc.natural(x=2.0))  # y in the world x=1 with m as if x=2
    found = chain.counterfactual(units, do={"y": deeper})["y"]
    own = units["y"] - units["x"] - 2 * units["m"]
    assert torch.allclose(found, own + 1 + 2 * (units["m"] + 0.5 * (2 - units["x"])), atol=1e-5)


def test_natural_of_nothing_is_the_factual_value(chain):
    units = chain.sample(5, seed=0)
    found = chain.counterfactual(units, do={"x": 5.0, "m": pc.natural()})
    assert torch.allclose(found["m"], units["m"], atol=1e-6)
    assert torch.allclose(found["y"], units["y"] + 5 - units["x"], atol=1e-5)


def test_natural_inherits_earlier_do_and_not_its_own(chain):
    units = chain.sample(5, seed=0)
    noise = chain.abduct(units)
    inherits = chain.do(x=2.0).do(m=pc.natural()).predict(noise)
    assert torch.allclose(inherits["m"], units["m"] + 0.5 * (2 - units["x"]), atol=1e-5)
    own = chain.do(x=2.0, m=pc.natural()).predict(noise)
    assert torch.allclose(own["m"], units["m"], atol=1e-6)
    both = chain.do(y=0.0).do(x=1.0, y=pc.natural(x=0.0)).predict(noise)
    assert (both["y"] == 0).all()


# ---- optional variables


def optional_variable():
    """A second opinion is asked for only if the first test is positive."""
    first = pyro.sample("first", dist.Normal(0.0, 1.0))
    second = pyro.sample("second", dist.Normal(first, 1.0)) if first > 0 else torch.tensor(-1.0)
    pyro.sample("y", dist.Normal(second, 1.0))


def test_a_variable_that_occurs_only_in_some_worlds_draws_its_noise_once():
    scm = pc.SCM(optional_variable)
    assert scm.variables["second"].optional
    evidence = {"first": [-1.0, 2.0], "second": [float("nan"), 3.0], "y": [0.0, 0.0]}
    found = scm.counterfactual(
        evidence, do={"a": {"first": 1.0}, "b": {"first": 3.0}, "c": {"first": -2.0}}, num_samples=200, seed=0
    )
    a, b, c = (found.worlds[name] for name in "abc")
    # unit 1 was observed: its noise is 1. Unit 0 was not: its noise is a draw that its worlds share.
    assert torch.allclose(a["second"][:, 1], torch.tensor(2.0)) and torch.allclose(
        b["second"][:, 1], torch.tensor(4.0)
    )
    assert torch.allclose(b["second"][:, 0] - a["second"][:, 0], torch.tensor(2.0), atol=1e-5)
    assert a["second"][:, 0].std() > 0.5
    assert "second" not in c  # no unit reaches it there
    assert torch.allclose(c["y"][:, 1], torch.tensor(-1.0 - 3.0), atol=1e-5)
