"""The main job: the demo's answer on real data, its bias under known confounding, and what it writes."""

import arviz
import numpy as np
import pytest
import torch

from pyrocausal import cli, demo
from pyrocausal.data import nhefs
from tests.benchmarks.nhefs import TRUE_EFFECT, association, estimate, linear_g_formula, simulated


def test_the_effect_agrees_with_the_g_formula_and_the_association_does_not():
    frame = nhefs()
    truth = linear_g_formula(frame)
    assert abs(estimate(frame, seed=1, epochs=12) - truth) < 0.5
    assert abs(association(frame) - truth) > 0.5  # the negative control: no adjustment


def test_bias_is_below_a_quarter_of_the_naive_bias():
    frame = simulated(seed=0)
    naive = association(frame) - TRUE_EFFECT
    assert naive > 2.0  # the confounding is strong
    assert abs(estimate(frame, seed=0, epochs=20) - TRUE_EFFECT) < naive / 4


def test_demo_writes_pictures_and_an_arviz_file(tmp_path, capsys, monkeypatch):
    whole = nhefs()
    monkeypatch.setattr(demo, "nhefs", lambda: whole.iloc[:300])
    monkeypatch.setattr(demo, "EPOCHS", {"fit": 1, "refit": 1})
    assert cli.main(["demo", "--out", str(tmp_path), "--replicas", "3"]) == 0
    printed = capsys.readouterr().out
    assert "Seeing:" in printed and "Doing:" in printed and "had they not" in printed
    for name in ("graph.png", "graph.svg", "effect.png"):
        assert (tmp_path / name).stat().st_size > 1000
    data = arviz.from_netcdf(tmp_path / "inference.nc")
    assert data.bootstrap.effect.shape == (1, 3, 9)
    assert list(data.counterfactual.world.values) == ["quit", "stay"]
    quit_world = data.counterfactual.sel(world="quit")
    assert np.all(quit_world.quit == 1)


def test_bad_arguments_are_an_error_not_a_traceback(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path), "--replicas", "1"]) == 2
    assert "at least two refits" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["dmeo"])


def test_intervals_are_centred_on_the_estimate():
    draws = torch.tensor([[1.0], [3.0]])
    row = demo.interval(torch.tensor([2.5]), draws, ["all"]).loc["all"]
    assert row.low == pytest.approx(2.5 - 1.96 * 2**0.5) and row.high == pytest.approx(2.5 + 1.96 * 2**0.5)
