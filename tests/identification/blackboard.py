"""The value of a formula as it is written on a blackboard: ``Σ_m P(m | do(x)) P(y | do(x, m))``.

It is read anew here, and valued by enumeration in a `World`, so that the lines of a derivation can be checked
by something that shares no code with it.
"""

from __future__ import annotations

import re

import numpy as np

from .worlds import World

TOKEN = re.compile(r"P\([^()]*(?:do\([^()]*\))?[^()]*\)|Σ_\{[^}]*\}|Σ_\w+|[\[\]/]")


def value_of(text: str, world: World) -> np.ndarray:
    """The value, on the axes of all nodes of the world."""
    tokens = TOKEN.findall(text)
    assert "".join(tokens).replace(" ", "") == text.replace(" ", ""), text
    value, rest = _ratio(tokens, world)
    assert not rest, text
    return value


def _ratio(tokens: list[str], world: World) -> tuple[np.ndarray, list[str]]:
    value, rest = _product(tokens, world)
    if rest and rest[0] == "/":
        below, rest = _product(rest[1:], world)
        value = value / below
    return value, rest


def _product(tokens: list[str], world: World) -> tuple[np.ndarray, list[str]]:
    value = np.ones((1,) * len(world.graph.nodes))
    while tokens and tokens[0] not in ("]", "/"):
        head, *tokens = tokens
        if head.startswith("Σ"):  # a sum reaches as far as the product does
            inner, tokens = _product(tokens, world)
            axes = tuple(world.graph.nodes.index(name) for name in re.findall(r"\w+", head[2:]))
            factor = inner.sum(axes, keepdims=True)
        elif head == "[":
            factor, tokens = _ratio(tokens, world)
            assert tokens.pop(0) == "]"
        else:
            factor = _conditional(head, world)
        value = value * factor
    return value, tokens


def _conditional(text: str, world: World) -> np.ndarray:
    of, _, conditions = text[2:-1].partition(" | ")
    do = re.search(r"do\(([^()]*)\)", conditions)
    acted = re.findall(r"\w+", do[1]) if do else []
    given = [name for name in re.findall(r"\w+", conditions.replace(do[0] if do else "", ""))]
    return world.truth(re.findall(r"\w+", of), acted, given)
