"""`pc.estimate` as a user meets it: what can be passed, what comes back, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB

import pyrocausal as pc
from pyrocausal.data import card, cps, nhefs, nsw
from pyrocausal.errors import DataError, EstimateError, IdentifyError, UnknownVariable
from pyrocausal.estimation import Backdoor, FrontDoor, Instrument, PlugIn
from pyrocausal.estimation.identified import by_estimand, by_graph
from pyrocausal.estimation.mechanism_learner import MechanismLearner
from pyrocausal.estimation.resampling import Plan
from pyrocausal.graph import CausalGraph
from pyrocausal.identification import Constant, P, Symbol
from pyrocausal.identification.estimand import Estimand, Witness
from pyrocausal.identification.expression import product, summed
from pyrocausal.identification.outcome import Outcome, Query
from tests.benchmarks.coverage import STUDIES, band, front_door_formula, linear, run


@pytest.fixture
def frame():
    return linear(np.random.default_rng(0), 400)


# ---- real data whose answers are known


def test_lalonde_experiment():
    found = pc.estimate("earnings_1978", "trained", nsw(), method="difference")
    assert round(found.value) == 1794
    assert found.interval == pytest.approx((474, 3115), abs=1)


def test_lalonde_with_survey_controls():
    """Nothing is claimed but that the bias of the naive difference (-8,498) is mostly gone, and that the
    effect on the survey's men is refused."""
    study = pd.concat([nsw().query("trained == 1"), cps()], ignore_index=True)
    adjust = [name for name in study if name not in ("trained", "earnings_1978")]
    naive = pc.estimate("earnings_1978", "trained", study, adjust=[])
    assert naive.value < -8000
    treated = pc.estimate("earnings_1978", "trained", study, adjust=adjust, effect="att", folds=2)
    assert treated.interval[0] < 1794 < treated.interval[1]
    with pytest.raises(EstimateError, match="no overlap"):
        pc.estimate("earnings_1978", "trained", study, adjust=adjust, learners="linear")


def test_nhefs_by_the_default_learners():
    """Hernán and Robins: 3.4 to 3.5 kg, depending on the method; without adjustment 2.5."""
    study = nhefs()
    adjust = [name for name in study if name not in ("quit", "weight_change")]
    found = pc.estimate("weight_change", "quit", study, adjust=adjust)
    assert 3.2 < found.value < 3.6
    assert 2.0 < found.interval[0] < found.interval[1] < 4.8


def test_card_by_hand():
    found = pc.estimate(
        "log_wage",
        "education",
        card(),
        instruments=["near_college"],
        adjust=["experience", "black", "south", "city"],
    )
    assert 0.1 < found.value < 0.17 and found.diagnostics["first-stage F"] > 10
    assert found.interval[0] > 0


# ---- coverage, small


@pytest.mark.parametrize("name", ["AIPW, bent", "plug-in, bootstrap"])
def test_intervals_cover(name):
    """60 data sets; right intervals cover in 50 to 60 of them but once in a thousand times."""
    assert band(60) == (50, 60)
    found = run(STUDIES[name], 60)
    assert found["within"] and not found["refused"]


def test_unadjusted_intervals_do_not_cover():
    assert run(STUDIES["control: no adjustment, bent"], 20)["covered"] == 0


# ---- ways to say how the effect is identified


def test_graph_finds_the_adjustment():
    graph = CausalGraph.from_string(
        "a -> t -> y; a -> y; b -> y; t -> m -> y; t -> d; u [latent]; u -> t; u -> a"
    )
    found = by_graph(graph, "t", "y", "abtymd")
    assert isinstance(found, Backdoor) and set(found.adjust) == {"a", "b"}
    assert by_graph(graph, "t", "y", "aty") == Backdoor("t", "y", ["a"])  # b is not in the data
    with pytest.raises(EstimateError, match=r"not identified .* share a hidden cause"):
        by_graph("t -> y; t <-> y", "t", "y", "ty")
    with pytest.raises(EstimateError, match="not identified"):
        by_graph(graph, "t", "y", "bty")  # what confounds is not in the data
    with pytest.raises(EstimateError, match="t is no cause of y"):
        by_graph("y -> t", "t", "y", "ty")


def test_graph_finds_other_ways():
    assert by_graph("t -> m -> y; t <-> y", "t", "y", "tmy") == FrontDoor("t", "y", ["m"])
    napkin = by_graph("w -> z -> t -> y; w <-> t; w <-> y", "t", "y", "wzty")
    assert isinstance(napkin, PlugIn) and napkin.treatment == "t"
    instrumented = "z -> t -> y; t <-> y; w -> z; w -> y"
    assert by_graph(instrumented, "t", "y", "zwty", "iv") == Instrument("t", "y", ["z"], ["w"])
    with pytest.raises(EstimateError, match="no instrument"):
        by_graph("t -> y; t <-> y", "t", "y", "ty", "iv")


