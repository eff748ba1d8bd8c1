"""How a formula was found, told in the lines of the algorithm: the steps of an `Estimand`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pyrocausal.identify.algebra import Algebra
from pyrocausal.identify.cfactor import Found
from pyrocausal.identify.estimand import Step
from pyrocausal.identify.expression import OBSERVED, Regime, apart
from pyrocausal.identify.hedge import listed
from pyrocausal.identify.interventional import Question, Solution


def steps(question: Question, solution: Solution) -> tuple[Step, ...]:
    """The lines of ID and IDC (Shpitser and Pearl 2006) that were used, and the facts of the graph."""
    graph = question.graph
    outcomes, actions = graph.ordered(question.outcomes), graph.ordered(question.actions)
    lines: list[Step] = []
    for i, name in enumerate(solution.moved):
        acted = [*actions, *solution.moved[: i + 1]]
        left = [other for other in graph.ordered(question.given) if other not in acted]
        conditions = f" | {', '.join((*acted[:-1], *left))}" if len(acted) + len(left) > 1 else ""
        lines.append(
            Step(
                done(outcomes, acted, left),
                "IDC, line 1: rule 2 of do-calculus",
                f"{', '.join(outcomes)} ⫫ {name}{conditions} in the graph without edges "
                f"{f'into {listed(acted[:-1])} or ' if acted[:-1] else ''}out of {name}",
            )
        )
    actions += solution.moved
    given, felt = list(solution.given), list(solution.actions)
    if lost := [name for name in actions if name not in felt]:
        lines.append(
            Step(
                done(outcomes, felt, given),
                "ID, lines 2 and 3: rule 3 of do-calculus",
                f"{_doing(lost)} no cause of {listed([*outcomes, *given])} but through {listed(felt)}"
                if felt
                else f"{_doing(lost)} no cause of {listed([*outcomes, *given])}",
            )
        )
    if solution.direct is not None:
        lines.append(_last(solution, f"{_source(solution.direct)} has it"))
        return tuple(lines)
    if given:
        joint = done([*outcomes, *given], felt)
        lines.append(Step(f"{joint} / {done(given, felt)}", "IDC, line 2", "the definition of a condition"))
    lines.append(_districts(question.algebra, solution, [*outcomes, *given], felt))
    lines += [_factor(question.algebra, found, solution.relevant) for found in solution.found]
    lines.append(_last(solution, "the factors put in, marginals taken and ratios cancelled"))
    return tuple(lines)


def _districts(algebra: Algebra, solution: Solution, names: list[str], felt: Collection[str]) -> Step:
    over = [name for name in solution.relevant if name not in names]
    factors = " ".join(done(f.target, outside(algebra, f.target)) for f in solution.found)
    total = f"Σ_{{{', '.join(over)}}} " if len(over) > 1 else f"Σ_{over[0]} " if over else ""
    parts = "; ".join(", ".join(found.target) for found in solution.found)
    without = f" without {listed(felt)}" if felt else ""
    return Step(
        f"{done(names, felt)} = {total}{factors}",
        "ID, line 4: districts factorise",
        f"the ancestors of {listed(names)} in the graph{without} are {listed(solution.relevant)}, and "
        f"hidden causes join them into: {parts}",
    )


def _factor(algebra: Algebra, found: Found, relevant: Collection[str]) -> Step:
    """Q[C], by the way to it (lines 6 and 7)."""
    reached, district, *narrower = found.path
    way = [f"{_source(found.regime)}; among {listed(reached)}, hidden causes join {listed(district)}"]
    for i, names in enumerate(narrower):
        if names != (district, *narrower)[i]:
            what = "the ancestors of the target in these" if i % 2 == 0 else "of them joined to it"
            way.append(f"{what}: {listed(names)}")
    line = "line 6: a district" if district == found.target else "line 7: inside a larger district"
    return Step(
        f"{done(found.target, outside(algebra, found.target))} = {apart(algebra.expression(found.fraction))}",
        f"{'ID' if found.regime == OBSERVED else 'gID'}, {line}",
        "; ".join(way),
    )


def _last(solution: Solution, why: str) -> Step:
    return Step(str(apart(solution.expression)), "probability", why)


def outside(algebra: Algebra, target: Iterable[str]) -> list[str]:
    """The parents of a set that are not in it: what its c-factor depends on besides."""
    target = set(target)
    return algebra.graph.ordered({p for name in target for p in algebra.graph.parents[name]} - target)


def done(of: Iterable[str], actions: Iterable[str], given: Iterable[str] = ()) -> str:
    """P(of | do(actions), given), as text.

    >>> done(["y"], ["x"], ["z"]), done(["y"], [])
    ('P(y | do(x), z)', 'P(y)')
    """
    acted = ", ".join(actions)
    conditions = ", ".join([f"do({acted})"] * bool(acted) + list(given))
    return f"P({', '.join(of)}{f' | {conditions}' if conditions else ''})"


def _doing(names: list[str]) -> str:
    return f"{listed(names)} {'is' if len(names) == 1 else 'are'}"


def _source(regime: Regime) -> str:
    """A known distribution, in words.

    >>> _source(Regime(frozenset("x"), "trial"))
    'the experiment do(x) in population trial'
    """
    names = ", ".join(sorted(regime.do))
    what = f"the experiment do({names})" if names else "what is observed"
    return f"{what} in population {regime.population}" if regime.population else what
