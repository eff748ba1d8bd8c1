"""Nested counterfactuals and path-specific actions: `natural` at any depth, and `edge`."""

import math
import random

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.errors import DataError, EvidenceError, FitError, InterventionError, UnknownVariable

A, B, C, D, S = 0.7, 1.5, -0.8, 2.0, 0.5  # m = exp(A t + S u_m), y = B t + C m + D t m + u_y


def mediated():
    t = pyro.sample("t", dist.Bernoulli(0.4))
    m = pyro.sample("m", dist.LogNormal(A * t, S))
    pyro.sample("y", dist.Normal(B * t + C * m + D * t * m, 1.0))


def mediator(t, e):
    """The unit's mediator under another treatment: the factual one, scaled."""
    return e["m"] * torch.exp(A * (t - e["t"]))


def outcome(t, m, e):
    """The unit's outcome at a treatment and a mediator."""
    return e["y"] + (B * t + C * m + D * t * m) - (B * e["t"] + C * e["m"] + D * e["t"] * e["m"])


@pytest.fixture(scope="module")
def mediation():
    scm = pc.SCM(mediated)
    return scm, scm.sample(50_000, seed=0)


WORLDS = {
    "natural": {
        "00": {"t": 0},
        "10": {"t": 1, "m": pc.natural(t=0)},
        "01": {"t": 0, "m": pc.natural(t=1)},
        "11": {"t": 1},
    },
    "edge": {
        "00": {"t": pc.edge(y=0, m=0)},
        "10": {"t": pc.edge(y=1, m=0)},
        "01": {"t": pc.edge(y=0, m=1)},
        "11": {"t": pc.edge(y=1, m=1)},
    },
}


@pytest.mark.parametrize("way", WORLDS)
def test_natural_effects_of_every_unit(mediation, way):
    scm, units = mediation
    e = {name: x[:200] for name, x in units.items()}
    found = scm.counterfactual(e, do=WORLDS[way]).worlds
    for world, sample in found.items():
        y_sees, m_sees = (torch.tensor(float(digit)) for digit in world)
        truth = outcome(y_sees, mediator(m_sees, e), e)
        assert torch.allclose(sample["y"], truth, atol=1e-4, rtol=1e-4)
        other = outcome(m_sees, mediator(y_sees, e), e)  # control: the two treatments changed places
        assert y_sees == m_sees or (sample["y"] - other).abs().mean() > 0.5


@pytest.mark.parametrize("way", WORLDS)
def test_natural_effects_of_the_population(mediation, way):
    """Direct B + D E[m_0] and indirect C E[m_1 - m_0]; within 5 standard errors (false alarm 6e-7 each)."""
    scm, units = mediation
    y = {name: sample["y"] for name, sample in scm.counterfactual(units, do=WORLDS[way]).worlds.items()}
    spread = math.exp(S**2 / 2)
    direct, indirect = B + D * spread, C * (math.exp(A) - 1) * spread
    for effect, truth in [(y["10"] - y["00"], direct), (y["01"] - y["00"], indirect)]:
        error = 5 * (effect.std() / len(effect) ** 0.5).item()
        assert abs(effect.mean().item() - truth) < error < 0.1
    total = (y["11"] - y["00"]).mean().item()
    assert abs(total - direct - indirect) > 0.5  # control: with an interaction the two do not add up


def test_a_discrete_mediator_has_its_posterior():
    """Seen m = 0 under t = 0: P(m_1 = 1) = (p_1 - p_0) / (1 - p_0), for monotone noise."""

    def program():
        t = pyro.sample("t", dist.Bernoulli(0.5))
        m = pyro.sample("m", dist.Bernoulli(0.3 + 0.4 * t))
        pyro.sample("y", dist.Normal(t + 2 * m, 1.0))

    scm, n = pc.SCM(program), 4000
    unit = {"t": [0.0], "m": [0.0], "y": [0.0]}
    p, error = 0.4 / 0.7, 5 * (0.25 / n) ** 0.5  # 5 standard errors: false alarm 6e-7 each
    for action in ({"t": 0, "m": pc.natural(t=1)}, {"t": pc.edge(m=1)}):
        cf = scm.counterfactual(unit, do=action, num_samples=n, seed=0)
        assert abs(cf["m"].mean().item() - p) < error
        assert torch.allclose(cf["y"], 2 * cf["m"])
        assert abs(cf["m"].mean().item() - 0.7) > error  # control: what a new unit would have


