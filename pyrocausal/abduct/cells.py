"""Where the noise of one discrete site gives the same value in each of several worlds.

In every world the site has a table of probabilities (rows of `tables`: `(rows, worlds, levels)`, logs). Its
noise space splits into cells, on each of which the value is constant in every world. A cell has an exact
probability, and a noise well inside of it that stands for all of it: nothing that these worlds show depends
on where in a cell the noise is.

Monotone coupling: intervals of a logistic, between the sorted thresholds of all worlds.

Gumbel race (Maddison, Tarlow and Minka 2014; in causal models: Oberst and Sontag 2019). With
``E_k = exp(-g_k)``, iid exponentials, the value is ``argmin_k E_k / p_k``: only the direction of E matters,
which is uniform on the simplex. Where all worlds agree, the cells are the levels. For two tables p and q
every pair of values has a closed form (`_pairs`). For more, the simplex is cut along the planes on which two
levels tie, and the volumes of the pieces are added up (`_pieces`).
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from pyrocausal.errors import EvidenceError
from pyrocausal.exogenous.discrete import LOG_ZERO, logistic_in_cell
from pyrocausal.exogenous.law import log1mexp

IMPOSSIBLE = LOG_ZERO / 2  # log-probability below which a cell is empty
SAME = 1e-5  # in log-probability: tables nearer than this differ by rounding
SLIVER = 1e-12  # a piece's share of its cone below which it is rounding
MOST = 5_000  # pieces into which the simplex of one row may be cut
AT_ONCE = 100  # rows whose simplices are cut together


class Cells(NamedTuple):
    """Cells of all rows, in the order of the rows."""

    row: Tensor  # (cells,)
    levels: Tensor  # the value in every world, (cells, worlds)
    log_prob: Tensor
    noise: Tensor  # what stands for the cell: (cells,), or (cells, levels) for Gumbels

    def pick(self, which: Tensor) -> Cells:
        return Cells(*(x[which] for x in self))


def cells(tables: Tensor, kind: str) -> Cells:
    """The cells of every row of log-probabilities, for noise of a kind ("logistic" or "gumbel").

    >>> p, q = torch.tensor([[0.5, 0.5], [0.2, 0.8]]).double().log()
    >>> found = cells(torch.stack([p, q])[None], "logistic")
    >>> [(pair.tolist(), round(p.exp().item(), 4)) for pair, p in zip(found.levels, found.log_prob)]
    [([0, 0], 0.2), ([0, 1], 0.3), ([1, 1], 0.5)]
    """
    distinct, inverse = torch.unique(tables.double().clamp(min=LOG_ZERO), dim=0, return_inverse=True)
    distinct = _snapped(distinct)
    if kind == "logistic":
        found = _intervals(distinct)
    elif distinct.shape[-1] == 2:  # the difference of two Gumbels is logistic
        found = _intervals(distinct)
        found = found._replace(noise=torch.stack([-found.noise, found.noise], -1) / 2)
    else:
        found = _races(distinct)
    return _repeated(found.pick(found.log_prob > IMPOSSIBLE), inverse, len(distinct))


def _snapped(tables: Tensor) -> Tensor:
    """Tables that differ from an earlier world's by rounding alone are made that one."""
    each = torch.arange(len(tables))
    for world in range(1, tables.shape[1]):
        near = ((tables[:, :world] - tables[:, world, None]).abs() < SAME).all(-1)
        earlier = tables[each, near.int().argmax(-1)]
        tables[:, world] = torch.where(near.any(-1, keepdim=True), earlier, tables[:, world])
    return tables


def _repeated(found: Cells, inverse: Tensor, distinct: int) -> Cells:
    """The cells of distinct rows, for every row that is one of them."""
    found = found.pick(found.row.argsort(stable=True))
    count = torch.bincount(found.row, minlength=distinct)
    first, each = (count.cumsum(0) - count)[inverse], count[inverse]
    row = torch.arange(len(inverse)).repeat_interleave(each)
    within = torch.arange(len(row)) - (each.cumsum(0) - each)[row]
    return found.pick(first[row] + within)._replace(row=row)


