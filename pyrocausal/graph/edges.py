"""The edges of a program, found twice: by following values, and by changing one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
import torch
from pyro.ops.provenance import detach_provenance, get_provenance, track_provenance
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyrocausal.exogenous import exogenous
from pyrocausal.units import Program, over_units
from pyrocausal.variables import Variable
from pyrocausal.world import Values, is_plate, run

RUNS = 8  # prior runs that look for branches
PROBES = 6  # other values tried per variable, from the prior and from far tails


class _Provenance(Messenger):
    """Which variables' values reach each site's distribution, by Pyro's provenance tracking."""

    def __init__(self, seed: int):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)
        self.edges: set[tuple[str, str]] = set()

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg):
            return
        name, fn = msg["name"], msg["fn"]
        if msg["infer"].get("_deterministic"):
            value, sources = detach_provenance(msg["value"]), get_provenance(msg["value"])
        else:
            mechanism = exogenous(_unmasked(fn), msg["infer"].get("noise"))
            pushed = mechanism.push(mechanism.law.sample(1, self.generator, torch.get_default_dtype())[0])
            value = detach_provenance(pushed)
            sources = get_provenance(pushed) | get_provenance(_unmasked(fn).log_prob(value))
        self.edges |= {(source, name) for source in sources}
        msg["value"] = track_provenance(torch.as_tensor(value).detach().clone(), frozenset({name}))
        msg["done"] = msg["stop"] = True


def by_provenance(program: Program, variables: dict[str, Variable], seed: int) -> set[tuple[str, str]]:
    edges: set[tuple[str, str]] = set()
    for i in range(RUNS if any(v.optional for v in variables.values()) else 1):
        handler = _Provenance(seed + i)
        with program.running(handler):
            program()
        edges |= handler.edges
    return edges


class _Clamp(Messenger):
    """Hold every variable at a given value and record what its distribution says of fixed points."""

    def __init__(
        self, values: Mapping[str, Tensor], points: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ):
        super().__init__()
        self.values, self.points, self.noise = values, points, noise
        self.signature: Values = {}

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg):
            return
        name, fn = msg["name"], msg["fn"]
        if msg["infer"].get("_deterministic"):
            parts = [msg["value"]]
        else:
            fn = _unmasked(fn)
            parts = [
                exogenous(fn, msg["infer"].get("noise")).push(self.noise[name]),
                fn.log_prob(self.points[name]),
            ]
        self.signature[name] = torch.cat([torch.as_tensor(p).reshape(-1).to(torch.float64) for p in parts])
        msg["value"] = self.values[name]
        msg["done"] = msg["stop"] = True


def by_probe(
    program: Program, variables: dict[str, Variable], vectorised: bool, seed: int
) -> set[tuple[str, str]]:
    """Change one clamped variable at a time: whose distribution changes has it as a parent.

    Provenance is blind to control flow, numpy round trips and custom autograd functions; this is not.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = {v.name: v.law.sample(PROBES, generator, torch.get_default_dtype()) for v in variables.values()}
    pool = {
        name: x for name, x in run(program, units=PROBES, noise=noise, vectorised=vectorised).values.items()
    }
    pool = {name: _alternatives(x, variables[name]) for name, x in pool.items()}
    bases = range(2 if vectorised else 4)
    edges: set[tuple[str, str]] = set()
    for base in bases:
        start = {name: x[base % len(x)] for name, x in pool.items()}
        rows = [start] + [{**start, name: x} for name in variables for x in pool[name]]
        changed = [""] + [name for name in variables for _ in pool[name]]
        seen = _signatures(program, rows, start, {k: u[base] for k, u in noise.items()}, vectorised)
        for name, table in seen.items():
            far = ((table - table[:1]).abs() > 1e-5 * (1 + table[:1].abs())) | (
                table.isnan() != table[:1].isnan()
            )
            edges |= {(changed[i], name) for i in far.any(-1).nonzero().flatten().tolist()}
    return edges


def _alternatives(x: Tensor, variable: Variable) -> Tensor:
    """Values to try: prior draws, far tails if continuous and unbounded; every level of a discrete one."""
    if variable.cardinality is not None and not variable.shape:
        return torch.arange(min(variable.cardinality, 32)).to(x.dtype)
    x = x.nan_to_num()
    unbounded = variable.support is torch.distributions.constraints.real
    return torch.cat([x, 8.0 * x[:2]]) if unbounded and x.is_floating_point() else x


def _signatures(
    program: Program, rows: list[Values], points: Values, noise: Values, vectorised: bool
) -> Values:
    def one(values: Values) -> Values:
        clamp = _Clamp(values, points, noise)
        with clamp:
            program()
        return clamp.signature

    stacked = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    with program.running():
        return over_units(one, stacked, vectorised=vectorised)


def _unmasked(fn: Any) -> Any:
    while isinstance(fn, dist.MaskedDistribution):
        fn = fn.base_dist
    return fn
