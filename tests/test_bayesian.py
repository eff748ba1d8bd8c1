"""Bayesian SCMs: weights outside of `pc.units()`, their posterior, and answers that average over it."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule, PyroSample

import pyrocausal as pc
from pyrocausal.errors import DataError, FitError, ProgramError

N = 150


def line():
    slope = pyro.sample("slope", dist.Normal(0.0, 3.0))
    level = pyro.sample("level", dist.Normal(0.0, 3.0))
    with pc.units():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(level + slope * x, 1.0))


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, generator=generator)
    return {"x": x, "y": 1.0 + 2.0 * x + torch.randn(N, generator=generator)}


@pytest.fixture(scope="module")
def conjugate(data):
    """Mean and covariance of (level, slope) given the rows, in closed form."""
    design = torch.stack([torch.ones(N), data["x"]], 1).double()
    precision = design.T @ design + torch.eye(2) / 9.0
    covariance = torch.linalg.inv(precision)
    return covariance @ design.T @ data["y"].double(), covariance


@pytest.fixture(scope="module", params=["svi", "nuts"])
def fitted(request, data):
    return pc.SCM(line).fit(data, method=request.param, seed=0, progress=False)


def drawn(scm):
    return torch.stack([scm.weights[n][:, 0] for n in ("level", "slope")], 1).double()


def test_the_posterior_is_the_conjugate_one(fitted, conjugate):
    """The means of 1,000 draws lie within 5 standard errors (2 for the chains' correlation): 1e-5 a piece."""
    mean, covariance = conjugate
    draws = drawn(fitted)
    assert draws.shape == (1000, 2)
    assert ((draws.mean(0) - mean).abs() < 5 * 2 * (covariance.diag() / 1000).sqrt()).all()
    assert torch.allclose(torch.cov(draws.T), covariance, rtol=0.3, atol=0.1 * covariance.diag().min())
    prior = drawn(pc.SCM(line))
    assert prior.std(0).min() > 10 * draws.std(0).max()  # control: before fit, the draws are the prior's


def test_an_effect_carries_the_weights_uncertainty(fitted, conjugate):
    mean, covariance = conjugate
    treated, control = (fitted.do(x=v).sample(2000, num_samples=300, seed=0)["y"] for v in (1.0, 0.0))
    effect = (treated - control).mean(1).double()  # the same noise in both: what differs is the slope
    assert abs(effect.mean() - mean[1]) < 5 * 2 * (covariance[1, 1] / 300).sqrt()
    assert 0.7 < effect.std() / covariance[1, 1].sqrt() < 1.4


def test_a_counterfactual_averages_over_the_posterior(fitted, conjugate):
    """y under do(x=2) is y + slope (2 - x): its variance is the slope's, and none at x = 2."""
    mean, covariance = conjugate
    unit = {"x": [0.0, 2.0], "y": [1.5, 4.0]}
    cf = fitted.counterfactual(unit, do={"x": 2.0}, num_samples=400, seed=0)
    assert cf["y"].shape == (400, 2)
    assert abs(cf.mean("y")[0] - (1.5 + 2 * mean[1])) < 5 * 2 * 2 * (covariance[1, 1] / 400).sqrt()
    assert 0.6 < cf.var("y")[0] / (4 * covariance[1, 1]) < 1.5
    assert torch.allclose(cf["y"][:, 1], torch.tensor(4.0), atol=1e-5)
    plug_in = fitted.counterfactual(unit, do={"x": 2.0}, num_samples=1, seed=0)
    assert plug_in.var("y")[0] == 0  # control: one draw of the weights has no uncertainty


def test_every_unit_of_a_sample_has_weights_of_its_own(fitted, conjugate):
    y = fitted.do(x=0.0).sample(4000, seed=0)["y"]
    _, covariance = conjugate
    assert abs(y.var() - (1 + covariance[0, 0])) < 5 * math.sqrt(2 / 4000) * 1.1


def test_log_prob_is_the_log_predictive_density(data, conjugate):
    scm = pc.SCM(line).fit(data, seed=0, progress=False)
    mean, covariance = conjugate
    design = torch.tensor([[1.0, 0.5], [1.0, -2.0]]).double()
    spread = (1 + (design @ covariance * design).sum(1)).sqrt()
    y = torch.tensor([1.0, -2.0])
    expected = dist.Normal(design @ mean, spread).log_prob(y) + dist.Normal(0.0, 1.0).log_prob(design[:, 1])
    assert torch.allclose(scm.log_prob({"x": design[:, 1].float(), "y": y}).double(), expected, atol=0.05)


def test_steps_equal_the_counterfactual_and_seeds_repeat(fitted):
    unit = {"x": [0.5], "y": [1.0]}
    noise = fitted.abduct(unit, num_samples=7, seed=3)
    stepwise = fitted.do(x=1.0).predict(noise)["y"]
    assert torch.equal(stepwise, fitted.counterfactual(unit, do={"x": 1.0}, num_samples=7, seed=3)["y"])
    other = fitted.counterfactual(unit, do={"x": 1.0}, num_samples=7, seed=4)["y"]
    assert not torch.equal(stepwise, other)


def test_composition_holds_for_every_draw(fitted):
    unit = {"x": [0.5, -1.0], "y": [1.0, 0.0]}
    cf = fitted.counterfactual(unit, do={"x": torch.tensor([0.5, -1.0])}, seed=0)
    assert torch.allclose(cf["y"], torch.tensor([1.0, 0.0]).expand(100, 2), atol=1e-5)


def test_many_units_equal_one_by_one_for_matrices():
    """Weights of any shape, used by matrix products: a literal unit, with no batch in sight."""

    def network():
        w = pyro.sample("w", dist.Normal(torch.zeros(4, 3), 1.0).to_event(2))
        with pc.units():
            x = pyro.sample("x", dist.Normal(torch.zeros(3), 1.0).to_event(1))
            pyro.sample("y", dist.Normal((w @ x).tanh().sum(), 0.5))

    scm = pc.SCM(network)
    units = {"x": torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), "y": torch.arange(5.0)}
    noise = scm.abduct(units, num_samples=6, seed=0)
    w = noise.weights_used["w"]
    for draw in range(6):
        for i in range(5):
            mean = (w[draw] @ units["x"][i]).tanh().sum()
            assert torch.allclose(noise["y"][draw, i], (units["y"][i] - mean) / 0.5, atol=1e-5)