# ---- any depth


def chain_of_four():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(2 * a, 1.0))
    c = pyro.sample("c", dist.Normal(a * b, 1.0))
    pyro.sample("y", dist.Normal(a + b * c, 1.0))


E = {"a": [0.5, -1.0], "b": [1.5, 0.0], "c": [0.0, 2.0], "y": [1.0, -1.0]}


def test_three_levels_deep():
    """y under a = 1, where c is as under (a = 2, b as under (a = 3, and a fourth level that sets a back))."""
    scm = pc.SCM(chain_of_four)
    e = {name: torch.tensor(x) for name, x in E.items()}
    u = {"b": e["b"] - 2 * e["a"], "c": e["c"] - e["a"] * e["b"], "y": e["y"] - e["a"] - e["b"] * e["c"]}
    deep = pc.natural(a=2.0, b=pc.natural(a=pc.natural(a=3.0)))
    found = scm.counterfactual(e, do={"a": 1.0, "c": deep})
    b_3 = 2 * 3.0 + u["b"]
    c = 2.0 * b_3 + u["c"]
    b_1 = 2 * 1.0 + u["b"]
    assert torch.allclose(found["c"], c)
    assert torch.allclose(found["b"], b_1)
    assert torch.allclose(found["y"], 1.0 + b_1 * c + u["y"])
    flat = scm.counterfactual(e, do={"a": 1.0, "c": pc.natural(a=2.0)})  # control: one level only
    assert not torch.allclose(found["y"], flat["y"])


def test_a_world_asked_for_twice_runs_once(monkeypatch):
    scm = pc.SCM(chain_of_four)
    worlds, real = [], scm._model.run

    def counted(*args, **options):
        worlds.append(options.get("pull", False))
        return real(*args, **options)

    monkeypatch.setattr(scm._model, "run", counted)
    world = {"b": pc.natural(a=0.0), "c": pc.natural(a=0.0)}
    scm.counterfactual(E, do={"one": world, "two": {**world, "a": 1.0}})
    assert sum(not pull for pull in worlds) == 3  # one, two, and a = 0; the factual one pulls


# ---- edges


def random_linear(seed):
    """A random linear SCM of five variables and its weights."""
    generator = random.Random(seed)
    names = [f"v{i}" for i in range(5)]
    weights = {
        (p, name): generator.uniform(0.5, 2.0) * generator.choice((-1, 1))
        for i, name in enumerate(names)
        for p in names[:i]
        if generator.random() < 0.7
    }

    def program():
        values = {}
        for name in names:
            mean = sum(
                (weights[p, name] * values[p] for p in values if (p, name) in weights), torch.zeros(())
            )
            values[name] = pyro.sample(name, dist.Normal(mean, 1.0))

    return program, names, weights


@pytest.mark.parametrize("seed", range(8))
def test_random_edges_against_a_recursion(seed):
    """Each child computes its value from what it sees; several edges, of several parents, at once."""
    program, names, weights = random_linear(seed)
    scm, generator = pc.SCM(program), random.Random(100 + seed)
    e = scm.sample(5, seed=seed)
    cut = {edge: float(generator.randint(-3, 3)) for edge in weights if generator.random() < 0.4}
    truth = {}
    for name in names:
        seen = {p: cut.get((p, name), truth[p]) for p in truth if (p, name) in weights}
        residual = e[name] - sum(weights[p, name] * e[p] for p in seen)
        truth[name] = residual + sum(weights[p, name] * x for p, x in seen.items())
    by_parent = {p: pc.edge({c: x for (q, c), x in cut.items() if q == p}) for p, _ in cut}
    found = scm.counterfactual(e, do=by_parent)
    for name in names:
        assert torch.allclose(found[name], truth[name], atol=1e-3), name
    everyone = scm.counterfactual(e, do={p: x for (p, _), x in cut.items()})  # control: nodes, not edges
    assert any(not torch.allclose(everyone[name], truth[name], atol=1e-3) for name in names)


