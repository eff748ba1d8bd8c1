"""Where units stand when Pyro has several of them: in a plate, left of the program's own.

A program about one unit may mean something else there: `v.mean()` is then a mean over units. So set-up holds
several units in a plate against each of them alone, and what differs is refused. It is the same with one unit
where inference takes several values of it at once: vectorised particles, or levels enumerated in parallel.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro.poutine.messenger import Messenger
from torch import Size, Tensor

from pyrocausal.errors import ProgramError
from pyrocausal.exogenous import exogenous
from pyrocausal.graph.discover import Structure
from pyrocausal.units import Program
from pyrocausal.world import Values, is_plate, run

PLATE = "units"
UNITS, ROUNDS = 3, 4  # of the comparison between units in a plate and one by one
TOLERANCES = 1e-5, 1e-3  # of it: of values, beside the largest, and of log-densities, in which rounding grows

Shapes = Mapping[str, tuple[int, ...]]
Refusal = tuple[str, str, str]  # what, why and fix


@dataclass(frozen=True)
class Layout:
    """How sites look with dimensions left of a unit's: those of units, and of what inference adds.

    Attributes:
        shapes: of one unit's values, by site.
        depth: the dimensions of the program's own plates; those of others are left of them.
        gaps: for each site, how many of these it does not have, which are then 1.
        refusal: why nothing may stand left of a unit's own dimensions, if so.
    """

    shapes: Shapes
    depth: int
    gaps: Mapping[str, int]
    refusal: Refusal | None

    def place(self, name: str, x: Tensor) -> Tensor:
        """From `(*lead, *shape)` to how the site has it."""
        shape = self.shapes[name]
        lead = x.shape[: x.dim() - len(shape)]
        return x.reshape(*lead, *(1,) * self.gaps[name], *shape) if lead else x

    def lead(self, name: str, x: Tensor) -> Size:
        """The leading dimensions of a site's value."""
        return x.shape[: max(x.dim() - len(self.shapes[name]) - self.gaps[name], 0)]

    def check(self, name: str, x: Tensor) -> None:
        """Refuses a value of more than one unit, particle or level, of a program that can't take them."""
        if self.refusal and x.dim() > len(self.shapes[name]):
            raise ProgramError(*self.refusal)


class UnitsPlate(pyro.plate):
    """The plate of the units. Weights that all units share stand outside of it."""

    def __init__(self, structure: Structure, depth: int, units: int):
        super().__init__(PLATE, units, dim=-1 - depth)
        self.structure = structure

    def _process_message(self, msg: Any) -> None:
        if not self._shared(msg):
            super()._process_message(msg)

    def _shared(self, msg: Any) -> bool:
        if msg["type"] != "sample" or msg["name"] in self.structure.variables:
            return False
        return msg["name"] in self.structure.shared or bool(msg["infer"].get("_deterministic"))


@dataclass(frozen=True)
class _Sample:
    """What some units are held at: values, noise, and the weights that they share."""

    values: Values
    noise: Values
    weights: Values

    def unit(self, i: int) -> _Sample:
        values, noise = ({name: x[i] for name, x in table.items()} for table in (self.values, self.noise))
        return _Sample(values, noise, self.weights)


class _Held(Messenger):
    """Every site held at a sample's values; of each is kept what its distribution says, a row a unit."""

    def __init__(self, sample: _Sample, shapes: Shapes, units: int = 1):
        super().__init__()
        self.sample, self.shapes, self.units = sample, shapes, units
        self.said: dict[str, list[Tensor]] = {}
        self.batch_dims: dict[str, int] = {}
        self.computed_dims: dict[str, int] = {}
        self.depth = 0

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg):
            return
        name, fn = msg["name"], msg["fn"]
        msg["done"] = msg["stop"] = True
        if name not in self.shapes:
            msg["value"] = self.sample.weights.get(name, msg["value"])
            return
        self.batch_dims[name] = len(fn.batch_shape)
        self.depth = max([self.depth, *(-frame.dim for frame in msg["cond_indep_stack"] if frame.dim)])
        shape, value = Size(self.shapes[name]), msg["value"]
        if msg["infer"].get("_deterministic"):
            self.computed_dims[name] = value.dim()
            parts = [value.reshape(shape) if value.numel() == shape.numel() else value.expand(shape)]
        elif fn.shape() != shape:
            raise ValueError(f"it has shape {tuple(fn.shape())} where {tuple(shape)} is due")
        else:
            value = msg["value"] = self.sample.values[name].reshape(shape)
            parts = [_pushed(fn, msg["infer"], value, self.sample.noise[name]), fn.log_prob(value)]
        self.said[name] = [part.double().reshape(self.units, -1) for part in parts]


