"""Vectors whose coordinates depend on each other."""

from __future__ import annotations

import math

import pyro.distributions as dist
import torch
import torch.distributions as td
from torch import Tensor
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical
from torch.nn.functional import logsigmoid

from .discrete import normalised_log_probs
from .law import Law, inside_unit
from .numeric import beta_family, gamma_family
from .registry import Exogenous, exogenous, unit_shape


@exogenous.register(td.MultivariateNormal)
def multivariate_normal(d: td.MultivariateNormal) -> Exogenous:
    """``x = loc + L u`` with the Cholesky factor L of the covariance, and u standard normal."""
    return _affine_normal(d, d.loc, d.scale_tril)


@exogenous.register(td.LowRankMultivariateNormal)
def low_rank_multivariate_normal(d: td.LowRankMultivariateNormal) -> Exogenous:
    """As `multivariate_normal`: one noise per coordinate, so u is recovered (torch draws rank + d)."""
    return _affine_normal(d, d.loc, torch.linalg.cholesky(d.covariance_matrix))


def _affine_normal(d: td.Distribution, loc: Tensor, factor: Tensor) -> Exogenous:
    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        return torch.linalg.solve_triangular(factor, (x - loc).unsqueeze(-1), upper=False).squeeze(-1)

    return Exogenous(
        Law("normal", unit_shape(d)),
        push=lambda u: loc + (factor @ u.unsqueeze(-1)).squeeze(-1),
        pull=pull,
    )


@exogenous.register(dist.MultivariateStudentT)
def multivariate_student_t(d: dist.MultivariateStudentT) -> Exogenous:
    """``x = loc + L z`` with z spherical: the direction of a standard normal u, its length by a monotone map.

    ``|u|^2`` is chi-squared and ``|z|^2 / k`` is F(k, df); equal distribution functions give one length from
    the other. The tolerance is that of `numeric`.
    """
    loc, factor, size = d.loc, d.scale_tril, d.loc.shape[-1]
    df = d.df.double()
    half = torch.full_like(df, size / 2)
    half_chi2, ratio = gamma_family(half), beta_family(half, df / 2)

    def stretch(vector: Tensor, log_factor: Tensor) -> Tensor:
        return vector * torch.exp(log_factor).to(vector.dtype).unsqueeze(-1)

    def push(u: Tensor) -> Tensor:
        log_square = torch.log(u.double().square().sum(-1))
        logit_ratio = ratio.quantile(half_chi2.noise(log_square - math.log(2)))
        z = stretch(u, (logit_ratio + torch.log(df) - log_square) / 2)
        return loc + (factor @ z.unsqueeze(-1)).squeeze(-1)

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        z = torch.linalg.solve_triangular(factor, (x - loc).unsqueeze(-1), upper=False).squeeze(-1)
        log_square = torch.log(z.double().square().sum(-1))
        log_half = half_chi2.quantile(ratio.noise(log_square - torch.log(df)))
        return stretch(z, (log_half + math.log(2) - log_square) / 2)

    return Exogenous(Law("normal", unit_shape(d)), push, pull)


@exogenous.register(td.Dirichlet)
def dirichlet(d: td.Dirichlet) -> Exogenous:
    """Stick breaking: x_k is a Beta(a_k, a_{k+1} + ... + a_K) share of what is left; K - 1 logistic u.

    Shares are kept as logits ``log x_k - log(x_{k+1} + ... + x_K)``, so no remainder is formed as a
    difference. The order of the coordinates is part of the mechanism, hence of counterfactuals.
    """
    a, dtype = d.concentration.double(), d.concentration.dtype
    share, tiny = beta_family(a[..., :-1], _sums_from(a)[..., 1:]), torch.finfo(dtype).tiny

    def push(u: Tensor) -> Tensor:
        y = share.quantile(u.double())
        none = torch.zeros_like(y[..., :1])
        log_left = torch.cat([none, torch.cumsum(logsigmoid(-y), -1)], -1)
        return torch.exp(log_left + torch.cat([logsigmoid(y), none], -1)).clamp(min=tiny).to(dtype)

    def pull(x: Tensor, v: Tensor | None) -> Tensor:
        x = x.double()
        return share.noise(torch.log(x[..., :-1]) - torch.log(_sums_from(x)[..., 1:])).to(dtype)

    *batch, size = unit_shape(d)
    return Exogenous(Law("logistic", (*batch, size - 1)), push, pull)


def _sums_from(x: Tensor) -> Tensor:
    """``x_k + ... + x_K`` along the last dimension."""
    return x.flip(-1).cumsum(-1).flip(-1)


@exogenous.register(ExpRelaxedCategorical)
def exp_relaxed_categorical(d: ExpRelaxedCategorical) -> Exogenous:
    """``x = log_softmax((log p + u) / temperature)``, Gumbel u: RelaxedOneHotCategorical before its exp.

    A constant c added to all of u leaves x alone, so a pull draws it: with ``w = temperature x - log p``, P(c
    | x) is that of ``c = log sum exp(-w) - log g`` for g ~ Gamma(K), a sum of K exponentials.
    """
    log_p, temperature = normalised_log_probs(d._categorical), d.temperature

    def push(u: Tensor) -> Tensor:
        return torch.log_softmax((log_p + u) / temperature, -1)

    def pull(x: Tensor, v: Tensor) -> Tensor:
        w = temperature * x - log_p
        total = -torch.log(inside_unit(v)).sum(-1, keepdim=True)
        return w + torch.logsumexp(-w, -1, keepdim=True) - torch.log(total)

    return Exogenous(Law("gumbel", unit_shape(d)), push, pull, draws=unit_shape(d))
