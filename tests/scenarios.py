"""Small SCMs with closed-form answers, shared by all tests.

Each scenario is a program about one unit, an action, and the truth worked out by hand, in batched torch
and without the toolkit: `truth` maps the values of units to what they would have been under the action,
`posterior` to the probability of each value of a discrete variable.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyro
import pyro.distributions as dist
import torch
import zuko
from pyro.nn import PyroModule
from torch import Tensor, nn

import pyrocausal as pc

Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Scenario:
    name: str
    build: Callable[[], Callable[[], Any]]  # a fresh program
    graph: str
    do: Mapping[str, Any]
    truth: Callable[[Values], Mapping[str, Tensor]]  # counterfactual values of the variables that move
    posterior: Callable[[Values], Mapping[str, Tensor]] | None = (
        None  # P(variable = k | evidence), levels last
    )
    vectorised: bool = True
    tolerance: float = 1e-5  # times the scale of the variable

    def scm(self, **options: Any) -> pc.SCM:
        return pc.SCM(self.build(), **options)

    def __str__(self) -> str:
        return self.name


def of(program: Callable[[], Any]) -> Callable[[], Callable[[], Any]]:
    """A factory of a program that keeps nothing."""
    return lambda: program


# ---- continuous: exact answers


def confounded():
    z = pyro.sample("z", dist.Normal(1.0, 2.0))
    x = pyro.sample("x", dist.Normal(0.5 * z, 1.0))
    pyro.sample("y", dist.Normal(2 * x + z, 0.5))


def chain():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    m = pyro.sample("m", dist.Normal(0.5 * x, 1.0))
    pyro.sample("y", dist.Normal(x + 2 * m, 1.0))


def mediated():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    m = pyro.sample("m", dist.Normal(x, 1.0))
    pyro.sample("y", dist.Normal(m, 1.0))


def heteroscedastic():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(torch.sin(x), torch.exp(x / 2)))


def log_normal():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.LogNormal(x, 0.5))


def exponential():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Exponential(torch.exp(x)))


def laplace():
    x = pyro.sample("x", dist.Uniform(-1.0, 1.0))
    pyro.sample("y", dist.Laplace(x**2, 1 + x**2))


def pyro_flow():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    affine = dist.transforms.AffineTransform(x, 1 + x**2)
    pyro.sample(
        "y", dist.TransformedDistribution(dist.Normal(0.0, 1.0), [affine, dist.transforms.ExpTransform()])
    )


SHAPE = [torch.linspace(-1, 1, 8), torch.linspace(1, -1, 8), torch.linspace(0, 1, 7)]


def zuko_flow():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    spline = zuko.transforms.MonotonicRQSTransform(*SHAPE)
    shift = zuko.transforms.MonotonicAffineTransform(x, x / 2)
    pyro.sample("y", dist.TransformedDistribution(dist.Normal(0.0, 1.0), [spline, shift]))


W = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.0, 3.0]])
FACTOR = torch.tensor([[1.0, 0.0, 0.0], [0.5, 2.0, 0.0], [-1.0, 0.3, 0.5]])


def matrix():
    v = pyro.sample("v", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.sample("y", dist.MultivariateNormal(W @ v, scale_tril=torch.exp(v[0]) * FACTOR))


def vector_scale():
    v = pyro.sample("v", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.sample("y", dist.Normal(v.flip(0), 1 + v**2).to_event(1))


def masked():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x, 2.0).mask(False))


def expanded():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x, 2.0).expand([3]).mask(torch.tensor([True, False, True])).to_event(1))


def deterministic():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    square = pyro.deterministic("square", x**2)
    pyro.sample("y", dist.Normal(square, 1.0))


# ---- one unit's code that batches get wrong


def mean_of_vector():
    v = pyro.sample("v", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.sample("y", dist.Normal(v.mean(), 1.0))


def softmax_over_first():
    v = pyro.sample("v", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.sample("y", dist.Normal(torch.softmax(v, 0), 1.0).to_event(1))


KERNEL = torch.tensor([[[1.0, -2.0, 1.0]]])


def convolution():
    image = pyro.sample("image", dist.Normal(torch.zeros(1, 6), 1.0).to_event(2))
    smooth = torch.nn.functional.conv1d(image[None], KERNEL, padding=1)[0]
    pyro.sample("y", dist.Normal(smooth, 1.0).to_event(2))


TABLE = torch.tensor([-1.0, 0.0, 5.0])


def table_lookup():
    k = pyro.sample("k", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
    pyro.sample("y", dist.Normal(TABLE[k], 1.0))


def repeated_measures():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    with pyro.plate("visit", 3):
        pyro.sample("y", dist.Normal(x * torch.tensor([1.0, 2.0, 3.0]), 1.0))


def branching():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    if z > 0:
        pyro.sample("y", dist.Normal(10.0 + z, 1.0))
    else:
        pyro.sample("y", dist.Normal(-z, 2.0))


# ---- where parameters live


class Module(PyroModule):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        return pyro.sample("y", dist.Normal(self.weight * x, 1.0))


def with_param():
    weight = pyro.param("weight", torch.tensor(3.0))
    scale = pyro.param("scale", torch.tensor(0.5), constraint=dist.constraints.positive)
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(weight * x, scale))


def over_a_layer():
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 3.0)

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(layer(x[None])[0], 1.0))

    return program


# ---- discrete: exact posteriors


def bernoulli():
    x = pyro.sample("x", dist.Bernoulli(0.4))
    pyro.sample("y", dist.Bernoulli(logits=1.5 * x - 1.0))


def gumbel_bernoulli():
    x = pyro.sample("x", dist.Bernoulli(0.4))
    pyro.sample("y", dist.Bernoulli(logits=1.5 * x - 1.0), infer={"noise": "gumbel"})


def gumbel_max():
    x = pyro.sample("x", dist.Bernoulli(0.4))
    pyro.sample("y", dist.Categorical(logits=x * torch.tensor([1.0, -1.0, 0.5])))


def monotone_categorical():
    x = pyro.sample("x", dist.Bernoulli(0.4))
    logits = x * torch.tensor([1.0, -1.0, 0.5])
    pyro.sample("y", dist.Categorical(logits=logits), infer={"noise": "monotone"})


def poisson():
    x = pyro.sample("x", dist.Bernoulli(0.4))
    pyro.sample("y", dist.Poisson(1.0 + 2.0 * x))


def mixed():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    t = pyro.sample("t", dist.Bernoulli(logits=z))
    y = pyro.sample("y", dist.Normal(2 * t + z, 1.0))
    pyro.sample("cured", dist.Bernoulli(logits=y))


def overlap(factual: Tensor, other: Tensor, seen: Tensor) -> Tensor:
    """P(X' = k | X = seen) for one monotone noise: the overlap of the two distributions' cells.

    Both are probabilities `(n, K)`; this is the inverse distribution function coupling, in exact arithmetic.
    """

    def cells(p: Tensor) -> tuple[Tensor, Tensor]:
        top = p.double().cumsum(-1)
        return top - p, top

    (low, high), (low2, high2) = cells(factual), cells(other)
    low, high = (c.gather(-1, seen.long()[:, None]) for c in (low, high))
    return (torch.minimum(high, high2) - torch.maximum(low, low2)).clamp_min(0) / (high - low)


def argmax_posterior(factual: Tensor, other: Tensor, seen: Tensor, draws: int = 1_000_000) -> Tensor:
    """P(argmax(other + g) = k | argmax(factual + g) = seen), by brute force: draw Gumbels, keep what fits."""
    generator = torch.Generator().manual_seed(20)
    gumbel = -torch.log(torch.empty(draws, factual.shape[-1]).exponential_(generator=generator))
    rows = []
    for f, o, k in zip(factual, other, seen):
        fits = (f + gumbel).argmax(-1) == k
        rows.append(torch.bincount((o + gumbel[fits]).argmax(-1), minlength=len(o)) / fits.sum())
    return torch.stack(rows)


def binary(p: Tensor) -> Tensor:
    return torch.stack([1 - p, p], -1)


def poisson_cells(rate: Tensor) -> Tensor:
    k = torch.arange(60)
    return dist.Poisson(rate.double()[:, None]).log_prob(k).exp()


def _bernoulli_truth(e: Values) -> dict[str, Tensor]:
    p = torch.sigmoid(1.5 * e["x"] - 1.0)
    return {"y": overlap(binary(p), binary(torch.sigmoid(torch.full_like(p, 0.5))), e["y"])}


def _three_logits(x: Tensor) -> Tensor:
    return x[:, None] * torch.tensor([1.0, -1.0, 0.5])


def _gumbel_max_truth(e: Values) -> dict[str, Tensor]:
    # the posterior depends on (x, y) only: brute force once for each pair
    pairs = {(x, y): None for x, y in zip(e["x"].tolist(), e["y"].tolist())}
    for x, y in pairs:
        one = torch.ones(1)
        pairs[x, y] = argmax_posterior(_three_logits(one * x), _three_logits(one), torch.tensor([y]))[0]
    return {"y": torch.stack([pairs[pair] for pair in zip(e["x"].tolist(), e["y"].tolist())])}


def _monotone_categorical_truth(e: Values) -> dict[str, Tensor]:
    p = torch.softmax(_three_logits(e["x"]), -1)
    return {"y": overlap(p, torch.softmax(_three_logits(torch.ones_like(e["x"])), -1), e["y"])}


def _mixed_posterior(e: Values) -> dict[str, Tensor]:
    y = e["y"] + 2 * (1 - e["t"])
    return {"cured": overlap(binary(torch.sigmoid(e["y"])), binary(torch.sigmoid(y)), e["cured"])}


def _standard(e: Values) -> Tensor:
    return (e["y"] - torch.sin(e["x"])) / torch.exp(e["x"] / 2)


def _zuko_scale(x: Tensor) -> Tensor:
    return torch.exp(x / 2 / (1 + (x / 2).abs() / math.log(1e3)))  # zuko clips slopes softly at 1e-3 and 1e3


def _conv(x: Tensor) -> Tensor:
    return torch.nn.functional.conv1d(x, KERNEL, padding=1)


def _branch_noise(e: Values) -> Tensor:
    return torch.where(e["z"] > 0, e["y"] - 10 - e["z"], (e["y"] + e["z"]) / 2)


def _matrix_truth(e: Values) -> dict[str, Tensor]:
    u = torch.linalg.solve(FACTOR, (e["y"] - e["v"] @ W.T).T).T / torch.exp(e["v"][:, :1])
    return {"y": W @ torch.tensor([1.0, -1.0]) + torch.exp(torch.tensor(1.0)) * u @ FACTOR.T}


EXACT = [
    Scenario("additive", of(confounded), "z -> x; z -> y; x -> y", {"x": 1.0},
             lambda e: {"y": e["y"] + 2 * (1 - e["x"])}),
    Scenario("chain", of(chain), "x -> m; x -> y; m -> y", {"x": -1.0},
             lambda e: {"m": e["m"] + 0.5 * (-1 - e["x"]), "y": e["y"] + 2 * (-1 - e["x"])}),
    Scenario("heteroscedastic", of(heteroscedastic), "x -> y", {"x": 2.0},
             lambda e: {"y": torch.sin(torch.tensor(2.0)) + torch.exp(torch.tensor(1.0)) * _standard(e)}),
    Scenario("log-normal", of(log_normal), "x -> y", {"x": 1.0},
             lambda e: {"y": e["y"] * torch.exp(1 - e["x"])}),
    Scenario("exponential", of(exponential), "x -> y", {"x": 1.0},
             lambda e: {"y": e["y"] * torch.exp(e["x"] - 1)}),
    Scenario("laplace", of(laplace), "x -> y", {"x": 0.5},
             lambda e: {"y": 0.25 + 1.25 * (e["y"] - e["x"] ** 2) / (1 + e["x"] ** 2)}),
    Scenario("pyro flow", of(pyro_flow), "x -> y", {"x": 1.0},
             lambda e: {"y": torch.exp(1 + 2 * (torch.log(e["y"]) - e["x"]) / (1 + e["x"] ** 2))}),
    Scenario("zuko flow", of(zuko_flow), "x -> y", {"x": 1.0},
             lambda e: {"y": 1 + _zuko_scale(torch.tensor(1.0)) * (e["y"] - e["x"]) / _zuko_scale(e["x"])}),
    Scenario("matrix", of(matrix), "v -> y", {"v": torch.tensor([1.0, -1.0])}, _matrix_truth, tolerance=1e-4),
    Scenario("vector scale", of(vector_scale), "v -> y", {"v": 2.0},
             lambda e: {"y": 2 + 5 * (e["y"] - e["v"].flip(1)) / (1 + e["v"] ** 2)}),
    Scenario("mask", of(masked), "x -> y", {"x": 1.0}, lambda e: {"y": e["y"] + 1 - e["x"]}),
    Scenario("expand", of(expanded), "x -> y", {"x": 1.0}, lambda e: {"y": e["y"] + 1 - e["x"][:, None]}),
    Scenario("deterministic", of(deterministic), "x -> square -> y", {"x": 2.0},
             lambda e: {"square": torch.full_like(e["x"], 4.0), "y": e["y"] + 4 - e["x"] ** 2}),
    Scenario("mean of a vector", of(mean_of_vector), "v -> y", {"v": 1.0},
             lambda e: {"y": e["y"] + 1 - e["v"].mean(1)}),
    Scenario("softmax over dim 0", of(softmax_over_first), "v -> y", {"v": torch.tensor([0.0, 0.0, 1.0])},
             lambda e: {"y": e["y"] - torch.softmax(e["v"], 1)
                        + torch.softmax(torch.tensor([0.0, 0.0, 1.0]), 0)}),
    Scenario("convolution", of(convolution), "image -> y", {"image": 1.0},
             lambda e: {"y": e["y"] - _conv(e["image"]) + _conv(torch.ones(1, 1, 6))}),
    Scenario("table lookup", of(table_lookup), "k -> y", {"k": 2},
             lambda e: {"y": e["y"] + 5 - TABLE[e["k"]]}),
    Scenario("repeated measures", of(repeated_measures), "x -> y", {"x": 1.0},
             lambda e: {"y": e["y"] + (1 - e["x"][:, None]) * torch.tensor([1.0, 2.0, 3.0])}),
    Scenario("branching", of(branching), "z -> y", {"z": -1.0},
             lambda e: {"y": 1 + 2 * _branch_noise(e)}, vectorised=False),
    Scenario("module", Module, "x -> y", {"x": 1.0}, lambda e: {"y": e["y"] + 3 * (1 - e["x"])}),
    Scenario("pyro.param", of(with_param), "x -> y", {"x": 1.0}, lambda e: {"y": e["y"] + 3 * (1 - e["x"])}),
    Scenario("closure over a layer", over_a_layer, "x -> y", {"x": 1.0},
             lambda e: {"y": e["y"] + 3 * (1 - e["x"])}),
]  # fmt: skip

DISCRETE = [
    Scenario("bernoulli", of(bernoulli), "x -> y", {"x": 1}, lambda e: {}, _bernoulli_truth),
    # two Gumbels race like one logistic, so both couplings of two levels give the same counterfactuals
    Scenario("bernoulli, gumbel", of(gumbel_bernoulli), "x -> y", {"x": 1}, lambda e: {}, _bernoulli_truth),
    Scenario("gumbel-max", of(gumbel_max), "x -> y", {"x": 1}, lambda e: {}, _gumbel_max_truth),
    Scenario("categorical, monotone", of(monotone_categorical), "x -> y", {"x": 1}, lambda e: {},
             _monotone_categorical_truth),
    Scenario("poisson", of(poisson), "x -> y", {"x": 1}, lambda e: {},
             lambda e: {"y": overlap(poisson_cells(1 + 2 * e["x"]),
                                     poisson_cells(torch.full_like(e["x"], 3.0)), e["y"])}),
    Scenario("mixed", of(mixed), "z -> t; z -> y; t -> y; y -> cured", {"t": 1},
             lambda e: {"y": e["y"] + 2 * (1 - e["t"])}, _mixed_posterior),
]  # fmt: skip

ALL = EXACT + DISCRETE


def cases(which: list[Scenario]) -> list[Any]:
    """The scenarios as pytest parameters."""
    import pytest

    return [pytest.param(s, id=s.name) for s in which]


def named(name: str) -> Scenario:
    return next(s for s in ALL if s.name == name)


# ---- random SCMs: a plan is plain data, so that a failing one can be read

FAMILIES = ("normal", "scale", "lognormal", "laplace", "vector", "mvn", "bernoulli", "categorical", "poisson")
DISCRETE_FAMILIES = ("bernoulli", "categorical", "poisson")


@dataclass(frozen=True)
class Site:
    name: str
    family: str
    parents: tuple[str, ...]
    weights: tuple[float, ...]

    @property
    def discrete(self) -> bool:
        return self.family in DISCRETE_FAMILIES

    def distribution(self, values: Values) -> Any:
        drive = sum(
            (
                w * torch.tanh(values[p].to(torch.get_default_dtype())).sum()
                for p, w in zip(self.parents, self.weights)
            ),
            start=torch.zeros(()),
        )
        match self.family:
            case "normal":
                return dist.Normal(drive, 0.5)
            case "scale":
                return dist.Normal(drive, torch.exp(0.5 * drive))
            case "lognormal":
                return dist.LogNormal(0.5 * drive, 0.5)
            case "laplace":
                return dist.Laplace(drive, 1.0)
            case "vector":
                return dist.Normal(drive * torch.tensor([1.0, -1.0]), 1.0).to_event(1)
            case "mvn":
                factor = torch.tensor([[1.0, 0.0], [0.5, 0.7]]) * torch.exp(0.3 * drive)
                return dist.MultivariateNormal(drive * torch.tensor([1.0, 2.0]), scale_tril=factor)
            case "bernoulli":
                return dist.Bernoulli(logits=drive)
            case "categorical":
                return dist.Categorical(logits=drive * torch.tensor([1.0, 0.0, -1.0]))
            case "poisson":
                return dist.Poisson(torch.exp(0.5 * drive))
        raise AssertionError(self.family)


@dataclass(frozen=True)
class Plan:
    """A random SCM: sites in causal order."""

    sites: tuple[Site, ...]

    @property
    def edges(self) -> set[tuple[str, str]]:
        return {(p, s.name) for s in self.sites for p in s.parents}

    def site(self, name: str) -> Site:
        return next(s for s in self.sites if s.name == name)

    def program(self) -> Callable[[], None]:
        def program():
            values: dict[str, Tensor] = {}
            for site in self.sites:
                values[site.name] = pyro.sample(site.name, site.distribution(values))

        return program


def plans() -> Any:
    """A hypothesis strategy of `Plan`s of 2 to 5 sites."""
    from hypothesis import strategies as st

    @st.composite
    def plan(draw: Any) -> Plan:
        names = [f"v{i}" for i in range(draw(st.integers(2, 5)))]
        sites = []
        for i, name in enumerate(names):
            parents = tuple(p for p in names[:i] if draw(st.booleans()))
            weights = tuple(draw(st.sampled_from([-2.0, -0.7, 0.7, 2.0])) for _ in parents)
            sites.append(Site(name, draw(st.sampled_from(FAMILIES)), parents, weights))
        return Plan(tuple(sites))

    return plan()


def every_family() -> Plan:
    """One fixed plan in which every family follows every other."""
    names = [f"v{i}" for i in range(len(FAMILIES))]
    weights = itertools.cycle([0.7, -0.7, 1.0])
    return Plan(
        tuple(
            Site(name, family, tuple(names[:i]), tuple(next(weights) for _ in range(i)))
            for i, (name, family) in enumerate(zip(names, FAMILIES))
        )
    )
