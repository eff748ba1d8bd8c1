"""Synthetic SCMs with known equations, hence with known interventional and counterfactual truth.

Each SCM is a few lines of the form ``x2=lambda u, x1: exp(x1 / 2) + u / 4``: the first argument is the
variable's own noise, the others name its parents. Sources:

* *Causal NF*: Javaloy, Sánchez-Martín & Valera, "Causal normalizing flows: from theory to practice", 2023
  (equations from github.com/psanch21/causal-flows).
* *DCM*: Chao, Blöbaum & Kasiviswanathan, "Modeling causal mechanisms with diffusion models for interventional
  and counterfactual queries", 2023 (github.com/patrickrchao/DiffusionBasedCausalModels).
* *VACA*: Sánchez-Martín, Rateike & Valera, "VACA: design of variational graph autoencoders for
  interventional and counterfactual queries", 2022 (github.com/psanch21/VACA).
* *pyrocausal*: our own, for what those lack: multiplicative and heteroscedastic noise, heavy and skewed
  tails, two modes, discrete variables among continuous ones, strong interactions.

>>> scm = SYNTHETIC["chain_nlin"]
>>> values, noise = scm.sample(5, seed=0)
>>> counterfactual = scm.predict(noise, do={"x2": 1.0})      # the same units in the world do(x2 = 1)
>>> scm.graph
'x1 -> x2; x2 -> x3'
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, cos, exp, sigmoid, sin, sqrt, tanh
from torch.nn.functional import softplus

__all__ = ["SYNTHETIC", "Equation", "KnownSCM"]

Noise = Callable[[int, Generator], Tensor]
Action = float | Tensor


def normal(n: int, generator: Generator) -> Tensor:
    """Standard normal noise."""
    return torch.randn(n, generator=generator, dtype=torch.float64)


def uniform(n: int, generator: Generator) -> Tensor:
    """Noise that is uniform on (0, 1)."""
    return torch.rand(n, generator=generator, dtype=torch.float64).clamp_min(1e-12)


def logistic(n: int, generator: Generator) -> Tensor:
    """Standard logistic noise: ``logit(p) + u > 0`` happens with probability p."""
    return torch.logit(uniform(n, generator))


def student(n: int, generator: Generator) -> Tensor:
    """Student's t with 3 degrees of freedom: a normal over the root of a chi-squared."""
    normals = torch.randn(4, n, generator=generator, dtype=torch.float64)
    return normals[0] / normals[1:].square().mean(0).sqrt()


def mixture(left: tuple[float, float], right: tuple[float, float]) -> Noise:
    """Even mixture of two normals, each a (mean, standard deviation)."""

    def draw(n: int, generator: Generator) -> Tensor:
        mean, sd = torch.tensor((left, right), dtype=torch.float64)[(uniform(n, generator) < 0.5).long()].T
        return mean + sd * normal(n, generator)

    return draw


@dataclass(frozen=True)
class Equation:
    """A structural equation ``x = function(u, *parents)`` with noise ``u = noise(n, generator)``."""

    parents: tuple[str, ...]
    function: Callable[..., Tensor]
    noise: Noise = normal


