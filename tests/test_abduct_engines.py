"""Engines of abduction against closed forms and quadrature.

A mean or (co)variance over draws is compared with the truth in standard errors, from the effective number of
draws that the engine itself reports. Five of them are exceeded by chance with probability 6e-7, and a test
makes at most a few hundred comparisons: it rejects a right engine less often than once in 5,000 seeds.
"""

import math
from functools import partial

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import pyrocausal as pc
from pyrocausal.abduct.mcmc import effective_draws, r_hat
from pyrocausal.abduct.scores import Scores
from pyrocausal.abduct.variational import balanced, fitted
from pyrocausal.errors import EvidenceError
from pyrocausal.exogenous.law import Law
from pyrocausal.table import read

ENGINES = ["importance", "svi", "nuts"]
ERRORS = 5.0  # standard errors


def problem(scm, evidence):
    return scm._problem(read(evidence, scm.variables, where="evidence", missing="abduct"), 0)


def normal(name, mean=0.0, sd=1.0):
    return pyro.sample(name, dist.Normal(mean, sd))


# ---- linear-Gaussian models: the posterior of the noise is Gaussian


class Linear:
    """x = B x + D u with u ~ N(0, I) and B strictly lower triangular: x = A u, with A = (I - B)⁻¹ D."""

    def __init__(self, weights, sd, latent):
        self.weights, self.sd = np.array(weights, dtype=float), np.array(sd, dtype=float)
        self.names = [f"v{i}" for i in range(len(sd))]
        self.latent = [self.names[i] for i in latent]

    def program(self):
        x = []
        for row, sd, name in zip(self.weights, self.sd, self.names):
            x.append(
                normal(name, sum((float(w) * v for w, v in zip(row, x) if w), torch.tensor(0.0)), float(sd))
            )

    def scm(self):
        return pc.SCM(self.program, latent=self.latent)

    def mixing(self, do=()):
        """A and b with x = A u + b, where variables in `do` are set."""
        weights, noise, b = self.weights.copy(), np.diag(self.sd), np.zeros(len(self.sd))
        for i, value in dict(do).items():
            weights[i], noise[i], b[i] = 0, 0, value
        inverse = np.linalg.inv(np.eye(len(b)) - weights)
        return inverse @ noise, inverse @ b

    def posterior(self, row):
        """The mean and covariance of u given the values in `row` that are not NaN."""
        a = self.mixing()[0][~np.isnan(row)]
        gain = a.T @ np.linalg.inv(a @ a.T)
        free = np.eye(len(row)) - gain @ a
        return gain @ row[~np.isnan(row)], np.where(np.abs(free) < 1e-9, 0.0, free)

    def evidence(self, units, gaps=0.0, seed=0):
        """Units of the model; latents, and a share of the cells of what is observed, are NaN."""
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(units, len(self.sd))) @ self.mixing()[0].T
        x = x.astype(np.float32).astype(float)
        x[rng.uniform(size=x.shape) < gaps] = np.nan
        x[:, [self.names.index(name) for name in self.latent]] = np.nan
        return x

    def table(self, x):
        return pd.DataFrame(x, columns=self.names).drop(columns=self.latent)


def random_linear(seed):
    rng = np.random.default_rng(seed)
    weights = np.tril(rng.normal(size=(6, 6)) * (rng.uniform(size=(6, 6)) < 0.7), -1)
    return Linear(weights, rng.uniform(0.5, 1.5, 6), latent=rng.choice(4, 2, replace=False))


MODELS = {
    # v0 -> v1, v0 -> v2, v1 -> v2: a latent confounder
    "confounder": (Linear([[0, 0, 0], [1.5, 0, 0], [-1, 2, 0]], [1, 0.7, 1.2], [0]), 0.0),
    # v0 -> v2 <- v1, v2 -> v3: two latents that their child makes dependent
    "collider": (Linear([[0] * 4, [0] * 4, [1, 1, 0, 0], [0, 0, 2, 0]], [1, 1.5, 0.5, 1], [0, 1]), 0.0),
    "missing": (Linear([[0, 0, 0], [1, 0, 0], [1, 1, 0]], [1, 1, 1], []), 0.4),
    "random": (random_linear(3), 0.2),
    "another": (random_linear(7), 0.2),
}


