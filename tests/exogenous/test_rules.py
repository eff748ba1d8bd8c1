# ruff: noqa: E501 (tables of one-line cases)
"""Gradients, posteriors, couplings, refusals, and controls that show the other tests can fail."""

import numpy as np
import pyro.distributions as dist
import pyro.distributions.transforms as pt
import pytest
import scipy.special as sp
import scipy.stats as st
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from pyrocausal.errors import UnsupportedCoupling, UnsupportedDistribution
from pyrocausal.exogenous import Exogenous, Law, exogenous
from pyrocausal.exogenous.cdf import beta_tails, gamma_tails, student_tails, von_mises_tails
from pyrocausal.exogenous.law import STANDARD

from .catalogue import ALL, ids

ALPHA = 1e-4  # of a correct implementation failing under a random seed; the seeds are fixed
quick = settings(derandomize=True, deadline=None, max_examples=40)
number = some.floats(-50, 50)
positive = some.floats(-4, 4).map(lambda z: 10.0**z)


def f64(*values):
    return tuple(torch.tensor(v, dtype=torch.float64) for v in values)


# ------------------------------------------------------------------ laws


@pytest.mark.parametrize("kind", STANDARD)
def test_a_standard_law_is_one_law(kind):
    """Its draws, density, distribution functions and quantile agree with the Pyro distribution it names."""
    law = Law(kind, (2,))
    u = law.sample(2000, torch.Generator().manual_seed(0), torch.float64)
    member = law.distribution
    one = STANDARD[kind].build(*f64(0.0, 1.0))
    assert member.event_shape == (2,) and u.shape == (2000, 2)
    torch.testing.assert_close(law.log_prob(u), one.log_prob(u).sum(-1))
    torch.testing.assert_close(STANDARD[kind].log_cdf(u).exp(), one.cdf(u), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(STANDARD[kind].log_sf(u).exp(), 1 - one.cdf(u), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(law.from_uniform(STANDARD[kind].log_cdf(u).exp()), u, atol=1e-4, rtol=1e-4)
    assert st.kstest(u[:, 0].numpy(), lambda z: one.cdf(torch.tensor(z)).numpy()).pvalue > ALPHA


@pytest.mark.parametrize("kind", STANDARD)
def test_float32_noise_is_the_float64_noise_rounded(kind):
    """So it has the tails of float64: torch's own float32 Gumbel and Logistic end at 16.6."""
    narrow, wide = (
        Law(kind, ()).sample(10_000, torch.Generator().manual_seed(0), t)
        for t in (torch.float32, torch.float64)
    )
    assert torch.isfinite(narrow).all()
    assert torch.equal(narrow, wide.float())


def test_a_joint_law_is_its_parts_side_by_side():
    law = Law("joint", (7,), (Law("gumbel", (3,)), Law("normal", (2, 2))))
    u = law.sample((5, 4), torch.Generator().manual_seed(0))
    first, second = law.split(u)
    assert first.shape == (5, 4, 3) and second.shape == (5, 4, 2, 2)
    expected = law.parts[0].log_prob(first) + law.parts[1].log_prob(second)
    torch.testing.assert_close(law.log_prob(u), expected)
    torch.testing.assert_close(law.distribution.log_prob(u), expected)
    assert law.distribution.expand((3,)).sample((2,)).shape == (2, 3, 7)


# ------------------------------------------------------------------ distribution functions


@quick
@given(a=positive, q=some.floats(1e-12, 1 - 1e-12))
def test_gamma_tails_against_scipy(a, q):
    x = sp.gammaincinv(a, q)
    if x > 1e-280:
        log_cdf, log_sf = gamma_tails(*f64(a, np.log(x)))
        np.testing.assert_allclose(
            [log_cdf, log_sf], np.log([sp.gammainc(a, x), sp.gammaincc(a, x)]), rtol=1e-6, atol=1e-8
        )


@quick
@given(a=positive, b=positive, q=some.floats(1e-9, 1 - 1e-9))
def test_beta_tails_against_scipy(a, b, q):
    x = sp.betaincinv(a, b, q)
    if 1e-280 < x < 1 - 1e-6:
        log_cdf, log_sf = beta_tails(*f64(a, b, sp.logit(x)))
        truth = np.log([sp.betainc(a, b, x), sp.betaincc(a, b, x)])
        np.testing.assert_allclose([log_cdf, log_sf], truth, rtol=1e-5, atol=1e-7)


@quick
@given(df=positive, x=some.floats(-1e3, 1e3))
def test_student_tails_against_scipy(df, x):
    log_cdf, log_sf = student_tails(*f64(df, np.arcsinh(x / np.sqrt(df))))
    truth = st.t(df).cdf(x), st.t(df).sf(x)
    np.testing.assert_allclose([log_cdf.exp(), log_sf.exp()], truth, rtol=1e-7, atol=1e-300)


def test_von_mises_tails_against_quadrature():
    from scipy.integrate import quad

    for kappa in (0.01, 1.0, 30.0):
        for angle in (-3.0, -1.0, 0.5, 2.9):
            log_cdf, _ = von_mises_tails(*f64(kappa, np.arcsinh(np.tan(angle / 2))))
            truth = quad(lambda t, k=kappa: np.exp(k * (np.cos(t) - 1)), -np.pi, angle, epsabs=0)[0]
            np.testing.assert_allclose(log_cdf.exp(), truth / (2 * np.pi * sp.i0e(kappa)), rtol=1e-8)


# ------------------------------------------------------------------ deep noise, random parameters

FAMILIES = {
    "Gamma": lambda a, b: dist.Gamma(a, b),
    "Beta": lambda a, b: dist.Beta(a, b),
    "FisherSnedecor": lambda a, b: dist.FisherSnedecor(a, b),
    "StudentT": lambda a, b: dist.StudentT(a, 0.0, b),
    "Weibull": lambda a, b: dist.Weibull(b, a),
    "Kumaraswamy": lambda a, b: dist.Kumaraswamy(a, b),
}


@pytest.mark.parametrize("family", FAMILIES)
@quick
@given(a=positive, b=positive, depth=some.floats(-30, 30))
def test_round_trip_at_random_parameters_and_depths(family, a, b, depth):
    for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        a_, b_ = (torch.tensor(z, dtype=dtype) for z in (a, b))
        site = exogenous(FAMILIES[family](a_, b_))
        x = site.push(torch.tensor(depth, dtype=dtype))
        bounded = family in ("Beta", "Kumaraswamy")
        if 1e-30 < x.abs() < 1e30 and not (bounded and x > 1 - 1e-3):  # representable
            scale = x.abs() + (b if family == "StudentT" else 0)
            error = (site.push(site.pull(x, None)) - x).abs() / scale
            assert error < tolerance


# ------------------------------------------------------------------ gradients

SMOOTH = {
    "Normal": (lambda p: dist.Normal(p[0], p[1]), (0.3, 1.2)),
    "Gamma": (lambda p: dist.Gamma(p[0], p[1]), (2.3, 1.2)),
    "Gamma, small": (lambda p: dist.Gamma(p[0], p[1]), (0.3, 1.2)),
    "Beta": (lambda p: dist.Beta(p[0], p[1]), (2.3, 0.7)),
    "FisherSnedecor": (lambda p: dist.FisherSnedecor(p[0], p[1]), (2.3, 3.7)),
    "StudentT": (lambda p: dist.StudentT(p[0], p[1], p[2]), (2.3, 0.7, 1.1)),
    "VonMises": (lambda p: dist.VonMises(p[0], p[1]), (0.3, 1.7)),
    "InverseGamma": (lambda p: dist.InverseGamma(p[0], p[1]), (2.3, 1.2)),
    "Kumaraswamy": (lambda p: dist.Kumaraswamy(p[0], p[1]), (2.3, 1.2)),
    "AsymmetricLaplace": (lambda p: dist.AsymmetricLaplace(p[0], p[1], p[2]), (0.3, 1.2, 1.5)),
    "SkewLogistic": (lambda p: dist.SkewLogistic(p[0], p[1], p[2]), (0.3, 1.2, 1.5)),
    "ContinuousBernoulli": (lambda p: dist.ContinuousBernoulli(logits=p[0]), (2.3,)),
    "GeneralizedPareto": (lambda p: dist.GeneralizedPareto(p[0], p[1], p[2]), (0.3, 1.2, 0.4)),
    "mixture": (lambda p: dist.MixtureSameFamily(dist.Categorical(logits=p[:2]), dist.Normal(p[2:4], p[4:])), (0.1, 0.5, -1.0, 1.5, 0.7, 1.3)),
    "Dirichlet": (lambda p: dist.Dirichlet(p), (0.7, 1.5, 2.5)),
    "MultivariateStudentT": (lambda p: dist.MultivariateStudentT(p[0], p[1:3], torch.diag(p[3:])), (3.3, 0.1, 0.2, 1.0, 2.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_of_push_and_pull_against_finite_differences(name):
    build, values = SMOOTH[name]
    parameters = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    u = exogenous(build(parameters.detach())).law.sample(3, torch.Generator().manual_seed(1), torch.float64)
    x = exogenous(build(parameters.detach())).push(u)
    close = dict(eps=1e-5, atol=1e-4, rtol=1e-4)
    assert torch.autograd.gradcheck(lambda p: exogenous(build(p)).push(u), (parameters,), **close)
    assert torch.autograd.gradcheck(lambda p: exogenous(build(p)).pull(x, None), (parameters,), **close)
    assert torch.autograd.gradcheck(
        exogenous(build(parameters.detach())).push, (u.requires_grad_(),), **close
    )


def test_derivation_itself_runs_under_vmap_and_grad():
    """Parameters that differ between units, built inside the map: how the handlers use it."""
    parents = torch.linspace(0.5, 3, 6, dtype=torch.float64)
    u = Law("logistic", ()).sample(6, torch.Generator().manual_seed(0), torch.float64)

    def gamma(parent, u):
        return exogenous(dist.Gamma(parent, 1.0 + parent, validate_args=False)).push(u)

    batch = exogenous(dist.Gamma(parents, 1 + parents)).push(u)
    torch.testing.assert_close(torch.vmap(gamma)(parents, u), batch)
    slope = torch.vmap(torch.func.grad(gamma))(parents, u)
    h = 1e-6
    secant = (torch.vmap(gamma)(parents + h, u) - torch.vmap(gamma)(parents - h, u)) / (2 * h)
    torch.testing.assert_close(slope, secant, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ posteriors


def test_gumbel_posterior_by_rejection():
    """Among prior draws that give x, the noise is distributed as a pull of x."""
    site = exogenous(dist.Categorical(logits=torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)))
    u = site.law.sample(30_000, torch.Generator().manual_seed(0), torch.float64)
    v = torch.rand(3000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for k in range(3):
        kept = u[site.push(u) == k][:3000]
        pulled = site.pull(torch.full((3000,), k), v)
        for j in range(3):
            assert st.ks_2samp(kept[:, j].numpy(), pulled[:, j].numpy()).pvalue > ALPHA
        np.testing.assert_allclose(np.corrcoef(kept.T), np.corrcoef(pulled.T), atol=0.12)


@pytest.mark.parametrize(
    "d, x",
    [
        (dist.Bernoulli(torch.tensor(0.3)), 1.0),
        (dist.Poisson(torch.tensor(2.5)), 3.0),
        (dist.OrderedLogistic(torch.tensor(0.5), torch.tensor([-1.0, 1.0])), 1),
        (dist.BetaBinomial(torch.tensor(2.0), torch.tensor(3.0), torch.tensor(4.0)), 2.0),
    ],
    ids=lambda z: type(z).__name__,
)
def test_monotone_posterior_by_rejection(d, x):
    site = exogenous(d)
    u = site.law.sample(8000, torch.Generator().manual_seed(0))
    kept = u[site.push(u) == x].reshape(-1, max(site.law.numel, 1))
    v = torch.rand((4000, *site.draws), generator=torch.Generator().manual_seed(1))
    pulled = site.pull(torch.full((4000,), x), v).reshape(4000, -1)
    for i in range(kept.shape[1]):
        assert st.ks_2samp(kept[:, i].numpy(), pulled[:, i].numpy()).pvalue > ALPHA


# ------------------------------------------------------------------ couplings


def test_couplings_give_different_counterfactuals():
    """(.5, .3, .2) -> (.2, .5, .3) given 1. Monotone: [.5, .8] is cut at .7, so a third moves to 2. Gumbel: the odds of
    1 rise more than those of any other class, so every unit stays (counterfactual stability)."""
    before, after = (dist.Categorical(torch.tensor(p)) for p in ([0.5, 0.3, 0.2], [0.2, 0.5, 0.3]))
    ones = torch.ones(4000, dtype=torch.long)
    moved = {}
    for coupling in ("monotone", "gumbel"):
        site = exogenous(before, coupling)
        v = torch.rand((4000, *site.draws), generator=torch.Generator().manual_seed(0))
        world = exogenous(after, coupling).push(site.pull(ones, v))
        assert not (world == 0).any()
        moved[coupling] = (world == 2).float().mean()
    assert abs(moved["monotone"] - 1 / 3) < 0.03  # four standard errors
    assert moved["gumbel"] == 0


def test_two_classes_have_one_coupling():
    """The difference of two Gumbels is logistic: P(x' = 1 | x = 1) from 0.7 to 0.3 is 3/7 either way, and 1 back."""
    low, high = dist.Bernoulli(torch.tensor(0.3)), dist.Bernoulli(torch.tensor(0.7))
    for coupling in ("monotone", "gumbel"):
        down, up = exogenous(high, coupling), exogenous(low, coupling)
        v = torch.rand((4000, *down.draws), generator=torch.Generator().manual_seed(0))
        assert abs(up.push(down.pull(torch.ones(4000), v)).mean() - 3 / 7) < 0.032
        assert (down.push(up.pull(torch.ones(4000), v)) == 1).all()


@pytest.mark.parametrize("d, coupling", [(dist.Normal(0.0, 1.0), "gumbel"), (dist.Poisson(1.0), "gumbel"), (dist.Bernoulli(0.5), "sobol"), (dist.OneHotCategorical(torch.ones(3)), "monotone")])  # fmt: skip
def test_a_coupling_that_is_not_offered_is_an_error(d, coupling):
    with pytest.raises(UnsupportedCoupling, match=f"{type(d).__name__} has no coupling '{coupling}'"):
        exogenous(d, coupling)
    with pytest.raises(UnsupportedCoupling):
        exogenous(d.expand([3]).mask(False), coupling)


# ------------------------------------------------------------------ refusals


class Doubled(dist.Normal):
    """A subclass that means something else than its parent."""

    def rsample(self, sample_shape=()):
        return 2 * super().rsample(sample_shape)


class Named(dist.Normal):
    """A subclass that means the same."""


REFUSED = {
    "Unit": lambda: dist.Unit(torch.tensor(0.0)),
    "ImproperUniform": lambda: dist.ImproperUniform(dist.constraints.real, (), ()),
    "Rejector": lambda: dist.Rejector(dist.Normal(0.0, 1.0), lambda x: x, torch.tensor(0.0)),
    "Doubled": lambda: Doubled(0.0, 1.0),
    "RelaxedBernoulliStraightThrough": lambda: dist.RelaxedBernoulliStraightThrough(torch.tensor(1.0), torch.tensor(0.3)),
    "RelaxedOneHotCategoricalStraightThrough": lambda: dist.RelaxedOneHotCategoricalStraightThrough(torch.tensor(1.0), torch.ones(3)),
    "LKJCholesky": lambda: dist.LKJCholesky(3),
    "Stable": lambda: dist.Stable(1.5, 0.0),
    "Wishart": lambda: dist.Wishart(torch.tensor(4.0), torch.eye(3)),
    "Normal": lambda: dist.ZeroInflatedDistribution(dist.Normal(0.0, 1.0), gate=torch.tensor(0.5)),
    "Empirical": lambda: dist.Empirical(torch.ones(3), torch.zeros(3)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_derived_is_refused_by_name(name):
    with pytest.raises(UnsupportedDistribution, match=rf"known for {name}\. .*register\({name}\)"):
        exogenous(REFUSED[name]())


@pytest.mark.parametrize(
    "transform", [pt.AbsTransform(), pt.Planar(2), pt.SoftmaxTransform()], ids=lambda t: type(t).__name__
)
def test_a_transform_without_inverse_is_refused_by_name(transform):
    d = dist.TransformedDistribution(dist.Normal(torch.zeros(2), 1.0).to_event(1), [transform])
    with pytest.raises(UnsupportedDistribution, match=type(transform).__name__):
        exogenous(d).pull(torch.ones(2), None)


def test_a_folded_distribution_is_refused():
    with pytest.raises(UnsupportedDistribution, match="AbsTransform"):
        exogenous(dist.FoldedDistribution(dist.Normal(0.0, 1.0)))


def test_a_subclass_that_adds_nothing_is_its_parent():
    assert exogenous(Named(0.0, 1.0)).law.kind == "normal"


def test_every_class_of_pyro_is_derived_or_refused():
    """No class falls through to a parent's rule unnoticed: a new one in Pyro must be put into one of these lists."""
    inherits = {
        "AVFMultivariateNormal", "OMTMultivariateNormal", "NanMaskedMultivariateNormal", "NanMaskedNormal",  # a normal
        "ExtendedBinomial", "ExtendedBetaBinomial",  # score values off the support, sample the same
        "ZeroInflatedPoisson", "ZeroInflatedNegativeBinomial", "Chi2", "LogNormal", "InverseGamma", "AffineBeta",
        "RelaxedBernoulli", "RelaxedOneHotCategorical", "LogisticNormal", "LKJ", "FoldedDistribution",  # transformed
        "OneHotCategoricalStraightThrough",
    }  # fmt: skip
    refused = {
        "RelaxedBernoulliStraightThrough",
        "RelaxedOneHotCategoricalStraightThrough",
        "LKJCorrCholesky",
    }
    for name in dir(dist):
        cls = getattr(dist, name)
        if not (isinstance(cls, type) and issubclass(cls, torch.distributions.Distribution)):
            continue
        bases = [b for b in cls.__mro__ if b.__name__ not in (name, "Distribution") and b in exogenous._rules]
        if bases and not any(b.__name__ == name and b in exogenous._rules for b in cls.__mro__):
            assert name in inherits | refused, f"{name} would inherit the rule of {bases[0].__name__}"


def test_registering_several_classes_at_once():
    class One(dist.TorchDistribution):
        arg_constraints = {}

    class Two(dist.TorchDistribution):
        arg_constraints = {}

    @exogenous.register(One, Two)
    def rule(d):
        return Exogenous(Law("normal", ()), lambda u: u, lambda x, v: x)

    assert exogenous(One(validate_args=False)).law == exogenous(Two(validate_args=False)).law


# ------------------------------------------------------------------ controls: the tests can fail


def test_control_uniform_noise_fails_the_bernoulli_round_trip():
    """x = 1{u > 1 - p} with uniform u: at a logit of 90 the evidence x = 0 can't be reproduced; ours can."""
    p = torch.sigmoid(torch.tensor(90.0))
    u = torch.rand(1000) * (1 - p)
    assert ((u > 1 - p).float() != 0).float().mean() == 0 and (
        1 - p
    ) == 0  # the cell of 0 is the single point 0 ...
    assert ((torch.rand(1000).clamp(min=1e-38) > 1 - p) == 0).sum() == 0  # ... which no noise falls into
    site = exogenous(dist.Bernoulli(logits=torch.tensor(90.0)))
    assert (site.push(site.pull(torch.zeros(1000), torch.rand(1000))) == 0).all()


def test_control_untied_gumbels_fail_the_round_trip():
    """The textbook top-down pull, without breaking ties in push's arithmetic, loses evidence to rounding."""
    log_p, x = torch.log_softmax(torch.zeros(1, 4), -1), torch.tensor([3])
    v = torch.tensor([[1 - 6e-8, 0.5, 0.5, 1e-6]])  # a loser that reaches a low maximum
    gumbel = -torch.log(-torch.log(v))
    won = torch.nn.functional.one_hot(x, 4).bool()
    top = (gumbel * won).sum(-1, keepdim=True)
    naive = torch.where(won, top, -torch.logaddexp(-(log_p + gumbel), -top)) - log_p
    site = exogenous(dist.Categorical(logits=log_p))
    assert ((log_p + naive).argmax(-1) != x).any()
    assert torch.equal(site.push(site.pull(x, v)), x)


def test_control_the_statistical_tests_detect_a_wrong_scale():
    x = exogenous(dist.Gamma(*f64(3.0, 2.0))).push(
        Law("logistic", ()).sample(1500, torch.Generator().manual_seed(4), torch.float64)
    )
    assert st.kstest(x.numpy(), st.gamma(3, 0, 0.5 * 1.15).cdf).pvalue < ALPHA


def test_case_names_are_unique():
    assert len(set(ids(ALL))) == len(ALL)
