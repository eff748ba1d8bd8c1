"""Exact abduction with discrete unobserved variables, against sums over states and draws made by hand."""

import itertools
import math
from importlib import import_module

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule

import pyrocausal as pc
from pyrocausal.errors import EvidenceError

from .test_cells import race_volume

# ---- random SCMs as plain data, and the truth by a sum over the states of three worlds in plain Python


class Plan:
    """Binary and ternary variables with random tables: `table[name][parents' values]` are probabilities."""

    def __init__(self, seed, size, coupling, levels=(2, 3)):
        rng = np.random.default_rng(seed)
        self.coupling, self.names = coupling, [f"v{i}" for i in range(size)]
        self.levels = {n: int(rng.choice(levels)) for n in self.names}
        self.parents = {
            n: sorted(rng.choice(self.names[:i], min(i, 2), replace=False)) if i else []
            for i, n in enumerate(self.names)
        }
        self.table, self.memo = {}, {}
        for n in self.names:
            shape = [self.levels[p] for p in self.parents[n]]
            self.table[n] = rng.dirichlet([1.0] * self.levels[n], size=shape or None)
        self.latent = tuple(rng.choice(self.names[:-1], size // 3, replace=False))
        values = {n: [] for n in self.names}
        for _ in range(3):
            for n in self.names:
                probs = self.table[n][tuple(values[p][-1] for p in self.parents[n])]
                values[n].append(int(rng.choice(len(probs), p=probs / probs.sum())))
        self.evidence = {n: v for n, v in values.items() if n not in self.latent}

    def program(self):
        values = {}
        for n in self.names:
            probs = torch.tensor(self.table[n]).float()
            for p in self.parents[n]:
                probs = torch.einsum(
                    "k...,k->...", probs, (values[p] == torch.arange(self.levels[p])).float()
                )
            values[n] = pyro.sample(n, dist.Categorical(probs), infer={"noise": self.coupling})

    def scm(self):
        return pc.SCM(self.program, latent=list(self.latent))

    def cell(self, tables, values):
        """P(the mechanism gives `values` where its probabilities are `tables`), one noise for all."""
        if self.coupling == "gumbel" and len(tables[0]) > 2:
            kept = dict(zip(map(tuple, tables), values))
            if any(kept[tuple(t)] != v for t, v in zip(tables, values)):
                return 0.0
            return race_volume(np.array(list(kept), float), list(kept.values()))
        high = min(np.cumsum(t)[v] for t, v in zip(tables, values))
        return max(high - max(np.cumsum(t)[v] - t[v] for t, v in zip(tables, values)), 0.0)

    def truth(self, unit, actions, event):
        """P(event(values in each world of actions) | evidence) and how many states are possible."""
        worlds = [{}, *actions]
        states = {(): 1.0}
        for n in self.names:
            seen = self.evidence[n][unit] if n in self.evidence else None
            grown = {}
            for state, weight in states.items():
                parents = [self.names.index(p) for p in self.parents[n]]
                tables = [self.table[n][tuple(state[p][w] for p in parents)] for w in range(len(worlds))]
                for natural in itertools.product(range(self.levels[n]), repeat=len(worlds)):
                    if seen not in (None, natural[0]):
                        continue
                    key = (n, natural, tuple(map(tuple, tables)))
                    if key not in self.memo:
                        self.memo[key] = self.cell(tables, natural)
                    values = tuple(world.get(n, v) for world, v in zip(worlds, natural))
                    if self.memo[key] > 1e-9:
                        new = (*state, values)
                        grown[new] = grown.get(new, 0.0) + weight * self.memo[key]
            states = grown
        total = sum(states.values())
        hit = sum(w for s, w in states.items() if event(*(dict(zip(self.names, v)) for v in zip(*s))))
        return hit / total, total, len(states)


@pytest.mark.parametrize("coupling", ["monotone", "gumbel"])
@pytest.mark.parametrize(("seed", "size"), [(0, 4), (1, 5), (2, 6), (3, 8), (4, 8)])
def test_joint_counterfactuals_of_random_scms(coupling, seed, size):
    """P(Y_a = 0, Y_b = 0 | evidence), where the two worlds' Y share their noise."""
    plan = Plan(seed, size, coupling, (2,) if size == 8 and coupling == "gumbel" and seed == 4 else (2, 3))
    x, y = plan.names[0], plan.names[-1]
    actions = {"a": {x: 0}, "b": {x: 1, plan.names[1]: 1}}
    cf = plan.scm().counterfactual(plan.evidence, do=actions, method="enumerate")
    found = cf.mean(lambda w: (w["a"][y] == 0) & (w["b"][y] == 0))
    m = plan.names[2]
    also = cf.mean(lambda w: w["b"][m] != w["a"][m])
    for unit in range(3 if size < 8 else 1):
        both, evidence, _ = plan.truth(unit, actions.values(), lambda f, a, b: a[y] == 0 and b[y] == 0)
        assert found[unit].item() == pytest.approx(both, abs=1e-5)
        assert cf.diagnostics["log_evidence"][unit].item() == pytest.approx(math.log(evidence), abs=1e-4)
        moved = plan.truth(unit, actions.values(), lambda f, a, b: a[m] != b[m])[0]
        assert also[unit].item() == pytest.approx(moved, abs=1e-5)


def test_the_coupling_and_the_evidence_matter():
    """Controls: what the test above compares differs between couplings, and between units."""
    plans = [Plan(1, 5, coupling, (3,)) for coupling in ("monotone", "gumbel")]
    y, actions = plans[0].names[-1], {"a": {"v0": 0}, "b": {"v0": 1, "v1": 1}}
    found = [
        plan.scm()
        .counterfactual(plan.evidence, do=actions, method="enumerate")
        .mean(lambda w: (w["a"][y] == 0) & (w["b"][y] == 0))
        for plan in plans
    ]
    assert (found[0] - found[1]).abs().max() > 0.02
    assert (found[0] - found[0][[1, 2, 0]]).abs().max() > 0.02


@pytest.mark.parametrize("coupling", ["monotone", "gumbel"])
def test_against_rejection_sampling(coupling):
    """The definition itself: draw noise, keep what gives the evidence, and act."""
    plan = Plan(7, 4, coupling, (3,))
    plan.latent, n = ("v1",), 1_000_000
    plan.evidence = {"v0": [2], "v2": [0], "v3": [1]}
    rng = np.random.default_rng(0)
    noise = {
        name: rng.gumbel(size=(n, 3)) if coupling == "gumbel" else rng.random((n, 1)) for name in plan.names
    }

    def world(do):
        values = {}
        for name in plan.names:
            p = plan.table[name][tuple(values[q] for q in plan.parents[name])]
            u = noise[name]
            v = (np.log(p) + u).argmax(-1) if coupling == "gumbel" else (u >= p.cumsum(-1)[..., :-1]).sum(-1)
            values[name] = np.full(n, do[name]) if name in do else v
        return values

    factual, acted = world({}), world({"v0": 0})
    kept = np.all([factual[name] == v[0] for name, v in plan.evidence.items()], 0)
    truth = acted["v3"][kept] == 1
    cf = plan.scm().counterfactual(plan.evidence, do={"v0": 0}, method="enumerate")
    found = cf.mean(lambda w: w["v3"] == 1).item()
    error = 4 * truth.std() / kept.sum() ** 0.5
    assert abs(found - truth.mean()) < error < 0.03
    assert abs(found - (acted["v3"] == 1).mean()) > error  # control: without the evidence


# ---- necessity and sufficiency

P = torch.tensor([[0.2, 0.7], [0.6, 0.4], [0.1, 0.9]])  # P(y = 1 | z, x)
OF_Z, OF_X = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.3, 0.5, 0.8])


