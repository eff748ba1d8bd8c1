"""What abduction is asked, whatever the engine: P(u | evidence) for a number of units.

The engines only find the noise of what is *unobserved*: latent variables, and cells missing from the
evidence. Everything observed is then pulled out given it, in one pass; their dependence is respected, because
each draw of the unobserved has its own pull.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyrocausal.errors import EvidenceError
from pyrocausal.exogenous import exogenous
from pyrocausal.graph.discover import Structure
from pyrocausal.guides import Guide, NotGiven, Proposal
from pyrocausal.intervene import Hard, Intervention, Policy, Stochastic
from pyrocausal.units import Program
from pyrocausal.variables import Variable, row_names
from pyrocausal.world import Pass, Runner, Values, run


class Draws(NamedTuple):
    """What an engine finds.

    Attributes:
        noise: of the unobserved variables, `(draws * units, *shape)`, draws outermost.
        size: how many draws; None where one suffices and the answer has no axis of draws.
        log_weights: `(draws, units)` if the draws are not equally likely.
        diagnostics: how far they can be trusted.
        settled: whether `noise` has the observed variables' too, so that none is left to be drawn.
    """

    noise: Values
    size: int | None
    log_weights: Tensor | None
    diagnostics: dict[str, Any]
    settled: bool = False


@dataclass(frozen=True)
class Problem:
    """P(u | evidence).

    Args:
        evidence: values `(units, *event)` of observed variables, those of missing cells only filling a place.
        missing: for variables that some units lack, which (see `World`).
        given: per-unit inputs of the intervention's actions.
        guide: an amortised guide for the latents, if there is one.
        worlds: those that will be asked for, if that is known: enumeration tells noise apart by them.
        generator: of all draws.
        run: what makes a pass.
    """

    program: Program
    structure: Structure
    intervention: Intervention
    evidence: Values
    missing: Values
    given: Values
    guide: Guide | None
    worlds: tuple[Intervention, ...]
    generator: torch.Generator
    run: Runner = run

    @property
    def units(self) -> int:
        """How many; without any evidence, it is about one."""
        return len(next(iter(self.evidence.values()), (None,)))

    @property
    def unobserved(self) -> dict[str, Variable]:
        """The variables of which some units have no evidence, in the program's order."""
        return {
            name: v
            for name, v in self.structure.variables.items()
            if not (v.computed or v.optional or self.intervention.replaces(name))
            and (name not in self.evidence or name in self.missing)
        }

    @cached_property
    def relevant(self) -> frozenset[str]:
        """The variables that evidence may hang on: itself, and its causes."""
        if any(isinstance(action, Policy) for _, _, _, action in self.intervention.items()):
            return frozenset(self.structure.variables)  # policies read what is no cause in the graph
        return frozenset(self.structure.graph.ancestors(*self.evidence)) | frozenset(self.evidence)

    def prior(self, draws: int = 1, names: Any = None) -> Values:
        """Noise of the unobserved (or of `names`) from its exogenous law, `(draws * units, *shape)`."""
        chosen = self.unobserved if names is None else {n: self.structure.variables[n] for n in names}
        return prior(chosen, draws * self.units, self.generator)

    def log_likelihood(self, noise: Values, draws: int = 1) -> Tensor:
        """log p(evidence | u) at noise of the unobserved, `(draws * units,)`, differentiable in it."""
        return self._total(self._run(noise, draws, score=self._scored()), draws)

    def explain(self, noise: Values, draws: int = 1) -> Pass:
        """All noise, and all values, given noise of the unobserved: the evidence's is pulled out."""
        varying = frozenset(n for n in self._scored() if self.structure.variables[n].support is None)
        return self._run(noise, draws, pull=True, score=varying)

    def given_values(self, values: Values, draws: int = 1) -> tuple[Values, Tensor]:
        """The noise of the unobserved at values of some of them, and log p(evidence, values).

        The others' noise is drawn from its law.
        """
        rest = {name: u for name, u in self.prior(draws).items() if name not in values}
        seen = self._run(rest, draws, pull=True, score=self._scored() | set(values), known=values)
        return {**rest, **{n: seen.noise[n] for n in values}}, self._total(seen, draws)

    def log_joint(self, values: Values, draws: int = 1) -> Tensor:
        """log p(evidence, values) at values of all that is unobserved, `(draws * units,)`."""
        seen = self._run({}, draws, score=self._scored() | set(values), known=values)
        return self._total(seen, draws)

    def propose(self, draws: int) -> Proposal:
        """Values of the latents, and of what units lack, from the guide, for all draws of all units."""
        assert self.guide is not None
        seen = {**self.evidence, **self._enforced()}
        for name in self.guide.sites:
            if self.intervention.replaces(name) and name not in seen:
                raise NotGiven(
                    f"the guide proposes '{name}', which this submodel sets by a policy or draws afresh",
                    why="its value is not the guide's to choose, and it may read it",
                    fix=f"give '{name}' as evidence, or use a guide without it",
                )
        return self.guide.propose(
            self._folded(seen, draws),
            self.generator,
            known=[name for name in seen if name not in self.missing or self._proposed(name)],
            missing=self._folded({n: gaps for n, gaps in self.missing.items() if self._proposed(n)}, draws),
            told=[name for name in self.evidence if not self.intervention.replaces(name)],
            vectorised=self.structure.vectorised,
        )

    def _proposed(self, name: str) -> bool:
        """Whether the guide proposes a variable for units that lack it."""
        return self.guide is not None and name in self.guide.sites and self.missing[name].dim() == 1

    @property
    def lacking(self) -> Tensor:
        """Units that lack some of their evidence, which the guide does not propose, `(units,)`."""
        found = torch.zeros(self.units, dtype=torch.bool)
        for name, gaps in self.missing.items():
            if name in self.unobserved and not self._proposed(name):
                found |= gaps.reshape(self.units, -1).any(-1)
        return found

    def _enforced(self) -> Values:
        """Values that actions give to variables, whatever else happens: a guide may read them."""
        found: Values = {}
        for key, name, action in ((f"{d}/{n}", n, a) for d, _, n, a in self.intervention.items()):
            if isinstance(action, Hard):
                found[name] = (
                    self.given[key]
                    if action.per_unit
                    else action.value.expand(self.units, *action.value.shape)
                )
            else:
                found.pop(name, None)
        return found

    def _total(self, seen: Pass, draws: int) -> Tensor:
        """The log-probability of all that was scored; -inf where a run contradicts the evidence."""
        score = total(seen, draws * self.units)
        for wrong in contradictions(self, seen).values():
            score = torch.where(wrong.to(score.device), -torch.inf, score)
        return score

    def _scored(self) -> frozenset[str]:
        return frozenset(n for n in self.evidence if not self.structure.variables[n].computed)

    def _run(
        self,
        noise: Values,
        draws: int,
        *,
        pull: bool = False,
        score: frozenset[str],
        known: Values | None = None,
    ) -> Pass:
        """A pass, in which what is unobserved has this noise or, if `known`, these values."""
        known = known or {}
        evidence = {**self._folded(self.evidence, draws), **known}
        missing = {n: gaps for n, gaps in self.missing.items() if n in evidence and n not in known}
        rest = [
            n
            for n in self.structure.variables
            if n not in noise and (n not in evidence or n in missing or self.intervention.replaces(n))
        ]
        return self.run(
            self.program,
            units=draws * self.units,
            evidence=evidence,
            noise={**self.prior(draws, rest), **noise},
            draws=self._uniforms(evidence, draws) if pull else {},
            given=self._folded(self.given, draws),
            missing=self._folded(missing, draws),
            intervention=self.intervention,
            pull=pull,
            score=score,
            vectorised=self.structure.vectorised,
        )

    def _folded(self, values: Values, draws: int) -> Values:
        if draws == 1:
            return values
        return {name: x.unsqueeze(0).expand(draws, *x.shape).flatten(0, 1) for name, x in values.items()}

    def _uniforms(self, evidence: Values, draws: int) -> Values:
        """The auxiliary draws for sites whose noise is not a function of value and parents."""
        eps = torch.finfo(torch.get_default_dtype()).eps
        found: Values = {}
        for name in evidence:
            drawn = self.intervention.drawn(name)
            shape = self.structure.variables[name].draws if drawn is None else exogenous(drawn).draws
            if shape is not None:
                uniform = torch.rand(draws * self.units, *shape, generator=self.generator)
                found[name] = uniform.clamp(eps / 4, 1 - eps)
        return found


