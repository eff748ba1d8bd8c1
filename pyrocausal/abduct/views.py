"""What every world shows of units whose noise is known up to some site: the tables that `cells` works on.

An atom is a unit with a possible noise of the sites so far, and that noise's probability together with the
evidence. Where later sites need a noise at all, they have any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, product
from typing import NamedTuple

import torch
from torch import Tensor

from pyrocausal.counterfactual import Worlds
from pyrocausal.exogenous import exogenous
from pyrocausal.intervene import Action, Hard, Intervention, Natural, Stochastic
from pyrocausal.world import Pass, Values, action_noise, run

from .bounds import levels_of
from .countable import moved, sources, with_inner
from .problem import Problem


class Atoms(NamedTuple):
    unit: Tensor  # whose, (atoms,)
    log_weight: Tensor  # log P(noise so far, evidence so far)
    noise: Values  # of the sites so far, and of trials

    def pick(self, which: Tensor) -> Atoms:
        return Atoms(self.unit[which], self.log_weight[which], rows(self.noise, which))


def rows(values: Mapping[str, Tensor], which: Tensor) -> Values:
    return {name: x[which] for name, x in values.items()}


class Views:
    """The passes that enumeration makes.

    Args:
        telling: whether noise is to be told apart by other worlds than the evidence's: by those of the
            problem, or if it has none by all that can be, which is by all values of the parents.
    """

    def __init__(self, problem: Problem, telling: bool):
        self.problem, self.telling = problem, telling
        self.trials, self.given = _trials(problem)
        variables = problem.structure.variables
        half = {name: torch.full(v.law.shape, 0.5) for name, v in variables.items()}
        self._median = {name: v.law.from_uniform(half[name]) for name, v in variables.items()}

    def evidence(
        self,
        atoms: Atoms,
        *,
        pull: bool = False,
        score: frozenset[str] = frozenset(),
        levels: Mapping[str, int] | None = None,
    ) -> Pass:
        """The world of the evidence."""
        problem, size = self.problem, len(atoms.unit)
        return run(
            problem.program,
            units=size,
            evidence=rows(problem.evidence, atoms.unit),
            missing=rows(problem.missing, atoms.unit),
            noise={**self._any(size), **atoms.noise},
            draws=self._halves(size) if pull else {},
            given=rows(self.given, atoms.unit),
            intervention=problem.intervention,
            pull=pull,
            score=score,
            levels=levels,
            vectorised=problem.structure.vectorised,
        )

    def tables(self, name: str, count: int, atoms: Atoms) -> Tensor:
        """Log-probabilities of levels, `(atoms, worlds, numbers, levels)`, the evidence's world first."""
        here = self.evidence(atoms, levels={name: count}).levels[name]
        found = [here.reshape(len(atoms.unit), -1, count)]
        if self.telling and self.problem.worlds:
            found += [x.reshape(found[0].shape) for x in self._of_worlds(name, count, atoms)]
        elif self.telling:
            found += list(self._of_parents(name, count)[:, None].expand(-1, len(atoms.unit), -1, -1))
        return torch.stack(found, 1).cpu()

    def _of_worlds(self, name: str, count: int, atoms: Atoms) -> Iterator[Tensor]:
        """The tables in every world whose actions reach a variable."""
        problem, size = self.problem, len(atoms.unit)
        store = _Unchecked(
            problem.program,
            problem.structure,
            {**self._any(size), **atoms.noise},
            units=size,
            generator=problem.generator,
            levels={name: count},
        )
        worlds = [_for_atoms(world, atoms.unit) for world in problem.worlds]  # all kept: `Worlds` goes by id
        for inner in chain.from_iterable(map(with_inner, worlds)):
            if name in moved(inner, problem):
                yield store.run(inner).levels[name]

    def _of_parents(self, name: str, count: int) -> Tensor:
        """The table at every combination of levels of the parents, `(combinations, numbers, levels)`."""
        problem = self.problem
        parents = [problem.structure.variables[p] for p in sources(name, problem.structure)]
        combinations = list(product(*(levels_of(p) for p in parents)))
        values = {p.name: torch.stack(column) for p, column in zip(parents, zip(*combinations))}
        size = len(combinations)
        seen = run(
            problem.program,
            units=size,
            evidence=values,
            noise=self._any(size),
            levels={name: count},
            vectorised=problem.structure.vectorised,
        )
        return seen.levels[name].reshape(size, -1, count)

    def _halves(self, size: int) -> Values:
        """For noise that a value does not determine: the median of what it leaves."""
        variables, drawn = self.problem.structure.variables, self.problem.intervention.drawn
        found = {n: drawn(n) for n in self.problem.evidence}
        shapes = {n: variables[n].draws if d is None else exogenous(d).draws for n, d in found.items()}
        return {n: torch.full((size, *shape), 0.5) for n, shape in shapes.items() if shape is not None}

    def _any(self, size: int) -> Values:
        return {name: u.expand(size, *u.shape) for name, u in self._median.items()}


class _Unchecked(Worlds):
    """Worlds that are not yet what they will be: sites to come have any noise."""

    def _check(self, seen: Pass, intervention: Intervention) -> None:
        pass


def _trials(problem: Problem) -> tuple[Values, Values]:
    """What trials of the evidence's submodel must have drawn, as noise and as what the actions are given."""
    noise: Values = {}
    given = dict(problem.given)
    for _, key, name, action in problem.intervention.items():
        if isinstance(action, Stochastic) and name in problem.evidence:
            mechanism, value = exogenous(action.distribution), problem.evidence[name]
            half = None if mechanism.draws is None else torch.full((len(value), *mechanism.draws), 0.5)
            given[key] = noise[action_noise(name)] = mechanism.pull(value, half)
    return noise, given


def _for_atoms(world: Intervention, unit: Tensor) -> Intervention:
    """The same actions, those with a value for each unit with one for each atom."""

    def each(action: Action) -> Action:
        if isinstance(action, Hard) and action.per_unit:
            return Hard(action.value[unit], per_unit=True)
        if isinstance(action, Natural):
            return Natural({name: each(inner) for name, inner in action.actions.items()})
        return action

    return Intervention(tuple({n: each(action) for n, action in layer.items()} for layer in world.layers))
