"""Amortised guides: what they may look like, what they are given, and what is refused."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoDelta, AutoNormal
from pyro.nn import PyroModule
from torch import nn

import pyrocausal as pc
from pyrocausal.errors import EvidenceError, FitError, ProgramError, PyrocausalError, UnknownVariable
from pyrocausal.guides import Amortized, Encoder, GuideError

from .benchmarks import abduction


def latent_cause():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z + x, 1.0))


SD = 0.5**0.5
E = {"x": torch.tensor([0.0, 1.0, -2.0]), "y": torch.tensor([3.0, 0.0, 1.0])}
TRUTH = dist.Normal(0.0, 1.0).log_prob(E["x"]) + dist.Normal(E["x"], 2**0.5).log_prob(E["y"])


def exact(x, y):
    return dist.Normal((y - x) / 2, SD)


class Exact(nn.Module):
    def forward(self, x, y):
        return exact(x, y)


class Slope(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.5))

    def forward(self, x, y, scale=SD):
        return dist.Normal(self.slope * (y - x), scale)


class Whole(PyroModule):
    """A guide as a Pyro program, with a network of its own."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.5))

    def forward(self, evidence):
        pyro.sample("z", dist.Normal(self.slope * (evidence["y"] - evidence["x"]), SD))


def program_guide(evidence):
    pyro.sample("z", exact(evidence["x"], evidence["y"]))


def param_guide(evidence):
    slope = pyro.param("slope", torch.tensor(0.5))
    pyro.sample("z", dist.Normal(slope * (evidence["y"] - evidence["x"]), SD))


def plated_guide(evidence):
    d = pyro.deterministic("d", evidence["y"] - evidence["x"])
    pyro.sample("z", dist.Normal(d / 2, SD))


def asking_guide(evidence):
    assert "q" not in evidence and evidence.get("q") is None and len(evidence) == 2
    assert set(evidence) == {"x", "y"}
    program_guide(evidence)


class Bound:
    def guide(self, evidence):
        program_guide(evidence)

    def __call__(self, x, y):
        return exact(x, y)


GUIDES = {
    "function": lambda: Amortized(z=exact),
    "module": lambda: Amortized(z=Exact()),
    "argument with a default": lambda: Amortized(z=Slope()),
    "lambda with a default": lambda: Amortized(z=lambda x, y, sd=SD: dist.Normal((y - x) / 2, sd)),
    "whole evidence": lambda: Amortized(z=lambda evidence: exact(evidence["x"], evidence["y"])),
    "callable object": lambda: Amortized(z=Bound()),
    "parameter in an encoder": lambda: Amortized(
        z=lambda x, y: dist.Normal(pyro.param("slope", torch.tensor(0.5)) * (y - x), SD)
    ),
    "program": lambda: program_guide,
    "module program": Whole,
    "program with a parameter": lambda: param_guide,
    "program with a computed site": lambda: plated_guide,
    "program that asks what it has": lambda: asking_guide,
    "method": lambda: Bound().guide,
}


@pytest.mark.parametrize("kind", GUIDES)
def test_every_way_to_write_a_guide(kind):
    scm = pc.SCM(latent_cause, latent=["z"], guide=GUIDES[kind]())
    assert torch.allclose(scm.elbo(E, num_particles=2, seed=0), TRUTH, atol=1e-5)
    draws = scm.abduct(E, method="guide", num_samples=2000, seed=0)
    mean = (E["y"] - E["x"]) / 2
    # 5 standard errors: a right guide is rejected with probability 6e-7 a number
    assert ((draws.factual.mean("z") - mean).abs() < 5 * SD / 2000**0.5).all()
    assert ((draws.factual.mean("z") - mean.roll(1)).abs() > 0.1).any()  # control: another unit's


