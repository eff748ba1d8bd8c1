"""The traps of the design (§3), each shown to be there and then avoided."""

import math
import subprocess
import sys

import networkx as nx
import pyro
import pyro.distributions as dist
import pytest
import torch
import zuko
from pyro import poutine

import pyrocausal as pc

from . import scenarios

# ---- Pyro's own do


def test_recorded_values_are_the_enforced_ones():
    """An outer trace around Pyro's do records the natural value of the intervened site."""
    peer = poutine.trace(poutine.do(scenarios.heteroscedastic, data={"x": torch.tensor(5.0)})).get_trace()
    assert peer.nodes["x"]["value"] != 5.0
    ours = pc.SCM(scenarios.heteroscedastic).do(x=5.0).sample(3, seed=0)
    assert (ours["x"] == 5.0).all()


def test_do_twice_on_one_site():
    """Two nested Pyro `do`s on one site recurse for ever."""
    once = poutine.do(scenarios.heteroscedastic, data={"x": torch.tensor(1.0)})
    twice = poutine.do(once, data={"x": torch.tensor(2.0)})
    with pytest.raises(RecursionError), pytest.warns(RuntimeWarning, match="intervene"):
        twice()
    assert (pc.SCM(scenarios.heteroscedastic).do(x=1.0).do(x=2.0).sample(2)["x"] == 2.0).all()


# ---- the nearest peer re-samples the noise of every observed site that is no bare transformed distribution


@pytest.mark.parametrize(
    "family",
    [
        lambda x: dist.Normal(x, 1.0),
        lambda x: dist.LogNormal(x, 1.0),
        lambda x: dist.Normal(x.expand(2), 1.0).to_event(1),
        lambda x: dist.Normal(x, 1.0).mask(True),
        lambda x: dist.Normal(x, 1.0).expand([2]).to_event(1),
        lambda x: dist.TransformedDistribution(dist.Normal(x, 1.0), [dist.transforms.ExpTransform()]).mask(
            True
        ),
        lambda x: dist.Bernoulli(logits=x),
    ],
    ids=["Normal", "LogNormal", "to_event", "mask", "expand", "transformed, masked", "Bernoulli"],
)
def test_noise_is_kept(family):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", family(x))

    scm = pc.SCM(program)
    units = scm.sample(50, seed=0)
    kept = scm.predict(scm.abduct(units, seed=1))["y"]
    assert torch.allclose(kept, units["y"], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(scm.do(x=units["x"]).sample(50, seed=2)["y"], units["y"], atol=1e-2)  # control


def test_evidence_is_scored_once_whatever_the_number_of_worlds():
    """Weights of a latent come from the factual world: twenty worlds do not make it twenty times as sure."""

    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample(
            "y", dist.TransformedDistribution(dist.Normal(z + x, 1.0), [dist.transforms.ExpTransform()])
        )

    scm = pc.SCM(program, latent=["z"])
    worlds = {f"w{i}": {"x": float(i)} for i in range(20)}
    evidence = {"x": [0.0], "y": [math.e]}
    one, many = (scm.counterfactual(evidence, do=do, num_samples=2000, seed=0) for do in ({"x": 0.0}, worlds))
    assert torch.equal(one.diagnostics["log_weights"], many.diagnostics["log_weights"])
    z = one.factual["z"]
    y = torch.tensor(math.e)
    assert abs(z.mean() - 0.5) < 0.1 and abs(z.var() - 0.5) < 0.1
    by_hand = dist.TransformedDistribution(dist.Normal(scm_prior(scm), 1.0), [dist.transforms.ExpTransform()])
    weights = by_hand.log_prob(y) + dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.0))
    assert torch.allclose(
        one.diagnostics["log_weights"][:, 0].float(), weights, atol=1e-4
    )  # with the Jacobian


def scm_prior(scm) -> torch.Tensor:
    """The latent draws that importance sampling proposed, before resampling."""
    from pyrocausal.abduct import prior

    return prior(scm.variables, 2000, torch.Generator().manual_seed(0))["z"]


def test_worlds_that_nobody_asked_for(confounded):
    found = confounded.counterfactual(confounded.sample(2, seed=0), do={"a": {"x": 1.0}, "b": {"x": 2.0}})
    assert set(found.worlds) == {"a", "b"}
    with pytest.raises(KeyError):
        found.worlds["c"]


# ---- names and values


@pytest.mark.parametrize(
    "act",
    [
        lambda scm: scm.do(treatmnt=1.0),
        lambda scm: scm.counterfactual({"treatmnt": [1.0], "y": [1.0]}, do={"treatment": 0.0}),
        lambda scm: scm.counterfactual({"treatment": [1.0], "y": [1.0]}, do={"treatmnt": 0.0}),
        lambda scm: scm.log_prob({"treatmnt": [1.0], "y": [1.0]}),
        lambda scm: scm.sample(1)["treatmnt"],
        lambda scm: scm.do(treatment=pc.natural(treatmnt=1.0)),
    ],
    ids=["do", "evidence", "counterfactual", "log_prob", "sample", "natural"],
)
def test_a_misspelt_variable_is_an_error_with_the_nearest_name(act):
    def program():
        t = pyro.sample("treatment", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(t, 1.0))

    with pytest.raises(pc.PyrocausalError, match="did you mean 'treatm"):
        act(pc.SCM(program))


