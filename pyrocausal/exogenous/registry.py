"""The open table from a distribution's class to the rule that derives its noise and mechanism."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.distributions import Distribution

from pyrocausal.errors import UnsupportedCoupling, UnsupportedDistribution

from .law import Law


@dataclass(frozen=True)
class Exogenous:
    """The structural mechanism ``x = push(u)``, ``u ~ law``, of one conditional distribution.

    `push` and `pull` are pure tensor functions: they run on one unit, on a batch of units (leading
    dimensions), under ``torch.vmap`` and under symbolic tracing, and hold no randomness.

    Args:
        law: the law of the noise, free of the parents.
        push: ``u -> x``; the parents' values are held in the closure.
        pull: ``(x, v) -> u``. With `draws` None it is the exact inverse of `push` and ignores `v`; otherwise
        it turns
            the uniforms `v` into a draw of P(u | x, parents).
        draws: the shape, for one unit, of the uniforms in (0, 1) that `pull` needs.
    """

    law: Law
    push: Callable[[Tensor], Tensor]
    pull: Callable[[Tensor, Any], Tensor]  # the second a Tensor, or None where `draws` is
    draws: tuple[int, ...] | None = None


#: A rule takes the distribution, and the coupling if it was registered with any.
Rule = Callable[..., Exogenous]

#: How a discrete site's noise may move its value: `coupling=` of `exogenous`.
COUPLINGS = ("monotone", "gumbel")


class Registry:
    """Derives the noise and the mechanism of a distribution; `register` teaches it a new class.

    >>> import pyro.distributions as dist, torch
    >>> site = exogenous(dist.Normal(3.0, 2.0))
    >>> site.law, site.push(torch.tensor(1.0)), site.pull(torch.tensor(5.0), None)
    (Law(kind='normal', shape=(), parts=()), tensor(5.), tensor(1.))

    A class of one's own:

    >>> class Shifted(dist.TorchDistribution):
    ...     arg_constraints = {}
    ...     def __init__(self, by):
    ...         self.by = by
    ...         super().__init__(by.shape)
    >>> @exogenous.register(Shifted)
    ... def shifted(d):
    ...     return Exogenous(Law("normal", tuple(d.shape())), lambda u: u + d.by, lambda x, v: x - d.by)
    >>> exogenous(Shifted(torch.tensor(2.0))).push(torch.tensor(1.0))
    tensor(3.)
    """

    def __init__(self) -> None:
        self._rules: dict[type, tuple[Rule, tuple[str, ...]]] = {}
        self._refused: dict[type, str] = {}

    def register(self, *classes: type, couplings: tuple[str, ...] = ()) -> Callable[[Rule], Rule]:
        """Decorates the rule of `classes`: ``rule(d) -> Exogenous``.

        A rule that offers a choice of coupling names them in `couplings` and is called as ``rule(d,
        coupling)``; `coupling` is None where the user did not choose.
        """

        def decorate(rule: Rule) -> Rule:
            self._rules.update(dict.fromkeys(classes, (rule, couplings)))
            return rule

        return decorate

    def refuse(self, *classes: type, why: str) -> None:
        """Marks subclasses of a registered class to which its rule does not apply."""
        self._refused.update(dict.fromkeys(classes, why))

    def __call__(self, d: Distribution, coupling: str | None = None) -> Exogenous:
        """The noise and mechanism of `d`; `coupling` chooses among those a discrete distribution offers."""
        rule, couplings = self._find(type(d))
        if coupling is not None and coupling not in couplings:
            raise UnsupportedCoupling(
                f"{type(d).__name__} has no coupling {coupling!r}",
                why=f"it offers {' and '.join(map(repr, couplings)) or 'no choice'}",
                fix="leave the coupling out, or choose one that is offered",
            )
        return rule(d, coupling) if couplings else rule(d)

    def _find(self, cls: type) -> tuple[Rule, tuple[str, ...]]:
        for base in cls.__mro__:
            if base in self._refused:
                raise unsupported(cls, self._refused[base])
            if base in self._rules:
                return self._rules[base]
            if _redefines_the_law(base):
                raise unsupported(cls, f"{base.__name__} redefines how it is sampled or scored")
        raise unsupported(cls, "no rule is registered for this class")


def unit_shape(d: Distribution) -> tuple[int, ...]:
    """The shape of one unit's value. (torch's distributions, unlike Pyro's, have no `shape()`.)"""
    return tuple(d.batch_shape + d.event_shape)


def _redefines_the_law(cls: type) -> bool:
    # a user's subclass of Normal that overrides log_prob is no Normal; the libraries' own are known (and
    # tested)
    theirs = cls.__module__.split(".")[0] in ("torch", "pyro", "pyrocausal")
    return not theirs and any(name in vars(cls) for name in ("log_prob", "sample", "rsample"))


def unsupported(cls: type, why: str) -> UnsupportedDistribution:
    """The error for a distribution without a derivation; it shows how to register one."""
    return UnsupportedDistribution(
        f"No exogenous noise is known for {cls.__name__}",
        why=why,
        fix=(
            f"register a rule: `@exogenous.register({cls.__name__})` on a function "
            "`d -> Exogenous(law, push, pull)` with x = push(u) and u = pull(x, v)"
        ),
    )


#: The table that pyrocausal uses, and the entry point: ``exogenous(distribution)``.
exogenous = Registry()
