"""Missing cells: latent for their own units, everything else as it was observed."""

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.errors import DataError, EvidenceError
from pyrocausal.guides import Amortized

NAN = float("nan")

# Means over draws are held to 5 standard errors, by the effective sample size: a right answer is rejected
# with probability 6e-7 a number; fewer than 100 numbers are compared, and the seeds are fixed.
Z = 5.0


def chain():
    x = pyro.sample("x", dist.Normal(1.0, 1.0))
    mid = pyro.sample("m", dist.Normal(0.5 * x, 1.0))
    pyro.sample("y", dist.Normal(x + 2 * mid, 1.0))


# (x, m, y) = mean + L u
MEAN = torch.tensor([1.0, 0.5, 2.0], dtype=torch.double)
L = torch.tensor([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [2.0, 2.0, 1.0]], dtype=torch.double)


def posterior(row):
    """Mean and covariance of the noise given the cells that are there: a Gaussian regression."""
    seen = ~torch.isnan(row)
    a, value = L[seen], (row.double() - MEAN)[seen]
    gain = a.T @ torch.linalg.inv(a @ a.T)
    return gain @ value, torch.eye(3, dtype=torch.double) - gain @ a


ROWS = torch.tensor(
    [[2.0, 1.0, 5.0], [NAN, 1.0, 5.0], [2.0, NAN, 5.0], [2.0, 1.0, NAN], [NAN, NAN, 5.0], [NAN, 1.0, NAN]]
)
DATA = {name: ROWS[:, i] for i, name in enumerate("xmy")}


@pytest.fixture(scope="module")
def scm():
    return pc.SCM(chain)


@pytest.fixture(scope="module")
def noise(scm):
    return scm.abduct(DATA, missing="abduct", method="importance", num_samples=20_000, seed=0)


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_the_noise_has_the_gaussian_posterior(noise, row):
    mean, covariance = posterior(ROWS[row])
    draws = torch.stack([noise[name][:, row] for name in "xmy"], -1).double()
    effective = noise.diagnostics["ess"][row].item()
    error = Z * (covariance.diagonal() / effective).sqrt() + 1e-5
    assert ((draws.mean(0) - mean).abs() < error).all()
    spread = Z * covariance.diagonal().clamp_min(1e-6).sqrt()
    bound = torch.outer(spread, spread) * 2**0.5 / Z / effective**0.5
    assert ((draws.T.cov() - covariance).abs() < bound + 1e-5).all()
    if row:  # control: the prior would not pass
        assert not (mean.abs() < error).all()


def test_counterfactuals_average_over_the_missing_cells(scm):
    """y under do(m = 3) is linear in the noise, and so Gaussian."""
    n = 20_000
    cf = scm.counterfactual(DATA, do={"m": 3.0}, missing="abduct", method="importance", num_samples=n, seed=0)
    direction = torch.tensor([1.0, 0.0, 1.0], dtype=torch.double)  # y = 1 + u_x + 2 * 3 + u_y
    for row in range(len(ROWS)):
        mean, covariance = posterior(ROWS[row])
        variance = (direction @ covariance @ direction).clamp_min(0.0)
        effective = cf.diagnostics["ess"][row]
        assert abs(cf.mean("y")[row] - (7 + direction @ mean)) < Z * (variance / effective).sqrt() + 1e-4
        assert abs(cf.var("y")[row] - variance) < Z * variance * (2 / effective).sqrt() + 1e-4
        if row in (1, 2, 4):
            assert abs(direction @ mean) > Z * (variance / effective).sqrt()  # control: prior noise


def test_observed_cells_are_reproduced_exactly(noise):
    for name, column in DATA.items():
        seen = ~column.isnan()
        values = noise.factual[name]
        assert torch.equal(values[:, seen], column[seen].expand(len(values), -1))
        assert (values[:, ~seen].std(0) > 0.1).all()  # control: the others vary


def test_rows_without_gaps_get_the_exact_answer(scm, noise):
    exact = scm.abduct({name: column[:1] for name, column in DATA.items()})
    assert exact.diagnostics["method"] == "exact" and not exact.has_draws
    for name in "xmy":
        assert torch.equal(noise[name][:, 0], exact[name].expand(20_000))


def test_a_table_without_gaps_is_abducted_exactly(scm):
    whole = {name: column[:1] for name, column in DATA.items()}
    found = scm.counterfactual(whole, do={"m": 3.0}, missing="abduct")
    assert torch.equal(found["y"], scm.counterfactual(whole, do={"m": 3.0})["y"])
    assert not found.has_draws


