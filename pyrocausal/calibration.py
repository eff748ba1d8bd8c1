"""Simulation-based calibration: are the draws that `abduct` gives really draws of P(u | evidence)?

Units are drawn from the model together with their noise, their latents are hidden, and all are abducted
anew. If the posterior is right, a unit's true value is one draw of it among the others, and its rank among
them is uniform (Talts, Betancourt, Simpson, Vehtari and Gelman 2018, "Validating Bayesian inference
algorithms with simulation-based calibration"). Uniformity is judged by the ranks' whole distribution function
(Säilynoja, Bürkner and Vehtari 2022, "Graphical test for discrete uniformity", Statistics and Computing 32).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyrocausal import cards, plots
from pyrocausal.abduct import prior
from pyrocausal.errors import DataError, EvidenceError
from pyrocausal.randomness import generator_of
from pyrocausal.samples import Noise, Samples
from pyrocausal.scm import SCM
from pyrocausal.table import Checked, whole
from pyrocausal.uniformity import band, counts, uniformity
from pyrocausal.variables import check_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Quantity = Callable[[Noise], Tensor]

LEAST = 19  # ranked draws; with fewer the outer 5 % of a posterior can't be told from the rest
TIE = 1e-5  # times the interquartile range: values nearer than that differ by rounding only
LOG_DENSITY = "log p"


def check_abduction(
    scm: SCM | Callable[[], Any],
    *,
    units: int = 500,
    num_samples: int = 99,
    thin: int = 10,
    method: str = "auto",
    of: str | Iterable[str] | Mapping[str, Quantity] | None = None,
    missing: Mapping[str, float] | None = None,
    seed: int | None = None,
) -> Calibration:
    """Whether abduction in this model gives the right posterior, by simulation-based calibration.

    Units are drawn from the model, and abducted from what would be observed of them, all in one call. The
    rank of each true value among the draws of its posterior must be uniform.

    Args:
        scm: an SCM, a submodel, or a program (with nothing latent).
        units: how many are drawn. 500 show draws a fifth too narrow or off by a quarter of their spread,
            2,000 half of that.
        num_samples: draws a unit that are ranked.
        thin: of how many draws one is ranked. Resampled draws and Markov chains repeat themselves; weights
            that are worth n draws put about 1/n of the ranks wrongly at the ends, so n should be large.
        method: the engine of `abduct`.
        of: what is ranked: names of latents; or functions, by a label, of the `Noise` (of which `.factual`
            holds the values). Default: every latent, every variable with missing cells, and "log p", the log
            density of all of a unit's values, if the submodel has one. That shows a posterior that is right
            on average over units and wrong for each, as the prior is (Modrák et al. 2023, "Simulation-based
            calibration checking for Bayesian computation", Bayesian Analysis).
        missing: variables of which this share of cells, chosen at random, is hidden; the ranks of such a
            variable are those of its hidden cells.
        seed: of all draws.

    Raises:
        EvidenceError: nothing is hidden, what is to be ranked is observed, or weights are uncertain.
        DataError: there are too few draws, or units, to rank among.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     z = pyro.sample("z", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(z, 1.0))
    >>> narrow = pc.guides.Amortized(z=lambda y: dist.Normal(y / 2, 0.3))  # the posterior's sd is 0.7
    >>> scm = pc.SCM(program, latent=["z"], guide=narrow)
    >>> pc.check_abduction(scm, method="guide", seed=0)  # doctest: +ELLIPSIS
    Calibration of abduction by guide: 500 units, 99 draws each
           p_value       draws
    z      ...  too narrow
    log p  ...  too narrow
    Not calibrated (in a right posterior the chance of this is at most 1 %).
    >>> pc.check_abduction(scm.do(z=0.0), of={"y": lambda noise: noise["y"]}, seed=0).ok()
    True
    """
    scm = scm if isinstance(scm, SCM) else SCM(scm)
    units = whole(units, "the number of units", least=2)
    num_samples = whole(num_samples, "the number of ranked draws num_samples", least=LEAST)
    thin = whole(thin, "thin", least=1)
    if scm._model.structure.shared:
        raise EvidenceError(
            "an SCM with uncertain weights can't be checked by simulation",
            why="their posterior is that given the training data, and simulated units would change it",
            fix="check the SCM with fixed weights",
        )
    generator = generator_of(seed, stream=2)  # not that of sample(seed) or abduct(seed): see _new_seed
    with torch.no_grad():
        truth = _simulated(scm, units, generator)
        hidden = _hidden(scm, missing or {}, units, generator)
        quantities = _quantities(scm, of, hidden)
        noise = scm.abduct(
            _evidence(scm, truth, hidden),
            method=method,
            num_samples=None if method == "enumerate" else num_samples * thin,  # exact, as weighted draws
            missing="abduct" if missing else "error",
            seed=_new_seed(generator),
        )
        draws = _thinned(noise, num_samples, generator)
        ranks: dict[str, np.ndarray] = {}
        for name, quantity in quantities.items():
            of_truth = _checked(name, quantity(truth), units)
            found = _ranks(of_truth, _checked(name, quantity(draws), num_samples, units), generator)
            ranks |= _columns(name, found[hidden[name]] if name in hidden else found)
    return Calibration(ranks, num_samples, noise.diagnostics)


@dataclass(frozen=True, eq=False)
class Calibration:
    """How the true values of simulated units rank among the draws of their posteriors.

    Attributes:
        ranks: by variable, `(units,)`, from 0 to `num_samples`: how many draws lie below the true value, ties
            broken at random; of a vector by coordinate, `"z[0]"`, `"z[1]"` …
        num_samples: how many draws were ranked.
        diagnostics: of the abduction (see `Noise`).
    """

    ranks: Mapping[str, np.ndarray]
    num_samples: int
    diagnostics: Mapping[str, Any]

    @cached_property
    def p_values(self) -> pd.Series:
        """By variable, the exact probability that uniform ranks stray as far as these (see `uniformity`)."""
        return pd.Series({name: uniformity(r, self.num_samples) for name, r in self.ranks.items()})

    def ok(self, alpha: float = 0.01) -> bool:
        """Whether all ranks can be uniform; if they are, it says no with a probability of at most `alpha`.

        Each of n variables is tested at alpha / n (Bonferroni).
        """
        return bool(self.p_values.min() > alpha / len(self.ranks))

    def to_pandas(self, alpha: float = 0.01) -> pd.DataFrame:
        """A row a variable: its p-value, and what is wrong with its draws at that chance of a false alarm."""
        good = self.p_values > alpha / len(self.ranks)
        faults = [
            "fine" if good[name] else _fault(rank, self.num_samples) for name, rank in self.ranks.items()
        ]
        return pd.DataFrame({"p_value": self.p_values, "draws": faults})

    def plot(self, *, alpha: float = 0.01, ax: Axes | None = None) -> Axes:
        """`pyrocausal.plots.calibration` of this."""
        return plots.calibration(self, alpha=alpha, ax=ax)

    def differences(self) -> dict[str, np.ndarray]:
        """By variable: the share of units with a rank of at most 0, 1, …, less what is expected."""
        expected = np.arange(1, self.num_samples + 1) / (self.num_samples + 1)
        return {n: counts(r, self.num_samples) / len(r) - expected for n, r in self.ranks.items()}

    def bands(self, alpha: float = 0.01) -> list[tuple[np.ndarray, np.ndarray]]:
        """Where all `differences` stay with probability 1 - alpha; one band for each number of units."""
        sizes = sorted({len(rank) for rank in self.ranks.values()})
        return [band(n, self.num_samples, alpha / len(self.ranks)) for n in sizes]

    def _title(self) -> str:
        units = max(len(rank) for rank in self.ranks.values())
        by = self.diagnostics["method"]
        return f"Calibration of abduction by {by}: {units:,} units, {self.num_samples} draws each"

    def _verdict(self) -> str:
        if self.ok():
            return "No fault found."
        return "Not calibrated (in a right posterior the chance of this is at most 1 %)."

    def __repr__(self) -> str:
        table = self.to_pandas().to_string(float_format="{:.2g}".format)
        return f"{self._title()}\n{table}\n{self._verdict()}"

    def _repr_html_(self) -> str:
        return cards.card(self._title(), cards.frame(self.to_pandas()), f"<p>{self._verdict()}</p>")


# ---- units whose noise is known


def _simulated(scm: SCM, units: int, generator: torch.Generator) -> Noise:
    """The noise of new units, with the values that it gives."""
    truth = Noise(prior(scm.variables, units, generator))
    truth.factual = scm.predict(truth, seed=_new_seed(generator))
    return truth


def _new_seed(generator: torch.Generator) -> int:
    """A seed for the next step: with the same one, proposals would repeat the very noise they should find."""
    return int(torch.randint(2**31, (), generator=generator))


def _hidden(
    scm: SCM, missing: Mapping[str, float], units: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Which units' value of a variable abduction does not see: of latents all, of missing ones some."""
    check_names(missing, scm.variables, where="check_abduction(missing=…)")
    free = [name for name in scm.variables if name in scm.graph.latent and name not in scm.graph.intervened]
    found = {name: torch.ones(units, dtype=torch.bool) for name in free}
    for name, share in missing.items():
        if name in scm.graph.latent or scm.variables[name].computed or not 0 < share < 1:
            raise DataError(
                f"check_abduction: missing={{{name!r}: {share!r}}}",
                why="it is for observed variables with a mechanism, and a share lies between 0 and 1",
                fix=f'pass missing={{"x": 0.3}}, or leave {name!r} out',
            )
        order = torch.rand(units, generator=generator).argsort()
        found[name] = order < max(1, round(share * units))
    return found


def _evidence(scm: SCM, truth: Noise, hidden: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What would be observed of the units; computed variables, which could betray a latent, are left out."""
    assert truth.factual is not None
    seen = {
        name: x
        for name, x in truth.factual.items()
        if not (name in scm.graph.latent or scm.variables[name].computed)
    }
    for name in hidden.keys() & seen.keys():
        x = seen[name] if seen[name].is_floating_point() else seen[name].double()
        seen[name] = torch.where(hidden[name].reshape(-1, *[1] * (x.dim() - 1)), torch.nan, x)
    return seen


# ---- what is ranked


def _quantities(scm: SCM, of: Any, hidden: Mapping[str, Tensor]) -> dict[str, Quantity]:
    if isinstance(of, Mapping) and of:
        odd = [name for name, quantity in of.items() if not callable(quantity)]
        if odd:
            raise DataError(
                f"check_abduction(of=…): {of[odd[0]]!r} is no function",
                fix=f'write of={{"{odd[0]}": lambda noise: noise["{next(iter(scm.variables))}"]}}',
            )
        return dict(of)
    if not hidden:
        raise EvidenceError(
            "nothing is hidden from abduction, so there is no posterior to check",
            why="the SCM has no latent variable",
            fix='declare one: SCM(program, latent=["z"]); hide cells: missing={"x": 0.3}; '
            'or rank noise: of={"x": lambda noise: noise["x"]}',
        )
    names = [of] if isinstance(of, str) else list(of or hidden)
    check_names(names, scm.variables, where="check_abduction(of=…)")
    for name in names:
        if name not in hidden:
            raise EvidenceError(
                f"check_abduction(of=…): '{name}' is observed, so its value has no posterior",
                fix=f"rank one of {', '.join(hidden)}, or a function: "
                f'of={{"{name}": lambda noise: noise["{name}"]}} ranks its noise',
            )
    found = {name: _value(name) for name in names}
    if not of and not any(scm._intervention.drawn(name) for name in scm._intervention.names):
        found[LOG_DENSITY] = lambda noise: _log_density(scm, noise)  # what is drawn afresh has none
    return found


def _checked(name: str, found: Any, *shape: int) -> Tensor:
    """What a quantity gave: a number for each unit (and draw), or a vector."""
    if not isinstance(found, Tensor) or tuple(found.shape[: len(shape)]) != shape:
        got = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else repr(found)
        raise DataError(
            f"check_abduction(of=…): '{name}' gave {got}",
            why=f"a number a unit is due, {shape} here, from the Noise of one draw and of many",
            fix="compute with the tensors in it elementwise, as in lambda noise: noise['z'] ** 2",
        )
    return found


def _value(name: str) -> Quantity:
    return lambda noise: noise.factual[name]  # type: ignore[index]


def _log_density(scm: SCM, noise: Noise) -> Tensor:
    """log p(evidence, latents), `(units,)`, or draw by draw `(draws, units)`: actions may be per unit."""
    values = noise.factual
    assert values is not None
    if values.has_draws:
        draws = [{name: x[i] for name, x in values.items()} for i in range(values.num_draws or 0)]
        # unchecked, since a bad guide may draw what the model calls impossible
        return torch.stack([scm.log_prob(Checked(draw)) for draw in draws])
    return scm.log_prob(Checked(values))


def _thinned(noise: Noise, count: int, generator: torch.Generator) -> Noise:
    """`count` equally likely draws a unit: every so many-th, or some drawn by their weights."""
    factual = noise.factual
    assert factual is not None
    if noise.weights is None:
        chosen = torch.arange(count)[:, None] * ((noise.num_draws or count) // count)
    else:
        chosen = torch.multinomial(noise.weights.T.cpu(), count, replacement=True, generator=generator).T

    def taken(values: Samples) -> dict[str, Tensor]:
        return {name: x[chosen, torch.arange(noise.num_units)] for name, x in values.items()}

    thinned = Noise(taken(noise), draws=True)
    thinned.factual = Samples(taken(factual), factual.variables, draws=True)
    return thinned


def _ranks(truth: Tensor, draws: Tensor, generator: torch.Generator) -> Tensor:
    """How many draws `(draws, units, *)` lie below the truth `(units, *)`, its place among ties being random.

    So a posterior that is one point, as after exact abduction, gives uniform ranks whatever the rounding.
    """
    truth, draws = truth.detach().double().cpu(), draws.detach().double().cpu()
    quartiles = torch.tensor([0.25, 0.75], dtype=torch.double)
    low, high = torch.quantile(truth, quartiles, dim=0)
    gap, near = draws - truth, TIE * (high - low)
    below, tied = (gap < -near).sum(0), (gap.abs() <= near).sum(0)
    place = torch.rand(truth.shape, generator=generator, dtype=torch.double)
    return below + (place * (tied + 1)).long()


def _columns(name: str, ranks: Tensor) -> dict[str, np.ndarray]:
    """A vector's ranks by coordinate."""
    if ranks.dim() == 1:
        return {name: ranks.numpy()}
    return {f"{name}[{i}]": column.numpy() for i, column in enumerate(ranks.flatten(1).T)}


# ---- what is wrong with them?


def _fault(ranks: np.ndarray, most: int) -> str:
    """What is wrong with draws, from the mean and the spread of ranks that are not uniform."""
    place = (ranks + 0.5) / (most + 1) - 0.5
    shift = place.mean() * 12**0.5  # both in units of their standard error, but for √units
    spread = ((place**2).mean() - 1 / 12) * 180**0.5
    if max(abs(shift), abs(spread)) * len(ranks) ** 0.5 < 3:
        return "of another shape"
    if abs(shift) > abs(spread):
        return "too low" if shift > 0 else "too high"
    return "too narrow" if spread > 0 else "too wide"
