"""An SCM from a graph alone: a mechanism for each variable, chosen by its column."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.errors import GraphError, PyrocausalError
from pyrocausal.program_from_graph import choose

QUICK = {"epochs": 2, "progress": False}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 300
    age = rng.normal(50, 10, n)
    quit = (rng.random(n) < 1 / (1 + np.exp(-(age - 50) / 10))).astype(int)
    return pd.DataFrame(
        {
            "age": age,
            "quit": quit,
            "town.size": rng.choice(["city", "village"], n),
            "gain": 3.0 * quit - 0.1 * age + rng.normal(size=n),
        }
    )


GRAPH = "age -> quit; age -> gain; quit -> gain; `town.size` -> gain"


@pytest.mark.parametrize(
    "column, kind",
    [
        ([0.5, 1.5, 2.5], "Continuous"),
        ([0, 1, 1], "Bernoulli"),
        ([0.0, 1.0, np.nan], "Bernoulli"),
        ([True, False], "Bernoulli"),
        ([1, 2, 2], "Categorical"),
        ([1, 2, 3], "Continuous"),
        (["a", "b"], "Categorical"),
        (pd.Categorical(["a", "b"], ["a", "b", "c"]), "Categorical"),
        (torch.tensor([0, 1]), "Bernoulli"),
    ],
)
def test_mechanisms_by_column(column, kind):
    assert choose(column)[0].kind == kind


def test_levels_keep_the_categories_order():
    assert choose(pd.Categorical(["low", "top"], ["top", "mid", "low"]))[0].options == {
        "levels": ["top", "mid", "low"]
    }
    assert choose(["b", "a", "b"])[0].options == {"levels": ["a", "b"]}


def test_fit_chooses_and_trains(frame):
    scm = pc.SCM.from_graph(GRAPH).fit(frame, **QUICK)
    assert scm.graph.edges == pc.CausalGraph.from_string(GRAPH).edges
    kinds = {name: v.kind for name, v in scm.variables.items()}
    assert kinds == {"age": "continuous", "quit": "binary", "town.size": "binary", "gain": "continuous"}
    done = scm.do({"town.size": "city"}, quit=1).sample(200, seed=0).to_pandas()
    assert set(done["town.size"]) == {"city"} and (done["quit"] == 1).all()


def test_the_effect_is_adjusted(frame):
    scm = pc.SCM.from_graph(GRAPH).fit(frame, epochs=30, progress=False)
    effect = (
        scm.do(quit=1).sample(4000, seed=0)["gain"].mean()
        - scm.do(quit=0).sample(4000, seed=0)["gain"].mean()
    )
    naive = frame.groupby("quit")["gain"].mean().diff().iloc[-1]
    assert abs(effect - 3) < 0.3 < abs(naive - 3)


def test_mechanisms_can_be_given(frame):
    scm = pc.SCM.from_graph(GRAPH, mechanisms={"gain": m.Linear()}).fit(frame, **QUICK)
    assert [type(v) for k, v in scm.mechanisms.items() if k.endswith("gain")] == [m.Linear]


def test_a_graph_is_visible_before_fitting():
    scm = pc.SCM.from_graph(GRAPH)
    assert set(scm.graph.nodes) == {"age", "quit", "gain", "town.size"}
    for ask in (lambda: scm.sample(2), lambda: scm.do(quit=1), lambda: scm.variables):
        with pytest.raises(PyrocausalError) as caught:
            ask()
        assert "fit(df)" in caught.value.fix


def test_graphs_of_every_form(frame):
    import networkx as nx

    graph = pc.CausalGraph.from_string(GRAPH)
    for form in (GRAPH, graph, nx.DiGraph(sorted(graph.edges))):
        assert pc.SCM.from_graph(form).graph.edges == graph.edges


def test_a_mechanism_for_nobody():
    with pytest.raises(PyrocausalError, match=r"'gian'.*did you mean 'gain'"):
        pc.SCM.from_graph(GRAPH, mechanisms={"gian": m.Linear()})


def test_a_missing_column(frame):
    with pytest.raises(PyrocausalError, match="no column 'gain'"):
        pc.SCM.from_graph(GRAPH).fit(frame.drop(columns="gain"), **QUICK)


def test_bidirected_edges_and_cycles_are_refused():
    with pytest.raises(GraphError, match="a <-> b"):
        pc.SCM.from_graph("a <-> b; a -> b")
    with pytest.raises(GraphError):
        pc.SCM.from_graph("a -> b; b -> a")


def test_the_order_of_columns_does_not_matter(frame):
    one = pc.SCM.from_graph(GRAPH).fit(frame, **QUICK)
    other = pc.SCM.from_graph(GRAPH).fit(frame[frame.columns[::-1]], **QUICK)
    assert torch.equal(one.sample(5, seed=0)["gain"], other.sample(5, seed=0)["gain"])


def test_a_refit_with_reset_sees_the_new_scale(frame):
    scm = pc.SCM.from_graph("age -> gain").fit(frame, **QUICK)
    scm.fit(
        frame * (frame.columns != "town.size") if False else frame.assign(age=frame["age"] * 100),
        reset=True,
        **QUICK,
    )
    assert scm.sample(500, seed=0)["age"].mean() > 3000


def test_new_levels_need_a_reset(frame):
    scm = pc.SCM.from_graph(GRAPH).fit(frame, **QUICK)
    new = frame.assign(**{"town.size": "hamlet"})
    with pytest.raises(PyrocausalError, match="'hamlet' is no level") as caught:
        scm.fit(new, **QUICK)
    assert "reset=True" in caught.value.fix


def test_a_loaded_model_is_the_same_whatever_the_order_of_the_graphs_text(tmp_path):
    text = "age -> income; region -> income; age -> smoker; smoker -> bp; income -> bp"
    rng = np.random.default_rng(0)
    names = ["age", "region", "income", "smoker", "bp"]
    data = pd.DataFrame(rng.normal(size=(200, 5)) * [1, 10, 100, 1000, 10000], columns=names)
    scm = pc.SCM.from_graph(text).fit(data, **QUICK)
    scm.save(tmp_path / "model.safetensors")
    loaded = pc.SCM.load(tmp_path / "model.safetensors")
    assert torch.equal(loaded.log_prob(data), scm.log_prob(data))
    assert torch.equal(loaded.sample(5, seed=0)["bp"], scm.sample(5, seed=0)["bp"])


def test_numbers_in_an_object_column_are_numbers(frame):
    assert choose(frame["age"].astype(object), "age")[0].kind == "Continuous"


@pytest.mark.parametrize(
    "column, text",
    [
        ([f"id{i}" for i in range(100)], "100 levels in 100 rows"),
        (pd.date_range("2020-01-01", periods=5), "has type datetime"),
        (["a", 1.5, "b"], "holds float and str"),
    ],
)
def test_columns_that_are_no_variable(column, text):
    with pytest.raises(PyrocausalError, match=text):
        choose(column, "c")


def test_a_reset_forgets_levels_and_scales(frame):
    scm = pc.SCM.from_graph(GRAPH).fit(frame, **QUICK)
    moved = frame.assign(gain=1000 * frame.gain)
    moved["town.size"] = moved["town.size"].replace("village", "hamlet")
    scm.fit(moved, reset=True, **QUICK)
    assert scm.variables["town.size"].column.levels == ("city", "hamlet")
    assert scm.variables["gain"].column.sd == pytest.approx(moved.gain.std(), rel=0.01)


def test_a_submodel_is_not_saved(frame, tmp_path):
    scm = pc.SCM.from_graph(GRAPH).fit(frame, **QUICK)
    with pytest.raises(PyrocausalError, match="submodel"):
        scm.do(quit=1).save(tmp_path / "model.safetensors")


@pytest.mark.parametrize("dtype", ["Int64", "int64", "boolean", "float64"])
def test_column_types_come_back(frame, dtype):
    typed = frame.assign(quit=frame.quit.astype(dtype))
    scm = pc.SCM.from_graph(GRAPH).fit(typed, **QUICK)
    answer = scm.abduct(typed.head()).factual.to_pandas()
    assert str(answer.quit.dtype) == dtype and answer.age.dtype == np.float64


def test_a_model_with_given_mechanisms_loads_by_itself(frame, tmp_path):
    given = {"gain": m.Normal(hidden=(8,)), "quit": m.Bernoulli((4,))}
    scm = pc.SCM.from_graph(GRAPH, mechanisms=given).fit(frame, **QUICK)
    scm.save(tmp_path / "model.safetensors")
    loaded = pc.SCM.load(tmp_path / "model.safetensors")
    assert torch.equal(loaded.log_prob(frame), scm.log_prob(frame))
    assert {type(x).__name__ for x in loaded.mechanisms.values()} >= {"Normal", "Bernoulli"}


def test_names_that_differ_in_a_dot_have_mechanisms_of_their_own():
    data = pd.DataFrame({"a.b": np.random.default_rng(0).normal(0, 1, 200)})
    data["a/b"] = data["a.b"][::-1].to_numpy() + 9.0
    scm = pc.SCM.from_graph("`a.b`; `a/b`").fit(data, **QUICK)
    assert len(scm.mechanisms) == 2
    assert scm.sample(500, seed=0)["a/b"].mean() > 8 > 1 > scm.sample(500, seed=0)["a.b"].mean()


def test_marks_in_the_graph_are_refused():
    with pytest.raises(GraphError, match="'u' is marked as latent"):
        pc.SCM.from_graph("u [latent]; u -> y")


# ---- which families compete, and what is said of it (who wins, tests/test_competition.py)


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Candidates trained for a few steps: from their start they are told apart all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyrocausal.competition.STEPS", 5)
        yield


@pytest.fixture(scope="module")
def clinic() -> pd.DataFrame:
    r = np.random.default_rng(0)
    n = 500
    age = np.round(r.normal(45, 12, n).clip(18))
    children = r.poisson(np.exp(0.02 * age - 0.4))
    return pd.DataFrame({"age": age, "children": children, "cost": 9.0 * children + r.normal(size=n)})


FAMILY = "age -> children -> cost; age -> cost"


@pytest.fixture(scope="module")
def fitted(clinic) -> pc.SCM:
    return pc.SCM.from_graph(FAMILY, mechanisms={"cost": m.Linear()}).fit(clinic, **QUICK)


def test_what_was_chosen_and_why(fitted):
    chosen = fitted.chosen
    assert chosen.index.tolist() == ["age", "children", "cost"] and chosen.index.name == "variable"
    assert chosen.mechanism.to_dict() == {"age": "Continuous", "children": "Poisson", "cost": "Linear"}
    assert chosen.parents.to_dict() == {"age": "", "children": "age", "cost": "age, children"}
    assert chosen.why["age"] == "whole numbers far apart" and chosen.why["cost"] == "given"
    assert chosen.why["children"].startswith("whole numbers, better than Continuous: +")
    assert chosen.Poisson["children"] > chosen.Continuous["children"] and np.isnan(chosen.Poisson["age"])
    assert fitted.variables["children"].kind == "count"


def test_a_loaded_model_knows_what_was_chosen(fitted, clinic, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    loaded = pc.SCM.load(tmp_path / "model.safetensors")
    pd.testing.assert_frame_equal(loaded.chosen, fitted.chosen)
    assert torch.equal(loaded.log_prob(clinic), fitted.log_prob(clinic))
    loaded.fit(clinic.assign(children=clinic.children * 40), reset=True, **QUICK)
    assert loaded.chosen.mechanism.to_dict() == {
        "age": "Continuous",
        "children": "Continuous",
        "cost": "Linear",
    }


def test_refits_keep_the_choice(fitted, clinic):
    draws = fitted.bootstrap(
        clinic, lambda scm, rows: float(scm.sample(500, seed=0)["children"].mean()), replicas=2, **QUICK
    )
    assert (draws - clinic.children.mean()).abs().max() < 0.5


def test_the_type_alone(clinic):
    scm = pc.SCM.from_graph(FAMILY, choose="type").fit(clinic, **QUICK)
    assert set(scm.chosen.mechanism) == {"Continuous"} and "Poisson" not in scm.chosen
    with pytest.raises(PyrocausalError, match=r"choose='tpye'.*did you mean 'type'"):
        pc.SCM.from_graph(FAMILY, choose="tpye")


def test_a_given_mechanism_is_not_overridden(clinic, monkeypatch):
    monkeypatch.setattr("pyrocausal.model.compete", lambda *_: pytest.fail("a competition"))
    scm = pc.SCM.from_graph(FAMILY, mechanisms={"children": m.Continuous()}).fit(clinic, **QUICK)
    assert scm.chosen.mechanism["children"] == "Continuous" and scm.chosen.why["children"] == "given"
    small = pc.SCM.from_graph(FAMILY).fit(clinic.head(50), **QUICK)
    assert (
        small.chosen.mechanism["children"] == "Continuous" and "too few rows" in small.chosen.why["children"]
    )


def test_the_competition_leaves_no_trace_in_the_model(clinic, monkeypatch):
    monkeypatch.setattr("pyrocausal.competition.MARGIN", 1e9)  # so that the type's own mechanism wins
    both = [pc.SCM.from_graph(FAMILY, choose=way).fit(clinic, **QUICK) for way in ("likelihood", "type")]
    assert "no better" in both[0].chosen.why["children"]
    for one, other in zip(*(scm.module.state_dict().values() for scm in both)):
        assert torch.equal(one, other)


def test_the_competition_is_quiet_but_for_one_line(clinic, capfd, caplog):
    with caplog.at_level("INFO", "pyrocausal"):
        pc.SCM.from_graph("age -> children").fit(clinic[["age", "children"]], **QUICK)
    (message,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Mechanisms")]
    assert message.startswith("Mechanisms: age Continuous, children Poisson (whole numbers, better than")
    assert capfd.readouterr().err == ""


def test_a_reset_may_change_how_a_parent_enters_a_given_mechanism(clinic):
    grades = clinic.assign(children=np.arange(len(clinic)) % 3)
    scm = pc.SCM.from_graph(FAMILY, mechanisms={"cost": m.Linear()}).fit(clinic, **QUICK)
    scm.fit(grades, reset=True, **QUICK)
    assert scm.chosen.mechanism["children"] == "Categorical"
    assert scm.mechanisms["mechanism.of_cost"].coefficients.shape == (4,)  # of the age, and of three levels


def test_levels_of_whole_numbers_are_numbers(clinic):
    scm = pc.SCM.from_graph("grade").fit({"grade": np.arange(200) % 4 + 1}, **QUICK)
    assert scm.chosen.mechanism["grade"] == "Categorical"
    assert float(scm.ask("E[grade]")) == pytest.approx(2.5, abs=0.2)
    assert float(scm.ask("P(grade > 2)")) == pytest.approx(0.5, abs=0.2)


def test_nothing_is_chosen_before_fit_or_in_a_program():
    with pytest.raises(PyrocausalError, match="no mechanisms yet"):
        _ = pc.SCM.from_graph(FAMILY).chosen
    with pytest.raises(PyrocausalError, match="made from a program"):
        _ = pc.SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0))).chosen


@pytest.mark.parametrize(
    "change, text",
    [
        ({"children": np.nan}, "'children' is missing"),
        ({"children": np.inf}, "'children' is infinite"),
        ({"children": 1j}, "'children' has type complex"),
    ],
)
def test_columns_that_cannot_compete(clinic, change, text):
    bad = clinic.astype({"children": complex if change["children"] == 1j else float})
    bad.loc[3, "children"] = change["children"]
    with pytest.raises(PyrocausalError, match=text):
        pc.SCM.from_graph(FAMILY).fit(bad, **QUICK)


def test_a_vector_needs_a_mechanism_of_its_own(clinic):
    with pytest.raises(PyrocausalError, match=r"'v' has shape \(50, 3\).*m.Linear\(dim=3\)"):
        pc.SCM.from_graph("v -> y").fit({"v": torch.randn(50, 3), "y": torch.randn(50)}, **QUICK)
