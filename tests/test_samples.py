"""Answers: mappings that are also DataFrames and ArviZ groups, as the data came in."""

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.errors import UnknownVariable

from . import scenarios


class People(PyroModule):
    """sex (names), grade (ordered category), smoker (bool), visits (int), weight (float)."""

    def __init__(self):
        super().__init__()
        self.sex, self.grade, self.smoker = m.Bernoulli(), m.Categorical(3), m.Bernoulli()
        self.visits, self.weight = m.Poisson(), m.Linear()

    def forward(self):
        sex = pyro.sample("sex", self.sex())
        grade = pyro.sample("grade", self.grade(sex))
        smoker = pyro.sample("smoker", self.smoker(sex, grade))
        visits = pyro.sample("visits", self.visits(smoker))
        pyro.sample("weight", self.weight(sex, grade, visits))


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame(
        {
            "sex": rng.choice(["man", "woman"], n),
            "grade": pd.Categorical(
                rng.choice(["low", "mid", "top"], n), ["low", "mid", "top"], ordered=True
            ),
            "smoker": rng.random(n) < 0.4,
            "visits": rng.poisson(2.0, n),
            "weight": rng.normal(70, 10, n),
        },
        index=[f"p{i}" for i in range(n)],
    )


@pytest.fixture(scope="module")
def fitted(people) -> pc.SCM:
    return pc.SCM(People()).fit(people, epochs=2, progress=False)


# ---- mappings


def test_a_mapping(confounded):
    s = confounded.sample(3, seed=0)
    assert list(s) == ["z", "x", "y"] and len(s) == 3 and "x" in s and "q" not in s
    assert dict(s)["x"].shape == (3,) and s.num_units == 3 and s.num_draws is None
    with pytest.raises(UnknownVariable, match=r"'zz'.*did you mean 'z'"):
        s["zz"]


def test_reprs(confounded, fitted, people):
    s = confounded.sample(3, seed=0)
    assert "3 units" in repr(s) and "<table" in s._repr_html_()
    cf = fitted.counterfactual(people.head(), do={"a": {"sex": "man"}, "b": {"sex": "woman"}}, seed=0)
    assert "100 draws" in repr(cf) and "world" in repr(cf) and "<table" in cf._repr_html_()


# ---- pandas


def test_factual_values_come_back_as_they_came(fitted, people):
    back = fitted.abduct(people, seed=0).factual.to_pandas()
    back["weight"] = back["weight"].astype(float)
    assert back.index.equals(people.index)
    assert list(back["sex"]) == list(people["sex"])
    assert list(back["grade"]) == list(people["grade"]) and back["grade"].dtype == "category"
    assert back["smoker"].dtype == bool and back["smoker"].equals(people["smoker"])
    assert back["visits"].dtype == people["visits"].dtype and back["visits"].equals(people["visits"])
    assert np.allclose(back["weight"], people["weight"], rtol=1e-6)


def test_strings_keep_their_dtype(fitted, people):
    assert fitted.sample(5, seed=0).to_pandas()["sex"].dtype == people["sex"].dtype


def test_categories_keep_their_order(fitted, people):
    assert fitted.sample(5, seed=0).to_pandas()["grade"].dtype == people["grade"].dtype


def test_samples_use_the_level_names(fitted):
    frame = fitted.sample(200, seed=0).to_pandas()
    assert set(frame["sex"]) == {"man", "woman"} and set(frame["grade"]) == {"low", "mid", "top"}
    assert frame["smoker"].dtype == bool


def test_samples_can_be_fed_back(fitted):
    frame = fitted.sample(20, seed=0).to_pandas()
    noise = fitted.abduct(frame, seed=0)
    assert fitted.predict(noise).to_pandas()["grade"].equals(frame["grade"])


def test_actions_by_level_name(fitted, people):
    done = fitted.do(sex="woman", grade="top").sample(3, seed=0).to_pandas()
    assert set(done["sex"]) == {"woman"} and set(done["grade"]) == {"top"}
    names = ["low", "mid", "top", "low", "mid"]
    each = fitted.counterfactual(people.head(), do={"grade": names}, seed=0).to_pandas()
    assert list(each["grade"]) == names
    with pytest.raises(pc.PyrocausalError, match=r"'tap' is no level of 'grade'.*did you mean 'top'"):
        fitted.do(grade="tap")