# ---- one logistic


def _intervals(tables: Tensor) -> Cells:
    r"""Between sorted thresholds :math:`a < b` the logistic has :math:`\sigma(b)\sigma(-a)(1 - e^{a-b})`."""
    log_cdf = tables.logcumsumexp(-1)[..., :-1]
    log_sf = tables.flip(-1).logcumsumexp(-1).flip(-1)[..., 1:]
    thresholds = log_cdf - log_sf
    edge = torch.full_like(tables[:, 0, :1], torch.finfo(tables.dtype).max)
    edges = torch.cat([-edge, thresholds.flatten(1).sort(-1).values, edge], -1)
    row, interval = (edges[:, 1:] > edges[:, :-1]).nonzero(as_tuple=True)
    low, high = edges[row, interval], edges[row, interval + 1]
    log_prob = logsigmoid(high) + logsigmoid(-low) + log1mexp(low - high)
    median = logistic_in_cell(low, high, torch.full_like(low, 0.5))
    levels = (median[:, None, None] >= thresholds[row]).sum(-1)
    return Cells(row, levels, log_prob, median)


# ---- a race of Gumbels


def _races(tables: Tensor) -> Cells:
    """By the number of tables that really differ in a row: worlds that share one share the value."""
    first = torch.stack([_first_equal(tables, world) for world in range(tables.shape[1])], -1)
    own = first == torch.arange(tables.shape[1])
    slot = (own.cumsum(-1) - 1).gather(-1, first)
    found = []
    for size in own.sum(-1).unique().tolist():
        rows = (own.sum(-1) == size).nonzero()[:, 0]
        chosen = tables[rows][own[rows]].unflatten(0, (len(rows), size))
        of_size = {1: _alone, 2: _pairs}.get(size, _pieces)(chosen)
        levels = of_size.levels.gather(-1, slot[rows][of_size.row])
        found.append(of_size._replace(row=rows[of_size.row], levels=levels))
    return Cells(*(torch.cat(parts) for parts in zip(*found)))


def _first_equal(tables: Tensor, world: int) -> Tensor:
    """The first world with the table of this one, `(rows,)`."""
    return (tables == tables[:, world, None]).all(-1).int().argmax(-1)


def _alone(tables: Tensor) -> Cells:
    """One table: P(a) = p_a."""
    log_p = tables[:, 0]
    rows, size = log_p.shape
    row, a = torch.arange(rows).repeat_interleave(size), torch.arange(size).repeat(rows)
    won = torch.arange(size) == a[:, None]
    # loser k gets E_k / p_k > 2, the winner 1
    log_e = torch.where(won, log_p[row], math.log(2) + torch.log1p(log_p[row].exp()))
    return Cells(row, a[:, None], log_p.flatten(), _gumbels(log_e))


