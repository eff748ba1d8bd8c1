"""`scm.check`: what is asked, what is refused, and the report as a whole."""

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
from pyrocausal import mechanisms as m
from pyrocausal import plots
from pyrocausal.checks.report import CHECKS
from pyrocausal.errors import DataError, FitError, InterventionError, QueryError, UnknownVariable


def trial():
    age = pyro.sample("age", dist.Normal(50.0, 10.0))
    t = pyro.sample("t", dist.Bernoulli(logits=(age - 50) / 20))
    dose = pyro.sample("dose", dist.Normal(t + 0.0, 0.5))
    pyro.sample("y", dist.Normal(2 * dose + age / 10, 1.0))


@pytest.fixture(scope="module")
def scm() -> pc.SCM:
    return pc.SCM(trial)


@pytest.fixture(scope="module")
def rows(scm):
    return scm.sample(400, seed=0).to_pandas()


def test_graph_and_mechanisms_are_checked_by_default(scm, rows):
    report = scm.check(rows)
    assert report.verdict == "pass"
    assert list(report.summary().check) == ["noise law", "noise and causes", "noise and noise", "graph"]
    assert set(report.pictures) == {"noise", "independences"}
    assert report.rows.startswith("400 rows; a family of tests errs")


def test_an_effect_adds_overlap_and_hidden_causes(scm, rows):
    report = scm.check(rows, treatment="t", outcome="y")
    assert set(report.pictures) == {"noise", "independences", "overlap", "sensitivity"}
    assert [f.verdict for f in report.of("refutation")] == ["not run"]
    assert [f.verdict for f in report.of("overlap")] == ["pass", "pass"]
    effect = "E[y | do(t=1)] - E[y | do(t=0)]"
    assert report.of("E-value")[0].about == effect and report.of("E-value")[0].number > 3
    assert "'age'" in report.of("hidden cause")[0].meaning
    assert report.of("robustness value")[0].number == pytest.approx(0.5, abs=0.15)


def test_an_effect_in_text_is_the_same(scm, rows):
    by_name = scm.check(rows, treatment="t", outcome="y").to_pandas()
    by_text = scm.check(rows, effect="E[y | do(t=1)] - E[y | do(t=0)]").to_pandas()
    pd.testing.assert_frame_equal(by_name, by_text)
    shifted = scm.check(rows, effect="E[y | do(dose=dose+1)] - E[y]")
    assert shifted.pictures["sensitivity"].regression.estimate == pytest.approx(2.0, abs=0.3)


def test_another_question_gets_an_interval():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=300)}).assign(y=lambda d: d.x + rng.normal(size=300))
    scm = pc.SCM.from_graph("x -> y", mechanisms={"x": m.Linear(), "y": m.Linear()})
    report = scm.fit(data, epochs=1, progress=False).check(
        data, effect="E[y | do(x=2)]", refits=8, epochs=1, progress=False
    )
    assert report.of("effect")[0].about == "E[y | do(x=2)]"
    assert report.of("effect")[0].number == pytest.approx(2.0, abs=0.4)
    assert {f.about for f in report.of("refutation")} == {"simulated outcome", "two halves"}


def test_the_same_seed_gives_the_same_report(scm, rows):
    a, b = (scm.check(rows, rows=200, seed=3).to_pandas() for _ in range(2))
    pd.testing.assert_frame_equal(a, b)
    assert not a.equals(scm.check(rows, rows=200, seed=4).to_pandas())


def test_a_binary_outcome_has_a_ratio_of_risks():
    def program():
        t = pyro.sample("t", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Bernoulli(0.2 + 0.4 * t))

    scm = pc.SCM(program)
    report = scm.check(scm.sample(2000, seed=0), treatment="t", outcome="y")
    assert report.of("E-value")[0].number == pytest.approx(3 + 6**0.5, rel=0.1)  # of a ratio of 3
    assert report.of("hidden cause")[0].verdict == "not run"


def test_a_multi_level_and_a_moved_treatment():
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        t = pyro.sample("t", dist.Categorical(logits=torch.stack([x, -x, torch.zeros(())])))
        d = pyro.sample("d", dist.Normal(x, 1.0))
        pyro.sample("y", dist.Normal((t == 2) * 1.5 + 2 * d + x, 1.0))

    scm = pc.SCM(program)
    rows = scm.sample(1500, seed=0)
    levels = scm.check(rows, treatment="t", outcome="y", contrast=(2, 0)).pictures["sensitivity"]
    assert levels.regression.estimate == pytest.approx(1.5, abs=0.6)  # d is no cause of t
    moved = scm.check(rows, treatment="d", outcome="y", contrast=(lambda d: d + 0.5, None))
    assert moved.pictures["sensitivity"].regression.estimate == pytest.approx(1.0, abs=0.1)
    assert moved.of("E-value")[0].about == "E[y | do(d by <lambda>)] - E[y]"


def test_rows_that_were_trained_on_are_told():
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    data = pd.DataFrame({"x": x, "y": x + rng.normal(size=200)})
    scm = pc.SCM.from_graph("x -> y", mechanisms={"x": m.Linear(), "y": m.Linear()})
    scm.fit(data, epochs=1, progress=False)
    assert "the ones it was fitted to" in scm.check(data).rows
    assert "not the ones" in scm.check(data[:100]).rows


