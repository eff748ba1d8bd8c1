"""Actions: each kind, how they combine, what they do to the graph, and what is refused."""

import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import pyrocausal as pc
from pyrocausal.errors import InterventionError, UnknownVariable

from . import scenarios


def at(scm, units, **actions):
    return scm.do(**actions).predict(scm.abduct(units, seed=0), seed=0)


@pytest.fixture
def units(confounded):
    return confounded.sample(5, seed=0)


# ---- kinds


def test_a_number(confounded, units):
    assert (at(confounded, units, x=3)["x"] == 3).all()


def test_a_tensor_per_unit(confounded, units):
    dose = torch.arange(5.0)
    found = at(confounded, units, x=dose)
    assert torch.equal(found["x"], dose)
    assert torch.allclose(found["y"], units["y"] + 2 * (dose - units["x"]), atol=1e-5)


@pytest.mark.parametrize("draws", [None, 3])
def test_per_unit_values_line_up_with_draws(confounded, units, draws):
    found = confounded.counterfactual(units, do={"x": [0.0, 1.0, 2.0, 3.0, 4.0]}, num_samples=draws)
    assert torch.equal(found["x"], torch.arange(5.0).expand_as(found["x"]))


def test_a_number_broadcasts_over_an_event():
    scm = scenarios.named("matrix").scm()
    assert torch.equal(scm.do(v=2.0).sample(3, seed=0)["v"], torch.full((3, 2), 2.0))


def test_vectors_one_for_all_and_one_per_unit():
    scm = scenarios.named("matrix").scm()
    one = torch.tensor([1.0, 2.0])
    assert torch.equal(scm.do(v=one).sample(3, seed=0)["v"], one.expand(3, 2))
    each = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(scm.do(v=each).sample(3, seed=0)["v"], each)


def test_a_function_of_the_natural_value(confounded, units):
    found = at(confounded, units, x=lambda v: v + 1)
    assert torch.allclose(found["x"], units["x"] + 1)
    assert torch.allclose(found["y"], units["y"] + 2, atol=1e-5)


def test_a_policy(confounded, units):
    found = at(confounded, units, x=pc.policy(lambda v: v["z"] > 1))
    assert torch.equal(found["x"], (units["z"] > 1).float())


def test_a_policy_sees_enforced_values():
    scm = pc.SCM(scenarios.chain)
    found = scm.do(x=2.0, m=pc.policy(lambda v: v["x"] * 10)).sample(3, seed=0)
    assert (found["m"] == 20).all()


def test_a_distribution(confounded, units):
    n = 3000
    many = confounded.sample(n, seed=0)
    found = confounded.do(x=dist.Uniform(0.0, 1.0)).predict(confounded.abduct(many), seed=1)
    assert stats.kstest(found["x"].double().numpy(), "uniform").pvalue > 1e-4
    assert (
        abs(torch.corrcoef(torch.stack([found["x"], many["z"]]))[0, 1]) < 5 / n**0.5
    )  # independent of its causes
    assert torch.allclose(found["y"], many["y"] + 2 * (found["x"] - many["x"]), atol=1e-4)


def test_a_distribution_draws_for_every_unit_and_draw(confounded, units):
    found = confounded.counterfactual(units, do={"x": dist.Normal(0.0, 1.0)}, num_samples=4, seed=0)
    assert len(found["x"].unique()) == 20


def test_a_discrete_distribution(bernoulli):
    assert set(bernoulli.do(x=dist.Bernoulli(0.5)).sample(100, seed=0)["x"].tolist()) == {0.0, 1.0}


def test_several_at_once(chain):
    found = chain.do(x=1.0, m=2.0).sample(3, seed=0)
    assert (found["x"] == 1).all() and (found["m"] == 2).all()


def test_names_that_are_no_identifiers():
    def program():
        x = pyro.sample("years of school", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0))

    scm = pc.SCM(program)
    assert (scm.do({"years of school": 2.0}, y=1.0).sample(2)["years of school"] == 2).all()


def test_acting_on_a_deterministic_site(confounded):
    scm = scenarios.named("deterministic").scm()
    units = scm.sample(4, seed=0)
    found = scm.counterfactual(units, do={"square": 0.0})
    assert torch.allclose(found["y"], units["y"] - units["x"] ** 2, atol=1e-5)
    assert torch.equal(found["x"], units["x"])


# ---- algebra


def test_a_later_function_acts_on_the_earlier_value(confounded):
    assert (confounded.do(x=1.0).do(x=lambda v: v + 1).sample(2)["x"] == 2).all()