def moments(noise, names):
    """Mean and covariance over draws of every unit, `(units, n)` and `(units, n, n)`."""
    u = torch.stack([noise[name] for name in names], -1).double().numpy()
    centred = u - u.mean(0)
    return u.mean(0), np.einsum("kui,kuj->uij", centred, centred) / len(u)


def deviation(noise, model, x):
    """The largest error of a mean or covariance of the noise, in standard errors."""
    found, worst = moments(noise, model.names), 0.0
    for unit, row in enumerate(x):
        mean, cov = model.posterior(row)
        n, variance = float(noise.diagnostics["ess"][unit]), np.diag(cov)
        errors = np.abs(found[0][unit] - mean) / (np.sqrt(variance / n) + 1e-4)
        # squares are autocorrelated for longer than the values that `ess` is about: a quarter counts
        spread = np.sqrt((np.outer(variance, variance) + cov**2) / (n / 4)) + 1e-4
        worst = max(worst, errors.max(), (np.abs(found[1][unit] - cov) / spread).max())
    return worst


@pytest.mark.parametrize(
    ["name", "engine"],
    [(name, engine) for name in MODELS for engine in ("importance", "svi")]
    + [("collider", "nuts"), ("random", "nuts")],
)
def test_linear_gaussian_noise_and_counterfactuals(name, engine):
    model, gaps = MODELS[name]
    x = model.evidence(5, gaps)
    found = model.scm().counterfactual(
        model.table(x),
        do={"v1": 1.0},
        method=engine,
        missing="abduct",
        num_samples={"importance": 40_000, "svi": 1000, "nuts": 400}[engine],
        seed=0,
    )
    assert found.diagnostics["method"] == engine
    assert deviation(found.noise, model, x) < ERRORS
    assert deviation(found.noise, model, x[::-1]) > 2 * ERRORS  # control: other units' posteriors

    last = model.names[-1]
    a, b = model.mixing(do={1: 1.0})
    for unit, row in enumerate(x):
        mean, cov = model.posterior(row)
        n, variance = float(found.diagnostics["ess"][unit]), max(a[-1] @ cov @ a[-1], 0.0)
        y = found[last][:, unit].double()
        assert abs(y.mean() - (a[-1] @ mean + b[-1])) < ERRORS * math.sqrt(variance / n) + 1e-4
        assert abs(y.var() - variance) < ERRORS * math.sqrt(8 * variance**2 / n) + 1e-4


@pytest.mark.parametrize("worlds", [1, 2, 4])
@pytest.mark.parametrize("engine", [*ENGINES, "guide"])
def test_evidence_counts_once_whatever_the_number_of_worlds(engine, worlds):
    """z ~ N(0, 1), y = z + x + u, x = 0, y = 3: z | e is N(1.5, 1/2), and Y_{x=k} = 3 + k."""

    def program():
        z, x = normal("z"), normal("x")
        normal("y", z + x)

    guide = pc.guides.Amortized(z=lambda x, y: dist.Normal((y - x) / 2, 0.5**0.5))
    scm = pc.SCM(program, latent=["z"], guide=guide if engine == "guide" else None)
    found = scm.counterfactual(
        {"x": [0.0], "y": [3.0]},
        do={f"w{k}": {"x": float(k)} for k in range(worlds)},
        method=engine,
        num_samples=400 if engine == "nuts" else 4000,
        seed=0,
    )
    z, n = found.factual["z"][:, 0].double(), float(found.diagnostics["ess"][0])
    assert abs(z.mean() - 1.5) < ERRORS * math.sqrt(0.5 / n)
    assert abs(z.var() - 0.5) < ERRORS * math.sqrt(8 * 0.25 / n)
    for k in range(worlds):
        assert torch.allclose(found.worlds[f"w{k}"]["y"], torch.tensor(3.0 + k), atol=1e-5)
    # control: evidence counted in each of two worlds gives a mean of 2, and 4/3 of the precision
    assert abs(z.mean() - 2.0) > ERRORS * math.sqrt(0.5 / n)


# ---- other latents, other mechanisms: against quadrature


LATENTS = {
    "normal": (dist.Normal(0.0, 1.0), stats.norm),
    "exponential": (dist.Exponential(1.0), stats.expon),
    "uniform": (dist.Uniform(0.0, 1.0), stats.uniform),
    "logistic": (dist.Logistic(0.0, 1.0), stats.logistic),
    "laplace": (dist.Laplace(0.0, 1.0), stats.laplace),
    "gumbel": (dist.Gumbel(0.0, 1.0), stats.gumbel_r),
}