def table(probs, *index):
    """A lookup that runs under vmap."""
    for i in index:
        probs = torch.einsum("k...,k->...", probs, (i == torch.arange(len(probs))).float())
    return probs


@pytest.mark.parametrize("coupling", ["monotone", "gumbel"])
def test_probabilities_of_causation_under_confounding(coupling):
    """PN, PS and PNS by hand (Pearl 2009, ch. 9), averaged over the confounder's posterior."""

    def program():
        z = pyro.sample("z", dist.Categorical(OF_Z))
        x = pyro.sample("x", dist.Bernoulli(table(OF_X, z)), infer={"noise": coupling})
        pyro.sample("y", dist.Bernoulli(table(P, z, x)), infer={"noise": coupling})
        pyro.sample("w", dist.Normal(0.0, 1.0))

    scm = pc.SCM(program, latent=["z"])
    nan = math.nan
    evidence = {"x": [1.0, 0.0, nan], "y": [1.0, 0.0, nan], "w": [0.0, 0.0, 0.0]}
    do = {"treat": {"x": 1}, "not": {"x": 0}}
    cf = scm.counterfactual(evidence, do=do, missing="abduct")
    assert cf.diagnostics["method"] == "enumerate"
    found = cf.mean(lambda w: (w["treat"]["y"] == 1) & (w["not"]["y"] == 0))

    p0, p1 = P.double().T
    gain = (p1 - p0).clamp_min(0)
    caused = OF_Z * OF_X * p1, OF_Z * (1 - OF_X) * (1 - p0), OF_Z
    pn = (caused[0] * gain / p1).sum() / caused[0].sum()
    ps = (caused[1] * gain / (1 - p0)).sum() / caused[1].sum()
    pns = (caused[2] * gain).sum()
    assert torch.allclose(found, torch.stack([pn, ps, pns]), atol=1e-6)
    naive = ((OF_Z * (p1 - p0)).sum()).clamp_min(0)  # control: monotone on average, not for each z
    assert abs(pns - naive) > 0.05


