"""`infer`: the posterior of a variable given others, by Bayes' rule or by draws."""

import itertools
import math

import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.errors import DataError, EvidenceError, UnknownVariable
from pyrocausal.guides import Amortized

Z = 5.0  # standard errors: a right answer is rejected with probability 6e-7 a number; the seeds are fixed


# ---- discrete

A = torch.tensor([0.2, 0.5, 0.3])  # P(a)
B = torch.tensor([0.9, 0.4, 0.1])  # P(b = 1 | a)
C = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])  # P(c | b)
D = torch.tensor([[0.1, 0.7, 0.4], [0.8, 0.2, 0.9], [0.3, 0.5, 0.6]])  # P(d = 1 | a, c)


def network():
    a = pyro.sample("a", dist.Categorical(A))
    b = pyro.sample("b", dist.Bernoulli(B[a]))
    c = pyro.sample("c", dist.Categorical(C[b.long()]))
    pyro.sample("d", dist.Bernoulli(D[a, c]))


def joint():
    """P(a, b, c, d), by hand."""
    b = torch.stack([1 - B, B], -1)
    d = torch.stack([1 - D, D], -1)
    return A[:, None, None, None] * b[:, :, None, None] * C[None, :, :, None] * d[:, None]


NAMES = "abcd"
ASKED = [
    (name, given)
    for name in NAMES
    for size in (1, 2, 3)
    for given in itertools.combinations([n for n in NAMES if n != name], size)
]


@pytest.fixture(scope="module")
def discrete():
    return pc.SCM(network)


@pytest.mark.parametrize(("name", "given"), ASKED, ids=lambda x: "".join(x))
def test_bayes_rule_against_brute_force(discrete, name, given):
    cells = list(itertools.product(*(range(joint().shape[NAMES.index(n)]) for n in given)))
    columns = {n: [float(cell[i]) for cell in cells] for i, n in enumerate(given)}
    found = discrete.infer(name, given=columns)
    rest = [n for n in NAMES if n != name and n not in given]
    summed = joint().sum([NAMES.index(n) for n in rest]) if rest else joint()
    order = [n for n in NAMES if n not in rest]
    by_cell = summed.movedim(order.index(name), -1).reshape(len(cells), -1)
    truth = by_cell / by_cell.sum(-1, keepdim=True)
    assert torch.allclose(found.probs, truth.double(), atol=1e-5)
    assert torch.equal(found.mode.long(), truth.argmax(-1))
    alone = joint().sum([i for i, n in enumerate(NAMES) if n != name]).double()
    assert not torch.allclose(found.probs, alone.expand_as(found.probs), atol=1e-2)  # control: the prior


def test_mean_and_variance_are_the_posteriors(discrete):
    found = discrete.infer("a", given={"d": [0.0, 1.0]})
    levels = torch.arange(3, dtype=torch.double)
    mean = found.probs @ levels
    assert torch.allclose(found.mean("a"), mean)
    assert torch.allclose(found.var("a"), found.probs @ levels**2 - mean**2)


def test_a_submodel_answers_for_itself(discrete):
    """Under do(c) the edge b -> c is gone: c tells nothing of b, d does through a."""
    found = discrete.do(c=1).infer("b", given={"d": [0.0, 1.0]})
    d = torch.stack([1 - D[:, 1], D[:, 1]], -1)
    weights = (A[:, None, None] * torch.stack([1 - B, B], -1)[:, :, None] * d[:, None]).sum(0).T
    assert torch.allclose(found.probs, (weights / weights.sum(-1, keepdim=True)).double(), atol=1e-5)
    seen = discrete.infer("b", given={"d": [0.0, 1.0], "c": [1.0, 1.0]})
    assert not torch.allclose(found.probs, seen.probs, atol=1e-2)  # control: seeing is not doing


def test_one_hot_levels():
    def program():
        h = pyro.sample("h", dist.OneHotCategorical(torch.tensor([0.2, 0.3, 0.5])))
        pyro.sample("x", dist.Normal(h @ torch.tensor([0.0, 1.0, 2.0]), 1.0))

    x = torch.tensor([0.0, 3.0])
    found = pc.SCM(program).infer("h", given={"x": x})
    weights = torch.tensor([0.2, 0.3, 0.5]) * dist.Normal(torch.arange(3.0), 1.0).log_prob(x[:, None]).exp()
    assert torch.allclose(found.probs, (weights / weights.sum(-1, keepdim=True)).double(), atol=1e-5)
    assert found.mode.shape == (2, 3) and (found.mode.sum(-1) == 1).all()


# ---- discrete beside continuous