PARAMETERS = {
    "parameter in an encoder": "guide.z.slope",
    "argument with a default": "guide.z.slope",
    "module program": "guide.slope",
    "program with a parameter": "guide.slope",
}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_the_parameters_of_a_guide_are_the_scms(kind):
    """They are trained, and chosen by name."""
    scm = pc.SCM(latent_cause, latent=["z"], guide=GUIDES[kind]())
    (before,) = [p.clone() for p in scm.parameters()]
    data = {name: x.repeat(10) for name, x in E.items()}
    scm.fit(data, only=[PARAMETERS[kind]], epochs=3, validation=0.0, progress=False)
    (after,) = scm.parameters()
    assert not torch.equal(before, after)


def test_a_network_behind_a_function_is_trained_and_saved(tmp_path):
    def build():
        network = nn.Linear(2, 1)
        guide = Amortized(z=lambda x, y: dist.Normal(network(torch.stack([x, y]))[0], SD))
        return network, pc.SCM(Model(), latent=["z"], guide=guide)

    class Model(PyroModule):
        def forward(self):
            latent_cause()

    network, scm = build()
    before = network.weight.clone()
    scm.fit({name: x.repeat(10) for name, x in E.items()}, epochs=3, learning_rate=0.1, progress=False)
    assert not torch.equal(before, network.weight)
    scm.save(tmp_path / "model.safetensors")
    again, _ = build()
    assert not torch.equal(again.weight, network.weight)
    other, fresh = build()
    fresh._model.restore(pc.scm.training.storage.read(tmp_path / "model.safetensors"), "")
    assert torch.equal(other.weight, network.weight)


# ---- what a guide proposes where it is not observed


def fills(evidence):
    """The exact posterior of z, and of y where it is missing."""
    y = pyro.sample("y", dist.Normal(evidence["x"], 2**0.5))
    pyro.sample("z", exact(evidence["x"], y))


FILLING = {
    "program": lambda: fills,
    "encoders": lambda: Amortized(z=exact, y=lambda x: dist.Normal(x, 2**0.5)),
    "all evidence": lambda: Amortized(
        z=lambda evidence: exact(evidence["x"], evidence["y"]), y=lambda x: dist.Normal(x, 2**0.5)
    ),
}


@pytest.mark.parametrize("guide", FILLING.values(), ids=FILLING)
@pytest.mark.parametrize("engine", ["guide", "importance"])
def test_a_guide_fills_in_what_units_lack(guide, engine):
    """y is there for the first unit only; for the others z | x is N(0, 1), and y | x is N(x, 2)."""
    scm = pc.SCM(latent_cause, latent=["z"], guide=guide())
    x, y = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([3.0, math.nan, math.nan])
    noise = scm.abduct({"x": x, "y": y}, missing="abduct", method=engine, num_samples=4000, seed=0)
    assert (noise.factual["y"][:, 0] == 3.0).all()
    errors = (noise.factual["y"].mean(0)[1:] - x[1:]) / (2 / 4000) ** 0.5
    assert errors.abs().max() < 5  # false alarms: 1e-6 a number
    assert ((noise["z"].mean(0) - torch.tensor([1.5, 0.0, 0.0])) * 4000**0.5).abs().max() < 5
    assert noise["z"].var(0).numpy() == pytest.approx([0.5, 1.0, 1.0], rel=0.15)
    pulled = noise.factual["y"] - noise["z"] - x  # the noise of y goes with its value
    assert torch.allclose(noise["y"], pulled, atol=1e-5)
    assert noise.diagnostics["pareto_k"].max() < 0.1  # the guide is exact, so all weights are equal


@pytest.mark.parametrize("guide", FILLING.values(), ids=FILLING)
def test_what_nobody_has_is_filled_in_too(guide):
    scm = pc.SCM(latent_cause, latent=["z"], guide=guide())
    cf = scm.counterfactual(
        {"x": [1.0], "y": [None]}, do={"x": 0.0}, missing="abduct", method="guide", num_samples=4000, seed=0
    )
    assert abs(cf["y"].mean().item()) < 5 * (2 / 4000) ** 0.5
    assert torch.allclose(cf["y"] + 1, cf.factual["y"], atol=1e-5)  # the same units