def prior(variables: Mapping[str, Variable], units: int, generator: torch.Generator) -> Values:
    """Noise of every variable from its exogenous law."""
    dtype = torch.get_default_dtype()
    return {v.name: v.law.sample(units, generator, dtype) for v in variables.values()}


def total(seen: Pass, units: int) -> Tensor:
    """The log-probability of all that was scored."""
    if not seen.log_prob:
        return torch.zeros(units)
    return torch.stack(list(seen.log_prob.values())).sum(0)


# ---- what evidence may be


def check_presence(
    structure: Structure, intervention: Intervention, evidence: Values, free: Collection[str]
) -> None:
    """Only variables in `free` may be without evidence."""
    for name, v in structure.variables.items():
        if name in evidence and name in intervention.chains and not intervention.replaces(name):
            _shifted(name)
        if name in evidence or v.computed or v.optional or intervention.replaces(name):
            continue
        if name in intervention.chains and name not in free:
            _shifted(name)
        if name not in free:
            raise EvidenceError(
                f"the evidence has no '{name}'",
                why="a variable without evidence is not silently taken for latent",
                fix=f'give its values, or declare it: SCM(program, latent=["{name}"]); '
                'cells that are NaN are inferred with missing="abduct"',
            )


def _shifted(name: str) -> None:
    raise EvidenceError(
        f"'{name}' is acted on by a function of its natural value in this submodel",
        why="the natural value, and so its noise, can't be known from the value enforced",
        fix="abduct in the model without that action, and predict in this one",
    )


