"""The explorer without a browser: its numbers, its page, and the kernel's side of the widget."""

import json
import re
import sys

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.explorer.widget import answered

from .lecture import lecture


@pytest.fixture(scope="module")
def page():
    return lecture(population=500).to_html()


@pytest.fixture(scope="module")
def data(page):
    (found,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(found)


def test_the_page_is_one_file_without_a_network(page):
    assert page.startswith("<!doctype html>")
    without_names = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?:|//[a-z]+\.|<link|\bsrc=|\bimport\b|\bfetch\b", without_names)
    assert "precomputed" in page


def test_every_scene_of_the_grid_is_there_and_right(data):
    grids = data["grids"]
    assert list(grids) == ["z", "x"]
    assert grids["x"] == [0.0, 1.0]
    assert len(data["scenes"]) == (len(grids["z"]) + 1) * 3
    for i, z in enumerate([None, *grids["z"]]):
        for j, x in enumerate([None, *grids["x"]]):
            (unit,) = data["scenes"][f"{i},{j}"]["units"]
            if x is not None:
                truth = 3 * (1.0 if z is None else z) + 2 * x + 1
                assert unit["y"] == [pytest.approx(truth, abs=1e-3)]
                assert unit["x"] == [1 - x, x]
            assert sum(unit["x"]) == pytest.approx(1)


def test_densities_are_of_what_is_done(data):
    (y,) = [v for v in data["variables"] if v["name"] == "y"]
    grid = np.linspace(y["low"], y["high"], 64)

    def mean(curve):
        return float(np.average(grid, weights=curve))

    last = f"{len(data['grids']['z'])},2"
    assert mean(data["population"]["y"]) == pytest.approx(1.0, abs=0.35)
    assert mean(data["scenes"][last]["population"]["y"]) == pytest.approx(
        3 * data["grids"]["z"][-1] + 2, abs=0.3
    )
    assert set(data["scenes"]["0,1"]["population"]) == {"x", "y"}  # z is upstream of x


def test_graphs_are_mutilated_by_what_is_acted_on(data):
    assert set(data["graphs"]) == {"0,0", "0,1", "1,0", "1,1"}
    assert "z -/&gt; x" in data["graphs"]["0,1"]
    assert "-/&gt;" not in data["graphs"]["0,0"]


def test_names_can_not_break_out_of_the_page():
    attack = "</script><script>alert(1)</script>"

    def odd():
        x = pyro.sample(attack, dist.Bernoulli(0.5))
        pyro.sample("y", dist.Bernoulli(0.2 + 0.5 * x))

    html = pc.explore(pc.SCM(odd), population=50).to_html()
    assert html.count("<script") == 2
    assert "alert(1)</script>" not in html


def test_the_kernel_answers_what_the_cells_say():
    found = lecture()
    state = {"unit": 0, "evidence": {"y": 5.0}, "actions": {"x": 1}}
    scene = answered(found, state)
    assert scene["now"]["y"] == [pytest.approx(7.0)]  # luck is 2 now
    assert scene["was"]["y"] == [pytest.approx(5.0)]
    assert answered(found, {**state, "actions": {}})["now"] is None
    assert "support" in answered(found, {**state, "evidence": {"x": 0.5}})["error"]


def test_the_widget_answers_a_change_of_state():
    widget = lecture(population=50).widget()
    widget.state = {"unit": 0, "evidence": {}, "actions": {"x": 1}, "turn": 3}
    assert widget.scene["now"]["y"] == [pytest.approx(6.0)]
    assert widget.scene["turn"] == 3
    assert "export default" in widget._esm


def test_without_anywidget_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(pc.errors.MissingExtra, match=r"pyrocausal\[explore\]"):
        lecture(population=50).widget()


def test_a_latent_has_no_cell_and_an_interval():
    def ward():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(u, 1.0))
        pyro.sample("y", dist.Normal(x + u, 1.0))

    found = pc.explore(pc.SCM(ward, latent=["u"]), evidence={"x": 0.0, "y": 0.0}, population=50)
    assert [s.name for s in found.sliders] == ["x"]
    scene = answered(found, {"unit": 0, "evidence": {}, "actions": {"x": 2.0}})
    mean, low, high = scene["now"]["u"]
    assert low < mean < high
    assert mean == pytest.approx(0.0, abs=0.15)


def test_levels_keep_their_names():
    def triage():
        ward = pyro.sample("ward", dist.Categorical(torch.tensor([0.5, 0.3, 0.2])))
        pyro.sample("days", dist.Normal(ward.float(), 1.0))

    scm = pc.SCM(triage)
    column = scm.variables["ward"].column
    scm.variables["ward"] = scm.variables["ward"].with_column(
        type(column)(levels=("A", "B", "C"), dtype="object")
    )
    found = pc.explore(scm, evidence={"ward": "B", "days": 1.0}, population=50)
    (ward, _) = found.setting()["variables"]
    assert ward["levels"] == ("A", "B", "C")
    assert found.setting()["units"][0]["evidence"]["ward"] == 1
    assert answered(found, {"unit": 0, "evidence": {"ward": 2}, "actions": {}})["was"]["ward"] == [0, 0, 1]


def test_bad_input_is_named():
    scm = lecture().scm
    with pytest.raises(pc.PyrocausalError, match="no variable 'w'"):
        pc.explore(scm, do=["w"])
    with pytest.raises(pc.PyrocausalError, match="has no 'y'"):
        pc.explore(scm, evidence={"z": [0.0], "x": [1.0]})

    def wide():
        for i in range(5):
            pyro.sample(f"v{i}", dist.Normal(0.0, 1.0))

    with pytest.raises(pc.PyrocausalError, match="no variable can be acted on"):
        pc.explore(pc.SCM(wide))
    with pytest.raises(pc.PyrocausalError, match="too many for a page"):
        pc.explore(pc.SCM(wide), do=[f"v{i}" for i in range(5)]).to_html()