def test_draws_in_pandas(fitted, people):
    cf = fitted.counterfactual(people.head(4), do={"sex": "man"}, num_samples=10, seed=0)
    long = cf.to_pandas(draws=True)
    assert long.index.names == ["draw", "unit"] and len(long) == 40
    assert list(long.loc[3].index) == list(people.index[:4])
    assert set(long["grade"]) <= {"low", "mid", "top"}
    short = cf.to_pandas()
    assert short.index.equals(people.index[:4])
    assert np.allclose(short["weight"], cf["weight"].mean(0)) and np.allclose(
        short["visits"], cf["visits"].mean(0)
    )
    assert (short["sex"] == "man").all()  # a name has no mean: the commonest


def test_worlds_are_stacked(confounded):
    units = confounded.sample(3, seed=0)
    frame = confounded.counterfactual(units, do={"a": {"x": 0.0}, "b": {"x": 1.0}}).to_pandas()
    assert frame.index.names[0] == "world" and set(frame.loc["b", "x"]) == {1.0}


def test_vectors_are_spread():
    scm = scenarios.named("matrix").scm()
    s = scm.sample(3, seed=0)
    frame = s.to_pandas()
    assert list(frame) == ["v[0]", "v[1]", "y[0]", "y[1]", "y[2]"]
    noise, again = scm.abduct(s), scm.abduct(frame)
    assert torch.allclose(noise["y"], again["y"], atol=1e-5)


def test_ints_stay_ints_in_an_unfitted_model():
    frame = scenarios.named("poisson").scm().sample(5, seed=0).to_pandas()
    assert frame["y"].dtype.kind == "i"


# ---- ArviZ


def test_arviz_groups(confounded, tmp_path):
    units = confounded.sample(3, seed=0)
    cf = confounded.counterfactual(units, do={"a": {"x": 0.0}, "b": {"x": 1.0}}, num_samples=4)
    data = cf.to_arviz()
    assert set(data.groups()) == {"observed_data", "exogenous", "counterfactual"}
    assert dict(data.counterfactual.sizes) == {"chain": 1, "draw": 4, "unit": 3, "world": 2}
    assert np.allclose(data.counterfactual["y"].sel(world="b").values[0], cf.worlds["b"]["y"])
    assert np.allclose(data.observed_data["y"], units["y"])
    assert data.exogenous["y"].dims == ("chain", "draw", "unit")


def test_arviz_survives_netcdf(confounded, tmp_path):
    import arviz

    units = confounded.sample(3, seed=0)
    cf = confounded.counterfactual(units, do={"x": 0.0}, num_samples=2)
    cf.to_arviz().to_netcdf(str(tmp_path / "inference.nc"))
    back = arviz.from_netcdf(str(tmp_path / "inference.nc"))
    assert np.allclose(back.counterfactual["y"].values[0, :, :, 0], cf["y"])


def test_arviz_without_draws_and_with_vectors():
    s = scenarios.named("matrix").scm().sample(3, seed=0)
    group = s.to_arviz().interventional
    assert group["y"].dims == ("chain", "draw", "unit", "y_dim_0") and group["y"].shape == (1, 1, 3, 3)


def test_arviz_keeps_unit_labels(fitted, people):
    data = fitted.counterfactual(people.head(3), do={"sex": "man"}, seed=0).to_arviz()
    assert list(data.counterfactual["unit"].values) == list(people.index[:3])


def test_arviz_is_imported_only_when_asked_for():
    import subprocess
    import sys

    code = "import sys, pyrocausal; sys.exit('arviz' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code]).returncode == 0


def test_an_inference_of_samples_is_the_interventional_distribution(confounded):
    assert confounded.do(x=1.0).sample(4, seed=0).to_arviz().groups() == ["interventional"]


def test_a_program_of_pyro_sites_only():
    def program():
        pyro.sample("x", dist.Normal(0.0, 1.0))

    assert list(pc.SCM(program).sample(2).to_pandas().columns) == ["x"]
