"""What a model can be asked: known names, possible values, numbers where they are due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pyrocausal.errors import DataError, did_you_mean
from pyrocausal.query.faults import fail
from pyrocausal.query.syntax import Comparison, Level, Node, Number, Setting, Term, Variable
from pyrocausal.query.worlds import equality, explicit, folded, terms, variables
from pyrocausal.variables import Variable as Known
from pyrocausal.variables import describe

ORDER = ("<", "<=", ">", ">=")


def checked(question: Node, known: Mapping[str, Known], text: str) -> Node:
    """The question with every variable in its world and every level as its code.

    Raises:
        QueryError: with a caret under what can't be asked.
    """
    if not terms(question):
        fail(text, question.at, "this asks about no population", fix=f"write e.g. E[{question}]")
    for node in question.walk():
        if isinstance(node, (Variable, Setting)):
            _check_name(node, known, text)
        if isinstance(node, Setting):
            _check_setting(node, known, text)
    for variable in _outside(question):
        fail(text, variable.at, f"{variable} is not of any population here", fix=f"write E[{variable}]")
    return question.replaced(lambda node: _term(node, known, text) if isinstance(node, Term) else node)


def _check_name(node: Any, known: Mapping[str, Known], text: str) -> None:
    name = node.name if isinstance(node, Variable) else node.variable
    if name not in known:
        fail(
            text,
            node.at,
            f"there is no variable {name!r}",
            why=f"the variables are {', '.join(known)}",
            fix=did_you_mean(name, known) or "use one of these",
        )


def _outside(node: Node) -> Iterator[Variable | Level]:
    """Variables and levels outside of every term: numbers of nobody."""
    if isinstance(node, (Variable, Level)):
        yield node
    elif not isinstance(node, Term):
        for part in node.parts():
            yield from _outside(part)


def _term(term: Term, known: Mapping[str, Known], text: str) -> Term:
    term = explicit(term)
    for part in (*term.of, *term.given):
        for variable in variables(part):
            if known[variable.name].shape:
                fail(
                    text,
                    variable.at,
                    f"{variable.name!r} is a vector",
                    why="a question is about numbers",
                    fix="ask scm.counterfactual(…), and compute with its tensors",
                )
    for event in term.given:
        if isinstance(event, Variable):
            what = "a condition is an event for a model, and this is none"
            fail(text, event.at, what, fix=f"write {event}=1 or {event} > 0")
    bare = term.kind == "P"  # whose variables need be no numbers
    of = tuple(node if bare and isinstance(node, Variable) else _coded(node, known, text) for node in term.of)
    given = tuple(_coded(node, known, text) for node in term.given)
    if term.kind == "P":
        for event in of:
            _check_density(event, known, text)
    return replace(term, of=of, given=given)


def _check_density(event: Node, known: Mapping[str, Known], text: str) -> None:
    found = equality(event)
    if found and not known[found[0].name].discrete:
        variable, value = found
        fail(
            text,
            event.at,
            f"{variable.name!r} is continuous, so it is exactly {value} with probability zero",
            fix=f"ask for an interval, as P({variable} < {value})",
        )


def _coded(node: Any, known: Mapping[str, Known], text: str) -> Any:
    """The node with constants as the program has them, and no arithmetic on names."""
    if isinstance(node, Comparison):
        return _comparison(node, known, text)
    for variable in variables(node):
        if known[variable.name].column.levels is not None:
            _no_number(variable, known, text)
    for level in _outside_of_worlds(node):
        fail(text, level.at, f"{level} is a level, and a number is due", fix="compare a variable with it")
    return node


def _outside_of_worlds(node: Node) -> Iterator[Level]:
    if isinstance(node, Level):
        yield node
    for part in node.parts():
        if not isinstance(part, Setting):
            yield from _outside_of_worlds(part)


def _no_number(variable: Variable, known: Mapping[str, Known], text: str) -> None:
    levels = known[variable.name].column.levels or ()
    fail(
        text,
        variable.at,
        f"the values of {variable.name!r} are names, and a number is due",
        why=f"its levels are {', '.join(map(repr, levels))}",
        fix=f'ask for a probability, P({variable}="{levels[0]}")',
    )


def _comparison(event: Comparison, known: Mapping[str, Known], text: str) -> Comparison:
    sides = [folded(side) for side in event.sides]
    for i, sign in enumerate(event.signs):
        for here, there in ((i, i + 1), (i + 1, i)):
            side, other = sides[here], sides[there]
            if isinstance(other, Variable) and isinstance(side, (Number, Level)):
                sides[here] = _code(side, other, sign, known[other.name], text)
        if isinstance(sides[i], Variable) and isinstance(sides[i + 1], Variable):
            _check_alike(sides[i], sides[i + 1], sign, known, text)
    done = replace(event, sides=tuple(sides))
    for side in done.sides:
        if not isinstance(side, Variable):
            _coded(side, known, text)
    return done


def _check_alike(a: Any, b: Any, sign: str, known: Mapping[str, Known], text: str) -> None:
    """Variables with names for values are compared by these: both must have the same ones."""
    first, second = known[a.name].column, known[b.name].column
    if first.levels == second.levels and (first.levels is None or sign not in ORDER or first.ordered):
        return
    fail(
        text,
        b.at,
        f"{a} and {b} can't be compared by {sign}",
        why="their values are names, and not the same ones in one order",
        fix="compare each with a level",
    )


def _check_setting(setting: Setting, known: Mapping[str, Known], text: str) -> None:
    """What a variable is computed from must be numbers, or have the very levels that it has."""
    value = setting.value
    if value is None or isinstance(value, (Number, Level)) or (isinstance(value, Variable) and value.world):
        return
    for level in _outside_of_worlds(value):
        fail(text, level.at, f"{level} is a level, and a number is due", fix="set the variable to it alone")
    own = known[setting.variable].column.levels
    read = {v.name: known[v.name].column.levels for v in variables(value)}
    if own is None and not any(read.values()):
        return
    if not isinstance(value, Variable) or read[value.name] != own:
        fail(
            text,
            setting.at,
            f"{setting.variable!r} is set to {value}, which computes with names of levels",
            fix="set it to a level, or to a variable with the same levels",
        )


def _code(value: Number | Level, variable: Variable, sign: str, known: Known, text: str) -> Number:
    """A constant that a variable is compared with, in the program's own numbers."""
    levels = known.column.levels
    if sign in ORDER and levels is not None and not known.column.ordered:
        fail(
            text,
            value.at,
            f"the levels of {variable.name!r} have no order",
            why=f"they are {', '.join(map(repr, levels))}",
            fix="use = or !=, or fit the SCM to an ordered pandas Categorical",
        )
    if isinstance(value, Number) and sign in ORDER and levels is None:
        return value
    given: Any = value.value
    if isinstance(given, float) and (levels is not None or known.discrete) and given.is_integer():
        given = int(given)
    try:
        code = known.encode([given], where="the question")
    except DataError as error:
        fail(
            text,
            value.at,
            str(error.what),
            why=error.why,
            fix=error.fix or f"its values are {describe(known)}",
        )
    return Number(code.double().item(), at=value.at)