def test_a_missing_column_never_turns_a_variable_latent(confounded):
    with pytest.raises(pc.PyrocausalError, match="latent"):
        confounded.abduct({"x": [0.0], "y": [0.0]})


def test_outside_of_the_support(bernoulli):
    for value in (2, -1, 0.5, float("nan")):
        with pytest.raises(pc.PyrocausalError, match="'x'"):
            bernoulli.do(x=value)


# ---- Pyro's reparametrisation and transforms


def test_the_jacobian_of_observed_sites_is_kept():
    """Pyro's TransformReparam drops it for an observed site that is declared so."""
    scm = scenarios.named("log-normal").scm()
    found = scm.log_prob({"x": [0.0], "y": [3.0]})
    truth = dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.0)) + dist.LogNormal(0.0, 0.5).log_prob(
        torch.tensor(3.0)
    )
    base_only = dist.Normal(0.0, 1.0).log_prob(torch.tensor([0.0, math.log(3.0) / 0.5])).sum()
    assert torch.allclose(found, truth) and not torch.allclose(found, base_only, atol=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: dist.transforms.planar(2),
        lambda: dist.transforms.radial(2),
        lambda: dist.transforms.polynomial(2, [4]),
    ],
    ids=["planar", "radial", "polynomial"],
)
def test_transforms_without_an_inverse_are_refused(make):
    base, transform = dist.Normal(torch.zeros(2), 1.0).to_event(1), make()

    def program():
        pyro.sample("x", dist.TransformedDistribution(base, [transform]))

    with pytest.raises(pc.PyrocausalError, match=r"can't be undone.*zuko"):
        pc.SCM(program)


def test_a_spline_is_linear_outside_of_its_box():
    """Far evidence is extrapolated, not clamped: the round trip holds there too."""
    scm = scenarios.named("zuko flow").scm()
    e = {"x": torch.tensor([0.0, 0.0]), "y": torch.tensor([40.0, -40.0])}
    assert torch.allclose(scm.predict(scm.abduct(e))["y"], e["y"], rtol=1e-5)


def test_a_zuko_distribution_itself_is_refused():
    flow = zuko.distributions.NormalizingFlow(
        zuko.transforms.IdentityTransform(), zuko.distributions.DiagNormal(torch.zeros(1), torch.ones(1))
    )

    def program():
        pyro.sample("x", flow)

    with pytest.raises((pc.PyrocausalError, AttributeError, TypeError, NotImplementedError)):
        pc.SCM(program)


# ---- one unit's code in batches


@pytest.mark.parametrize(
    "name", ["mean of a vector", "softmax over dim 0", "convolution", "table lookup", "matrix"]
)
def test_a_hidden_plate_would_be_wrong_here(name):
    """The same program on a batch, as a plate would run it, raises or gives other numbers than one by one."""
    case = scenarios.named(name)
    scm = case.scm()
    units = scm.sample(5, seed=0)
    right = scm.log_prob(units)
    try:
        with poutine.trace() as trace, poutine.condition(data=dict(units)):
            case.build()()
        fn = trace.trace.nodes["y"]["fn"]
        wrong = fn.log_prob(units["y"])
        batched = wrong.reshape(5, -1).sum(-1)
        parent = next(k for k in units if k != "y")
        root = trace.trace.nodes[parent]["fn"].log_prob(units[parent]).reshape(5, -1).sum(-1)
        plated = batched + root
    except (RuntimeError, ValueError, IndexError):
        plated = None
    if name != "table lookup":  # the one of these that batches happen to get right
        assert plated is None or not torch.allclose(plated, right, atol=1e-4)
    by_hand = torch.stack([unit_by_unit(case, units, i) for i in range(5)])
    assert torch.allclose(right, by_hand, atol=1e-5)


def unit_by_unit(case, units, i) -> torch.Tensor:
    """log p of one unit by plain Pyro."""
    one = poutine.condition(case.build(), data={k: v[i] for k, v in units.items()})
    return poutine.trace(one).get_trace().log_prob_sum()


# ---- libraries


def test_networkx_has_the_names_we_use():
    assert hasattr(nx, "is_d_separator")


def test_results_go_through_arviz_without_warnings_that_break(confounded):
    """With warnings as errors (pyproject), groups and NetCDF work; detached and with a chain axis."""
    data = confounded.counterfactual(confounded.sample(2, seed=0), do={"x": 1.0}).to_arviz()
    assert data.counterfactual["y"].dims[:3] == ("chain", "draw", "unit")


def test_drawing_needs_no_dot_binary(confounded, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "<svg" in confounded.graph._repr_html_() and "z" in confounded.graph.to_mermaid()


def test_a_progress_bar_prints_no_widget_warnings():
    code = (
        "import pyro, torch, pyrocausal as pc, pyro.distributions as d\n"
        "def p(): pyro.sample('x', d.Normal(pyro.param('w', torch.tensor(0.)), 1.))\n"
        "pc.SCM(p).fit({'x': torch.arange(20.)}, epochs=1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "IProgress" not in done.stderr, done.stderr
