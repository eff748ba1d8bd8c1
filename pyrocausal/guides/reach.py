"""Whether a guide's draws are what its variable can be."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.exogenous.density import of_numbers
from pyrocausal.variables import Variable

from .evidence import GuideError


def check_fit(variable: Variable, draws: Tensor, fn: Any) -> None:
    """A guide's site must draw what its variable can be, and all of it.

    Args:
        draws: some, `(n, *event)`.
        fn: the distribution of each number of them.
    """
    name, support = variable.name, of_numbers(fn.support)
    if tuple(draws.shape[1:]) != variable.shape:
        raise GuideError(
            f"the guide draws '{name}' of shape {tuple(draws.shape[1:])}",
            why=f"in the model it has shape {variable.shape}",
            fix="give its distribution that shape, with .to_event(1) for a vector",
        )
    outside, narrow = _reach(variable.support, fn, draws)
    if narrow:
        raise GuideError(
            f"the guide never draws some values that '{name}' can have",
            why=f"it draws from {_in_words(support)}, and in the model '{name}' lies in "
            f"{_in_words(variable.support)}: no weight can make up for what is never proposed",
            fix="give it a distribution on all of those values",
        )
    if outside or variable.discrete != bool(support.is_discrete):
        raise GuideError(
            f"the guide draws values of '{name}' that it can't have",
            why=f"it draws from {_in_words(support)}, and in the model '{name}' lies in "
            f"{_in_words(variable.support)}",
            fix="give it a distribution on those values: biject_to(support) moves a Normal there",
        )


def _reach(due: Any, fn: Any, draws: Tensor) -> tuple[bool, bool]:
    """Whether a guide goes beyond the support that is due, and whether it always falls short of it."""
    if due is None:  # it depends on the parents
        return False, False
    support = of_numbers(fn.support)
    if due.is_discrete or support.is_discrete or due.event_dim or support.event_dim:
        return not due.check(draws).all(), False
    (low, high), (least, most) = _bounds(due), _bounds(support)
    always = support in _CONSTANT  # bounds that hang on the evidence may be those of the posterior
    # the support of a transformed distribution is only what its last transform may give
    known = not isinstance(fn, torch.distributions.TransformedDistribution)
    beyond = known and (least < low or most > high)
    return beyond or not bool(due.check(draws).all()), always and (least > low or most < high)


_CONSTANT = (constraints.positive, constraints.nonnegative, constraints.unit_interval)


def _bounds(support: Any) -> tuple[float, float]:
    low, high = (getattr(support, f"{side}_bound", None) for side in ("lower", "upper"))
    return (
        -torch.inf if low is None else float(torch.as_tensor(low).min()),
        torch.inf if high is None else float(torch.as_tensor(high).max()),
    )


def _in_words(support: constraints.Constraint | None) -> str:
    return "the real line" if support is constraints.real else str(support)