def test_an_scm_with_a_latent_is_checked_as_far_as_it_goes():
    def program():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        t = pyro.sample("t", dist.Bernoulli(0.5))
        m = pyro.sample("m", dist.Normal(t + u, 1.0))
        pyro.sample("y", dist.Normal(m + u, 1.0))

    scm = pc.SCM(program, latent=["u"])
    rows = scm.sample(60, seed=0).to_pandas().drop(columns="u")
    report = scm.check(rows, effect="E[y | do(t=1)] - E[y | do(t=0)]")
    assert [f.verdict for f in report.of("noise law")] == ["not run"]
    assert [f.verdict for f in report.of("overlap")] == ["pass", "pass"]
    assert "refutation" not in set(report.pictures) and report.of("refutation")[0].verdict == "not run"
    report.plot()
    plt.close("all")


@pytest.mark.parametrize(
    "asked, error, says",
    [
        ({"treatment": "tt", "outcome": "y"}, UnknownVariable, "did you mean 't'"),
        ({"treatment": "y", "outcome": "t"}, QueryError, "no directed path"),
        ({"treatment": "t"}, QueryError, "an outcome"),
        ({"treatment": "t", "outcome": "y", "contrast": 1}, QueryError, "pair of actions"),
        ({"treatment": "t", "outcome": "y", "contrast": (2, 0)}, DataError, "support"),
        ({"effect": "E[y | do(t=1)"}, QueryError, "E"),
        ({"effect": "E[y | do(tt=1)] - E[y]"}, UnknownVariable, "did you mean 't'"),
        ({"effect": "E[yy | do(t=1)]"}, QueryError, "did you mean 'y'"),
        ({"effect": 3}, QueryError, "neither text nor a function"),
        ({"effect": max, "treatment": "t"}, QueryError, "twice"),
        ({"alpha": 0.5}, DataError, "alpha"),
        ({"refits": 2}, DataError, "refits"),
        ({"rows": 10}, DataError, "rows"),
        ({"epoch": 3}, FitError, "did you mean 'epochs'"),
    ],
)
def test_what_cannot_be_asked_is_refused(scm, rows, asked, error, says):
    with pytest.raises(error, match=says):
        scm.check(rows, **asked)


def test_rows_and_models_that_cannot_be_checked_are_refused(scm, rows):
    with pytest.raises(DataError, match="need 50"):
        scm.check(rows[:20])
    with pytest.raises(DataError, match="no column 'dose'"):
        scm.check(rows.drop(columns="dose"))
    with pytest.raises(InterventionError, match="submodel"):
        scm.do(t=1).check(rows)

    def outcome():
        t = pyro.sample("t", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Categorical(logits=torch.stack([t, -t, 0 * t])))

    named = pc.SCM(outcome)
    with pytest.raises(QueryError, match="no mean"):
        named.check(named.sample(60, seed=0), treatment="t", outcome="y")


def test_all_pictures_are_drawn(scm, rows):
    trained = pc.SCM.from_graph(
        "age -> t; t -> dose; dose -> y; age -> y", mechanisms={n: m.Linear() for n in ("age", "dose", "y")}
    ).fit(rows, epochs=1, progress=False)
    report = trained.check(rows, treatment="t", outcome="y", refits=5, epochs=1, progress=False)
    with plt.style.context("dark_background"):
        figure = report.plot()
        figure.canvas.draw()
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "Verdicts",
        "Does noise have its law?",
        "Independences of the graph",
        "Overlap",
        "Refutations",
        "Sensitivity to a hidden cause",
    ]
    ax = plt.subplots()[1]
    assert plots.overlap(report.pictures["overlap"], ax=ax) is ax
    plt.close("all")


def test_an_effect_beyond_any_risk_ratio_has_no_e_value(scm, rows):
    report = scm.check(rows, effect="E[y | do(dose=1e6)] - E[y | do(dose=0)]", refits=0)
    (found,) = report.of("E-value")
    assert found.verdict == "not run" and "standard deviations" in found.meaning


@pytest.mark.parametrize("idle", [{"epochs": 1}, {"contrast": (2, 0)}])
def test_arguments_without_an_effect_are_refused(scm, rows, idle):
    with pytest.raises(QueryError, match=f"{next(iter(idle))}= without an effect"):
        scm.check(rows, **idle)


def test_a_contrast_beside_an_effect_in_text_is_refused(scm, rows):
    with pytest.raises(QueryError, match="two ways"):
        scm.check(rows, effect="E[y | do(t=1)] - E[y | do(t=0)]", contrast=(0, 1))


def test_a_misspelt_check_is_told(scm, rows):
    report = scm.check(rows)
    assert report.of("overlap") == ()
    with pytest.raises(DataError, match="did you mean 'noise law'"):
        report.of("noize law")
    assert set(report.summary().check) <= set(CHECKS)


@pytest.mark.parametrize("module", ["pyrocausal", "pyrocausal.cli"])
def test_modules_run_as_commands(module):
    run = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True)
    assert run.returncode == 0 and run.stdout.startswith("pyrocausal ")
