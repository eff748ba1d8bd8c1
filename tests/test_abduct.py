"""Abduction: the noise given evidence, exactly or by importance sampling."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import pyrocausal as pc
from pyrocausal.errors import DataError, EvidenceError

from . import scenarios

# Tests of distributions reject a right answer with probability 1e-4 a piece; the seeds are fixed.
ALPHA = 1e-4


# ---- exact


def test_noise_of_a_linear_model_is_its_standardised_residual(confounded):
    e = {"z": torch.tensor([3.0, 1.0]), "x": torch.tensor([2.0, 0.0]), "y": torch.tensor([6.5, 1.0])}
    noise = confounded.abduct(e)
    assert torch.allclose(noise["z"], (e["z"] - 1) / 2)
    assert torch.allclose(noise["x"], e["x"] - 0.5 * e["z"])
    assert torch.allclose(noise["y"], (e["y"] - 2 * e["x"] - e["z"]) / 0.5)
    assert noise.diagnostics["method"] == "exact"


@pytest.mark.parametrize("case", scenarios.cases(scenarios.ALL))
def test_abducted_noise_of_samples_has_its_prior_law(case):
    """P(u) = E[P(u | x)]: pulled back from the model's own samples, noise has the law that it began with."""
    scm = case.scm()
    noise = scm.abduct(scm.sample(150 if not case.vectorised else 1500, seed=0), seed=1)
    for name, variable in scm.variables.items():
        if variable.law.kind in CDF:
            u = noise[name].reshape(len(noise[name]), -1)[:, 0]
            assert stats.kstest(u.double().numpy(), CDF[variable.law.kind]).pvalue > ALPHA, name


CDF = {
    "normal": stats.norm.cdf,
    "logistic": stats.logistic.cdf,
    "gumbel": stats.gumbel_r.cdf,
    "laplace": stats.laplace.cdf,
    "uniform": stats.uniform.cdf,
    "exponential": stats.expon.cdf,
}


def test_discrete_noise_given_its_value_is_a_truncated_logistic(bernoulli):
    n = 3000
    y = torch.cat([torch.zeros(n), torch.ones(n)])
    u = bernoulli.abduct({"x": torch.zeros(2 * n), "y": y}, seed=0)["y"].double()
    edge = 1.0  # y = 1 if u >= 1 at x = 0
    assert (u[:n] < edge).all() and (u[n:] >= edge).all()
    below = stats.logistic.cdf(u[:n]) / stats.logistic.cdf(edge)
    above = stats.logistic.sf(u[n:]) / stats.logistic.sf(edge)
    assert stats.kstest(below, "uniform").pvalue > ALPHA
    assert stats.kstest(above, "uniform").pvalue > ALPHA
    assert stats.kstest(u[:n], "logistic").pvalue < 1e-12  # control: the prior is not the posterior


def test_seeds_decide_the_draws(bernoulli):
    e = bernoulli.sample(20, seed=0)
    one, again, other = (bernoulli.abduct(e, seed=s)["y"] for s in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_draws_of_one_unit_differ(bernoulli):
    noise = bernoulli.abduct({"x": [0.0, 1.0], "y": [0.0, 1.0]}, num_samples=50, seed=0)
    assert noise["y"].shape == (50, 2) and noise.num_draws == 50 and noise.num_units == 2
    assert len(noise["y"][:, 0].unique()) == 50


def test_extreme_logits_round_trip():
    """At a logit of 90 uniform noise has no cell for the rare value; logistic noise has."""

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Bernoulli(logits=90.0 * x))

    scm = pc.SCM(program)
    e = {"x": torch.tensor([1.0, -1.0, 1.0, -1.0]), "y": torch.tensor([0.0, 1.0, 1.0, 0.0])}
    for seed in range(20):
        assert torch.equal(scm.predict(scm.abduct(e, seed=seed))["y"], e["y"])


# ---- latents: importance sampling


def latent_normal():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z + x, 1.0))


