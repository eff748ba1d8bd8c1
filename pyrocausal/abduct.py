"""Abduction: evidence in, exogenous noise out.

One meaning, P(u | evidence), and an engine for each case. Where everything is observed, each site's noise is
pulled out in one pass: exactly for invertible mechanisms, as one draw from P(u | x, parents) for discrete
ones. Latent variables declared as such are inferred by importance sampling from their prior, all draws of all
units in one pass.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from pyrocausal.errors import EvidenceError
from pyrocausal.exogenous import exogenous
from pyrocausal.graph.discover import Structure
from pyrocausal.intervene import Intervention, Stochastic
from pyrocausal.samples import Noise, Samples
from pyrocausal.units import Program
from pyrocausal.variables import Variable, row_names
from pyrocausal.world import Pass, Values, run

logger = logging.getLogger("pyrocausal")

METHODS = ("auto", "exact", "importance")
PROPOSALS = 1000  # default draws a unit for importance sampling


def abduct(
    program: Program,
    structure: Structure,
    intervention: Intervention,
    evidence: Values,
    *,
    given: Values,
    method: str,
    num_samples: int | None,
    generator: torch.Generator,
) -> Noise:
    """The noise of every variable given evidence `(units, *event)` of the observed ones."""
    units = len(next(iter(evidence.values())))
    latent = _unobserved(structure, intervention, evidence)
    method = _choose(method, latent)
    draws = num_samples if method == "exact" else num_samples or PROPOSALS
    fold = draws or 1
    evidence = {name: _fold(x, fold) for name, x in evidence.items()}
    before = prior(structure.variables, units * fold, generator)
    seen = run(
        program,
        units=units * fold,
        evidence=evidence,
        noise=before,
        draws=_uniforms(structure.variables, intervention, evidence, units * fold, generator),
        given={key: _fold(x, fold) for key, x in given.items()},
        intervention=intervention,
        pull=True,
        score=_scored(structure.variables, evidence, bool(latent)),
        vectorised=structure.vectorised,
    )
    _check(seen, evidence, structure, intervention, units, bool(latent))
    found = _complete(seen.noise, before, structure.variables)
    noise = Noise({name: _unfold(u, draws, units) for name, u in found.items()}, draws=draws is not None)
    factual = {name: _unfold(x, draws, units) for name, x in seen.values.items()}
    noise.diagnostics = {"method": method}
    if latent:
        assert draws is not None
        factual = _resample(noise, factual, seen, evidence, draws, units, generator)
    noise.factual = Samples(factual, structure.variables, draws=draws is not None)
    return noise


def prior(variables: Mapping[str, Variable], units: int, generator: torch.Generator) -> Values:
    """Noise of every variable from its exogenous law."""
    dtype = torch.get_default_dtype()
    return {v.name: v.law.sample(units, generator, dtype) for v in variables.values()}


def _complete(pulled: Values, before: Values, variables: Mapping[str, Variable]) -> Values:
    """Units whose run did not reach an optional variable keep its noise from the prior."""
    missing = {name: u for name, u in before.items() if variables[name].optional}
    filled = {
        name: torch.where(torch.isnan(pulled[name]), u, pulled[name]) if name in pulled else u
        for name, u in missing.items()
    }
    return {**pulled, **filled}


def _scored(variables: Mapping[str, Variable], evidence: Values, weigh: bool) -> frozenset[str]:
    """Sites whose probability is needed: all evidence to weigh latents, else those of varying support."""
    return frozenset(
        n for n in evidence if not variables[n].computed and (weigh or variables[n].support is None)
    )


def _choose(method: str, latent: tuple[str, ...]) -> str:
    if method not in METHODS:
        raise EvidenceError(
            f"method={method!r} is no abduction engine", fix=f"use one of {', '.join(METHODS)}"
        )
    if method == "exact" and latent:
        raise EvidenceError(
            f"'{latent[0]}' is latent, so its noise can't be computed exactly",
            fix='use method="importance" (or "auto"), or give its value as evidence',
        )
    return ("importance" if latent else "exact") if method == "auto" else method


def _unobserved(structure: Structure, intervention: Intervention, evidence: Values) -> tuple[str, ...]:
    """Latent variables without evidence; anything else without evidence is an error."""
    missing = [
        name
        for name, variable in structure.variables.items()
        if name not in evidence
        and not variable.computed
        and not variable.optional
        and not intervention.replaces(name)
    ]
    for name in missing:
        if name in intervention.chains:
            _shifted(name)
        if name not in structure.graph.latent:
            raise EvidenceError(
                f"the evidence has no '{name}'",
                why="a variable without evidence is not silently taken for latent",
                fix=f'give its values, or declare it: SCM(program, latent=["{name}"])',
            )
    for name in intervention.names:
        if name in evidence and not intervention.replaces(name):
            _shifted(name)
    return tuple(missing)


def _shifted(name: str) -> None:
    raise EvidenceError(
        f"'{name}' is acted on by a function of its natural value in this submodel",
        why="the natural value, and so its noise, can't be known from the value enforced",
        fix="abduct in the model without that action, and predict in this one",
    )


def _check(
    seen: Pass, evidence: Values, structure: Structure, intervention: Intervention, units: int, latent: bool
) -> None:
    for name, value in seen.computed.items():
        if name in evidence and not intervention.replaces(name) and not latent:
            _consistent(name, value, evidence[name], units, f"'{name}' is computed from its parents")
    for name, chain in intervention.chains.items():
        if name in evidence and not isinstance(chain[-1][1], Stochastic):
            _consistent(name, seen.values[name], evidence[name], units, f"'{name}' was set by do")
    for name, logp in seen.log_prob.items():
        bad = ~torch.isfinite(logp) & ~_blank(evidence[name])
        if bad.any() and not latent:
            _impossible(name, bad[:units], structure)
    for name, u in seen.noise.items():
        bad = ~torch.isfinite(u).reshape(len(u), -1).all(-1)
        if name in evidence:
            bad &= ~_blank(evidence[name])
        if bad.any():
            _impossible(name, bad[:units] if bad[:units].any() else bad, structure)


def _blank(x: Tensor) -> Tensor:
    return (
        torch.isnan(x).reshape(len(x), -1).any(-1)
        if x.is_floating_point()
        else torch.zeros(len(x), dtype=torch.bool)
    )


def _impossible(name: str, bad: Tensor, structure: Structure) -> None:
    parents = ", ".join(f"'{p}'" for p in sorted(structure.graph.parents(name))) or "no parents"
    raise EvidenceError(
        f"the evidence on '{name}' has probability zero, or its distribution is invalid, in {row_names(bad)}",
        why=f"no noise gives that value with these values of its parents ({parents})",
        fix="check the values, or the distribution that the program gives the variable there",
    )


def _consistent(name: str, value: Tensor, evidence: Tensor, units: int, why: str) -> None:
    gap = (value.double() - evidence.double()).abs().reshape(len(value), -1)
    scale = evidence.double().abs().reshape(len(value), -1).amax().clamp_min(1.0)
    bad = (gap > 1e-4 * scale).any(-1)[:units]
    if bad.any():
        row = int(bad.nonzero()[0])
        raise EvidenceError(
            f"the evidence on '{name}' contradicts the model in {row_names(bad)}",
            why=f"{why}, which gives {value[row].flatten()[0].item():g} "
            f"and not {evidence[row].flatten()[0].item():g}",
            fix="leave it out of the evidence, or correct it",
        )


def _uniforms(
    variables: Mapping[str, Variable],
    intervention: Intervention,
    evidence: Values,
    units: int,
    generator: torch.Generator,
) -> Values:
    """The auxiliary draws for sites whose noise is not a function of value and parents."""
    eps = torch.finfo(torch.get_default_dtype()).eps
    draws: Values = {}
    for name in evidence:
        drawn = intervention.drawn(name)
        shape = variables[name].draws if drawn is None else exogenous(drawn).draws
        if shape is not None:
            draws[name] = torch.rand(units, *shape, generator=generator).clamp(eps / 4, 1 - eps)
    return draws


def _resample(
    noise: Noise,
    factual: Values,
    seen: Pass,
    evidence: Values,
    draws: int,
    units: int,
    generator: torch.Generator,
) -> Values:
    """Draws with equal weights, by systematic resampling in each unit; diagnostics keep the weights."""
    total = (
        torch.stack([logp.double() for logp in seen.log_prob.values()]).sum(0)
        if seen.log_prob
        else torch.zeros(draws * units, dtype=torch.double)
    )
    log_weights = total.reshape(draws, units)
    impossible = ~torch.isfinite(log_weights).any(0)
    if impossible.any():
        raise EvidenceError(
            f"no draw of the latent variables explains the evidence in {row_names(impossible)}",
            fix="raise num_samples, or check the evidence",
        )
    weights = torch.softmax(log_weights, 0)
    chosen = _systematic(weights, generator)
    for values in (noise.values_, factual):
        for name, value in values.items():
            index = chosen.reshape(*chosen.shape, *[1] * (value.dim() - 2)).expand(value.shape)
            values[name] = value.gather(0, index)
    ess = 1.0 / weights.square().sum(0)
    noise.diagnostics |= {"ess": ess, "log_weights": log_weights}
    worst = float(ess.min())
    if worst < 50 or worst < 0.01 * draws:
        logger.warning(
            "Importance sampling is unreliable for %d of %d units: effective sample size as low as %.1f "
            "of %d draws. Raise num_samples, or observe more.",
            int((ess < max(50.0, 0.01 * draws)).sum()),
            units,
            worst,
            draws,
        )
    return factual


def _systematic(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Indices `(draws, units)` of equally weighted draws: one uniform a unit, evenly spaced positions."""
    draws, units = weights.shape
    start = torch.rand(units, 1, generator=generator, dtype=weights.dtype)
    positions = (start + torch.arange(draws, dtype=weights.dtype)) / draws
    cumulative = weights.T.cumsum(-1)
    return torch.searchsorted(cumulative.contiguous(), positions.contiguous()).clamp(max=draws - 1).T


def _fold(x: Tensor, draws: int) -> Tensor:
    return x if draws == 1 else x.unsqueeze(0).expand(draws, *x.shape).flatten(0, 1)


def _unfold(x: Tensor, draws: int | None, units: int) -> Tensor:
    return x if draws is None else x.reshape(draws, units, *x.shape[1:])
