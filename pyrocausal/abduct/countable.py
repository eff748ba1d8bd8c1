"""What enumeration can do: which levels a variable has, which worlds move it, and what stands in the way."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.errors import EvidenceError
from pyrocausal.graph.discover import Structure
from pyrocausal.intervene import Intervention, Natural, Stochastic
from pyrocausal.variables import Variable

from .problem import Problem

MOST = 100_000  # atoms of one unit
COMBINATIONS = 256  # of the levels of a variable's parents, where noise is told apart by all of them
LATENT_LEVELS = 1_000  # combinations of levels of the unobserved that "auto" enumerates


def enumerable(problem: Problem) -> bool:
    """Whether enumeration is the engine of choice, if only for draws."""
    if why_not(problem, telling=False) is not None:
        return False
    levels = [_lacking(problem, v) * math.log(level_count(v) or 1) for v in problem.unobserved.values()]
    return bool(torch.stack(levels).sum(0).max() <= math.log(LATENT_LEVELS)) if levels else True


def affordable(problem: Problem) -> bool:
    """Whether all atoms may be listed: by a bound from above on how many cells every site has."""
    if why_not(problem, telling=True) is not None:
        return False
    atoms = torch.zeros(problem.units)
    for v in problem.structure.variables.values():
        if level_count(v) is not None:
            of_any, of_seen = _most_cells(problem, v)
            lacking = _lacking(problem, v)
            atoms += lacking * math.log(of_any) + (numbers(v) - lacking) * math.log(of_seen)
    return bool(atoms.max() <= math.log(MOST))


def _lacking(problem: Problem, v: Variable) -> Tensor:
    """How many numbers of a variable every unit lacks, `(units,)`."""
    if v.name not in problem.unobserved:
        return torch.zeros(problem.units)
    gaps = problem.missing.get(v.name, torch.ones(problem.units, dtype=torch.bool)).reshape(problem.units, -1)
    return numbers(v) * gaps.float().mean(-1)


def _most_cells(problem: Problem, v: Variable) -> tuple[float, float]:
    """The most cells of a number's noise, and the most with one value in the world of the evidence."""
    levels, tables = level_count(v) or 1, _most_tables(problem, v.name)
    if v.law.kind == "logistic" or levels == 2:
        return tables * (levels - 1) + 1, (tables - 1) * (levels - 1) + 1
    if tables > 2 and levels > 4:  # cells may be few, but they are found from too many pieces
        return math.inf, math.inf
    return math.comb(levels + tables - 1, tables), math.comb(levels + tables - 2, tables - 1)


def _most_tables(problem: Problem, name: str) -> int:
    """How many different tables of probabilities a variable may have, over all worlds."""
    by_parents = _combinations(problem, name)
    if not problem.worlds:
        return int(by_parents)
    return int(min(by_parents, 1 + sum(name in moved(w, problem) for w in all_worlds(problem))))


# ---- what stands in the way


def why_not(problem: Problem, *, telling: bool) -> EvidenceError | None:
    """What keeps a problem from being enumerated, if anything does.

    Args:
        telling: whether noise is to be told apart by worlds, or only drawn.
    """
    if problem.structure.shared:
        return EvidenceError(
            "enumeration does not work with weights that units share (pc.units())",
            why="what it lists is a unit's own",
            fix='use method="importance" (or "auto")',
        )
    for name, v in problem.structure.variables.items():
        if v.computed or problem.intervention.replaces(name):
            continue
        error = _uncountable(problem, v) or (_untellable(problem, v) if telling else None)
        if error is not None:
            return error
    return _random_action(problem, telling)


def _uncountable(problem: Problem, v: Variable) -> EvidenceError | None:
    """A variable that has no list of levels, and needs one."""
    if v.optional:
        return EvidenceError(
            f"'{v.name}' occurs only in some branches of the program, so its levels can't be enumerated",
            fix='use method="importance", or write the variable outside of the branch',
        )
    if v.name in problem.unobserved and level_count(v) is None:
        return EvidenceError(
            f"'{v.name}' is not observed and its values can't be enumerated",
            why="only a discrete variable with finitely many levels, always the same, has a list of them",
            fix='use method="importance" (or "auto"), or give its value as evidence',
        )
    return None


