"""What distributions a question is about: from its tree to the queries of identification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pyrocausal.errors import IdentifyError
from pyrocausal.identification.expression import Constant, Symbol, Value
from pyrocausal.identification.outcome import Outcome, Query
from pyrocausal.query.syntax import Level, Node, Number, Operation, Setting, Term, Variable, World
from pyrocausal.query.worlds import changed, equality, explicit, terms, variables


def queries(question: Node) -> list[Query]:
    """The distributions that the question needs, each once.

    Means are linear: E[y_{x=1} - y_{x=0}] needs the distributions of y_{x=1} and of y_{x=0}, and not how they
    go together.

    >>> from pyrocausal.query import parse
    >>> [str(query) for query in queries(parse("E[y_{x=1} - y_{x=0} | x=0]"))]
    ['P(y_{x=1} | x=0)', 'P(y | x=0)']
    >>> [str(query) for query in queries(parse("Var[y | do(x=1), z=2]"))]
    ['P(y | do(x=1), z=2)']
    """
    found = [query for term in terms(question) for query in _of_term(explicit(term))]
    return list(dict.fromkeys(found))


def _of_term(term: Term) -> Iterator[Query]:
    groups = list(_summands(term.of[0])) if term.kind == "E" else [term.of]
    for group in groups:
        query = _query(group, term.given)
        if query is not None:
            yield query


def _summands(node: Node) -> Iterator[tuple[Node, ...]]:
    """The parts of a sum, whose means add up."""
    match node:
        case Operation(sign="+" | "-", operands=operands):
            for operand in operands:
                yield from _summands(operand)
        case (
            Operation(sign="*", operands=(Number(), other))
            | Operation(sign="*" | "/", operands=(other, Number()))
        ):
            yield from _summands(other)
        case _:
            yield (node,)


def _query(of: Sequence[Node], given: Sequence[Node]) -> Query | None:
    """P(of | given) over values; None where nothing random is left.

    A condition that is no equality is an event of the joint distribution if it is about another world.
    """
    of, given = _consistent(of, given)
    asked, conditions = _variables(of), _variables(given)
    fixed = _fixed((*of, *given))
    one_world = len({variable.world for variable in (*asked, *conditions)}) == 1
    pointed = fixed.keys() | {node for node in given if isinstance(node, Variable)}  # given as values
    known = [v for v in conditions if v in pointed or (v not in asked and (one_world or not v.world))]
    joint = [v for v in dict.fromkeys((*asked, *conditions)) if v not in known]
    if not joint:
        return None
    values = _Values(fixed)
    outcomes = {v: values.outcome(v) for v in joint}
    conditioned = {v: values.outcome(v) for v in known}
    read = [o for o in values.read if o not in outcomes.values() and o not in conditioned.values()]
    return Query((*outcomes.values(), *dict.fromkeys(read)), tuple(conditioned.values()))


def _fixed(events: Sequence[Node]) -> dict[Variable, Number | Level]:
    """The values that events say."""
    fixed: dict[Variable, Number | Level] = {}
    for variable, value in (found for event in events if (found := equality(event))):
        if fixed.setdefault(variable, value) != value:
            raise IdentifyError(
                f"{variable} is said to be both {fixed[variable]} and {value}",
                why="it has one value in that world, so the probability is zero",
                fix="leave one of them out",
            )
    return fixed


def _consistent(of: Sequence[Node], given: Sequence[Node]) -> tuple[Sequence[Node], Sequence[Node]]:
    """Without actions that change nothing: of units that have x=0 anyway, y_{x=0} is y (consistency)."""
    fixed = _fixed(given)

    def reduced(variable: Variable) -> Node:
        for setting in variable.world:
            rest = tuple(other for other in variable.world if other is not setting)
            if setting.value is not None and fixed.get(Variable(setting.variable, rest)) == setting.value:
                return reduced(replace(variable, world=rest))
        return variable

    return [changed(node, reduced) for node in of], [changed(node, reduced) for node in given]


def _variables(nodes: Sequence[Node]) -> list[Variable]:
    return list(dict.fromkeys(v for node in nodes for v in variables(node)))


class _Values:
    """The values of one query: constants where they are said, else symbols, told apart by primes."""

    def __init__(self, fixed: dict[Variable, Any]):
        self.fixed = fixed
        self.values: dict[Variable, Value] = {}
        self.read: list[Outcome] = []  # what actions read, to be summed over

    def outcome(self, variable: Variable) -> Outcome:
        actions = [self.action(setting, variable.world) for setting in variable.world]
        return Outcome.of(variable.name, self.value(variable), actions)

    def value(self, variable: Variable) -> Value:
        if variable not in self.values:
            said = self.fixed.get(variable)
            self.values[variable] = (
                Constant(variable.name, _plain(said)) if said is not None else self._symbol(variable.name)
            )
        return self.values[variable]

    def _symbol(self, name: str) -> Symbol:
        return Symbol(name, sum(v.name == name and isinstance(s, Symbol) for v, s in self.values.items()))

    def action(self, setting: Setting, world: World) -> Value | Outcome:
        """What a variable is set to; what is computed from others has a symbol of its own."""
        name, value = setting.variable, setting.value
        if isinstance(value, (Number, Level)):
            return Constant(name, _plain(value))
        if value is None:
            return Symbol(name)
        if isinstance(value, Variable) and value.world:
            return Outcome.of(name, do=[self.action(inner, value.world) for inner in value.world])
        rest = tuple(other for other in world if other is not setting)
        for read in _variables([value]):
            self.read.append(self.outcome(Variable(read.name, rest)))
        return self.value(Variable(name, (setting,)))


def _plain(node: Number | Level) -> Any:
    if isinstance(node, Level):
        return node.value
    return int(node.value) if float(node.value).is_integer() else node.value
