"""From a program to what it is made of: its variables, its graph, and how its units may be run.

Set-up happens once, seeded and without touching the global random state. It builds lazy layers, records every
site, finds the edges twice (by provenance and by a probe) and checks that running many units at once equals
running them one by one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyrocausal.errors import ProgramError, PyrocausalError
from pyrocausal.exogenous import Exogenous, Law, exogenous
from pyrocausal.exogenous.density import number_support
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.edges import RUNS, by_probe, by_provenance
from pyrocausal.mechanisms.base import Mechanism, Origin, mechanism_of, only, tag
from pyrocausal.units import OWN, Program
from pyrocausal.variables import Column, Variable, check_names
from pyrocausal.world import Values, is_plate, refuse_foreign_sites, run

logger = logging.getLogger("pyrocausal")


@dataclass(frozen=True)
class Structure:
    """What set-up found out about a program."""

    variables: dict[str, Variable]
    graph: CausalGraph
    vectorised: bool  # False: the program branches on a unit's value and runs unit by unit
    makers: Mapping[str, str]  # variable to the path of the mechanism that makes its distribution
    may_rest: bool  # whether a mechanism may do no work in passes that don't look at its variables
    shared: Mapping[str, Variable]  # sites outside of `pc.units()`: weights that all units share

    def resting(self, program: Program, sites: Collection[str]) -> AbstractContextManager[None]:
        """Within, only the mechanisms of `sites` work."""
        if not self.may_rest:
            return nullcontext()
        mechanisms = {
            site: cast(Mechanism, program.get_submodule(path)) for site, path in self.makers.items()
        }
        return only([m for site, m in mechanisms.items() if site in sites], mechanisms.values())


def discover(program: Program, *, latent: tuple[str, ...] = (), seed: int = 0) -> Structure:
    """Build, record and check a program about one unit."""
    with _own_randomness(seed), torch.no_grad():
        variables, makers, shared = _record(program, latent, seed)
        _all_built(program)
        vectorised = _check_units(program, variables, seed)
        edges = by_provenance(program, variables, seed) | by_probe(program, variables, vectorised, seed)
        may_rest = vectorised and _check_rest(program, variables, makers, seed)
    weights = {name: v for name, v in variables.items() if name in shared and not v.computed}
    variables = {name: v for name, v in variables.items() if name not in shared}
    _check_shared(weights, variables, latent)
    check_names(latent, {**variables, **weights}, where="latent")
    edges = {(a, b) for a, b in edges if a != b and a in variables and b in variables}
    graph = CausalGraph(tuple(variables), edges, latent=latent)
    return Structure(variables, graph, vectorised, makers, may_rest, weights)


# ---- the sites


class _Recorder(Messenger):
    """Run one unit from prior noise, tagging every value with the variable that it is."""

    def __init__(self, seed: int, latent: tuple[str, ...]):
        super().__init__()
        self.latent = latent
        self.generator = torch.Generator().manual_seed(seed)
        self.variables: dict[str, Variable] = {}
        self.mechanisms: dict[str, Mechanism] = {}
        self.own: set[str] = set()  # sites within `pc.units()`

    def _pyro_sample(self, msg: Any) -> None:
        refuse_foreign_sites(msg)
        if is_plate(msg):
            return
        name = msg["name"]
        if msg["infer"].get(OWN):
            self.own.add(name)
        if name in self.variables:
            raise ProgramError(f"two sites are named '{name}'", fix="give each variable its own name")
        if msg["infer"].get("_deterministic"):
            value = msg["value"]
            variable = _computed(name, value)
        else:
            mechanism, value = _first_value(name, msg["fn"], msg["infer"], self.generator)
            variable = _variable(name, msg["fn"], mechanism, value)
            made = mechanism_of(msg["fn"])
            if made is not None:
                self.mechanisms[name] = made[0]
        self.variables[name] = variable
        msg["value"] = tag(value, self._origin(variable))
        msg["done"] = msg["stop"] = True

    def _origin(self, variable: Variable) -> Origin:
        latent = variable.name in self.latent
        return Origin(variable.name, variable.support, variable.discrete, variable.cardinality, latent)


def _first_value(
    name: str, fn: Any, infer: Mapping[str, Any], generator: torch.Generator
) -> tuple[Exogenous, Tensor]:
    """A site's derived mechanism and a first value, pushed and pulled once: what can't be is known now."""
    try:
        mechanism = exogenous(fn, infer.get("noise"))
        value = mechanism.push(mechanism.law.sample(1, generator, torch.get_default_dtype())[0])
        mechanism.pull(value, None if mechanism.draws is None else torch.full(mechanism.draws, 0.5))
    except PyrocausalError as error:
        raise type(error)(f"site '{name}': {error.what}", why=error.why, fix=error.fix) from None
    return mechanism, value


def _variable(name: str, fn: Any, mechanism: Exogenous, value: Tensor) -> Variable:
    levels = getattr(getattr(fn, "mechanism", None), "levels", None)
    return Variable(
        name=name,
        shape=tuple(value.shape),
        dtype=value.dtype,
        law=mechanism.law,
        draws=mechanism.draws,
        support=number_support(fn),
        discrete=bool(fn.support.is_discrete),
        computed=mechanism.law.kind == "none",
        column=Column(levels=tuple(levels) if levels else None),
    )


def _computed(name: str, value: Any) -> Variable:
    value = torch.as_tensor(value)
    return Variable(
        name=name,
        shape=tuple(value.shape),
        dtype=value.dtype,
        law=Law("none", ()),
        draws=None,
        support=None,
        discrete=not value.is_floating_point(),
        computed=True,
    )


def _record(
    program: Program, latent: tuple[str, ...], seed: int
) -> tuple[dict[str, Variable], dict[str, str], set[str]]:
    """The variables of several prior runs, the paths of the mechanisms that make them, and the shared ones.

    A variable that a run lacks is optional, one that changes is an error.
    """
    found: list[dict[str, Variable]] = []
    makers: dict[str, str] = {}
    own: set[str] = set()
    for i in range(RUNS):
        recorder = _Recorder(seed + i, latent)
        with program.running(recorder, validate=True):
            program()
        found.append(recorder.variables)
        own |= recorder.own
        paths = {id(module): path for path, module in program.named_modules()}
        makers |= {name: paths[id(m)] for name, m in recorder.mechanisms.items() if id(m) in paths}
    merged: dict[str, Variable] = {}
    for variables in found:
        for name, variable in variables.items():
            merged[name] = _merge(merged.get(name, variable), variable)
    if not merged:
        raise ProgramError(
            "the program has no sample sites", fix='write pyro.sample("x", …) for every variable'
        )
    variables = {
        name: replace(variable, optional=any(name not in run for run in found))
        for name, variable in merged.items()
    }
    shared = (set(variables) - own) | (program.sampled_attributes & set(variables)) if own else set()
    _check_order(list(variables), shared - program.sampled_attributes)
    return variables, makers, shared


def _check_order(names: list[str], shared: set[str]) -> None:
    """Weights come before the first unit."""
    begun = next((i for i, name in enumerate(names) if name not in shared), len(names))
    for name in names[begun:] if shared else ():
        if name in shared:
            raise ProgramError(
                f"site '{name}' comes after the block of pc.units(), and is not in it",
                why="what lies outside is shared by all units, and can't come after what is one unit's own",
                fix="move it into the block, or, if it is a weight, before it",
            )


def _check_shared(
    weights: Mapping[str, Variable], variables: Mapping[str, Variable], latent: tuple[str, ...]
) -> None:
    for name in latent:
        if name in weights:
            raise ProgramError(
                f"'{name}' is declared latent and lies outside of pc.units()",
                why="what lies outside is shared by all units: a weight, whose posterior fit infers",
                fix="move it into the block, or leave it out of latent=",
            )
    for name, v in weights.items():
        if v.discrete or v.optional:
            raise ProgramError(
                f"the shared site '{name}' is {'discrete' if v.discrete else 'not met in every run'}",
                why="the posterior of weights is inferred by methods for continuous ones",
                fix="give it a continuous prior, or move it into pc.units()",
            )


def _merge(one: Variable, other: Variable) -> Variable:
    if (one.law, one.shape, one.dtype) != (other.law, other.shape, other.dtype):
        raise ProgramError(
            f"site '{one.name}' changes from run to run",
            why=f"noise {one.law.kind} of shape {one.law.shape} and "
            f"{other.law.kind} of shape {other.law.shape} can't be the same exogenous variable in two worlds",
            fix="use one family and shape at this site, or two sites",
        )
    return one if _same_support(one.support, other.support) else replace(one, support=None)


def _same_support(one: Any, other: Any) -> bool:
    bounds = ("lower_bound", "upper_bound")
    return type(one) is type(other) and all(
        bool(torch.as_tensor(getattr(one, b) == getattr(other, b)).all())
        for b in bounds
        if one is not None and hasattr(one, b)
    )


def _all_built(program: Program) -> None:
    idle = [name for name, m in program.named_modules() if isinstance(m, Mechanism) and not m.built]
    if idle:
        raise ProgramError(
            f"the mechanism '{idle[0].removeprefix('module.')}' was never called",
            why="its layers are built on the first call, and no prior run reached it",
            fix="call it in every run (torch.where picks between two), or remove it",
        )


# ---- many units at once = one by one


def _check_units(program: Program, variables: dict[str, Variable], seed: int) -> bool:
    """Whether units may run at once; an error where that gives other numbers than one by one."""
    generator = torch.Generator().manual_seed(seed)
    noise = {v.name: v.law.sample(3, generator, torch.get_default_dtype()) for v in variables.values()}
    alone = run(program, units=3, noise=noise, vectorised=False).values
    torch.manual_seed(seed + 1)
    again = run(program, units=3, noise=noise, vectorised=False).values
    _same_values(
        alone,
        again,
        "gives other values when it is run again",
        why="something random or remembered enters it outside of pyro.sample",
        fix="make every random quantity a pyro.sample site, and keep no state between calls",
    )
    if any(v.optional for v in variables.values()):
        return _one_by_one(program, "variables differ from unit to unit")
    try:
        together = run(program, units=3, noise=noise).values
    except RuntimeError as error:
        return _why_not_together(program, error)
    except (TypeError, ValueError) as error:  # numpy round trips
        return _one_by_one(program, str(error))
    _same_values(
        together,
        alone,
        "differs between three units at once and three runs of one unit",
        why="the site keeps state, or uses an operation that torch.vmap maps wrongly",
        fix="write the site with plain torch operations of its parents",
    )
    return True


def _why_not_together(program: Program, error: RuntimeError) -> bool:
    text = str(error)
    if "random operation" in text:
        raise ProgramError(
            "the program draws random numbers outside of pyro.sample",
            why="such noise can't be abducted or shared between worlds",
            fix="make every random quantity a pyro.sample site; dropout belongs into training only",
        ) from error
    return _one_by_one(program, text)


def _one_by_one(program: Program, reason: str) -> bool:
    logger.warning(
        "%s runs unit by unit, which is slow: it branches on a unit's value or leaves torch (%s). "
        "torch.where instead of `if` makes it fast.",
        program.name,
        " ".join(reason.split())[:120],
    )
    return False


def _same_values(one: Values, other: Values, what: str, *, why: str, fix: str) -> None:
    for name, value in one.items():
        scale = value.double().abs().nan_to_num().amax().clamp_min(1.0)
        gap = (value.double() - other[name].double()).abs().nan_to_num().amax() if value.numel() else 0.0
        if gap > 1e-4 * scale:
            raise ProgramError(f"site '{name}' {what}", why=why, fix=fix)


def _check_rest(program: Program, variables: dict[str, Variable], makers: dict[str, str], seed: int) -> bool:
    """Whether each variable comes out the same while the other mechanisms rest, their variables given."""
    generator = torch.Generator().manual_seed(seed)
    noise = {v.name: v.law.sample(3, generator, torch.get_default_dtype()) for v in variables.values()}
    full = run(program, units=3, noise=noise).values
    mechanisms = {site: cast(Mechanism, program.get_submodule(path)) for site, path in makers.items()}
    for site, mechanism in mechanisms.items():
        given = {
            name: x for name, x in full.items() if name in mechanisms and mechanisms[name] is not mechanism
        }
        try:
            with only([mechanism], mechanisms.values()):
                alone = run(program, units=3, noise=noise, evidence=given).values[site]
        except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False  # the program uses a mechanism's distribution otherwise than to sample from it
        if not torch.equal(alone, full[site]):
            return False
    return True


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