def multiplied(law=LATENTS["normal"][0], sd=1.0):
    z, x = pyro.sample("z", law), normal("x")
    normal("y", z * x, sd)


def all_multiplied(names):
    x = normal("x")
    for name in names:
        normal(f"y_{name}", pyro.sample(name, LATENTS[name][0]) * x)


@pytest.mark.parametrize("engine", ENGINES)
def test_non_additive_counterfactuals(engine):
    """y = z x + u; given x = 1: Y_{x=2} = y + z, whatever z's law. Truth by quadrature."""
    y, names = 2.5, list(LATENTS) if engine != "nuts" else ["exponential", "laplace"]
    found = pc.SCM(partial(all_multiplied, names), latent=names).counterfactual(
        {"x": [1.0], **{f"y_{name}": [y] for name in names}},
        do={"x": 2.0},
        method=engine,
        num_samples={"importance": 400_000, "svi": 1000, "nuts": 400}[engine],
        seed=0,
    )
    n = float(found.diagnostics["ess"])
    assert n > 150
    for name in names:
        law = LATENTS[name][1]
        z = law.ppf((np.arange(200_000) + 0.5) / 200_000)
        p = stats.norm.pdf(y, z, 1)
        mean = np.average(y + z, weights=p)
        variance = np.average((y + z - mean) ** 2, weights=p)
        draws = found[f"y_{name}"][:, 0].double()
        assert abs(draws.mean() - mean) < ERRORS * math.sqrt(variance / n), name
        assert abs(draws.var() - variance) < ERRORS * math.sqrt(8 * variance**2 / n), name
        assert abs(2 * y - mean) > ERRORS * math.sqrt(variance / n), name  # control: z taken to be y


def sharp():
    z = normal("z")
    normal("y", z, 0.01)


def test_auto_follows_gradients_where_the_prior_misses_the_posterior(caplog):
    """z | y = 2 is N(2 / 1.0001, 0.0001 / 1.0001); few draws of the prior are near."""
    scm, e = pc.SCM(sharp, latent=["z"]), {"y": [2.0, 0.1]}
    with caplog.at_level("INFO", "pyrocausal"):
        noise = scm.abduct(e, seed=0)
    assert noise.diagnostics["method"] == "svi"
    assert [r.levelname for r in caplog.records] == ["INFO"] and "svi" in caplog.text
    assert (noise.diagnostics["ess"] > 700).all()
    z = noise["z"].double()
    assert ((z.mean(0) - torch.tensor([2.0, 0.1]) / 1.0001).abs() < ERRORS * 0.01 / math.sqrt(700)).all()
    assert ((z.std(0) / 0.01 - 1).abs() < ERRORS * math.sqrt(2 / 700)).all()

    caplog.clear()  # control: asked for by name, importance sampling does what it can and says so
    with caplog.at_level("INFO", "pyrocausal"):
        poor = scm.abduct(e, method="importance", seed=0)
    assert poor.diagnostics["ess"].min() < 50
    assert ((poor["z"].std(0) / 0.01 - 1).abs() > ERRORS * math.sqrt(2 / 700)).any()
    assert [r.levelname for r in caplog.records] == ["WARNING"] and '"svi"' in caplog.text


def test_auto_keeps_the_prior_where_it_serves():
    noise = pc.SCM(multiplied, latent=["z"]).abduct({"x": [1.0], "y": [1.0]}, seed=0)
    assert noise.diagnostics["method"] == "importance"


def test_auto_stays_with_the_prior_where_a_latent_is_discrete(caplog):
    def program():
        k = pyro.sample("k", dist.Bernoulli(0.5))
        normal("y", normal("z", 2.0 * k), 0.001)

    noise = pc.SCM(program, latent=["k", "z"]).abduct({"y": [1.0]}, seed=0)
    assert noise.diagnostics["method"] == "importance" and "unreliable" in caplog.text


def squared():
    z = normal("z")
    normal("y", z**2, 0.1)


