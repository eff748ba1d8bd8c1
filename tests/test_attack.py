"""What a new user found: evidence that was passed over, guides that can't reach, errors that said nothing."""

import logging
import math

import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import pyrocausal as pc
from pyrocausal.errors import DataError, EvidenceError, FitError, ProgramError, PyrocausalError, SaveError
from pyrocausal.guides import Amortized, GuideError

nan = float("nan")


def shifted(base, by):
    return dist.TransformedDistribution(base, dist.transforms.AffineTransform(by, torch.tensor(1.0)))


# ---- evidence that is impossible


BOUNDED = {
    "Exponential": lambda: dist.Exponential(1.0),
    "HalfNormal": lambda: dist.HalfNormal(1.0),
    "Weibull": lambda: dist.Weibull(1.0, 2.0),
    "Gamma": lambda: dist.Gamma(2.0, 1.0),
    "Uniform": lambda: dist.Uniform(0.0, 1.0),
    "LogNormal": lambda: dist.LogNormal(0.0, 1.0),
    "sigmoid": lambda: dist.TransformedDistribution(
        dist.Normal(0.0, 1.0), dist.transforms.SigmoidTransform()
    ),
    "composed": lambda: dist.TransformedDistribution(
        dist.Normal(0.0, 1.0),
        dist.transforms.ComposeTransform(
            [dist.transforms.ExpTransform(), dist.transforms.AffineTransform(0.0, 2.0)]
        ),
    ),
    "mixture": lambda: dist.MixtureSameFamily(
        dist.Categorical(torch.tensor([0.3, 0.7])), dist.Exponential(torch.tensor([1.0, 2.0]))
    ),
}


@pytest.mark.parametrize("base", BOUNDED.values(), ids=BOUNDED)
def test_impossible_evidence_is_an_error_whatever_the_family(base):
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("y", shifted(base(), z))

    scm = pc.SCM(program)
    with pytest.raises(EvidenceError, match=r"'y' has probability zero.*row 1"):
        scm.abduct({"z": [0.0, 3.0], "y": [0.5, 0.3]})
    assert scm.log_prob({"z": [3.0], "y": [0.3]}).tolist() == [-math.inf]


@pytest.mark.parametrize("base", BOUNDED.values(), ids=BOUNDED)
def test_a_level_that_makes_the_evidence_impossible_has_probability_zero(base):
    def program():
        k = pyro.sample("k", dist.Bernoulli(0.5))
        pyro.sample("y", shifted(base(), 3.0 * k))

    scm = pc.SCM(program)
    assert scm.infer("k", given={"y": [0.5]}).probs[0].tolist() == [1.0, 0.0]
    cf = scm.counterfactual({"k": [nan], "y": [0.5]}, do={"k": 1}, missing="abduct", seed=0)
    assert cf.mean("y").item() == pytest.approx(3.5, abs=1e-5)
    alone = math.log(0.5) + base().log_prob(torch.tensor(0.5)).item()
    assert pc.SCM(program, latent=["k"]).log_prob({"y": [0.5]}).item() == pytest.approx(alone, abs=1e-5)


def test_a_latent_bound():
    """income ~ Pareto(z, 3) above z ~ U(0.5, 5): given income 1, z lies below it, with density in z³."""

    def program():
        z = pyro.sample("z", dist.Uniform(0.5, 5.0))
        pyro.sample("income", dist.Pareto(z, 3.0))

    noise = pc.SCM(program, latent=["z"]).abduct({"income": [1.0]}, num_samples=5000, seed=0)
    grid = torch.linspace(0.5, 1.0, 10_001, dtype=torch.double)
    truth = (grid**4).mean() / (grid**3).mean()
    z = noise.factual["z"]
    assert z.max() <= 1.0
    assert abs(z.mean() - truth) < 5 * z.std() / noise.diagnostics["ess"].item() ** 0.5  # false alarms: 6e-7


# ---- evidence on what is computed, or set by a policy


