"""What objects look like in Jupyter: complete, escaped, and without colours that need a white ground."""

import re

import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal import cards

ATTACK = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def fitted():
    x = torch.randn(400, generator=torch.Generator().manual_seed(0)).numpy()
    data = pd.DataFrame({"x": x, "y": (x > 0).astype(int)})
    return pc.SCM.from_graph("x -> y").fit(data, epochs=2, progress=False)


def cells(html):
    return [re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", html)]


def test_an_scm_says_what_was_fitted(fitted):
    html = fitted._repr_html_()
    assert "fitted to 350 rows in 2 epochs, 50 held out" in html
    assert "fitted to 350 rows" in repr(fitted)
    history = fitted.history
    loss = history.curves["y"][history.best["y"]]
    assert cells(html)[5:] == ["y", "binary", "x", "Bernoulli", f"{loss:.4g}"]


def test_a_submodel_shows_its_action_and_no_loss_of_what_it_replaced(fitted):
    html = fitted.do(y=1)._repr_html_()
    assert "SCM under do(y)" in html
    assert cells(html)[5:] == ["y", "binary", "", "do: 1", ""]
    assert "x -/&gt; y" in html
    assert "do: a function of its own value" in fitted.do(x=lambda x: x + 1)._repr_html_()


def test_a_model_that_awaits_its_data_says_so():
    assert "call fit(df) first" in pc.SCM.from_graph("x -> y")._repr_html_()


def test_what_is_hidden_and_what_the_program_says():
    def program():
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        pyro.deterministic("twice", 2 * u)

    html = pc.SCM(program, latent=["u"])._repr_html_()
    assert "continuous, hidden" in html
    assert cells(html)[3::4] == ["as written", "computed"]


def some():
    def program():
        x = pyro.sample(ATTACK, dist.Bernoulli(0.5))
        pyro.sample("y", dist.Normal(x, 1.0))

    scm = pc.SCM(program)
    graph = pc.CausalGraph.from_string(f"`{ATTACK}` -> y")
    yield scm
    yield scm.do({ATTACK: 1})
    yield scm.sample(3, seed=0)
    yield scm.ask(f"E[y | do(`{ATTACK}`=1)]", num_samples=100, seed=0)
    yield scm.ask(f"P(`{ATTACK}`)", num_samples=100, seed=0)
    yield pc.dose_response(scm, ATTACK, "y", [0.0, 1.0], num_samples=50, seed=0)
    yield pc.identify(graph, f"P(y | do(`{ATTACK}`))")
    yield scm.check(scm.sample(60, seed=0).to_pandas(), seed=0)


@pytest.mark.parametrize("shown", list(some()), ids=lambda shown: type(shown).__name__)
def test_all_are_one_family_and_names_are_escaped(shown):
    html = shown._repr_html_()
    assert html.startswith(cards.STYLE)
    assert "<img" not in html
    assert not re.search(r"background(-color)?:\s*(white|#f)", html)
    assert len(html) < 20_000


def test_an_estimand_shows_its_derivation():
    estimand = pc.identify("smoke -> tar -> cancer; smoke <-> cancer", "P(cancer | do(smoke))")
    html = estimand._repr_html_()
    for step in estimand.derivation():
        assert step.rule.replace("'", "&#x27;") in html
    assert "not identified" in pc.identify("x -> y; x <-> y", "P(y | do(x))")._repr_html_()
