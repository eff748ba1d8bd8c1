"""The effect that is checked: a contrast of two actions on one variable, on the mean of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyrocausal.ask import ask
from pyrocausal.ask.actions import actions
from pyrocausal.ask.door import checked
from pyrocausal.errors import QueryError
from pyrocausal.query import parse
from pyrocausal.query.syntax import Operation, Term, Variable
from pyrocausal.variables import check_names


@dataclass(frozen=True)
class Effect:
    """``E[outcome | do(treatment = a)] - E[outcome | do(treatment = b)]``, over given rows.

    Args:
        treatment, outcome: variables; the outcome is a number (continuous, a count or 0 and 1).
        contrast: the two actions, each anything that `do` takes, or None for no action.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     t = pyro.sample("t", dist.Bernoulli(0.5))
    ...     pyro.sample("y", dist.Normal(2 * t, 1.0))
    >>> round(Effect("t", "y")(pc.SCM(program), {"t": [0.0, 1.0], "y": [0.3, 1.9]}), 3)
    2.0
    """

    treatment: str
    outcome: str
    contrast: tuple[Any, Any] = (1, 0)

    def __call__(self, scm: Any, rows: Any) -> float:
        a, b = self.means(scm, rows)
        return a - b

    def means(self, scm: Any, rows: Any) -> tuple[float, float]:
        """The outcome's mean under either action."""
        found = scm.counterfactual(rows, do={"a": self.actions[0], "b": self.actions[1]}, seed=0)
        a, b = (found.worlds[world].mean(self.outcome).mean().item() for world in ("a", "b"))
        return a, b

    @cached_property
    def actions(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        a, b = ({} if value is None else {self.treatment: value} for value in self.contrast)
        return a, b

    def between(self, scm: Any) -> list[str]:
        """The variables whose mechanisms the effect goes through."""
        causes = {*scm.graph.ancestors(self.outcome), self.outcome}
        return [name for name in scm.graph.descendants(self.treatment) if name in causes]

    def check(self, scm: Any) -> None:
        """Errors for a question that can't be asked of this SCM."""
        check_names((self.treatment, self.outcome), scm.variables, where="check")
        outcome = scm.variables[self.outcome]
        if outcome.shape or outcome.kind == "categorical" or outcome.column.levels is not None:
            raise QueryError(
                f"the outcome '{self.outcome}' has no mean that is a number",
                why=f"it is {outcome.kind}",
                fix="take an outcome that is a number, or code it as 0 and 1",
            )
        if self.treatment in scm.graph.latent or self.outcome in scm.graph.latent:
            raise QueryError(
                "treatment and outcome must be observed", fix="ask about variables that the rows have"
            )
        if not self.between(scm):
            raise QueryError(
                f"'{self.treatment}' has no effect on '{self.outcome}' in the graph",
                why="no directed path leads from one to the other",
                fix="ask about a descendant, or add the edge",
            )
        for acts in self.actions:
            if acts:
                scm.do(acts)  # what it refuses is refused here

    def __str__(self) -> str:
        a, b = ("" if value is None else f" | do({self.treatment}{shown(value)})" for value in self.contrast)
        return f"E[{self.outcome}{a}] - E[{self.outcome}{b}]"


def shown(value: Any) -> str:
    """What a variable is set to, in short."""
    if callable(value):
        return f" by {getattr(value, '__name__', 'function')}"
    return f"={value:g}" if isinstance(value, float) else f"={value}"


@dataclass(frozen=True)
class Question:
    """Any other number that is asked in text, of given rows."""

    text: str

    def __call__(self, scm: Any, rows: Any) -> float:
        return float(ask(scm, self.text, data=rows, seed=0))

    def check(self, scm: Any) -> None:
        """Errors for a question that can't be asked of this SCM."""
        checked(parse(self.text), scm.variables, self.text)

    def __str__(self) -> str:
        return self.text


def effect_of(effect: Any, treatment: str | None, outcome: str | None, contrast: tuple[Any, Any]) -> Any:
    """What the user asked about, if anything: an `Effect`, or a function of an SCM and rows."""
    if effect is not None and (treatment is not None or outcome is not None):
        raise QueryError("the effect is given twice", fix="pass effect=, or treatment= and outcome=")
    if isinstance(effect, str):
        return read_effect(effect)
    if effect is not None:
        if not callable(effect):
            raise QueryError(
                f"effect={effect!r} is neither text nor a function of an SCM and rows",
                fix='write "E[y | do(t=1)] - E[y | do(t=0)]", or treatment="t", outcome="y"',
            )
        return effect
    if treatment is None and outcome is None:
        return None
    if treatment is None or outcome is None:
        raise QueryError(
            "an effect has a treatment and an outcome",
            fix='write treatment="t", outcome="y", contrast=(1, 0)',
        )
    if not isinstance(contrast, tuple) or len(contrast) != 2:
        raise QueryError(f"contrast={contrast!r} is no pair of actions", fix="write contrast=(1, 0)")
    return Effect(treatment, outcome, contrast)


def read_effect(text: str) -> Effect | Question:
    """A difference of one outcome's means under two actions on one variable; else a question as it is.

    >>> read_effect("E[y | do(t=1)] - E[y]")
    Effect(treatment='t', outcome='y', contrast=(1.0, None))
    >>> read_effect("E[y_{t=1} - y_{t=0}]") == read_effect("E[y | do(t=1)] - E[y | do(t=0)]")
    True
    >>> read_effect("E[y_{t=1} - y_{t=0} | t=0]")
    Question(text='E[y_{t=1} - y_{t=0} | t=0]')
    """
    match parse(text):
        case Operation("-", (Term("E", (Variable(y, ()),), (), a), Term("E", (Variable(same, ()),), (), b))):
            pass
        case Term("E", (Operation("-", (Variable(y, a), Variable(same, b))),), (), ()):
            pass
        case _:
            return Question(text)
    treatments = {setting.variable for setting in (*a, *b)}
    if y != same or len(treatments) != 1:
        return Question(text)
    (treatment,) = treatments
    first, second = (actions(world, text).get(treatment) for world in (a, b))
    return Effect(treatment, y, (first, second))