def computed():
    k = pyro.sample("k", dist.Categorical(torch.ones(4) / 4))
    pyro.deterministic("d", (k >= 2).float())
    pyro.sample("y", dist.Normal(1.0 * k, 1.0))


def test_evidence_on_a_computed_variable_counts():
    assert pc.SCM(computed).infer("k", given={"d": [1.0]}).probs[0].tolist() == [0.0, 0.0, 0.5, 0.5]
    scm = pc.SCM(computed, latent=["k"])
    seen = {"d": [1.0], "y": [1.0]}
    each = [0.25 * stats.norm(k).pdf(1.0) for k in (2, 3)]
    assert scm.log_prob(seen).item() == pytest.approx(math.log(sum(each)), abs=1e-5)
    assert scm.infer("k", given=seen).probs[0, 2].item() == pytest.approx(each[0] / sum(each), abs=1e-6)
    assert pc.SCM(computed).log_prob({"k": [1], "d": [1.0], "y": [1.0]}).tolist() == [-math.inf]
    y = pc.SCM(computed).infer("y", given={"d": [1.0]}, num_samples=4000, seed=0)["y"]
    assert y.mean().item() == pytest.approx(2.5, abs=0.1)  # sd 1.12 / sqrt(4000 / 2), times four


def test_evidence_on_what_a_policy_sets_counts():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        t = pyro.sample("t", dist.Bernoulli(logits=z))
        pyro.sample("y", dist.Normal(z + t, 1.0))

    treated_if_ill = pc.SCM(program, latent=["z"]).do(t=pc.policy(lambda v: (v["z"] > 0).float()))
    noise = treated_if_ill.abduct({"t": [1, 0], "y": [1.0, 1.0]}, num_samples=4000, seed=0)
    mean = noise.factual.mean("z")  # N(0, 1/2) above 0, and N(1/2, 1/2) below it
    sd = 0.5**0.5
    truth = stats.truncnorm(0, math.inf, 0, sd).mean(), stats.truncnorm(-math.inf, -0.5 / sd, 0.5, sd).mean()
    assert mean.numpy() == pytest.approx(truth, abs=0.06)
    assert (noise.factual["z"][:, 0] > 0).all() and (noise.factual["z"][:, 1] <= 0).all()


def test_a_missing_cell_of_a_computed_variable_says_nothing():
    def program():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        b = pyro.deterministic("b", 2 * a)
        pyro.sample("y", dist.Normal(b, 1.0))

    scm = pc.SCM(program)
    cf = scm.counterfactual(
        {"a": [1.0, 1.0], "b": [nan, 2.0], "y": [1.0, 1.0]}, do={"a": 0.0}, missing="abduct"
    )
    assert cf["y"].tolist() == [-1.0, -1.0]


def test_what_agrees_does_not_hang_on_other_rows():
    def program():
        k = pyro.sample("k", dist.Categorical(torch.ones(3) / 3))
        x = pyro.sample("x", dist.Normal(0.0, 1e5))
        pyro.deterministic("d", x + k)
        pyro.sample("y", dist.Normal(1.0 * k, 1.0))

    found = pc.SCM(program).infer("k", given={"x": [0.0, 1e5], "d": [1.0, 1e5 + 1]}).probs
    assert found.tolist() == [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]


def test_small_and_whole_numbers_are_told_apart():
    def program():
        k = pyro.sample("k", dist.Categorical(torch.ones(3) / 3))
        n = pyro.sample("n", dist.Poisson(1e5))
        pyro.deterministic("small", 1e-5 * k)
        pyro.deterministic("count", n + k)

    scm = pc.SCM(program)
    assert scm.infer("k", given={"small": [2e-5]}).probs[0].tolist() == [0.0, 0.0, 1.0]
    assert scm.infer("k", given={"n": [1e5], "count": [1e5 + 1]}).probs[0].tolist() == [0.0, 1.0, 0.0]