def test_a_guide_that_is_shown_a_filled_in_value_never_sees_the_filler():
    """Units without y have some other unit's in its place; with z = y/2 - x/2 that would show."""
    scm = pc.SCM(latent_cause, latent=["z"], guide=fills)
    with_y = {"x": [0.0, 0.0], "y": [1000.0, math.nan]}
    noise = scm.abduct(with_y, missing="abduct", method="guide", num_samples=500, seed=0)
    assert noise["z"][:, 1].abs().max() < 10


def test_log_q_of_what_is_known():
    scm = pc.SCM(latent_cause, latent=["z"], guide=fills)
    assert torch.allclose(scm.guide_log_prob(E), dist.Normal(E["x"], 2**0.5).log_prob(E["y"]))
    assert torch.allclose(scm.elbo(E, seed=0), TRUTH, atol=1e-5)  # in which it has no part
    with pytest.raises(FitError, match="proposes no observed variable that"):
        pc.SCM(latent_cause, latent=["z"], guide=program_guide).guide_log_prob(E)


def test_fit_trains_it_beside_the_bound():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.Parameter(torch.tensor(0.0))

        def forward(self, x):
            return dist.Normal(self.slope * x, 2**0.5)

    guide = Amortized(z=Exact(), y=Reads())
    scm = pc.SCM(latent_cause, latent=["z"], guide=guide)
    data = pc.SCM(latent_cause).sample(2000, seed=0)
    scm.fit({"x": data["x"], "y": data["y"]}, validation=0, progress=False)
    x, y = data["x"] - 0.0, data["y"]
    least_squares = ((x * y).sum() / x.square().sum()).item()
    assert guide.y.slope.item() == pytest.approx(least_squares, abs=0.03)


# ---- several latents, and other supports


def test_latents_that_read_latents_are_drawn_in_order():
    def program():
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        b = pyro.sample("b", dist.Normal(a, 1.0))
        pyro.sample("x", dist.Normal(b, 1.0))

    guide = Amortized(
        a=lambda b: dist.Normal(b / 2, SD),  # named first, drawn second
        b=lambda x: dist.Normal(2 * x / 3, (2 / 3) ** 0.5),
    )
    x = torch.tensor([1.0, -2.0])
    scm = pc.SCM(program, latent=["a", "b"], guide=guide)
    assert torch.allclose(scm.elbo({"x": x}, seed=0), dist.Normal(0.0, 3**0.5).log_prob(x), atol=1e-5)


def supports():
    return {
        "real": dist.Normal(0.0, 1.0),
        "vector": dist.Normal(torch.zeros(3), 1.0).to_event(1),
        "matrix": dist.Normal(torch.zeros(2, 3), 1.0).to_event(2),
        "positive": dist.Gamma(2.0, 1.0),
        "positive vector": dist.LogNormal(torch.zeros(2), 1.0).to_event(1),
        "interval": dist.Beta(2.0, 3.0),
        "simplex": dist.Dirichlet(torch.ones(3)),
        "binary": dist.Bernoulli(0.3),
        "levels": dist.Categorical(torch.tensor([0.2, 0.3, 0.5])),
    }


@pytest.mark.parametrize("kind", supports())
def test_the_default_encoder_draws_in_the_support(kind):
    """Its density is right: the mean of p / q over draws of q is p(x), which the prior estimates too."""

    def program():
        z = pyro.sample("z", supports()[kind])
        pyro.sample("x", dist.Normal(z.to(torch.get_default_dtype()).sum(), 2.0))

    scm = pc.SCM(program, latent=["z"], guide=Amortized("z"))
    e, n = {"x": torch.tensor([1.0])}, 100_000
    with torch.no_grad():
        weights = scm.elbo({"x": e["x"].expand(n)}, seed=0).double().exp()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            prior = supports()[kind].sample((n,)).reshape(n, -1).sum(1)
        plain = dist.Normal(prior.to(e["x"]), 2.0).log_prob(e["x"]).double().exp()
    error = (weights.var() / n + plain.var() / n).sqrt()
    assert abs(weights.mean() - plain.mean()) < 5 * error  # false alarm 6e-7 each
    assert abs(2 * weights.mean() - plain.mean()) > 5 * error  # control: q that is off by a factor