def _pairs(tables: Tensor) -> Cells:
    r"""Two tables p, q: P(a in the one world, b in the other), for all pairs.

    The same level twice: :math:`E_k \ge E_a \max(p_k/p_a, q_k/q_a)`, so

    .. math:: P(a, a) = 1 / \sum_k \max(p_k/p_a, q_k/q_a).

    Different levels: write :math:`E_a = p_a s, E_b = q_b t` and integrate out all others, then s at a fixed
    ratio of t to s. With :math:`\lambda = t / (s + t)` what remains is

    .. math:: P(a, b) = p_a q_b \int_{\lambda_b}^{\lambda_a} B(\lambda)^{-2} d\lambda, \quad
        B(\lambda) = \sum_k \max(p_k (1 - \lambda), q_k \lambda), \quad \lambda_k = p_k / (p_k + q_k),

    nothing if :math:`\lambda_a \le \lambda_b`. B is linear between neighbouring :math:`\lambda_k`, and there
    :math:`\int B^{-2} d\lambda = \Delta\lambda / (B_i B_{i+1})`.
    """
    log_p, log_q = tables[:, 0], tables[:, 1]
    rows, size = log_p.shape
    row = torch.arange(rows).repeat_interleave(size * size)
    a, b = torch.arange(size).repeat_interleave(size).repeat(rows), torch.arange(size).repeat(rows * size)
    p, q, same = log_p[row], log_q[row], a == b
    p_a, p_b, q_a, q_b = (x.gather(-1, k[:, None]) for x in (p, q) for k in (a, b))
    twice = -torch.logsumexp(torch.maximum(p - p_a, q - q_a), -1)
    area = _area(log_p, log_q)
    apart = (p_a + q_b)[:, 0] + (area[row, a] - area[row, b]).clamp_min(0).log()
    # A direction inside: t / s is the mediant of its bounds, and the losers have twice what they need.
    log_r = torch.where(same[:, None], q_b - p_a, torch.logaddexp(p_a, p_b) - torch.logaddexp(q_a, q_b))
    need = torch.where(same[:, None], torch.maximum(p - p_a, q - q_a) + p_a, torch.maximum(p, q + log_r))
    levels = torch.arange(size)
    log_e = torch.logaddexp(need + math.log(2), p_a)
    log_e = torch.where(levels == b[:, None], q_b + log_r, log_e)
    log_e = torch.where(levels == a[:, None], p_a, log_e)
    return Cells(row, torch.stack([a, b], -1), torch.where(same, twice, apart), _gumbels(log_e))


def _area(log_p: Tensor, log_q: Tensor) -> Tensor:
    """The integral of `_pairs` from 0 to every lambda_k, `(rows, levels)`."""
    lam, order = torch.sigmoid(log_p - log_q).sort(-1)
    reach = torch.maximum(log_p.exp()[:, None] * (1 - lam[..., None]), log_q.exp()[:, None] * lam[..., None])
    b = reach.sum(-1)
    steps = (lam[:, 1:] - lam[:, :-1]) / (b[:, 1:] * b[:, :-1])
    area = torch.nn.functional.pad(steps.cumsum(-1), (1, 0))
    return torch.empty_like(area).scatter_(-1, order, area)


def _gumbels(log_e: Tensor) -> Tensor:
    """The Gumbels of logs of exponentials, all of them shifted to add up to what such exponentials do."""
    return torch.logsumexp(log_e, -1, keepdim=True) - math.log(log_e.shape[-1]) - log_e


# ---- more than two tables: the simplex, cut


class _Cut(NamedTuple):
    """Simplices inside the cones of the first world's levels.

    A cone has the corners p and e_k, k other than its level; a simplex is held by its vertices' barycentric
    coordinates in its cone, whose determinant is its share of the cone: exact for the rarest level, too.
    """

    cone: Tensor  # (pieces,), row * levels + level
    levels: Tensor  # (pieces, worlds so far)
    vertices: Tensor  # (pieces, vertices, corners)

    def pick(self, which: Tensor) -> _Cut:
        return _Cut(*(x[which] for x in self))


def _pieces(tables: Tensor) -> Cells:
    """Three tables or more; some rows at a time, because every row has many pieces."""
    found = [_cut_all(part) for part in tables.split(AT_ONCE)]
    shifted = [part._replace(row=part.row + i * AT_ONCE) for i, part in enumerate(found)]
    return Cells(*(torch.cat(parts) for parts in zip(*shifted)))


def _cut_all(tables: Tensor) -> Cells:
    probs = tables.exp()
    rows, worlds, size = probs.shape
    eye = torch.eye(size, dtype=probs.dtype)
    corners = torch.where(eye[..., None].bool(), probs[:, 0, None, None], eye).flatten(0, 1)
    level = torch.arange(size).repeat(rows)
    cut = _Cut(torch.arange(rows * size), level[:, None], eye.expand(rows * size, size, size))
    for world in range(1, worlds):
        cut = _by_winner(cut, corners, probs[:, world])
    return _gathered(cut, corners, tables[:, 0].flatten())


