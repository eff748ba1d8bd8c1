"""Writing questions as text."""

from __future__ import annotations

from typing import Any

from pyrocausal.errors import QueryError
from pyrocausal.query.syntax import Level, quote
from pyrocausal.variables import check_names


def names(scm: Any, *names: str) -> list[str]:
    """Variables' names as a question has them."""
    check_names(names, scm.variables, where="the effect")
    return [quote(name) for name in names]


def setting(name: str, value: Any) -> str:
    """``x=1``, as a question has it."""
    if isinstance(value, str):
        return f"{name}={Level(value)}"
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise QueryError(
            f"{name} can't be set to {value!r} here", fix="pass a number, or a level's name"
        ) from None
    return f"{name}={number!r}" if number != int(number) else f"{name}={int(number)}"