def test_other_children_and_the_variable_itself_are_left_alone():
    e = {name: torch.tensor(x) for name, x in E.items()}
    found = pc.SCM(chain_of_four).counterfactual(E, do={"a": pc.edge(y=7.0)})
    for name in "abc":
        assert torch.equal(found[name], e[name])
    assert torch.allclose(found["y"], e["y"] + 7.0 - e["a"])


def test_an_edge_into_a_computed_variable():
    def program():
        t = pyro.sample("t", dist.Normal(0.0, 1.0))
        square = pyro.deterministic("square", t**2)
        pyro.sample("y", dist.Normal(t + square, 1.0))

    scm = pc.SCM(program)
    found = scm.counterfactual({"t": [1.0], "y": [0.0]}, do={"t": pc.edge(square=3.0)})
    assert found["t"] == 1.0 and found["square"] == 9.0 and found["y"] == 8.0
    found = scm.counterfactual({"t": [1.0], "y": [0.0]}, do={"square": pc.edge(y=5.0)})
    assert found["square"] == 1.0 and found["y"] == 4.0


VALUES = {
    "number": (2.0, lambda e: torch.full((2,), 2.0)),
    "one a unit": (torch.tensor([3.0, 4.0]), lambda e: torch.tensor([3.0, 4.0])),
    "function": (lambda b: b + 1, lambda e: e["b"] + 1),
    "policy": (pc.policy(lambda v: 5 * v["a"]), lambda e: 5 * e["a"]),
    "natural": (pc.natural(a=0.0), lambda e: e["b"] - 2 * e["a"]),
}


@pytest.mark.parametrize("kind", VALUES)
def test_an_edge_takes_every_action(kind):
    action, seen = VALUES[kind]
    e = {name: torch.tensor(x) for name, x in E.items()}
    found = pc.SCM(chain_of_four).counterfactual(E, do={"b": pc.edge(y=action)})
    assert torch.allclose(found["y"], e["y"] + (seen(e) - e["b"]) * e["c"])
    assert torch.equal(found["b"], e["b"]) and torch.equal(found["c"], e["c"])


def test_an_edge_takes_a_distribution():
    """Each unit's child sees a draw of its own, N(10, 1); 5 standard errors, false alarm 6e-7."""
    n = 4000
    e = {name: torch.zeros(n) for name in "aby"} | {"c": torch.ones(n)}
    found = pc.SCM(chain_of_four).counterfactual(e, do={"b": pc.edge(y=dist.Normal(10.0, 1.0))}, seed=0)
    assert abs(found["y"].mean() - 10.0) < 5 / n**0.5
    assert abs(found["y"].std() - 1.0) < 5 / (2 * n) ** 0.5
    assert torch.equal(found["b"], e["b"])


def test_acting_on_nodes_and_edges_in_one_call():
    """The edge belongs to the submodel that the actions on nodes make."""
    e = {name: torch.tensor(x) for name, x in E.items()}
    found = pc.SCM(chain_of_four).counterfactual(E, do={"b": 1.0, "a": pc.edge(c=2.0)})
    c = e["c"] - e["a"] * e["b"] + 2.0 * 1.0
    assert torch.allclose(found["c"], c)
    assert torch.allclose(found["y"], e["y"] - e["b"] * e["c"] + 1.0 * c)


def test_a_later_action_replaces_what_the_edge_did():
    scm = pc.SCM(chain_of_four)
    found = scm.do(a=pc.edge(c=2.0)).do(c=9.0).sample(3, seed=0)
    assert (found["c"] == 9.0).all()
    shifted = scm.do(a=pc.edge(c=2.0)).do(c=lambda c: c + 1).sample(3, seed=0)["c"]
    assert torch.allclose(shifted, scm.do(a=pc.edge(c=2.0)).sample(3, seed=0)["c"] + 1)


def test_interventional_draws_share_their_noise():
    scm = pc.SCM(chain_of_four)
    plain, cut = scm.sample(100, seed=0), scm.do(a=pc.edge(y=0.0)).sample(100, seed=0)
    assert torch.allclose(cut["y"], plain["y"] - plain["a"], atol=1e-5)


# ---- the graph


