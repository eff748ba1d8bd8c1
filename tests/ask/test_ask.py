"""`ask` against brute force, for every form of question."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from tests.ask.enumeration import Discrete

PARENTS = {"z": [], "x": ["z"], "m": ["x"], "y": ["x", "m", "z"]}
LEVELS = {"z": 2, "x": 2, "m": 3, "y": 2}


def nested(d: Discrete) -> np.ndarray:
    m0 = d.world({"x": 0.0})["m"]
    return d.world({"x": 1.0, "m": lambda natural, v: m0})["y"]


def twice_nested(d: Discrete) -> np.ndarray:
    inner = nested_m(d)
    return d.world({"x": 0.0, "m": lambda natural, v: inner})["y"]


def nested_m(d: Discrete) -> np.ndarray:
    x_of_z1 = d.world({"z": 1.0})["x"]
    return d.world({"x": lambda natural, v: x_of_z1})["m"]


QUESTIONS: dict[str, Callable[[Discrete], float]] = {
    "P(y=1)": lambda d: d.mean(d.world()["y"]),
    "P(y=1 | x=1)": lambda d: d.mean(d.world()["y"], d.world()["x"] == 1),
    "P(y=1 | do(x=1))": lambda d: d.mean(d.world({"x": 1.0})["y"]),
    "P(y=1 | do(x=1), z=0)": lambda d: d.mean(d.world({"x": 1.0})["y"], d.world()["z"] == 0),
    "P(y=1 | do(x=1), m=2)": lambda d: d.mean(d.world({"x": 1.0})["y"], d.world({"x": 1.0})["m"] == 2),
    "E[y | do(x=1)] - E[y | do(x=0)]": lambda d: (
        d.mean(d.world({"x": 1.0})["y"]) - d.mean(d.world({"x": 0.0})["y"])
    ),
    "E[y_{x=1} - y_{x=0} | x=0, z>=1]": lambda d: d.mean(
        d.world({"x": 1.0})["y"] - d.world({"x": 0.0})["y"], (d.world()["x"] == 0) & (d.world()["z"] >= 1)
    ),
    "P(y_{x=0}=0 | x=1, y=1)": lambda d: d.mean(
        d.world({"x": 0.0})["y"] == 0, (d.world()["x"] == 1) & (d.world()["y"] == 1)
    ),
    "P(y_{x=1}=1, y_{x=0}=0)": lambda d: d.mean(
        (d.world({"x": 1.0})["y"] == 1) & (d.world({"x": 0.0})["y"] == 0)
    ),
    "P(y_{x=1}=1 | y_{x=0}=0, m_{x=0} != 1)": lambda d: d.mean(
        d.world({"x": 1.0})["y"], (d.world({"x": 0.0})["y"] == 0) & (d.world({"x": 0.0})["m"] != 1)
    ),
    "E[y_{x=1, m_{x=0}}]": lambda d: d.mean(nested(d)),
    "E[y_{x=0, m_{x_{z=1}}}]": lambda d: d.mean(twice_nested(d)),
    "Var[m | do(x=1)]": lambda d: (
        d.mean(d.world({"x": 1.0})["m"] ** 2) - d.mean(d.world({"x": 1.0})["m"]) ** 2
    ),
    "SD[m]": lambda d: (d.mean(d.world()["m"] ** 2) - d.mean(d.world()["m"]) ** 2) ** 0.5,
    "Cov[m_{x=1}, m_{x=0}]": lambda d: (
        d.mean(d.world({"x": 1.0})["m"] * d.world({"x": 0.0})["m"])
        - d.mean(d.world({"x": 1.0})["m"]) * d.mean(d.world({"x": 0.0})["m"])
    ),
    "E[y | do(x=1-x)]": lambda d: d.mean(d.world({"x": lambda x, v: 1 - x})["y"]),
    "E[y | do(x=z)]": lambda d: d.mean(d.world({"x": lambda x, v: v["z"]})["y"]),
    "P(m>=1 | do(x=0, z=1))": lambda d: d.mean(d.world({"x": 0.0, "z": 1.0})["m"] >= 1),
    "P(0 < m <= 2, y=0 | z=1)": lambda d: d.mean(
        (d.world()["m"] > 0) & (d.world()["y"] == 0), d.world()["z"] == 1
    ),
    "(E[y | do(x=1)] - E[y | do(x=0)]) / E[y]": lambda d: (
        (d.mean(d.world({"x": 1.0})["y"]) - d.mean(d.world({"x": 0.0})["y"])) / d.mean(d.world()["y"])
    ),
    "log(P(y=1 | x=1) / P(y=0 | x=1)) * -2^2": lambda d: (
        -4 * np.log(1 / d.mean(d.world()["y"] == 0, d.world()["x"] == 1) - 1)
    ),
    "E[max(m, 2*y) - abs(m - 1)^2 / 2]": lambda d: d.mean(
        np.maximum(d.world()["m"], 2 * d.world()["y"]) - np.abs(d.world()["m"] - 1) ** 2 / 2
    ),
    "E[m | m + y > 1]": lambda d: d.mean(d.world()["m"], d.world()["m"] + d.world()["y"] > 1),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_discrete_scm_is_answered_exactly(question: str, seed: int) -> None:
    truth = Discrete.random(PARENTS, LEVELS, seed)
    answer = pc.SCM(truth.program).ask(question)
    assert answer.error == 0
    assert float(answer) == pytest.approx(QUESTIONS[question](truth), abs=2e-5)  # tables are single precision


@pytest.mark.parametrize("question", list(QUESTIONS)[::3])
def test_draws_from_the_model_give_the_same_within_their_error(question: str) -> None:
    """Within 5 standard errors: a false alarm in 2 million for each question."""
    truth = Discrete.random(PARENTS, LEVELS, 7)

    def with_noise_that_cannot_be_listed() -> None:
        pyro.sample("unrelated", dist.Normal(0.0, 1.0))
        truth.program()

    answer = pc.SCM(with_noise_that_cannot_be_listed).ask(question, num_samples=20_000, seed=0)
    assert 0 < answer.error < 0.2
    assert abs(float(answer) - QUESTIONS[question](truth)) < 5 * answer.error


def test_the_error_is_what_repeated_asking_shows() -> None:
    """The spread of 60 answers against their stated error: within 0.6 to 1.5 (99.99 % of chi-squares)."""

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0))

    scm = pc.SCM(program)
    for question in (
        "E[y | x>1] / SD[y]",
        "Q(y | do(x=1), 0.9)",
        "Corr[x, y]",
        "E[y_{x=1} | y=0.3]",
        "Var[y]",
    ):
        answers = [scm.ask(question, num_samples=2_000, seed=seed) for seed in range(60)]
        spread = torch.tensor([float(a) for a in answers]).std()
        stated = torch.tensor([a.error for a in answers]).mean()
        assert 0.6 < stated / spread < 1.5, question


# ---- linear Gaussian SCMs: all variables of all worlds are jointly normal


def line() -> None:
    z = pyro.sample("z", dist.Normal(1.0, 2.0))
    x = pyro.sample("x", dist.Normal(0.5 * z, 1.0))
    m = pyro.sample("m", dist.Normal(-1.5 * x, 0.5))
    pyro.sample("y", dist.Normal(2 * x + m + z, 1.0))


def linear(x: float | None = None, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Variables as (constant, coefficients of the four standard noises)."""
    eye = np.eye(5)[1:]
    z = np.array([1.0, 2, 0, 0, 0])
    ex = 0.5 * z + eye[1] + shift * np.eye(5)[0] if x is None else x * np.eye(5)[0]
    m = -1.5 * ex + 0.5 * eye[2]
    return {"z": z, "x": ex, "m": m, "y": 2 * ex + m + z + eye[3]}