def test_a_later_value_wins(confounded):
    assert (confounded.do(x=1.0).do(x=5.0).sample(2)["x"] == 5).all()
    assert (confounded.do(x=lambda v: v + 1).do(x=5.0).sample(2)["x"] == 5).all()


def test_functions_compose_in_order(confounded, units):
    submodel = confounded.do(x=lambda v: v + 1).do(x=lambda v: v * 2)
    found = submodel.predict(confounded.abduct(units))
    assert torch.allclose(found["x"], (units["x"] + 1) * 2)


def test_do_on_different_variables_commutes(chain):
    units = chain.sample(4, seed=0)
    noise = chain.abduct(units)
    one, other = chain.do(x=1.0).do(m=2.0), chain.do(m=2.0).do(x=1.0)
    assert torch.equal(one.predict(noise)["y"], other.predict(noise)["y"])
    assert one.graph.edges == other.graph.edges


def test_do_leaves_the_model_alone(confounded, units):
    before = confounded.sample(3, seed=0)["y"]
    confounded.do(x=100.0).sample(3)
    assert torch.equal(confounded.sample(3, seed=0)["y"], before)
    assert ("z", "x") in confounded.graph.edges


# ---- recorded: the enforced values; kept apart: the natural ones


def test_enforced_values_are_recorded_and_natural_ones_kept(confounded, units):
    found = confounded.counterfactual(units, do={"x": 5.0})
    assert (found["x"] == 5).all()
    assert torch.allclose(found.natural["do"]["x"], units["x"], atol=1e-6)
    assert list(found.natural["do"]) == ["x"]


def test_natural_values_answer_to_earlier_actions(chain):
    units = chain.sample(4, seed=0)
    found = chain.counterfactual(units, do={"w": {"x": 3.0, "m": 0.0}})
    assert torch.allclose(found.natural["w"]["m"], units["m"] + 0.5 * (3 - units["x"]), atol=1e-5)


# ---- graphs


def test_a_hard_action_cuts_what_enters(confounded):
    assert set(confounded.do(x=1.0).graph.edges) == {("z", "y"), ("x", "y")}


def test_a_function_keeps_what_enters(confounded):
    assert ("z", "x") in confounded.do(x=lambda v: v + 1).graph.edges


def test_a_policy_adds_what_it_reads(chain):
    graph = chain.do(y=pc.policy(lambda v: v["x"])).graph
    assert set(graph.edges) == {("x", "m"), ("x", "y")}


def test_a_distribution_cuts_what_enters(confounded):
    assert ("z", "x") not in confounded.do(x=dist.Normal(0.0, 1.0)).graph.edges


# ---- the interventional distribution


def test_do_is_not_conditioning(confounded):
    """Slope of y on x: 2 under do, and 2 + cov(x, z) / var(x) = 2 + 2/2 = 3 when seen."""
    n = 40_000
    seen = confounded.sample(n, seed=0)
    x, y = seen["x"].double(), seen["y"].double()
    regression = float(((x - x.mean()) * (y - y.mean())).mean() / x.var())
    done = float(
        confounded.do(x=1.0).sample(n, seed=0)["y"].mean()
        - confounded.do(x=0.0).sample(n, seed=1)["y"].mean()
    )
    error = 5 * (2 * 4.25 / n) ** 0.5  # var(y | do(x)) = 4 + 1/4
    assert abs(done - 2) < error
    assert abs(regression - 3) < 0.1 and abs(regression - 2) > error  # control: no adjustment


# ---- at the door


def error(act):
    with pytest.raises(pc.PyrocausalError) as caught:
        act()
    return caught.value


def test_a_misspelt_name():
    def program():
        q = pyro.sample("quit", dist.Normal(0.0, 1.0))
        pyro.sample("gain", dist.Normal(q, 1.0))

    scm = pc.SCM(program)
    e = error(lambda: scm.do(quti=1.0))
    assert isinstance(e, UnknownVariable) and "did you mean 'quit'?" in str(e)
    assert "did you mean 'gain'?" in str(error(lambda: scm.do(quit=pc.natural(gian=0.0))))


def test_nothing_to_do(confounded):
    assert "without an action" in error(lambda: confounded.do()).what
    assert error(lambda: confounded.do({})).fix


def test_what_is_no_action(confounded, units):
    assert "None" in error(lambda: confounded.do(x=None)).what
    assert "no mapping" in error(lambda: confounded.do(3)).what
    assert "worlds" in error(lambda: confounded.do(x={"a": 1})).why
    assert "twice" in error(lambda: confounded.do({"x": 1}, x=2)).what
    assert error(lambda: confounded.counterfactual(units, do={})).fix
    assert error(lambda: confounded.counterfactual(units, do=3)).fix


