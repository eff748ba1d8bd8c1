"""Interventions as plain data: what each action does to one site, and how successive `do` calls combine.

An `Intervention` is a sequence of layers, one per `do` call, each acting on the submodel that the layers
before it made. Within one site's chain a later hard action wins; a later function acts on the earlier
action's value, so `do(x=1).do(x=lambda v: v + 1)` gives 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyrocausal.errors import InterventionError
from pyrocausal.exogenous import Law, exogenous
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.variables import Variable, check_names


@dataclass(frozen=True, eq=False)
class Hard:
    """do(x = value): one value for all units, or one per unit (`per_unit`, shape `(n, *event)`).

    Values of a pandas Series belong to the units with its labels, its `index`.
    """

    value: Tensor
    per_unit: bool = False
    index: pd.Index | None = None

    def of_units(self, name: str, labels: pd.Index | None, units: int) -> Tensor:
        """The values of these units, in their order."""
        if len(self.value) != units:
            raise InterventionError(
                f"do({name}=…) gives {len(self.value)} values for {units} units",
                fix="give one value for all units, or one per unit",
            )
        if self.index is None or labels is None or self.index.equals(labels):
            return self.value
        order = self.index.get_indexer(labels) if self.index.is_unique else np.full(1, -1)
        if (order < 0).any():
            raise InterventionError(
                f"do({name}=…): the Series' labels are not those of the units",
                why=f"they begin with {self.index[0]!r}, and the units with {labels[0]!r}",
                fix="align it with the evidence, or pass .to_numpy() to go by position",
            )
        return self.value[torch.as_tensor(order)]


@dataclass(frozen=True, eq=False)
class Shift:
    """do(x = f(x)): a function of the value that x would have taken."""

    function: Callable[[Tensor], Any]


@dataclass(frozen=True, eq=False)
class Policy:
    """do(x = f(other variables)): a function of variables that come earlier in the program."""

    function: Callable[[Mapping[str, Tensor]], Any]


@dataclass(frozen=True, eq=False)
class Stochastic:
    """do(x ~ D): x is drawn afresh from D, independent of its causes."""

    distribution: Distribution

    @property
    def law(self) -> Law:
        return exogenous(self.distribution).law


@dataclass(frozen=True, eq=False)
class Natural:
    """do(x = the value that x takes, with the same noise, in the world of these actions)."""

    actions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Edge:
    """do(x = value) as some children of x see it; x itself and its other children are left alone."""

    by_child: Mapping[str, Any]


Action = Hard | Shift | Policy | Stochastic | Natural | Edge


def policy(function: Callable[[Mapping[str, Tensor]], Any]) -> Policy:
    """An action that decides from other variables.

    The function gets a mapping of the variables that come earlier in the program (their enforced values, for
    one unit) and returns the value to set. It adds edges from what it reads.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     age = pyro.sample("age", dist.Normal(50.0, 10.0))
    ...     treat = pyro.sample("treat", dist.Bernoulli(0.5))
    ...     pyro.sample("y", dist.Normal(treat + age / 50, 1.0))
    >>> scm = pc.SCM(program).do(treat=pc.policy(lambda v: v["age"] > 50))
    >>> sorted(scm.graph.parents("treat"))
    ['age']
    """
    if not callable(function):
        raise InterventionError(
            f"policy({function!r}) is no function", fix='write policy(lambda v: v["age"] > 50)'
        )
    return Policy(function)


def natural(actions: Mapping[str, Any] | None = None, /, **kw: Any) -> Natural:
    """The value that a variable takes in the world of other actions, with the same noise.

    `do(t=1, m=natural(t=0))` treats, but holds the mediator at what it would have been without treatment: the
    counterfactual behind natural direct effects (Pearl 2001).
    """
    return Natural({**_named(actions, "natural(t=0)"), **kw})


def edge(by_child: Mapping[str, Any] | None = None, /, **kw: Any) -> Edge:
    """An action that only some children of a variable see: a path-specific intervention.

    `do(t=edge(m=1, y=0))` gives m the value 1 of t to read and y the value 0 (Pearl 2001; the edge
    interventions of Shpitser and Tchetgen Tchetgen 2016). The variable itself keeps its value, and so do its
    other children.

    Args:
        by_child, kw: child to action; an action is anything that `do` takes.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     t = pyro.sample("t", dist.Normal(0.0, 1.0))
    ...     m = pyro.sample("m", dist.Normal(2 * t, 1.0))
    ...     pyro.sample("y", dist.Normal(t + m, 1.0))
    >>> scm, unit = pc.SCM(program), {"t": [0.0], "m": [0.0], "y": [0.0]}
    >>> cf = scm.counterfactual(unit, do={"t": pc.edge(m=1.0)})            # through m alone
    >>> cf["t"], cf["m"], cf["y"]
    (tensor([0.]), tensor([2.]), tensor([2.]))
    """
    given = {**_named(by_child, "edge(m=1)"), **kw}
    if not given:
        raise InterventionError("edge() names no child", fix="write do(t=pc.edge(m=1)), m a child of t")
    return Edge(given)


def _named(given: Any, example: str) -> Mapping[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise InterventionError(
            f"{example.partition('(')[0]}({given!r}) names no variable", fix=f"write pc.{example}"
        )
    return given or {}


def along(
    edges: Mapping[str, Edge], graph: CausalGraph, variables: Mapping[str, Variable]
) -> list[dict[str, Action]]:
    """Edge interventions as layers of nested counterfactuals, one a child.

    A child takes the value that it has in the world in which these parents are acted on, and all its others
    are as they would have been without.
    """
    seen: dict[str, dict[str, Any]] = {}
    for name, action in edges.items():
        for child, value in action.by_child.items():
            check_names([child], variables, where=f"do({name}=edge(…))")
            if child not in graph.children(name):
                children = ", ".join(sorted(graph.children(name))) or "none"
                raise InterventionError(
                    f"do({name}=edge({child}=…)): '{child}' does not read '{name}'",
                    why=f"the children of '{name}' are: {children}",
                    fix="name one of them",
                )
            seen.setdefault(child, {})[name] = value
    layers: list[dict[str, Action]] = []
    for child in (name for name in variables if name in seen):
        others = {parent: Natural() for parent in graph.parents(child) if parent not in seen[child]}
        world = parse_actions({**others, **seen[child]}, {}, variables)
        _refuse_edges(world)
        layers.append({child: Natural(world)})
    return layers


class Intervention:
    """The `do` calls made so far: a tuple of layers, each a mapping of variable to action.

    Args:
        layers: earliest first. An action in a layer acts on the submodel made by the layers before it.
    """

    def __init__(self, layers: tuple[Mapping[str, Action], ...] = ()):
        self.layers = layers
        self.chains: dict[str, list[tuple[str, Action]]] = {}
        for depth, layer in enumerate(layers):
            for name, action in layer.items():
                self.chains.setdefault(name, []).append((f"{depth}/{name}", action))

    def then(self, layer: Mapping[str, Action]) -> Intervention:
        return Intervention((*self.layers, layer))

    def before(self, depth: int) -> Intervention:
        """The submodel that layer `depth` acts on."""
        return Intervention(self.layers[:depth])

    def act(
        self, name: str, value: Tensor, values: Mapping[str, Tensor], given: Mapping[str, Tensor]
    ) -> Tensor:
        """The value enforced at a site, from its natural value, the values before it and per-unit inputs."""
        natural_value = value
        for key, action in self.chains.get(name, ()):
            match action:
                case Hard():
                    value = given[key] if action.per_unit else action.value
                case Shift():
                    value = action.function(value)
                case Policy():
                    value = action.function(Earlier(name, values))
                case Stochastic():
                    value = exogenous(action.distribution).push(given[key])
                case Natural():
                    value = given[key]
        return self._as(natural_value, name, value)

    def replaces(self, name: str) -> bool:
        """Whether the site's own mechanism no longer matters for its value."""
        return any(not isinstance(action, Shift) for _, action in self.chains.get(name, ()))

    def drawn(self, name: str) -> Distribution | None:
        """The distribution that the site is drawn afresh from, if that is the last action on it."""
        last = self.chains[name][-1][1] if name in self.chains else None
        return last.distribution if isinstance(last, Stochastic) else None

    def items(self) -> Iterator[tuple[int, str, str, Action]]:
        """Every action as (depth, key, variable, action)."""
        for depth, layer in enumerate(self.layers):
            for name, action in layer.items():
                yield depth, f"{depth}/{name}", name, action

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.chains)

    @staticmethod
    def _as(like: Tensor, name: str, value: Any) -> Tensor:
        try:
            value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
        except (TypeError, ValueError) as error:
            raise InterventionError(
                f"the action on '{name}' gives {value!r}", fix="return a number or a tensor"
            ) from error
        if value.shape == like.shape:
            return value
        if value.dim() == 0:
            return value.expand(like.shape)
        raise InterventionError(
            f"the action on '{name}' gives shape {tuple(value.shape)}",
            why=f"one unit's '{name}' has shape {tuple(like.shape)}",
            fix="return a number or a tensor of that shape",
        )