def test_a_column_that_is_missing_wholly_is_a_latent_one(scm):
    latent = pc.SCM(chain, latent=["m"])
    e = {"x": [2.0, 0.0], "y": [5.0, 1.0]}
    asked = scm.abduct({**e, "m": [NAN, NAN]}, missing="abduct", method="importance", seed=0)
    assert torch.equal(asked["m"], latent.abduct(e, method="importance", seed=0)["m"])


# ---- how a gap may be written

VALUES = [0.0, 1.0, 2.0, 0.0]  # of x; the last cell is to be missing


def written(kind):
    gap = VALUES[:3]
    return {
        "None in a list": [*gap, None],
        "NaN in a list": [*gap, NAN],
        "NaN in an array": np.array([*gap, NAN]),
        "NaN in a tensor": torch.tensor([*gap, NAN]),
        "None in a Series": pd.Series([*gap, None]),
        "NA among objects": np.array([*gap, pd.NA], dtype=object),
        "NaT among objects": np.array([*gap, pd.NaT], dtype=object),
        "NA in Int64": pd.array([0, 1, 2, pd.NA], dtype="Int64"),
        "NA in a Series of Int64": pd.Series([0, 1, 2, None], dtype="Int64"),
        "NA in Float64": pd.array([0, 1, 2, pd.NA], dtype="Float64"),
        "a mask": np.ma.masked_array([0.0, 1.0, 2.0, 99.0], mask=[0, 0, 0, 1]),
        "a mask of integers": np.ma.masked_array([0, 1, 2, 99], mask=[0, 0, 0, 1]),
    }[kind]


KINDS = [
    "None in a list", "NaN in an array", "NaN in a tensor", "None in a Series", "NA among objects",
    "NaT among objects", "NA in Int64", "NA in a Series of Int64", "NA in Float64", "a mask",
    "a mask of integers",
]  # fmt: skip


def count_and_level():
    x = pyro.sample("x", dist.Poisson(1.0))
    pyro.sample("y", dist.Normal(x, 1.0))


