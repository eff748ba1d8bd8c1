"""How simple a mechanism may be: as simple as leaves residuals that do not depend on the parents.

A network that is free to bend the location and the shape of the noise always bends them a little, and far
from the bulk of the data not only a little. Where the residuals of a plain regression are independent of the
parents, there is nothing for it to learn, and the regression itself also holds where the parents' values are
new: under an intervention.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .power import orthonormal

__all__ = ["MOST_COLUMNS", "additive", "ones", "polynomials", "products", "regressors", "suffices"]

MOST_COLUMNS = 12  # beyond which products are too many to look at, and a test of independence too weak
_MOST_CUBED = 5  # columns beyond which a cubic has too many
_BUMPS = 50  # of the flexible regression, at most
_WIDTH = 0.5  # of a bump, in standard deviations of the parents
_WAVES = 6  # cosines of a variable's ranks, in the test of independence
_HUBER = 3.0  # median absolute residuals, two standard deviations of normal ones, beyond which they are cut
_HUBER_STEPS = 3
_UNCERTAIN = 0.75  # standard deviations of z: how closely the other rows must foretell each row's fit
_NORMAL = 0.99  # correlation with normal quantiles: a uniform's is 0.977
_LIMIT = 2.5  # standard deviations of the test's statistic beyond which residuals count as dependent


def regressors(h: Tensor) -> Tensor:
    """Columns of a flexible regression on h (n, d): a cubic and, if d is small, bumps at some rows."""
    n, d = h.shape
    h = h.double().clamp(-4, 4)
    columns = [polynomials(h, 2)[1], h**3]
    bumps = min(_BUMPS, n // 20)
    if 0 < d <= MOST_COLUMNS and bumps:
        middles = h[:: n // bumps][:bumps]
        columns.append(torch.exp(-torch.cdist(h, middles).square() / (2 * d * _WIDTH**2)))
    return torch.cat(columns, dim=1)


def polynomials(h: Tensor, degree: int = 3) -> list[Tensor]:
    """Columns of the linear, the quadratic and, if d is small, the cubic regression on h (n, d)."""
    columns = torch.cat([ones(len(h)), h], dim=1)
    designs = [columns]
    for factors in products(h.shape[1])[: degree - 1]:
        designs.append(torch.cat([designs[-1], columns[:, factors].prod(-1)], dim=1))
    return designs


def products(d: int) -> list[Tensor]:
    """Which of d columns, counted from 1, to multiply in the terms of degree 2, and in those of degree 3.

    Squares alone if columns are many, and then no cubes.
    """
    if d > MOST_COLUMNS:
        return [torch.arange(1, d + 1)[:, None].expand(d, 2)]
    degrees = (2, 3) if d <= _MOST_CUBED else (2,)
    return [torch.combinations(torch.arange(1, d + 1), k, with_replacement=True) for k in degrees]


def suffices(z: Tensor, columns: Tensor, flexible: Tensor, h: Tensor) -> bool:
    """Whether least squares of z on a polynomial's columns is all that there is to learn.

    It is if the fit hangs on no single row, if the residuals are nearly normal (else the likelihood knows
    more than least squares), if the flexible regression explains no more, and if they do not depend on
    h (n, d).
    """
    basis, most = orthonormal(columns), orthonormal(flexible)
    r = _residuals(z, basis)
    if _hangs_on_one_row(r, basis, z):
        return False
    more = _excess(r, _residuals(z, most), most.shape[1] - basis.shape[1])
    return _normality(r) > _NORMAL and more < _LIMIT and _dependence(r, h) < _LIMIT


def additive(z: Tensor, flexible: Tensor, h: Tensor) -> bool:
    """Whether the residuals of the flexible regression of z do not depend on h (n, d)."""
    return _dependence(_residuals(z, orthonormal(flexible)), h) < _LIMIT


def _hangs_on_one_row(r: Tensor, basis: Tensor, z: Tensor) -> bool:
    """Whether some row's fit, if that row were left out, would be uncertain on the scale of z."""
    leverage = basis.square().sum(1).clamp_max(1 - 1e-9)
    errors = r.abs().median() / 0.6745 * (leverage / (1 - leverage)).sqrt()  # as if the residuals were normal
    return bool(errors.max() > _UNCERTAIN * z.std())