def classes():
    k = pyro.sample("k", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
    z = pyro.sample("z", dist.Normal(2.0 * k, 1.0))
    x = pyro.sample("x", dist.Normal(z, 1.0))
    pyro.sample("w", dist.Normal(x, 1.0))


def of_class(x):
    """P(k | x), and the relative standard error of its weights from one draw of z."""
    loc = 2.0 * torch.arange(3.0)
    p = dist.Normal(loc, 2**0.5).log_prob(x[:, None]).exp()
    square = dist.Normal(loc, 1.5**0.5).log_prob(x[:, None]).exp() / (2 * math.pi**0.5)
    weights = torch.tensor([0.2, 0.3, 0.5]) * p
    return weights / weights.sum(-1, keepdim=True), ((square - p**2).sqrt() / p).amax(-1)


def test_a_continuous_variable_is_averaged_over():
    x, n = torch.tensor([0.0, 1.3, 4.0]), 20_000
    found = pc.SCM(classes).infer("k", given={"x": x}, num_samples=n, seed=0)
    truth, relative = of_class(x)
    error = Z * (relative / n**0.5)[:, None]  # of p_k: at most the relative error of any weight
    assert ((found.probs - truth).abs() < error).all() and (error < 0.2).all()
    assert ((found.probs - torch.tensor([0.2, 0.3, 0.5])).abs() > error).any()  # control: the prior


def test_what_comes_after_all_evidence_costs_nothing():
    x = torch.tensor([0.0, 1.3])
    found = pc.SCM(classes).infer("k", given={"z": x, "x": x + 1}, num_samples=2, seed=0)
    weights = (
        torch.tensor([0.2, 0.3, 0.5]) * dist.Normal(2.0 * torch.arange(3.0), 1.0).log_prob(x[:, None]).exp()
    )
    assert torch.allclose(found.probs, (weights / weights.sum(-1, keepdim=True)).double(), atol=1e-5)


def test_a_generative_classifier_with_a_guide():
    """The guide is asked for z at every level; it is the posterior, so one draw gives the exact answer."""

    def program():
        k = pyro.sample("k", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
        z = pyro.sample("z", dist.Normal(2.0 * k, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0))

    x = torch.tensor([0.0, 1.3, 4.0])
    guide = Amortized(z=lambda x, k: dist.Normal((x + 2.0 * k) / 2, 0.5**0.5))
    scm = pc.SCM(program, latent=["z"], guide=guide)
    truth = of_class(x)[0].double()
    assert torch.allclose(scm.infer("k", given={"x": x}, num_samples=1, seed=0).probs, truth, atol=1e-5)
    plain = pc.SCM(program, latent=["z"]).infer("k", given={"x": x}, num_samples=1, seed=0)
    assert not torch.allclose(plain.probs, truth, atol=1e-2)  # control: one draw of the prior


# ---- continuous


def chain():
    x = pyro.sample("x", dist.Normal(1.0, 1.0))
    y = pyro.sample("y", dist.Normal(0.5 * x, 1.0))
    pyro.sample("w", dist.Normal(x + 2 * y, 1.0))


MEAN = torch.tensor([1.0, 0.5, 2.0], dtype=torch.double)
L = torch.tensor([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [2.0, 2.0, 1.0]], dtype=torch.double)
COVARIANCE = L @ L.T
PAIRS = [
    (name, given)
    for name in "xyw"
    for size in (1, 2)
    for given in itertools.combinations([n for n in "xyw" if n != name], size)
]


@pytest.mark.parametrize(("name", "given"), PAIRS, ids=lambda x: "".join(x))
def test_gaussian_posteriors(name, given):
    n = 20_000
    index, rest = "xyw".index(name), ["xyw".index(g) for g in given]
    value = torch.tensor([2.0, 1.0][: len(given)], dtype=torch.double)
    gain = COVARIANCE[index, rest] @ torch.linalg.inv(COVARIANCE[rest][:, rest])
    mean = MEAN[index] + gain @ (value - MEAN[rest])
    variance = COVARIANCE[index, index] - gain @ COVARIANCE[rest, index]
    e = {g: value[i : i + 1].float() for i, g in enumerate(given)}
    found = pc.SCM(chain).infer(name, given=e, method="importance", num_samples=n, seed=0)
    effective = found.diagnostics["ess"][0].item()
    assert abs(found.mean(name)[0] - mean) < Z * (variance / effective).sqrt()
    assert abs(found.var(name)[0] - variance) < Z * variance * (2 / effective) ** 0.5
    assert abs(COVARIANCE[index, index] - variance) > Z * variance * (2 / effective) ** 0.5  # control: prior
    with pytest.raises(DataError, match="no levels"):
        _ = found.probs


def test_a_computed_variable_is_inferred_from_its_causes():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        double = pyro.deterministic("double", 2 * z)
        pyro.sample("x", dist.Normal(double, 1.0))

    found = pc.SCM(program).infer("double", given={"x": [5.0]}, num_samples=20_000, seed=0)
    effective = found.diagnostics["ess"][0].item()
    assert abs(found.mean("double")[0] - 4.0) < Z * (0.8 / effective) ** 0.5


# ---- names and shapes


def test_names_go_in_and_come_out():
    class Named(PyroModule):
        def __init__(self):
            super().__init__()
            self.k, self.j = m.Categorical(["low", "mid", "high"]), m.Categorical(["no", "yes"])

        def forward(self):
            k = pyro.sample("k", self.k())
            pyro.sample("j", self.j(k))

    scm = pc.SCM(Named())
    frame = pd.DataFrame({"j": ["yes", "no"]}, index=["ann", "bob"])
    found = scm.infer("k", given=frame).to_pandas()
    assert list(found.columns) == ["low", "mid", "high"] and list(found.index) == ["ann", "bob"]
    assert found.columns.name == "k"
    logs = torch.stack([scm.log_prob({"k": [k] * 2, "j": ["yes", "no"]}) for k in ("low", "mid", "high")])
    assert torch.allclose(torch.tensor(found.to_numpy()), torch.softmax(logs.double(), 0).T, atol=1e-5)
    with pytest.raises(DataError, match="did you mean 'yes'"):
        scm.infer("k", given={"j": ["yess"]})


def test_binary_and_continuous_columns(discrete):
    assert list(discrete.infer("b", given={"a": [0, 1]}).to_pandas().columns) == [0, 1]
    draws = pc.SCM(chain).infer("x", given={"y": [0.0]}, num_samples=10, seed=0)
    assert draws.to_pandas().shape == (1, 1) and draws.to_pandas(draws=True).shape == (10, 1)
    assert draws["x"].shape == (10, 1)


def test_seeds():
    scm = pc.SCM(classes)
    one, same, other = (scm.infer("k", given={"x": [1.0]}, seed=s, num_samples=20).probs for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


# ---- errors


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda s: s.infer("kk", given={"x": [1.0]}), UnknownVariable, "did you mean 'k'"),
        (lambda s: s.infer("k", given={"xx": [1.0]}), DataError, "variable"),
        (lambda s: s.infer("k", given={"x": [1.0], "xx": [1.0]}), UnknownVariable, "did you mean 'x'"),
        (lambda s: s.infer("k", given={"x": [1.0], "k": [1]}), EvidenceError, "both asked for and given"),
        (lambda s: s.infer("k", given={}), DataError, "no variable"),
        (lambda s: s.infer("k", given=None), DataError, "no table"),
        (lambda s: s.infer("k", given={"x": [float("nan")]}), DataError, "missing"),
        (lambda s: s.infer("k", given={"x": [1.0], "z": [1.0, 2.0]}), DataError, "differ in length"),
        (lambda s: s.infer("k", given={"x": [1.0]}, num_samples=0), DataError, "num_samples=0"),
        (lambda s: s.infer("z", given={"x": [1.0]}, num_samples=0), DataError, "num_samples=0"),
        (lambda s: s.infer("z", given={"x": [1.0]}, method="magic"), EvidenceError, "'magic'"),
        (lambda s: s.infer("z", given={"x": [1.0]}, method="exact"), EvidenceError, "computed exactly"),
    ],
)
def test_questions_that_can_not_be_asked(ask, error, says):
    with pytest.raises(error, match=says):
        ask(pc.SCM(classes))