# ---- mixtures


def mixture():
    z = pyro.sample("z", dist.Categorical(OF_Z))
    x = pyro.sample("x", dist.Normal(2.0 * z, 1.0))
    pyro.sample("y", dist.Normal(x * (1 + z), 0.5 + z))


def test_a_latent_class_with_continuous_evidence():
    scm = pc.SCM(mixture, latent=["z"])
    x, y = torch.tensor([0.3, 2.5]).double(), torch.tensor([1.0, 6.0]).double()
    z = torch.arange(3).double()[:, None]
    joint = OF_Z.double()[:, None].log() + dist.Normal(2 * z, 1).log_prob(x)
    joint = joint + dist.Normal(x * (1 + z), 0.5 + z).log_prob(y)
    weights = torch.softmax(joint, 0)
    acted = (1 + z) * (1.0 - x) + y  # y_{x=1} = y + (1 + z) (1 - x)
    cf = scm.counterfactual({"x": x, "y": y}, do={"x": 1.0})
    assert cf.diagnostics["method"] == "enumerate" and cf.num_draws == 3
    for k in range(3):
        assert torch.allclose(cf.factual.mean(lambda v, k=k: v["z"] == k), weights[k], atol=1e-5)
    assert torch.allclose(cf.mean("y"), (weights * acted).sum(0), atol=1e-5)
    assert torch.allclose(cf.diagnostics["log_evidence"], torch.logsumexp(joint, 0), atol=1e-5)
    best = acted.gather(0, weights.argmax(0)[None])[0]
    assert (cf.mean("y") - best).abs().max() > 0.02  # control: not that of the likeliest class


def test_discrete_sites_below_continuous_ones():
    def program():
        z = pyro.sample("z", dist.Bernoulli(0.4))
        x = pyro.sample("x", dist.Normal(z, 1.0))
        pyro.sample("y", dist.Bernoulli(logits=x + z))

    x, shift = torch.tensor([0.5]).double(), 1.5
    z = torch.tensor([0.0, 1.0]).double()
    p, acted = torch.sigmoid(x + z), torch.sigmoid(x + shift + z)
    joint = torch.tensor([0.6, 0.4]).double() * dist.Normal(z, 1).log_prob(x).exp() * (1 - p)
    truth = (joint * (acted - p) / (1 - p)).sum() / joint.sum()
    cf = pc.SCM(program, latent=["z"]).counterfactual({"x": x, "y": [0.0]}, do={"x": lambda v: v + shift})
    assert cf.mean("y").item() == pytest.approx(truth.item(), abs=1e-5)
    assert abs(truth - torch.sigmoid(x + shift + 0.4)) > 0.05  # control: the outcome tells of its noise


# ---- units, missing cells, merging


def test_units_at_once_are_units_one_by_one_and_lack_what_they_lack():
    plan = Plan(2, 6, "monotone")
    scm, y = plan.scm(), plan.names[-1]
    evidence = {n: torch.tensor(v).float() for n, v in plan.evidence.items()}
    names = list(evidence)
    evidence[names[1]][0] = evidence[names[1]][2] = evidence[names[2]][2] = math.nan
    ask = {"do": {plan.names[0]: 1}, "missing": "abduct", "method": "enumerate"}
    together = scm.counterfactual(evidence, **ask).mean(lambda w: w[y] == 1)
    for unit in range(3):
        alone = {n: v[unit : unit + 1] for n, v in evidence.items()}
        own = scm.counterfactual(alone, **ask).mean(lambda w: w[y] == 1)
        assert own.item() == pytest.approx(together[unit].item(), abs=1e-12)
        plan.evidence = {n: v.tolist() for n, v in evidence.items() if not v[unit].isnan()}
        truth = plan.truth(unit, [{plan.names[0]: 1}], lambda f, a: a[y] == 1)[0]
        assert own.item() == pytest.approx(truth, abs=1e-5)