def _normality(r: Tensor) -> float:
    """The correlation of the values with those expected of as many normal ones (Shapiro & Francia 1972)."""
    places = (torch.arange(len(r), dtype=r.dtype) + 0.5) / len(r)
    return torch.corrcoef(torch.stack([r.sort().values, torch.special.ndtri(places)]))[0, 1].item()


def _excess(r: Tensor, least: Tensor, columns: int) -> float:
    """How much more of r is explained than by useless columns, in standard deviations."""
    bound = _HUBER * least.abs().median()
    before, after = (x.clamp(-bound, bound).square().sum().clamp_min(1e-300) for x in (r, least))
    if columns <= 0:
        return -math.inf
    return ((len(r) * torch.log(before / after) - columns) / math.sqrt(2 * columns)).item()


def _residuals(z: Tensor, basis: Tensor) -> Tensor:
    """Those of a regression on an orthonormal basis that a few extreme values cannot bend (Huber 1964)."""
    fit = basis @ (basis.T @ z)
    for _ in range(_HUBER_STEPS):
        r = z - fit
        bound = _HUBER * r.abs().median()
        fit = fit + basis @ (basis.T @ r.clamp(-bound, bound))
    return z - fit


def _dependence(r: Tensor, h: Tensor) -> float:
    r"""How much more r (n,) and h (n, d) depend on each other than independent ones, in standard deviations.

    The statistic sums the squared covariances of cosines of r's ranks, :math:`\cos(k \pi p) / \sqrt{k}`, with
    those of h's, :math:`\cos(k \pi p) / k`, and with products of these: a Hilbert-Schmidt independence
    criterion, whose mean and variance under independence are known (Gretton et al. 2005). A bootstrap's
    repeated rows count once.
    """
    rows = torch.cat([r[:, None], h.double()], dim=1).unique(dim=0)
    waves = _cosines(rows)
    own, of_parents = waves[:, 0] * torch.arange(1, _WAVES + 1).sqrt(), waves[:, 1:]
    i, j = torch.triu_indices(h.shape[1], h.shape[1], 1)
    low = of_parents[..., : _WAVES // 2]
    products = low[:, i, :, None] * low[:, j, None, :]
    a, b = own - own.mean(0), torch.cat([of_parents.flatten(1), products.flatten(1)], dim=1)
    b = b - b.mean(0)
    n = len(rows)
    of_a, of_b = a.T @ a / n, b.T @ b / n
    statistic = (a.T @ b).square().sum() / n
    mean = of_a.trace() * of_b.trace()
    variance = 2 * of_a.square().sum() * of_b.square().sum()
    return ((statistic - mean) / variance.clamp_min(1e-300).sqrt()).item()


def _cosines(columns: Tensor) -> Tensor:
    """Of each column's ranks as places p in (0, 1): sqrt(2) cos(k pi p) / k for k = 1, 2, ..., (n, d, k)."""
    k = torch.arange(1, _WAVES + 1, dtype=columns.dtype)
    places = torch.stack([_places(column) for column in columns.T], dim=1)
    return math.sqrt(2) * torch.cos(math.pi * k * places[..., None]) / k


def _places(x: Tensor) -> Tensor:
    """Mean ranks, as fractions of all rows."""
    _, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    return ((counts.cumsum(0) - 0.5 * counts) / len(x))[inverse].to(x.dtype)


def ones(n: int) -> Tensor:
    """A column of ones."""
    return torch.ones(n, 1, dtype=torch.float64)
