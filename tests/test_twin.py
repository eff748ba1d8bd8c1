"""`twin`: other worlds beside the factual one, in any Pyro inference.

The program of most tests is not additive: z ~ N(0, 1), y = z x + u. Seen x = 1 and y = 3, z ~ N(3/2, 1/2) and
u = 3 - z, so under do(x=2) y = 2 z + u = 3 + z ~ N(9/2, 1/2). Without abduction, u drawn anew, it would be
N(3, 3); from the prior, N(0, 5).
"""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    MCMC,
    NUTS,
    SVI,
    Importance,
    Predictive,
    Trace_ELBO,
    TraceEnum_ELBO,
    config_enumerate,
    infer_discrete,
)
from pyro.infer.autoguide import AutoNormal
from pyro.infer.importance import vectorized_importance_weights
from pyro.infer.reparam import LocScaleReparam
from pyro.nn import PyroModule
from torch import nn

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.errors import DataError, EvidenceError, InterventionError, ProgramError, UnknownVariable

from . import scenarios


def product():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z * x, 1.0))


SEEN = {"x": 1.0, "y": 3.0}
MEAN, VARIANCE = 4.5, 0.5  # of y under do(x=2)
WRONG_MEAN, WRONG_VARIANCE = 3.0, 3.0  # without abduction


def worlds(count: int) -> dict[str, dict[str, float]]:
    """So many, of which the first is do(x=2)."""
    return {f"w{i}": {"x": 2.0 + i} for i in range(count)}


def nodes(model, *arguments):
    """The values of one run's sites."""
    trace = poutine.trace(model).get_trace(*arguments)
    return {name: node["value"] for name, node in trace.nodes.items() if node["type"] == "sample"}


@pytest.fixture(autouse=True)
def _seeded():
    pyro.set_rng_seed(0)
    pyro.clear_param_store()
    with pyro.validation_enabled(True):
        yield


# ---- one posterior, whatever the engine and however many worlds


def near_truth(y: torch.Tensor, weights: torch.Tensor, *, tolerance: float) -> None:
    mean = (weights * y).sum()
    variance = (weights * (y - mean) ** 2).sum()
    assert mean.item() == pytest.approx(MEAN, abs=tolerance) != WRONG_MEAN
    assert variance.item() == pytest.approx(VARIANCE, abs=tolerance) != WRONG_VARIANCE
    assert tolerance < min(MEAN - WRONG_MEAN, WRONG_VARIANCE - VARIANCE) / 2  # the controls would fail


@pytest.mark.parametrize("count", [1, 2, 4])
def test_importance(count):
    def proposal(_):
        pyro.sample("z", dist.Normal(1.5, 1.0))

    found = Importance(pc.twin(product, do=worlds(count)), proposal, num_samples=150)
    found.run(SEEN)
    y = torch.stack([trace.nodes["y@w0"]["value"] for trace in found.exec_traces])
    # By the proposal, sqrt(n) (mean - truth) has variance 0.385: a standard error of 0.05, and about as much
    # for the variance. 0.3 is 5 of them: 6e-7.
    near_truth(y, found.get_normalized_weights(), tolerance=0.3)


def test_worlds_do_not_change_the_weights():
    def proposal(_):
        pyro.sample("z", dist.Normal(0.0, 1.0))

    found = {}
    for count in (1, 2, 4):
        pyro.set_rng_seed(1)
        found[count] = vectorized_importance_weights(
            pc.twin(product, do=worlds(count)), proposal, SEEN, num_samples=50_000, max_plate_nesting=0
        )
    log_weights, model_trace, guide_trace = found[4]
    assert torch.equal(log_weights, found[1][0]) and torch.equal(log_weights, found[2][0])
    z = guide_trace.nodes["z"]["value"]
    by_hand = dist.Normal(0.0, 1.0).log_prob(torch.tensor(1.0)) + dist.Normal(z, 1.0).log_prob(
        torch.tensor(3.0)
    )
    assert torch.allclose(log_weights, by_hand, atol=1e-5)  # and not twice or five times the likelihood
    # effective sample size about 15,000: 0.05 is more than 8 standard errors of mean and variance: 1e-15
    weights = torch.softmax(log_weights, 0)
    near_truth(model_trace.nodes["y@w0"]["value"], weights, tolerance=0.05)


