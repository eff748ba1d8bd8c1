# ruff: noqa: E501 (tables of one-line cases)
"""Every distribution that has a rule, at ordinary and at extreme parameters, with the truth to test it against.

A case builds its distribution in a dtype; `cdf` is the exact distribution function of one scalar value (scipy's, or
closed form), `pmf` the exact probabilities of 0, 1, 2 ... of a discrete one. Extreme cases serve the round trips only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyro.distributions as dist
import pyro.distributions.transforms as pt
import scipy.special as sp
import scipy.stats as st
import torch
import zuko
from torch import Tensor


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[Callable], torch.distributions.Distribution]  # takes a maker of tensors
    cdf: Callable[[np.ndarray], np.ndarray] | None = None
    pmf: Callable[[np.ndarray], np.ndarray] | None = None
    coupling: str | None = None
    discrete: bool = False
    #: absolute scale added to |x| in the relative error of a round trip
    scale: float = 1.0
    flat: bool = False  # the value keeps less information than the noise (float resolution near a bound)

    def __call__(self, dtype: torch.dtype = torch.float64) -> torch.distributions.Distribution:
        previous = torch.distributions.Distribution._validate_args
        torch.distributions.Distribution.set_default_validate_args(False)
        try:
            return self.build(lambda *a: torch.tensor(a[0] if len(a) == 1 else a, dtype=dtype))
        finally:
            torch.distributions.Distribution.set_default_validate_args(previous)


def _spline() -> zuko.transforms.MonotonicRQSTransform:
    g = torch.Generator().manual_seed(1)
    parts = (torch.randn(n, generator=g, dtype=torch.float64) for n in (8, 8, 7))
    return zuko.transforms.MonotonicRQSTransform(*parts)


def _mixture_cdf(weights, parts):
    return lambda x: sum(w * p.cdf(x) for w, p in zip(weights, parts))


SCALARS = [
    Case("Normal", lambda t: dist.Normal(t(1.0), t(2.0)), st.norm(1, 2).cdf),
    Case("Laplace", lambda t: dist.Laplace(t(1.0), t(2.0)), st.laplace(1, 2).cdf),
    Case("Cauchy", lambda t: dist.Cauchy(t(1.0), t(2.0)), st.cauchy(1, 2).cdf),
    Case("Gumbel", lambda t: dist.Gumbel(t(1.0), t(2.0)), st.gumbel_r(1, 2).cdf),
    Case("Logistic", lambda t: dist.Logistic(t(1.0), t(2.0)), st.logistic(1, 2).cdf),
    Case("Uniform", lambda t: dist.Uniform(t(-1.0), t(2.0)), st.uniform(-1, 3).cdf),
    Case("HalfNormal", lambda t: dist.HalfNormal(t(2.0)), st.halfnorm(0, 2).cdf),
    Case("HalfCauchy", lambda t: dist.HalfCauchy(t(2.0)), st.halfcauchy(0, 2).cdf),
    Case("Exponential", lambda t: dist.Exponential(t(2.0)), st.expon(0, 0.5).cdf),
    Case("LogNormal", lambda t: dist.LogNormal(t(0.3), t(0.7)), st.lognorm(0.7, 0, np.exp(0.3)).cdf),
    Case("Weibull", lambda t: dist.Weibull(t(2.0), t(1.5)), st.weibull_min(1.5, 0, 2).cdf),
    Case("Weibull, steep", lambda t: dist.Weibull(t(2.0), t(100.0)), st.weibull_min(100, 0, 2).cdf),
    Case("Pareto", lambda t: dist.Pareto(t(2.0), t(1.5)), st.pareto(1.5, 0, 2).cdf),
    Case("GeneralizedPareto", lambda t: dist.GeneralizedPareto(t(1.0), t(2.0), t(0.3)), st.genpareto(0.3, 1, 2).cdf),
    Case("GeneralizedPareto, bounded", lambda t: dist.GeneralizedPareto(t(1.0), t(2.0), t(-0.3)), st.genpareto(-0.3, 1, 2).cdf),
    Case("GeneralizedPareto, 0", lambda t: dist.GeneralizedPareto(t(1.0), t(2.0), t(0.0)), st.genpareto(0, 1, 2).cdf),
    Case("Kumaraswamy", lambda t: dist.Kumaraswamy(t(2.0), t(3.0)), lambda x: 1 - (1 - x**2) ** 3),
    Case("AsymmetricLaplace", lambda t: dist.AsymmetricLaplace(t(1.0), t(2.0), t(1.7)), st.laplace_asymmetric(1.7, 1, 2).cdf),
    Case("SkewLogistic", lambda t: dist.SkewLogistic(t(1.0), t(2.0), t(1.7)), lambda x: sp.expit((x - 1) / 2) ** 1.7),
    Case("SoftLaplace", lambda t: dist.SoftLaplace(t(1.0), t(2.0)), st.hypsecant(1, 2).cdf),
    Case("ContinuousBernoulli", lambda t: dist.ContinuousBernoulli(t(0.9)), lambda x: np.expm1(x * sp.logit(0.9)) / np.expm1(sp.logit(0.9))),
    Case("ContinuousBernoulli, 1/2", lambda t: dist.ContinuousBernoulli(logits=t(0.0)), lambda x: x),
    Case("ContinuousBernoulli, low", lambda t: dist.ContinuousBernoulli(logits=t(-30.0)), lambda x: np.expm1(-30 * x) / np.expm1(-30)),
    Case("LogitRelaxedBernoulli", lambda t: dist.RelaxedBernoulli(t(0.7), logits=t(0.4)).base_dist, lambda x: sp.expit(0.7 * x - 0.4)),
    Case("RelaxedBernoulli", lambda t: dist.RelaxedBernoulli(t(0.7), logits=t(0.4)), lambda x: sp.expit(0.7 * sp.logit(x) - 0.4)),
    Case("Gamma", lambda t: dist.Gamma(t(3.0), t(2.0)), st.gamma(3, 0, 0.5).cdf),
    Case("Gamma, small", lambda t: dist.Gamma(t(0.05), t(2.0)), st.gamma(0.05, 0, 0.5).cdf),
    Case("Gamma, large", lambda t: dist.Gamma(t(1e5), t(2.0)), st.gamma(1e5, 0, 0.5).cdf),
    Case("Chi2", lambda t: dist.Chi2(t(3.0)), st.chi2(3).cdf),
    Case("InverseGamma", lambda t: dist.InverseGamma(t(3.0), t(2.0)), st.invgamma(3, 0, 2).cdf),
    Case("Beta", lambda t: dist.Beta(t(2.0), t(3.0)), st.beta(2, 3).cdf),
    Case("Beta, bathtub", lambda t: dist.Beta(t(0.3), t(0.2)), st.beta(0.3, 0.2).cdf, flat=True),
    Case("Beta, narrow", lambda t: dist.Beta(t(1e4), t(3e3)), st.beta(1e4, 3e3).cdf),
    Case("AffineBeta", lambda t: dist.AffineBeta(t(2.0), t(3.0), t(-1.0), t(4.0)), st.beta(2, 3, -1, 4).cdf),
    Case("FisherSnedecor", lambda t: dist.FisherSnedecor(t(3.0), t(5.0)), st.f(3, 5).cdf),
    Case("StudentT", lambda t: dist.StudentT(t(3.5), t(1.0), t(2.0)), st.t(3.5, 1, 2).cdf),
    Case("StudentT, heavy", lambda t: dist.StudentT(t(0.8), t(1.0), t(2.0)), st.t(0.8, 1, 2).cdf),
    Case("StudentT, light", lambda t: dist.StudentT(t(1e6), t(1.0), t(2.0)), st.t(1e6, 1, 2).cdf),
    Case("VonMises", lambda t: dist.VonMises(t(0.0), t(3.0)), st.vonmises(3).cdf),
    Case("VonMises, narrow", lambda t: dist.VonMises(t(0.0), t(1e3)), st.vonmises(1e3).cdf),
    Case("mixture of normals", lambda t: dist.MixtureSameFamily(dist.Categorical(t(0.3, 0.7)), dist.Normal(t(-1.0, 2.0), t(0.5, 1.0))), _mixture_cdf((0.3, 0.7), (st.norm(-1, 0.5), st.norm(2, 1)))),
    Case("mixture of Gammas", lambda t: dist.MixtureSameFamily(dist.Categorical(t(0.3, 0.7)), dist.Gamma(t(2.0, 9.0), t(1.0, 2.0))), _mixture_cdf((0.3, 0.7), (st.gamma(2), st.gamma(9, 0, 0.5)))),
    Case("mixture of negated LogNormals", lambda t: dist.MixtureSameFamily(dist.Categorical(t(0.3, 0.7)), dist.TransformedDistribution(dist.LogNormal(t(0.0, 1.0), t(1.0, 0.5)), pt.AffineTransform(t(0.0), t(-1.0)))), lambda x: 0.3 * st.lognorm(1).sf(-x) + 0.7 * st.lognorm(0.5, 0, np.e).sf(-x)),
    Case("mixture of Uniforms", lambda t: dist.MixtureSameFamily(dist.Categorical(t(0.3, 0.7)), dist.Uniform(t(0.0, 0.5), t(1.0, 2.0))), _mixture_cdf((0.3, 0.7), (st.uniform(0, 1), st.uniform(0.5, 1.5)))),
    Case("mixture of Cauchys", lambda t: dist.MixtureSameFamily(dist.Categorical(t(0.3, 0.7)), dist.Cauchy(t(0.0, 5.0), t(1.0, 2.0))), _mixture_cdf((0.3, 0.7), (st.cauchy(0, 1), st.cauchy(5, 2)))),
    Case("affine of a StudentT", lambda t: dist.TransformedDistribution(dist.StudentT(t(3.0)), [pt.AffineTransform(t(1.0), t(-2.0)), pt.ExpTransform()]), lambda x: st.t(3).sf((np.log(x) - 1) / -2)),
    Case("zuko spline", lambda t: dist.TransformedDistribution(dist.Normal(t(0.0), t(1.0)), [_spline()])),
]  # fmt: skip

COUNTS = [
    Case("Bernoulli", lambda t: dist.Bernoulli(t(0.3)), pmf=st.bernoulli(0.3).pmf),
    Case("Bernoulli, logits", lambda t: dist.Bernoulli(logits=t(1.2)), pmf=st.bernoulli(sp.expit(1.2)).pmf),
    Case("Bernoulli, Gumbel", lambda t: dist.Bernoulli(t(0.3)), pmf=st.bernoulli(0.3).pmf, coupling="gumbel"),
    Case("Binomial", lambda t: dist.Binomial(t(7.0), t(0.3)), pmf=st.binom(7, 0.3).pmf),
    Case("Poisson", lambda t: dist.Poisson(t(2.5)), pmf=st.poisson(2.5).pmf),
    Case("Geometric", lambda t: dist.Geometric(t(0.3)), pmf=lambda k: 0.3 * 0.7**k),
    Case("NegativeBinomial", lambda t: dist.NegativeBinomial(t(2.5), t(0.3)), pmf=st.nbinom(2.5, 0.7).pmf),
    Case("GammaPoisson", lambda t: dist.GammaPoisson(t(2.5), t(1.5)), pmf=st.nbinom(2.5, 0.6).pmf),
    Case("BetaBinomial", lambda t: dist.BetaBinomial(t(2.0), t(3.0), t(6.0)), pmf=st.betabinom(6, 2, 3).pmf),
    Case("ZeroInflatedPoisson", lambda t: dist.ZeroInflatedPoisson(t(2.5), gate=t(0.2)), pmf=lambda k: 0.8 * st.poisson(2.5).pmf(k) + 0.2 * (k == 0)),
    Case("ZeroInflatedNegativeBinomial", lambda t: dist.ZeroInflatedNegativeBinomial(t(2.5), probs=t(0.3), gate_logits=t(-1.0)), pmf=lambda k: sp.expit(1) * st.nbinom(2.5, 0.7).pmf(k) + sp.expit(-1) * (k == 0)),
    Case("mixture of Poissons", lambda t: dist.MixtureSameFamily(dist.Categorical(t(0.3, 0.7)), dist.Poisson(t(1.0, 5.0))), pmf=lambda k: 0.3 * st.poisson(1).pmf(k) + 0.7 * st.poisson(5).pmf(k)),
    Case("Categorical", lambda t: dist.Categorical(t(0.1, 0.5, 0.0, 0.4)), pmf=lambda k: np.array([0.1, 0.5, 0.0, 0.4])[k]),
    Case("Categorical, logits", lambda t: dist.Categorical(logits=t(0.0, 1.0, -float("inf"), 2.0)), pmf=lambda k: sp.softmax([0, 1, -np.inf, 2])[k]),
    Case("Categorical, monotone", lambda t: dist.Categorical(t(0.1, 0.5, 0.0, 0.4)), pmf=lambda k: np.array([0.1, 0.5, 0.0, 0.4])[k], coupling="monotone"),
    Case("OrderedLogistic", lambda t: dist.OrderedLogistic(t(0.5), t(-1.0, 0.0, 2.0)), pmf=lambda k: np.diff(sp.expit(np.array([-np.inf, -1.5, -0.5, 1.5, np.inf])))[k]),
    Case("OrderedLogistic, Gumbel", lambda t: dist.OrderedLogistic(t(0.5), t(-1.0, 0.0, 2.0)), pmf=lambda k: np.diff(sp.expit(np.array([-np.inf, -1.5, -0.5, 1.5, np.inf])))[k], coupling="gumbel"),
]  # fmt: skip

_factor = [[1.0, 0.0, 0.0], [0.5, 2.0, 0.0], [-1.0, 0.3, 0.5]]

VECTORS = [
    Case("MultivariateNormal", lambda t: dist.MultivariateNormal(t(0.0, 1.0, 2.0), scale_tril=t(_factor))),
    Case("MultivariateNormal, covariance", lambda t: dist.MultivariateNormal(t(0.0, 1.0, 2.0), t(_factor) @ t(_factor).mT)),
    Case("LowRankMultivariateNormal", lambda t: dist.LowRankMultivariateNormal(t(0.0, 1.0, 2.0), t([[1.0], [0.5], [-1.0]]), t(0.5, 1.0, 2.0))),
    Case("MultivariateStudentT", lambda t: dist.MultivariateStudentT(t(3.5), t(0.0, 1.0, 2.0), t(_factor))),
    Case("Dirichlet", lambda t: dist.Dirichlet(t(0.5, 1.0, 3.0, 2.0))),
    Case("LogisticNormal", lambda t: dist.LogisticNormal(t(0.0, 1.0, -1.0), t(1.0, 0.5, 2.0))),
    Case("OneHotCategorical", lambda t: dist.OneHotCategorical(t(0.1, 0.5, 0.0, 0.4)), discrete=True),
    Case("OneHotCategoricalStraightThrough", lambda t: dist.OneHotCategoricalStraightThrough(t(0.1, 0.5, 0.4)), discrete=True),
    Case("ExpRelaxedCategorical", lambda t: dist.RelaxedOneHotCategorical(t(0.7), logits=t(0.0, 1.0, 2.0)).base_dist),
    Case("RelaxedOneHotCategorical", lambda t: dist.RelaxedOneHotCategorical(t(0.7), logits=t(0.0, 1.0, 2.0))),
    Case("vector mixture", lambda t: dist.MixtureSameFamily(dist.Categorical(t(0.3, 0.7)), dist.Normal(t([[-1.0, 0.0, 1.0], [2.0, 2.0, 2.0]]), t(1.0)).to_event(1))),
    Case("batch of vector mixtures", lambda t: dist.MixtureSameFamily(dist.Categorical(t([[0.3, 0.7]] * 2)), dist.MultivariateNormal(t([[-1.0, 0.0], [2.0, 2.0]]).expand(2, 2, 2), scale_tril=t([[1.0, 0.0], [0.5, 2.0]])))),
    Case("MaskedMixture", lambda t: dist.MaskedMixture(torch.tensor([True, False]), dist.Normal(t(0.0, 1.0), t(1.0)), dist.Laplace(t(2.0), t(0.5)))),
]  # fmt: skip

WRAPPED = [
    Case("to_event", lambda t: dist.Normal(t([[0.0, 1.0], [2.0, 3.0]]), t(2.0)).to_event(1)),
    Case("mask, expand, to_event", lambda t: dist.Gamma(t(0.5, 3.0), t(2.0)).expand([3, 2]).mask(False).to_event(2)),
    Case("expand_by of a Logistic", lambda t: dist.Logistic(t(0.0, 1.0), t(1.0)).expand_by([3])),
    Case("expand of a Pyro class, twice", lambda t: dist.SoftLaplace(t(0.0), t(1.0)).expand([2]).expand([3, 2]).to_event(1)),
    Case("expand of a scalar Bernoulli", lambda t: dist.Bernoulli(t(0.3)).expand([3]).to_event(1), discrete=True),
    Case("ExpandedDistribution", lambda t: dist.torch_distribution.ExpandedDistribution(dist.Bernoulli(t([[0.3], [0.6]])), torch.Size((4, 2, 3))), discrete=True),
    Case("expand of vectors", lambda t: dist.MultivariateNormal(t(0.0, 1.0, 2.0), scale_tril=t(_factor)).expand([2]).mask(torch.tensor([True, False]))),
    Case("expand of a OneHot", lambda t: dist.OneHotCategorical(t(0.1, 0.9)).expand([3]).to_event(1), discrete=True),
    Case("masked Categorical batch", lambda t: dist.Categorical(logits=t([[0.0, 1.0, 5.0], [3.0, 0.0, 0.0]])).mask(True).to_event(1), discrete=True),
    Case("expand of an OrderedLogistic", lambda t: dist.OrderedLogistic(t(0.5, 1.0), t(-1.0, 0.0)).expand([3, 2]), discrete=True),
    Case("Delta", lambda t: dist.Delta(t(1.0, 2.0)).to_event(1)),
    Case("expand of a Delta", lambda t: dist.Delta(t(1.0)).expand([3]).mask(False)),
    Case("composed transforms", lambda t: dist.TransformedDistribution(dist.Normal(t(0.0, 1.0), t(1.0)).to_event(1), [pt.ComposeTransform([pt.AffineTransform(t(1.0), t(2.0)), pt.TanhTransform().inv.inv]), pt.Permute(torch.tensor([1, 0]))])),
    Case("transforms that widen the base", lambda t: dist.TransformedDistribution(dist.Normal(t(0.0), t(1.0)), [pt.AffineTransform(t(1.0, 2.0, 3.0), t(2.0))]).to_event(1)),
    Case("transform of a discrete base", lambda t: dist.TransformedDistribution(dist.Poisson(t(3.0)), [pt.AffineTransform(t(1.0), t(2.0))]), discrete=True),
    Case("lower Cholesky affine", lambda t: dist.TransformedDistribution(dist.Normal(t(0.0, 0.0, 0.0), t(1.0)).to_event(1), [pt.LowerCholeskyAffine(t(0.0, 1.0, 2.0), t(_factor))])),
    Case("expanded zuko autoregression", lambda t: dist.TransformedDistribution(dist.Normal(t(0.0), t(1.0)).expand([3]).to_event(1), [zuko.transforms.AutoregressiveTransform(lambda x: zuko.transforms.MonotonicAffineTransform(torch.cumsum(x, -1) - x, torch.zeros_like(x)), passes=3)])),
]  # fmt: skip

#: Round trips at extremes; `values` are evidence that push must give back exactly (discrete) or to tolerance.
EXTREMES = [
    ("Bernoulli(logits=l)", lambda t: dist.Bernoulli(logits=t(90.0, -90.0, 500.0, -500.0, 1e4, 17.0)), (0, 1), None),
    ("Bernoulli(probs=p)", lambda t: dist.Bernoulli(t(0.0, 1.0, 1e-9, 1e-30, 0.5)), (0, 1), None),
    ("Bernoulli Gumbel", lambda t: dist.Bernoulli(logits=t(90.0, -90.0, 500.0, -500.0, 1e4)), (0, 1), "gumbel"),
    ("Poisson(200)", lambda t: dist.Poisson(t(200.0)), (0, 1, 100, 200, 300, 400, 2000), None),
    ("Poisson(1e-6)", lambda t: dist.Poisson(t(1e-6)), (0, 1, 2, 30), None),
    ("Poisson(1e6)", lambda t: dist.Poisson(t(1e6)), (9e5, 1e6, 1000123, 1.2e6), None),
    ("Binomial(1000, 1e-6)", lambda t: dist.Binomial(t(1000.0), t(1e-6)), (0, 1, 2, 500, 999, 1000), None),
    ("Binomial(1000, 1/2)", lambda t: dist.Binomial(t(1000.0), t(0.5)), (0, 1, 499, 500, 999, 1000), None),
    ("Binomial(0)", lambda t: dist.Binomial(t(0.0), t(0.5)), (0,), None),
    ("Binomial(5, 0 and 1)", lambda t: dist.Binomial(t(5.0), t(0.0, 1.0)), (0, 2, 5), None),
    ("Geometric", lambda t: dist.Geometric(t(1e-6, 0.5, 1 - 1e-6)), (0, 1, 3, 10**6), None),
    ("NegativeBinomial", lambda t: dist.NegativeBinomial(t(0.01, 5.0, 1e4), logits=t(5.0, -20.0, 1.0)), (0, 1, 50, 10**5), None),
    ("BetaBinomial", lambda t: dist.BetaBinomial(t(0.05, 50.0), t(0.05, 1.0), t(100.0)), (0, 1, 50, 99, 100), None),
    ("ZeroInflatedPoisson", lambda t: dist.ZeroInflatedPoisson(t(5.0), gate=t(1e-9, 0.9)), (0, 1, 200), None),
    ("Categorical(logits)", lambda t: dist.Categorical(logits=t([[0.0, 90.0, -500.0], [500.0, 0.0, 1e3], [0.0, 0.0, -float("inf")]])), (0, 1, 2), None),
    ("Categorical monotone", lambda t: dist.Categorical(logits=t([[0.0, 90.0, -500.0], [500.0, 0.0, 1e3], [0.0, 0.0, -float("inf")], [0.0, -float("inf"), 0.0], [1.0, -80.0, 3.0]])), (0, 1, 2), "monotone"),
    ("OrderedLogistic", lambda t: dist.OrderedLogistic(t(500.0, -500.0, 0.0, 90.0), t(-1.0, 0.0)), (0, 1, 2), None),
]  # fmt: skip

ALL = SCALARS + COUNTS + VECTORS + WRAPPED


def ids(cases: list) -> list[str]:
    return [c.name if isinstance(c, Case) else c[0] for c in cases]


def uniforms(
    draws: tuple[int, ...] | None, n: int, seed: int, dtype: torch.dtype = torch.float64
) -> Tensor | None:
    if draws is None:
        return None
    return torch.rand((n, *draws), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(
        dtype
    )


def is_discrete(case: Case) -> bool:
    return case.discrete or case.pmf is not None