def test_infer_refuses_evidence_that_no_level_explains():
    with pytest.raises(EvidenceError, match="explains the evidence in row 1"):
        pc.SCM(computed).infer("k", given={"d": [1.0, 7.0]})


@pytest.mark.parametrize("method", ["importance", "enumerate", "auto"])
def test_missing_cells_of_computed_and_set_variables_say_nothing(method):
    def program():
        a, b = (pyro.sample(name, dist.Bernoulli(0.5)) for name in "ab")
        pyro.deterministic("yes", a > 0.5)
        pyro.deterministic("sum", (a + b).long())
        pyro.sample("y", dist.Normal(a + b, 1.0))

    scm = pc.SCM(program, latent=["a", "b"])
    told = {"yes": [nan, 1.0], "sum": [2, None], "y": [1.0, 1.0]}
    noise = scm.abduct(told, missing="abduct", method=method, seed=0)
    assert noise.factual.mean("a").tolist() == pytest.approx([1.0, 1.0])
    assert noise.factual.mean("b").tolist() == pytest.approx([1.0, 1 / (1 + math.exp(0.5))], abs=0.06)


def test_a_missing_cell_of_what_a_policy_sets_says_nothing():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        t = pyro.sample("t", dist.Bernoulli(logits=z))
        pyro.sample("y", dist.Normal(z + t, 1.0))

    scm = pc.SCM(program, latent=["z"]).do(t=pc.policy(lambda v: (v["z"] > 0).float()))
    options = {"method": "importance", "num_samples": 20_000, "seed": 0}
    missing = scm.abduct({"t": [nan, 1], "y": [1.0, 1.0]}, missing="abduct", **options)
    without = scm.abduct({"y": [1.0]}, **options)
    assert missing.factual.mean("z")[0].item() == pytest.approx(without.factual.mean("z").item(), abs=0.03)


def test_evidence_below_a_fresh_draw_is_refused():
    """Its draw has a posterior, and was once frozen at one value as if it were known."""

    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        w = pyro.sample("w", dist.Normal(z, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0))
        pyro.sample("y", dist.Normal(z + w, 1.0))

    trial = pc.SCM(program, latent=["z"]).do(w=dist.Normal(0.0, 1.0))
    with pytest.raises(EvidenceError, match=r"'w' is drawn afresh.*'y' depends on it"):
        trial.abduct({"x": [2.0], "y": [3.0]})
    with pytest.raises(EvidenceError, match="'w' is drawn afresh"):
        trial.infer("z", given={"y": [3.0]})
    alone = {"x": [2.0], "y": [nan]}  # which does not hang on it
    z = trial.abduct(alone, missing="abduct", num_samples=4000, seed=0).factual["z"]
    assert z.mean().item() == pytest.approx(1.0, abs=0.06)
    known = trial.abduct({"x": [2.0], "w": [1.0], "y": [3.0]}, num_samples=4000, seed=0).factual["z"]
    assert known.mean().item() == pytest.approx(4 / 3, abs=0.05)


def test_the_ends_of_a_uniform_are_in_it():
    def program():
        k = pyro.sample("k", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Uniform(0.0, 1.0 + k))

    assert pc.SCM(program).infer("k", given={"y": [1.0]}).probs[0, 1].item() == pytest.approx(1 / 3)


def test_training_passes_over_computed_columns():
    """Rounded, they would contradict every draw; what they are computed from is there."""
    scm = pc.SCM(computed, latent=["k"])
    with pytest.raises(FitError, match="no parameters"):
        scm.fit({"d": [0.49] * 20, "y": [0.1] * 20}, progress=False)


# ---- guides


def cause():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z, 1.0))


def waits():
    z = pyro.sample("z", dist.Exponential(1.0))
    pyro.sample("y", dist.Normal(z, 0.5))