def conditional(y: np.ndarray, given: list[tuple[np.ndarray, float]]) -> tuple[float, float]:
    """Mean and variance of a linear form given values of others."""
    a = np.array([g[1:] for g, _ in given])
    gain = y[1:] @ a.T @ np.linalg.inv(a @ a.T)
    mean = y[0] + gain @ np.array([value - g[0] for g, value in given])
    return mean, y[1:] @ y[1:] - gain @ a @ y[1:]


F, X1 = linear(), linear(x=1.0)
GAUSSIAN = {
    "E[y | x=1]": conditional(F["y"], [(F["x"], 1.0)])[0],
    "E[y | do(x=1)]": X1["y"][0],
    "Var[y | do(x=1)]": X1["y"][1:] @ X1["y"][1:],
    "E[y | do(x=1), z=2.5]": conditional(X1["y"], [(X1["z"], 2.5)])[0],
    "E[y | do(x=1), m=0.3]": conditional(X1["y"], [(X1["m"], 0.3)])[0],
    "E[y_{x=1} | x=0, y=0.7]": conditional(X1["y"], [(F["x"], 0.0), (F["y"], 0.7)])[0],
    "Var[y_{x=1} | y=0.7]": conditional(X1["y"], [(F["y"], 0.7)])[1],
    "E[y_{x=1} - y | x=0]": conditional(X1["y"] - F["y"], [(F["x"], 0.0)])[0],
    "E[z | y_{x=1}=2]": conditional(F["z"], [(X1["y"], 2.0)])[0],
    "E[y | do(x=x+1)]": linear(shift=1.0)["y"][0],
    "Q(y | do(x=1), 0.975)": X1["y"][0] + 1.959964 * np.sqrt(X1["y"][1:] @ X1["y"][1:]),
    "Med[y]": F["y"][0],
    "Cov[y_{x=1}, y]": X1["y"][1:] @ F["y"][1:],
    "P(y_{x=1} > 1.5 | x=0)": 0.5,  # patched below
}
_mean, _var = conditional(X1["y"], [(F["x"], 0.0)])
GAUSSIAN["P(y_{x=1} > 1.5 | x=0)"] = (
    1 - torch.distributions.Normal(_mean, _var**0.5).cdf(torch.tensor(1.5)).item()
)