def test_discrete_latents_may_be_left_to_the_sum():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        k = pyro.sample("k", dist.Bernoulli(0.5))
        pyro.sample("x", dist.Normal(z + k, 1.0))

    scm = pc.SCM(program, latent=["z", "k"], guide=Amortized(z=lambda x: dist.Normal(x / 2, 1.0)))
    x = torch.tensor([0.5])
    truth = (
        0.5 * (dist.Normal(0.0, 2**0.5).log_prob(x).exp() + dist.Normal(1.0, 2**0.5).log_prob(x).exp())
    ).log()
    found = scm.elbo({"x": x.expand(5000)}, num_particles=50, bound="iwae", seed=0)
    assert abs(found.mean() - truth) < 0.01
    assert scm.elbo({"x": x.expand(5000)}, seed=0).mean() < truth - 0.01  # control
    k = scm.abduct({"x": x}, method="importance", num_samples=10_000, seed=0).factual["k"]
    odds = dist.Normal(1.0, 2**0.5).log_prob(x).exp() / (2 * truth.exp())
    assert abs(k.mean() - odds) < 5 * 0.5 / 5000**0.5


# ---- evidence


def test_a_guide_is_not_shown_what_nobody_gives():
    """Computed variables are no evidence: the default encoder does without them."""

    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        double = pyro.deterministic("double", 2 * z)
        pyro.sample("x", dist.Normal(double, 1.0))

    scm = pc.SCM(program, latent=["z"], guide=Amortized("z"))
    assert scm.elbo({"x": [1.0]}, seed=0).isfinite()
    assert list(next(encoder for _, encoder in scm._model.guide.program.module.encoders()).blocks) == ["x"]


def test_a_guide_that_branches_runs_one_by_one_and_says_so(caplog):
    def guide(evidence):
        loc = evidence["y"] - evidence["x"] if evidence["y"] > 0 else evidence["y"] * 0
        pyro.sample("z", dist.Normal(loc / 2, SD))

    scm = pc.SCM(latent_cause, latent=["z"], guide=guide)
    assert "one by one" in caplog.text
    found = scm.abduct(E, method="guide", num_samples=500, seed=0).factual.mean("z")
    assert ((found - torch.tensor([1.5, 0.0, 1.5])).abs() < 5 * SD / 500**0.5).all()


def test_scales_of_the_evidence_are_learned_once():
    """An encoder gets its evidence standardised, whatever the units of measurement."""

    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(1e4 + 1e3 * z, 1e3))

    scm = pc.SCM(Wrapped(program), latent=["z"], guide=Amortized("z"))
    rows = {"x": scm.sample(500, seed=0)["x"]}
    scm.fit(rows, epochs=1, progress=False)
    encoder = scm.module.guide.module.z
    assert abs(encoder.standardise.mean.item() / 1e4 - 1) < 0.05
    before = encoder.standardise.mean.clone()
    scm.fit({"x": rows["x"] + 5e3}, epochs=1, progress=False)
    assert torch.equal(before, encoder.standardise.mean)


class Wrapped(PyroModule):
    def __init__(self, program):
        super().__init__()
        self.program = program

    def forward(self):
        self.program()


def test_double_precision(double_precision):
    scm = pc.SCM(latent_cause, latent=["z"], guide=Amortized("z"))
    e = {name: x.double() for name, x in E.items()}
    assert scm.elbo(e, seed=0).dtype == torch.float64
    assert all(p.dtype == torch.float64 for p in scm.parameters())


# ---- errors


def vector():
    z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.sample("x", dist.Normal(z.sum(), 1.0))


def positive():
    z = pyro.sample("z", dist.Gamma(2.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0))


def binary():
    z = pyro.sample("z", dist.Bernoulli(0.3))
    pyro.sample("x", dist.Normal(z, 1.0))