@dataclass(frozen=True)
class KnownSCM:
    """An SCM whose equations are known, in topological order; noise and values are float64, of shape (n,).

    ``monotone`` says that every equation is monotone in its noise, so that the counterfactuals of continuous
    variables are identified. ``kinds`` gives each variable's kind: continuous, binary, categorical or count.
    """

    name: str
    equations: Mapping[str, Equation]
    monotone: bool = True
    kinds: Mapping[str, str] = field(default_factory=dict)
    source: str = "pyrocausal"

    @property
    def graph(self) -> str:
        """The graph as text, an edge for every parent: ``"a -> b; b -> c"``."""
        return "; ".join(f"{parent} -> {x}" for x, eq in self.equations.items() for parent in eq.parents)

    def descendants(self, x: str) -> tuple[str, ...]:
        """The variables that ``x`` is a cause of, in topological order, without ``x`` itself."""
        found = [x]
        for name, equation in self.equations.items():
            if name not in found and set(equation.parents) & set(found):
                found.append(name)
        return tuple(found[1:])

    def sample_noise(self, n: int, seed: int) -> dict[str, Tensor]:
        """Draw the noise of n units."""
        generator = Generator().manual_seed(seed)
        return {x: equation.noise(n, generator) for x, equation in self.equations.items()}

    def predict(
        self, noise: Mapping[str, Tensor], do: Mapping[str, Action] | None = None
    ) -> dict[str, Tensor]:
        """The values of the units with this noise in the world ``do`` (a number or a value per unit)."""
        do = do or {}
        if unknown := set(do) - set(self.equations):
            raise KeyError(f"{self.name} has no variable {sorted(unknown)}; it has {list(self.equations)}")
        values: dict[str, Tensor] = {}
        for x, equation in self.equations.items():
            if x in do:
                values[x] = torch.as_tensor(do[x], dtype=torch.float64).expand(noise[x].shape).clone()
            else:
                values[x] = equation.function(noise[x], *(values[parent] for parent in equation.parents))
        return values

    def sample(self, n: int, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Draw n units; returns their values and their noise."""
        noise = self.sample_noise(n, seed)
        return self.predict(noise), noise


SYNTHETIC: dict[str, KnownSCM] = {}


def _register(
    name: str,
    source: str = "pyrocausal",
    monotone: bool = True,
    noise: Noise | Mapping[str, Noise] = normal,
    kinds: Mapping[str, str] | None = None,
    **functions: Callable[..., Tensor],
) -> None:
    """Enter an SCM in the registry; the parents of a variable are the argument names of its function."""

    def noise_of(x: str) -> Noise:
        return noise.get(x, normal) if isinstance(noise, Mapping) else noise

    def parents_of(function: Callable[..., Tensor]) -> tuple[str, ...]:
        return tuple(inspect.signature(function).parameters)[1:]

    equations = {x: Equation(parents_of(f), f, noise_of(x)) for x, f in functions.items()}
    kinds = {x: (kinds or {}).get(x, "continuous") for x in equations}
    SYNTHETIC[name] = KnownSCM(name, equations, monotone, kinds, source)


def _identity(u: Tensor) -> Tensor:
    return u


# ---------------------------------------------------------------------------------------------- Causal NF

_register(
    "chain_lin", "Causal NF",
    x1=_identity,
    x2=lambda u, x1: 10 * x1 - u,
    x3=lambda u, x2: 0.25 * x2 + 2 * u,
)  # fmt: skip
_register(
    "chain_nlin", "Causal NF",
    x1=_identity,
    x2=lambda u, x1: exp(x1 / 2) + u / 4,
    x3=lambda u, x2: (x2 - 5) ** 3 / 15 + u,
)  # fmt: skip
_register(
    "triangle_lin", "Causal NF",
    x1=lambda u: u + 1,
    x2=lambda u, x1: 10 * x1 - u,
    x3=lambda u, x1, x2: 0.5 * x2 + x1 + u,
)  # fmt: skip
_register(
    "triangle_nlin", "Causal NF",
    x1=_identity,
    x2=lambda u, x1: 2 * x1**2 + u,
    x3=lambda u, x1, x2: 20 * sigmoid(x2**2 - x1) + u,
)  # fmt: skip
_register(
    "simpson_nlin", "Causal NF",
    x1=_identity,
    x2=lambda u, x1: softplus(1 - x1) + math.sqrt(3 / 20) * u,
    x3=lambda u, x1, x2: tanh(2 * x2) + 1.5 * x1 - 1 + tanh(u),
    x4=lambda u, x3: (x3 - 4) / 5 + 3 + u / math.sqrt(10),
)  # fmt: skip
_register(
    "simpson_symprod", "Causal NF",
    x1=_identity,
    x2=lambda u, x1: 2 * tanh(2 * x1) + u / math.sqrt(10),
    x3=lambda u, x1, x2: 0.5 * x1 * x2 + u / math.sqrt(2),
    x4=lambda u, x1: tanh(1.5 * x1) + math.sqrt(0.3) * u,
)  # fmt: skip
_register(
    "fork_nlin", "Causal NF",
    x1=_identity,
    x2=_identity,
    x3=lambda u, x1, x2: 4 * sigmoid(x1 + x2) - x2**2 + u / 2,
    x4=lambda u, x3: 20 * sigmoid(x3 - x3**2 / 2) + u,
)  # fmt: skip


def _layer(a: Tensor, b: Tensor | float) -> Tensor:
    """The building block of the large backdoor: sp(a + 1) + sp(b + 1/2) - 3."""
    return softplus(a + 1) + softplus(torch.as_tensor(b, dtype=torch.float64) + 0.5) - 3


def _laplace_quantile(u: Tensor, location: Tensor, scale: float) -> Tensor:
    return location - scale * torch.sign(u - 0.5) * torch.log1p(-2 * (u - 0.5).abs())


_register(
    "large_backdoor", "Causal NF",
    noise=uniform,
    x1=lambda u: softplus(1.8 * u) - 1,
    x2=lambda u, x1: 0.25 * u + 1.5 * _layer(x1, 0.0),
    x3=lambda u, x1: _layer(x1, u),
    x4=lambda u, x2: _layer(x2, u),
    x5=lambda u, x3: _layer(x3, u),
    x6=lambda u, x4: _layer(x4, u),
    x7=lambda u, x5: _layer(x5, u),
    x8=lambda u, x6: 0.3 * u + softplus(x6 + 1) - 1,
    x9=lambda u, x7, x8: _laplace_quantile(u, 2 - softplus((1.3 * x7 + x8) / 3 + 1), 0.6),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------- DCM

_register(
    "dcm_triangle_nlin", "DCM",
    x1=_identity,
    x2=lambda u, x1: (u + 2 * x1**2) / 3,
    x3=lambda u, x1, x2: (u + 20 * sigmoid(x2**2 - x1)) / 2.41,
)  # fmt: skip
_register(
    "dcm_triangle_nadd", "DCM", monotone=False,
    x1=_identity,
    x2=lambda u, x1: (x1 / ((u + x1) ** 2 + 1) + u / 4) / 0.47,
    x3=lambda u, x1, x2: (u.abs() + 0.3) * (-x1 + x2 / 2 + u.abs() / 5) ** 2 / 0.93,
)  # fmt: skip
_register(
    "dcm_chain_nlin", "DCM",
    x1=_identity,
    x2=lambda u, x1: (exp(x1 / 2) + u / 4) / 0.65,
    x3=lambda u, x2: ((x2 - 5) ** 3 / 15 + u) / 2.13,
)  # fmt: skip
_register(
    "dcm_chain_nadd", "DCM", monotone=False,
    x1=_identity,
    x2=lambda u, x1: 1 / ((u + x1) ** 2 + 0.5) / 0.63,
    x3=lambda u, x2: sqrt(x2 + u.abs()) / (0.1 + x2),
)  # fmt: skip
_register(
    "dcm_diamond_nlin", "DCM",
    x1=_identity,
    x2=lambda u, x1: (x1**2 + u / 2) / 1.5,
    x3=lambda u, x1, x2: (x2**2 - 2 * sigmoid(x1) + u / 2) / 1.27,
    x4=lambda u, x2, x3: (x3 / ((x2 + x3).abs() + 0.5) + u / 5) / 0.54,
)  # fmt: skip
_register(
    "dcm_diamond_nadd", "DCM", monotone=False,
    x1=_identity,
    x2=lambda u, x1: (sqrt(x1.abs()) * (u.abs() + 0.1) / 2 + x1.abs() + u / 5) / 0.83,
    x3=lambda u, x1, x2: 6 / (1 + (u.abs() + 0.5) * exp(x1 - x2)),
    x4=lambda u, x2, x3: ((x3 + x2 + u / 4 - 7) ** 2 - 20) / 7.27,
)  # fmt: skip
_register(
    "dcm_y_nlin", "DCM",
    x1=_identity,
    x2=_identity,
    x3=lambda u, x1, x2: (-(x2**2) + 4 * sigmoid(x1 + x2) + u / 2) / 1.83,
    x4=lambda u, x3: (20 * sigmoid(x3 - x3**2 / 2) + u) / 3.26,
)  # fmt: skip
_register(
    "dcm_y_nadd", "DCM", monotone=False,
    x1=_identity,
    x2=_identity,
    x3=lambda u, x1, x2: (x1 - 2 * x2 - 2) * (u.abs() + 0.2) / 2.87,
    x4=lambda u, x3: 1 / ((u + 2 * x3).abs() + 0.5) / 0.43,
)  # fmt: skip

# --------------------------------------------------------------------------------------------------- VACA

_two_modes = {"x1": mixture((-2.0, 1.5), (1.5, 1.0))}

_register(
    "vaca_triangle_lin", "VACA", noise=_two_modes,
    x1=_identity,
    x2=lambda u, x1: -x1 + u,
    x3=lambda u, x1, x2: x1 + 0.25 * x2 + u,
)  # fmt: skip
_register(
    "vaca_triangle_nlin", "VACA", noise=_two_modes,
    x1=_identity,
    x2=lambda u, x1: -1 + 3 * sigmoid(2 * x1) + u,
    x3=lambda u, x1, x2: x1 + 0.25 * x2**2 + u,
)  # fmt: skip
_register(
    "vaca_triangle_nadd", "VACA", noise=_two_modes,
    x1=_identity,
    x2=lambda u, x1: 0.25 * torch.sign(u) * x1**2 * (1 + u**2),
    x3=lambda u, x1, x2: -1 + 0.1 * torch.sign(u) * (x1**2 + x2**2) + u,
)  # fmt: skip

# --------------------------------------------------------------------------------------------- pyrocausal

_register(  # multiplicative noise, skewed variables of very different scales
    "lognormal",
    x1=lambda u: 20 * exp(u / 2),
    x2=lambda u, x1: (5 + 0.3 * x1) * exp(u / 2),
    x3=lambda u, x1, x2: 100 * sqrt(1 + x1) * (1 + 1 / (1 + x2 / 10)) * exp(u / 2),
)
_register(  # the noise's scale depends on the parents
    "heteroscedastic",
    x1=_identity,
    x2=lambda u, x1: sin(2 * x1) + (0.2 + 0.5 * softplus(2 * x1)) * u,
    x3=lambda u, x1, x2: 0.5 * x1 * x2 + exp(0.8 * tanh(x2)) * u,
)
_register(
    "heavy_tails", noise=student,
    x1=_identity,
    x2=lambda u, x1: 2 * tanh(x1) + 0.5 * u,
    x3=lambda u, x1, x2: x2 * sigmoid(x1) + 0.5 * x1 + 0.7 * u,
)  # fmt: skip
_register(  # noise skewed by an exponential whose rate depends on the parents, so the shape varies too
    "skewed",
    x1=lambda u: exp(0.7 * u),
    x2=lambda u, x1: 1.5 * torch.log1p(x1) + exp(0.8 * u),
    x3=lambda u, x1, x2: cos(x1) + 0.5 * x2 + exp((0.3 + 0.6 * sigmoid(x2 - 2)) * u),
)
_register(
    "bimodal", noise=mixture((-1.5, 0.4), (1.5, 0.6)),
    x1=_identity,
    x2=lambda u, x1: x1**2 / 2 + u,
    x3=lambda u, x1, x2: x1 - tanh(x2) + (0.3 + 0.4 * sigmoid(2 * x1)) * u,
)  # fmt: skip
_register(  # a shift that the noise goes through before a curve: the shape of p(x | parents) varies smoothly
    "post_nonlinear",
    x1=_identity,
    x2=lambda u, x1: torch.sinh(0.7 * (sin(x1) + u)),
    x3=lambda u, x1, x2: softplus(2 * (x1 + tanh(x2) + u)) + 0.2 * u,
)
_register(
    "mixed",
    noise={"region": uniform, "treated": logistic},
    kinds={"region": "categorical", "treated": "binary"},
    region=lambda u: (u > 0.5).double() + (u > 0.8).double(),
    age=lambda u, region: 45 + 4 * region + 10 * tanh(u / 2) + 3 * u,
    treated=lambda u, region, age: ((age - 47) / 8 - 0.7 * (region == 1) + u > 0).double(),
    blood=lambda u, region, age, treated: (
        90 + 0.6 * age - (8 + 3 * (region == 2)) * treated + (6 + 3 * treated) * u
    ),
    cost=lambda u, age, treated, blood: (30 * treated + age) * exp((blood - 120) / 40 + 0.4 * u),
)
_register(  # whole numbers through a floor: tied data, and noise that is known up to an interval only
    "counts",
    noise={"exposed": logistic},
    kinds={"exposed": "binary", "visits": "count"},
    age=lambda u: 40 + 12 * u,
    exposed=lambda u, age: ((age - 42) / 10 + u > 0).double(),
    visits=lambda u, age, exposed: torch.floor(exp(0.02 * age + 0.4 * exposed + 0.6 * u)),
    weight=lambda u, age, exposed, visits: 70 + 0.1 * age - 3 * exposed - 1.2 * torch.log1p(visits) + 8 * u,
)
_register(  # five causes that act through products, with a scale that depends on them too
    "interaction",
    x1=_identity,
    x2=_identity,
    x3=lambda u: 2 * torch.special.ndtr(u) - 1,
    x4=lambda u, x1: 0.6 * x1 + 0.8 * u,
    x5=lambda u, x2: exp(0.3 * x2 + 0.4 * u),
    x6=lambda u, x1, x2, x3, x4, x5: x1 * x2 + 2 * x3 * x4 - x5 * tanh(x1) + (0.3 + 0.3 * x5) * u,
    x7=lambda u, x3, x6: tanh(x6) * (1 + x3) + 0.4 * u,
)
