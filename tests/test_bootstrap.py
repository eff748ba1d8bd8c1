"""Bootstrap refits: many trainings as one, against the closed-form standard error of least squares."""

import pyro
import pytest
import torch
from pyro.nn import PyroModule

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.errors import FitError, UnknownVariable

N = 400


class Line(PyroModule):
    def __init__(self):
        super().__init__()
        self.x, self.y = m.Linear(), m.Linear()

    def forward(self):
        x = pyro.sample("x", self.x())
        pyro.sample("y", self.y(x))


def effect(scm, rows):
    worlds = scm.counterfactual(rows, do={"one": {"x": 1.0}, "zero": {"x": 0.0}}).worlds
    return (worlds["one"]["y"] - worlds["zero"]["y"]).mean()


@pytest.fixture(scope="module")
def fitted():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, generator=generator)
    data = {"x": x, "y": 2.0 * x + torch.randn(N, generator=generator)}
    return pc.SCM(Line()).fit(data, progress=False, epochs=3), data


def test_the_spread_of_refits_is_the_standard_error_of_least_squares(fitted):
    scm, data = fitted
    slopes = scm.bootstrap(data, effect, replicas=300, epochs=5, progress=False)
    x, y = data["x"] - data["x"].mean(), data["y"] - data["y"].mean()
    slope = (x * y).sum() / (x * x).sum()
    error = ((y - slope * x).square().sum() / (N - 2) / x.square().sum()).sqrt()
    # 300 refits: the sd's own relative error is 4 %, and 25 % is beyond six of these
    assert slopes.std().item() == pytest.approx(error.item(), rel=0.25)
    assert slopes.mean().item() == pytest.approx(slope.item(), abs=error.item() / 2)


def test_each_refit_saw_its_own_rows_and_the_model_is_left_alone(fitted):
    scm, data = fitted
    before = effect(scm, data)
    means = scm.bootstrap(data, lambda _, rows: rows["x"].mean(), replicas=20, epochs=1, progress=False)
    assert len(means.unique()) == 20
    assert torch.equal(effect(scm, data), before)


def test_a_mechanism_left_out_keeps_its_parameters(fitted):
    scm, data = fitted
    scales = scm.bootstrap(
        data, lambda model, _: model.sample(1, seed=0)["x"], replicas=5, only=["y"], epochs=1, progress=False
    )
    assert len(scales.unique()) == 1


def test_seeds(fitted):
    scm, data = fitted
    one, same, other = (
        scm.bootstrap(data, effect, replicas=3, epochs=1, seed=seed, progress=False) for seed in (0, 0, 1)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_bad_input(fitted):
    scm, data = fitted
    with pytest.raises(FitError, match="at least two refits"):
        scm.bootstrap(data, effect, replicas=1)
    with pytest.raises(UnknownVariable, match="did you mean 'y'"):
        scm.bootstrap(data, effect, only=["yy"])
