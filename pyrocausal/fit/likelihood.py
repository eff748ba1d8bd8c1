"""The likelihood as a pure function of parameters and data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module

from pyrocausal.abduct import prior
from pyrocausal.errors import ProgramError
from pyrocausal.graph.discover import Structure
from pyrocausal.intervene import Intervention
from pyrocausal.mechanisms.base import Mechanism, mechanism_of
from pyrocausal.units import Program
from pyrocausal.world import Pass, Values, World, run


class SiteScores:
    """log p of each observed variable given its parents, per unit: the likelihood, site by site."""

    def __init__(self, program: Program, structure: Structure, intervention: Intervention):
        self.program, self.structure, self.intervention = program, structure, intervention

    def __call__(
        self, batch: Values, sites: Collection[str], parameters: Mapping[str, Tensor] | None = None
    ) -> Values:
        """Scores `(units,)` by site; with `parameters`, at those instead of the program's own."""
        if parameters is None:
            return self._scores(batch, sites)
        with _reparametrize_module(self.program, dict(parameters)):
            return self._scores(batch, sites)

    def _scores(self, batch: Values, sites: Collection[str]) -> Values:
        units = len(next(iter(batch.values())))
        noise = unseen_noise(self.structure, self.intervention, batch)
        with self.structure.resting(self.program, {*sites, *self.intervention.names}):
            seen = self._run(batch, sites, units, noise)
        return seen.log_prob

    def _run(self, batch: Values, sites: Collection[str], units: int, noise: Values) -> Pass:
        return run(
            self.program,
            units=units,
            evidence=batch,
            noise=noise,
            intervention=self.intervention,
            score=frozenset(sites),
            vectorised=self.structure.vectorised,
        )


def unseen_noise(structure: Structure, intervention: Intervention, data: Values) -> Values:
    """Noise for sites that data does not settle: latents, and those whose mechanism an action replaces."""
    unseen = {n: v for n, v in structure.variables.items() if n not in data or intervention.replaces(n)}
    return prior(unseen, len(next(iter(data.values()))), torch.Generator().manual_seed(0))


class _Inputs(World):
    """Collect, at every site, which mechanism made its distribution and from which features."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.mechanisms: dict[str, Mechanism] = {}
        self.features: Values = {}

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        found = mechanism_of(msg["fn"])
        if found is not None and name in self.evidence and not self.intervention.replaces(name):
            self.mechanisms[name], self.features[name] = found
        super()._pyro_sample(msg)


@dataclass(frozen=True)
class Inputs:
    """The mechanism behind each site, and the features that the rows give it, whatever the parameters."""

    mechanisms: dict[str, Mechanism]
    features: Values

    @classmethod
    def of(cls, program: Program, structure: Structure, intervention: Intervention, data: Values) -> Inputs:
        mechanisms: dict[str, Mechanism] = {}
        unseen = unseen_noise(structure, intervention, data)

        def one(values: tuple[Values, Values], weights: Values) -> Values:
            inputs = _Inputs(*values, {}, {}, intervention, pull=False, score=frozenset(), weights=weights)
            with inputs:
                program()
            mechanisms.update(inputs.mechanisms)
            return inputs.features

        with program.running(), torch.no_grad():
            features = program.map(one, (data, unseen), vectorised=structure.vectorised)
        return cls(mechanisms, features)

    def each(self, data: Values) -> Iterator[tuple[Mechanism, list[str], Tensor, Tensor]]:
        """Every mechanism with its sites, and the values and features of all of them together."""
        for mechanism in dict.fromkeys(self.mechanisms.values()):
            sites = [name for name, m in self.mechanisms.items() if m is mechanism]
            x = torch.cat([data[site] for site in sites])
            yield mechanism, sites, x, torch.cat([self.features[site] for site in sites])


@torch.no_grad()
def learn_scales(
    program: Program, structure: Structure, intervention: Intervention, training: Values
) -> None:
    """Let every mechanism learn its scales from the training split."""
    for mechanism, sites, x, features in Inputs.of(program, structure, intervention, training).each(training):
        mechanism.calibrate(sites[0], x, features)


def families(scores: Values, parameters: Mapping[str, Tensor]) -> list[tuple[set[str], set[str]]]:
    """Groups of sites that share parameters, each with the names of its parameters.

    The likelihood is a sum over sites, so sites without common parameters are trained as if alone.
    """
    names, leaves = list(parameters), list(parameters.values())
    groups: list[tuple[set[str], set[str]]] = []
    for site, score in scores.items():
        if not score.requires_grad:
            continue
        gradients = torch.autograd.grad(score.sum(), leaves, retain_graph=True, allow_unused=True)
        used = {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}
        sites = {site}
        for group in [g for g in groups if g[1] & used]:
            groups.remove(group)
            sites, used = sites | group[0], used | group[1]
        if used:
            groups.append((sites, used))
    return groups


def refuse_unseen_parameters(scores: Values, module: nn.Module) -> None:
    """Every trainable tensor behind the likelihood must be a parameter that the SCM can train and save."""
    known = {id(p) for p in module.parameters()}
    pending = [score.grad_fn for score in scores.values()]
    visited = set()
    while pending:
        node = pending.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in known:
            raise ProgramError(
                f"the program uses a trainable tensor of shape {tuple(leaf.shape)} that the SCM can't see",
                why="it would be neither trained nor saved",
                fix="make it an attribute of a PyroModule program, or write pyro.param(name, value)",
            )
        pending.extend(following for following, _ in node.next_functions)
