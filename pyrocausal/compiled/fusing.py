"""From a traced graph to fast code: each variable's part of it is fused by inductor, once a shape.

The time to compile the graph of a whole question grows with the number of variables. Most variables do the
same, though: a chain of 50 equal mechanisms is one region of the graph, 50 times with other inputs. So a
graph is cut into one region a variable, equal regions are compiled once in a process, and a question is the
list of its regions' calls.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch._inductor
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

from .tracing import SIZES, NotTraceable, Traced

logger = logging.getLogger("pyrocausal")

SMALL = 4  # operations, up to which a region is not worth a compiler
BLOCK = 8192  # units that go through all regions together: what they pass on stays in the cache

Values = Sequence[Tensor]

_compiled: dict[Any, Callable[..., Any]] = {}  # by what a region does, for all questions of this process


class Step(NamedTuple):
    """One call of a region: from slots of the values so far to new ones."""

    call: Callable[..., Any]
    reads: tuple[int, ...]
    writes: tuple[int, ...]


class Fused:
    """A traced graph as a function ``(units, fixed, per_unit) -> outputs``, captured tensors included.

    Args:
        groups: for every output, the variable that it is about; outputs of one are computed in one region.
    """

    def __init__(self, traced: Traced, fixed: Values, per_unit: Values, groups: Sequence[Any]):
        self.captured = traced.captured
        graph = _with_shapes(traced, fixed, per_unit)
        inputs = [node for node in graph.nodes if node.op == "placeholder"]
        slot = {node: i for i, node in enumerate(inputs)}
        self.steps: list[Step] = []
        outputs = next(iter(reversed(graph.nodes))).args[0]
        for region in _regions(graph, outputs, groups):
            reads = tuple(slot[node] for node in region.inputs)
            slot |= {node: len(slot) + i for i, node in enumerate(region.outputs)}
            self.steps.append(Step(region.compiled(), reads, tuple(slot[node] for node in region.outputs)))
        self.inputs, self.slots = len(inputs), len(slot)
        self.outputs = [slot[node] for node in outputs]
        self.computed = list(dict.fromkeys(i for i in self.outputs if i >= self.inputs))

    def __call__(self, units: int, fixed: Values, per_unit: Values) -> list[Tensor]:
        given: list[Any] = [units, *fixed, *self.captured, *per_unit]
        found = dict(zip(self.computed, self._blocks(units, fixed, per_unit)))
        return [found[i] if i in found else given[i] for i in self.outputs]

    def _blocks(self, units: int, fixed: Values, per_unit: Values) -> list[Tensor]:
        if units == 1:  # a size of one broadcasts, so that two units do it
            return [x[:1] for x in self._run(2, fixed, [torch.cat([x, x]) for x in per_unit])]
        if units <= BLOCK:
            return self._run(units, fixed, per_unit)
        ends = [(begin, min(begin + BLOCK, units)) for begin in range(0, units, BLOCK)]
        if units % BLOCK == 1:  # no block of one unit either
            ends[-2:] = [(ends[-2][0], units)]
        blocks = [self._run(b - a, fixed, [x[a:b] for x in per_unit]) for a, b in ends]
        return [torch.cat(parts) for parts in zip(*blocks, strict=True)]

    def _run(self, units: int, fixed: Values, per_unit: Values) -> list[Tensor]:
        values: list[Any] = [units, *fixed, *self.captured, *per_unit]
        values += [None] * (self.slots - len(values))
        for call, reads, writes in self.steps:
            for i, value in zip(writes, call(*[values[i] for i in reads])):
                values[i] = value
        return [values[i] for i in self.computed]


def _with_shapes(traced: Traced, fixed: Values, per_unit: Values) -> fx.Graph:
    """The graph, every node with a fake value whose shape holds for any number of units."""
    shapes = ShapeEnv()
    mode = FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True)
    free: Any = StatelessSymbolicContext([DimDynamic.DYNAMIC])
    units = mode.from_tensor(torch.empty(SIZES[0]), symbolic_context=free, source=ConstantSource("u")).shape[
        0
    ]
    same = [mode.from_tensor(x.detach(), static_shapes=True) for x in (*fixed, *traced.captured)]
    with mode:
        each = [torch.empty((units, *x.shape[1:]), dtype=x.dtype, device=x.device) for x in per_unit]
    module = fx.GraphModule({}, traced.graph)
    with enable_python_dispatcher():  # without it some operations fix the number of units
        FakeTensorProp(module, mode).propagate_dont_convert_inputs(units, *same, *each)
    if shapes.guards:
        raise NotTraceable(f"it holds for some numbers of units only: {shapes.guards[0].expr}")
    return module.graph


class Region(NamedTuple):
    """A part of a graph: operations in order, what they read from outside, what is read of them outside."""

    nodes: list[fx.Node]
    inputs: list[fx.Node]
    outputs: list[fx.Node]

    def compiled(self) -> Callable[..., Any]:
        """A function of the inputs' values that returns the outputs', compiled unless an equal one was."""
        key = self._key()
        if key not in _compiled:
            _compiled[key] = self._compile()
        return _compiled[key]

    def _key(self) -> Any:
        """What the region does, whatever its nodes are called."""
        names: dict[fx.Node, str] = {node: f"in{i}" for i, node in enumerate(self.inputs)}
        names |= {node: f"op{i}" for i, node in enumerate(self.nodes)}

        def shown(args: Any) -> str:
            return repr(fx.node.map_arg(args, lambda node: _Name(names[node])))

        does = tuple((node.target, shown(node.args), shown(node.kwargs)) for node in self.nodes)
        return tuple(map(_layout, self.inputs)), does, tuple(names[node] for node in self.outputs)

    def _compile(self) -> Callable[..., Any]:
        graph, copies = fx.Graph(), {}
        for i, node in enumerate(self.inputs):
            copies[node] = graph.placeholder(f"in{i}")
        for node in self.nodes:
            copies[node] = graph.node_copy(node, lambda n: copies[n])
        for node, copy in copies.items():
            copy.meta = {"val": node.meta["val"], "example_value": node.meta["val"]}  # inductor reads both
        graph.output(tuple(copies[node] for node in self.outputs))
        module = fx.GraphModule({}, graph)
        if len(self.nodes) <= SMALL:
            return module.forward
        begun = time.monotonic()
        examples = [node.meta["val"] for node in self.inputs]
        fused = torch._inductor.standalone_compile(module, examples, dynamic_shapes="from_graph")
        logger.debug("Compiled %d operations in %.1f s.", len(self.nodes), time.monotonic() - begun)
        return fused


class _Name(str):
    __repr__ = str.__str__


def _layout(node: fx.Node) -> Any:
    value = node.meta["val"]
    if isinstance(value, Tensor):
        return str(tuple(value.shape)), str(value.stride()), value.dtype, value.device
    return "number"


def _regions(graph: fx.Graph, outputs: Sequence[fx.Node], groups: Sequence[Any]) -> Iterator[Region]:
    """One region a group: what its outputs need and no earlier group's did."""
    place = {node: i for i, node in enumerate(graph.nodes)}
    owner: dict[fx.Node, int] = {}
    members: list[list[fx.Node]] = []
    for group in dict.fromkeys(groups):
        wanted = [node for node, of in zip(outputs, groups, strict=True) if of == group]
        mine = _needed(wanted, owner)
        if mine:
            owner |= dict.fromkeys(mine, len(members))
            members.append(sorted(mine, key=place.__getitem__))
    for i, nodes in enumerate(members):
        numbers = _numbers(nodes, place)
        inside = {*nodes, *numbers}
        reads = dict.fromkeys(
            n for node in (*numbers, *nodes) for n in node.all_input_nodes if n not in inside
        )
        shown = [n for n in nodes if n in outputs or any(owner.get(user, i) != i for user in n.users)]
        yield Region([*numbers, *nodes], list(reads), shown)


def _needed(wanted: Sequence[fx.Node], taken: dict[fx.Node, int]) -> set[fx.Node]:
    """The operations on tensors behind some nodes, as far as they are not taken."""
    found: set[fx.Node] = set()
    ahead = list(wanted)
    while ahead:
        node = ahead.pop()
        if node.op == "placeholder" or node in taken or node in found or not _of_tensors(node):
            continue
        found.add(node)
        ahead += node.all_input_nodes
    return found


def _numbers(nodes: Sequence[fx.Node], place: dict[fx.Node, int]) -> list[fx.Node]:
    """The integers, functions of the number of units, that operations read: every region has its own."""
    found: set[fx.Node] = set()
    ahead = [n for node in nodes for n in node.all_input_nodes if not _of_tensors(n)]
    while ahead:
        node = ahead.pop()
        if node.op != "placeholder" and node not in found:
            found.add(node)
            ahead += node.all_input_nodes
    return sorted(found, key=place.__getitem__)


def _of_tensors(node: fx.Node) -> bool:
    return not isinstance(node.meta["val"], (int, torch.SymInt))