def test_importance_sampling_against_the_closed_form():
    """z ~ N(0, 1), y = z + x + u, x = 0, y = 3: z | e is N(1.5, 1/2), and Y_{x=2} = y + 2 whatever z."""
    draws = 40_000
    scm = pc.SCM(latent_normal, latent=["z"])
    found = scm.counterfactual({"x": [0.0], "y": [3.0]}, do={"x": 2.0}, num_samples=draws, seed=0)
    z = found.factual["z"][:, 0].double()
    ess = float(found.diagnostics["ess"][0])
    # w = N(3; z, 1): E[w]² / E[w²] = N(3; 0, 2)² / (N(0; 0, 2) N(3; 0, 3/2)) = 0.193
    assert abs(ess / draws - 0.193) < 0.01
    assert abs(z.mean() - 1.5) < 5 * math.sqrt(0.5 / ess)
    assert abs(z.var() - 0.5) < 5 * math.sqrt(2 * 0.25 / ess)
    assert torch.allclose(found["y"], torch.tensor(5.0), atol=1e-5)
    # control: the prior's draws, unweighted
    prior = scm.sample(draws, seed=0)["z"].double()
    assert abs(prior.mean() - 1.5) > 5 * math.sqrt(0.5 / ess)


def test_importance_sampling_where_the_counterfactual_is_uncertain():
    """y = z x + u; given x = 1, y = 2: z ~ N(1, ½), Y_{x=0} = 2 - z ~ N(1, ½), Y_{x=3} = 2 + 2z ~ N(4, 2)."""

    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(z * x, 1.0))

    scm = pc.SCM(program, latent=["z"])
    found = scm.counterfactual(
        {"x": [1.0], "y": [2.0]}, do={"none": {"x": 0.0}, "three": {"x": 3.0}}, num_samples=40_000, seed=0
    )
    n = float(found.diagnostics["ess"][0])
    for name, mean, variance in (("none", 1.0, 0.5), ("three", 4.0, 2.0)):
        y = found.worlds[name]["y"][:, 0].double()
        assert abs(y.mean() - mean) < 5 * math.sqrt(variance / n)
        assert abs(y.var() - variance) < 5 * math.sqrt(2 * variance**2 / n)
    control = scm.do(x=3.0).sample(40_000, seed=0)["y"]
    assert abs(control.mean() - 4.0) > 1


def test_a_discrete_latent_has_its_bayes_posterior():
    def program():
        k = pyro.sample("k", dist.Bernoulli(0.3))
        pyro.sample("y", dist.Normal(2.0 * k, 1.0))

    scm = pc.SCM(program, latent="k")
    n = 20_000
    k = scm.abduct({"y": [0.5]}, num_samples=n, seed=0).factual["k"]
    odds = 0.3 / 0.7 * math.exp(-0.5 * (1.5**2 - 0.5**2))
    p = odds / (1 + odds)
    assert abs(k.mean() - p) < 5 * math.sqrt(p * (1 - p) / n * 2)  # the weights cost less than half the draws
    assert abs(0.3 - p) > 5 * math.sqrt(p * (1 - p) / n * 2)  # the prior fails


def test_evidence_on_a_latent_makes_abduction_exact():
    scm = pc.SCM(latent_normal, latent=["z"])
    noise = scm.abduct({"x": [0.0], "y": [3.0], "z": [1.0]})
    assert noise.diagnostics["method"] == "exact"
    assert torch.allclose(noise["y"], torch.tensor(2.0))


def test_each_unit_has_its_own_weights():
    scm = pc.SCM(latent_normal, latent=["z"])
    noise = scm.abduct({"x": [0.0, 0.0], "y": [2.0, -2.0]}, num_samples=5000, seed=0)
    assert noise.diagnostics["log_weights"].shape == (5000, 2)
    means = noise["z"].mean(0)
    assert abs(means[0] - 1) < 0.1 and abs(means[1] + 1) < 0.1


def test_a_poor_effective_sample_size_warns(caplog):
    scm = pc.SCM(latent_normal, latent=["z"])
    with caplog.at_level("WARNING", "pyrocausal"):
        scm.abduct({"x": [0.0], "y": [0.0]}, seed=0)
        assert not caplog.records
        scm.abduct({"x": [0.0], "y": [9.0]}, method="importance", seed=0)
    assert "effective sample size" in caplog.text and "Raise num_samples" in caplog.text


