"""The cells of a discrete site's noise, against geometry done by other means."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, HalfspaceIntersection

from pyrocausal.abduct import cells as rooms
from pyrocausal.errors import EvidenceError


def tables(rows, worlds, levels, spread=1.5, seed=0):
    logits = (
        spread * torch.randn(rows, worlds, levels, generator=torch.Generator().manual_seed(seed)).double()
    )
    return torch.log_softmax(logits, -1)


def race_volume(probs, values):
    """P(each table p gives its value) for E uniform on the simplex, as the volume of a polytope: scipy's."""
    size = probs.shape[-1]
    lines = [-np.eye(size)]
    for p, a in zip(probs, values):
        lines.append(np.eye(size)[a] / p[a] - np.delete(np.eye(size) / p[:, None], a, 0))
    slopes = np.concatenate(lines)  # slopes @ E <= 0; E_last = 1 - the others
    free = slopes[:, :-1] - slopes[:, -1:]
    halfspaces = np.concatenate([free, slopes[:, -1:]], 1)
    norms = np.linalg.norm(free, axis=1, keepdims=True)
    best = linprog(
        [0] * (size - 1) + [-1], np.concatenate([free, norms], 1), -slopes[:, -1], bounds=(None, None)
    )
    if best.status != 0 or best.x[-1] < 1e-9:
        return 0.0
    corners = HalfspaceIntersection(halfspaces, best.x[:-1]).intersections
    return ConvexHull(corners).volume * float(np.prod(np.arange(1, size)))


@pytest.mark.parametrize(("levels", "worlds"), [(3, 2), (3, 3), (3, 4), (4, 2), (4, 3)])
def test_races_have_the_volumes_of_their_polytopes(levels, worlds):
    t = tables(1, worlds, levels)
    found = rooms.cells(t, "gumbel")
    probs = t[0].exp().numpy()
    mine = found.log_prob.exp().numpy()
    assert mine == pytest.approx([race_volume(probs, v) for v in found.levels.tolist()], abs=1e-9)
    assert mine.sum() == pytest.approx(1, abs=1e-9)
    wrong = [race_volume(probs[::-1], v) for v in found.levels.tolist()]
    assert np.abs(mine - wrong).max() > 0.01  # control: other tables have other volumes


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_two_tables_by_closed_form_and_by_cutting_agree(levels):
    t = tables(10, 2, levels)

    def square(found):
        whole = torch.zeros(10, levels, levels, dtype=torch.float64)
        whole[found.row, found.levels[:, 0], found.levels[:, 1]] = found.log_prob.exp()
        return whole

    closed, cut = square(rooms._pairs(t)), square(rooms._pieces(t))
    assert torch.allclose(closed, cut, atol=1e-9)
    assert torch.allclose(closed.sum(2), t[:, 0].exp(), atol=1e-12)
    assert torch.allclose(closed.sum(1), t[:, 1].exp(), atol=1e-12)
    assert not torch.allclose(closed, t[:, 0].exp()[..., None] * t[:, 1].exp()[:, None], atol=0.01)


@pytest.mark.parametrize("worlds", [1, 2, 3])
def test_intervals_are_overlaps_of_distribution_functions(worlds):
    t = tables(1, worlds, 4)
    top = t[0].exp().cumsum(-1)
    low = top - t[0].exp()
    found = rooms.cells(t, "logistic")
    each = torch.arange(worlds)
    for values, log_prob in zip(found.levels, found.log_prob):
        overlap = top[each, values].min() - low[each, values].max()
        assert log_prob.exp().item() == pytest.approx(overlap.item(), abs=1e-12)
    assert found.log_prob.exp().sum().item() == pytest.approx(1)


@pytest.mark.parametrize("kind", ["gumbel", "logistic"])
@pytest.mark.parametrize("levels", [2, 3, 5])
@pytest.mark.parametrize("worlds", [1, 2, 3])
def test_what_stands_for_a_cell_gives_its_values(kind, levels, worlds):
    t = tables(20, worlds, levels, spread=5.0)
    found = rooms.cells(t, kind)
    here = t[found.row].float()
    u = found.noise.float()
    if kind == "gumbel":
        values = (here + u[:, None]).argmax(-1)
    else:
        odds = here.logcumsumexp(-1)[..., :-1] - here.flip(-1).logcumsumexp(-1).flip(-1)[..., 1:]
        values = (u[:, None, None] >= odds).sum(-1)
    likely = found.log_prob > -12  # float32 can't hold a cell much narrower than this
    assert torch.equal(values[likely], found.levels[likely]) and likely.float().mean() > 0.5


def test_two_gumbels_race_like_one_logistic():
    t = tables(5, 3, 2)
    one, two = rooms.cells(t, "logistic"), rooms.cells(t, "gumbel")
    assert torch.equal(one.levels, two.levels) and torch.equal(one.log_prob, two.log_prob)


def test_rare_and_impossible_levels():
    t = torch.log_softmax(torch.tensor([[[-60.0, 0, -3], [-1, -1, -1.2], [-70, -2, 0]]]).double(), -1)
    found = rooms.cells(t, "gumbel")
    rare = found.levels[:, 0] == 0
    assert rare.sum() > 1
    assert torch.logsumexp(found.log_prob[rare], 0).item() == pytest.approx(t[0, 0, 0].item(), abs=1e-9)
    never = torch.tensor([[[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]]).double().log()
    for kind in ("gumbel", "logistic"):
        found = rooms.cells(never, kind)
        assert 2 not in found.levels[:, 0] and 2 in found.levels[:, 1]
        assert torch.isfinite(found.noise).all()


def test_rounding_makes_no_cells():
    t = tables(3, 1, 3).repeat(1, 3, 1)
    t[:, 1] += 1e-7
    assert len(rooms.cells(t, "gumbel").row) == len(rooms.cells(t, "logistic").row) == 9


def test_equal_rows_are_cut_once_and_keep_their_order():
    t = tables(4, 3, 3)[torch.tensor([2, 0, 2, 3, 0])]
    found = rooms.cells(t, "gumbel")
    assert torch.equal(found.row, found.row.sort().values)
    for row in range(5):
        alone, mine = rooms.cells(t[row, None], "gumbel"), found.pick(found.row == row)
        assert torch.equal(alone.levels, mine.levels) and torch.allclose(alone.noise, mine.noise)


def test_too_many_pieces_is_an_error():
    with pytest.raises(EvidenceError, match="monotone"):
        rooms.cells(tables(1, 4, 7), "gumbel")