def _by_winner(cut: _Cut, corners: Tensor, q: Tensor) -> _Cut:
    """Every piece split into those on which one level wins the race with probabilities q."""
    size = q.shape[-1]
    cut = cut._replace(levels=torch.nn.functional.pad(cut.levels, (0, 1)))
    for rival in range(1, size):
        e, odds, best = cut.vertices @ corners[cut.cone], q[cut.cone // size], cut.levels[:, -1:]
        mine = e.gather(-1, best[:, None].expand(-1, size, 1))[..., 0] * odds[:, rival, None]
        other = e[..., rival] * odds.gather(-1, best)
        ahead = torch.where((mine - other).abs() <= SLIVER * (mine + other), 0.0, mine - other)
        lost, kept = _above(cut, ahead), _above(cut, -ahead)
        lost.levels[:, -1] = rival
        cut = _Cut(*(torch.cat(parts) for parts in zip(lost, kept)))
        if len(cut.cone) > MOST * len(q):
            raise EvidenceError(
                f"too many worlds for an exact answer about {size} levels that race",
                why=f"their tables cut the space of the noise into more than {MOST:,} pieces",
                fix='ask for fewer worlds at a time, or choose infer={"noise": "monotone"} at the site',
            )
    return cut


def _above(cut: _Cut, f: Tensor) -> _Cut:
    """The part of every simplex on which a function is positive, that is linear and has values f there.

    With positive vertices P_i and others N_j it is, combinatorially, a product of two simplices, with
    vertices (i, 0) = P_i and (i, j) = where the edge from P_i to N_j is cut. Monotone lattice paths through
    this grid are the simplices of its staircase triangulation.
    """
    f, order = f.sort(-1, descending=True)
    sorted_ = cut.vertices.gather(1, order[..., None].expand_as(cut.vertices))
    size, found = f.shape[-1], [cut.pick(torch.arange(0))]
    for positive in range(1, size + 1):
        which = ((f > 0).sum(-1) == positive).nonzero()[:, 0]
        at_p, at_n = f[which, :positive, None, None], f[which, None, positive:, None]
        p, n = sorted_[which, :positive, None], sorted_[which, None, positive:]
        edges = (at_p * n - at_n * p) / (at_p - at_n)
        paths = _staircase(positive, size - positive)
        vertices = torch.cat([p, edges], 2).flatten(1, 2)[:, paths].flatten(0, 1)
        found.append(cut.pick(which.repeat_interleave(len(paths)))._replace(vertices=vertices))
    parts = _Cut(*(torch.cat(parts) for parts in zip(*found)))
    return parts.pick(parts.vertices.det().abs() > SLIVER)


def _staircase(rows: int, columns: int) -> Tensor:
    """Monotone paths through a grid of `rows` by `columns + 1`, as flat indices `(paths, steps)`."""
    steps = rows - 1 + columns
    paths = []
    for down in combinations(range(steps), rows - 1):
        moves = torch.tensor([columns + 1 if step in down else 1 for step in range(steps)], dtype=torch.long)
        paths.append(torch.nn.functional.pad(moves.cumsum(0), (1, 0)))
    return torch.stack(paths)


def _gathered(cut: _Cut, corners: Tensor, log_p: Tensor) -> Cells:
    """Pieces with the same values make one convex cell, whose centroid stands for it."""
    size = corners.shape[-1]
    volume = cut.vertices.det().abs()
    key, cell = torch.unique(
        torch.cat([cut.cone[:, None], cut.levels[:, 1:]], -1), dim=0, return_inverse=True
    )
    share = torch.zeros(len(key), dtype=volume.dtype).index_add_(0, cell, volume)
    moment = torch.zeros(len(key), size, dtype=volume.dtype)
    moment.index_add_(0, cell, volume[:, None] * cut.vertices.mean(1))
    cone = key[:, 0]
    e = ((moment / share[:, None])[:, None] @ corners[cone])[:, 0]
    levels = torch.cat([cone[:, None] % size, key[:, 1:]], -1)
    log_e = e.clamp_min(torch.finfo(e.dtype).tiny).log()
    return Cells(cone // size, levels, log_p[cone] + share.log(), _gumbels(log_e))