def test_atoms_are_the_possible_states():
    """One atom for every combination of values in all worlds, no more; a world asked twice adds none."""
    plan = Plan(3, 6, "gumbel")
    y, actions = plan.names[-1], [{"v0": 0}, {"v0": 1}]
    scm = plan.scm()
    cf = scm.counterfactual(plan.evidence, do={"a": actions[0], "b": actions[1]}, method="enumerate")
    again = {"a": actions[0], "b": actions[1], "c": actions[1], "as is": {}}
    more = scm.counterfactual(plan.evidence, do=again, method="enumerate")
    assert torch.equal(cf.diagnostics["atoms"], more.diagnostics["atoms"])
    assert torch.equal(cf.mean(lambda w: w["b"][y]), more.mean(lambda w: w["c"][y]))
    for unit in range(3):
        states = plan.truth(unit, actions, lambda f, a, b: True)[2]
        assert states <= cf.diagnostics["atoms"][unit] <= 3 * states  # they tell x's natural value as well
    worlds = [cf.factual, *cf.worlds.values(), *cf.natural.values()]
    for unit in range(3):
        real = cf.noise.weights[:, unit] > 0
        rows = torch.stack([w[n][real, unit] for w in worlds for n in w], -1)
        assert len(rows.unique(dim=0)) == real.sum() == cf.diagnostics["atoms"][unit]


def test_noise_without_worlds_answers_for_all_of_them():
    """Plain abduction tells noise apart by all values of the parents."""
    plan = Plan(5, 4, "gumbel")
    scm, y = plan.scm(), plan.names[-1]
    noise = scm.abduct(plan.evidence)
    assert noise.weights is not None
    for actions in ({"v0": 0}, {"v1": 1}, {"v0": 1, "v2": 0}):
        cf = scm.counterfactual(plan.evidence, do=actions)
        later = scm.do(actions).predict(noise)
        assert torch.allclose(later.mean(lambda v: v[y] == 0), cf.mean(lambda v: v[y] == 0), atol=1e-6)
        assert later.num_draws > cf.num_draws


def test_noise_gives_the_evidence_back():
    plan = Plan(4, 8, "monotone")
    scm = plan.scm()
    cf = scm.counterfactual(plan.evidence, do={"a": {"v0": 0}, "b": {"v0": 1}}, method="enumerate")
    again = scm.predict(cf.noise)
    for name, values in plan.evidence.items():
        assert (again[name] == torch.tensor(values))[cf.noise.weights > 0].all()


# ---- draws


def test_draws_are_from_the_exact_posterior():
    scm = pc.SCM(mixture, latent=["z"])
    e = {"x": [0.3, 2.5], "y": [1.0, 6.0]}
    exact = scm.counterfactual(e, do={"x": 1.0})
    drawn = scm.counterfactual(e, do={"x": 1.0}, num_samples=2000, seed=0)
    assert drawn.diagnostics["method"] == "enumerate" and drawn.noise.weights is None
    assert torch.allclose(drawn.mean("y"), exact.mean("y"), atol=0.01)  # systematic: 1 / 2000 a class
    assert torch.allclose(drawn.factual["y"], torch.tensor(e["y"]).expand(2000, 2))


def test_draws_need_no_cells():
    """Noise with infinitely many cells is drawn: counts below a latent class, in a world that moves them."""

    def program():
        z = pyro.sample("z", dist.Bernoulli(0.5))
        x = pyro.sample("x", dist.Bernoulli(0.5))
        pyro.sample("n", dist.Poisson(1.0 + 2 * z + x))

    scm = pc.SCM(program, latent=["z"])
    e = {"x": [0.0], "n": [3.0]}
    with pytest.raises(EvidenceError, match=r"'n' can't be told apart.*num_samples"):
        scm.counterfactual(e, do={"x": 1}, method="enumerate")
    cf = scm.counterfactual(e, do={"x": 1}, seed=0)
    assert cf.diagnostics["method"] == "enumerate" and cf.num_draws == 1000
    k = torch.arange(40).double()
    likelihood = dist.Poisson(torch.tensor([1.0, 3.0])).log_prob(torch.tensor(3.0)).exp()
    posterior = likelihood / likelihood.sum()
    assert cf.factual.mean("z").item() == pytest.approx(posterior[1].item(), abs=2e-3)
    cdf = [torch.special.gammaincc(k + 1, torch.tensor(rate).double()) for rate in (1.0, 3.0, 2.0, 4.0)]
    truth = 0.0
    for z in range(2):
        low, high = cdf[z][2], cdf[z][3]
        top = cdf[2 + z]
        under = torch.cat([torch.zeros(1), top[:-1]])
        overlap = (torch.minimum(high, top) - torch.maximum(low, under)).clamp_min(0) / (high - low)
        truth += posterior[z] * (overlap * k).sum()
    assert cf.mean("n").item() == pytest.approx(float(truth), abs=0.05)
    fixed = scm.counterfactual(e, do={"z": 1}, method="enumerate", num_samples=10)
    assert (fixed["n"] >= 3).all()
    unmoved = pc.SCM(program, latent=["z"]).counterfactual({"x": [0.0], "n": [3.0]}, do={"n": 5})
    assert unmoved.num_draws == 2  # nothing moves the count: it has one noise


