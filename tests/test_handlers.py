"""`do`, `abduct` and `predict` on bare Pyro programs."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import MCMC, NUTS

import pyrocausal as pc
from pyrocausal.errors import InterventionError, UnknownVariable


def program():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    t = pyro.sample("t", dist.Bernoulli(logits=x))
    pyro.sample("y", dist.Normal(2.0 * x + 3.0 * t, 1.0))


def test_the_three_steps_equal_the_closed_form():
    noise = pc.abduct(program, {"x": [1.0], "t": [0.0], "y": [2.5]})
    assert pc.predict(pc.do(program, t=1), noise)["y"].item() == pytest.approx(2.0 + 3.0 + 0.5)
    fresh = pc.predict(pc.do(program, t=1), pc.abduct(program, {"x": [1.0], "t": [0.0], "y": [9.5]}))
    assert fresh["y"].item() != pytest.approx(5.5)  # the negative control: another unit's noise


def test_an_outer_trace_records_the_enforced_value():
    trace = pyro.poutine.trace(pc.do(program, t=1.0)).get_trace()
    trace.compute_log_prob()
    assert trace.nodes["t"]["value"] == 1.0
    assert trace.nodes["t"]["log_prob_sum"] == 0.0 != trace.nodes["y"]["log_prob_sum"]


def test_do_around_do_acts_on_the_submodel():
    twice = pc.do(pc.do(program, x=1.0), x=lambda v: v + 1)
    assert pyro.poutine.trace(twice).get_trace().nodes["x"]["value"] == 2.0
    assert pyro.poutine.trace(pc.do(pc.do(program, x=1.0), x=5.0)).get_trace().nodes["x"]["value"] == 5.0


def test_policies_and_distributions():
    values = pyro.poutine.trace(pc.do(program, x=1.0, t=pc.policy(lambda v: v["x"] > 0))).get_trace().nodes
    assert values["t"]["value"] == 1.0
    drawn = pyro.poutine.trace(pc.do(program, x=dist.Delta(torch.tensor(4.0)))).get_trace().nodes
    assert drawn["x"]["value"] == 4.0


def test_it_works_on_programs_with_plates_and_observed_sites_in_any_inference():
    data = torch.tensor([3.0, 3.2, 2.8, 3.1])

    def model():
        mean = pyro.sample("mean", dist.Normal(0.0, 10.0))
        shift = pyro.sample("shift", dist.Normal(0.0, 10.0))
        with pyro.plate("rows", 4):
            pyro.sample("y", dist.Normal(mean + shift, 0.1), obs=data)

    pyro.set_rng_seed(0)
    chain = MCMC(NUTS(pc.do(model, shift=1.0)), num_samples=100, warmup_steps=100, disable_progbar=True)
    chain.run()
    samples = chain.get_samples()
    assert set(samples) == {"mean"}
    # posterior sd of the mean is 0.05: 0.05 is beyond ten standard errors of 100 correlated draws
    assert samples["mean"].mean().item() == pytest.approx(3.025 - 1.0, abs=0.05)


def test_errors():
    with pytest.raises(UnknownVariable, match="did you mean 't'"):
        pc.do(program, tt=1.0)()
    with pytest.raises(InterventionError, match="second world"):
        pc.do(program, y=pc.natural(t=0))()
    with pytest.raises(InterventionError, match="without an action"):
        pc.do(program)
