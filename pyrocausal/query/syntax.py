"""A causal question as a tree: what the text says, before any model or graph is asked.

The leaves of a question are *terms*, ``E[y_{x=1} | x=0]``, joined by arithmetic. Inside a term are
expressions of *variables*, each in a world: ``y_{x=1}`` is y in the world do(x=1), a plain ``y`` is factual,
or, next to a ``do(…)``, in the world of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

#: What a term may be: mean, probability, …, quantile; and the functions of numbers.
KINDS = ("E", "P", "Var", "SD", "Cov", "Corr", "Med", "Q")
FUNCTIONS = ("log", "exp", "abs", "sqrt", "min", "max")


@dataclass(frozen=True)
class Node:
    """A part of a question. Two are equal that say the same, wherever they stand in the text."""

    at: int = field(default=0, compare=False, repr=False, kw_only=True)

    def parts(self) -> Iterator[Node]:
        """The nodes right below."""
        for each in fields(self):
            value = getattr(self, each.name)
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Node):
                    yield part

    def walk(self) -> Iterator[Node]:
        """This node and all below."""
        yield self
        for part in self.parts():
            yield from part.walk()

    def replaced(self, change: Callable[[Node], Node]) -> Any:
        """The tree with every node changed, those below first."""

        def deep(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(deep(part) for part in value)
            return value.replaced(change) if isinstance(value, Node) else value

        return change(replace(self, **{f.name: deep(getattr(self, f.name)) for f in fields(self)}))


@dataclass(frozen=True)
class Number(Node):
    """A number."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:g}" if float(f"{self.value:g}") == self.value else repr(self.value)


@dataclass(frozen=True)
class Level(Node):
    """A value by name, ``"high"``."""

    value: str

    def __str__(self) -> str:
        return '"' + self.value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class Setting(Node):
    """One action of a world: ``x=1``; ``x``, any value; or ``m_{x=0}``, m as it is in another world."""

    variable: str
    value: Node | None = None

    def __str__(self) -> str:
        if isinstance(self.value, Variable) and self.value.name == self.variable and self.value.world:
            return str(self.value)
        return quote(self.variable) + (f"={self.value}" if self.value is not None else "")


World = tuple[Setting, ...]


@dataclass(frozen=True)
class Variable(Node):
    """A variable in a world; () is the factual one."""

    name: str
    world: World = ()

    def __str__(self) -> str:
        return quote(self.name) + (f"_{{{listed(self.world)}}}" if self.world else "")


@dataclass(frozen=True)
class Operation(Node):
    """Arithmetic: ``a + b``, ``-a``."""

    sign: str
    operands: tuple[Node, ...]

    def __str__(self) -> str:
        sides = _SIDES[self.sign, len(self.operands)]
        shown = [_inside(operand, strength) for operand, strength in zip(self.operands, sides)]
        gap = "" if self.sign in "^" else " "
        return f"{gap}{self.sign}{gap}".join(shown) if len(shown) == 2 else f"{self.sign}{shown[0]}"


@dataclass(frozen=True)
class Call(Node):
    """A function of numbers, ``log(y)``."""

    function: str
    arguments: tuple[Node, ...]

    def __str__(self) -> str:
        return f"{self.function}({listed(self.arguments)})"


@dataclass(frozen=True)
class Comparison(Node):
    """An event: ``y > 0``, ``40 <= age < 60``."""

    sides: tuple[Node, ...]
    signs: tuple[str, ...]

    def __str__(self) -> str:
        text = str(self.sides[0])
        for sign, side in zip(self.signs, self.sides[1:]):
            text += f"={side}" if sign == "=" else f" {sign} {side}"
        return text


@dataclass(frozen=True)
class Term(Node):
    """A number (or, of `P` with bare variables, a distribution) that belongs to a population.

    Attributes:
        kind: E, P, Var, SD, Cov, Corr, Med or Q.
        of: what it is of; of P, events or variables.
        given: events.
        do: the world of all variables that have none of their own.
        level: of a quantile.
    """

    kind: str
    of: tuple[Node, ...]
    given: tuple[Node, ...] = ()
    do: World = ()
    level: float | None = None

    def __str__(self) -> str:
        acts = [f"do({listed(self.do)})"] if self.do else []
        bar = [*acts, *map(str, self.given), *([] if self.level is None else [f"{self.level:g}"])]
        inside = listed(self.of) + (f" | {', '.join(bar)}" if bar else "")
        return f"{self.kind}({inside})" if self.kind in ("P", "Q") else f"{self.kind}[{inside}]"


# How strongly an operation binds, and how strongly what stands at its sides must, not to need brackets.
_STRENGTH = {("+", 2): 1, ("-", 2): 1, ("*", 2): 2, ("/", 2): 2, ("-", 1): 3, ("^", 2): 4}
_SIDES = {
    ("+", 2): (1, 2),
    ("-", 2): (1, 2),
    ("*", 2): (2, 3),
    ("/", 2): (2, 3),
    ("-", 1): (3,),
    ("^", 2): (5, 3),
}


def _inside(operand: Node, strength: int) -> str:
    own = 9
    if isinstance(operand, Operation):
        own = _STRENGTH[operand.sign, len(operand.operands)]
    elif isinstance(operand, Number) and str(operand).startswith("-"):
        own = _STRENGTH["-", 1]
    return f"({operand})" if own < strength else str(operand)


def listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(map(str, nodes))


def quote(name: str) -> str:
    """A name as the text has it: bare if it is a word, else in backticks.

    >>> quote("age"), quote("smoking years")
    ('age', '`smoking years`')
    """
    return name if re.fullmatch(r"[^\W\d]\w*", name) and name != "do" else "`" + name.replace("`", "``") + "`"
