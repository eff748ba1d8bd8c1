"""One pass of a program through one world.

At every site the fused handler `World` does what the theory says a unit does there: its value is read from
the evidence (and its noise pulled out), or pushed from its noise; then the actions on that site are applied.
One handler does all of it, because stacked handlers cost several times more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor

from pyrocausal.errors import EvidenceError, ProgramError
from pyrocausal.exogenous import Exogenous, exogenous
from pyrocausal.exogenous.density import log_density
from pyrocausal.exogenous.levels import log_levels
from pyrocausal.intervene import Intervention
from pyrocausal.units import OWN, Program

Values = dict[str, Tensor]
Runner = Callable[..., "Pass"]  # `run`, or what gives the same passes otherwise


class Pass(NamedTuple):
    """What one pass found, each a mapping of variable to tensor with units first."""

    values: Values  # enforced values
    natural: Values  # what the variable's own mechanism gave
    noise: Values
    log_prob: Values  # of evidence under the variable's own mechanism, one number a unit
    computed: Values  # what deterministic sites gave, before actions
    levels: Values = {}  # the log-probability of every level, levels last, where that was asked for


class World(Messenger):
    """The handler: evidence in, noise out; or noise in, values out; under an intervention.

    Args:
        evidence: values of observed variables, one unit's.
        missing: for variables that not every unit has in its evidence, whether this one lacks it: a truth
            value, or one for each number of a vector.
        noise: noise of the variables that are not observed, or not for every unit.
        draws: uniforms for abduction at sites whose noise is not a function of the value.
        given: per-unit inputs of actions.
        intervention: the actions.
        weights: values of the sites that all units share.
        pull: whether to abduct the noise of observed sites; score: at which of them to record the
            log-probability.
        levels: discrete variables at which to record the probabilities of all levels, and how many they have.
    """

    def __init__(
        self,
        evidence: Mapping[str, Tensor],
        noise: Mapping[str, Tensor],
        draws: Mapping[str, Tensor],
        given: Mapping[str, Tensor],
        intervention: Intervention,
        *,
        pull: bool,
        score: frozenset[str],
        missing: Mapping[str, Tensor] | None = None,
        weights: Mapping[str, Tensor] | None = None,
        levels: Mapping[str, int] | None = None,
    ):
        super().__init__()
        self.evidence, self.noise, self.draws, self.given = evidence, noise, draws, given
        self.intervention, self.pull, self.score = intervention, pull, score
        self.missing = missing or {}
        self.weights, self.levels = weights or {}, levels or {}
        self.seen = Pass({}, {}, {}, {}, {}, {})

    def _pyro_sample(self, msg: Any) -> None:
        if is_plate(msg):
            return
        name, fn = msg["name"], msg["fn"]
        if self.weights and self._shared(msg):
            return
        if name in self.levels:
            self.seen.levels[name] = log_levels(fn, self.levels[name])
        if msg["infer"].get("_deterministic"):
            value = self.seen.computed[name] = msg["value"]
        elif name in self.evidence and not self.intervention.replaces(name):
            value = self._observe(name, fn, msg["infer"])
        else:
            u = self.noise[name]
            value = exogenous(fn, msg["infer"].get("noise")).push(u)
            self.seen.noise[name] = u
        self.seen.natural[name] = value
        if name in self.intervention.chains:
            value = self._act(name, value)
        self.seen.values[name] = value
        msg["value"] = value
        msg["done"] = True
        msg["stop"] = True

    def _shared(self, msg: Any) -> bool:
        """Whether a site is no unit's own; then it has its given value, and nothing else to do with this."""
        computed = msg["infer"].get("_deterministic") and not msg["infer"].get(OWN)
        if msg["name"] not in self.weights and not computed:
            return False
        msg["value"] = self.weights.get(msg["name"], msg["value"])
        msg["done"] = msg["stop"] = True
        return True

    def _act(self, name: str, natural: Tensor) -> Tensor:
        drawn = self.intervention.drawn(name) if name in self.evidence else None
        if drawn is None:
            return self.intervention.act(name, natural, self.seen.values, self.given)
        # A trial whose assignment was seen: its draw is abducted like any other noise.
        value = self.evidence[name]
        if self.pull:
            self.seen.noise[action_noise(name)] = exogenous(drawn).pull(value, self.draws.get(name))
        return value

    def _observe(self, name: str, fn: Any, infer: Mapping[str, Any]) -> Tensor:
        value, missing = self.evidence[name], self.missing.get(name)
        mechanism = exogenous(fn, infer.get("noise")) if self.pull or missing is not None else None
        if mechanism is not None and missing is not None:
            value = torch.where(missing, mechanism.push(self.noise[name]), value)
        if self.pull and mechanism is not None:
            self.seen.noise[name] = self._pull(name, mechanism, value)
            if mechanism.law.kind == "none":  # a constant: the evidence is checked against it, not scored
                self.seen.computed[name] = mechanism.push(self.seen.noise[name])
        if name in self.score:
            self.seen.log_prob[name] = _log_prob(name, fn, value, missing)
        return value

    def _pull(self, name: str, mechanism: Exogenous, value: Tensor) -> Tensor:
        """The noise behind a value; a missing value keeps the noise that it was pushed from."""
        u, missing = mechanism.pull(value, self.draws.get(name)), self.missing.get(name)
        if missing is None:
            return u
        # A number of noise belongs to a number of the value, unless one value has several (a Gumbel race).
        spread = missing.reshape(missing.shape + (1,) * (u.dim() - value.dim())) if missing.dim() else missing
        return torch.where(spread, self.noise[name], u)