CAN_NOT = {
    "beyond the support": (waits, lambda y: dist.Normal(y + 50.0, 1.0), "values of 'z' that it can't have"),
    "short of the support": (cause, lambda y: dist.LogNormal(y, 1.0), "never draws some values"),
    "a point": (cause, lambda y: dist.Delta(y / 2), "a single value"),
    "not a number": (cause, lambda y: dist.Normal(y / 0 * 0, 1.0), "can't be, for a unit drawn"),
    "a distribution for a function": (cause, dist.Normal(0.0, 1.0), "pass a module instance or a function"),
}


@pytest.mark.parametrize("what", CAN_NOT)
def test_guides_that_can_not_reach_the_posterior(what):
    program, encoder, says = CAN_NOT[what]
    with pytest.raises(GuideError, match=says):
        pc.SCM(program, latent=["z"], guide=Amortized(z=encoder))


def test_bounds_that_hang_on_the_evidence_are_no_fault():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Uniform(z - 1.0, z + 1.0))

    scm = pc.SCM(program, latent=["z"], guide=Amortized(z=lambda y: dist.Uniform(y - 1.0, y + 1.0)))
    noise = scm.abduct({"y": [1.0]}, num_samples=4000, seed=0)
    assert noise.factual.mean("z").item() == pytest.approx(stats.truncnorm(0, 2).mean(), abs=0.05)


def test_a_guide_that_fails_for_some_unit_is_named_and_not_the_evidence():
    scm = pc.SCM(cause, latent=["z"], guide=Amortized(z=lambda y: dist.Normal(y / 2, (y + 100.0).log())))
    with pytest.raises(GuideError, match="no distribution for the evidence of row 1"):
        scm.abduct({"y": [0.0, -200.0]}, seed=0)


@pytest.mark.parametrize(["mean", "sd"], [(100.0, 15.0), (3e5, 1e5), (1000.0, 0.1)])
def test_default_encoders_work_in_natural_units(mean, sd):
    def program():
        z = pyro.sample("z", dist.Normal(mean, sd))
        pyro.sample("y", dist.Normal(z, sd))

    scm = pc.SCM(program, latent=["z"], guide=Amortized("z"))
    y = mean + sd * torch.tensor([0.0, 1.0])
    untrained = scm.abduct({"y": y}, num_samples=2000, seed=0).factual.mean("z")
    assert ((untrained - mean) / sd).numpy() == pytest.approx([0.0, 0.5], abs=0.1)  # weights mend it
    data = mean + 2**0.5 * sd * torch.randn(500, generator=torch.Generator().manual_seed(0))
    scm.fit({"y": data}, only=["guide"], epochs=30, progress=False)
    trained = scm.abduct({"y": y}, method="guide", num_samples=2000, seed=0).factual.mean("z")
    assert ((trained - mean) / sd).numpy() == pytest.approx([0.0, 0.5], abs=0.15)
    assert scm.elbo({"y": [1e9]}).isfinite().all()


def test_auto_follows_gradients_where_a_guide_misses():
    scm = pc.SCM(cause, latent=["z"], guide=Amortized(z=lambda y: dist.Normal(y + 3.0, 0.2)))
    noise = scm.abduct({"y": [1.0]}, seed=0)
    assert noise.diagnostics["method"] == "svi"
    assert noise.factual.mean("z").item() == pytest.approx(0.5, abs=0.1)


def test_a_perfect_guide_does_not_warn(caplog):
    def program():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(u, 1.0))
        pyro.sample("y", dist.Normal(2 * u + 3 * x, 0.5))

    guide = Amortized(u=lambda x, y: dist.Normal((x + 8 * (y - 3 * x)) / 18, 18**-0.5))
    with caplog.at_level(logging.WARNING, "pyrocausal"):
        pc.SCM(program, latent=["u"], guide=guide).abduct(
            {"x": [1.0, -1.0, 0.0], "y": [4.0, 0.0, 10.0]}, seed=0
        )
    assert not caplog.records


