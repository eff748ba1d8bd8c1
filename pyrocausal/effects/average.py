"""Effects of a treatment: on everybody, on some, on each (J. Pearl, "Causality", 2009, chapters 3 and 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pyrocausal.answer import Answer
from pyrocausal.ask import ask
from pyrocausal.effects.writing import names, setting
from pyrocausal.errors import QueryError
from pyrocausal.query import parse
from pyrocausal.query.syntax import Term, quote
from pyrocausal.samples import Counterfactual
from pyrocausal.variables import check_names


def ate(
    scm: Any, treatment: str, outcome: str, *, treated: Any = 1, control: Any = 0, **options: Any
) -> Answer:
    """The average treatment effect, E[y | do(t=treated)] - E[y | do(t=control)].

    Args:
        treated, control: the two values of the treatment that are compared.
        options: of `SCM.ask`: data, replicas, num_samples, seed ….

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     z = pyro.sample("z", dist.Bernoulli(0.5))
    ...     t = pyro.sample("t", dist.Bernoulli(0.2 + 0.6 * z))
    ...     pyro.sample("y", dist.Bernoulli(0.1 + 0.2 * t + 0.5 * z))
    >>> scm = pc.SCM(program)
    >>> round(float(pc.ate(scm, "t", "y")), 4)
    0.2
    >>> round(float(scm.ask("E[y | t=1] - E[y | t=0]")), 4)                 # confounded
    0.5
    """
    y, t = names(scm, outcome, treatment)
    one, zero = setting(t, treated), setting(t, control)
    return ask(scm, f"E[{y} | do({one})] - E[{y} | do({zero})]", **options)


total_effect = ate


def att(
    scm: Any, treatment: str, outcome: str, *, treated: Any = 1, control: Any = 0, **options: Any
) -> Answer:
    """The effect on the treated, E[y_{t=treated} - y_{t=control} | t=treated]; see `ate`."""
    return _among(scm, treatment, outcome, treated, control, treated, options)


ett = att


def atc(
    scm: Any, treatment: str, outcome: str, *, treated: Any = 1, control: Any = 0, **options: Any
) -> Answer:
    """The effect on the untreated, E[y_{t=treated} - y_{t=control} | t=control]; see `ate`."""
    return _among(scm, treatment, outcome, treated, control, control, options)


def _among(
    scm: Any, treatment: str, outcome: str, treated: Any, control: Any, who: Any, options: Mapping[str, Any]
) -> Answer:
    y, t = names(scm, outcome, treatment)
    contrast = f"{y}_{{{setting(t, treated)}}} - {y}_{{{setting(t, control)}}}"
    return ask(scm, f"E[{contrast} | {setting(t, who)}]", **options)


def cate(
    scm: Any,
    treatment: str,
    outcome: str,
    given: str | Mapping[str, Any],
    *,
    treated: Any = 1,
    control: Any = 0,
    **options: Any,
) -> Answer:
    """The effect among the units with some properties, E[y_{t=treated} - y_{t=control} | given].

    Args:
        given: conditions as text, `"age > 50, sex=\\"female\\""`, or a mapping of variable to value.
    """
    y, t = names(scm, outcome, treatment)
    if not given:
        raise QueryError("given= has no condition", fix='write e.g. given="age > 50", or ask for pc.ate(…)')
    if isinstance(given, Mapping):
        check_names(given, scm.variables, where="given")
        given = ", ".join(setting(quote(name), value) for name, value in given.items())
    contrast = f"{y}_{{{setting(t, treated)}}} - {y}_{{{setting(t, control)}}}"
    question = f"E[{contrast} | {given}]"
    if not isinstance(parse(question), Term):
        raise QueryError(f"given={given!r} is more than conditions", fix='write e.g. given="age > 50"')
    return ask(scm, question, **options)


def ite(
    scm: Any,
    data: Any,
    treatment: str,
    outcome: str,
    *,
    treated: Any = 1,
    control: Any = 0,
    **options: Any,
) -> pd.DataFrame:
    """What the treatment does to each unit: a row a unit, with both potential outcomes and the effect.

    Where a unit's noise is not known exactly (a discrete outcome, a latent), these are means over its
    posterior. `options` are those of `SCM.counterfactual`.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     t = pyro.sample("t", dist.Bernoulli(0.5))
    ...     u = pyro.sample("u", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(t * u, 1.0))
    >>> pc.ite(pc.SCM(program), {"t": [1.0], "u": [2.0], "y": [2.5]}, "t", "y")
       y_{t=1}  y_{t=0}  effect
    0      2.5      0.5     2.0
    """
    y, t = names(scm, outcome, treatment)
    worlds = {"treated": {treatment: treated}, "control": {treatment: control}}
    cf: Counterfactual = scm.counterfactual(data, do=worlds, **options)
    one, zero = (cf.worlds[name].mean(outcome) for name in ("treated", "control"))
    if one.dim() != 1:
        raise QueryError(
            f"{outcome!r} is a vector", fix="ask scm.counterfactual(…), and compute with its tensors"
        )
    columns = {
        f"{y}_{{{setting(t, treated)}}}": one,
        f"{y}_{{{setting(t, control)}}}": zero,
        "effect": one - zero,
    }
    return pd.DataFrame({name: x.cpu().numpy() for name, x in columns.items()}, index=cf._index())
