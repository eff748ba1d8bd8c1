"""Writing questions as text."""

from __future__ import annotations

from typing import Any

from pyrocausal.errors import QueryError
from pyrocausal.query.syntax import Level, quote
from pyrocausal.variables import check_names


def names(scm: Any, *names: str) -> list[str]:
    """Variables' names as a question has them."""
    if not hasattr(scm, "ask"):
        raise QueryError(f"{type(scm).__name__} is no SCM", fix="wrap the program: pc.SCM(program)")
    check_names(names, scm.variables, where="the effect")
    return [quote(name) for name in names]


def setting(name: str, value: Any) -> str:
    """``x=1``, as a question has it."""
    if isinstance(value, str):
        return f"{name}={Level(value)}"
    try:
        number = float(value)
        text = f"{int(number)}" if number == int(number) else f"{number!r}"
    except (TypeError, ValueError, OverflowError):
        raise QueryError(
            f"{name} can't be set to {value!r} here", fix="pass a number, or a level's name"
        ) from None
    return f"{name}={text}"
