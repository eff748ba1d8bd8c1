"""What a trace bakes in, and so what tells one compiled question from another.

Tensors are inputs of a graph, but Python is gone once a graph is there: a module's `self.temperature = 2.0`,
a closure's or a global's value, the code of an action. These are looked at in each call (`Baked`), or are a
part of the question's key (`frozen`).
"""

from __future__ import annotations

import copy
import functools
import sys
import types
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Transform

from pyrocausal.intervene import Action, Hard, Intervention, Policy, Shift, Stochastic
from pyrocausal.units import Program

_LIBRARIES = sys.stdlib_module_names - {"types"} | {
    *("torch", "pyro", "pyrocausal", "zuko", "numpy", "pandas", "scipy", "networkx", "sklearn", "matplotlib")
}
_MACHINERY = frozenset(vars(nn.Module())) - {"training"}
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_LARGE = 1_000_000  # bytes of an array, from which it is told by what it is and not by what is in it
_DEEP = 5  # how far objects are followed into what they hold


class _Same:
    """An object, equal to itself alone. It is kept alive, so that no other can take its place."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def frozen(value: Any, depth: int = 0) -> Hashable:
    """A value as something hashable that is equal as long as it does the same in a trace."""
    if isinstance(value, _PLAIN):
        return type(value), repr(value)
    if isinstance(value, np.ndarray) and value.nbytes < _LARGE and value.dtype != object:
        return "array", value.shape, value.dtype.str, value.tobytes()
    if depth == _DEEP or isinstance(value, (Tensor, nn.Module, type, types.ModuleType)):
        return _Same(value)
    within = functools.partial(frozen, depth=depth + 1)
    if isinstance(value, (tuple, list, set, frozenset)):
        return type(value), tuple(map(within, value))
    if isinstance(value, dict):
        return dict, tuple((within(key), within(x)) for key, x in value.items())
    if isinstance(value, types.MethodType):
        return within(value.__func__), within(value.__self__)
    if isinstance(value, functools.partial):
        return within(value.func), within(value.args), within(value.keywords)
    if isinstance(value, types.FunctionType) and not _of_library(value):
        return value.__code__, tuple(map(within, _reached(value)))
    if hasattr(value, "__dict__") and not _of_library(type(value)):
        return _Same(value), within(vars(value))
    return _Same(value)


def _of_library(value: Any) -> bool:
    return str(getattr(value, "__module__", None)).partition(".")[0] in _LIBRARIES


def _reached(function: types.FunctionType) -> Iterator[Any]:
    """Values that a function has beside its arguments: defaults, closure, and globals that its code names."""
    yield function.__defaults__
    yield function.__kwdefaults__
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not yet filled
            yield None
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield function.__globals__[name]


def _names(code: types.CodeType) -> set[str]:
    inner = (_names(c) for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*inner)


class Baked:
    """The Python state of a program at the time of a trace.

    Modules, their attributes other than registered tensors, and what their code and the program's reaches by
    closure or global name.
    """

    def __init__(self, program: Program):
        self.held: list[tuple[dict[str, Any], str, Any]] = []  # names that must still have these values
        self.cells: list[tuple[types.CellType, Any]] = []
        self.mutable: list[tuple[Any, Hashable]] = []  # values that must still hold the same
        self._seen: set[int] = set()
        for module in program.modules():
            self.held += [(module._modules, name, child) for name, child in module._modules.items()]
            ours = _of_library(type(module))
            for name, x in vars(module).items():
                private = name.startswith("_") or not isinstance(x, _PLAIN)
                if name in _MACHINERY or "_pyro" in name or (ours and private):
                    continue
                self._hold(vars(module), name, x)
            for function in _code_of(type(module)):
                self._follow(function)
        self._follow(program.function)

    def holds(self) -> bool:
        """Whether all is as it was."""
        return (
            all((now := d.get(k)) is x or _equal(now, x) for d, k, x in self.held)
            and all((now := cell.cell_contents) is x or _equal(now, x) for cell, x in self.cells)
            and all(frozen(x) == before for x, before in self.mutable)
        )

    def _hold(self, store: dict[str, Any], name: str, value: Any) -> None:
        self.held.append((store, name, value))
        self._follow(value)

    def _follow(self, value: Any) -> None:
        """What may change behind a name that keeps its value."""
        if id(value) in self._seen or isinstance(value, (*_PLAIN, Tensor, nn.Module, type, types.ModuleType)):
            return
        self._seen.add(id(value))
        if isinstance(value, types.MethodType):
            self._follow(value.__func__)
            self._follow(value.__self__)
        elif isinstance(value, types.FunctionType) and not _of_library(value):
            for name in sorted(_names(value.__code__) & value.__globals__.keys()):
                self._hold(value.__globals__, name, value.__globals__[name])
            for cell in value.__closure__ or ():
                self.cells.append((cell, cell.cell_contents))
                self._follow(cell.cell_contents)
            self._follow(value.__defaults__)
            self._follow(value.__kwdefaults__)
        elif isinstance(now := frozen(value), tuple):
            self.mutable.append((value, now))


def _equal(value: Any, before: Any) -> bool:
    return type(value) is type(before) and isinstance(value, _PLAIN) and value == before


def _code_of(cls: type) -> Iterator[types.FunctionType]:
    for base in cls.__mro__:
        if not _of_library(base):
            yield from (f for f in vars(base).values() if isinstance(f, types.FunctionType))


# ---- actions


def split(
    intervention: Intervention,
) -> tuple[Hashable, list[Tensor], Callable[[Sequence[Tensor]], Intervention]]:
    """An intervention as its structure, its tensors, and a function that puts others in their place."""
    items = list(intervention.items())
    taken = [_tensors(action) for *_, action in items]
    structure = tuple((key, *_structure(action)) for _, key, _, action in items)

    def rebuilt(tensors: Sequence[Tensor]) -> Intervention:
        ahead = iter(tensors)
        layers: list[dict[str, Action]] = [{} for _ in intervention.layers]
        for (depth, _, name, action), own in zip(items, taken, strict=True):
            layers[depth][name] = _with(action, [next(ahead) for _ in own])
        return Intervention(tuple(layers))

    return structure, [x for own in taken for x in own], rebuilt


def _tensors(action: Action) -> list[Tensor]:
    match action:
        case Hard(per_unit=False):
            return [action.value]
        case Stochastic():
            return list(_leaves(action.distribution))
    return []


def _structure(action: Action) -> tuple[Any, ...]:
    match action:
        case Shift() | Policy():
            return type(action), frozen(action.function)
        case Stochastic():
            return Stochastic, _form(action.distribution)
        case Hard():
            return Hard, action.per_unit
    return (type(action),)  # its value is an input


def _with(action: Action, tensors: list[Tensor]) -> Action:
    match action:
        case Hard(per_unit=False):
            return Hard(tensors[0])
        case Stochastic():
            return Stochastic(_refilled(action.distribution, iter(tensors)))
    return action


def _leaves(value: Any) -> Iterator[Tensor]:
    """The tensors of a distribution, those of what it wraps included."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (Distribution, Transform)):
        for x in vars(value).values():
            yield from _leaves(x)
    elif isinstance(value, (list, tuple)):
        for x in value:
            yield from _leaves(x)


def _form(value: Any) -> Hashable:
    """A distribution without its tensors' numbers."""
    if isinstance(value, Tensor):
        return value.dtype, tuple(value.shape)
    if isinstance(value, (Distribution, Transform)):
        return type(value), tuple((name, _form(x)) for name, x in vars(value).items())
    if isinstance(value, (list, tuple)):
        return tuple(map(_form, value))
    return frozen(value)


def _refilled(value: Any, tensors: Iterator[Tensor]) -> Any:
    """A distribution with other tensors, in the order of `_leaves`."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, (Distribution, Transform)):
        other = copy.copy(value)
        vars(other).update({name: _refilled(x, tensors) for name, x in vars(value).items()})
        return other
    if isinstance(value, (list, tuple)):
        return type(value)([_refilled(x, tensors) for x in value])
    return value