def nuts(count: int, samples: int, warmup: int):
    pyro.set_rng_seed(0)
    model = pc.twin(product, do=worlds(count))
    chain = MCMC(NUTS(model), num_samples=samples, warmup_steps=warmup, disable_progbar=True)
    chain.run(SEEN)
    return model, chain.get_samples()


def test_nuts():
    model, draws = nuts(1, 100, 40)
    assert set(draws) == {"z"}
    y = Predictive(model, draws, return_sites=["y@w0"])(SEEN)["y@w0"]
    # 100 draws are worth about 35 here: standard errors 0.12, and 0.7 is 5 of them, 6e-7
    near_truth(y, torch.full((100,), 1 / 100), tolerance=0.7)


def test_nuts_takes_the_same_path_with_more_worlds():
    assert torch.equal(nuts(1, 8, 8)[1]["z"], nuts(4, 8, 8)[1]["z"])


def test_svi_has_the_same_loss_with_more_worlds():
    def guide(_):
        location = pyro.param("location", torch.tensor(1.0))
        scale = pyro.param("scale", torch.tensor(1.0), constraint=dist.constraints.positive)
        pyro.sample("z", dist.Normal(location, scale))

    losses = {}
    for count in (4, 1):
        pyro.set_rng_seed(0)
        pyro.clear_param_store()
        model = pc.twin(product, do=worlds(count))
        elbo = Trace_ELBO(num_particles=32, vectorize_particles=True, max_plate_nesting=0)
        svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), elbo)
        losses[count] = [svi.step(SEEN) for _ in range(10 if count == 4 else 60)]
    assert losses[1][:10] == losses[4]
    evidence = dist.Normal(0.0, 1.0).log_prob(torch.tensor(1.0)) + dist.Normal(0.0, math.sqrt(2)).log_prob(
        torch.tensor(3.0)
    )
    # at the optimum the loss is -log p(x, y) without noise; 60 steps come within 0.05 of it
    assert losses[1][-1] == pytest.approx(-evidence.item(), abs=0.05)
    draws = Predictive(model, guide=guide, num_samples=400, return_sites=["y@w0"], parallel=True)
    y = draws(SEEN)["y@w0"]
    # standard errors of 400 draws are below 0.04: 0.4 leaves 5 of them beside what SVI is off: 6e-7
    near_truth(y, torch.full((400,), 1 / 400), tolerance=0.4)


def binary():
    c = pyro.sample("c", dist.Bernoulli(0.5))
    x = pyro.sample("x", dist.Bernoulli(0.5))
    pyro.sample("y", dist.Bernoulli(logits=2 * c - 1 + 2 * x))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_enumeration_sums_a_discrete_latent_out():
    units = 4000
    seen = {"x": torch.zeros(units), "y": torch.zeros(units)}
    losses = []
    for count in (1, 4):
        model = config_enumerate(pc.twin(binary, do={f"w{i}": {"x": 1} for i in range(count)}))
        elbo = TraceEnum_ELBO(max_plate_nesting=pc.twin(binary, do={"x": 1}).max_plate_nesting)
        losses.append(elbo.loss(model, lambda _: None, seen))
    zero, one = 1 - sigmoid(-1), 1 - sigmoid(1)  # P(y = 0 | c, x = 0)
    assert losses[0] == losses[1] == pytest.approx(-units * math.log(0.5 * (zero + one) / 2), rel=1e-4)

    found = nodes(infer_discrete(model, first_available_dim=-2), seen)
    posterior = one / (zero + one)
    flips = [
        (sigmoid(k + 2) - sigmoid(k)) / (1 - sigmoid(k)) for k in (-1, 1)
    ]  # P(y_1 = 1 | c, x = 0, y = 0)
    truth = (1 - posterior) * flips[0] + posterior * flips[1]
    no_abduction = (1 - posterior) * sigmoid(1) + posterior * sigmoid(3)
    # standard errors of 4,000 draws are below 0.008: 0.04 is 5 of them, 6e-7 each
    assert found["c"].mean().item() == pytest.approx(posterior, abs=0.04)
    assert found["y@w0"].mean().item() == pytest.approx(truth, abs=0.04)
    assert abs(no_abduction - truth) > 0.1  # the control would fail
    assert torch.equal(found["y@w0"], found["y@w3"])  # the same action, the same noise