# ---- for the owner of scm/asking.py and abduct/problem.py


def counted():
    k = pyro.sample("k", dist.Poisson(3.0))
    pyro.sample("x", dist.Normal(k, 1.0))


def test_a_count_is_inferred_by_draws():
    found = pc.SCM(counted).infer("k", given={"x": [5.0]}, num_samples=20_000, seed=0)
    levels = torch.arange(40.0, dtype=torch.double)
    p = torch.softmax(
        dist.Poisson(3.0).log_prob(levels) + dist.Normal(levels, 1.0).log_prob(torch.tensor(5.0)), 0
    )
    assert abs(found.mean("k")[0] - p @ levels) < 0.1


def test_a_variable_that_do_has_set_is_not_asked_for(discrete):
    with pytest.raises(EvidenceError, match="set by do"):
        discrete.do(b=1).infer("b", given={"d": [1.0]})


def test_evidence_on_what_is_computed_from_the_unobserved_is_refused():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        double = pyro.deterministic("double", 2 * z)
        pyro.sample("x", dist.Normal(double, 1.0))

    with pytest.raises(EvidenceError):
        pc.SCM(program).infer("z", given={"double": [3.0]})


def test_a_guide_that_can_not_read_what_is_given_is_not_asked():
    def program():
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Normal(z, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0))

    scm = pc.SCM(program, latent=["z"], guide=Amortized(z=lambda x, y: dist.Normal(x / 2, 0.5**0.5)))
    found = scm.infer("z", given={"x": [2.0]}, num_samples=20_000, seed=0)
    assert abs(found.mean("z")[0] - 1.0) < 0.1