def test_many_levels_race_in_three_worlds_as_draws():
    logits = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))

    def program():
        z = pyro.sample("z", dist.Bernoulli(0.5))
        x = pyro.sample("x", dist.Categorical(torch.ones(3) / 3))
        pyro.sample("y", dist.Categorical(logits=table(logits, x) * (1 + z)))

    scm = pc.SCM(program, latent=["z"])
    do = {"a": {"x": 1}, "b": {"x": 2}}
    assert scm.counterfactual({"x": [0], "y": [1]}, do=do).num_draws == 1000
    two = scm.counterfactual({"x": [0], "y": [1]}, do={"x": 1})
    assert two.noise.weights is not None  # two tables have a closed form
    drawn = scm.counterfactual({"x": [0], "y": [1]}, do={"x": 1}, num_samples=20_000, seed=0)
    for k in range(6):
        exact = two.mean(lambda w, k=k: w["y"] == k).item()
        assert exact == pytest.approx(drawn.mean(lambda w, k=k: w["y"] == k).item(), abs=0.015)


# ---- all kinds of actions, evidence and variables


def mediated():
    z = pyro.sample("z", dist.Bernoulli(0.4))
    x = pyro.sample("x", dist.Bernoulli(0.2 + 0.5 * z))
    m = pyro.sample("m", dist.Bernoulli(0.1 + 0.3 * x + 0.4 * z))
    pyro.sample("y", dist.Bernoulli(0.1 + 0.2 * x + 0.3 * m + 0.3 * z))


MEDIATED = {"x": [0.0, 1.0, 1.0], "m": [0.0, 0.0, 1.0], "y": [0.0, 1.0, 0.0]}
VALUE_A_UNIT = torch.tensor([1.0, 0.0, 1.0])


@pytest.mark.parametrize(
    "do",
    [
        {"x": 1, "m": pc.natural(x=0)},
        {"x": pc.edge(m=1)},
        {"x": lambda v: 1 - v},
        {"m": pc.policy(lambda v: 1 - v["z"])},
        {"x": VALUE_A_UNIT},
        {"m": pc.natural(x=VALUE_A_UNIT), "x": 0},
        {"z": 1},
    ],
    ids=["natural", "edge", "shift", "policy", "value a unit", "natural value a unit", "latent"],
)
def test_every_action_agrees_with_importance_sampling(do):
    scm = pc.SCM(mediated, latent=["z"])
    exact = scm.counterfactual(MEDIATED, do=do)
    assert exact.diagnostics["method"] == "enumerate"
    sampled = scm.counterfactual(MEDIATED, do=do, method="importance", num_samples=20_000, seed=0)
    for name in ("m", "y"):
        assert torch.allclose(exact.mean(name), sampled.mean(name), atol=0.015)
    assert not torch.allclose(exact.mean("y"), exact.factual.mean("y"), atol=0.05)  # control: it acts
    natural = exact.natural["do"], sampled.natural["do"]
    for name in natural[0]:
        assert torch.allclose(natural[0].mean(name), natural[1].mean(name), atol=0.015)


def test_values_a_unit_in_several_worlds():
    scm = pc.SCM(mediated, latent=["z"])
    worlds = {"a": {"x": VALUE_A_UNIT}, "b": {"x": 1 - VALUE_A_UNIT}}
    both = scm.counterfactual(MEDIATED, do=worlds)
    one, other = (scm.counterfactual(MEDIATED, do=do).mean("y") for do in worlds.values())
    assert torch.allclose(both.mean(lambda w: w["a"]["y"]), one)
    assert torch.allclose(both.mean(lambda w: w["b"]["y"]), other) and not torch.allclose(one, other)


