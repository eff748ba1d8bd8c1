"""The independences of a graph are tested on rows: right graphs pass at the stated rate, wrong ones fail."""

import pyro
import pyro.distributions as dist
import torch

import pyrocausal as pc
from pyrocausal.checks.implications import FAMILY, check_implications
from pyrocausal.checks.rows import Rows


def findings(scm, data, alpha=0.01, seed=0):
    return check_implications(Rows.of(scm, data), most=1000, alpha=alpha, seed=seed)[0]


def chain(extra=0.0):
    """Of mixed types; with `extra`, an edge that the model's graph lacks."""

    def program():
        sick = pyro.sample("sick", dist.Bernoulli(0.4))
        a = pyro.sample("a", dist.Normal(sick, 1.0))
        kind = pyro.sample("kind", dist.Categorical(logits=torch.stack([a, -a, sick + 0.0])))
        missed = extra * (kind == 1) if extra else 0.0
        b = pyro.sample("b", dist.Normal(torch.sin(2 * a) + missed, 0.5))
        pyro.sample("c", dist.Poisson(torch.exp(0.3 * b)))

    return program


def test_a_right_graph_passes_at_the_stated_rate():
    """40 samples at level 0.05 for the family: more than 8 alarms have a chance below 1e-4."""
    scm = pc.SCM(chain())
    alarms = 0
    rows = scm.sample(40 * 500, seed=0).to_pandas()
    for seed in range(40):
        found = findings(scm, rows[500 * seed : 500 * (seed + 1)], alpha=0.05, seed=seed)
        alarms += any(f.verdict != "pass" for f in found)
    assert [f.about for f in found][:2] == ["sick ⫫ b | a", "sick ⫫ c | b"]
    assert alarms <= 8


def test_a_missing_edge_is_flagged():
    found = findings(pc.SCM(chain()), pc.SCM(chain(0.5)).sample(1000, seed=0))
    bad = {f.about: f for f in found if f.verdict != "pass"}
    assert bad["kind ⫫ b | a"].verdict == "fail" and "add the edge" in bad["kind ⫫ b | a"].todo


def test_a_missing_symmetric_effect_is_flagged():
    def program(square):
        def one():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(square * x * x, 1.0))

        return one

    def apart():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(0.0, 1.0))

    rows = pc.SCM(program(0.5)).sample(1000, seed=0)
    assert findings(pc.SCM(apart), rows)[0].verdict == "fail"


def test_latents_count_as_hidden_and_computed_variables_are_left_out():
    def program():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(u, 1.0))
        y = pyro.sample("y", dist.Normal(u, 1.0))
        pyro.deterministic("sum", x + y)
        pyro.sample("z", dist.Normal(y, 1.0))

    scm = pc.SCM(program, latent=["u"])
    rows = {n: v for n, v in scm.sample(300, seed=0).items() if n != "u"}
    assert [f.about for f in findings(scm, rows)] == ["x ⫫ z | y"]
    full = pc.SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)))
    (nothing,) = findings(full, full.sample(60, seed=0))
    assert (nothing.check, nothing.verdict) == (FAMILY.check, "not run")