def test_a_guide_in_a_submodel_says_what_it_was_trained_for(caplog):
    scm = pc.SCM(cause, latent=["z"], guide=Amortized(z=lambda y: dist.Normal(y / 2, 0.5**0.5)))
    with caplog.at_level(logging.WARNING, "pyrocausal"):
        scm.do(z=lambda z: z + 1).abduct({"y": [1.0]}, method="guide", seed=0)
    assert "trained for the model without do(z)" in caplog.text


def test_a_guide_can_not_choose_what_an_action_sets():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(z, 1.0))
        w = pyro.sample("w", dist.Normal(x, 1.0))
        pyro.sample("y", dist.Normal(z + w, 1.0))

    guide = Amortized(w=lambda x: dist.Normal(x, 1.0), z=lambda x, y: dist.Normal((x + y) / 4, 0.8))
    copied = pc.SCM(program, latent=["z"], guide=guide).do(w=pc.policy(lambda v: v["x"]))
    seen = {"x": [2.0], "y": [3.0]}
    with pytest.raises(EvidenceError, match="proposes 'w', which this submodel sets"):
        copied.elbo(seen)
    mean = copied.abduct(seen, num_samples=4000, seed=0).factual.mean(
        "z"
    )  # from the prior: (x + (y - x)) / 3
    assert mean.item() == pytest.approx(1.0, abs=0.06)
    fixed = pc.SCM(program, latent=["z"], guide=guide).do(w=0.0)
    with pytest.raises(FitError, match="proposes no observed variable that"):
        fixed.guide_log_prob(seen)


# ---- latents under a shift


def test_a_latent_that_an_action_shifts_is_abducted():
    """y = z + 10 + u with z unseen: E[z | y] = (y - 10) / 2."""
    moved = pc.SCM(cause, latent=["z"]).do(z=lambda z: z + 10.0)
    noise = moved.abduct({"y": [13.0]}, method="svi", num_samples=4000, seed=0)
    assert noise.mean("z").item() == pytest.approx(1.5, abs=0.06)
    assert noise.factual.mean("z").item() == pytest.approx(11.5, abs=0.06)


# ---- unmentioned variables


def test_infer_passes_over_what_nothing_hangs_on():
    def program():
        k = pyro.sample("k", dist.Bernoulli(0.3))
        b = pyro.sample("b", dist.Bernoulli(0.2 + 0.5 * k))
        pyro.sample("visits", dist.Poisson(1.0 + b))

    assert pc.SCM(program).infer("k", given={"b": [1]}).probs[0, 1].item() == pytest.approx(0.6, abs=1e-6)


def test_infer_draws_a_count_that_evidence_hangs_on():
    def program():
        k = pyro.sample("k", dist.Bernoulli(0.5))
        n = pyro.sample("n", dist.Poisson(1.0 + 2 * k))
        pyro.sample("y", dist.Normal(1.0 * n, 0.5))

    counts = torch.arange(40, dtype=torch.double)
    each = [(stats.poisson(rate).pmf(counts) * stats.norm(counts, 0.5).pdf(4.0)).sum() for rate in (1, 3)]
    found = pc.SCM(program).infer("k", given={"y": [4.0]}, num_samples=20_000, seed=0)
    assert found.probs[0, 1].item() == pytest.approx(each[1] / sum(each), abs=0.02)


# ---- weights with priors


def line():
    slope = pyro.sample("slope", dist.Normal(0.0, 3.0))
    with pc.units():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(slope * x, 1.0))


def test_the_density_under_uncertain_weights_uses_all_draws():
    scm = pc.SCM(line).fit({"x": [1.0, -1.0], "y": [2.0, -2.0]}, seed=0, progress=False)
    precision = 1 / 9 + 2
    slope, spread = 4 / precision, precision**-0.5
    truth = stats.norm(0, 1).logpdf(2.0) + stats.norm(2 * slope, (1 + 4 * spread**2) ** 0.5).logpdf(6.0)
    assert scm.log_prob({"x": [2.0], "y": [6.0]}).item() == pytest.approx(truth, abs=0.05)
    assert scm.log_prob({"x": [2.0], "y": [6.0]}, num_samples=10).shape == (1,)
    with pytest.raises(DataError, match="no weights to draw"):
        pc.SCM(cause).log_prob({"z": [0.0], "y": [0.0]}, num_samples=10)