def test_a_natural_direct_effect_by_hand():
    """E[Y_{x=1, M_{x=0}} - Y_{x=0}] for units of whom nothing is known, summed over z and m."""

    def program():
        mediated()
        pyro.sample("w", dist.Normal(0.0, 1.0))

    nan = [math.nan]
    cf = pc.SCM(program, latent=["z"]).counterfactual(
        {"x": nan, "m": nan, "y": nan, "w": [0.0]},
        do={"direct": {"x": 1, "m": pc.natural(x=0)}, "none": {"x": 0}},
        missing="abduct",
    )
    assert cf.mean(lambda w: w["direct"]["y"] - w["none"]["y"]).item() == pytest.approx(0.2, abs=1e-6)
    mean_y = sum(pz * (0.1 + 0.3 * (0.1 + 0.4 * z) + 0.3 * z) for z, pz in ((0, 0.6), (1, 0.4)))
    assert cf.mean(lambda w: w["none"]["y"]).item() == pytest.approx(mean_y, abs=1e-6)


def test_evidence_in_a_submodel():
    scm = pc.SCM(mediated, latent=["z"])
    treated = scm.do(x=1)
    e = {"m": [0.0, 1.0], "y": [1.0, 0.0]}
    back = treated.counterfactual(e, do={"x": 0}).mean("y")
    joint = []
    for z in (0, 1):
        pm = 0.4 + 0.4 * z
        py = [0.3 + 0.3 * m + 0.3 * z for m in (0, 1)]
        joint.append([(1, 0.6, 0.4)[1 + z] * (1 - pm) * py[0], (1, 0.6, 0.4)[1 + z] * pm * (1 - py[1])])
    z_given = np.array(joint) / np.sum(joint, 0)
    # unit 0: m stays 0 under x = 0, and y = 1 stays with probability (py - 0.2) / py
    stays = [(0.1 + 0.3 * z) / (0.3 + 0.3 * z) for z in (0, 1)]
    assert back[0].item() == pytest.approx(float(z_given[:, 0] @ stays), abs=1e-6)
    assert back[1].item() == pytest.approx(0.0, abs=1e-6)
    assert np.abs(z_given[:, 0] - [0.6, 0.4]).max() > 0.05  # control: the evidence tells of z


def test_a_trial_whose_assignment_was_seen():
    trial = pc.SCM(mediated, latent=["z"]).do(x=dist.Bernoulli(0.5))
    cf = trial.counterfactual(MEDIATED, do={"m": 1}, method="enumerate")
    assert torch.equal(cf["x"], torch.tensor(MEDIATED["x"]).expand_as(cf["x"]))
    prior = pc.SCM(mediated, latent=["z"]).counterfactual(MEDIATED, do={"m": 1})
    assert not torch.allclose(
        cf.factual.mean("z"), prior.factual.mean("z"), atol=0.02
    )  # x tells nothing of z
    z = torch.tensor([0.0, 1.0])[:, None]
    x, m, y = (torch.tensor(MEDIATED[n]) for n in "xmy")
    pm, py = 0.1 + 0.3 * x + 0.4 * z, 0.1 + 0.2 * x + 0.3 * m + 0.3 * z
    joint = torch.tensor([[0.6], [0.4]]) * torch.where(m == 1, pm, 1 - pm) * torch.where(y == 1, py, 1 - py)
    assert torch.allclose(cf.factual.mean("z").float(), joint[1] / joint.sum(0), atol=1e-6)


def test_computed_evidence_selects():
    def program():
        a = pyro.sample("a", dist.Bernoulli(0.3))
        b = pyro.sample("b", dist.Bernoulli(0.6))
        parity = pyro.deterministic("parity", (a + b) % 2)
        pyro.sample("y", dist.Normal(parity + a, 1.0))

    scm = pc.SCM(program, latent=["a", "b"])
    noise = scm.abduct({"parity": [1.0, 0.0], "y": [1.0, 1.0]})
    density = dist.Normal(torch.tensor([0.0, 1.0, 2.0]), 1.0).log_prob(torch.tensor(1.0)).exp()
    odd = 0.3 * 0.4 * density[2], 0.7 * 0.6 * density[1]
    even = 0.3 * 0.6 * density[1], 0.7 * 0.4 * density[0]
    truth = torch.stack([odd[0] / sum(odd), even[0] / sum(even)])
    assert torch.allclose(noise.factual.mean("a").float(), truth, atol=1e-6)
    acted = scm.counterfactual({"parity": [1.0], "y": [1.0]}, do={"a": 1})
    assert acted.mean("parity").item() == pytest.approx((odd[0] / sum(odd)).item(), abs=1e-6)