def test_enumeration_along_a_chain_reuses_dimensions():
    """World sites carry no enumerated dimension into the sum, also where pyro.markov takes them again."""

    def chain():
        z = pyro.sample("z0", dist.Bernoulli(0.3))
        for i in pyro.markov(range(1, 6)):
            z = pyro.sample(f"z{i}", dist.Bernoulli(0.2 + 0.6 * z))
            pyro.sample(f"x{i}", dist.Normal(z, 1.0))

    seen = {f"x{i}": torch.linspace(-1, 2, 3) for i in range(1, 6)}

    def in_a_plate():
        with pyro.plate("units", 3):
            chain()

    elbo = TraceEnum_ELBO(max_plate_nesting=1)
    plain = elbo.loss(config_enumerate(poutine.condition(in_a_plate, seen)), lambda: None)
    model = config_enumerate(pc.twin(chain, do={"on": {"z2": 1}, "other": {"z2": lambda z: 1 - z}}))
    assert elbo.loss(model, lambda _: None, seen) == pytest.approx(plain)
    found = nodes(infer_discrete(model, first_available_dim=-2), seen)
    assert torch.equal(found["z2@other"], 1 - found["z2"]) and (found["z2@on"] == 1).all()


@pytest.mark.parametrize("seen", [SEEN, {"x": torch.ones(3), "y": torch.arange(3.0)}, {}])
def test_a_likelihood_counts_once(seen):
    def log_prob(count):
        pyro.set_rng_seed(0)
        return poutine.trace(pc.twin(product, do=worlds(count))).get_trace(seen).log_prob_sum()

    assert log_prob(1) == log_prob(4)
    assert log_prob(1) != 2 * log_prob(1)  # it is not 0


# ---- units


@pytest.mark.parametrize("scenario", scenarios.ALL, ids=str)
def test_one_unit_equals_the_closed_form_or_the_scm(scenario):
    scm = scenario.scm()
    model = pc.twin(scm, do={"w": scenario.do})
    units = scm.sample(4, seed=1)
    truth = scenario.truth(units)
    for i in range(4):
        seen = {name: x[i] for name, x in units.items()}
        found = nodes(model, seen)
        for name in set(truth) & {name for name in seen if not seen[name].isnan().any()}:
            if scm.variables[name].draws is None:
                assert torch.allclose(found[f"{name}@w"], truth[name][i], rtol=1e-4, atol=1e-4), name
        unmoved = set(scm.variables) - set(scm.graph.descendants(*scenario.do)) - set(scenario.do)
        assert all(torch.equal(found[f"{name}@w"], found[name]) for name in unmoved if name in found)


NOT_IN_A_PLATE = {  # programs of scenarios.ALL that are about one unit to the letter, and the site that is
    "matrix": "y",
    "vector scale": "y",
    "expand": "y",
    "mean of a vector": "y",
    "softmax over dim 0": "y",
    "convolution": "y",
    "closure over a layer": "y",
    "gumbel-max": "y",
    "categorical, monotone": "y",
    "branching": "branches",
}