def test_graph_and_list_are_the_same(frame):
    by_list = pc.estimate("y", "t", frame, adjust=["x1", "x2"])
    graph = "x1 -> t -> y <- x1; x2 -> t; x2 -> y"
    assert pc.estimate("y", "t", frame, graph=graph).value == by_list.value
    assert pc.estimate("y", "t", frame, graph=CausalGraph.from_string(graph)).value == by_list.value
    assert pc.estimate(Backdoor("t", "y", ["x1", "x2"]), frame).value == by_list.value


def estimand(expression, method, graph, treatment=None, given=()):
    action = Symbol("t") if treatment is None else Constant("t", treatment)
    outcome = Outcome.of("y", do=[action])
    return Estimand(Query((outcome,), given), CausalGraph.from_string(graph), expression, method)


def test_estimands():
    adjusted = summed([Symbol("z")], product(P.of("y", given=("t", "z")), P.of("z")))
    graph = "z -> t -> y <- z"
    assert by_estimand(estimand(adjusted, "backdoor", graph)) == Backdoor("t", "y", ["z"])
    assert by_estimand(estimand(adjusted, "ID", graph)) == PlugIn(adjusted, "y", "t")
    assert by_estimand(estimand(adjusted, "backdoor", graph, treatment=1)) == PlugIn(adjusted, "y")
    door = front_door_formula().expression
    found = by_estimand(estimand(door, "front-door", "t -> m -> y; t <-> y"))
    assert found == FrontDoor("t", "y", ["m"])
    hedge = Witness("hedge", frozenset("ty"), frozenset("y"), "t and y share a hidden cause")
    unknown = Estimand(
        Query((Outcome.of("y", do=[Symbol("t")]),)),
        CausalGraph.from_string("t -> y; t <-> y"),
        None,
        "ID",
        witness=hedge,
    )
    with pytest.raises(IdentifyError, match="t and y share a hidden cause"):
        by_estimand(unknown)


# ---- what comes back


def test_what_an_estimate_says(frame):
    found = pc.estimate("y", "t", frame, adjust=["x1", "x2"], effect="att")
    assert found.target == "average effect of t=1 against t=0 on y among those with t=1"
    low, high = found.interval
    assert low < float(found) < high
    assert high - low == pytest.approx(2 * 1.959964 * found.std_error)
    assert found.to_pandas()["high"] == high and found.to_pandas().name == found.target
    assert "95 % interval" in repr(found) and "propensity" in repr(found)
    assert "<table>" in found._repr_html_() and found._repr_html_().count("<tr>") == repr(found).count("\n")
    assert found.influence.shape == (400,)


def test_html_is_escaped(frame):
    found = pc.estimate("<y>", "t", frame.rename(columns={"y": "<y>"}), adjust=[])
    assert "&lt;y&gt;" in found._repr_html_() and "<y>" not in found._repr_html_()


def test_seed_and_order_of_columns(frame):
    a, b = (pc.estimate("y", "t", frame, adjust=["x1", "x2"], seed=5) for _ in range(2))
    c = pc.estimate("y", "t", frame[["y", "x2", "t", "x1"]], adjust=["x1", "x2"], seed=5)
    assert a.value == b.value == c.value
    assert a.value != pc.estimate("y", "t", frame, adjust=["x1", "x2"], seed=6).value


def test_booleans_and_odd_indices(frame):
    plain = pc.estimate("y", "t", frame, adjust=["x1", "x2"])
    odd = frame.assign(t=frame.t == 1).set_index(np.arange(400) % 7)
    assert pc.estimate("y", "t", odd, adjust=["x1", "x2"]).value == plain.value


def test_mechanisms_as_learners():
    """A training for each fit is slow, so for one epoch, from least squares on. False alarm: 0.3 %."""
    frame = linear(np.random.default_rng(1), 250)
    learners = {"outcome": MechanismLearner(epochs=1)}
    found = pc.estimate("y", "t", frame, adjust=["x1", "x2"], folds=1, learners=learners)
    assert found.method == "AIPW (mechanism, smooth; not cross-fitted)"
    assert abs(found.value - 1.0) < 3 * found.std_error < 0.5


# ---- what is refused


