"""Answers: mappings of variable to tensor that are also DataFrames and ArviZ groups.

Values have shape `(units, *event)`; where abduction is stochastic a leading axis holds the draws.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyrocausal import cards
from pyrocausal.errors import DataError, UnknownVariable, did_you_mean
from pyrocausal.variables import Variable

if TYPE_CHECKING:
    import arviz


class Samples(Mapping[str, Tensor]):
    """Values of variables for a number of units.

    Args:
        values: variable to tensor `(units, *event)`, or `(draws, units, *event)` if `draws`.
        variables: what is known of each variable.
        draws: whether a leading draws axis is there.
        index: the units' labels (a pandas Index), if they came from a DataFrame.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> scm = pc.SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)))
    >>> samples = scm.sample(3, seed=0)
    >>> samples["x"].shape, list(samples.to_pandas().columns)
    (torch.Size([3]), ['x'])
    """

    group = "interventional"
    weights: Tensor | None = None  # (draws, units), adding up to 1 in a unit; None: draws are equally likely
    chains: int = 1  # Markov chains that the draws are of, one chain after the other

    def __init__(
        self,
        values: Mapping[str, Tensor],
        variables: Mapping[str, Variable],
        *,
        draws: bool = False,
        index: pd.Index | None = None,
    ):
        self.values_ = dict(values)
        self.variables = variables
        self.has_draws = draws
        self.index = index

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.values_:
            raise UnknownVariable(
                f"there is no variable {name!r} here",
                why=f"the variables are {', '.join(self.values_)}",
                fix=did_you_mean(str(name), list(self.values_)) or "use one of these",
            )
        return self.values_[name]

    def __contains__(self, name: object) -> bool:
        return name in self.values_

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    @property
    def num_units(self) -> int:
        return next((v.shape[1 if self.has_draws else 0] for v in self.values_.values()), 0)

    @property
    def num_draws(self) -> int | None:
        """How many draws, or None where there is no draws axis."""
        return next((v.shape[0] for v in self.values_.values()), 0) if self.has_draws else None

    def mean(self, what: str | Callable[[Mapping[str, Tensor]], Tensor]) -> Tensor:
        """The mean over draws, `(units, *event)`, in float64; draws count by their weights, if they have any.

        Args:
            what: a variable, or a function of this mapping of variable to `(draws, units, *event)`.

        >>> import pyro, pyro.distributions as dist, pyrocausal as pc
        >>> def program():
        ...     z = pyro.sample("z", dist.Bernoulli(0.5))
        ...     pyro.sample("y", dist.Normal(z, 0.5))
        >>> noise = pc.SCM(program, latent=["z"]).abduct({"y": [0.5, 5.0]}, seed=0)
        >>> noise.factual.mean("z").round(decimals=2)
        tensor([0.5000, 1.0000], dtype=torch.float64)
        """
        value = self[what] if isinstance(what, str) else torch.as_tensor(what(self))
        return self._mean(value) if self.has_draws else value.double()

    def var(self, name: str) -> Tensor:
        """The variance over draws, `(units, *event)`; zero where there is no axis of draws."""
        value = self[name].double()
        return self._mean((value - self.mean(name)) ** 2) if self.has_draws else torch.zeros_like(value)

    def _mean(self, value: Tensor) -> Tensor:
        if self.weights is None:
            return value.double().mean(0)
        return (value.double() * self.weights.reshape(self.weights.shape + (1,) * (value.dim() - 2))).sum(0)

    def to_pandas(self, *, draws: bool = False) -> pd.DataFrame:
        """A row a unit; names, levels and dtypes as they came.

        With a draws axis a row holds the mean over draws (for names of levels: the commonest); `draws=True`
        gives a row a draw and unit, indexed by both, with a column `weight` if they have weights. A
        vector variable becomes columns `name[0]`, `name[1]` …
        """
        if not self.has_draws:
            return self._frame(self.values_, self._index())
        if draws:
            index = pd.MultiIndex.from_product(
                [range(self.num_draws or 0), self._index()], names=["draw", "unit"]
            )
            frame = self._frame({k: v.flatten(0, 1) for k, v in self.values_.items()}, index)
            return frame if self.weights is None else frame.assign(weight=self.weights.flatten().numpy())
        return self._frame(
            {k: self._centre(k, v) for k, v in self.values_.items()}, self._index(), averaged=True
        )

    def _index(self) -> pd.Index:
        return self.index if self.index is not None else pd.RangeIndex(self.num_units)

    def _centre(self, name: str, value: Tensor) -> Tensor:
        variable = self.variables.get(name)
        if variable is not None and variable.column.levels is not None:
            votes = torch.stack([self._mean(value == code) for code in range(len(variable.column.levels))])
            return votes.argmax(0)
        return self._mean(value)

    def _frame(
        self, values: Mapping[str, Tensor], index: pd.Index, *, averaged: bool = False
    ) -> pd.DataFrame:
        columns: dict[str, Any] = {}
        for name, value in values.items():
            if value.dim() == 1:
                columns[name] = self._series(name, value, averaged)
                continue
            flat = value.reshape(len(value), -1).detach().cpu().numpy()
            columns |= {f"{name}[{i}]": flat[:, i] for i in range(flat.shape[1])}
        return pd.DataFrame(columns, index=index)

    def _series(self, name: str, value: Tensor, averaged: bool) -> Any:
        variable = self.variables.get(name)
        if variable is None:
            return value.detach().cpu().numpy()
        array, dtype = variable.decode(value), variable.column.dtype
        if averaged and variable.column.levels is None:
            return array
        if dtype == "category":
            levels, ordered = list(variable.column.levels or ()), variable.column.ordered
            return pd.Categorical(array, categories=levels, ordered=ordered)
        if dtype and dtype != "object":
            return _typed(array, dtype)
        return _whole(array) if variable.discrete and not pd.isna(array).any() else array

    def to_arviz(self) -> arviz.InferenceData:
        """An ArviZ InferenceData with these values as one group (dims chain, draw, unit)."""
        import arviz

        result = arviz.InferenceData()
        result.add_groups({self.group: self._dataset()}, warn_on_custom_groups=False)
        return result

    def _dataset(self) -> Any:
        import xarray

        if self.weights is not None:
            raise DataError(
                "weighted draws can't go to ArviZ",
                why="it takes all draws for equally likely",
                fix="ask with num_samples=1000, which gives draws that are",
            )
        arrays = {}
        for name, value in self.values_.items():
            data = value.detach().cpu().numpy()
            data = data if self.has_draws else data[None]
            data = data.reshape(self.chains, len(data) // self.chains, *data.shape[1:])
            extra = [f"{name}_dim_{i}" for i in range(data.ndim - 3)]
            arrays[name] = xarray.DataArray(data, dims=["chain", "draw", "unit", *extra])
        index = self._index()
        labels = index.astype(str) if index.dtype == object else index
        return xarray.Dataset(arrays, coords={"unit": np.asarray(labels)})

    def _title(self) -> str:
        kind = "draws" if self.weights is None else "weighted draws"
        draws = f", {self.num_draws} {kind} each" if self.has_draws else ""
        return f"{self.num_units:,} units{draws}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self._title()}\n{self._preview().to_string(max_rows=6)}"

    def _repr_html_(self) -> str:
        return cards.card(type(self).__name__, cards.frame(self._preview()), beside=self._title())

    def _preview(self) -> pd.DataFrame:
        first = {k: (v[:, :5] if self.has_draws else v[:5]) for k, v in self.values_.items()}
        index = None if self.index is None else self.index[:5]
        shown = Samples(first, self.variables, draws=self.has_draws, index=index)
        shown.weights = None if self.weights is None else self.weights[:, :5]
        return shown.to_pandas()


class Posterior(Samples):
    """What is believed of one variable given others: draws, or every level with its probability.

    Attributes:
        weights: of a discrete variable the probability of each level, `(levels, units)`; else None.
        diagnostics: how far it can be trusted.

    `mean(name)` and `var(name)` are the posterior's.
    """

    group = "posterior"

    def __init__(self, name: str, values: Tensor, variables: Mapping[str, Variable], index: pd.Index | None):
        super().__init__({name: values}, variables, draws=True, index=index)
        self.name = name
        self.diagnostics: dict[str, Any] = {}

    @property
    def probs(self) -> Tensor:
        """The probability of each level, `(units, levels)`."""
        if self.weights is None:
            raise DataError(
                f"'{self.name}' has no levels, so no probabilities",
                fix=f'use .mean("{self.name}"), .var("{self.name}") or the draws',
            )
        return self.weights.T

    @property
    def mode(self) -> Tensor:
        """The most probable level of each unit, `(units, *event)`."""
        best = self.probs.argmax(-1)
        return self[self.name][best, torch.arange(len(best))]

    def to_pandas(self, *, draws: bool = False) -> pd.DataFrame:
        """A row a unit and a column a level, with its probability; without levels, as `Samples`."""
        variable = self.variables[self.name]
        if self.weights is None or draws or variable.shape:
            return super().to_pandas(draws=draws)
        levels = variable.decode(self[self.name][:, 0])
        columns = levels if variable.column.levels is not None else _whole(levels)
        return pd.DataFrame(self.probs.cpu().numpy(), self._index(), pd.Index(columns, name=self.name))


class Noise(Samples):
    """Exogenous noise of every variable for given units: what abduction gives and prediction takes.

    Attributes:
        factual: the evidence world's values (with what was computed or inferred on the way).
        weights: of the draws, `(draws, units)`, if they are not equally likely.
        diagnostics: how far the abduction can be trusted: the `method`; for importance sampling `ess`
            (effective sample size) and `pareto_k` of every unit; for MCMC `r_hat`.
    """

    group = "exogenous"
    factual: Samples | None
    diagnostics: dict[str, Any]
    weights_used: dict[str, Tensor]  # of the weights that all units share, the draws, `(draws, *shape)`

    def __init__(self, values: Mapping[str, Tensor], *, draws: bool = False, index: pd.Index | None = None):
        super().__init__(values, {}, draws=draws, index=index)
        self.factual = None
        self.diagnostics = {}
        self.weights_used = {}

    def replaced(self, parts: Mapping[str, Tensor]) -> Noise:
        """A copy in which some variables have other noise, of the same shape: luck, exchanged.

        It is the noise of nobody who was seen, so its `factual` is None.

        >>> import pyro, pyro.distributions as dist, pyrocausal as pc
        >>> def program():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(x, 1.0))
        >>> scm = pc.SCM(program)
        >>> noise = scm.abduct({"x": [1.0], "y": [3.0]})
        >>> scm.predict(noise.replaced({"y": torch.zeros(1)}))["y"]     # without its luck
        tensor([1.])
        """
        for name, part in parts.items():
            shape = tuple(getattr(part, "shape", ()))
            if name not in self or not isinstance(part, Tensor) or shape != tuple(self[name].shape):
                due = f"a tensor of shape {tuple(self[name].shape)}" if name in self else f"one of {[*self]}"
                raise DataError(f"replaced: '{name}' can't be {type(part).__name__} of {shape}; {due} is due")
        other = copy.copy(self)
        other.values_, other.factual = {**self.values_, **parts}, None
        return other


class Worlds(dict[str, Samples]):
    """Worlds by name."""

    def __missing__(self, name: str) -> Samples:
        raise UnknownVariable(
            f"there is no world {name!r} here",
            why=f"the worlds are {', '.join(self)}",
            fix=did_you_mean(str(name), list(self)) or "use one of these",
        )


class Counterfactual(Samples):
    """What the same units would have been: a world's values, beside the factual ones and the shared noise.

    With several worlds, `worlds["name"]` holds each; with one, this object is that world.

    Attributes:
        factual: values in the evidence world.
        noise: the abducted noise that all worlds share.
        worlds: name to `Samples`.
        natural: name of world to what the acted-on variables would have been without their own action.
        diagnostics: of the abduction.
    """

    group = "counterfactual"

    def __init__(
        self,
        worlds: Mapping[str, Samples],
        *,
        factual: Samples,
        noise: Noise,
        natural: Mapping[str, Samples],
    ):
        only = next(iter(worlds.values()))
        single = len(worlds) == 1
        super().__init__(
            only.values_ if single else {}, only.variables, draws=only.has_draws, index=only.index
        )
        self.worlds = Worlds(worlds)
        self.weights = only.weights
        for world in self.worlds.values():
            world.chains = noise.chains
        self.factual, self.noise, self.natural = factual, noise, dict(natural)
        self.diagnostics = noise.diagnostics

    def __getitem__(self, name: str) -> Tensor:
        if len(self.worlds) > 1:
            raise DataError(
                f"{name!r} has a value in each of several worlds",
                why=f"the worlds are {', '.join(map(repr, self.worlds))}",
                fix=f'use .worlds["{next(iter(self.worlds))}"]["{name}"]',
            )
        return super().__getitem__(name)

    def mean(self, what: str | Callable[[Any], Tensor]) -> Tensor:
        """As `Samples.mean`; with several worlds a function gets them all, by name.

        `cf.mean(lambda w: w["treated"]["y"] - w["control"]["y"])`
        """
        if isinstance(what, str) or len(self.worlds) == 1:
            return super().mean(what)
        value = torch.as_tensor(what(self.worlds))
        return self._mean(value) if self.factual.has_draws else value.double()

    @property
    def num_units(self) -> int:
        return next(iter(self.worlds.values())).num_units

    @property
    def num_draws(self) -> int | None:
        return next(iter(self.worlds.values())).num_draws

    def to_pandas(self, *, draws: bool = False) -> pd.DataFrame:
        """As `Samples.to_pandas`; several worlds are stacked, their names the first level of the index."""
        frames = {name: world.to_pandas(draws=draws) for name, world in self.worlds.items()}
        return frames.popitem()[1] if len(frames) == 1 else pd.concat(frames, names=["world"])

    def to_arviz(self) -> arviz.InferenceData:
        """Groups observed_data, exogenous and counterfactual (dims chain, draw, unit, world)."""
        import arviz
        import xarray

        worlds = xarray.concat(
            [world._dataset() for world in self.worlds.values()],
            dim=pd.Index(list(self.worlds), name="world"),
        ).transpose("chain", "draw", "unit", "world", ...)
        factual = Samples(
            {k: v[0] if self.factual.has_draws else v for k, v in self.factual.items()},
            self.variables,
            index=self.index,
        )
        result = arviz.InferenceData()
        result.add_groups({"observed_data": factual._dataset().isel(chain=0, draw=0, drop=True)})
        result.add_groups(
            {"exogenous": self.noise._dataset(), "counterfactual": worlds}, warn_on_custom_groups=False
        )
        return result

    def _preview(self) -> pd.DataFrame:
        frame = self.to_pandas()
        return frame.head() if len(self.worlds) == 1 else frame.groupby(level="world", sort=False).head(2)


def _typed(array: np.ndarray, dtype: str) -> Any:
    """Values in the column's own type where that loses nothing (a count stays whole), else as they are."""
    try:
        typed = pd.Series(array).astype(pd.api.types.pandas_dtype(dtype))
    except (TypeError, ValueError):  # NaN in a column of integers, say
        return array
    same = (
        typed.isna() | (typed == array)
        if array.dtype == object
        else np.isclose(typed.astype(float), array, rtol=1e-6)
    )
    return typed.array if bool(np.all(same)) else array.astype(float)


def _whole(array: np.ndarray) -> np.ndarray:
    return array.astype(np.int64) if np.issubdtype(array.dtype, np.floating) else array
