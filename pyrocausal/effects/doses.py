"""The mean of an outcome under many values of a treatment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyrocausal import cards, plots
from pyrocausal.abduct import prior
from pyrocausal.answer import Certificate
from pyrocausal.ask.certify import certify
from pyrocausal.effects.writing import names
from pyrocausal.errors import QueryError
from pyrocausal.query import parse
from pyrocausal.query.syntax import quote
from pyrocausal.randomness import generator_of
from pyrocausal.samples import Noise
from pyrocausal.table import read, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AT_ONCE = 500_000  # units times doses in one pass


@dataclass(frozen=True, repr=False)
class DoseResponse:
    """The mean of an outcome under every dose.

    Attributes:
        curve: a row a dose, with `mean` and its Monte Carlo `error`.
        treatment, outcome: their names.
        certificate: of E[outcome | do(treatment)].
    """

    curve: pd.DataFrame
    treatment: str
    outcome: str
    certificate: Certificate

    def to_pandas(self) -> pd.DataFrame:
        return self.curve

    def plot(self, *, ax: Axes | None = None, **options: Any) -> Axes:
        """`pyrocausal.plots.dose_response` of this."""
        return plots.dose_response(self, ax=ax, **options)

    def __repr__(self) -> str:
        head = f"E[{quote(self.outcome)} | do({quote(self.treatment)})]"
        return f"{head}\n{self.curve.to_string(max_rows=12)}\n{self.certificate}"

    def _repr_html_(self) -> str:
        title = f"E[{quote(self.outcome)} | do({quote(self.treatment)})]"
        return cards.card(title, cards.frame(self.curve), beside=str(self.certificate))


def dose_response(
    scm: Any,
    treatment: str,
    outcome: str,
    doses: Iterable[float],
    *,
    data: Any = None,
    num_samples: int | None = None,
    seed: int | None = None,
) -> DoseResponse:
    """E[outcome | do(treatment = dose)] for many doses at once: all doses of all units are one batch.

    Args:
        doses: the values.
        data: rows, each with its own noise; default: units of the model.
        num_samples: units drawn from the model (default 10,000); with data, draws of a row's noise.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(x**2, 0.1))
    >>> curve = pc.dose_response(pc.SCM(program), "x", "y", [1.0, 2.0], seed=0)
    >>> curve.to_pandas()["mean"].round(1).tolist()
    [1.0, 4.0]
    """
    names(scm, outcome, treatment)
    try:
        values = np.asarray(list(doses), dtype=float)
    except (TypeError, ValueError):
        values = np.empty((0, 0))
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise QueryError(f"doses={doses!r} is no list of numbers", fix="pass e.g. numpy.linspace(0, 10, 50)")
    if scm._model.structure.shared:
        raise QueryError("dose_response does not average over weights with a posterior", fix="use scm.ask")
    if data is None:
        count = whole(10_000 if num_samples is None else num_samples, "num_samples", least=2)
        noise = Noise(prior(scm.variables, count, generator_of(seed)))
    else:
        table = read(data, scm.variables, where="data", need=scm._needed())
        noise = scm._abduct(table, "auto", num_samples, seed, (scm.do({treatment: values[0]}),))
    rows = [_at_doses(scm, noise, treatment, outcome, chunk) for chunk in _chunks(values, noise)]
    curve = pd.DataFrame(np.concatenate(rows), pd.Index(values, name=treatment), ["mean", "error"])
    question = f"E[{quote(outcome)} | do({quote(treatment)}={values[0]})]"
    return DoseResponse(curve, treatment, outcome, certify(scm, parse(question)))


def _chunks(doses: np.ndarray, noise: Noise) -> list[np.ndarray]:
    size = max(1, AT_ONCE // (noise.num_units * (noise.num_draws or 1)))
    return [doses[i : i + size] for i in range(0, len(doses), size)]


def _at_doses(scm: Any, noise: Noise, treatment: str, outcome: str, doses: np.ndarray) -> np.ndarray:
    """Mean and Monte Carlo error at each dose, `(doses, 2)`: the doses are units of one batch."""
    draws, units = noise.num_draws or 1, noise.num_units
    flat = {name: u.reshape(draws * units, *scm.variables[name].law.shape) for name, u in noise.items()}
    every = Noise({name: u.repeat(len(doses), *[1] * (u.dim() - 1)) for name, u in flat.items()})
    value = torch.as_tensor(doses, dtype=scm.variables[treatment].dtype).repeat_interleave(draws * units)
    model = scm.do({treatment: value})
    y = model.predict(every)[outcome].double().reshape(len(doses), draws, units)
    if noise.weights is not None:
        return torch.stack([(y * noise.weights).sum(1).mean(1), torch.zeros(len(doses))], 1).numpy()
    mean = y.mean((1, 2))
    # Units of the model are a sample; rows are not, but the draws of their noise are.
    spread = y.mean(1).std(1) / units**0.5 if noise.factual is None else _of_draws(y)
    return torch.stack([mean, spread], 1).cpu().numpy()


def _of_draws(y: Tensor) -> Tensor:
    draws = y.shape[1]
    return y.mean(2).std(1) / draws**0.5 if draws > 1 else torch.zeros(len(y), dtype=y.dtype)