@pytest.mark.parametrize("scenario", scenarios.ALL, ids=str)
def test_several_units_equal_one_by_one_or_are_refused(scenario):
    scm = scenario.scm()
    model = pc.twin(scm, do=scenario.do)
    units = dict(scm.sample(5, seed=1))
    if str(scenario) in NOT_IN_A_PLATE:
        site = NOT_IN_A_PLATE[str(scenario)]
        with pytest.raises(ProgramError, match=rf"several units.*{site}.*Fix: w"):
            model(units)
        return
    trace = poutine.trace(model).get_trace(units)
    alone = [poutine.trace(model).get_trace({n: x[i] for n, x in units.items()}) for i in range(5)]
    assert trace.log_prob_sum().item() == pytest.approx(sum(one.log_prob_sum().item() for one in alone))
    for name, variable in scm.variables.items():
        if variable.draws is None and not any(scm.variables[p].draws for p in scm.graph.ancestors(name)):
            each = torch.stack([one.nodes[f"{name}@do"]["value"] for one in alone])
            assert torch.allclose(trace.nodes[f"{name}@do"]["value"].reshape(each.shape), each, atol=1e-5)


W = torch.tensor([[1.0, 2.0, 0.0], [2.0, 1.0, -1.0], [0.0, -1.0, 3.0]])  # symmetric, and as wide as the check


@pytest.mark.parametrize(
    "read",
    [
        lambda v: v.mean(),
        lambda v: v.max(),
        lambda v: v.norm(),
        lambda v: v[0],
        lambda v: (v - v.mean(0))[..., 1],
        lambda v: torch.softmax(v, 0)[..., 0],
        lambda v: (W @ v)[..., 0],
        lambda v: v.sum() if v.sum() > 0 else v[1],
        lambda v: torch.as_tensor(v.numpy()[..., 0]),
    ],
    ids=["mean", "max", "norm", "index", "centre", "softmax", "matrix", "branch", "numpy"],
)
@pytest.mark.parametrize("mask", [True, False])
def test_programs_that_a_plate_would_get_wrong_are_refused(read, mask):
    def program():
        v = pyro.sample("v", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(read(v) + x, 1.0).mask(mask))

    model = pc.twin(program, do={"x": 1.0})
    v = torch.tensor([1.0, -2.0, 0.5])
    one = nodes(model, {"v": v, "x": 0.0, "y": 3.0})
    assert one["y@do"].item() == pytest.approx(4.0)
    with pytest.raises(ProgramError, match="several units"):
        model({"v": v.repeat(3, 1), "x": torch.zeros(3), "y": torch.zeros(3)})


def test_one_unit_of_such_a_program_takes_no_particles_or_levels_at_once():
    def program():
        c = pyro.sample("c", dist.Bernoulli(0.5))
        v = pyro.sample("v", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        pyro.sample("y", dist.Normal(c + v.mean(), 1.0))

    model, seen = pc.twin(program, do={"c": 1}), {"y": 1.0}
    with pytest.raises(ProgramError, match="particles or levels"):
        Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=0).loss(
            model, lambda _: None, seen
        )
    elbo, fixed = TraceEnum_ELBO(max_plate_nesting=0), {**seen, "v": torch.zeros(3)}
    with pytest.raises(ProgramError, match="particles or levels"):
        elbo.loss(config_enumerate(model), lambda _: None, fixed)

    def proposal(_):  # as the model's c is not enumerated in parallel, the guide has it, level by level
        pyro.sample("c", dist.Bernoulli(0.5), infer={"enumerate": "sequential"})

    y = torch.tensor([dist.Normal(c, 1.0).log_prob(torch.tensor(1.0)).item() for c in (0.0, 1.0)])
    prior = dist.Normal(torch.zeros(3), 1.0).log_prob(torch.zeros(3)).sum()
    assert elbo.loss(model, proposal, fixed) == pytest.approx(-(y.mean() + prior).item(), rel=1e-5)