def _pushed(fn: Any, infer: Mapping[str, Any], value: Tensor, noise: Tensor) -> Tensor:
    mechanism = exogenous(fn, infer.get("noise"))
    match mechanism.law.kind:
        case "none":
            return mechanism.push(torch.zeros(()))
        case "joint":  # that of several units is not that of each, side by side
            draws = None if mechanism.draws is None else torch.full(mechanism.draws, 0.5)
            return mechanism.push(mechanism.pull(value, draws))
    return mechanism.push(noise.reshape(mechanism.law.shape))


def layout_of(program: Program, structure: Structure) -> Layout:
    """Where the program's sites stand, and whether units in a plate are what each of them is alone."""
    shapes = {name: v.shape for name, v in structure.variables.items()}
    samples = [_sample(program, structure, seed) for seed in range(ROUNDS)]
    alone = [[_hold(program, _Held(one.unit(i), shapes)) for i in range(UNITS)] for one in samples]
    held = [unit for units in alone for unit in units]
    depth = max(unit.depth for unit in held)
    gaps = dict.fromkeys(shapes, 0) | {n: depth - dims for one in held for n, dims in one.batch_dims.items()}
    if not structure.vectorised:
        return Layout(shapes, depth, gaps, BRANCHES)
    placed = {name: (UNITS, *(1,) * gaps[name], *shape) for name, shape in shapes.items()}
    together = [_Held(one, placed, UNITS) for one in samples]
    plate = UnitsPlate(structure, depth, UNITS)
    refusals = [_refusal(program, plate, *pair) for pair in zip(together, alone)]
    # pyro.deterministic does not say what of its value is a plate's, so that is seen in a plate
    for name, dims in together[0].computed_dims.items():
        gaps[name] = max(dims - 1 - len(shapes[name]), 0)
    return Layout(shapes, depth, gaps, next(filter(None, refusals), None))


def _sample(program: Program, structure: Structure, seed: int) -> _Sample:
    """Units from the prior, which differ in discrete variables however rare a level is."""
    generator, variables = torch.Generator().manual_seed(seed), structure.variables
    noise = {name: v.law.sample(UNITS, generator).to(program.device) for name, v in variables.items()}
    weights = {name: draws[:1] for name, draws in program.weights_posterior.items()}
    with program.weights(weights, UNITS):
        values = run(program, units=UNITS, noise=noise, vectorised=structure.vectorised).values
    for name, v in variables.items():
        if structure.vectorised and v.discrete and not v.shape:
            levels = torch.randperm(UNITS, generator=generator) % (v.cardinality or UNITS)
            values[name] = levels.to(values[name])
    return _Sample(values, noise, {name: draw[0] for name, draw in weights.items()})


def _hold(program: Program, held: _Held, plate: Any = None) -> _Held:
    with program.running(held), plate or nullcontext():
        program()
    return held


def _refusal(program: Program, plate: UnitsPlate, together: _Held, alone: list[_Held]) -> Refusal | None:
    reason = ""
    try:
        _hold(program, together, plate)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = f"fails: {' '.join(str(error).split())}"
    for name in together.shapes:
        if name not in together.said:
            return _unsafe(name, reason)
        due = [torch.cat(parts) for parts in zip(*(held.said[name] for held in alone))]
        if not all(map(_same, together.said[name], due, TOLERANCES)):
            return _unsafe(name, "gives other values")
    return None


def _same(one: Tensor, other: Tensor, tolerance: float) -> bool:
    scale = other.nan_to_num(0.0, 0.0, 0.0).abs().amax(0).clamp(min=1.0)
    return one.shape == other.shape and torch.allclose(
        one / scale, other / scale, rtol=0.0, atol=tolerance, equal_nan=True
    )


def _unsafe(site: str, reason: str) -> Refusal:
    return (
        f"the twin can't take several units, particles or levels at once: with these, site '{site}' is not "
        "what it is for one unit",
        f"inference puts them on axes in front of a unit's own, and there it {reason}",
        f"work on the last axis (v.mean(-1), v[..., 0], v @ W.T for W @ v), or {ONE_BY_ONE}",
    )


ONE_BY_ONE = "call the twin unit by unit, with particles and enumeration that are sequential"
BRANCHES = (
    "the twin can't take several units, particles or levels at once: the program branches on a unit's value, "
    "or leaves torch",
    "inference puts them on axes in front of a unit's own",
    f"write torch.where instead of `if`, or {ONE_BY_ONE}",
)