def test_vectors_and_one_hot_values():
    def program():
        k = pyro.sample("k", dist.OneHotCategorical(OF_Z))
        bits = pyro.sample("bits", dist.Bernoulli(0.2 + 0.3 * k).to_event(1))
        pyro.sample(
            "c",
            dist.Categorical(torch.stack([0.2 + 0.3 * bits, 0.5 - 0.3 * bits, 0.3 + 0 * bits], -1)).to_event(
                1
            ),
        )

    scm = pc.SCM(program, latent=["k"])
    bits = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    c = torch.tensor([[0, 1, 2], [2, 2, 0]])
    p = 0.2 + 0.3 * torch.eye(3)[:, None]
    joint = OF_Z[:, None] * torch.where(bits == 1, p, 1 - p).prod(-1)
    cf = scm.counterfactual({"bits": bits, "c": c}, do={"k": torch.tensor([0.0, 1.0, 0.0])})
    assert torch.allclose(cf.factual.mean("k").float().T, joint / joint.sum(0), atol=1e-6)
    own = 0.2 + 0.3 * torch.eye(3)  # P(bit | k), rows by k
    now = own[1]
    stay = torch.where(bits[:, None] == 1, (now / own).clamp(max=1), ((own - now) / -(1 - own)).clamp_min(0))
    truth = ((joint / joint.sum(0)).T[..., None] * stay).sum(1)
    assert torch.allclose(cf.mean("bits").float(), truth, atol=1e-5)
    sampled = scm.counterfactual(
        {"bits": bits, "c": c}, do={"k": torch.tensor([0.0, 1.0, 0.0])}, num_samples=20_000, seed=0
    )
    assert torch.allclose(cf.mean("c"), sampled.mean("c"), atol=0.02)


def test_a_vector_may_lack_some_numbers():
    def program():
        z = pyro.sample("z", dist.Bernoulli(0.5))
        pyro.sample("b", dist.Bernoulli((0.2 + 0.6 * z) * torch.ones(2)).to_event(1))

    scm = pc.SCM(program, latent=["z"])
    noise = scm.abduct({"b": torch.tensor([[1.0, math.nan], [1.0, 1.0]])}, missing="abduct")
    assert noise.factual.mean("z").tolist() == pytest.approx([0.8, 0.64 / 0.68], abs=1e-6)
    assert noise.factual.mean("b")[0].tolist() == pytest.approx([1.0, 0.8 * 0.8 + 0.2 * 0.2], abs=1e-6)


def test_a_program_that_branches_runs_unit_by_unit():
    def program():
        z = pyro.sample("z", dist.Bernoulli(0.5))
        x = pyro.sample("x", dist.Normal(3.0, 1.0) if z > 0 else dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x + z, 1.0))

    cf = pc.SCM(program, latent=["z"]).counterfactual({"x": [1.0], "y": [1.0]}, do={"x": 0.0})
    odds = torch.stack([dist.Normal(3.0 * z, 1.0).log_prob(torch.tensor(1.0)) for z in (0, 1)])
    odds = odds + torch.stack([dist.Normal(1.0 + z, 1.0).log_prob(torch.tensor(1.0)) for z in (0, 1)])
    assert cf.factual.mean("z").item() == pytest.approx(torch.softmax(odds, 0)[1].item(), abs=1e-5)


# ---- extremes and errors


def test_extreme_probabilities():
    def program():
        z = pyro.sample("z", dist.Bernoulli(logits=torch.tensor(-90.0)))
        x = pyro.sample("x", dist.Bernoulli(z))
        pyro.sample("y", dist.Bernoulli(logits=90.0 * (2 * x - 1)))

    cf = pc.SCM(program, latent=["z"]).counterfactual({"x": [1.0, 0.0], "y": [1.0, 0.0]}, do={"z": 0})
    assert cf.factual.mean("z").tolist() == [1.0, 0.0]  # whatever the prior says
    assert cf.mean("y").tolist() == pytest.approx([0.0, 0.0], abs=1e-30)