def test_a_plate_would_be_silently_wrong():
    """The negative control of the refusal: in a plate, the program runs and is wrong."""

    def program(mean):
        v = pyro.sample("v", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        return pyro.sample("y", dist.Delta(mean(v)))

    v = torch.randn(3, 3)

    def in_a_plate(mean):
        with pyro.plate("units", 3), poutine.condition(data={"v": v}):
            return program(mean)

    assert not torch.allclose(in_a_plate(lambda v: v.mean()), v.mean(-1))
    assert torch.allclose(in_a_plate(lambda v: v.mean(-1)), v.mean(-1))
    assert pc.twin(lambda: program(lambda v: v.mean(-1)), do={"v": 0.0})({"v": v})["do"]["y"].shape == (3,)


@pytest.mark.parametrize(
    "read",
    [lambda v: dist.Bernoulli(logits=0.1 * v.mean()), lambda v: dist.Normal(v.mean(), 1e3)],
    ids=["no value changes", "the noise is large"],
)
def test_small_differences_are_refused_too(read):
    def program():
        v = pyro.sample("v", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        pyro.sample("y", read(v))

    with pytest.raises(ProgramError, match="site 'y'"):
        pc.twin(program, do={"v": 0.0})({"y": torch.zeros(3)})


def test_rare_levels_are_tried():
    """A mechanism that a plate gets wrong for one level alone, which no unit of a prior sample would have."""

    def program():
        x = pyro.sample("x", dist.Bernoulli(1e-6))
        pyro.sample("y", dist.Categorical(logits=x * torch.tensor([1.0, -1.0, 0.5])))

    with pytest.raises(ProgramError, match="site 'y'"):
        pc.twin(program, do={"x": 1})({"x": torch.zeros(3), "y": torch.zeros(3)})


def test_plates_of_the_programs_own():
    def repeated():
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("times", 5):
            y = pyro.sample("y", dist.Normal(mean * torch.arange(5.0), 1.0))
        pyro.deterministic("last", y[..., -1:])

    model = pc.twin(repeated, do={"a": {"mean": 1.0}, "b": {"y": lambda y: y - y.mean()}})
    y = torch.randn(4, 5)
    trace = poutine.trace(model).get_trace({"mean": torch.zeros(4), "y": y})
    trace.compute_log_prob()
    assert trace.nodes["y@a"]["fn"].batch_shape == (4, 5) == trace.nodes["y@a"]["log_prob"].shape
    assert torch.allclose(trace.nodes["y@a"]["value"], y + torch.arange(5.0), atol=1e-6)
    assert torch.allclose(trace.nodes["y@b"]["value"], y - y.mean(-1, keepdim=True), atol=1e-6)
    assert torch.equal(trace.nodes["last@b"]["value"], trace.nodes["y@b"]["value"][:, -1:])
    single = nodes(model, {"mean": 0.0, "y": y[0]})
    assert torch.allclose(single["y@b"], y[0] - y[0].mean(), atol=1e-6)


def test_weights_that_units_share_are_inferred_from_all_of_them():
    def line():
        slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
        with pc.units():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(slope * x, 1.0))

    model = pc.twin(line, do={"x": 0.0})
    seen = {"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 2.0]}
    trace = poutine.trace(model).get_trace(seen)
    assert trace.nodes["slope"]["value"].shape == () and "slope@do" not in trace.nodes

    def proposal(_):
        pyro.sample("slope", dist.Normal(0.7, 0.5))

    log_weights, found, _ = vectorized_importance_weights(
        model, proposal, seen, num_samples=20_000, max_plate_nesting=1
    )
    weights = torch.softmax(log_weights, 0)
    # the posterior is N(11/15, 1/15), and y under do(x=0) is y - slope x. More than 10,000 effective draws:
    # standard errors below 0.003 (0.009 for the third unit), 0.05 is 5 of them: 6e-7
    y = (weights[:, None] * found.nodes["y@do"]["value"]).sum(0)
    truth = torch.tensor([1.0, 2.0, 2.0]) - 11 / 15 * torch.tensor([1.0, 2.0, 3.0])
    assert torch.allclose(y, truth, atol=0.05)
    assert not torch.allclose(
        y, torch.tensor([1.0, 2.0, 2.0]) - torch.tensor([1.0, 1.0, 2 / 3]) * 1.0, atol=0.1
    )


# ---- actions and values


def mediated():
    t = pyro.sample("t", dist.Normal(0.0, 1.0))
    m = pyro.sample("m", dist.Normal(2 * t, 1.0))
    pyro.sample("y", dist.Normal(t * m, 1.0 + t**2))


ACTIONS = {
    "hard": {"t": 1.0},
    "per unit": {"t": torch.tensor([0.0, 1.0, 2.0])},
    "function": {"m": lambda m: m + 1},
    "branching": {"m": lambda m: 1.0 if m > 0 else -1.0},
    "policy": {"m": pc.policy(lambda v: v["t"] > 0)},
    "natural": {"t": 1.0, "m": pc.natural(t=0.0)},
    "nested": {"t": 1.0, "m": pc.natural(t=pc.natural(t=torch.tensor([3.0, 4.0, 5.0])))},
    "edge": {"t": pc.edge(m=1.0)},
    "factual": {},
}


def test_every_action_does_what_it_does_in_an_scm():
    scm = pc.SCM(mediated)
    units = scm.sample(3, seed=0)
    truth = scm.counterfactual(units, do=ACTIONS).worlds
    found = nodes(pc.twin(scm, do=ACTIONS), dict(units))
    for world in ACTIONS:
        for name in ("t", "m", "y"):
            assert torch.allclose(found[f"{name}@{world}"], truth[world][name], atol=1e-5), (name, world)
    assert not torch.allclose(found["y@natural"], found["y@hard"], atol=0.1)  # they are not all the same


def test_drawn_actions_are_fresh_and_follow_the_seed():
    model = pc.twin(binary, do={"a": {"x": dist.Bernoulli(0.5)}, "one": {"x": 1}})
    seen = {"c": torch.zeros(100), "x": torch.zeros(100), "y": torch.zeros(100)}
    first, second = nodes(model, seen), nodes(model, seen)
    heads = first["x@a"] == 1
    assert torch.equal(first["y@a"][heads], first["y@one"][heads])  # the same noise of y
    assert not torch.equal(first["x@a"], second["x@a"])
    pyro.set_rng_seed(0)
    assert torch.equal(first["x@a"], nodes(model, seen)["x@a"])
    # of 100 fair coins, fewer than 20 or more than 80 come up heads: 1e-9
    assert 20 <= first["x@a"].sum() <= 80


def test_noise_that_evidence_does_not_determine_is_drawn_anew_in_every_call():
    model = pc.twin(binary, do={"a": {"x": 1}, "b": {"x": 1}})
    seen = {"c": torch.zeros(4000), "x": torch.zeros(4000), "y": torch.zeros(4000)}
    first, second = nodes(model, seen), nodes(model, seen)
    assert set(first) == {"units", "c", "x", "y", "c@a", "x@a", "y@a", "c@b", "x@b", "y@b"}
    assert torch.equal(first["y@a"], first["y@b"])
    assert not torch.equal(first["y@a"], second["y@a"])
    pyro.set_rng_seed(0)
    assert torch.equal(nodes(model, seen)["y@a"], first["y@a"])
    truth, no_abduction = (sigmoid(1) - sigmoid(-1)) / (1 - sigmoid(-1)), sigmoid(1)
    # standard error 0.008: 0.04 is 5 of it, 6e-7
    assert first["y@a"].mean().item() == pytest.approx(truth, abs=0.04)
    assert abs(no_abduction - truth) > 0.08  # the control would fail


def test_vector_mixture_and_computed_sites():
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        square = pyro.deterministic("square", x**2)
        centres = square[..., None, None] + torch.tensor([[0.0, 0.0], [3.0, 3.0]])
        components = dist.Normal(centres, 1.0).to_event(1)
        pyro.sample("y", dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), components))

    model = pc.twin(program, do={"x": 2.0})
    y = torch.randn(4, 2)
    for seen in ({"x": torch.ones(4), "y": y}, {"x": 1.0, "square": 1.0, "y": y[0]}):
        found = nodes(model, seen)
        assert (found["square@do"] == 4.0).all()
        assert torch.allclose(found["y@do"], found["y"] + 3.0, atol=1e-5)


