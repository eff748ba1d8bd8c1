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
from pyrocausal.identify.estimand import Witness
from pyrocausal.identify.expression import Expression, P, Regime, Value, product, summed
from pyrocausal.identify.outcome import Outcome
from pyrocausal.identify.unnest import Letters, excluded, plain


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
    for outcome in frontier:
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
    """The ancestral set with every outcome as a response to its parents' values (the theorem on ancestral sets).

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
            if variable in outcome.actions:  # effectiveness: what is set has that value
                for value in asked[outcome]:
                    letters.equate(outcome.actions[variable], value, outcome)
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
    if one.variable == other.variable:
        shared = f"share {one.variable}'s own noise"
    else:
        shared = f"share hidden causes (district {{{', '.join(dict.fromkeys(r.variable for r in district))}}})"
    return Witness(
        "inconsistent",
        nodes=frozenset(response.variable for response in district),
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


def united(graph: CausalGraph, districts: Sequence[District]) -> list[District]:
    """Factors that one experiment shows together become one: fewer sums to read.

    For unions of districts A and B, ``Q[A] Q[B] = Q[A ∪ B]``, if their values agree. If not all agree, a
    factor is united with one that gives it a parent, as long as nothing is set that it causes.
    """
    if conflict(chain(*districts)) is None:
        return [tuple(chain(*districts))] if districts else []
    found: list[District] = []
    for district in districts:
        for i, other in enumerate(found):
            both = (*other, *district)
            if _linked(district, other) and conflict(both) is None and _before(graph, both):
                found[i] = both
                break
        else:
            found.append(district)
    return found


def _linked(one: District, other: District) -> bool:
    """Whether a variable of one is a parent in the other."""
    return any(
        response.value in effect.parents
        for these, those in ((one, other), (other, one))
        for response in these
        for effect in those
    )


def _before(graph: CausalGraph, district: District) -> bool:
    """Whether the parents that are set come before the variables that respond."""
    members = {response.variable for response in district}
    outside = {value.variable for response in district for value in response.parents} - members
    return graph.descendants(*members).isdisjoint(outside)


def experimental(districts: Sequence[District], new: set[Value]) -> Expression:
    """The formula over experiments: ``Σ Π P(c | do(pa(C)))``, of consistent factors.

    A new symbol of a single factor is left out there (a marginal); one of several is summed over.
    """
    values = [tuple(dict.fromkeys(chain(*(r.values for r in district)))) for district in districts]
    shared = [v for v in dict.fromkeys(chain(*values)) if v in new and sum(v in vs for vs in values) > 1]
    factors = []
    for district, shown in zip(districts, values):
        own = {response.value for response in district}
        kept = tuple(v for v in shown if v in own and (v not in new or v in shared))
        do = tuple(v for v in shown if v not in own)
        factors.append(P(kept, do, Regime(frozenset(v.variable for v in do))))
    return summed(shared, product(*reversed(factors)))
