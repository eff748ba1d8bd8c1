"""Errors of a question's text, each with a caret under the place."""

from __future__ import annotations

import difflib
from typing import Any, NoReturn

from pyrocausal.errors import QueryError
from pyrocausal.query.syntax import KINDS

CLOSING = {"[": "]", "(": ")", "{": "}"}


def fail(text: str, at: int, what: str, why: str = "", fix: str = "") -> NoReturn:
    """Raise with a caret under the place."""
    line = text.replace("\n", " ").replace("\t", " ")
    raise QueryError(
        f"the question can't be read at character {at + 1}:\n\n    {line}\n    {' ' * at}^\n{what}",
        why=why,
        fix=fix,
    )


def fail_to_read(text: str, error: Any) -> NoReturn:
    """Name the character that can't be there, and what could."""
    at = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    token = getattr(error, "token", None)
    at_end = token is not None and token.type == "$END"
    at = len(text.rstrip()) if at_end else at
    open_ = _open_bracket(text[:at])
    if at_end and open_:
        fail(text, at, f"the question ends where {CLOSING[open_]!r} is missing", fix=f"close the {open_!r}")
    if at_end:
        fail(text, at, "the question ends too early", fix="write e.g. E[y | do(x=1)] or P(y > 0 | x=1)")
    found = str(token) if token is not None else text[at]
    if found in CLOSING.values() and open_ != {v: k for k, v in CLOSING.items()}[found]:
        missing = f"{CLOSING[open_]!r} comes first" if open_ else "nothing is open"
        fail(text, at, f"{found!r} can't be here", why=missing)
    before = text[:at].rstrip()
    if found == "," and not open_:
        fail(text, at, "',' can't be here", fix="ask one question at a time")
    if found == "=" and not open_:
        fail(text, at, "'=' can't be here", why="a question has no answer in it", fix="leave it out")
    if before.endswith(("|", ",", "[", "(")):
        why = "a variable, an event or do(…) is expected there"
    elif open_ == "{" or before.endswith("_"):
        why = "a world is written as _{x=1}"
    else:
        why = "it does not follow what stands before it"
    near = (
        difflib.get_close_matches(found, KINDS, 1)
        if text[at + len(found) :].lstrip()[:1] in ("(", "[")
        else []
    )
    fail(text, at, f"{found!r} can't be here", why=why, fix=f"did you mean {near[0]!r}?" if near else "")


def _open_bracket(text: str) -> str:
    """The innermost bracket that is still open."""
    stack: list[str] = []
    for character in text:
        if character in CLOSING:
            stack.append(character)
        elif stack and character == CLOSING[stack[-1]]:
            stack.pop()
    return stack[-1] if stack else ""
