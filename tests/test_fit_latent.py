"""Training with latents: by the bound, by a loss of one's own, in part, on several tables."""

import math

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import nn

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.errors import DataError, EvidenceError, FitError, ProgramError, PyrocausalError, SaveError
from pyrocausal.fit.loop import Loop
from pyrocausal.guides import Amortized, Encoder

QUICK = {"epochs": 4, "progress": False}
MOVING = {**QUICK, "validation": 0.0}  # the last weights are kept, though they may not be the best
NAMES = ("a", "b", "c", "d")
LOADINGS = torch.tensor([1.0, -0.8, 0.6, 1.4])


class Factor(PyroModule):
    """One latent cause of four numbers."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (m.Linear() for _ in NAMES)

    def forward(self):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        for name in NAMES:
            pyro.sample(name, getattr(self, name)(z))


def factor(seed=0, **options):
    guide = Amortized(z=Encoder(hidden=(16,)))
    return pc.SCM(Factor(), latent=["z"], guide=guide, seed=seed, **options)


@pytest.fixture(scope="module")
def rows():
    """A factor model with standard deviations 0.7, in units of measurement of its own."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1000, 1, generator=generator)
    x = 10 + 3 * (z * LOADINGS + 0.7 * torch.randn(1000, 4, generator=generator))
    return {name: x[:, i] for i, name in enumerate(NAMES)}


def table(rows):
    return torch.stack([rows[name] for name in rows], -1).double()


def gaussian(x, covariance):
    """Mean log density of the rows under N(their mean, covariance)."""
    centred = x - x.mean(0)
    inverse = torch.linalg.inv(covariance)
    distance = torch.einsum("ni,ij,nj->n", centred, inverse, centred).mean()
    return -0.5 * (distance + torch.logdet(2 * math.pi * covariance)).item()


def factor_analysis(x, steps=500):
    """Maximum likelihood of one factor, by expectation maximisation: the implied covariance."""
    sample = (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)
    w, psi = sample.diagonal().sqrt() / 2 * torch.tensor([1, -1, 1, 1]), sample.diagonal() / 2
    for _ in range(steps):
        gain = torch.linalg.solve(torch.outer(w, w) + psi.diag(), w)
        second = 1 - gain @ w + gain @ sample @ gain
        w = sample @ gain / second
        psi = sample.diagonal() - w * (gain @ sample)
    return torch.outer(w, w) + psi.diag()


def implied(scm):
    """The covariance that the fitted mechanisms imply."""
    w = torch.cat([scm.mechanisms[name].coefficients for name in NAMES]).double()
    spread = [scm.mechanisms[name](torch.tensor(0.0)).scale.item() ** 2 for name in NAMES]
    return torch.outer(w, w) + torch.diag(torch.tensor(spread, dtype=torch.double))