@pytest.mark.parametrize("question", GAUSSIAN)
def test_a_linear_gaussian_scm_against_its_closed_form(question: str) -> None:
    """Within 5 standard errors (a false alarm in 2 million each), which are small."""
    answer = pc.SCM(line).ask(question, seed=0)
    assert abs(float(answer) - GAUSSIAN[question]) < 5 * answer.error + 1e-4
    assert answer.error < 0.1


def test_conditioning_is_not_intervening() -> None:
    """The negative control: the closed forms differ by far more than the tolerance above."""
    scm = pc.SCM(line)
    assert abs(float(scm.ask("E[y | x=1]", seed=0)) - float(scm.ask("E[y | do(x=1)]", seed=0))) > 0.3
    assert abs(GAUSSIAN["E[y | do(x=1)]"] - GAUSSIAN["E[y_{x=1} | x=0, y=0.7]"]) > 0.1


# ---- rows of data


def test_rows_are_the_population_that_is_asked_about() -> None:
    scm = pc.SCM(line)
    frame = scm.sample(300, seed=3).to_pandas()
    assert float(scm.ask("E[y | z>1]", data=frame)) == pytest.approx(frame.y[frame.z > 1].mean(), rel=1e-5)
    effect = scm.ask("E[y_{x=1} - y_{x=0} | z>1]", data=frame)
    assert float(effect) == pytest.approx(0.5, abs=1e-4) and effect.error == 0
    mean = scm.ask("E[y | do(x=1)]", data=frame)
    cf = scm.counterfactual(frame, do={"x": 1.0})["y"].mean().item()
    assert float(mean) == pytest.approx(cf, rel=1e-5)
    assert "300 rows" in mean.population


def test_a_bootstrap_interval_comes_with_the_rows() -> None:
    x = torch.randn(400, generator=torch.Generator().manual_seed(0))
    y = 2 * x + torch.randn(400, generator=torch.Generator().manual_seed(1))
    frame = pd.DataFrame({"x": x, "y": y})
    scm = pc.SCM.from_graph("x -> y", mechanisms={"x": pc.mechanisms.Linear(), "y": pc.mechanisms.Linear()})
    scm.fit(frame, epochs=2, progress=False)
    answer = scm.ask(
        "E[y | do(x=1)] - E[y | do(x=0)]", data=frame, replicas=40, epochs=2, progress=False, seed=0
    )
    assert answer.interval is not None and answer.draws is not None
    low, high = answer.interval
    assert low < float(answer) < high
    assert 0.1 < high - low < 0.4  # 3.92 / sqrt(400) = 0.196


def test_a_posterior_of_weights_gives_an_interval() -> None:
    def program() -> None:
        slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
        with pc.units():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(slope * x, 1.0))

    answer = pc.SCM(program).ask("E[y | do(x=1)] - E[y | do(x=0)]", seed=0, num_samples=100)
    assert answer.interval is not None
    assert answer.interval[0] < -1.5 and answer.interval[1] > 1.5  # the prior's


# ---- distributions


def test_a_distribution_of_discrete_variables_is_a_table() -> None:
    truth = Discrete.random(PARENTS, LEVELS, 0)
    table = pc.SCM(truth.program).ask("P(m, y | do(x=1))").value
    world = truth.world({"x": 1.0})
    for (m, y), p in table.items():
        assert p == pytest.approx(truth.mean((world["m"] == m) & (world["y"] == y)), abs=2e-5)
    assert table.sum() == pytest.approx(1.0)


def test_a_distribution_of_a_continuous_variable_is_draws() -> None:
    draws = pc.SCM(line).ask("P(y | do(x=1))", seed=0).value
    assert list(draws.columns) == ["y"] and len(draws) == 50_000
    assert draws.y.mean() == pytest.approx(X1["y"][0], abs=0.1)


# ---- what can't be asked