def test_a_masked_site_tells_nothing_of_the_latent():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(z, 0.1).mask(False))

    noise = pc.SCM(program, latent=["z"]).abduct({"y": [5.0]}, num_samples=2000, seed=0)
    assert abs(noise["z"].mean()) < 0.12
    assert torch.allclose(
        noise["z"] + 0.1 * noise["y"], torch.tensor(5.0), atol=1e-4
    )  # and the mechanism still holds


# ---- the submodel


def test_noise_of_a_replaced_variable_keeps_its_prior(confounded):
    """In the world do(x=1) the cause of x's own value is unknown: its noise is drawn, not pulled."""
    units = confounded.do(x=1.0).sample(2000, seed=0)
    noise = confounded.do(x=1.0).abduct(units, seed=1)
    assert stats.kstest(noise["x"].double().numpy(), "norm").pvalue > ALPHA
    assert torch.allclose(noise["y"], (units["y"] - 2 - units["z"]) / 0.5, atol=1e-4)


def replays(submodel, units, seed=1) -> bool:
    """Abduction in a submodel, then prediction in it, gives its own units back."""
    noise = submodel.abduct(units, seed=seed)
    again = submodel.predict(noise, seed=seed)
    return all(torch.allclose(again[v], units[v], atol=1e-4) for v in units)


@pytest.mark.parametrize(
    "action",
    [
        1.0,
        [0.0, 1.0, 2.0, 3.0],
        pc.policy(lambda v: v["z"] + 1),
        dist.Normal(0.0, 1.0),
    ],
    ids=["value", "per unit", "policy", "distribution"],
)
def test_a_submodel_replays_its_own_units(confounded, action):
    submodel = confounded.do(x=action)
    assert replays(submodel, submodel.sample(4, seed=0))


def test_evidence_on_a_randomised_variable_is_used(confounded):
    """In a trial x is drawn afresh, and observed: y's noise follows from the x that was."""
    trial = confounded.do(x=dist.Normal(0.0, 1.0))
    e = {"z": torch.tensor([1.0, 0.0]), "x": torch.tensor([2.0, -1.0]), "y": torch.tensor([5.5, -2.5])}
    assert torch.allclose(trial.abduct(e, seed=0)["y"], torch.tensor([1.0, -1.0]), atol=1e-5)


@pytest.mark.parametrize(
    "action",
    [
        7.0,
        pc.policy(lambda v: v["z"] + 7),
    ],
    ids=["value", "policy"],
)
def test_evidence_that_contradicts_an_action(confounded, action):
    e = error(confounded.do(x=action), {"z": [0.0, 0.0], "x": [7.0, 8.0], "y": [0.0, 0.0]})
    assert "'x'" in e.what and "row 1" in e.what and "set by do" in e.why


# ---- at the door


def error(scm, evidence, **options):
    with pytest.raises(pc.PyrocausalError) as caught:
        scm.abduct(evidence, **options)
    return caught.value


def test_a_variable_without_evidence_is_not_taken_for_latent(confounded):
    e = error(confounded, {"x": [1.0], "y": [1.0]})
    assert "'z'" in e.what and "latent" in e.fix and isinstance(e, EvidenceError)


def test_a_misspelt_name(confounded):
    e = error(confounded, {"zz": [1.0], "x": [1.0], "y": [1.0]})
    assert "'zz'" in e.what and "z, x, y" in e.why and "'z'" in e.fix


def test_wrong_lengths(confounded):
    e = error(confounded, {"z": [1.0, 2.0], "x": [1.0], "y": [1.0]})
    assert isinstance(e, DataError) and "length" in e.what and "'z' has 2" in e.what


def test_missing_values(confounded):
    e = error(confounded, {"z": [1.0, float("nan")], "x": [1.0, 1.0], "y": [1.0, 1.0]})
    assert "'z'" in e.what and "row 1" in e.what and e.fix


def test_infinite_values(confounded):
    assert "row 0" in error(confounded, {"z": [math.inf], "x": [1.0], "y": [1.0]}).what