class Earlier(Mapping[str, Tensor]):
    """What a policy sees: the variables before its own."""

    def __init__(self, name: str, values: Mapping[str, Tensor]):
        self.name, self.values_ = name, values
        self.read: list[str] = []

    def __getitem__(self, key: str) -> Tensor:
        if key not in self.values_:
            raise InterventionError(
                f"the policy for '{self.name}' reads '{key}'",
                why=f"only what comes before '{self.name}' is known then: "
                f"{', '.join(self.values_) or 'nothing'}",
                fix="read one of these",
            )
        self.read.append(key)
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def parse_actions(
    actions: Mapping[str, Any] | None, kw: Mapping[str, Any], variables: Mapping[str, Variable]
) -> dict[str, Action]:
    """A user's `do(...)` arguments as actions, checked against the variables."""
    if actions is not None and not isinstance(actions, Mapping):
        raise InterventionError(
            f"do({actions!r}) is no mapping of variable to action", fix='write do(x=1) or do({"x": 1})'
        )
    twice = set(actions or ()) & set(kw)
    if twice:
        raise InterventionError(f"'{twice.pop()}' is set twice in one do", fix="name each variable once")
    given = {**(actions or {}), **kw}
    check_names(given, variables, where="do")
    return {name: parse_action(variables[name], value, variables) for name, value in given.items()}