def state(scm):
    return {k: v.clone() for k, v in scm.module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# ---- the optimum


@pytest.mark.parametrize("bound", ["elbo", "iwae"])
def test_factor_analysis_reaches_the_maximum_likelihood(rows, bound):
    options = {"epochs": 60, "learning_rate": 0.03, "validation": 0.0, "progress": False}
    scm = factor().fit(rows, bound=bound, num_particles=2, **options)
    x, best = table(rows), factor_analysis(table(rows))
    optimum = gaussian(x, best)
    assert optimum - 0.05 < gaussian(x, implied(scm)) <= optimum + 1e-6
    assert optimum - 0.05 < scm.elbo(rows, num_particles=10, seed=0).mean().item() <= optimum + 0.02
    scale = best.diagonal().sqrt()
    assert ((implied(scm) - best) / torch.outer(scale, scale)).abs().max() < 0.08
    assert optimum - gaussian(x, best.diagonal().diag()) > 0.3  # control: without the latent cause


def test_a_latent_confounder_is_adjusted_for():
    """z -> t, z -> y, t -> y, and two more effects of z: the effect of t on y is identified, 1.5."""

    class Confounded(PyroModule):
        def __init__(self):
            super().__init__()
            self.t, self.y, self.p, self.q = (m.Linear() for _ in range(4))

        def forward(self):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("p", self.p(z))
            pyro.sample("q", self.q(z))
            t = pyro.sample("t", self.t(z))
            pyro.sample("y", self.y(t, z))

    generator = torch.Generator().manual_seed(1)
    z, u = torch.randn(1500, generator=generator), torch.randn(4, 1500, generator=generator)
    t = z + u[0]
    data = {"p": z + 0.5 * u[2], "q": z + 0.5 * u[3], "t": t, "y": 1.5 * t + 2 * z + u[1]}
    scm = pc.SCM(Confounded(), latent=["z"], guide=Amortized(z=Encoder((16,))))
    scm.fit(data, epochs=40, learning_rate=0.03, validation=0.0, progress=False)
    effect = scm.do(t=1.0).sample(1, seed=0)["y"] - scm.do(t=0.0).sample(1, seed=0)["y"]
    assert abs(effect.item() - 1.5) < 0.15
    naive = np.polyfit(t.numpy(), data["y"].numpy(), 1)[0]
    assert abs(naive - 1.5) > 0.5  # control: regression on t alone


def test_the_loss_is_the_bound_by_default(rows):
    default = factor().fit(rows, **MOVING)
    own = factor().fit(rows, loss=lambda scm, batch: -scm.elbo(batch), **MOVING)
    assert same(state(default), state(own))
    pd.testing.assert_frame_equal(default.history.curves, own.history.curves)
    other = factor().fit(
        rows, loss=lambda scm, batch: -scm.elbo(batch, bound="iwae", num_particles=5), **MOVING
    )
    assert not same(state(default), state(other))  # control
    iwae = factor().fit(rows, bound="iwae", num_particles=5, **MOVING)
    assert same(state(iwae), state(other))


def test_a_given_latent_is_trained_on_as_any_other_variable(rows):
    """With z in the data the likelihood is a sum over sites: ordinary least squares."""
    z = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    scm = factor().fit({**rows, "z": z}, epochs=10, validation=0.0, progress=False)
    design = torch.stack([z, torch.ones(1000)], -1)
    slope = torch.linalg.lstsq(design, rows["a"][:, None]).solution[0]
    assert abs(scm.mechanisms["a"].coefficients - slope) < 0.05
    assert set(scm.history.curves) == set(NAMES)


def test_a_discrete_latent_needs_no_guide():
    """Two clusters of (x, y), fitted by the exact likelihood."""

    class Clusters(PyroModule):
        def __init__(self):
            super().__init__()
            self.x, self.y = m.Linear(), m.Linear()

        def forward(self):
            k = pyro.sample("k", dist.Bernoulli(0.5))
            pyro.sample("x", self.x(k))
            pyro.sample("y", self.y(k))

    generator = torch.Generator().manual_seed(0)
    k = (torch.rand(600, generator=generator) < 0.5).float()
    data = {name: 6 * k + torch.randn(600, generator=generator) for name in "xy"}
    scm = pc.SCM(Clusters(), latent=["k"]).fit(data, epochs=80, learning_rate=0.05, progress=False)
    found = scm.infer("k", given=data).probs[:, 1]
    agree = (found.round() == k).double().mean()
    assert max(agree, 1 - agree) > 0.99
    assert abs(abs(scm.mechanisms["x"].coefficients.item()) - 6) < 0.4


# ---- the same run again


def test_the_same_seed_trains_the_same_model(rows):
    one, again, other = (factor().fit(rows, seed=seed, **MOVING) for seed in (0, 0, 1))
    assert same(state(one), state(again)) and not same(state(one), state(other))


def test_training_leaves_the_global_random_state(rows):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    factor().fit(rows, **QUICK)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("killed_after", [1, 9])
def test_resume_equals_uninterrupted_bit_for_bit(rows, tmp_path, monkeypatch, killed_after):
    """The draws of the latents, too, go on where they stopped."""
    path, advance, taken = tmp_path / "training", Loop.advance, []

    def stop(self):
        taken.append(1)
        if len(taken) > killed_after:
            raise KeyboardInterrupt
        return advance(self)

    whole = factor().fit(rows, **MOVING)
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "advance", stop)
        with pytest.raises(KeyboardInterrupt):
            factor().fit(rows, checkpoint=path, **MOVING)
    resumed = factor().fit(rows, checkpoint=path, **MOVING)
    assert same(state(whole), state(resumed)) and not same(state(whole), state(factor()))
    pd.testing.assert_frame_equal(resumed.history.curves, whole.history.curves)


