"""The data contract: column = variable, row = unit; what breaks it is named, with its place and the fix."""

import logging

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.errors import DataError
from pyrocausal.table import read

from . import scenarios


@pytest.fixture
def frame():
    return pd.DataFrame({"z": [1.0, 2.0], "x": [0.0, 1.0], "y": [3, 4]}, index=["ann", "bob"])


def table(scm, data):
    return read(data, scm.variables, where="evidence").values


def error(scm, data):
    with pytest.raises(DataError) as caught:
        table(scm, data)
    assert caught.value.fix
    return caught.value


def same(one, other):
    return all(torch.equal(one[k], other[k]) for k in one)


# ---- what is taken


def test_frames_mappings_and_tensors_are_one(confounded, frame):
    by_frame = table(confounded, frame)
    assert by_frame["y"].dtype == torch.float32 and by_frame["y"].tolist() == [3.0, 4.0]
    assert same(by_frame, table(confounded, {k: frame[k].to_numpy() for k in frame}))
    assert same(by_frame, table(confounded, {k: frame[k].tolist() for k in frame}))
    assert same(by_frame, table(confounded, {k: torch.tensor(frame[k].to_numpy()) for k in frame}))
    assert same(by_frame, table(confounded, frame[["y", "z", "x"]]))  # in any order


def test_a_row_is_one_unit(confounded, frame):
    one = table(confounded, frame.loc["bob"])
    assert {k: v.tolist() for k, v in one.items()} == {"z": [2.0], "x": [1.0], "y": [4.0]}
    assert same(one, table(confounded, {"z": 2.0, "x": 1.0, "y": 4}))
    assert same(one, table(confounded, {"z": torch.tensor(2.0), "x": np.float64(1.0), "y": 4}))


def test_the_index_is_kept(confounded, frame):
    assert confounded.abduct(frame).index.equals(frame.index)
    assert confounded.counterfactual(frame, do={"x": 1.0}).to_pandas().index.equals(frame.index)


def test_one_unit_of_a_vector():
    scm = scenarios.named("matrix").scm()
    assert table(scm, {"v": torch.zeros(2), "y": torch.zeros(3)})["v"].shape == (1, 2)
    assert table(scm, {"v": torch.zeros(4, 2), "y": torch.zeros(4, 3)})["v"].shape == (4, 2)


def test_vectors_in_cells():
    scm = scenarios.named("matrix").scm()
    data = pd.DataFrame({"v": [np.zeros(2), np.ones(2)], "y": [np.zeros(3), np.ones(3)]})
    assert table(scm, data)["v"].tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_numbers_of_every_kind(bernoulli):
    for x in (
        [True, False],
        np.array([1, 0], np.int8),
        torch.tensor([True, False]),
        pd.Series([1, 0], dtype="Int64"),
    ):
        values = table(bernoulli, {"x": x, "y": [0, 1]})
        assert values["x"].tolist() == [1.0, 0.0] and values["x"].dtype == torch.float32


def test_numbers_in_object_columns(confounded, frame):
    assert table(confounded, frame.astype(object))["z"].tolist() == [1.0, 2.0]


def test_answers_are_evidence(confounded):
    s = confounded.sample(3, seed=0)
    assert torch.equal(table(confounded, s)["y"], s["y"])


def test_other_columns_of_a_frame_are_ignored_and_listed_once(confounded, frame, caplog):
    frame["colour of hair"] = ["red", "blue"]
    with caplog.at_level(logging.INFO, "pyrocausal"):
        table(confounded, frame)
        table(confounded, frame)
    assert sum("colour of hair" in r.getMessage() for r in caplog.records) == 1


# ---- what is refused


def test_a_mapping_with_an_unknown_name(confounded, frame):
    assert "'zed'" in error(confounded, {"zed": [1.0], "z": [1.0]}).what


def test_a_misspelt_column_that_is_needed(confounded, frame):
    with pytest.raises(DataError) as caught:
        read(frame.rename(columns={"z": "zz"}), confounded.variables, where="fit", need=["z"])
    e = caught.value
    assert "no column 'z'" in e.what and "never turns a variable latent" in e.why and "'zz'" in e.fix


def test_a_missing_column_says_how_to_declare_a_latent(confounded, frame):
    with pytest.raises(DataError, match=r'latent=\["z"\]'):
        read(frame[["x", "y"]], confounded.variables, where="fit", need=["z"])


@pytest.mark.parametrize("data", [[1.0], 3, "x", np.zeros((2, 3)), torch.zeros(2, 3), None])
def test_no_table(confounded, data):
    assert "no table" in error(confounded, data).what


def test_nothing_of_the_program(confounded):
    assert "no variable of the program" in error(confounded, pd.DataFrame({"q": [1.0]})).what


def test_empty(confounded, frame):
    assert "no rows" in error(confounded, frame.iloc[:0]).what


