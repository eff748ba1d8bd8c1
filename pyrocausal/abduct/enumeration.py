r"""Enumeration: P(u | evidence) exactly, where all that is unobserved is discrete with finitely many levels.

Sites are taken in the program's order. The noise of a discrete site is split into cells on which it has one
value in every world that is asked for (`cells`), those that disagree with its evidence are dropped, and each
of the others makes an atom of every atom before: with a noise that stands for the cell, and the weight

.. math:: P(u_1 \in c_1, \dots, u_i \in c_i,\; evidence_1, \dots, evidence_i).

A continuous observed site has one noise, the pull of its value given its parents', and its density goes into
the weight. So the atoms of a unit differ in some value in some world, and no answer about these worlds needs
more of the noise than they tell: all are exact (Oberst and Sontag 2019 and others draw them).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.errors import EvidenceError
from pyrocausal.variables import Variable, row_names

from .cells import cells
from .countable import MOST, affordable, level_count, numbers, why_not
from .importance import PROPOSALS
from .problem import Draws, Problem, agreeing
from .views import Atoms, Views, rows
from .weights import resample

LARGEST = 5_000_000  # atoms of all units


class TooManyAtoms(EvidenceError):
    """Noise that can be listed, but not in the memory at hand."""


def enumerate_levels(problem: Problem, count: int | None) -> Draws:
    """P(u | evidence): all atoms with their weights; or `count` equally likely draws of u itself.

    The atoms tell noise apart by the problem's worlds, and if it has none by all interventions that could be
    made. Draws need no worlds: they are drawn from the exact posterior of the unobserved values, and then
    their noise given all values.
    """
    obstacle = why_not(problem, telling=count is None)
    if obstacle is not None:
        raise obstacle
    views = Views(problem, telling=count is None)
    atoms = _atoms(views)
    found = {"method": "enumerate", "atoms": torch.bincount(atoms.unit), "log_evidence": _total(atoms)}
    return _weighted(atoms, found) if count is None else _drawn(views, atoms, count, found)


def listed_or_drawn(problem: Problem, count: int | None) -> Draws:
    """All atoms if no number of draws is asked for and they are not too many, else draws."""
    if count is None and affordable(problem):
        with suppress(TooManyAtoms):
            return enumerate_levels(problem, None)
    return enumerate_levels(problem, count or PROPOSALS)


def _atoms(views: Views) -> Atoms:
    problem = views.problem
    units = torch.arange(problem.units)
    atoms = Atoms(units, torch.zeros(len(units), dtype=torch.float64), views.trials)
    pulled: list[str] = []
    for name, v in problem.structure.variables.items():
        count = level_count(v)
        if v.computed or problem.intervention.replaces(name):
            atoms = _agreeing(views, atoms, v)
        elif count is None:
            pulled.append(name)
        else:
            atoms, pulled = _pull(views, atoms, pulled), []
            atoms = _split(views, atoms, v, count)
    return _pull(views, atoms, pulled)


def _split(views: Views, atoms: Atoms, v: Variable, count: int) -> Atoms:
    """Every atom split by the value of a discrete variable in all worlds, a number of a vector at a time."""
    tables = views.tables(v.name, count, atoms)
    allowed = _allowed(views.problem, v, count)
    noise = torch.zeros(len(tables), numbers(v), *([count] if v.law.kind == "gumbel" else []))
    for i in range(numbers(v)):
        found = cells(tables[:, :, i], v.law.kind)
        found = found.pick(allowed[atoms.unit[found.row], i, found.levels[:, 0]])
        atoms, tables, noise = atoms.pick(found.row), tables[found.row], noise[found.row]
        noise[:, i] = found.noise.to(noise.dtype)
        atoms = atoms._replace(log_weight=atoms.log_weight + found.log_prob)
        _check_atoms(views.problem, atoms, v.name)
    return atoms._replace(noise={**atoms.noise, v.name: noise.reshape(len(noise), *v.law.shape)})


def _allowed(problem: Problem, v: Variable, count: int) -> Tensor:
    """Which levels the evidence leaves to every number of a variable, `(units, numbers, levels)`."""
    if v.name not in problem.evidence:
        return torch.ones(problem.units, numbers(v), count, dtype=torch.bool)
    value = problem.evidence[v.name]
    lacks = problem.missing.get(v.name, torch.tensor(False))
    lacks = lacks.reshape(*lacks.shape, *[1] * (value.dim() - lacks.dim()))
    if v.support is constraints.one_hot:
        same = (lacks.unsqueeze(-2) | (value.unsqueeze(-2) == torch.eye(count))).all(-1)
    else:
        same = lacks.unsqueeze(-1) | (value.unsqueeze(-1) == torch.arange(count))
    return same.reshape(problem.units, -1, count)


def _pull(views: Views, atoms: Atoms, names: list[str]) -> Atoms:
    """The noise of observed variables that are no finite choice, and their densities."""
    if not names:
        return atoms
    seen = views.evidence(atoms, pull=views.telling, score=frozenset(names))
    density = torch.stack([seen.log_prob[name].double().cpu() for name in names]).sum(0)
    noise = {name: seen.noise[name].cpu() for name in names} if views.telling else {}
    weight = atoms.log_weight + torch.where(density.isnan(), -torch.inf, density)
    atoms = Atoms(atoms.unit, weight, {**atoms.noise, **noise}).pick(torch.isfinite(weight))
    _check_atoms(views.problem, atoms, names[-1])
    return atoms


def _agreeing(views: Views, atoms: Atoms, v: Variable) -> Atoms:
    """The atoms whose value of a computed or enforced variable is the evidence's."""
    problem = views.problem
    if v.name not in problem.evidence or not problem.unobserved:  # what is certain is checked by `explain`
        return atoms
    seen = views.evidence(atoms, pull=True)
    value = seen.values[v.name] if problem.intervention.replaces(v.name) else seen.computed[v.name]
    atoms = atoms.pick(agreeing(problem, v.name, value, atoms.unit))
    _check_atoms(problem, atoms, v.name)
    return atoms