WRONG = {
    "E[y | do(x=1)": "']' is missing",
    "E[q | do(x=1)]": "there is no variable 'q'",
    "E[y | do(xx=1)]": "did you mean 'x'?",
    "E[y_{w=1}]": "there is no variable 'w'",
    "P(y=1.5)": "continuous",
    "E[y | x=0, do(x=1)]": "y_{x=1} | x=0",
    "E[y | do(x)]": "is set to no value",
    "E[y | z]": "z=1",
    "2 * y": "no population",
    "E[y] + y": "E[y]",
    "P(y) + 1": "distribution",
    "E[y | z > 1e6]": "none of",
    'E[y | z="high"]': "",
    "E[y | z=1, x_{z=0}=2]": "two worlds",
    "E[y] / 0": "no value",
    "E[y | do(x=x+z)]": "reads both",
    "E[y_{x=z_{x=1}}]": "another variable",
}


@pytest.mark.parametrize("question", WRONG)
def test_what_cannot_be_asked_is_said_plainly(question: str) -> None:
    with pytest.raises(pc.PyrocausalError) as caught:
        pc.SCM(line).ask(question)
    assert WRONG[question] in str(caught.value)


def test_levels_are_asked_for_by_name() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"sex": rng.choice(["female", "male"], 400), "y": rng.normal(size=400)})
    scm = pc.SCM.from_graph("sex -> y").fit(frame, epochs=2, progress=False)
    assert float(scm.ask('P(sex="male")', seed=0)) == pytest.approx((frame.sex == "male").mean(), abs=0.05)
    both = float(scm.ask('E[y | do(sex="male")]', seed=0)), float(scm.ask('E[y | sex="male"]', seed=0))
    assert both[0] == pytest.approx(both[1], abs=0.1)
    for question in ('E[y | sex="mail"]', "E[sex]", 'P(sex > "female")', 'E[y | do(sex="mail")]'):
        with pytest.raises(pc.PyrocausalError, match=r"level|names|order"):
            scm.ask(question)


def test_an_answer_says_what_it_rests_on() -> None:
    answer = pc.SCM(line).ask("E[y | do(x=1)]", seed=0)
    assert "rung" in repr(answer) and "doing" in repr(answer) and "certificate" in repr(answer)
    assert "<table>" in answer._repr_html_()
    assert answer.to_pandas().loc["E[y | do(x=1)]", "value"] == float(answer)


# ---- certificates


def hidden() -> None:
    u = pyro.sample("u", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Bernoulli(logits=u))
    m = pyro.sample("m", dist.Bernoulli(0.1 + 0.7 * x))
    pyro.sample("y", dist.Normal(m + u, 1.0))
    pyro.sample("w", dist.Normal(x + u, 1.0))


CERTIFIED = {
    "E[y | x=1]": "what is observed",
    "E[y | do(x=1)] - E[y | do(x=0)]": "front-door {m}",
    "E[y | do(m=1)]": "backdoor {x}",
    "E[w | do(x=1)]": "not identified",
    "E[y_{x=1} | x=0, w=1]": "IDC*",
    "E[y_{x=1} - y_{x=0} | x=0, y>1]": "not identified",
    "E[u | y=2]": "'u' is never observed",
    "E[y | do(x=1-x)]": "ID*",
}


@pytest.mark.parametrize("question", CERTIFIED)
def test_the_certificate_is_about_what_is_observed(question: str) -> None:
    scm = pc.SCM(hidden, latent=["u"])
    answer = scm.ask(question, seed=0, num_samples=1000)
    assert CERTIFIED[question] in str(answer.certificate)
    assert answer.certificate.identified == ("not identified" not in str(answer.certificate))


def test_a_submodel_is_certified_by_the_model_that_it_comes_from() -> None:
    scm = pc.SCM(hidden, latent=["u"])
    answer = scm.do(x=1).ask("E[y]", seed=0, num_samples=1000)
    assert "front-door" in str(answer.certificate) and answer.rung == 2
    assert "not asked" in str(scm.do(x=lambda x: 1 - x).ask("E[y]", seed=0, num_samples=1000).certificate)


# ---- overlap


def test_an_action_without_overlap_is_said() -> None:
    """Old people are never treated, young ones always: no data tell what treating the old does."""
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 500)
    frame = pd.DataFrame({"age": age, "t": (age < 50).astype(int), "y": age + rng.normal(size=500)})
    mixed = frame.assign(t=rng.integers(0, 2, 500))
    for rows, said in ((frame, True), (mixed, False)):
        scm = pc.SCM.from_graph("age -> t; age -> y; t -> y", mechanisms={"y": pc.mechanisms.Linear()})
        scm.fit(rows, epochs=60, progress=False)
        for answer in (scm.ask("E[y | do(t=1)]", seed=0), scm.ask("E[y | do(t=1)]", data=rows, seed=0)):
            assert ("do(t=1) has no overlap" in repr(answer)) == said, rows


def test_a_model_that_has_seen_no_data_has_no_overlap_to_lack() -> None:
    assert pc.SCM(line).ask("E[y | do(x=100)]", seed=0, num_samples=100).warnings == (
        "E[y_{x=100}] rests on 100 effective units",
    )