@pytest.mark.parametrize(
    "change, error, match",
    [
        (lambda d: d.drop(columns="x1"), UnknownVariable, "no column 'x1'"),
        (lambda d: d.assign(x1=1.0), DataError, "'x1' is 1.0 in all 400 rows"),
        (lambda d: d.assign(y=d.y.where(d.index != 7)), DataError, "in 1 of 400 rows, first in row 7"),
        (lambda d: d.assign(x1=np.inf), DataError, "missing or infinite in 400"),
        (lambda d: pd.concat([d, d.x1], axis=1), DataError, "'x1' is there twice"),
        (lambda d: d.assign(y=d.y.astype(str)), DataError, "means are taken of numbers"),
        (lambda d: d.assign(x1=d.x1.astype(str)), DataError, "400 levels in 400 rows"),
        (lambda d: d.assign(t=2 * d.t), EstimateError, "'t' is never 1"),
        (lambda d: d.to_dict("list"), DataError, "dict is no table"),
        (lambda d: d.iloc[:0], DataError, "no rows"),
        (lambda d: d.iloc[:8], EstimateError, "needs 5"),
        (lambda d: d.assign(x1=pd.to_datetime("2020")), DataError, "x1"),
    ],
)  # fmt: skip
def test_bad_data(frame, change, error, match):
    with pytest.raises(error, match=match):
        pc.estimate("y", "t", change(frame), adjust=["x1", "x2"])


@pytest.mark.parametrize(
    "options, match",
    [
        ({}, "nothing says how the effect of t on y is identified"),
        ({"adjust": "x1"}, "is the string 'x1'"),
        ({"adjust": ["x1", "t"]}, "'t' is named twice, as treatment and adjust"),
        ({"adjust": ["x1", "x1"]}, "'x1' is named twice, as adjust"),
        ({"adjust": ["x1"], "graph": "x1 -> t -> y"}, "graph and adjust are two ways"),
        ({"mediators": ["x1"], "instruments": ["x2"]}, "mediators and instruments are two ways"),
        ({"adjust": ["x1"], "method": "magic"}, "its methods are aipw, regression, ipw, difference"),
        ({"adjust": ["x1"], "method": "difference"}, "adjusts for nothing"),
        ({"adjust": [], "trim": 0.1}, "trims nobody"),
        ({"adjust": ["x1"], "effect": "cate"}, "effect='cate'"),
        ({"adjust": ["x1"], "contrast": (1, 1)}, "two different values"),
        ({"adjust": ["x1"], "contrast": (1, 2)}, "'t' is never 2"),
        ({"adjust": ["x1"], "learners": "forest"}, "'forest' is no learner"),
        ({"adjust": ["x1"], "learners": {"propensity": "linear"}}, "its keys are"),
        ({"adjust": ["x1"], "learners": Ridge()}, "Ridge has no predict_proba"),
        ({"adjust": ["x1"], "learners": LogisticRegression()}, "what is learned is a number"),
        ({"adjust": ["x1"], "level": 95}, "between 0 and 1"),
        ({"adjust": ["x1"], "folds": 0}, "folds=0"),
        ({"adjust": ["x1"], "replicas": 10}, "replicas=10"),
        ({"adjust": ["x1"], "trim": 0.5}, "trim=0.5"),
    ],
)
def test_bad_questions(frame, options, match):
    with pytest.raises(EstimateError, match=match):
        pc.estimate("y", "t", frame, **options)


def test_arguments_in_a_wrong_place(frame):
    with pytest.raises(EstimateError, match="name outcome and treatment"):
        pc.estimate("y", frame, adjust=["x1"])
    with pytest.raises(EstimateError, match="the Backdoor says all"):
        pc.estimate(Backdoor("t", "y", ["x1"]), frame, adjust=["x2"])
    with pytest.raises(EstimateError, match="too many to hold"):
        pc.estimate("y", "t", frame, adjust=["x1"], method="ipw", replicas=1_000_000)


def test_a_misspelt_name_is_told(frame):
    with pytest.raises(UnknownVariable, match="did you mean 'x1'"):
        pc.estimate("y", "t", frame, adjust=["x_1"])


def test_scikit_learn_is_told_when_it_is_missing(frame, monkeypatch):
    from pyrocausal.errors import MissingExtra

    monkeypatch.setitem(__import__("sys").modules, "sklearn.base", None)
    with pytest.raises(MissingExtra, match=r"pyrocausal\[models\]"):
        pc.estimate(
            "y",
            "t",
            frame,
            adjust=["x1"],
            learners={"outcome": LinearRegression(), "treatment": LogisticRegression()},
        )


