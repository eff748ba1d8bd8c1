"""Abducted noise: a right model passes at the stated rate, wrong ones are flagged."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import pyrocausal as pc
from pyrocausal.checks.noise import LAW, OTHERS, PARENTS, check_noise, distribution_function
from pyrocausal.checks.rows import Rows

FAMILIES = (LAW.check, PARENTS.check, OTHERS.check)


def right():
    z = pyro.sample("z", dist.Normal(1.0, 2.0))
    sick = pyro.sample("sick", dist.Bernoulli(logits=z))
    kind = pyro.sample("kind", dist.Categorical(logits=torch.stack([z, -z, sick])))
    visits = pyro.sample("visits", dist.Poisson(torch.exp(sick + 0.1 * z)))
    pair = pyro.sample("pair", dist.MultivariateNormal(torch.stack([z, sick]), torch.eye(2) + 0.5))
    pyro.sample("y", dist.Gamma(2.0, torch.exp(0.2 * pair.sum() - kind / 2 + 0.1 * visits)))


def findings(scm, data, alpha=0.01, seed=0, most=1000):
    return check_noise(Rows.of(scm, data), most=most, alpha=alpha, seed=seed)[0]


def flagged(found):
    return {(f.check, f.about): f.verdict for f in found if f.verdict != "pass"}


def test_a_right_model_passes_at_the_stated_rate():
    """40 samples, three families at level 0.05: more than 8 alarms in one have a chance of 1e-4."""
    scm = pc.SCM(right)
    alarms = dict.fromkeys(FAMILIES, 0)
    rows = scm.sample(40 * 200, seed=0).to_pandas()
    for seed in range(40):
        found = findings(scm, rows[200 * seed : 200 * (seed + 1)], alpha=0.05, seed=seed)
        for check in FAMILIES:
            alarms[check] += any(f.verdict != "pass" for f in found if f.check == check)
    assert max(alarms.values()) <= 8
    assert {f.about for f in found if f.check == LAW.check} == set(scm.variables)
    assert sum(f.check == OTHERS.check for f in found) == 15


def known(program):
    """Rows of a program in which something differs from the model."""
    return pc.SCM(program).sample(1000, seed=0)


def model_of(mean=lambda x: 2 * x, spread=lambda x: 1.0, law=dist.Normal):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", law(mean(x), spread(x)))

    return program


@pytest.mark.parametrize(
    "truth",
    [
        model_of(mean=lambda x: 2 * x + x**2 / 2),
        model_of(spread=lambda x: torch.exp(x / 2)),
        model_of(torch.sin),
    ],
    ids=["a bend", "a spread", "another slope"],
)
def test_a_wrong_function_is_noise_that_depends_on_the_cause(truth):
    found = findings(pc.SCM(model_of()), known(truth))
    assert flagged(found)[PARENTS.check, "y"] == "fail"
    assert "how x acts" in next(f.meaning for f in found if f.check == PARENTS.check)


def test_a_missing_interaction_is_seen_in_the_causes_together():
    def truth(strength):
        def program():
            a = pyro.sample("a", dist.Normal(0.0, 1.0))
            b = pyro.sample("b", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(a + b + strength * a * b, 1.0))

        return program

    found = findings(pc.SCM(truth(0.0)), known(truth(1.0)))
    assert flagged(found)[PARENTS.check, "y"] == "fail"


def test_a_wrong_law_is_flagged():
    skewed = model_of(law=lambda mean, _: dist.Gumbel(mean - 0.4500, 0.7797))  # mean 0, sd 1
    marks = flagged(findings(pc.SCM(model_of()), known(skewed)))
    assert set(marks) == {(LAW.check, "y")} and marks[LAW.check, "y"] == "warn"  # a gap of six per cent
    wide = model_of(spread=lambda x: 2.0)
    assert flagged(findings(pc.SCM(model_of()), known(wide)))[LAW.check, "y"] == "fail"


def discrete(shift):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("sick", dist.Bernoulli(logits=shift * x))
        pyro.sample("kind", dist.Categorical(logits=torch.stack([shift * x, -x, torch.zeros(())])))

    return program


def test_wrong_discrete_mechanisms_are_flagged():
    assert not flagged(findings(pc.SCM(discrete(1.0)), known(discrete(1.0))))
    marks = flagged(findings(pc.SCM(discrete(1.0)), known(discrete(-1.0))))
    assert {(PARENTS.check, "sick"), (PARENTS.check, "kind")} <= set(marks)


def test_a_hidden_common_cause_is_noise_that_depends_on_noise():
    def truth():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(0.6 * u, 0.8))
        pyro.sample("y", dist.Normal(2 * x + 0.6 * u, 0.8))

    rows = {n: v for n, v in known(truth).items() if n != "u"}
    marks = flagged(findings(pc.SCM(model_of(lambda x: 2 * x)), rows))
    assert marks[OTHERS.check, "x, y"] == "fail"


def test_latents_and_weights_are_said_not_to_be_checked():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0))

    found = findings(pc.SCM(program, latent=["z"]), {"x": np.zeros(60)})
    assert [f.verdict for f in found] == ["not run"] * 3 and "check_abduction" in found[0].meaning


@pytest.mark.parametrize(
    "kind, law", [("normal", stats.norm), ("logistic", stats.logistic), ("gumbel", stats.gumbel_r)]
)
def test_the_distribution_function_is_that_of_the_law(kind, law):
    u = torch.linspace(-3, 3, 7)
    assert distribution_function(pc.Law(kind, ()), u)[:, 0] == pytest.approx(law.cdf(u.numpy()), abs=1e-6)
    assert distribution_function(pc.Law("none", ()), u) is None


def test_vectors_are_looked_at_by_coordinates():
    joint = pc.Law("joint", (3,), (pc.Law("normal", (2,)), pc.Law("uniform", ())))
    uniform = distribution_function(joint, joint.sample(50, torch.Generator().manual_seed(0)))
    assert uniform.shape == (50, 3) and uniform.min() > 0 and uniform.max() < 1
    image = distribution_function(pc.Law("normal", (1, 28, 28)), torch.randn(4, 1, 28, 28))
    assert image.shape == (4, 20)