def branches():
    if pyro.sample("x", dist.Normal(0.0, 1.0)) > 0:
        pyro.sample("a", dist.Normal(0.0, 1.0))
    else:
        pyro.sample("b", dist.Normal(0.0, 1.0))


def test_a_branch_that_only_other_worlds_take_draws_its_noise_once():
    model = pc.twin(branches, do={"p": {"x": 1.0}, "q": {"x": 2.0}, "r": {"x": -2.0}})
    with pytest.raises(ProgramError, match="branches"):
        model({"x": [1.0, -1.0]})
    first, second = nodes(model, {"x": -1.0, "b": 3.0}), nodes(model, {"x": -1.0, "b": 3.0})
    assert set(first) == {"x", "b", "x@p", "a@p", "x@q", "a@q", "x@r", "b@r"}
    assert first["a@p"] == first["a@q"] != second["a@p"] and first["b@r"] == 3.0
    with pytest.raises(EvidenceError, match="'b', which the program does not reach"):
        model({"x": 1.0, "b": 0.0})


def test_it_takes_tables_levels_and_fitted_scms():
    import pandas as pd

    level = torch.arange(300) % 3
    df = pd.DataFrame({"k": [("low", "mid", "high")[i] for i in level], "y": level + torch.randn(300)})
    scm = pc.SCM.from_graph("k -> y").fit(df, epochs=1, progress=False)
    model = pc.twin(scm, do={"k": "high"})
    truth = scm.counterfactual(df.head(1), do={"k": "high"})["y"]
    for seen in (df.iloc[0], df.head(1), {"k": "low", "y": df["y"][0]}):
        assert nodes(model, seen)["y@do"].item() == pytest.approx(truth.item(), abs=1e-4)