def test_text_for_a_number(confounded):
    e = error(lambda: confounded.do(x="high"))
    assert "'x'" in e.what and "high" in e.what


def test_values_outside_the_support(bernoulli):
    e = error(lambda: bernoulli.do(x=2))
    assert "'x' is 2" in e.what and "{0, 1}" in e.why and e.fix


def test_nan(confounded):
    assert "'x'" in error(lambda: confounded.do(x=float("nan"))).what
    assert "row 1" in error(lambda: confounded.do(x=[0.0, float("nan")])).what


def test_functions_that_leave_the_support(bernoulli):
    e = error(lambda: bernoulli.do(x=lambda v: v + 1).sample(20, seed=0))
    assert "'x' is 2" in e.what and "{0, 1}" in e.why


def test_wrong_numbers_of_units(confounded, units):
    e = error(lambda: confounded.counterfactual(units, do={"x": [0.0, 1.0]}))
    assert isinstance(e, InterventionError) and "2 values for 5 units" in e.what


def test_ambiguous_and_wrong_shapes():
    scm = scenarios.named("matrix").scm()
    e = error(lambda: scm.do(v=torch.zeros(3)))
    assert "(3,)" in e.what and "(2,)" in e.why
    assert "(2, 3)" in error(lambda: scm.do(v=torch.zeros(2, 3))).what
    assert error(lambda: pc.SCM(scenarios.confounded).do(x=torch.zeros(2, 2))).fix


def test_functions_of_the_wrong_shape(confounded):
    e = error(lambda: confounded.do(x=lambda v: torch.zeros(2)).sample(3))
    assert "(2,)" in e.what and "'x'" in e.what


@pytest.mark.parametrize("nothing", [None, "high", object()], ids=lambda nothing: type(nothing).__name__)
def test_functions_that_return_no_number(confounded, nothing):
    e = error(lambda: confounded.do(x=lambda v: nothing).sample(3))
    assert "'x'" in e.what and e.fix


def test_functions_that_draw(confounded):
    """Randomness in an action would differ between worlds and be no part of the noise: a distribution is."""
    e = error(lambda: confounded.do(x=lambda v: v + torch.randn(())).sample(3, seed=0))
    assert "'x'" in e.what and "distribution" in e.fix


def test_distributions_of_the_wrong_shape(confounded):
    assert "(2,)" in error(lambda: confounded.do(x=dist.Normal(torch.zeros(2), 1.0))).what


def test_a_policy_that_reads_later_variables(confounded):
    e = error(lambda: confounded.do(x=pc.policy(lambda v: v["y"])))
    assert "'y'" in e.what and "before 'x'" in e.why and "z" in e.why
    assert "'x'" in error(lambda: confounded.do(x=pc.policy(lambda v: v["x"]))).what
    assert "'zz'" in error(lambda: confounded.do(x=pc.policy(lambda v: v["zz"]))).what


def test_branching_actions_run_one_by_one_and_say_so(confounded, units, caplog):
    with caplog.at_level("WARNING", "pyrocausal"):
        found = at(confounded, units, x=lambda v: v if v > 0 else 0 * v)
    assert torch.allclose(found["x"], units["x"].clamp_min(0)) and "branches" in caplog.text


def test_far_actions_warn(caplog):
    scm = pc.SCM(scenarios.Module())
    x = torch.randn(200, generator=torch.Generator().manual_seed(0))
    scm.fit({"x": x, "y": 2 * x}, epochs=1, progress=False)
    with caplog.at_level("WARNING", "pyrocausal"):
        scm.do(x=3.0)
        assert not caplog.records
        scm.do(x=20.0)
    assert "do(x) is 2" in caplog.text and "standard deviations" in caplog.text


# ---- per-unit values with labels


def test_a_series_belongs_to_the_units_with_its_labels():
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0))

    units = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, 0.0, 0.0]}, index=["a", "b", "c"])
    shuffled = pd.Series({"c": 30.0, "a": 10.0, "b": 20.0})
    scm = pc.SCM(program)
    assert scm.counterfactual(units, do={"x": shuffled})["x"].tolist() == [10.0, 20.0, 30.0]
    assert scm.counterfactual(units, do={"x": shuffled.to_numpy()})["x"].tolist() == [30.0, 10.0, 20.0]
    with pytest.raises(InterventionError, match="labels"):
        scm.counterfactual(units, do={"x": pd.Series([1.0, 2.0, 3.0])})
    noise = scm.abduct(units)
    assert scm.do(x=shuffled).predict(noise)["x"].tolist() == [10.0, 20.0, 30.0]
