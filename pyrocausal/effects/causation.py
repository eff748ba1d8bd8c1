"""Probabilities of causation (J. Tian and J. Pearl, "Probabilities of causation", 2000)."""

from __future__ import annotations

from typing import Any

from pyrocausal.answer import Answer
from pyrocausal.ask import ask
from pyrocausal.effects.writing import names, setting
from pyrocausal.errors import QueryError


def pn(
    scm: Any,
    treatment: str,
    outcome: str,
    *,
    treated: Any = 1,
    control: Any = 0,
    event: str = "=1",
    **options: Any,
) -> Answer:
    """The probability of necessity: of those treated with the outcome, who would not have had it without.

    P(not y_{t=control} | t=treated, y).

    Args:
        event: what it means to have the outcome, e.g. `"> 0"`.
    """
    y, t = names(scm, outcome, treatment)
    yes, no = _event(event)
    return ask(scm, f"P({y}_{{{setting(t, control)}}}{no} | {setting(t, treated)}, {y}{yes})", **options)


def ps(
    scm: Any,
    treatment: str,
    outcome: str,
    *,
    treated: Any = 1,
    control: Any = 0,
    event: str = "=1",
    **options: Any,
) -> Answer:
    """The probability of sufficiency: of those untreated without the outcome, who would have had it with.

    P(y_{t=treated} | t=control, not y); see `pn`.
    """
    y, t = names(scm, outcome, treatment)
    yes, no = _event(event)
    return ask(scm, f"P({y}_{{{setting(t, treated)}}}{yes} | {setting(t, control)}, {y}{no})", **options)


def pns(
    scm: Any,
    treatment: str,
    outcome: str,
    *,
    treated: Any = 1,
    control: Any = 0,
    event: str = "=1",
    **options: Any,
) -> Answer:
    """The probability that the treatment is necessary and sufficient, P(y_{t=treated}, not y_{t=control})."""
    y, t = names(scm, outcome, treatment)
    yes, no = _event(event)
    return ask(scm, f"P({y}_{{{setting(t, treated)}}}{yes}, {y}_{{{setting(t, control)}}}{no})", **options)


NEGATED = {"<=": ">", ">=": "<", "!=": "=", "==": "!=", "=": "!=", "<": ">=", ">": "<="}


def _event(event: str) -> tuple[str, str]:
    """An event of the outcome, and its opposite."""
    text = event.strip() if isinstance(event, str) else ""
    for sign, opposite in NEGATED.items():
        if text.startswith(sign):
            return text, opposite + text[len(sign) :]
    raise QueryError(
        f"event={event!r} is no event of the outcome", fix='write e.g. event="=1" or event="> 0"'
    )