def test_two_modes(caplog):
    """z² = 4: svi finds both modes; chains stay in theirs, and say so. E|z| = 1.995 by quadrature."""
    scm, e = pc.SCM(squared, latent=["z"]), {"y": [4.0]}
    grid = np.linspace(0, 5, 200_001)
    mean = np.average(grid, weights=stats.norm.pdf(grid) * stats.norm.pdf(4, grid**2, 0.1))
    noise = scm.abduct(e, method="svi", seed=0)
    z, n = noise["z"][:, 0].double(), float(noise.diagnostics["ess"][0])
    assert n > 300
    assert abs(z.mean()) < ERRORS * 2 / math.sqrt(n)
    assert abs(z.abs().mean() - mean) < ERRORS * 0.026 / math.sqrt(n)
    assert not caplog.records
    noise = scm.abduct(e, method="nuts", num_samples=400, seed=0)
    assert noise.diagnostics["r_hat"] > 1.05 and "R-hat" in caplog.text


# ---- svi


def test_a_gaussian_posterior_is_reached_exactly():
    """Not by luck of the draws: the fit's mean and covariance are the closed form's."""
    model, gaps = MODELS["random"]
    x = model.evidence(5, gaps)
    scores = Scores(problem(model.scm(), model.table(x)), "svi")
    q = fitted(scores)
    at = [model.names.index(name) for name in scores.laws]
    cov = (q.scale @ q.scale.mT)[:, :, 0]
    for unit, row in enumerate(x):
        mean, true = model.posterior(row)
        # in the fit, cells that a unit has are free, and have their prior
        own = np.isnan(row)[at]
        true = np.where(np.outer(own, own), true[np.ix_(at, at)], np.eye(len(at)))
        for start in range(len(q.mean)):
            assert np.allclose(q.mean[start, unit, 0], np.where(own, mean[at], 0), atol=2e-3)
            assert np.allclose(cov[start, unit], true, atol=2e-3)
        assert not np.allclose(np.eye(len(at)), true, atol=0.1)  # control: where it started


def test_a_narrow_ridge():
    """y = z + w + u/1000: the covariance of z and w is nearly singular."""

    def program():
        normal("y", normal("z") + normal("w"), 0.001)

    noise = pc.SCM(program, latent=["z", "w"]).abduct({"y": [1.0]}, method="svi", seed=0)
    assert noise.diagnostics["ess"] > 600
    z, w = noise["z"][:, 0].double(), noise["w"][:, 0].double()
    assert abs(z.mean() - 0.5) < ERRORS * math.sqrt(0.5 / 600)
    assert abs(torch.corrcoef(torch.stack([z, w]))[0, 1] + 1) < 1e-3
    assert torch.allclose(z + w, torch.tensor(1.0).double(), atol=0.01)


@pytest.mark.parametrize("size", [20, 120], ids=["full", "diagonal"])
def test_vectors(size):
    """z ~ N(0, I), y = z + u/10, so z | y is N(y / 1.01, I / 101)."""

    def program():
        z = pyro.sample("z", dist.Normal(torch.zeros(size), 1.0).to_event(1))
        pyro.sample("y", dist.Normal(z, 0.1).to_event(1))

    y = torch.linspace(-2, 2, size)[None]
    noise = pc.SCM(program, latent=["z"]).abduct({"y": y}, method="svi", seed=0)
    assert noise["z"].shape == (1000, 1, size)
    n = float(noise.diagnostics["ess"])
    assert n > 600
    assert ((noise["z"].mean(0) - y / 1.01).abs() < ERRORS / math.sqrt(101 * n)).all()


def test_draws_for_the_fit_have_exact_moments():
    eps = balanced(torch.Size([1, 3]), torch.Generator().manual_seed(0))[:, 0, 0, 0]
    assert torch.allclose(eps.mean(0), torch.zeros(3).double(), atol=1e-12)
    assert torch.allclose(eps.T @ eps / len(eps), torch.eye(3).double(), atol=1e-12)


# ---- nuts


def test_diagnostics_of_chains_are_those_of_arviz():
    import arviz

    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 250, 3))
    for t in range(1, 250):  # autocorrelated; the second apart, the third of other spread
        x[:, t] += 0.7 * x[:, t - 1]
    x[0, :, 1] += 1
    x[0, :, 2] *= 3
    ours = r_hat(torch.tensor(x)), effective_draws(torch.tensor(x))
    for i in range(3):
        assert float(ours[0][i]) == pytest.approx(float(arviz.rhat(x[:, :, i])), abs=2e-3)
        assert float(ours[1][i]) == pytest.approx(float(arviz.ess(x[:, :, i])), rel=0.02)
    assert ours[0][0] < 1.05 < min(ours[0][1:])


