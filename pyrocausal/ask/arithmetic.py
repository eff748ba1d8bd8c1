"""The arithmetic of a question, on tensors."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyrocausal.query.syntax import Call, Comparison, Level, Node, Number, Operation
from pyrocausal.query.worlds import OPERATIONS

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "log": torch.log,
    "exp": torch.exp,
    "abs": torch.abs,
    "sqrt": torch.sqrt,
    "min": lambda *xs: functools.reduce(torch.minimum, torch.broadcast_tensors(*xs)),
    "max": lambda *xs: functools.reduce(torch.maximum, torch.broadcast_tensors(*xs)),
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def value_of(node: Node, values: Mapping[Node, Tensor]) -> Tensor:
    """The value of an expression or event, given those of its leaves (variables, or terms)."""
    match node:
        case _ if node in values:
            return values[node]
        case Number():
            return torch.tensor(node.value, dtype=torch.float64)
        case Operation(sign="-", operands=(single,)):
            return -value_of(single, values)
        case Operation():
            return OPERATIONS[node.sign](*(value_of(part, values) for part in node.operands))
        case Call():
            return FUNCTIONS[node.function](*(value_of(part, values) for part in node.arguments))
        case Comparison():
            sides = [value_of(side, values) for side in node.sides]
            holds = [COMPARISONS[s](a, b) for s, a, b in zip(node.signs, sides, sides[1:])]
            return functools.reduce(torch.logical_and, holds)
        case Level():
            raise TypeError(f"{node} is a level, and no number")
    raise TypeError(f"{node} has no value here")