def _untellable(problem: Problem, v: Variable) -> EvidenceError | None:
    """A variable whose noise is not determined by its value and has no finite number of cells."""
    fixed = v.draws is None or not sources(v.name, problem.structure)
    if problem.worlds:
        fixed = fixed or level_count(v) is not None
        fixed = fixed or not any(v.name in moved(w, problem) for w in all_worlds(problem))
    elif level_count(v) is not None:
        fixed = fixed or _combinations(problem, v.name) <= COMBINATIONS
    if fixed:
        return None
    if problem.worlds or level_count(v) is None:
        return EvidenceError(
            f"the noise of '{v.name}' can't be told apart by enumeration",
            why="its value does not determine its noise, it has no fixed list of levels, and actions move it",
            fix='give num_samples=1000 for draws from the exact posterior, or use method="importance"',
        )
    return EvidenceError(
        f"the noise of '{v.name}' can't be told apart for every intervention that there could be",
        why=f"its parents ({', '.join(sources(v.name, problem.structure))}) have too many values together",
        fix="ask counterfactual(…), which knows the worlds; or give num_samples=1000 for draws",
    )


def _random_action(problem: Problem, telling: bool) -> EvidenceError | None:
    """An action that draws what nobody saw."""
    seen = {action for _, _, name, action in problem.intervention.items() if name in problem.evidence}
    for world in (problem.intervention, *(all_worlds(problem) if telling else ())):
        for _, _, name, action in world.items():
            if isinstance(action, Stochastic) and action not in seen:
                return EvidenceError(
                    f"the action on '{name}' draws its value afresh, which enumeration can't weigh",
                    fix="give num_samples=1000; or ask for a world for each value, and mix them",
                )
    return None


# ---- levels


def level_count(v: Variable) -> int | None:
    """How many levels each number of a variable has, if each has a logistic or a race of its own."""
    one_hot = v.support is constraints.one_hot
    count = v.shape[-1] if one_hot else v.cardinality
    if not v.discrete or v.computed or count is None:
        return None
    shape = v.shape[:-1] if one_hot else v.shape
    return count if v.law.shape == {"logistic": shape, "gumbel": (*shape, count)}.get(v.law.kind) else None


def numbers(v: Variable) -> int:
    """How many numbers (or one-hot vectors) a variable has, each with a noise of its own."""
    return math.prod(v.shape[:-1] if v.support is constraints.one_hot else v.shape)


def sources(name: str, structure: Structure) -> list[str]:
    """The parents of a variable; in place of computed ones, theirs."""
    found: set[str] = set()
    for parent in structure.graph.parents(name):
        found |= set(sources(parent, structure)) if structure.variables[parent].computed else {parent}
    return [n for n in structure.variables if n in found]


def _combinations(problem: Problem, name: str) -> float:
    """How many combinations of levels a variable's parents have."""
    parents = [problem.structure.variables[p] for p in sources(name, problem.structure)]
    counts = [level_count(p) if numbers(p) == 1 else None for p in parents]
    return math.inf if None in counts else math.prod(c or 0 for c in counts)


# ---- worlds


def all_worlds(problem: Problem) -> Iterator[Intervention]:
    """The worlds asked for, each followed by those that its actions take natural values from."""
    for world in problem.worlds:
        yield from with_inner(world)


def with_inner(world: Intervention) -> Iterator[Intervention]:
    yield world
    for depth, _, _, action in world.items():
        if isinstance(action, Natural):
            elsewhere = world.before(depth)
            yield from with_inner(elsewhere.then(action.actions) if action.actions else elsewhere)


def moved(world: Intervention, problem: Problem) -> set[str]:
    """Variables whose parents may differ from those in the world of the evidence."""
    graph, depth = problem.structure.graph, len(problem.intervention.layers)
    acted = {name for layer in world.layers[depth:] for name in layer}
    return set().union(*(graph.descendants(name) - {name} for name in acted))