def parse_action(variable: Variable, value: Any, variables: Mapping[str, Variable] | None = None) -> Action:
    """One action on one variable; `variables` are those that a `natural` may name."""
    match value:
        case Natural():
            inner = parse_actions(value.actions, {}, variables or {})
            _refuse_edges(inner)
            return Natural(inner)
        case Edge():
            return value
        case Hard() | Shift() | Policy() | Stochastic():
            return value
        case Distribution():
            return _stochastic(variable, value)
        case Mapping():
            raise InterventionError(
                f"the action on '{variable.name}' is a mapping",
                why="a mapping names worlds, and only `counterfactual` takes several",
                fix='write do={"name of world": {"x": 1}, …} there, with every entry a mapping',
            )
        case _ if value is natural or value is policy or value is edge:
            raise InterventionError(
                f"the action on '{variable.name}' is the function pc.{value.__name__} itself",
                fix="call it: pc.natural(t=0), pc.policy(lambda v: …) or pc.edge(child=1)",
            )
        case _ if callable(value):
            return Shift(value)
    return _hard(variable, value)


def _refuse_edges(actions: Mapping[str, Action]) -> None:
    for name, action in actions.items():
        if isinstance(action, Edge):
            raise InterventionError(
                f"edge(…) within natural(…) or edge(…), on '{name}', is not supported",
                fix="write the path as nested natural(…), or act in two steps: do(t=edge(…)).do(…)",
            )


def _stochastic(variable: Variable, distribution: Distribution) -> Stochastic:
    shape = tuple(distribution.batch_shape + distribution.event_shape)
    if shape not in ((), variable.shape):
        raise InterventionError(
            f"the distribution for '{variable.name}' draws shape {shape}",
            why=f"one unit's '{variable.name}' has shape {variable.shape}",
            fix="give it that shape",
        )
    exogenous(distribution)  # refuses what has no derived noise, at the door
    return Stochastic(distribution)


def _hard(variable: Variable, value: Any) -> Hard:
    """Tell one value for all units from one per unit by its shape."""
    where = f"do({variable.name}=…)"
    shape = _shape_of(value)
    if shape is None:
        raise InterventionError(
            f"{where}: None is no action", fix="pass a value, a function, a policy or a distribution"
        )
    if shape == variable.shape:
        return Hard(variable.encode(_batch_of_one(value), where=where)[0])
    if shape == ():
        number = torch.as_tensor(float(value)).expand(variable.shape)
        return Hard(variable.encode(number[None], where=where)[0])
    if shape[1:] == variable.shape:
        index = value.index if isinstance(value, pd.Series) else None
        return Hard(variable.encode(value, where=where), per_unit=True, index=index)
    raise InterventionError(
        f"{where}: shape {shape} is ambiguous or wrong",
        why=f"one unit's value has shape {variable.shape}; per-unit values have the units before it",
        fix="pass a number, one value of that shape, or one per unit",
    )


def _shape_of(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return ()
    return tuple(value.shape) if isinstance(value, Tensor) else np.shape(value)


def _batch_of_one(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value[None]
    return [value]