def test_values_outside_the_support(bernoulli):
    e = error(bernoulli, {"x": [0.0, 2.0], "y": [0.0, 0.0]})
    assert "'x' is 2 in row 1" in e.what and "{0, 1}" in e.why


def test_values_that_the_parents_forbid():
    def program():
        x = pyro.sample("x", dist.Uniform(1.0, 2.0))
        pyro.sample("y", dist.Uniform(torch.zeros(()), x))

    scm = pc.SCM(program)
    assert torch.allclose(scm.abduct({"x": [1.5], "y": [1.2]})["y"], torch.tensor([0.8]))
    e = error(scm, {"x": [1.9, 1.5], "y": [1.8, 1.8]})
    assert "'y'" in e.what and "row 1" in e.what and "'x'" in e.why


def test_evidence_that_contradicts_a_deterministic_site():
    scm = scenarios.named("deterministic").scm()
    scm.abduct({"x": [2.0], "square": [4.0], "y": [1.0]})
    e = error(scm, {"x": [2.0, 2.0], "square": [4.0, 5.0], "y": [1.0, 1.0]})
    assert "'square'" in e.what and "row 1" in e.what and "4 and not 5" in e.why


def test_evidence_that_contradicts_a_delta():
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        double = pyro.sample("double", dist.Delta(2 * x))
        pyro.sample("y", dist.Normal(double, 1.0))

    scm = pc.SCM(program)
    assert torch.allclose(scm.abduct({"x": [1.0], "y": [3.0]})["y"], torch.tensor([1.0]))
    assert "'double'" in error(scm, {"x": [1.0], "double": [3.0], "y": [3.0]}).what


def test_no_rows(confounded):
    assert "no rows" in error(confounded, {"z": [], "x": [], "y": []}).what


def test_no_table(confounded):
    assert "list is no table" in error(confounded, [1.0, 2.0]).what


def test_unknown_engines_and_numbers_of_draws(confounded):
    units = confounded.sample(1)
    assert "'exat'" in error(confounded, units, method="exat").what
    for number in (0, -1, 2.5):
        assert str(number) in error(confounded, units, num_samples=number).what


def test_exact_abduction_with_a_latent_is_refused():
    scm = pc.SCM(latent_normal, latent=["z"])
    e = error(scm, {"x": [0.0], "y": [0.0]}, method="exact")
    assert "'z' is latent" in e.what and "importance" in e.fix


def test_impossible_evidence_with_a_latent():
    def program():
        k = pyro.sample("k", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Uniform(k, k + 1.0))

    e = error(pc.SCM(program, latent=["k"]), {"y": [5.0]})
    assert "row 0" in e.what and isinstance(e, EvidenceError)


def test_evidence_under_an_action_on_its_natural_value(confounded):
    """The natural value behind x + 1 can't be known, whether x is evidence or not: one fix for both."""
    shifted = confounded.do(x=lambda v: v + 1)
    for evidence in ({"z": [1.0], "x": [1.0], "y": [1.0]}, {"z": [1.0], "y": [1.0]}):
        e = error(shifted, evidence)
        assert "'x'" in e.what and "without that action" in e.fix


def test_evidence_from_a_nested_world(confounded):
    e = error(confounded.do(x=pc.natural(z=0.0)), confounded.sample(2, seed=0))
    assert "natural" in e.what and e.fix


def test_a_trial_that_was_seen_weighs_by_what_was_assigned():
    """Under do(x ~ D) with x seen, the latent is weighed at that x and not at another draw of D."""

    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(z, 1.0))
        pyro.sample("y", dist.Normal(z + x, 1.0))

    trial = pc.SCM(program, latent=["z"]).do(x=dist.Normal(0.0, 5.0))
    noise = trial.abduct({"x": [0.0], "y": [3.0]}, method="importance", num_samples=20_000, seed=0)
    # E[z | do(x = 0), y = 3] = 1.5 with variance 1/2; 5 standard errors at an ESS above 5,000
    assert abs(noise.mean("z")[0] - 1.5) < 5 * (0.5 / 5000) ** 0.5