class Everything(PyroModule):
    """Every mechanism of the toolkit, with numbers, levels, counts and vectors as parents."""

    def __init__(self):
        super().__init__()
        self.level, self.number, self.yes, self.count = (
            m.Categorical(3),
            m.Continuous(),
            m.Bernoulli(),
            m.Poisson(),
        )
        self.vector, self.coupled, self.chained = m.Linear(dim=2), m.Coupling(3), m.Autoregressive(2)
        self.normal, self.spline, self.many = m.Normal(), m.Spline(), m.NegativeBinomial()

    def forward(self):
        level = pyro.sample("level", self.level())
        number = pyro.sample("number", self.number(level))
        yes = pyro.sample("yes", self.yes(level, number))
        count = pyro.sample("count", self.count(yes, number))
        vector = pyro.sample("vector", self.vector(number, level))
        coupled = pyro.sample("coupled", self.coupled(vector, number))
        chained = pyro.sample("chained", self.chained(coupled))
        normal = pyro.sample("normal", self.normal(chained, vector, count))
        spline = pyro.sample("spline", self.spline(normal, level))
        pyro.sample("many", self.many(spline))


def test_mechanisms_take_several_units():
    program = Everything()
    scm = pc.SCM(program)
    with torch.no_grad():  # unfitted, most ignore their parents
        for p in program.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    units = dict(scm.sample(5, seed=0))
    model = pc.twin(scm, do={"number": 1.0})
    together = poutine.trace(model).get_trace(units)
    alone = [poutine.trace(model).get_trace({n: x[i] for n, x in units.items()}) for i in range(5)]
    assert together.log_prob_sum().item() == pytest.approx(
        sum(t.log_prob_sum().item() for t in alone), rel=1e-5
    )
    for name in ("vector", "coupled", "chained", "normal", "spline"):
        each = torch.stack([one.nodes[f"{name}@do"]["value"] for one in alone])
        assert torch.allclose(together.nodes[f"{name}@do"]["value"], each, atol=1e-5), name
        assert not torch.allclose(each, units[name], atol=1e-3), name  # the action moved them


# ---- in the company of Pyro's handlers


