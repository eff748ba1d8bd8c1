"""From a function of many units to a graph of tensor operations in which the number of units is free.

`torch.vmap` fixes the number of units at some operations (`cat` is one), so that a symbolic trace through it
holds for one number only. Instead the function is traced at two numbers of units: an integer of the graph
that is the same in both is a constant, and one that differs is the line ``a * units + b`` through both.

The tensors of a trace are fake: they have shapes and no numbers. What looks at a number (an `if`, numpy,
`.item()`) raises, and is never baked into the graph in silence.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

SIZES = 1013, 1021  # numbers of units of the two traces

#: A function of tensors that are the same for all units, of per-unit tensors, and of the number of units.
Mapped = Callable[[Sequence[Tensor], Sequence[Tensor], int], list[Tensor]]


class Traced(NamedTuple):
    """A graph of the inputs `(units, *fixed, *captured, *per_unit)`.

    Attributes:
        captured: tensors that the function reached otherwise than as arguments; `fixed` comes before them.
    """

    graph: fx.Graph
    captured: list[Tensor]


class NotTraceable(Exception):
    """Why a function is no graph of tensor operations."""


def trace(function: Mapped, fixed: Sequence[Tensor], per_unit: Sequence[Tensor]) -> Traced:
    """Trace a function; of `per_unit` only dtype, device and the shape of one unit matter.

    Raises:
        NotTraceable: the operations depend on the number of units, or, as any other exception, on values.
    """
    one, other = (_at(function, fixed, per_unit, units) for units in SIZES)
    return _joined(one, other, len(fixed))


def _at(function: Mapped, fixed: Sequence[Tensor], per_unit: Sequence[Tensor], units: int) -> fx.GraphModule:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    same = [mode.from_tensor(x.detach(), static_shapes=True) for x in fixed]
    with mode:
        each = [torch.empty((units, *x.shape[1:]), dtype=x.dtype, device=x.device) for x in per_unit]
    pure = torch.func.functionalize(lambda same, each: function(same, each, units))
    return make_fx(pure, tracing_mode="fake", _allow_non_fake_inputs=True)(same, each)


def _joined(one: fx.GraphModule, other: fx.GraphModule, fixed: int) -> Traced:
    """The graph of which both are instances."""
    pairs = list(zip(one.graph.nodes, other.graph.nodes))
    if len(one.graph.nodes) != len(other.graph.nodes) or any(a.op != b.op for a, b in pairs):
        raise NotTraceable("its operations depend on the number of units")
    found: dict[fx.Node, Any] = {}
    graph, captured = fx.Graph(), []
    units = graph.placeholder("units")
    inputs = [a for a, _ in pairs if a.op == "placeholder"]
    for node in inputs[:fixed]:
        found[node] = graph.placeholder(node.name)
    for node in (a for a, _ in pairs if a.op == "get_attr"):
        captured.append(getattr(one, str(node.target)))
        found[node] = graph.placeholder(f"captured{len(captured)}")
    for node in inputs[fixed:]:
        found[node] = graph.placeholder(node.name)
    line = _Lines(graph, units)
    for a, b in pairs:
        if a in found:
            continue
        if a.op != "output" and a.target != b.target:
            raise NotTraceable("its operations depend on the number of units")
        leaves, spec = pytree.tree_flatten((a.args, dict(a.kwargs)), is_leaf=_is_node)
        others, _ = pytree.tree_flatten((b.args, dict(b.kwargs)), is_leaf=_is_node)
        joined = [found[x] if _is_node(x) else line(x, y) for x, y in zip(leaves, others, strict=True)]
        args, kwargs = pytree.tree_unflatten(joined, spec)
        found[a] = graph.create_node(a.op, a.target, args, kwargs)
    graph.eliminate_dead_code()
    return Traced(graph, captured)


class _Lines:
    """Numbers as functions of the number of units, each one node of the graph."""

    def __init__(self, graph: fx.Graph, units: fx.Node):
        self.graph, self.units = graph, units
        self.nodes: dict[tuple[int, int], fx.Node] = {(1, 0): units}

    def __call__(self, x: Any, y: Any) -> Any:
        if x == y or x is y:
            return x
        if type(x) is not int:
            raise NotTraceable("a number in it depends on the number of units")
        slope, rest = divmod(y - x, SIZES[1] - SIZES[0])
        if rest:
            raise NotTraceable("a shape in it is no multiple of the number of units")
        start = x - slope * SIZES[0]
        if (slope, start) not in self.nodes:
            times = self.graph.call_function(operator.mul, (self.units, slope))
            self.nodes[slope, start] = self.graph.call_function(operator.add, (times, start))
        return self.nodes[slope, start]


def _is_node(x: Any) -> bool:
    return isinstance(x, fx.Node)
