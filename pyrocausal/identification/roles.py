"""Who plays which part when a special case is looked for: treatment, outcome, and what may be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph

Names = str | Iterable[str]


@dataclass(frozen=True)
class Roles:
    """Disjoint sets of variables, in the order of the graph's nodes; `allowed` has `required` in it."""

    x: frozenset[str]
    y: frozenset[str]
    allowed: frozenset[str]
    required: frozenset[str]


def roles(
    graph: CausalGraph, x: Names, y: Names, allowed: Names | None = None, required: Names = ()
) -> Roles:
    """Check the names.

    Args:
        allowed: what may be used; None is all that is observed.
        required: what must be used.

    Raises:
        GraphError: a name that the graph does not have.
        IdentifyError: no treatment or outcome, one that is latent, or a variable with two roles.
    """
    given = {"x": graph.select(x, "x"), "y": graph.select(y, "y"), "required": graph.select(required)}
    for role in ("x", "y"):
        if not given[role]:
            raise IdentifyError(f"{role} is empty", fix="name the treatment x and the outcome y")
    disjoint(given)
    candidates = graph.observed if allowed is None else graph.select(allowed, "allowed")
    for role, names in (*given.items(), ("allowed", candidates)):
        seen(graph, names, role)
    outside = given["x"] | given["y"]
    return Roles(
        given["x"], given["y"], graph.select((candidates | given["required"]) - outside), given["required"]
    )


def disjoint(sets: dict[str, frozenset[str]]) -> None:
    """Refuse a variable with two roles."""
    taken: dict[str, str] = {}
    for role, names in sets.items():
        for name in names:
            if name in taken:
                raise IdentifyError(
                    f"{name!r} stands both in {taken[name]} and in {role}",
                    why="treatment, outcome and what is adjusted for are different variables",
                    fix=f"take it out of one of them, e.g. out of {role}",
                )
            taken[name] = role


def seen(graph: CausalGraph, names: Iterable[str], role: str) -> None:
    """Refuse a variable that is not observed."""
    for name in names:
        if name in graph.latent:
            raise IdentifyError(
                f"{name!r} in {role} is latent",
                why="a formula is made of what is observed",
                fix=f"take it out of {role}; or, if it can be measured, unmark it in the graph",
            )
