"""Direct and indirect effects (J. Pearl, "Direct and indirect effects", 2001)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyrocausal.answer import Answer
from pyrocausal.ask import ask
from pyrocausal.effects.writing import names, setting
from pyrocausal.errors import QueryError
from pyrocausal.query.syntax import quote
from pyrocausal.variables import check_names


def cde(
    scm: Any,
    treatment: str,
    outcome: str,
    mediators: Mapping[str, Any],
    *,
    treated: Any = 1,
    control: Any = 0,
    **options: Any,
) -> Answer:
    """The controlled direct effect: that of the treatment with mediators held at given values.

    Args:
        mediators: the value that each is held at.
    """
    y, t = names(scm, outcome, treatment)
    if not isinstance(mediators, Mapping) or not mediators:
        raise QueryError(f"mediators={mediators!r} holds nothing", fix='write e.g. {"m": 0}')
    check_names(mediators, scm.variables, where="mediators")
    held = ", ".join(setting(quote(name), value) for name, value in mediators.items())
    one, zero = setting(t, treated), setting(t, control)
    return ask(scm, f"E[{y} | do({one}, {held})] - E[{y} | do({zero}, {held})]", **options)


def nde(
    scm: Any,
    treatment: str,
    outcome: str,
    mediators: str | Iterable[str],
    *,
    treated: Any = 1,
    control: Any = 0,
    **options: Any,
) -> Answer:
    """The natural direct effect, E[y_{t=treated, m_{t=control}}] - E[y_{t=control}] (Pearl 2001).

    The treatment changes, and every mediator stays what it would have been without.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     t = pyro.sample("t", dist.Bernoulli(0.5))
    ...     m = pyro.sample("m", dist.Bernoulli(0.2 + 0.5 * t))
    ...     pyro.sample("y", dist.Bernoulli(0.1 + 0.2 * t + 0.4 * m))
    >>> scm = pc.SCM(program)
    >>> [round(float(effect(scm, "t", "y", "m")), 4) for effect in (pc.nde, pc.nie)]
    [0.2, 0.2]
    """
    y, t = names(scm, outcome, treatment)
    one, zero = setting(t, treated), setting(t, control)
    natural = _natural(scm, mediators, treatment, outcome, zero)
    return ask(scm, f"E[{y}_{{{one}, {natural}}}] - E[{y}_{{{zero}}}]", **options)


def nie(
    scm: Any,
    treatment: str,
    outcome: str,
    mediators: str | Iterable[str],
    *,
    treated: Any = 1,
    control: Any = 0,
    **options: Any,
) -> Answer:
    """The natural indirect effect, E[y_{t=control, m_{t=treated}}] - E[y_{t=control}] (Pearl 2001).

    The treatment stays, and every mediator becomes what it would have been with it.
    """
    y, t = names(scm, outcome, treatment)
    one, zero = setting(t, treated), setting(t, control)
    natural = _natural(scm, mediators, treatment, outcome, one)
    return ask(scm, f"E[{y}_{{{zero}, {natural}}}] - E[{y}_{{{zero}}}]", **options)


def _natural(scm: Any, mediators: str | Iterable[str], treatment: str, outcome: str, world: str) -> str:
    named = [mediators] if isinstance(mediators, str) else list(mediators)
    if not named:
        raise QueryError("no mediators are named", fix='pass their names, e.g. "m" or ["m1", "m2"]')
    check_names(named, scm.variables, where="mediators")
    between = scm.graph.descendants(treatment) & scm.graph.ancestors(outcome)
    for name in named:
        if name not in between:
            raise QueryError(
                f"'{name}' is no mediator: no path leads from '{treatment}' through it to '{outcome}'",
                why=f"between them are {', '.join(between) or 'none'}",
                fix="name one of these",
            )
    return ", ".join(f"{quote(name)}_{{{world}}}" for name in named)