def test_lengths(confounded):
    e = error(confounded, {"z": [1.0, 2.0], "x": [1.0, 2.0, 3.0], "y": [1.0, 2.0]})
    assert "'z' has 2, 'x' has 3, 'y' has 2" in e.what


def test_missing_cells_name_the_rows(confounded, frame):
    for nothing in (float("nan"), None, pd.NA):
        frame["z"] = pd.Series([1.0, nothing], index=frame.index, dtype=object)
        e = error(confounded, frame)
        assert "'z'" in e.what and "row 1" in e.what
    many = {"z": torch.full((9,), torch.nan), "x": torch.zeros(9), "y": torch.zeros(9)}
    assert "rows 0, 1, 2, 3, 4 … (9 rows)" in error(confounded, many).what


def test_missing_in_nullable_and_vector_columns(confounded, frame):
    frame["y"] = pd.array([1, None], dtype="Int64")
    assert "row 1" in error(confounded, frame).what
    scm = scenarios.named("matrix").scm()
    v = torch.tensor([[0.0, 0.0], [0.0, torch.nan]])
    assert "'v'" in error(scm, {"v": v, "y": torch.zeros(2, 3)}).what


def test_text_in_a_number_column(confounded, frame):
    frame["x"] = ["1.0", "many"]
    e = error(confounded, frame)
    assert "'x'" in e.what and "row 0" in e.what and "continuous" in e.why


def test_dates_and_complex_numbers(confounded, frame):
    frame["x"] = pd.to_datetime(["2020-01-01", "2020-01-02"])
    assert "datetime64" in error(confounded, frame).what
    frame["x"] = [1j, 2j]
    assert "complex" in error(confounded, frame).what


@pytest.mark.parametrize(
    "name, bad, row",
    [("bernoulli", [0, 2], 1), ("bernoulli", [0.5, 1], 0), ("gumbel-max", [3, 0], 0),
     ("gumbel-max", [0, -1], 1), ("gumbel-max", [0, 0.5], 1),
     ("poisson", [1.5, 2], 0), ("poisson", [0, -1], 1)],
)  # fmt: skip
def test_values_outside_the_support(name, bad, row):
    e = error(scenarios.named(name).scm(), {"x": [0, 1], "y": bad})
    assert "'y'" in e.what and f"row {row}" in e.what and "support" in e.why


def test_a_negative_value_of_a_positive_variable():
    e = error(scenarios.named("log-normal").scm(), {"x": [0.0], "y": [-1.0]})
    assert "positive" in e.why


def test_one_hot_rows_are_checked_as_a_whole():
    def program():
        pyro.sample("k", dist.OneHotCategorical(torch.ones(3) / 3))

    scm = pc.SCM(program)
    table(scm, {"k": [[0, 1, 0], [1, 0, 0]]})
    assert "row 1" in error(scm, {"k": [[0, 1, 0], [1, 1, 0]]}).what


def test_wrong_shapes():
    scm = scenarios.named("matrix").scm()
    e = error(scm, {"v": torch.zeros(4, 3), "y": torch.zeros(4, 3)})
    assert "'v'" in e.what and "(4, 3)" in e.what and "(units, 2)" in e.why
    assert "'x'" in error(pc.SCM(scenarios.bernoulli), {"x": torch.zeros(4, 2), "y": torch.zeros(4)}).what


def test_level_names_before_they_are_known(bernoulli):
    e = error(bernoulli, {"x": ["yes", "no"], "y": [0, 1]})
    assert "'x'" in e.what and "'yes'" in e.what and "fit" in e.fix


def test_odd_arrays_are_read_as_what_they_are(confounded):
    rows = {"z": np.zeros(2), "x": np.zeros(2)}
    for y in (np.array([2.0, 1.0])[::-1], np.array([1.0, 2.0], dtype=">f8"), pd.array([1, 2], dtype="Int64")):
        assert confounded.abduct({**rows, "y": y}).factual["y"].tolist() == [1.0, 2.0]


def test_what_a_mask_or_a_nullable_type_hides_is_missing(confounded):
    rows = {"z": np.zeros(2), "x": np.zeros(2)}
    for y in (np.ma.masked_array([1.0, 2.0], [0, 1]), pd.array([1, None], dtype="Int64")):
        with pytest.raises(DataError, match=r"'y' is missing .* in row 1"):
            confounded.abduct({**rows, "y": y})


def test_a_number_that_single_precision_cannot_hold(confounded):
    far = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1e8
    with pytest.raises(DataError, match="can't be held in float32"):
        confounded.abduct({"z": torch.zeros(50), "x": torch.zeros(50), "y": far})


def test_a_column_that_is_there_twice(confounded):
    frame = pd.DataFrame([[0.0, 0.0, 1.0, 2.0]], columns=["z", "x", "y", "y"])
    with pytest.raises(DataError, match="'y' is there twice"):
        confounded.abduct(frame)