def test_a_site_after_the_block_of_units_is_refused():
    def program():
        with pc.units():
            a = pyro.sample("a", dist.Normal(0.0, 1.0))
        pyro.sample("b", dist.Normal(a, 1.0))

    with pytest.raises(ProgramError, match="'b' comes after the block"):
        pc.SCM(program)


def test_continuous_latents_under_weights_are_refused_with_a_way_out():
    def program():
        s = pyro.sample("s", dist.Normal(0.0, 3.0))
        with pc.units():
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(s + z, 1.0))

    for guide in (None, Amortized("z")):
        with pytest.raises(FitError, match="'z' is a continuous latent, and weights have priors"):
            pc.SCM(program, latent=["z"], guide=guide).fit({"y": [1.0, 2.0]}, progress=False)


# ---- what errors say


def raises(call, error, says):
    with pytest.raises(error, match=says) as caught:
        call()
    assert isinstance(caught.value, PyrocausalError)


def test_errors_say_what_to_do(tmp_path):
    scm = pc.SCM(cause, latent=["z"])
    raises(lambda: pc.SCM(cause).abduct({"z": [nan], "y": [1.0]}), DataError, 'missing="abduct"')
    raises(lambda: pc.SCM(cause, latent=["q"]), DataError, "latent: there is no variable 'q'")
    raises(lambda: pc.abduct(cause, {"y": [1.0]}, latnt=["z"]), EvidenceError, "did you mean 'latent'")
    raises(lambda: scm.abduct({"Y": [1.0]}), DataError, "did you mean 'y'")
    raises(lambda: scm.abduct({"y": [1.0]}, method="exact"), EvidenceError, "'z' is latent")
    raises(lambda: pc.check_abduction(scm, of={"f": 3}), DataError, "3 is no function")
    raises(lambda: pc.check_abduction(scm, of={"f": lambda n: 1.0}), DataError, "'f' gave 1.0")
    raises(
        lambda: pc.check_abduction(scm, of={"f": lambda n: n["z"].mean()}),
        DataError,
        "a number a unit is due",
    )
    raises(lambda: pc.check_abduction(scm, units=1), DataError, "no whole number from 2")
    raises(lambda: pc.check_abduction(cause), EvidenceError, "nothing is hidden")
    other = pc.SCM(lambda: pyro.sample("w", dist.Normal(0.0, 1.0)))
    raises(lambda: other.predict(scm.abduct({"y": [1.0]}, seed=0)), DataError, "no variable 'z'.*are w[^a-z]")
    guided = pc.SCM(cause, latent=["z"], guide=Amortized("z"))
    guided.save(tmp_path / "m.safetensors")
    raises(lambda: pc.SCM.load(tmp_path / "m.safetensors", cause), SaveError, "guide=…")
    df = pd.DataFrame({"a": range(20), "b": range(20)}).sample(frac=1.0, random_state=0)
    raises(
        lambda: pc.SCM.from_graph("a -> b").fit(df, method="nuts", progress=False),
        FitError,
        "weights that have",
    )


def test_a_device_that_is_not_there():
    with pytest.raises(FitError, match="device='foo' can't be used"):
        pc.SCM.from_graph("a -> b").fit(pd.DataFrame({"a": range(20), "b": range(20)}), device="foo")


def test_abduct_of_a_program_takes_a_guide():
    noise = pc.abduct(
        cause, {"y": [1.0]}, latent=["z"], guide=Amortized(z=lambda y: dist.Normal(y / 2, 0.5**0.5)),
        method="guide", num_samples=4000, seed=0,
    )  # fmt: skip
    assert noise.mean("z").item() == pytest.approx(0.5, abs=0.06)
