"""Pictures show the numbers that they are made from, take axes, and stand on any ground."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal import plots
from pyrocausal.fit import History


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def scm():
    def program():
        x = pyro.sample("x", dist.Bernoulli(0.5))
        y = pyro.sample("y", dist.Normal(2.0 * x, 1.0))
        pyro.sample("n", dist.Poisson(torch.exp(0.3 * y)))

    return pc.SCM(program)


def test_matplotlib_is_imported_by_those_who_draw():
    code = "import sys, pyrocausal as pc; pc.plots.forest; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def peak(line):
    return line.get_xdata()[np.argmax(line.get_ydata())]


def test_rungs_are_where_the_laws_are(scm):
    rows = {"x": [0.0] * 40, "y": [1.5] * 40, "n": [1] * 40}
    ax = plots.rungs(scm, "y", {"x": 1}, rows=rows, n=4000, seed=0)
    seeing, doing, imagining = ax.lines
    assert peak(doing) == pytest.approx(2.0, abs=0.35)
    assert seeing.get_ydata().max() < doing.get_ydata().max()  # a mixture is wider
    assert imagining.get_xdata()[0] == pytest.approx(3.5)  # all have one value: a line
    assert len({line._unscaled_dash_pattern[1] for line in ax.lines}) == 3  # not told apart by colour alone


def test_levels_are_bars_and_weights_count(scm):
    ax = plots.densities({"seen": np.array([0, 0, 1, 3])})
    assert [bar.get_height() for bar in ax.patches] == [0.5, 0.25, 0.25]
    ax = plots.densities({"text": pd.DataFrame({"v": ["b", "a", "b"]})}, "v")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b"]
    weighted = scm.sample(2, seed=0)
    weighted.values_, weighted.has_draws = {"x": torch.tensor([[0.0], [1.0]])}, True
    weighted.weights = torch.tensor([[0.9], [0.1]])
    heights = [bar.get_height() for bar in plots.densities({"believed": weighted}, "x").patches]
    assert heights == pytest.approx([0.9, 0.1])


def test_arrows_go_from_what_was_to_what_would_have_been(scm):
    cf = scm.counterfactual(
        {"x": [0.0, 1.0], "y": [5.0, 1.0], "n": [2, 2]}, do={"x": lambda x: 1 - x}, seed=0
    )
    ax = plots.worlds(cf, "y")
    arrows = [(note.xyann[0], note.xy[0], note.xy[1]) for note in ax.texts]
    assert arrows == [(5.0, 7.0, 1), (1.0, -1.0, 0)]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["1", "0"]  # sorted by what was
    several = scm.counterfactual(
        {"x": [0.0], "y": [5.0], "n": [2]}, do={"a": {"x": 0}, "b": {"x": 1}}, seed=0
    )
    ends = {line.get_label(): line.get_xdata()[0] for line in plots.worlds(several, "y").lines}
    assert ends == {"a": pytest.approx(5.0), "b": pytest.approx(7.0), "as it was": 5.0}


def test_draws_are_weighted_in_their_quantiles():
    draws, weights = torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([[0.1], [0.8], [0.1]])
    assert plots.units.quantile(draws, weights, 0.5) == [1.0]
    assert plots.units.quantile(draws, None, 0.5) == [2.0]


def test_many_units_are_thinned_evenly(scm):
    ax = plots.worlds(scm.counterfactual(scm.sample(100, seed=0), do={"x": 1}, seed=0), "n", most=30)
    assert ax.get_ylabel() == "30 of 100 units, sorted"
    (was,) = [line for line in ax.lines if line.get_label() == "as it was"]
    assert (np.diff(was.get_xdata()) >= 0).all()


def test_forest_takes_answers_and_says_what_has_no_interval(scm):
    answers = {"ate": pc.ate(scm, "x", "y", num_samples=500, seed=0), "two": 2.0}
    ax = plots.forest(answers, references={"truth": 2.0})
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert len(hollow[0].get_xdata()) == 2
    with pytest.raises(pc.PyrocausalError, match="no number"):
        plots.forest({"text": "words"})


def test_answers_and_curves_draw_themselves(scm):
    ax = scm.ask("P(x)", seed=0).plot()
    assert [float(bar.get_height()) for bar in ax.patches] == pytest.approx([0.5, 0.5], abs=0.02)
    curve = pc.dose_response(scm, "y", "n", [0.0, 1.0], num_samples=200, seed=0)
    assert curve.plot(rows=scm.sample(50, seed=0)).lines[0].get_ydata() == pytest.approx(curve.curve["mean"])
    losses = pd.DataFrame({"x": [2.0, 1.0, 1.5]}, index=[0, 5, 10])
    line, best = History(losses, {"x": 5}).plot().lines
    assert line.get_ydata().tolist() == [1.0, 0.0, 0.5]
    assert best.get_xdata() == [5]


def test_cate_has_the_means_of_its_parts():
    by = pd.Series(["a", "b", "a", "b"], name="ward")
    ax = plots.cate([1.0, 5.0, 3.0, 5.0], by)
    assert ax.containers[0].lines[0].get_ydata().tolist() == [2.0, 5.0]
    x = np.linspace(0, 1, 60)
    line = plots.cate(3 * x, x, smooth=True).lines[1]
    assert line.get_ydata() == pytest.approx(3 * line.get_xdata())
    with pytest.raises(pc.PyrocausalError, match="4 effects and 3 values"):
        plots.cate(np.ones(4), np.ones(3))


def test_images_have_difference_maps():
    seen = torch.rand(2, 1, 4, 4)
    ax = plots.images({"seen": seen, "brighter": seen + 0.5})
    assert len(ax.images) == 2 * 3
    difference = ax.images[-1].get_array()
    assert difference.shape == (4, 4, 4)
    assert np.allclose(difference[..., 3], 1.0)  # opaque where the difference is greatest
    with pytest.raises(pc.PyrocausalError, match="shape="):
        plots.images({"flat": torch.rand(2, 16)})
    assert plots.images({"flat": torch.rand(2, 16)}, shape=(4, 4)).images


@pytest.mark.parametrize("name", ["densities", "worlds"])
def test_vectors_are_refused_by_name(name):
    scm = pc.SCM(lambda: pyro.sample("v", dist.Normal(torch.zeros(3), 1.0).to_event(1)))
    cf = scm.counterfactual(scm.sample(4, seed=0), do={"v": torch.zeros(3)})
    with pytest.raises(pc.PyrocausalError, match="'v'"):
        getattr(plots, name)(cf, "v")


def test_own_axes_have_no_ground_and_given_ones_stay_as_they_are(scm):
    table = pd.DataFrame({"effect": [1.0], "low": [0.0], "high": [2.0]}, index=["a"])
    own = plots.forest(table)
    assert own.get_facecolor()[3] == own.figure.get_facecolor()[3] == 0
    assert own.xaxis.label.get_color() == plots.STYLE["text.color"]
    given = plt.subplots()[1]
    assert plots.forest(table, ax=given) is given
    assert given.get_facecolor()[3] == 1
    with plt.style.context("dark_background"):
        assert plots.forest(table).get_facecolor()[3] == 1  # a style that the reader chose


def contrast(colour, ground):
    def light(rgb):
        rgb = np.array(rgb)
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    from matplotlib.colors import to_rgb

    low, high = sorted((light(to_rgb(colour)), light(to_rgb(ground))))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", ["white", "#111111"])
def test_colours_can_be_seen_on_white_and_on_black(ground):
    from pyrocausal.plots.canvas import COLOURS, INK

    assert contrast(INK, ground) > 4
    assert all(contrast(colour, ground) > 2.7 for colour in COLOURS)