def test_latents_are_abducted_given_each_draw_of_the_weights():
    def program():
        scale = pyro.sample("scale", dist.LogNormal(0.0, 0.5))
        with pc.units():
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(scale * z, 1.0))

    scm = pc.SCM(program, latent=["z"])
    noise = scm.abduct({"y": [2.0]}, num_samples=1000, seed=0)
    scale = noise.weights_used["scale"].double()
    expected = (scale * 2.0 / (1 + scale**2)).mean()  # E[z | y, scale], averaged over the prior of scale
    assert abs(noise.mean("z")[0] - expected) < 5 / math.sqrt(1000)
    assert abs(noise.mean("z")[0]) > 0.5  # control: without abduction it would be 0


def test_infer_averages_over_the_weights():
    def program():
        p = pyro.sample("p", dist.Beta(2.0, 2.0))
        with pc.units():
            a = pyro.sample("a", dist.Bernoulli(p))
            pyro.sample("b", dist.Bernoulli(0.2 + 0.6 * a))

    scm = pc.SCM(program)
    p = scm.infer("a", given={"b": [1.0]}, seed=0).probs[0, 1]
    assert abs(p - 0.8) < 0.05  # E p = 1/2, and likelihood ratio 4, up to the average of 100 draws of p


def test_pyro_samples_of_modules_are_weights():
    class Net(PyroModule):
        def __init__(self):
            super().__init__()
            self.layer = PyroModule[torch.nn.Linear](1, 1)
            self.layer.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 1]).to_event(2))
            self.layer.bias = PyroSample(dist.Normal(0.0, 1.0).expand([1]).to_event(1))

        def forward(self):
            with pc.units():
                x = pyro.sample("x", dist.Normal(0.0, 1.0))
                pyro.sample("y", dist.Normal(self.layer(x[None])[0], 1.0))

    scm = pc.SCM(Net())
    assert set(scm.weights) == {"layer.weight", "layer.bias"} and scm.graph.to_string() == "x -> y"


def test_hierarchical_weights(data):
    """A weight may depend on another; the deterministic step between them is no variable."""

    def program():
        spread = pyro.sample("spread", dist.HalfNormal(2.0))
        twice = pyro.deterministic("twice", 2 * spread)
        slope = pyro.sample("slope", dist.Normal(0.0, twice))
        with pc.units():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(1.0 + slope * x, 1.0))

    scm = pc.SCM(program).fit(data, seed=0, progress=False)
    assert list(scm.variables) == ["x", "y"] and list(scm.weights) == ["spread", "slope"]
    assert abs(scm.weights["slope"].mean() - 2.0) < 0.4


def test_the_posterior_is_saved(fitted, tmp_path):
    path = tmp_path / "line.safetensors"
    fitted.save(path)
    again = pc.SCM.load(path, line)
    assert torch.equal(drawn(again), drawn(fitted))


def test_weights_go_to_arviz(fitted):
    summary = fitted.weights.to_arviz().posterior
    assert set(summary.data_vars) == {"level", "slope"}


def test_without_the_mark_everything_is_a_units_own():
    def program():
        slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(slope, 1.0))

    scm = pc.SCM(program)
    assert list(scm.variables) == ["slope", "y"] and not list(scm.weights)
    with pytest.raises(DataError, match="no weights to draw"):
        scm.sample(3, num_samples=2)


def discrete_weight():
    k = pyro.sample("k", dist.Bernoulli(0.5))
    with pc.units():
        pyro.sample("y", dist.Normal(k, 1.0))


def trained_too():
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    with pc.units():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(slope * x + pyro.param("b", torch.tensor(0.0)), 1.0))


def test_what_weights_can_not_be(data):
    with pytest.raises(ProgramError, match="discrete"):
        pc.SCM(discrete_weight)
    with pytest.raises(ProgramError, match="declared latent"):
        pc.SCM(line, latent=["slope"])
    with pytest.raises(FitError, match="parameters"):
        pc.SCM(trained_too).fit(data, progress=False)
    with pytest.raises(FitError, match="no way to infer"):
        pc.SCM(line).fit(data, method="magic")
    with pytest.raises(FitError, match="log_prob"):
        pc.SCM(line).elbo(data)
    with pytest.raises(FitError, match="bootstrap"):
        pc.SCM(line).bootstrap(data, lambda m, rows: 0.0)
    with pytest.raises(pc.PyrocausalError, match="slope"):
        pc.SCM(line).do(slope=1.0)
