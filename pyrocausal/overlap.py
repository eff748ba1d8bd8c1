"""Are there rows that tell what the asked action does?

An effect can be told from data, whatever the model, only where every kind of unit had a chance to take the
asked value (positivity; Rosenbaum and Rubin 1983). The chance is that of the SCM's own mechanism of the
treatment. Rows that got the value, weighted by one over it, stand for the world of the action; how many
equally weighted ones they are worth is their effective number, (Σw)² / Σw² (Kish 1965). For a shift t → f(t)
the weights are density ratios (Díaz and van der Laan 2012; Haneuse and Rotnitzky 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyrocausal.intervene import Edge, Natural, Policy, Shift, Stochastic
from pyrocausal.rows import Rows
from pyrocausal.world import run

RARE, NEVER = 0.05, 0.01  # chances of the asked value below which a row is counted
MANY = 0.05  # share of rows that is too many
LEAST = 20  # rows, in effect, that an answer should rest on


@dataclass(frozen=True)
class Overlap:
    """How far the rows tell what an action does.

    Attributes:
        action: in words.
        chance: of each row, that of the asked value given its causes; of a continuous treatment, its density
            there beside that of all rows.
        effective: rows that the action's world is worth.
        seen: whether the value occurs, or lies within what occurs.
    """

    action: str
    chance: np.ndarray
    effective: float
    seen: bool

    @property
    def rare(self) -> float:
        """The share of rows whose chance is small."""
        return float((self.chance < RARE).mean())

    @property
    def never(self) -> float:
        """The share of rows whose chance is next to none."""
        return float((self.chance < NEVER).mean())

    @property
    def verdict(self) -> str:
        """Whether data tell ("pass"), tell little ("warn") or do not ("fail")."""
        if not self.seen or self.effective < LEAST or self.never > MANY:
            return "fail"
        return "warn" if self.rare > MANY else "pass"

    @property
    def meaning(self) -> str:
        n = len(self.chance)
        worth = f"the {n:,} rows are worth {self.effective:,.0f} in the world of this action"
        if not self.seen:
            return "no row has such a value: no data tell what it does"
        if self.verdict == "fail":
            return f"{self.never:.0%} of rows have a chance below {NEVER:.0%}; {worth}"
        return (
            worth
            if self.verdict == "pass"
            else f"{self.rare:.0%} of rows have a chance below {RARE:.0%}; {worth}"
        )


def untold(scm: Any, name: str, known: Any) -> str:
    """Why the chance of a variable's values can't be told, or nothing if it can."""
    hidden = [p for p in scm.graph.parents(name) if p not in known]
    if hidden:
        return f"it depends on '{hidden[0]}', which no row has"
    if scm.variables[name].shape or scm.variables[name].computed or scm._model.structure.shared:
        return "it has no density for one row"
    return ""


def overlap(rows: Rows, name: str, actions: Any, label: str) -> Overlap | None:
    """The overlap of an action on a variable; None for nested actions, which have no weights."""
    action = rows.scm.do(actions)._intervention.chains[name][-1][1]
    if isinstance(action, Natural | Edge):
        return None
    measured = (_discrete if rows.scm.variables[name].discrete else _continuous)(rows, name, action)
    return Overlap(label, *measured)


# ---- a treatment that takes whole numbers


def _discrete(rows: Rows, name: str, action: Any) -> tuple[np.ndarray, float, bool]:
    """Chance of what is asked, effective rows, whether it was seen.

    With p_i(l) the chance of level l for row i, and q_i(l) that under the action, a row's weight is
    q_i(t_i) / p_i(t_i), and its chance the smallest p_i(l) of levels that the action needs.
    """
    t = rows.values[name].long()
    enforced = None if isinstance(action, Stochastic) else _enforced(rows, name, action).long()
    top = int(t.max() if enforced is None else torch.maximum(t, enforced).max())
    levels = torch.arange(rows.scm.variables[name].cardinality or top + 1)
    p = torch.stack([_log_prob(rows, name, level.expand(len(t))) for level in levels], 1).double().exp()
    q = _asked(action, p, levels, enforced)
    weight = (q / p).gather(1, t[:, None])[:, 0]
    needed = (q > 0).any(0)
    seen = set(levels[needed].tolist()) <= set(t.unique().tolist())
    chance = torch.where(q > 0, p, torch.inf).amin(1)
    return chance.numpy(), _effective(weight), seen


def _asked(action: Any, p: Tensor, levels: Tensor, enforced: Tensor | None) -> Tensor:
    """The chance of every level under the action, `(rows, levels)`."""
    if enforced is None:
        q = action.distribution.log_prob(levels.to(torch.get_default_dtype())).double().exp()
        return q.expand_as(p)
    if not isinstance(action, Shift):
        return torch.nn.functional.one_hot(enforced, len(levels)).double()
    moved = _mapped(action.function, levels.to(torch.get_default_dtype())).long().clamp(0, len(levels) - 1)
    return torch.zeros_like(p).index_add(1, moved, p)


# ---- a continuous treatment


def _continuous(rows: Rows, name: str, action: Any) -> tuple[np.ndarray, float, bool]:
    t = rows.values[name]
    own = _log_prob(rows, name, t).double()
    if isinstance(action, Stochastic):
        weight = (action.distribution.log_prob(t).double() - own).exp()
        return (own - own.mean()).exp().numpy(), _effective(weight), True
    asked = _enforced(rows, name, action)
    there = _log_prob(rows, name, asked).double()
    seen = bool(((asked >= t.min()) & (asked <= t.max())).double().mean() >= 1 - MANY)
    if isinstance(action, Shift):
        return (there - own).exp().clamp(max=1.0).numpy(), _effective_shift(action, t, own, there), seen
    width = 1.06 * t.double().std() * len(t) ** -0.2  # Silverman 1986
    near = torch.exp(-(((t - asked).double() / width) ** 2) / 2)
    of_all = _density(t.double(), asked.double(), width)
    return (there.exp() / of_all).numpy(), _effective(near / own.exp()), seen


def _effective_shift(action: Shift, t: Tensor, own: Tensor, there: Tensor) -> float:
    """Effective rows of a one-to-one shift.

    With weights w = q / p, n E_p[w]² / E_p[w²] = n / E_q[w]; draws of q are the rows shifted, where q is
    p(t) / |f'(t)|. So no inverse of f is needed.
    """
    step = 1e-3 * t.double().std().to(t.dtype)
    slope = (_mapped(action.function, t + step) - _mapped(action.function, t - step)) / (2 * step)
    return len(t) / (own - there - slope.double().abs().log()).exp().mean().item()


def _density(t: Tensor, at: Tensor, width: Tensor) -> Tensor:
    """The density of all rows at some values: a Gaussian kernel estimate."""
    where, which = at.unique(return_inverse=True)
    kernel = torch.exp(-(((where[:, None] - t) / width) ** 2) / 2)
    return (kernel.mean(1) / (width * (2 * torch.pi) ** 0.5)).clamp_min(1e-300)[which]


# ---- of both


def _log_prob(rows: Rows, name: str, value: Tensor) -> Tensor:
    """log p(name = value | its causes) for each row."""
    structure = rows.scm._model.structure
    evidence = {**rows.values, name: value.to(rows.values[name].dtype)}
    lacking = [v for v in structure.variables.values() if v.name not in evidence]
    noise = {v.name: v.law.sample(len(rows), torch.Generator().manual_seed(0)) for v in lacking}
    with torch.no_grad():
        seen = run(
            rows.scm._model.program,
            units=len(rows),
            evidence=evidence,
            noise=noise,
            score=frozenset([name]),
            vectorised=structure.vectorised,
        )
    return seen.log_prob[name].cpu()


def _enforced(rows: Rows, name: str, action: Any) -> Tensor:
    """The value that the action gives each row."""
    if isinstance(action, Shift):
        return _mapped(action.function, rows.values[name])
    if isinstance(action, Policy):
        return rows.scm.counterfactual(rows.data, do={name: action}, num_samples=1, seed=0)[name][0].cpu()
    index = getattr(rows.data, "index", None)
    value = action.of_units(name, index, len(rows)) if action.per_unit else action.value
    return value.cpu().expand(len(rows))


def _mapped(function: Callable[[Tensor], Any], t: Tensor) -> Tensor:
    """A user's function of one unit's value, at all."""
    return torch.vmap(lambda value: torch.as_tensor(function(value), dtype=t.dtype))(t)


def _effective(weight: Tensor) -> float:
    weight = weight.nan_to_num(nan=0.0, posinf=0.0)
    total = (weight**2).sum().item()
    return weight.sum().item() ** 2 / total if total > 0 else 0.0