def bounded_by_a_parent():
    x = pyro.sample("x", dist.LogNormal(0.0, 1.0))
    z = pyro.sample("z", dist.Uniform(0.0, x))
    pyro.sample("y", dist.Normal(z, 1.0))


def binary_vector():
    z = pyro.sample("z", dist.Bernoulli(torch.ones(2) / 2).to_event(1))
    pyro.sample("x", dist.Normal(z.sum(), 1.0))


def twice(evidence):
    pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("z", dist.Normal(0.0, 1.0))


def reads_its_site(evidence):
    pyro.sample("x", dist.Normal(0.0, 1.0))
    program_guide(evidence)


def scm_with(guide, program=latent_cause):
    return lambda: pc.SCM(program, latent=["z"], guide=guide())


REFUSED = {
    "a misspelt argument": (scm_with(lambda: Amortized(z=lambda xx: 0)), UnknownVariable, "did you mean 'x'"),
    "arguments without names": (lambda: Amortized(z=lambda *x: 0), GuideError, "name what it reads"),
    "a tensor": (scm_with(lambda: Amortized(z=lambda x: x)), GuideError, "gives Tensor"),
    "nothing": (scm_with(lambda: Amortized(z=lambda x: None)), GuideError, "gives NoneType"),
    "a pair of numbers": (scm_with(lambda: Amortized(z=lambda x: (x, 1.0))), GuideError, "gives tuple"),
    "a class": (lambda: Amortized(z=Exact), GuideError, "module instance"),
    "no encoder": (lambda: Amortized(z=3), GuideError, "module instance or a function"),
    "no latent": (lambda: Amortized(), GuideError, "names no latent"),
    "a module for a name": (lambda: Amortized(Exact()), GuideError, "is no name"),
    "a name that a module has": (lambda: Amortized("forward"), GuideError, "can't be named 'forward'"),
    "a circle": (lambda: Amortized(z=lambda w: 0, w=lambda z: 0), GuideError, "read one another"),
    "an unknown latent": (scm_with(lambda: Amortized("z", "w")), UnknownVariable, "no variable 'w'"),
    "an observed site": (scm_with(lambda: Amortized("z", "x")), GuideError, "'x', which is observed"),
    "a site that is read too": (scm_with(lambda: reads_its_site), GuideError, "'x', and reads it"),
    "a missing site": (scm_with(lambda: lambda evidence: None), GuideError, "no site 'z'"),
    "a site twice": (scm_with(lambda: twice), GuideError, "two sites named 'z'"),
    "a guide where nothing is latent": (
        lambda: pc.SCM(latent_cause, guide=Amortized("z")), GuideError, "'z', which is observed"),
    "an AutoGuide": (scm_with(lambda: AutoNormal(latent_cause)), GuideError, "AutoNormal can't be"),
    "the class of one": (scm_with(lambda: AutoDelta), GuideError, "AutoDelta can't be"),
    "an encoder for a guide": (scm_with(lambda: exact), ProgramError, "with the evidence alone"),
    "a guide without arguments": (scm_with(lambda: latent_cause), ProgramError, "with the evidence alone"),
    "a dict": (scm_with(lambda: {"z": exact}), ProgramError, "is not a program"),
    "too many numbers": (
        scm_with(lambda: Amortized(z=lambda x: dist.Normal(torch.zeros(2), 1.0).to_event(1))),
        GuideError, r"shape \(2,\)"),
    "too few numbers": (
        scm_with(lambda: Amortized(z=lambda x: dist.Normal(x, 1.0)), vector), GuideError, r"shape \(\)"),
    "outside of the support": (
        scm_with(lambda: Amortized(z=lambda x: dist.Normal(x, 1.0)), positive), GuideError, "can't have"),
    "numbers for levels": (
        scm_with(lambda: Amortized(z=lambda x: dist.Normal(x, 1.0)), binary), GuideError, "can't have"),
    "levels for numbers": (
        scm_with(lambda: Amortized(z=lambda x: dist.Bernoulli(0.5))), GuideError, "can't have"),
    "a support that parents decide": (
        scm_with(lambda: Amortized("z"), bounded_by_a_parent), GuideError, "depends on its parents"),
    "many binary numbers": (
        scm_with(lambda: Amortized("z"), binary_vector), GuideError, "default encoder has no distribution"),
    "random numbers of its own": (
        scm_with(lambda: Amortized(z=lambda x: dist.Normal(torch.randn(()), 1.0))),
        GuideError, "outside of pyro.sample"),
    "evidence inside": (
        scm_with(lambda: lambda evidence: pyro.sample("z", dist.Normal(0.0, 1.0), obs=torch.ones(()))),
        ProgramError, "obs="),
    "dropout": (scm_with(lambda: Amortized(z=Dropping())), ProgramError, "Dropout"),
}  # fmt: skip


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return dist.Normal(self.drop(x), 1.0)


