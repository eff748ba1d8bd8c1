"""Which world every variable of a question is in."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from pyrocausal.query.syntax import (
    Call,
    Comparison,
    Level,
    Node,
    Number,
    Operation,
    Setting,
    Term,
    Variable,
    World,
)


def variables(node: Node) -> Iterator[Variable]:
    """The variables that are asked about, not those that worlds are made with."""
    if isinstance(node, Variable):
        yield node
    else:
        for part in node.parts():
            if not isinstance(part, Setting):
                yield from variables(part)


def explicit(term: Term) -> Term:
    """The term with its do(…) in every variable: E[y | do(x=1), z=2] is E[y_{x=1} | z_{x=1}=2].

    >>> from pyrocausal.query import parse
    >>> print(explicit(parse("E[y | do(x=1), z=2]")))
    E[y_{x=1} | z_{x=1}=2]
    """
    if not term.do:
        return term

    def moved(node: Variable) -> Variable:
        return replace(node, world=term.do)

    def each(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        return tuple(changed(node, moved) for node in nodes)

    return replace(term, of=each(term.of), given=each(term.given), do=())


def changed(node: Any, change: Callable[[Variable], Node]) -> Any:
    """The tree with every variable changed that `variables` gives."""
    if isinstance(node, Variable):
        return change(node)
    if isinstance(node, tuple):
        return tuple(changed(part, change) for part in node)
    if isinstance(node, Node) and not isinstance(node, Setting):
        return replace(node, **{f.name: changed(getattr(node, f.name), change) for f in fields(node)})
    return node


def terms(question: Node) -> list[Term]:
    """The terms of a question, each once, in their order."""
    return list(dict.fromkeys(node for node in question.walk() if isinstance(node, Term)))


def worlds(term: Term) -> list[World]:
    """The worlds that a term's variables are in, each once."""
    return list(dict.fromkeys(v.world for part in (*term.of, *term.given) for v in variables(part)))


#: On numbers, and on tensors.
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
}
FUNCTIONS: dict[str, Callable[..., float]] = {
    "log": math.log,
    "exp": math.exp,
    "abs": abs,
    "sqrt": math.sqrt,
    "min": min,
    "max": max,
}


def folded(node: Node) -> Node:
    """An expression of constants as the number that it is; anything else as it is.

    >>> from pyrocausal.query import parse
    >>> folded(parse("E[1 + 2^3]").of[0])
    Number(value=9.0)
    """
    try:
        return Number(_constant(node), at=node.at)
    except (TypeError, ValueError, ArithmeticError):
        return node


def _constant(node: Node) -> float:
    match node:
        case Number():
            return node.value
        case Operation(sign="-", operands=(single,)):
            return -_constant(single)
        case Operation():
            return float(OPERATIONS[node.sign](*map(_constant, node.operands)))
        case Call():
            return float(FUNCTIONS[node.function](*map(_constant, node.arguments)))
    raise TypeError(f"{node} is no constant")


def equality(event: Node) -> tuple[Variable, Number | Level] | None:
    """The variable and the value of an event ``z = 2``; None for any other."""
    if not isinstance(event, Comparison) or event.signs != ("=",):
        return None
    left, right = map(folded, event.sides)
    if isinstance(right, Variable) and isinstance(left, (Number, Level)):
        left, right = right, left
    return (left, right) if isinstance(left, Variable) and isinstance(right, (Number, Level)) else None