def contradictions(problem: Problem, seen: Pass) -> dict[str, Tensor]:
    """Where a run's computed and enforced values are not those of the evidence, `(draws * units,)`."""
    evidence, intervention = problem.evidence, problem.intervention
    told = {n: x for n, x in seen.computed.items() if n in evidence and not intervention.replaces(n)}
    for name, chain in intervention.chains.items():
        if name in evidence and not isinstance(chain[-1][1], Stochastic):
            told[name] = seen.values[name]
    return {name: ~agreeing(problem, name, value) for name, value in told.items()}


def agreeing(problem: Problem, name: str, value: Tensor, units: Tensor | None = None) -> Tensor:
    """Whether values `(n, *event)` are what the evidence has, `(n,)`, beyond rounding; no cell, no evidence.

    Whole numbers must be equal. Others may differ by 16 roundings of the largest number in the unit's
    evidence, with which they may have been computed.

    Args:
        units: whose the values are; default: of all units, again and again.
    """
    told = problem.evidence[name].double()
    if units is None:
        units = torch.arange(problem.units, device=told.device).repeat(len(value) // problem.units)
    lacks = problem.missing.get(name, torch.zeros(len(told), dtype=torch.bool)).to(told.device)
    spread = lacks.reshape(*lacks.shape, *[1] * (told.dim() - lacks.dim())).expand(told.shape)
    numbers = [x.double().abs().nan_to_num(0.0).reshape(len(x), -1) for x in problem.evidence.values()]
    largest = torch.stack([x.amax(1) for x in numbers])
    precision = torch.finfo(value.dtype if value.is_floating_point() else torch.float32).eps
    rounding = (16 * precision * largest.amax(0)).reshape(-1, *[1] * (told.dim() - 1))
    value, told = value.double().to(told.device), told[units]
    whole = (value == value.round()) & (told == told.round())
    near = torch.where(whole, value == told, (value - told).abs() <= rounding[units])
    return (near | spread[units]).reshape(len(value), -1).all(-1)


def check_explained(problem: Problem, seen: Pass) -> None:
    """The evidence must be possible, and agree with what is computed or set."""
    evidence, units, variables = problem.evidence, problem.units, problem.structure.variables
    for name, wrong in contradictions(problem, seen).items():
        if wrong.any():
            _contradicted(problem, seen, name, wrong)
    certain = not problem.unobserved
    for name, logp in seen.log_prob.items():
        bad = ~torch.isfinite(logp) & ~_blank(evidence[name]).repeat(len(logp) // units)
        if bad.any() and certain:
            _impossible(name, bad[:units], problem.structure)
    for name, u in seen.noise.items():
        law = variables[name].law if name in variables else None  # else it is what an action drew
        bad = ~(torch.isfinite(u) if law is None else law.contains(u)).reshape(len(u), -1).all(-1)
        if name in evidence:
            bad &= ~_blank(evidence[name]).repeat(len(u) // units)
        if bad.any():
            _impossible(name, bad.reshape(-1, units).any(0), problem.structure)


def _contradicted(problem: Problem, seen: Pass, name: str, wrong: Tensor) -> None:
    computed = not problem.intervention.replaces(name) and name in seen.computed
    run = int(wrong.nonzero()[0])
    row = run % problem.units
    gives, told = (seen.computed if computed else seen.values)[name][run], problem.evidence[name][row]
    place = int((gives.double() - told.double()).abs().flatten().argmax())
    why = f"'{name}' is computed from its parents" if computed else f"'{name}' was set by do"
    raise EvidenceError(
        f"the evidence on '{name}' contradicts the model in "
        f"{row_names(wrong.reshape(-1, problem.units).any(0))}",
        why=f"{why}, which gives {gives.flatten()[place].item():g} and not {told.flatten()[place].item():g}",
        fix="leave it out of the evidence, or correct it",
    )


def _blank(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    return torch.isnan(x).reshape(len(x), -1).any(-1)


def _impossible(name: str, bad: Tensor, structure: Structure) -> None:
    parents = ", ".join(f"'{p}'" for p in sorted(structure.graph.parents(name))) or "no parents"
    raise EvidenceError(
        f"the evidence on '{name}' has probability zero, or its distribution is invalid, in {row_names(bad)}",
        why=f"no noise gives that value with these values of its parents ({parents})",
        fix="check the values, or the distribution that the program gives the variable there",
    )
