"""Potential outcomes in their simplest form: idle actions left out, nested ones summed over.

J. Correa, S. Lee and E. Bareinboim, "Nested Counterfactual Identification from Arbitrary Surrogate
Experiments" (2021).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.expression import Symbol, Value
from pyrocausal.identification.outcome import Outcome


class Impossible(Exception):
    """One variable of one world would have two values: the event has probability zero."""


class Letters:
    """The values in a derivation: those of the query, which stay, and new symbols, to be summed over."""

    def __init__(self, taken: Iterable[Value]):
        self.taken = set(taken)
        self.new: set[Value] = set()
        self._same: dict[Value, Value] = {}

    def fresh(self, variable: str) -> Symbol:
        symbol = Symbol(variable)
        while symbol in self.taken:
            symbol = Symbol(variable, symbol.primes + 1)
        self.taken.add(symbol)
        self.new.add(symbol)
        return symbol

    def of(self, value: Value) -> Value:
        """What a value turned out to be."""
        while value in self._same:
            value = self._same[value]
        return value

    def equate(self, one: Value, other: Value, where: Outcome) -> None:
        """Two values are of one variable in one world, hence the same.

        Raises:
            Impossible: two different constants.
            IdentifyError: the query has two symbols for them, or a symbol and a constant: the answer would
                be zero or not, as the symbols are equal or not.
        """
        one, other = self.of(one), self.of(other)
        if one == other:
            return
        if other in self.new:
            self._same[other] = one
        elif one in self.new:
            self._same[one] = other
        elif isinstance(one, Symbol) or isinstance(other, Symbol):
            raise IdentifyError(
                f"the query says both '{one}' and '{other}' for {where}",
                why="it has one value in that world; the probability is zero unless the two are equal",
                fix="use one symbol for both, or constants",
            )
        else:
            raise Impossible


def plain(outcome: Outcome) -> Outcome:
    """The potential outcome, whatever its value."""
    return replace(outcome, value=Symbol(outcome.variable))


def excluded(graph: CausalGraph, outcome: Outcome) -> Outcome:
    r"""The exclusion operator ``‖Y_x‖``: without the actions that don't matter to it.

    An action matters if a directed path leads from it to the variable and meets no other action.

    >>> from pyrocausal.identification import Constant
    >>> g = CausalGraph.from_string("x -> m -> y; z -> x")
    >>> one = [Constant(name, 1) for name in "xmz"]
    >>> str(excluded(g, Outcome.of("y", do=one))), str(excluded(g, Outcome.of("z", do=one[:2])))
    ('y_{m=1}', 'z')
    """
    effective = {*graph.do(*outcome.actions).ancestors(outcome.variable), outcome.variable}
    return replace(outcome, do=tuple(action for action in outcome.do if action.variable in effective))


def unnested(graph: CausalGraph, outcome: Outcome, letters: Letters) -> list[Outcome]:
    """The counterfactual unnesting theorem: ``P(y_{m_{x}}) = Σ_m P(y_{m}, m_{x})``.

    Returns the outcome without nested actions, and the events that its new symbols are the values of.

    >>> from pyrocausal.identification import Constant
    >>> x0, x1 = Constant("x", 0), Constant("x", 1)
    >>> y = Outcome.of("y", do=[x1, Outcome.of("m", do=[x0])])
    >>> g = CausalGraph.from_string("x -> m -> y; x -> y")
    >>> [str(event) for event in unnested(g, y, Letters([]))]
    ['y_{m, x=1}', 'm_{x=0}']
    """
    outcome = excluded(graph, outcome)
    own = outcome.actions.get(outcome.variable)
    if isinstance(own, Outcome):  # y set to what it is in another world is y in that world
        return unnested(graph, replace(own, value=outcome.value), letters)
    actions: list[Value | Outcome] = []
    events: list[Outcome] = []
    for action in outcome.do:
        if isinstance(action, Outcome):
            symbol = letters.fresh(action.variable)
            events += unnested(graph, replace(action, value=symbol), letters)
            action = symbol
        actions.append(action)
    return [replace(outcome, do=tuple(actions)), *events]
