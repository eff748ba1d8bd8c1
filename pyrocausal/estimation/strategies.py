"""Ways to identify an effect, as plain data: what the estimators work on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyrocausal.errors import EstimateError
from pyrocausal.identification.expression import Expression, P, Product, Ratio, Sum


def _names(names: Iterable[str], argument: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise EstimateError(
            f"{argument} is the string {names!r}, where a list of names was expected",
            fix=f"write {argument}=[{names!r}]",
        )
    found: tuple[Any, ...] = tuple(names) if isinstance(names, Iterable) else (names,)
    for name in found:
        if not isinstance(name, str):
            raise EstimateError(
                f"{argument} has {name!r}, which is no column's name",
                fix=f"pass a list of names, {argument}=[...]",
            )
    return found


class Strategy:
    """What all have in common: the columns that they need, each once."""

    def __post_init__(self) -> None:
        for part in self._lists:
            object.__setattr__(self, part, _names(getattr(self, part), part))
        seen: dict[str, str] = {}
        for role, names in self.roles.items():
            for name in names:
                if name in seen:
                    both = role if seen[name] == role else f"{seen[name]} and {role}"
                    raise EstimateError(f"'{name}' is named twice, as {both}", fix="name each variable once")
                seen[name] = role

    _lists: tuple[str, ...] = ()

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """Names by what they are to the strategy."""
        raise NotImplementedError


@dataclass(frozen=True)
class Backdoor(Strategy):
    """Adjustment: given `adjust`, nothing confounds treatment and outcome (Pearl 2009, section 3.3.1).

    ``E[y | do(t)] = E[ E[y | t, adjust] ]``. An empty `adjust` says that the treatment was randomised.

    >>> Backdoor("quit", "gain", ["age"])
    Backdoor(treatment='quit', outcome='gain', adjust=('age',))
    """

    treatment: str
    outcome: str
    adjust: Sequence[str] = ()

    _lists = ("adjust",)

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        return {"outcome": (self.outcome,), "treatment": (self.treatment,), "adjust": tuple(self.adjust)}


@dataclass(frozen=True)
class FrontDoor(Strategy):
    """All of the effect goes through `mediators`, which nothing hidden confounds (Pearl 2009, section 3.3.2).

    Given `adjust`, hidden causes may be common to treatment and outcome, but neither to treatment and
    mediators nor to mediators and outcome.
    """

    treatment: str
    outcome: str
    mediators: Sequence[str]
    adjust: Sequence[str] = ()

    _lists = ("mediators", "adjust")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.mediators:
            raise EstimateError("the front door needs a mediator", fix='pass mediators=["m"]')

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        return {
            "outcome": (self.outcome,),
            "treatment": (self.treatment,),
            "mediators": tuple(self.mediators),
            "adjust": tuple(self.adjust),
        }


@dataclass(frozen=True)
class Instrument(Strategy):
    """`instruments` move the outcome only through the treatment; given `adjust` nothing confounds them."""

    treatment: str
    outcome: str
    instruments: Sequence[str]
    adjust: Sequence[str] = ()

    _lists = ("instruments", "adjust")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.instruments:
            raise EstimateError("there is no instrument", fix='pass instruments=["z"]')

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        return {
            "outcome": (self.outcome,),
            "treatment": (self.treatment,),
            "instruments": tuple(self.instruments),
            "adjust": tuple(self.adjust),
        }


@dataclass(frozen=True)
class Proxies(Strategy):
    """Two proxies of a hidden confounder (Kuroki and Pearl 2014; Miao, Geng and Tchetgen Tchetgen 2018).

    Given the confounder and `adjust`, the first proxy has nothing to do with the outcome once the treatment
    is known, and the second has nothing to do with the treatment and the first. Measurements of the
    confounder whose errors are independent will do, in any order.
    """

    treatment: str
    outcome: str
    proxies: Sequence[str]
    adjust: Sequence[str] = ()

    _lists = ("proxies", "adjust")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.proxies) != 2:
            raise EstimateError(
                f"proxies={list(self.proxies)!r}",
                why="the effect is told by how two proxies of the hidden confounder go together",
                fix='pass two, proxies=["z", "w"]: the second not caused by the treatment',
            )

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        return {
            "outcome": (self.outcome,),
            "treatment": (self.treatment,),
            "proxies": tuple(self.proxies),
            "adjust": tuple(self.adjust),
        }


@dataclass(frozen=True)
class PlugIn(Strategy):
    """Any formula over the distribution of discrete variables, e.g. of `pyrocausal.identification`.

    Args:
        expression: with the outcome as a free symbol, and the treatment too if two of its values are
            compared; other symbols are bound, or have a value in `values`.
        outcome: whose mean is asked for.
        treatment: whose values are compared; "" if it is a constant in the formula.
        values: of other free symbols, as pairs of a name and a value.
    """

    expression: Expression
    outcome: str
    treatment: str = ""
    values: tuple[tuple[str, Any], ...] = ()

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        treatment = (self.treatment,) if self.treatment else ()
        main = {"outcome": (self.outcome,), "treatment": treatment}
        others = [n for n in variables(self.expression) if n != self.outcome and n not in treatment]
        return {**main, "formula": tuple(others)}


def variables(expression: Expression) -> tuple[str, ...]:
    """The variables of a formula, bound ones too, in the order of reading.

    >>> variables(P.of("y", given=("x", "z")) * P.of("z"))
    ('y', 'x', 'z')
    """
    match expression:
        case P():
            found = [value.variable for value in (*expression.outcomes, *expression.given)]
        case Product():
            found = [name for factor in expression.factors for name in variables(factor)]
        case Ratio():
            found = [*variables(expression.numerator), *variables(expression.denominator)]
        case Sum():
            found = [*variables(expression.body)]
        case _:
            found = []
    return tuple(dict.fromkeys(found))