def test_impossible_evidence_names_its_rows():
    def program():
        z = pyro.sample("z", dist.Bernoulli(0.5))
        x = pyro.sample("x", dist.Bernoulli(0.5 * z))
        pyro.sample("y", dist.Bernoulli(x))

    scm = pc.SCM(program, latent=["z"])
    with pytest.raises(EvidenceError, match=r"probability zero in row 1.*'y'"):
        scm.abduct({"x": [1.0, 0.0], "y": [1.0, 1.0]})
    assert scm.abduct({"x": [1.0, 0.0], "y": [1.0, 0.0]}).factual.mean("z").tolist() == pytest.approx(
        [1, 1 / 3]
    )


def latent_normal():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Bernoulli(logits=z))
    pyro.sample("y", dist.Bernoulli(logits=z + x))


def hidden_switch():
    z = pyro.sample("z", dist.Bernoulli(0.5))
    x = pyro.sample("x", dist.Normal(z, 1.0))
    pyro.sample("y", dist.Bernoulli(logits=x + z))


def sometimes():
    z = pyro.sample("z", dist.Bernoulli(0.5))
    x = pyro.sample("x", dist.Normal(z, 1.0))
    if x > 0:
        pyro.sample("y", dist.Normal(x + z, 1.0))


class Shared(PyroModule):
    def forward(self):
        w = pyro.sample("weight", dist.Normal(0.0, 1.0))
        with pc.units():
            z = pyro.sample("z", dist.Bernoulli(0.5))
            pyro.sample("y", dist.Normal(w * z, 1.0))


def test_errors_name_the_variable_and_a_way_out():
    xy = {"x": [1.0], "y": [1.0]}

    def refused(program, match, evidence=xy, **ask):
        scm = pc.SCM(program, latent=["z"])
        with pytest.raises(EvidenceError, match=match):
            scm.counterfactual(evidence, method="enumerate", **ask) if ask else scm.abduct(
                evidence, method="enumerate"
            )

    refused(latent_normal, "'z' is not observed and its values can't be enumerated.*importance", do={"x": 0})
    refused(hidden_switch, "'y' can't be told apart for every intervention.*counterfactual.*num_samples")
    refused(mediated, "on 'x' draws its value afresh.*num_samples", MEDIATED, do={"x": dist.Bernoulli(0.5)})
    refused(sometimes, "'y' occurs only in some branches", do={"x": 1.0})
    refused(Shared(), "weights that units share", {"y": [1.0]}, do={"z": 1})


def test_the_limit_is_an_error(monkeypatch):
    monkeypatch.setattr(import_module("pyrocausal.abduct.enumeration"), "MOST", 5)
    scm = pc.SCM(mediated, latent=["z"])
    with pytest.raises(EvidenceError, match=r"5 a unit.*num_samples=1000"):
        scm.counterfactual(MEDIATED, do={"a": {"x": 0}, "b": {"x": 1}}, method="enumerate")
    drawn = scm.counterfactual(MEDIATED, do={"a": {"x": 0}, "b": {"x": 1}}, seed=0)
    assert drawn.diagnostics["method"] == "enumerate" and drawn.num_draws == 1000


def test_auto_enumerates_where_it_can():
    def method(scm, evidence, **ask):
        found = scm.counterfactual(evidence, seed=0, **ask) if ask else scm.abduct(evidence, seed=0)
        return found.diagnostics["method"], found.num_draws

    seen = {"z": [1.0], "x": [0.0], "m": [0.0], "y": [0.0]}
    assert method(pc.SCM(mediated), seen, do={"x": 1}) == ("exact", 100)
    hidden = pc.SCM(mediated, latent=["z"])
    assert method(hidden, MEDIATED, do={"x": dist.Bernoulli(0.5)}) == ("enumerate", 1000)
    xy = {"x": [1.0], "y": [1.0]}
    assert method(pc.SCM(hidden_switch, latent=["z"]), xy) == ("enumerate", 1000)
    assert method(pc.SCM(latent_normal, latent=["z"]), xy)[0] != "enumerate"


def test_what_is_fully_observed_can_be_enumerated_too():
    """Under x = 1, m rises with probability 0.3 / 0.5, and y with 0.2 / 0.6 or, where m rose, 0.5 / 0.6."""
    seen = {"z": [1.0], "x": [0.0], "m": [0.0], "y": [0.0]}
    cf = pc.SCM(mediated).counterfactual(seen, do={"x": 1}, method="enumerate")
    assert cf.mean("y").item() == pytest.approx(0.4 * 0.2 / 0.6 + 0.6 * 0.5 / 0.6, abs=1e-6)