@pytest.mark.parametrize("what", REFUSED)
def test_guides_that_can_not_be(what):
    make, error, says = REFUSED[what]
    with pytest.raises(error, match=says) as caught:
        make()
    assert isinstance(caught.value, PyrocausalError) and caught.value.fix


def test_evidence_that_the_guide_reads_and_does_not_get():
    """A table of a computed variable is the case: everything else has to be there anyway."""

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        double = pyro.deterministic("double", 2 * x)
        z = pyro.sample("z", dist.Normal(double, 1.0))
        pyro.sample("y", dist.Normal(z, 1.0))

    with pytest.raises(EvidenceError, match="reads 'double', which it is not given"):
        pc.SCM(program, latent=["z"], guide=Amortized(z=lambda double: dist.Normal(double, 1.0)))


def test_an_encoder_can_be_used_on_its_own():
    scm = pc.SCM(latent_cause, latent=["z"], guide=Amortized(z=Encoder(hidden=(8,))))
    shapes = [tuple(p.shape) for p in scm.parameters()]
    assert shapes == [(8, 2), (8,), (2, 8), (2,)]


# ---- how well: a small version of tests/benchmarks/abduction.py


@pytest.fixture(scope="module")
def trained():
    study = abduction.Study(rows=1500, units=200, chains=5)
    return study, study.trained("known", epochs=12)


def test_abduction_beats_none_and_weights_beat_the_guide(trained):
    """A quarter at least; and 3 standard errors, which no gain would pass with probability 1e-3."""
    study, scm = trained
    none = study.without_abduction(scm)
    found = {engine: study.ask(scm, engine) for engine in ("guide", "importance")}
    for squares in found.values():
        assert squares.mean().sqrt() < 0.75 * none.mean().sqrt()
    row = abduction.compared("known", "importance", found["importance"], found["guide"], 0.0)
    assert row.relative < 0.97 and row.gain > 3
    same = abduction.compared("known", "guide", found["guide"], found["guide"], 0.0)
    assert not (same.relative < 0.97 or same.gain > 3)  # control


@pytest.mark.parametrize("engine", ["svi", "nuts"])
def test_other_engines_are_no_worse(trained, engine):
    if engine not in abduction.ENGINES:
        pytest.skip(f"there is no engine {engine} yet")
    study, scm = trained
    row = abduction.compared("known", engine, study.ask(scm, engine), study.ask(scm, "guide"), 0.0)
    assert row.relative < 1.05


def test_active_dimensions_are_those_whose_mean_moves():
    def program():
        z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z, 1.0).to_event(1))

    def active(*slopes):
        def encode(x):
            return dist.Normal(torch.tensor(slopes) * x, 0.5).to_event(1)

        scm = pc.SCM(program, latent=["z"], guide=pc.guides.Amortized(z=encode))
        data = {"x": scm.sample(300, seed=0)["x"]}
        noise = scm.abduct(data, method="guide", num_samples=50, seed=0)
        return pc.guides.active_dimensions(noise.factual, "z", least=0.05).tolist()

    assert active(0.5, 0.5) == [True, True]
    assert active(0.5, 0.0) == [True, False]
    assert active(0.05, -0.5) == [False, True]