# ---- folds


def test_folds_are_balanced_disjoint_and_keep_clusters_whole():
    strata = np.repeat([0, 1], [90, 10])
    fold = Plan(100).fold_of(strata)
    assert np.bincount(fold).tolist() == [20] * 5
    assert np.bincount(fold[strata == 1], minlength=5).tolist() == [2] * 5
    clusters = np.repeat(np.arange(25), 4)
    fold = Plan(100, clusters).fold_of(strata)
    assert all(len(set(fold[clusters == c])) == 1 for c in range(25))
    training = Plan(100, clusters).training(fold)
    assert (training.sum(0) == 4).all() and training[fold[0], 0] == 0


# ---- what new users tried


def small(n=300):
    r = np.random.default_rng(0)
    x = r.normal(size=n)
    t = (r.random(n) < 1 / (1 + np.exp(-x))).astype(int)
    return pd.DataFrame({"x": x, "t": t, "y": x + 2 * t + r.normal(size=n)})


def test_an_arm_of_one_class():
    data = small()
    data["yb"] = np.where(data.t == 1, 1, (data.x > 0).astype(int))
    found = pc.estimate("yb", "t", data, adjust=["x"])
    assert 0.3 < found.value < 0.7
    by_sklearn = {"outcome": GaussianNB(), "treatment": LogisticRegression()}  # takes a single class
    assert 0.3 < pc.estimate("yb", "t", data, adjust=["x"], learners=by_sklearn).value < 0.7


def test_welch_has_its_own_degrees_of_freedom():
    y, t = [1.0, 2.0, 4.0, 3.0, 3.5, 2.5, 9.0, 5.0], [1, 1, 1, 0, 0, 0, 0, 0]
    found = pc.estimate("y", "t", pd.DataFrame({"y": y, "t": t}), method="difference")
    truth = stats.ttest_ind(y[:3], y[3:], equal_var=False).confidence_interval(0.95)
    assert found.interval == pytest.approx((truth.low, truth.high))


def test_a_collapsed_front_door_is_refused():
    r = np.random.default_rng(3)
    u = r.normal(size=500)
    t = (r.random(500) < 1 / (1 + np.exp(-u))).astype(int)
    m = t + r.normal(size=500)
    data = pd.DataFrame({"t": t, "m": m, "y": m + u + r.normal(size=500)})
    with pytest.raises(EstimateError, match="of the weight at the mediators' ratio"):
        pc.estimate("y", "t", data, mediators=["m"])


def test_data_by_name_and_columns_as_an_index():
    data = small()
    found = pc.estimate("y", "t", data=data, adjust=data.columns.drop(["y", "t"]))
    assert pc.estimate(Backdoor("t", "y", ["x"]), data=data).value == found.value


BAD = {
    "adjust=5": {"adjust": 5},
    "nested names": {"adjust": [["x"]]},
    "None as a name": {"adjust": [None]},
    "clusters as a list": {"adjust": ["x"], "clusters": ["x"]},
    "method as a list": {"adjust": ["x"], "method": ["ipw"]},
    "effect as a list": {"adjust": ["x"], "effect": ["ate"]},
    "trim as text": {"adjust": ["x"], "trim": "a"},
    "level as text": {"adjust": ["x"], "level": ".9"},
    "a negative seed": {"adjust": ["x"], "seed": -1},
    "a graph that is none": {"graph": 5},
    "an array as contrast": {"adjust": ["x"], "contrast": (np.array([1, 2]), 0)},
    "a contrast that nobody has": {"instruments": ["x"], "contrast": (7, 2)},
    "an infinite contrast": {"instruments": ["x"], "contrast": (np.inf, 0)},
    "learners of an instrument": {"instruments": ["x"], "learners": "linear"},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_have_named_errors(case):
    with pytest.raises(pc.PyrocausalError):
        pc.estimate("y", "t", small(), **BAD[case])


def test_an_event_is_no_mean():
    r = np.random.default_rng(0)
    data = small().assign(z=r.integers(0, 2, 300), k=r.integers(0, 3, 300))
    with pytest.raises(EstimateError, match="less than a distribution"):
        pc.estimate(pc.identify("z -> t -> k; z -> k", "P(k > 1 | do(t=1))"), data)


@pytest.mark.parametrize("name, factor", [("x", 1e200), ("y", 1e200), ("y", 1e-200)])
def test_numbers_that_cannot_be_squared_are_refused(name, factor):
    data = small()
    data[name] *= factor
    with pytest.raises(DataError, match="change the unit"):
        pc.estimate("y", "t", data, adjust=["x"])