@pytest.mark.parametrize("program", [chain, count_and_level], ids=["number", "count"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_write_a_gap(program, kind):
    scm = pc.SCM(program)
    rest = {"m": [0.0] * 4, "y": [0.0] * 4} if program is chain else {"y": [0.0] * 4}

    def ask(x):
        found = scm.abduct({"x": x, **rest}, missing="abduct", method="importance", num_samples=50, seed=0)
        return found.factual["x"]

    assert torch.equal(ask(written(kind)), ask(written("NaN in a list")))


@pytest.mark.parametrize("nothing", [None, NAN, pd.NA, [None], [NAN], torch.tensor(NAN)])
def test_one_unit_in_a_mapping(scm, nothing):
    found = scm.abduct({"x": nothing, "m": 1.0, "y": 5.0}, missing="abduct", method="importance", seed=0)
    truth = scm.abduct({"x": [NAN], "m": [1.0], "y": [5.0]}, missing="abduct", method="importance", seed=0)
    assert torch.equal(found["x"], truth["x"])


def test_a_data_frame_and_a_row_of_it(scm):
    frame = pd.DataFrame({"x": [2.0, None], "m": [1.0, 1.0], "y": [5.0, 5.0]}, index=["ann", "bob"])
    found = scm.counterfactual(frame, do={"m": 0.0}, missing="abduct", method="importance", seed=0)
    assert list(found.to_pandas().index) == ["ann", "bob"]
    one = scm.abduct(frame.loc["bob"], missing="abduct", method="importance", seed=0)
    assert one.factual["x"].std() > 0.1 and (one.factual["m"] == 1.0).all()


def test_names_of_levels():
    class Named(PyroModule):
        def __init__(self):
            super().__init__()
            self.k = m.Categorical(["low", "mid", "high"])

        def forward(self):
            k = pyro.sample("k", self.k())
            pyro.sample("y", dist.Normal(2.0 * k, 1.0))

    scm = pc.SCM(Named())
    odds = torch.tensor([dist.Normal(2.0 * k, 1.0).log_prob(torch.tensor(2.0)) for k in range(3)])
    prior = scm.log_prob({"k": ["low", "mid", "high"], "y": [0.0, 2.0, 4.0]})
    truth = torch.softmax(odds + prior, 0)
    for column in (["high", None], pd.Categorical(["high", None], categories=["low", "mid", "high"])):
        frame = pd.DataFrame({"k": column, "y": [0.0, 2.0]})
        found = scm.abduct(frame, missing="abduct", method="importance", num_samples=20_000, seed=0).factual
        assert (found["k"][:, 0] == 2).all()
        shares = torch.stack([(found["k"][:, 1] == k).double().mean() for k in range(3)])
        assert (shares - truth).abs().max() < Z * 0.5 / 5_000**0.5  # at least 5,000 effective draws
        assert found.to_pandas()["k"].tolist() == ["high", "mid"]


# ---- vectors


def vector():
    v = pyro.sample("v", dist.Normal(torch.tensor([0.0, 1.0]), 1.0).to_event(1))
    pyro.sample("y", dist.Normal(v.sum(), 1.0))


def joint():
    factor = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    v = pyro.sample("v", dist.MultivariateNormal(torch.zeros(2), scale_tril=factor))
    pyro.sample("y", dist.Normal(v[0] + v[1], 1.0))


PARTLY = {
    "array": lambda: np.array([[NAN, 2.0], [NAN, NAN], [1.0, 2.0]]),
    "tensor": lambda: torch.tensor([[NAN, 2.0], [NAN, NAN], [1.0, 2.0]]),
    "lists": lambda: [[None, 2.0], None, [1.0, 2.0]],
    "Series": lambda: pd.Series([np.array([NAN, 2.0]), None, [1.0, 2.0]]),
    "NA": lambda: [[pd.NA, 2.0], [pd.NA, pd.NA], [1, 2]],
    "mask": lambda: np.ma.masked_array([[9.0, 2.0], [9.0, 9.0], [1.0, 2.0]], mask=[[1, 0], [1, 1], [0, 0]]),
}


@pytest.mark.parametrize("kind", PARTLY)
def test_numbers_of_a_vector_that_are_independent_may_be_missing_one_by_one(kind):
    scm, n = pc.SCM(vector), 10_000
    data = {"v": PARTLY[kind](), "y": [6.0, 6.0, 6.0]}
    found = scm.abduct(data, missing="abduct", method="importance", num_samples=n, seed=0)
    v, ess = found.factual["v"], found.diagnostics["ess"]
    assert (v[:, 0, 1] == 2.0).all() and torch.equal(v[:, 2], torch.tensor([1.0, 2.0]).expand(n, 2))
    first = (0 + (6.0 - 2.0) * 1.0) / 2  # v[0] | y - v[1] = 4
    assert abs(v[:, 0, 0].mean() - first) < Z * (0.5 / ess[0]).sqrt()
    both = torch.tensor([0.0, 1.0]) + 5.0 / 3  # mean + cov 1 (1' cov 1 + 1)^-1 (6 - 1)
    assert ((v[:, 1].mean(0) - both).abs() < Z * (2 / 3 / ess[1]).sqrt()).all()
    assert abs(v[:, 1, 0].mean()) > 1.0  # control: the prior's


def test_spread_columns_of_a_frame():
    scm = pc.SCM(vector)
    frame = pd.DataFrame({"v[0]": [NAN, NAN, 1.0], "v[1]": [2.0, NAN, 2.0], "y": 6.0})
    found = scm.abduct(frame, missing="abduct", method="importance", seed=0).factual["v"]
    asked = {"v": PARTLY["array"](), "y": [6.0] * 3}
    assert torch.equal(found, scm.abduct(asked, missing="abduct", method="importance", seed=0).factual["v"])


def test_one_number_missing_in_every_row():
    data = {"v": [[NAN, 2.0], [NAN, 1.0]], "y": [6.0, 6.0]}
    found = pc.SCM(vector).abduct(data, missing="abduct", method="importance", seed=0).factual["v"]
    assert torch.equal(found[0, :, 1], torch.tensor([2.0, 1.0])) and found[:, :, 0].std() > 0.1


def test_a_joint_vector_may_be_missing_whole():
    scm, n = pc.SCM(joint), 10_000
    data = {"v": [[NAN, NAN], [1.0, 2.0]], "y": [3.0, 3.0]}
    found = scm.abduct(data, missing="abduct", method="importance", num_samples=n, seed=0)
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
    gain = covariance.sum(1) / (covariance.sum() + 1)
    error = Z * ((1 - 1.8**2 / 4.6) / found.diagnostics["ess"][0]).sqrt()
    assert ((found.factual["v"][:, 0].mean(0) - 3 * gain).abs() < error).all()
    assert torch.equal(found.factual["v"][:, 1], torch.tensor([1.0, 2.0]).expand(n, 2))


def test_a_joint_vector_may_not_be_missing_in_part():
    data = {"v": [[NAN, 2.0], [1.0, 2.0]], "y": [3.0, 3.0]}
    with pytest.raises(EvidenceError, match="one joint density"):
        pc.SCM(joint).abduct(data, missing="abduct", method="importance")


def test_gaps_in_a_simplex_and_a_one_hot_vector():
    """What stands in for a gap must lie in the support."""

    def program():
        s = pyro.sample("s", dist.Dirichlet(torch.ones(3)))
        h = pyro.sample("h", dist.OneHotCategorical(s))
        pyro.sample("y", dist.Normal(h[0], 1.0))

    data = {
        "s": [[NAN, NAN, NAN], [0.2, 0.3, 0.5]],
        "h": [[0.0, 1.0, 0.0], [NAN, NAN, NAN]],
        "y": [0.0, 0.0],
    }
    found = pc.SCM(program).abduct(data, missing="abduct", method="importance", seed=0).factual
    assert torch.allclose(found["s"].sum(-1), torch.ones(()), atol=1e-5)
    assert torch.equal(found["h"].sum(-1), torch.ones_like(found["h"].sum(-1)))


# ---- with a guide


def test_units_with_gaps_are_not_left_to_the_guide():
    """The guide can't read them: z is proposed from its prior there, and by the guide elsewhere."""

    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(z, 1.0))
        pyro.sample("y", dist.Normal(z + x, 1.0))

    guide = Amortized(z=lambda x, y: dist.Normal(y / 3, (1 / 3) ** 0.5))  # p(z | x, y)
    scm, n = pc.SCM(program, latent=["z"], guide=guide), 20_000
    data = {"x": [1.0, 1.0, NAN], "y": [3.0, NAN, 3.0]}
    found = scm.abduct(data, missing="abduct", method="importance", num_samples=n, seed=0)
    z, ess = found.factual["z"], found.diagnostics["ess"]
    truth = torch.tensor([(1.0 + 2.0) / 3, 1.0 / 2, 2 * 3.0 / 6])
    variance = torch.tensor([1 / 3, 1 / 2, 1 - 4 / 6])
    assert ((z.mean(0) - truth).abs() < Z * (variance / ess).sqrt()).all()
    assert ess[0] > 0.999 * n > ess[1]
    with pytest.raises(EvidenceError, match="can't read the evidence of rows 1, 2"):
        scm.abduct(data, missing="abduct", method="guide")


# ---- errors


@pytest.mark.parametrize(
    ("data", "options", "error", "says"),
    [
        (DATA, {}, DataError, "missing"),
        (DATA, {"missing": "abdcut"}, DataError, "missing='abdcut'"),
        (DATA, {"missing": "abduct", "method": "exact"}, EvidenceError, "lacks cells"),
        ({**DATA, "x": [float("inf")] * 6}, {"missing": "abduct"}, DataError, "infinite"),
        ({**DATA, "x": ["a"] * 6}, {"missing": "abduct"}, DataError, "'a'"),
        ({**DATA, "x": [NAN] * 5}, {"missing": "abduct"}, DataError, "differ in length"),
        ({name: [NAN, NAN] for name in "xmy"}, {"missing": "abduct"}, DataError, "every cell is missing"),
        ({"x": [1.0], "m": [NAN]}, {"missing": "abduct"}, EvidenceError, "no 'y'"),
        ({**DATA, "q": [NAN] * 6}, {"missing": "abduct"}, DataError, "no variable 'q'"),
    ],
)
def test_gaps_that_can_not_be_filled(scm, data, options, error, says):
    with pytest.raises(error, match=says):
        scm.abduct(data, **options)


@pytest.mark.parametrize(
    "column", [np.full((2, 3), NAN), [[NAN], [1.0, 2.0]], [["a", "b"], [1.0, 2.0]], [3.0, [1.0, 2.0]]]
)
def test_vectors_of_the_wrong_shape(column):
    with pytest.raises(DataError, match="'v' is no vector of shape"):
        pc.SCM(vector).abduct({"v": column, "y": [1.0, 1.0]}, missing="abduct")


def test_training_and_likelihoods_refuse_gaps(scm):
    for ask in (scm.log_prob, scm.elbo):
        with pytest.raises(DataError, match="missing"):
            ask(DATA)
