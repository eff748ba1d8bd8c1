"""What new users tried, and what went wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest

import pyrocausal as pc


def line() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x, 1.0))


@pytest.fixture(scope="module")
def clinic() -> pc.SCM:
    frame = pd.DataFrame(
        {
            "sex": ["f", "m"] * 100,
            "partner": ["m", "x", "x", "m"] * 50,
            "arm": ["drug", "none", "none", "drug"] * 50,
        }
    )
    frame["y"] = (np.arange(200) % 3 == 0).astype(int)
    graph = "sex -> arm; sex -> partner; arm -> y; sex -> y"
    return pc.SCM.from_graph(graph).fit(frame, epochs=2, progress=False)


def test_a_distribution_of_a_fitted_discrete_scm(clinic: pc.SCM) -> None:
    assert clinic.ask('P(y | sex="f")').value.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "question",
    [
        "P(sex=partner)",
        "P(sex < partner)",
        'P(arm="drug" | do(arm=sex))',
        "P(y=1 | do(arm=1-arm))",
        'P(y=1 | do(arm="drug"+"x"))',
    ],
)
def test_names_of_levels_are_not_computed_with(clinic: pc.SCM, question: str) -> None:
    with pytest.raises(pc.PyrocausalError, match=r"names|a level"):
        clinic.ask(question)


def test_an_event_that_says_two_things() -> None:
    with pytest.raises(pc.PyrocausalError, match="two values at once"):
        pc.SCM(line).ask("E[y | x=1, x=2]")
    with pytest.raises(pc.PyrocausalError, match="both 1 and 0"):
        pc.identify("x -> y", "P(y=1, y=0)")
    with pytest.raises(pc.PyrocausalError, match="both 0 and 1"):
        pc.identify("x -> z -> y", "P(y | do(x), z=0, z=1)")


def test_the_error_counts_the_draws_of_the_weights() -> None:
    """The prior mean is 0; with 400 draws of a slope of sd 10 the error is 0.5."""

    def program() -> None:
        slope = pyro.sample("slope", dist.Normal(0.0, 10.0))
        with pc.units():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(slope * x, 1.0))

    answer = pc.SCM(program).ask("E[y | do(x=1)]", seed=0, num_samples=200)
    assert 0.3 < answer.error < 0.8
    assert abs(float(answer)) < 5 * answer.error
    with pytest.raises(pc.PyrocausalError, match="give an interval"):
        pc.SCM(program).ask("E[y | x=1]")


def test_a_dose_response_of_rows_has_the_draws_that_ask_has() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Bernoulli(0.2 + 0.5 * x))

    scm = pc.SCM(program)
    rows = scm.sample(50, seed=1).to_pandas()
    curve = pc.dose_response(scm, "x", "y", [0, 1], data=rows, seed=0).to_pandas()
    asked = scm.ask("E[y | do(x=0)]", data=rows, seed=0)
    assert 0 < curve["error"].iloc[0] < 0.05
    assert abs(curve["mean"].iloc[0] - float(asked)) < 5 * (curve["error"].iloc[0] + asked.error)


def test_units_that_agree_are_no_proof() -> None:
    answer = pc.SCM(line).ask("P(y > 100)", seed=0, num_samples=1000)
    assert np.isnan(answer.error) and "do not differ" in repr(answer)
    exact = pc.SCM(lambda: pyro.sample("x", dist.Bernoulli(0.5))).ask("P(x=1)")
    assert exact.exact and "nothing was sampled" in repr(exact)


def test_constants_are_numbers_however_they_are_written() -> None:
    scm = pc.SCM(line)
    assert float(scm.ask("E[y | x=1+1]", seed=0)) == float(scm.ask("E[y | x=2]", seed=0))
    with pytest.raises(pc.PyrocausalError, match="probability zero"):
        scm.ask("P(y=1+1)")


def mediated() -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Bernoulli(logits=z))
    m = pyro.sample("m", dist.Normal(x, 1.0))
    pyro.sample("y", dist.Normal(m + x, 1.0))


WRONG = {
    "treated is no number": lambda s: pc.ate(s, "x", "y", treated=np.nan),
    "treated is infinite": lambda s: pc.pn(s, "x", "y", treated=np.inf),
    "doses are names": lambda s: pc.dose_response(s, "x", "y", ["a", "b"]),
    "doses are one number": lambda s: pc.dose_response(s, "x", "y", 1),
    "mediators are no mapping": lambda s: pc.cde(s, "x", "y", "m"),
    "mediators are empty": lambda s: pc.cde(s, "x", "y", {}),
    "no SCM": lambda s: pc.ate(mediated, "x", "y"),
    "a cause as mediator": lambda s: pc.nde(s, "x", "y", "z"),
    "the outcome as mediator": lambda s: pc.nde(s, "x", "y", "y"),
    "no condition": lambda s: pc.cate(s, "x", "y", {}),
    "more than a condition": lambda s: pc.cate(s, "x", "y", "x=1] - E[y"),
    "no table": lambda s: pc.identify(s, "P(y | do(x))").evaluate(None),
    "a nested submodel": lambda s: s.do(x=1, m=pc.natural(x=0)).ask("E[y]"),
    "a long question": lambda s: s.ask(" + ".join(["E[y]"] * 400)),
    "a deep question": lambda s: s.ask("-" * 1500 + "E[y]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_has_a_named_error(case: str) -> None:
    with pytest.raises(pc.PyrocausalError):
        WRONG[case](pc.SCM(mediated))


def test_answers_are_numbers() -> None:
    answer = pc.SCM(line).ask("E[y | do(x=True)]", seed=0)
    assert f"{answer:.3f}" == f"{float(answer):.3f}" and round(answer, 2) == round(float(answer), 2)
    assert str(answer).startswith("E[y | do(x=1)] = ")


def test_an_estimand_of_an_event_says_so() -> None:
    assert pc.identify("z -> t -> k; z -> k", "P(k > 1 | do(t=1))").question == "P(k > 1 | do(t=1))"
    assert pc.identify("z -> t -> k; z -> k", "P(k=1 | do(t=1))").question == ""