def test_reparametrised_latents_keep_their_noise():
    def program():
        z = pyro.sample("z", dist.Normal(1.0, 2.0))
        pyro.sample("y", dist.Normal(z, 1.0))

    model = poutine.reparam(pc.twin(program, do={"z": lambda z: z + 1}), {"z": LocScaleReparam(0.0)})
    found = nodes(model, {"y": [3.0, 4.0]})
    assert "z_decentered" in found
    assert torch.allclose(found["z@do"], found["z"] + 1) and torch.allclose(
        found["y@do"], torch.tensor([4.0, 5.0])
    )


def test_automatic_guides_and_predictive_find_the_latents_alone():
    model = pc.twin(product, do=worlds(2))
    seen = {"x": torch.ones(3), "y": torch.arange(3.0)}
    guide = AutoNormal(model)
    assert set(guide(seen)) == {"z"}
    for parallel in (False, True):
        found = Predictive(model, guide=guide, num_samples=7, parallel=parallel)(seen)
        assert found["y@w1"].shape == (7, 3)
        assert torch.allclose(found["y@w1"], seen["y"] + 2 * found["z"], atol=1e-5)


def test_parameters_are_the_scms():
    class Line(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.Parameter(torch.tensor(2.0))

        def forward(self):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(self.slope * z, 1.0))

    line = Line()
    model = pc.twin(line, do={"z": 0.0})
    assert [p.data_ptr() for p in model.parameters()] == [line.slope.data_ptr()]
    guide = AutoNormal(model)
    guide({"y": 1.0})
    SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), Trace_ELBO()).step({"y": 1.0})
    assert line.slope == 2.0
    loss = Trace_ELBO()(model, guide)
    assert line.slope in set(loss.parameters())
    line.slope.grad = None
    loss({"y": 1.0}).backward()
    assert line.slope.grad is not None


# ---- errors


def test_misspelt_names():
    with pytest.raises(UnknownVariable, match="did you mean 'x'"):
        pc.twin(product, do={"xx": 1.0})
    with pytest.raises(UnknownVariable, match="did you mean 'x'"):
        pc.twin(product, do={"a": {"x": 1.0}, "b": {"xx": 1.0}})
    with pytest.raises(UnknownVariable, match="did you mean 'y'"):
        pc.twin(product, do={"x": 1.0})({"yy": 1.0})


@pytest.mark.parametrize("do", [{}, None, 1.0])
def test_no_action(do):
    with pytest.raises(InterventionError, match="names no action"):
        pc.twin(product, do=do)


def test_what_can_not_be_asked():
    with pytest.raises(InterventionError, match="submodel, under do\\(x\\)"):
        pc.twin(pc.SCM(product).do(x=1.0), do={"x": 2.0})
    with pytest.raises(DataError, match="differ in length"):
        pc.twin(product, do={"x": 1.0})({"x": [1.0, 2.0], "y": [1.0, 2.0, 3.0]})
    with pytest.raises(InterventionError, match="3 values for 2 units"):
        pc.twin(product, do={"x": torch.ones(3)})({"y": [1.0, 2.0]})
    with pytest.raises(InterventionError, match="random numbers of its own"):
        pc.twin(product, do={"x": lambda x: x + torch.randn(())})(SEEN)
    with pytest.raises(DataError, match="missing"):
        pc.twin(product, do={"x": 1.0})({"x": float("nan")})
    with pytest.raises(DataError, match="outside its support"):
        pc.twin(binary, do={"x": lambda x: x + 5})({"x": 1})


def test_actions_per_unit_say_how_many_units_there_are():
    assert nodes(pc.twin(product, do={"x": torch.ones(3)}))["z"].shape == (3,)
    assert nodes(pc.twin(product, do={"y": pc.natural(x=torch.ones(3))}))["z"].shape == (3,)


def test_evidence_that_contradicts():
    model = pc.twin(scenarios.deterministic, do={"x": 1.0})
    model({"x": [1.0, 2.0], "square": [1.0, 4.0]})
    with pytest.raises(EvidenceError, match="'square' contradicts"):
        model({"x": [1.0, 2.0], "square": [1.0, 5.0]})