def test_a_checkpoint_of_another_bound_is_refused(rows, tmp_path):
    factor().fit(rows, checkpoint=tmp_path / "training", **QUICK)
    for options in ({"bound": "iwae"}, {"num_particles": 2}, {"only": ["guide"]}):
        with pytest.raises(FitError, match="another training"):
            factor().fit(rows, checkpoint=tmp_path / "training", **options, **QUICK)


def test_save_and_load_with_a_guide(rows, tmp_path):
    path = tmp_path / "model.safetensors"
    scm = factor().fit(rows, **QUICK)
    scm.save(path)
    again = pc.SCM.load(path, Factor(), guide=Amortized(z=Encoder(hidden=(16,))), seed=9)
    assert torch.equal(scm.elbo(rows, seed=0), again.elbo(rows, seed=0))
    assert torch.equal(
        scm.abduct(rows, method="guide", seed=0)["z"], again.abduct(rows, method="guide", seed=0)["z"]
    )
    assert not torch.equal(scm.elbo(rows, seed=0), factor(seed=9).elbo(rows, seed=0))  # control
    for options in ({}, {"guide": Amortized("z")}):
        with pytest.raises(SaveError, match="does not fit"):
            pc.SCM.load(path, Factor(), **options)


# ---- a part of the parameters


def split(scm):
    model = {k: v for k, v in state(scm).items() if not k.startswith("guide.")}
    return model, {k: v for k, v in state(scm).items() if k.startswith("guide.")}


def test_only_the_guide_or_only_the_model(rows):
    """What is not named stays as it is, bit for bit."""
    scm = factor().fit(rows, **QUICK)
    model, guide = split(scm)
    scm.fit(rows, only=["guide"], **MOVING)
    after_model, after_guide = split(scm)
    assert same(model, after_model) and not same(guide, after_guide)
    scm.fit(rows, only=["a", "b", "c", "d"], **MOVING)
    last_model, last_guide = split(scm)
    assert same(after_guide, last_guide) and not same(after_model, last_model)


def test_only_one_mechanism(rows):
    scm = factor().fit(rows, **QUICK)
    before = state(scm)
    scm.fit(rows, only="a.predictor", **MOVING)
    moved = {k for k, v in state(scm).items() if not torch.equal(v, before[k])}
    assert moved and all(k.startswith("module.a.predictor") for k in moved)


# ---- several tables


class Shifted(PyroModule):
    """x = z + m + noise, with a mean and a loading to learn."""

    def __init__(self):
        super().__init__()
        self.loading, self.shift = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.0))

    def forward(self):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        shift = pyro.sample("m", dist.Normal(self.shift, 0.5))
        pyro.sample("x", dist.Normal(self.loading * z + shift, 0.5))


def shifted():
    guide = Amortized(
        m=Encoder(hidden=(8,)),
        z=lambda x, m: dist.Normal(0.9 * (x - m), 0.4),
    )
    return pc.SCM(Shifted(), latent=["m", "z"], guide=guide)


