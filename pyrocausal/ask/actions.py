"""From a world of a question, ``{x=1, m_{x=0}}``, to the actions that `do` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyrocausal.ask.arithmetic import value_of
from pyrocausal.errors import QueryError
from pyrocausal.intervene import natural, policy
from pyrocausal.query.faults import fail
from pyrocausal.query.syntax import Level, Node, Number, Setting, Variable, World


def actions(world: World, text: str) -> dict[str, Any]:
    """The actions by variable.

    ``x=1`` is a value, ``x=x+1`` a function of the natural value, ``x=z/2`` a policy that reads z, and
    ``m_{x=0}`` the natural value of another world.
    """
    return {setting.variable: _action(setting, text) for setting in world}


def _action(setting: Setting, text: str) -> Any:
    name, value = setting.variable, setting.value
    if value is None:
        fail(text, setting.at, f"{name!r} is set to no value", fix=f"write {name}=1, or the value you mean")
    if isinstance(value, (Number, Level)):
        return value.value
    if isinstance(value, Variable) and value.world:
        if value.name != name:
            _another(setting, value, text)
        return natural(actions(value.world, text))
    read = _read(value, text)
    if not read:
        return float(value_of(value, {}))
    if read == {name}:
        return _shift(name, value)
    if name in read:
        fail(
            text,
            setting.at,
            f"what {name!r} is set to reads both {name!r} itself and {', '.join(sorted(read - {name}))}",
            fix="read one of them",
        )
    return policy(_policy(value, read))


def _read(value: Node, text: str) -> set[str]:
    found = [node for node in value.walk() if isinstance(node, Variable)]
    for variable in found:
        if variable.world:
            fail(
                text,
                variable.at,
                f"{variable} can't be a part of what a variable is set to",
                why="an action reads variables of its own world",
                fix="leave the subscript out",
            )
    return {variable.name for variable in found}


def _shift(name: str, value: Node) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.as_tensor(value_of(value, {Variable(name): x}))


def _policy(value: Node, read: set[str]) -> Callable[[Mapping[str, Tensor]], Tensor]:
    return lambda v: torch.as_tensor(value_of(value, {Variable(name): v[name] for name in sorted(read)}))


def _another(setting: Setting, value: Variable, text: str) -> None:
    raise QueryError(
        f"{setting.variable!r} is set to {value}, another variable in another world",
        why="a variable can take its own value of another world",
        fix=f"write {Variable(setting.variable, value.world)} in the subscript",
    )