def _log_prob(name: str, fn: Any, value: Tensor, missing: Tensor | None) -> Tensor:
    """log p of what is observed of a value."""
    if missing is None:
        return log_density(fn, value).sum()
    if missing.dim() == 0:
        score = log_density(fn, value).sum()
        return torch.where(missing, torch.zeros_like(score), score)
    while isinstance(fn, torch.distributions.Independent):
        fn = fn.base_dist
    if fn.event_shape:
        raise EvidenceError(
            f"some numbers of '{name}' are missing and others are not",
            why=f"{type(fn).__name__} gives them one joint density",
            fix="leave out the whole vector of such rows, or write the numbers as variables of their own",
        )
    score = log_density(fn, value)
    return torch.where(missing, torch.zeros_like(score), score).sum()


def action_noise(name: str) -> str:
    """The name, in a noise store, of what a stochastic action on a variable drew."""
    return f"do({name})"


def run(
    program: Program,
    *,
    units: int,
    evidence: Mapping[str, Tensor] | None = None,
    noise: Mapping[str, Tensor] | None = None,
    draws: Mapping[str, Tensor] | None = None,
    given: Mapping[str, Tensor] | None = None,
    intervention: Intervention | None = None,
    pull: bool = False,
    score: frozenset[str] = frozenset(),
    missing: Mapping[str, Tensor] | None = None,
    levels: Mapping[str, int] | None = None,
    vectorised: bool = True,
) -> Pass:
    """Run a program about one unit for `units` units; every input tensor has units first."""
    actions = intervention or Intervention()

    def one(inputs: dict[str, Any], weights: Values) -> dict[str, Values]:
        world = World(
            inputs["evidence"],
            inputs["noise"],
            inputs["draws"],
            inputs["given"],
            actions,
            pull=pull,
            score=score,
            missing=inputs["missing"],
            weights=weights,
            levels=levels,
        )
        with world:
            program()
        return {field: _tensors(found) for field, found in world.seen._asdict().items()}

    device = program.device

    def there(values: Mapping[str, Tensor] | None) -> Values:
        return {name: value.to(device) for name, value in (values or {}).items()}

    inputs = {
        "evidence": there(evidence),
        "noise": there(noise),
        "draws": there(draws),
        "given": there(given),
        "missing": there(missing),
        "unit": torch.arange(units, device=device),  # to map over where there is no other input
    }
    with program.running():
        return Pass(**program.map(one, inputs, vectorised=vectorised))


def _tensors(found: Mapping[str, Any]) -> Values:
    return {name: torch.as_tensor(value) for name, value in found.items()}


def is_plate(msg: Any) -> bool:
    """Whether a message comes from a plate (the program's own, within a unit), not from a variable."""
    return isinstance(msg["fn"], _Subsample)


def refuse_foreign_sites(msg: Any) -> None:
    """What an SCM program may not contain, checked once at set-up."""
    name = msg["name"]
    if is_plate(msg) and (msg["fn"].subsample_size or msg["fn"].size) < msg["fn"].size:
        raise ProgramError(
            f"plate '{name}' subsamples",
            why="an SCM program is about one unit, and batches are drawn by fit",
            fix="remove subsample_size, or the plate",
        )
    if isinstance(msg["fn"], dist.Unit):
        raise ProgramError(
            f"pyro.factor('{name}') has no mechanism",
            why="a factor weighs whole runs, so the program is no longer a set of mechanisms",
            fix="put the term into the loss, or write the variable as a pyro.sample",
        )
    if msg["is_observed"] and not msg["infer"].get("_deterministic"):
        raise ProgramError(
            f"pyro.sample('{name}', …, obs=…) fixes evidence inside the program",
            why="evidence is given from outside, so that one program answers every question",
            fix=f"drop obs=, and pass '{name}' to fit, abduct or counterfactual",
        )