@pytest.fixture(scope="module")
def two():
    """Clean rows, m = 0, and fewer that are shifted, m around 3; z has a loading of 1 in both."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(500, generator=generator) + 0.5 * torch.randn(500, generator=generator)
    moved = 3 + torch.randn(200, generator=generator) + 0.7 * torch.randn(200, generator=generator)
    return {"clean": pd.DataFrame({"x": clean}), "moved": pd.DataFrame({"x": moved})}


def both(scm, batch):
    return -0.5 * scm.do(m=0.0).elbo(batch["clean"]) - 0.5 * scm.elbo(batch["moved"])


def test_tables_of_different_lengths_train_one_model(two):
    scm = shifted().fit(two, loss=both, epochs=40, batch_size=64, learning_rate=0.03, progress=False)
    assert abs(scm.module.module.shift.item() - 3.0) < 0.25
    assert abs(abs(scm.module.module.loading.item()) - 1.0) < 0.15
    mixed = pd.concat(two.values())
    alone = shifted().fit(mixed, epochs=40, batch_size=64, learning_rate=0.03, progress=False)
    assert abs(alone.module.module.shift.item() - 3.0) > 1.0  # control: the tables run together


def test_a_batch_has_rows_of_every_table(two):
    seen = []

    def loss(scm, batch):
        seen.append({name: len(batch[name]["x"]) for name in batch})
        return both(scm, batch)

    shifted().fit(two, loss=loss, batch_size=64, **QUICK)
    assert {"clean": 64, "moved": 64} in seen
    assert all(set(sizes) == {"clean", "moved"} for sizes in seen)


def test_several_tables_resume_and_repeat(two, tmp_path):
    one = shifted().fit(two, loss=both, **MOVING)
    again = shifted().fit(two, loss=both, checkpoint=tmp_path / "training", **MOVING)
    assert same(state(one), state(again)) and not same(state(one), state(shifted()))
    last = shifted().fit(two, loss=both, checkpoint=tmp_path / "training", **MOVING)
    assert same(state(one), state(last))
    with pytest.raises(FitError, match="another training"):
        swapped = {"clean": two["moved"], "moved": two["clean"]}
        shifted().fit(swapped, loss=both, checkpoint=tmp_path / "training", **MOVING)


# ---- errors


def per_table(scm, batch):
    return -scm.elbo(batch["claen"])


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"loss": lambda scm, batch: None}, FitError, "returned NoneType"),
        ({"loss": lambda scm, batch: 1.0}, FitError, "returned float"),
        ({"loss": lambda scm, batch: torch.tensor(3)}, FitError, "torch.int64"),
        ({"loss": lambda scm, batch: {"a": torch.zeros(())}}, FitError, "returned dict"),
        ({"loss": lambda scm, batch: torch.zeros(())}, FitError, "does not depend on the parameters"),
        ({"loss": lambda scm, batch: -scm.elbo(batch).detach()}, FitError, "does not depend on"),
        ({"loss": lambda scm, batch: -scm.elbo(batch) * float("nan")}, FitError, "no longer finite"),
        ({"loss": lambda batch: batch}, FitError, "can't be called with an SCM and a batch"),
        ({"loss": "elbo"}, FitError, "no function"),
        ({"loss": lambda scm, batch: -batch["aa"]}, DataError, "did you mean 'a'"),
        ({"only": ["guid"]}, ProgramError, "no parameters of that name"),
        ({"only": []}, FitError, "names no part"),
        (
            {"only": ["guide"], "loss": lambda scm, b: -scm.log_prob({**b, "z": b["a"] * 0})},
            FitError,
            "depend",
        ),
        ({"num_particles": 0}, FitError, "num_particles=0"),
        ({"num_particles": 1.5}, PyrocausalError, "num_particles=1.5"),
        ({"bound": "iwea"}, FitError, "elbo, iwae"),
        ({"particles": 3}, FitError, "no option 'particles'"),
    ],
)
def test_impossible_options(rows, options, error, says):
    with pytest.raises(error, match=says):
        factor().fit(rows, **options, **QUICK)


def test_impossible_tables(rows, two):
    with pytest.raises(FitError, match="did you mean 'clean'"):
        shifted().fit(two, loss=per_table, **QUICK)
    with pytest.raises(DataError, match="no column 'x'"):
        shifted().fit(two, **QUICK)
    with pytest.raises(DataError, match="no variable"):
        shifted().fit({**two, "moved": {"y": [1.0] * 20}}, loss=both, **QUICK)
    with pytest.raises(DataError, match="missing"):
        shifted().fit({**two, "moved": {"x": [float("nan")] * 20}}, loss=both, **QUICK)
    short = {name: x for name, x in rows.items() if name != "d"}
    with pytest.raises(DataError, match="no column 'd'"):
        factor().fit(short, **QUICK)
    with pytest.raises(EvidenceError, match="no 'd'"):
        factor().fit({"one": rows, "two": short}, loss=lambda s, b: -s.elbo(b["two"]), **QUICK)


def test_a_latent_without_a_guide():
    with pytest.raises(FitError, match="give it a guide"):
        pc.SCM(Factor(), latent=["z"]).fit({name: torch.randn(50) for name in NAMES}, **QUICK)


def test_tensors_that_the_scm_can_not_see(rows):
    hidden = torch.zeros((), requires_grad=True)

    def guide(evidence):
        pyro.sample("z", dist.Normal(hidden * evidence["a"], 1.0))

    with pytest.raises(ProgramError, match="the SCM can't see"):
        pc.SCM(Factor(), latent=["z"], guide=guide).fit(rows, **QUICK)


def test_reset_starts_the_guide_anew(rows):
    scm = factor().fit(rows, **QUICK)
    before = state(scm)["guide.module.z.standardise.mean"]
    scm.fit({name: x + 100 for name, x in rows.items()}, reset=True, **QUICK)
    assert not torch.equal(before, state(scm)["guide.module.z.standardise.mean"])