def _check_atoms(problem: Problem, atoms: Atoms, name: str) -> None:
    count = torch.bincount(atoms.unit, minlength=problem.units)
    if (count == 0).any():
        raise EvidenceError(
            f"the evidence has probability zero in {row_names(count == 0)}",
            why=f"nothing that is unobserved explains it, up to '{name}'",
            fix="check the values, or the distributions that the program gives the variables there",
        )
    if count.max() > MOST or len(atoms.unit) > LARGEST:
        raise TooManyAtoms(
            f"at '{name}' one unit has {int(count.max()):,} atoms, and all units have {len(atoms.unit):,}",
            why=f"noises that some world tells apart are listed, {MOST:,} a unit and {LARGEST:,} at most",
            fix="ask for fewer worlds or units at a time, observe more, or give num_samples=1000 for draws; "
            'if that is too much too, use method="importance"',
        )


# ---- what is handed over


def _padded(atoms: Atoms) -> tuple[Tensor, Tensor]:
    """Atoms as `(most of a unit, units)`: which they are, and their log weights, those that pad with none."""
    order = atoms.unit.argsort(stable=True)
    count = torch.bincount(atoms.unit)
    place = torch.arange(int(count.max()))[:, None]
    first = count.cumsum(0) - count
    index = order[first + torch.where(place < count, place, 0)]
    return index, torch.where(place < count, atoms.log_weight[index], -torch.inf)


def _total(atoms: Atoms) -> Tensor:
    return torch.logsumexp(_padded(atoms)[1], 0)


def _weighted(atoms: Atoms, diagnostics: dict[str, Any]) -> Draws:
    index, log_weights = _padded(atoms)
    if index.numel() > LARGEST:
        raise TooManyAtoms(
            f"one unit has {len(index):,} atoms, so all {index.shape[1]:,} units get that many",
            why=f"draws have one size, and {LARGEST:,} at most are kept",
            fix="give num_samples=1000, or ask for such units by themselves",
        )
    return Draws(rows(atoms.noise, index.flatten()), len(index), log_weights, diagnostics, settled=True)


def _drawn(views: Views, atoms: Atoms, count: int, diagnostics: dict[str, Any]) -> Draws:
    """Draws of the atoms, which are values here, and of the noise of the unobserved given all values."""
    problem = views.problem
    index, log_weights = _padded(atoms)
    chosen = resample(log_weights, problem.generator, count)
    atoms = atoms.pick(index.gather(0, chosen).flatten())
    natural = views.evidence(atoms).natural
    values = {name: natural[name].cpu() for name in problem.unobserved}
    full = replace(
        problem,
        evidence={**rows(problem.evidence, atoms.unit), **values},
        missing={},
        given=rows(views.given, atoms.unit),
    )
    noise = full.explain({}).noise
    return Draws({name: noise[name] for name in values}, count, None, diagnostics)
