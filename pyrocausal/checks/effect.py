"""The effect that is checked: a contrast of two actions on one variable, on the mean of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyrocausal.errors import QueryError
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
        for actions in self.actions:
            if actions:
                scm.do(actions)  # what it refuses is refused here

    def __str__(self) -> str:
        a, b = ("" if value is None else f" | do({self.treatment}{_shown(value)})" for value in self.contrast)
        return f"E[{self.outcome}{a}] - E[{self.outcome}{b}]"


def _shown(value: Any) -> str:
    return f" by {getattr(value, '__name__', 'function')}" if callable(value) else f"={value}"


def effect_of(effect: Any, treatment: str | None, outcome: str | None, contrast: tuple[Any, Any]) -> Any:
    """What the user asked about, if anything: an `Effect`, or a function of an SCM and rows."""
    if effect is not None and (treatment is not None or outcome is not None):
        raise QueryError("the effect is given twice", fix="pass effect=, or treatment= and outcome=")
    if isinstance(effect, str) or not (effect is None or callable(effect)):
        raise QueryError(
            f"effect={effect!r} is no function of an SCM and rows",
            fix='write treatment="t", outcome="y", contrast=(1, 0)',
        )
    if effect is not None:
        return effect
    if (treatment is None) != (outcome is None):
        raise QueryError(
            "an effect has a treatment and an outcome",
            fix='write treatment="t", outcome="y", contrast=(1, 0)',
        )
    if treatment is None or outcome is None:
        return None
    if not isinstance(contrast, tuple) or len(contrast) != 2:
        raise QueryError(f"contrast={contrast!r} is no pair of actions", fix="write contrast=(1, 0)")
    return Effect(treatment, outcome, contrast)