def test_the_graph_loses_the_edges_that_are_acted_on():
    scm = pc.SCM(chain_of_four)
    graph = scm.do(a=pc.edge(y=0.0, c=1.0)).graph
    assert set(scm.graph.edges) - set(graph.edges) == {("a", "y"), ("a", "c")}
    assert set(graph.edges) < set(scm.graph.edges)
    assert "a" in graph.parents("b")


def test_cut_edges_are_drawn_and_written():
    graph = pc.SCM(chain_of_four).do(a=pc.edge(y=0.0)).graph
    assert "a -/> y" in graph.to_string()
    assert "svg" in graph._repr_html_()


def test_an_edge_whose_action_reads_the_parent_stays():
    graph = pc.SCM(chain_of_four).do(b=pc.edge(y=lambda b: b + 1)).graph
    assert "b" in graph.parents("y")


def test_a_discrete_mediator_gets_draws_unasked():
    def program():
        t = pyro.sample("t", dist.Bernoulli(0.5))
        m = pyro.sample("m", dist.Bernoulli(0.3 + 0.4 * t))
        pyro.sample("y", dist.Normal(t + 2 * m, 1.0))

    unit = {"t": [0.0], "m": [0.0], "y": [0.0]}
    cf = pc.SCM(program).counterfactual(unit, do={"t": 0, "m": pc.natural(t=1)}, seed=0)
    assert cf.has_draws


# ---- errors


@pytest.mark.parametrize(
    ("action", "error", "says"),
    [
        (lambda: {"b": pc.edge(a=1.0)}, InterventionError, "'a' does not read 'b'"),
        (lambda: {"a": pc.edge(yy=1.0)}, UnknownVariable, "did you mean 'y'"),
        (lambda: {"aa": pc.edge(y=1.0)}, UnknownVariable, "did you mean 'a'"),
        (lambda: {"a": pc.edge(y=None)}, InterventionError, "None is no action"),
        (lambda: {"a": pc.edge(y="high")}, DataError, "'high'"),
        (lambda: {"a": pc.edge(y=float("nan"))}, DataError, "NaN"),
        (lambda: {"a": pc.edge(y={"b": 1})}, InterventionError, "mapping"),
        (lambda: {"a": pc.edge(y=pc.edge(c=1.0))}, InterventionError, "not supported"),
        (lambda: {"c": pc.natural(a=pc.edge(b=1.0))}, InterventionError, "not supported"),
        (lambda: {"a": pc.edge(y=torch.zeros(3))}, InterventionError, "3 values for 2 units"),
        (lambda: {"c": pc.natural(a=torch.zeros(3))}, InterventionError, "3 values for 2 units"),
        (lambda: {"c": pc.natural(aa=1.0)}, UnknownVariable, "did you mean 'a'"),
        (lambda: {"c": pc.natural(a=pc.natural(bb=1.0))}, UnknownVariable, "did you mean 'b'"),
        (lambda: {"c": pc.natural}, InterventionError, "call it"),
        (lambda: {"a": pc.edge}, InterventionError, "call it"),
        (lambda: {"c": 1.0, "a": pc.edge(c=2.0)}, InterventionError, "'c' does not read 'a'"),
    ],
)  # fmt: skip
def test_actions_that_can_not_be(action, error, says):
    with pytest.raises(error, match=says.replace("(", r"\(")):
        pc.SCM(chain_of_four).counterfactual(E, do=action())


@pytest.mark.parametrize("make", [lambda: pc.edge(), lambda: pc.edge(3), lambda: pc.natural(3)])
def test_nothing_named(make):
    with pytest.raises(InterventionError, match="names no"):
        make()


def test_a_submodel_with_nested_worlds_can_not_be_given_evidence():
    for submodel in (
        pc.SCM(chain_of_four).do(a=pc.edge(y=1.0)),
        pc.SCM(chain_of_four).do(c=pc.natural(a=1.0)),
    ):
        for ask in (submodel.abduct, submodel.log_prob, submodel.elbo):
            with pytest.raises(EvidenceError, match="abduct in the model without it"):
                ask(E)
        with pytest.raises(FitError, match="can't be trained"):
            submodel.fit({name: torch.zeros(20) for name in E})
