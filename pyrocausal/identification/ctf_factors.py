"""Counterfactual events as products over districts: ctf-factors.

J. Correa, S. Lee and E. Bareinboim, "Nested Counterfactual Identification from Arbitrary Surrogate
Experiments" (2021). An event about several worlds is one about single mechanisms: what does each variable do
when its parents have these values? Mechanisms that share no hidden cause are independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.estimand import Witness
from pyrocausal.identification.expression import Value
from pyrocausal.identification.outcome import Outcome
from pyrocausal.identification.unnest import Letters, excluded, plain


@dataclass(frozen=True)
class Response:
    """What a variable does when all its parents are given: ``V_{pa}=v``.

    Args:
        variable, value: of the response.
        parents: their values, in the order of the graph.
        causes: the responses that gave parents their values, where no value of the query did.
    """

    variable: str
    value: Value
    parents: tuple[Value, ...]
    causes: tuple[Response, ...] = field(compare=False)

    @property
    def values(self) -> tuple[Value, ...]:
        """All values that the unit must show at once for this response to be seen."""
        return (*self.parents, self.value)

    def __str__(self) -> str:
        return str(Outcome.of(self.variable, self.value, self.parents))


District = tuple[Response, ...]


def ancestral_set(graph: CausalGraph, events: Iterable[Outcome]) -> dict[Outcome, dict[str, Value | Outcome]]:
    """``An(Y_*)``: the potential outcomes that events hang on, each with where its parents' values come from.

    A parent is set by an action, or is a potential outcome of the same world (less what does not matter).
    """
    found: dict[Outcome, dict[str, Value | Outcome]] = {}
    frontier = [plain(event) for event in events]
    for outcome in frontier:  # which grows
        if outcome in found:
            continue
        actions = outcome.actions
        parents = () if outcome.variable in actions else graph.parents(outcome.variable)
        found[outcome] = {
            p: actions[p] if p in actions else excluded(graph, plain(Outcome(p, outcome.value, outcome.do)))
            for p in parents
        }
        frontier += [cause for cause in found[outcome].values() if isinstance(cause, Outcome)]
    return found


def responses(graph: CausalGraph, events: Sequence[Outcome], letters: Letters) -> dict[Outcome, Response]:
    """The ancestral set, every outcome as a response to its parents (ancestral set transformation).

    Outcomes of different worlds whose parents have the same values are one response, with one value. Causes
    come first, so that what is found to be equal above is so below (composition: ``y_x`` is y where x is x).

    Raises:
        Impossible: the event has probability zero.
    """
    ancestral = ancestral_set(graph, events)
    asked: dict[Outcome, list[Value]] = {outcome: [] for outcome in ancestral}
    for event in events:
        asked[plain(event)].append(event.value)
    found: dict[Outcome, Response] = {}
    nested: dict[Value, Response] = {}  # what gives a nested action its value

    def causes(outcome: Outcome) -> Iterable[Response]:
        for cause in ancestral[outcome].values():
            if isinstance(cause, Outcome):
                yield found[cause]
            elif cause in nested:
                yield nested[cause]

    for variable in graph.nodes:
        groups: dict[tuple[Value, ...], list[Outcome]] = {}
        for outcome in (outcome for outcome in ancestral if outcome.variable == variable):
            own = outcome.actions.get(variable)
            if own is not None and not isinstance(own, Outcome):  # effectiveness: what is set has that value
                for value in asked[outcome]:
                    letters.equate(own, value, outcome)
                continue
            given = (found[c].value if isinstance(c, Outcome) else c for c in ancestral[outcome].values())
            groups.setdefault(tuple(map(letters.of, given)), []).append(outcome)
        for parents, group in groups.items():
            values = [value for outcome in group for value in asked[outcome]] or [letters.fresh(variable)]
            for value in values[1:]:
                letters.equate(values[0], value, group[0])
            above = dict.fromkeys(chain(*map(causes, group)))
            response = Response(variable, letters.of(values[0]), parents, tuple(above))
            found |= dict.fromkeys(group, response)
            nested |= {value: response for value in values if value in letters.new}
    return found


def by_district(graph: CausalGraph, found: Iterable[Response]) -> list[District]:
    """The ctf-factors: the probability of all responses is the product of those of the districts."""
    distinct = tuple(dict.fromkeys(found))
    districts = graph.subgraph({response.variable for response in distinct}).districts
    return [tuple(r for r in distinct if r.variable in district) for district in districts]


def conflict(district: Iterable[Response]) -> tuple[Response, Response, Value, Value] | None:
    """Two responses, and the two values of one variable that they need: then no experiment shows both.

    Without one the district is *consistent*, and its factor is ``P(c | do(pa(C)))``.
    """
    needed: dict[str, tuple[Response, Value]] = {}
    for response in district:
        for value in response.values:
            first, other = needed.setdefault(value.variable, (response, value))
            if other != value:
                return first, response, other, value
    return None


def inconsistency(district: District) -> Witness | None:
    """Why a ctf-factor is not identified by any experiment, if that is so."""
    if (found := conflict(district)) is None:
        return None
    one, other, a, b = found
    names = dict.fromkeys(response.variable for response in district)
    if one.variable == other.variable:
        shared = f"share {one.variable}'s own noise"
    else:
        shared = f"share hidden causes (district {{{', '.join(names)}}})"
    return Witness(
        "inconsistent",
        nodes=frozenset(names),
        root=frozenset({one.variable, other.variable}),
        text=f"{_world(one)} and {_world(other)} {shared}, and no experiment shows both for one unit: "
        f"{a.variable} would need two values, {_shown(a)} and {_shown(b)}",
    )


def _world(response: Response) -> str:
    if not response.parents:
        return f"{response.variable} as it is"
    return f"{response.variable} under {', '.join(map(str, response.parents))}"


def _shown(value: Value) -> str:
    return str(value).removeprefix(f"{value.variable}=")