@pytest.mark.parametrize(["draws", "chains"], [(400, 4), (9, 3), (7, 1)])
def test_chains_follow_one_another(draws, chains):
    scm = pc.SCM(sharp, latent=["z"])
    cf = scm.counterfactual({"y": [2.0, 0.1]}, do={"y": 0.0}, method="nuts", num_samples=draws, seed=0)
    assert cf.noise["z"].shape == (draws, 2) and cf.diagnostics["chains"] == chains
    data = cf.to_arviz()
    for group in (data.exogenous, data.counterfactual, cf.noise.to_arviz().exogenous):
        assert dict(group.sizes)["chain"] == chains and dict(group.sizes)["draw"] == draws // chains
    z = data.exogenous["z"].values
    assert np.array_equal(z[-1], cf.noise["z"][-draws // chains :].numpy())


def test_a_wall_of_probability_zero():
    """y ~ U(z, z + 1), y = 0.5: z is a normal truncated to (-0.5, 0.5), of variance 0.0803."""

    def program():
        z = normal("z")
        pyro.sample("y", dist.Uniform(z, z + 1.0))

    noise = pc.SCM(program, latent=["z"]).abduct({"y": [0.5]}, method="svi", seed=0)
    assert noise["z"].abs().max() <= 0.5
    n, variance = float(noise.diagnostics["ess"]), stats.truncnorm(-0.5, 0.5).var()
    assert abs(noise["z"].var() - variance) < ERRORS * math.sqrt(2 / n) * variance


# ---- all engines


@pytest.mark.parametrize("engine", ENGINES)
def test_evidence_that_is_impossible_above_some_latents(engine):
    """y = z + Exp(1), z ~ N(0, 1): given y, z is N(1, 1) cut off at y."""

    def program():
        z = normal("z")
        late = dist.transforms.AffineTransform(z, torch.tensor(1.0))
        pyro.sample("y", dist.TransformedDistribution(dist.Exponential(1.0), late))

    y = torch.tensor([0.0, -1.0, 2.0])
    noise = pc.SCM(program, latent=["z"]).abduct({"y": y}, method=engine, num_samples=2000, seed=0)
    z, ess = noise.factual["z"], noise.diagnostics["ess"]
    truth = stats.truncnorm(-np.inf, y - 1.0, loc=1.0)
    assert (z <= y).all()
    errors = (z.mean(0).double() - torch.as_tensor(truth.mean())) / torch.as_tensor(truth.std())
    assert (errors.abs() < ERRORS / ess.sqrt()).all()


def test_units_together_are_units_one_by_one():
    scm = pc.SCM(partial(multiplied, dist.Gumbel(0.0, 1.0)), latent=["z"])
    x, y = [1.0, -1.0, 0.5], [2.0, 0.5, -1.0]
    ask = partial(scm.abduct, method="svi", seed=0)
    together = ask({"x": x, "y": y})
    for unit in range(3):
        alone = ask({"x": x[unit : unit + 1], "y": y[unit : unit + 1]})
        n = min(float(alone.diagnostics["ess"]), float(together.diagnostics["ess"][unit])) / 2
        gap = (alone["z"].mean(0) - together["z"][:, unit].mean()).abs()
        assert gap < ERRORS * alone["z"].std() / math.sqrt(n)
    assert (together["z"][:, 0].mean() - together["z"][:, 1].mean()).abs() > 1  # control: units differ


@pytest.mark.parametrize("engine", ENGINES)
def test_seeds_decide_and_the_global_generator_is_left_alone(engine):
    scm = pc.SCM(sharp, latent=["z"])
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one, again, other = (
        scm.abduct({"y": [1.0]}, method=engine, num_samples=8, seed=s)["z"] for s in (0, 0, 1)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("engine", ENGINES)
def test_few_draws_are_still_draws_of_the_posterior(engine):
    """One draw each of 500 units like the sharpest: near 0.5, where a draw of the prior is not."""
    scm = pc.SCM(partial(multiplied, sd=0.1), latent=["z"])
    units = 500 if engine != "nuts" else 50
    e = {"x": torch.ones(units), "y": torch.full((units,), 0.5)}
    z = scm.abduct(e, method=engine, num_samples=1, seed=0)["z"]
    assert z.shape == (1, units)
    assert abs(z.mean() - 0.5 / 1.01) < ERRORS * 0.1 / math.sqrt(units)
    assert 0.05 < z.std() < 0.2


@pytest.mark.parametrize("engine", ["svi", "nuts"])
def test_discrete_latents_are_refused(engine):
    def program():
        k = pyro.sample("kind", dist.Bernoulli(0.5))
        normal("y", k)

    with pytest.raises(EvidenceError) as caught:
        pc.SCM(program, latent=["kind"]).abduct({"y": [1.0]}, method=engine)
    assert "'kind'" in caught.value.what and engine in caught.value.what
    assert "importance" in caught.value.fix


@pytest.mark.parametrize("engine", ["svi", "nuts"])
def test_impossible_evidence(engine):
    def program():
        z = pyro.sample("z", dist.Uniform(0.0, 1.0))
        pyro.sample("y", dist.Uniform(z, z + 1.0))

    scm = pc.SCM(program, latent=["z"])
    with pytest.raises(EvidenceError, match="row 1"):
        scm.abduct({"y": [0.5, 3.0]}, method=engine, seed=0)


@pytest.mark.parametrize("engine", ["svi", "nuts"])
def test_without_gaps_the_answer_is_exact(engine):
    noise = pc.SCM(sharp).abduct({"z": [1.0], "y": [1.01]}, method=engine)
    assert noise.diagnostics["method"] == "exact" and noise["y"].shape == (1,)


def test_a_program_that_branches_runs_unit_by_unit():
    def program():
        z = normal("z")
        x = normal("x")
        normal("y", z + x if x > 0 else z - x, 0.5)

    noise = pc.SCM(program, latent=["z"]).abduct({"x": [1.0, -1.0], "y": [2.0, 3.0]}, method="svi", seed=0)
    mean = torch.tensor([1.0, 2.0]) * 0.8  # y = z + |x| + u/2
    assert ((noise["z"].mean(0) - mean).abs() < ERRORS * math.sqrt(0.2 / 700)).all()


# ---- normal scores


KINDS = {
    "normal": stats.norm,
    "logistic": stats.logistic,
    "gumbel": stats.gumbel_r,
    "laplace": stats.laplace,
    "cauchy": stats.cauchy,
    "uniform": stats.uniform,
    "exponential": stats.expon,
    "half_normal": stats.halfnorm,
    "half_cauchy": stats.halfcauchy,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_noise_at_normal_scores(kind, dtype):
    """Q(Φ(s)) and its slope φ(s) / f(Q(Φ(s))), in both tails and in the middle; and a finite second slope."""
    s = torch.tensor([-7.0, -3.0, -1.0, 0.0, 0.5, 2.0, 4.0, 7.0], dtype=dtype, requires_grad=True)
    at, law = s.detach().double().numpy(), KINDS[kind]
    true = np.where(at < 0, law.ppf(stats.norm.cdf(at)), law.isf(stats.norm.sf(at)))
    u = Law(kind, ()).from_normal(s)
    (slope,) = torch.autograd.grad(u.sum(), s, create_graph=True)
    precise = at < (5 if kind == "uniform" else 9)  # a uniform can't be told from 1 in the upper tail
    tolerance = 1e-6 if dtype == torch.float32 else 1e-4 if kind == "half_normal" else 1e-9
    middle = 1e-7 if kind in ("laplace", "logistic", "cauchy", "normal") else 0.0
    assert np.allclose(
        u.detach().numpy(), true, rtol=max(tolerance, 5e-4 * (kind == "half_normal")), atol=middle
    )
    right = np.exp(stats.norm.logpdf(at) - law.logpdf(true))
    assert np.allclose(slope.detach().numpy()[precise], right[precise], rtol=max(tolerance, 1e-6))
    if kind != "normal":
        assert torch.autograd.grad(slope.sum(), s)[0].isfinite().all()


def test_scores_of_joint_noise_and_of_none():
    law = Law("joint", (4,), (Law("gumbel", (3,)), Law("normal", ())))
    s = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    u = law.from_normal(s)
    assert torch.equal(u[:, :3], Law("gumbel", (3,)).from_normal(s[:, :3])) and torch.equal(u[:, 3], s[:, 3])
    assert torch.equal(Law("none", ()).from_normal(torch.ones(3)), torch.zeros(3))


def test_noise_found_by_gradients_carries_none():
    assert not pc.SCM(sharp, latent=["z"]).abduct({"y": [1.0]}, method="svi", seed=0)["z"].requires_grad
