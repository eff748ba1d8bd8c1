"""A frozenset that iterates in a fixed order, so that results do not depend on Python's string hashing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Self


class OrderedFrozenSet(frozenset):
    """Equal to, and hashed like, the frozenset of the same items; iterates in the order they came.

    Plain sets of strings iterate differently in every Python process. A network whose inputs are
    ``graph.parents(x)`` would then differ from run to run under one seed.

    >>> s = OrderedFrozenSet(["quit", "age", "gain"])
    >>> list(s), s == {"age", "gain", "quit"}, list(s - {"age"})
    (['quit', 'age', 'gain'], True, ['quit', 'gain'])
    """

    _items: tuple[Any, ...]

    def __new__(cls, items: Iterable[Any] = ()) -> Self:
        unique = tuple(dict.fromkeys(items))
        self = super().__new__(cls, unique)
        self._items = unique
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self)) + "}" if self else "frozenset()"

    def __and__(self, other: AbstractSet[Any]) -> OrderedFrozenSet:
        return OrderedFrozenSet(item for item in self if item in other)

    def __sub__(self, other: AbstractSet[Any]) -> OrderedFrozenSet:
        return OrderedFrozenSet(item for item in self if item not in other)

    def __or__(self, other: AbstractSet[Any]) -> OrderedFrozenSet:
        return OrderedFrozenSet((*self, *other))

    def __reduce__(self) -> tuple[type, tuple[tuple[Any, ...]]]:
        return type(self), (self._items,)
