"""Identification of counterfactual queries: ID*, IDC*, and nested counterfactuals.

I. Shpitser and J. Pearl, "What counterfactuals can be tested" (2007) and "Complete identification methods for
the causal hierarchy" (2008), in the form of J. Correa, S. Lee and E. Bareinboim, "Nested Counterfactual
Identification from Arbitrary Surrogate Experiments" (2021), which is complete: a "no" is a theorem.

1. Nested actions become sums over what they are (`pyrocausal.identification.unnest`).
2. The event is written as one about all that it hangs on, each variable responding to its parents' values;
   this is a product over districts, the ctf-factors (`pyrocausal.identification.ctf_factors`).
3. A factor is *inconsistent* if one variable would need two values in it: no experiment shows it, and the
   query is not identified. A consistent one is an interventional distribution
   (`pyrocausal.identification.ctf_formula`).
4. Where not all experiments are known, these are identified in turn
   (`pyrocausal.identification.interventional`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain

from pyrocausal.errors import IdentifyError, did_you_mean
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.ctf_factors import District, Response, by_district, inconsistency, responses
from pyrocausal.identification.ctf_formula import divided, experimental
from pyrocausal.identification.estimand import Estimand, Step, Witness
from pyrocausal.identification.expression import (
    OBSERVED,
    ZERO,
    Expression,
    P,
    Product,
    Ratio,
    Regime,
    Sum,
    Symbol,
    Value,
    apart,
    product,
    renamed,
    summed,
)
from pyrocausal.identification.interventional import Unidentified, distribution
from pyrocausal.identification.outcome import Outcome, Query
from pyrocausal.identification.unnest import Impossible, Letters, plain, unnested

FACTORISED = "what it hangs on, each variable responding to its parents; districts share no hidden cause"


def identify_counterfactual(
    graph: CausalGraph,
    query: Query,
    known: Sequence[Regime] = (OBSERVED,),
    given: str = "observational",
) -> Estimand:
    """A query about several worlds as a formula over what is known, or why there is none.

    Different symbols of one variable stand for different values. ``P(y_{x} | x')`` asks for the effect on
    those who had another treatment; write ``P(y_{x} | x)`` for the same one. A formula that is found holds
    for equal values too.

    A "no" says that no formula holds whatever the number of levels. If a variable is known to have two, more
    may be: ``P(y_{x=1}, x=0) = P(y_{x=1}) - P(y, x=1)``.

    Args:
        graph: latent nodes are projected out.
        query: outcomes in worlds, given others. The value of a nested outcome is of no account.
        known: the distributions that the formula may use. Default: P(v).
        given: "observational" is what `known` says; "experimental": all distributions ``P(v | do(z))``, and
            `known` is of no account.

    Raises:
        IdentifyError: names or values that can't be; a condition that can't happen; two different symbols for
            what is one variable of one world.

    >>> from pyrocausal.identification import Constant
    >>> x0, x1 = Constant("x", 0), Constant("x", 1)
    >>> g = CausalGraph.from_string("x -> m -> y; x -> y")
    >>> nested = Query((Outcome.of("y", do=[x1, Outcome.of("m", do=[x0])]),))
    >>> print(identify_counterfactual(g, nested))
    P(y_{m_{x=0}, x=1}) = Σ_m P(y | x=1, m) P(m | x=0)  [ID*]
    >>> both = Query((Outcome.of("y", do=[x1]), Outcome.of("y", do=[x0])))
    >>> print(identify_counterfactual(g, both, given="experimental"))
    P(y_{x=1}, y_{x=0}) is not identified: m under x=1 and m under x=0 share m's own noise, and no experiment
    shows both for one unit: x would need two values, 1 and 0
    """
    _check(graph, query, known, given)
    graph = graph.project()
    steps: list[Step] = []
    expression, witness = _over_experiments(graph, query, steps)
    if expression is not None and given == "observational":
        try:
            expression = _from_known(expression, lambda p: _interventional(graph, p, known, steps))
        except Unidentified as hedge:
            expression, witness = None, hedge.witness
    if expression is not None:
        expression = apart(expression)
        if str(expression) != steps[-1].formula:
            steps.append(Step(str(expression), "all put in"))
    if given == "experimental":
        known = tuple(dict.fromkeys(p.regime for p in _distributions(expression)))
    method = "IDC*" if query.given else "ID*"
    return Estimand(query, graph, expression, method, tuple(steps), witness, tuple(known), given)


def _over_experiments(
    graph: CausalGraph, query: Query, steps: list[Step]
) -> tuple[Expression | None, Witness | None]:
    """The formula in terms of interventional distributions, or the district that no experiment shows."""
    letters, letters_below = Letters(query.symbols), Letters(query.symbols)
    condition = _condition(graph, query, letters_below)
    try:
        whole = _conjunction(graph, (*query.outcomes, *query.given), letters)
    except Impossible:
        steps.append(Step("0", "one variable would have two values in one world"))
        return ZERO, None
    if any(outcome.nested for outcome in (*query.outcomes, *query.given)):
        steps.append(_summed_over(letters.new, [whole.events], "counterfactual unnesting"))
    districts, below = by_district(graph, whole.responses), by_district(graph, condition.responses)
    values = [response.value for district in districts for response in district]
    steps.append(_summed_over([v for v in values if v in letters.new], districts[::-1], FACTORISED))
    seen = set(whole.own[len(query.outcomes) :])
    asked = [own for own in whole.own[: len(query.outcomes)] if own is not None and own not in seen]

    # Conditional queries: only the ancestral components that hold an outcome are left, above and below the
    # line. The other districts are the same on both sides, and cancel.
    above = _with_outcomes(districts, asked, seen)
    cancelled = {r.variable for district in districts if district not in above for r in district}
    below = [district for district in below if not cancelled.issuperset(r.variable for r in district)]
    for district in (*above, *below):
        if witness := inconsistency(district):
            return None, witness
    expression = divided(
        graph, experimental(graph, above, letters.new), experimental(graph, below, letters_below.new)
    )
    rule = "each district's factor is consistent: an interventional distribution, P(c | do(pa(C)))"
    steps.append(Step(str(expression), rule))
    return expression, None


@dataclass(frozen=True)
class Conjunction:
    """An event in several worlds.

    Args:
        events: without nested actions.
        responses: all that it hangs on.
        own: the response of each outcome, in their order; None if an action sets its variable.
    """

    events: tuple[Outcome, ...]
    responses: tuple[Response, ...]
    own: tuple[Response | None, ...]


def _conjunction(graph: CausalGraph, outcomes: Iterable[Outcome], letters: Letters) -> Conjunction:
    groups = [unnested(graph, outcome, letters) for outcome in outcomes]
    events = tuple(chain(*groups))
    found = responses(graph, events, letters)
    own = tuple(found.get(plain(group[0])) for group in groups)
    return Conjunction(events, tuple(dict.fromkeys(found.values())), own)


def _condition(graph: CausalGraph, query: Query, letters: Letters) -> Conjunction:
    try:
        return _conjunction(graph, query.given, letters)
    except Impossible:
        raise IdentifyError(
            f"the condition of {query} can't happen",
            why="it gives one variable two values in one world",
            fix="ask given what can be seen",
        ) from None


def _with_outcomes(
    districts: Sequence[District], asked: Iterable[Response], seen: AbstractSet[Response | None]
) -> list[District]:
    """The ancestral components that hold an outcome: districts linked by causes that are not conditions."""
    home = {response: i for i, district in enumerate(districts) for response in district}
    links = [
        {home[response], home[cause]} for response in home for cause in response.causes if cause not in seen
    ]
    reached = {home[response] for response in asked}
    while more := [link for link in links if link & reached and not link <= reached]:
        reached = reached.union(*more)
    return [district for i, district in enumerate(districts) if i in reached]


def _summed_over(over: Iterable[Value], factors: Iterable[Iterable[Outcome | Response]], rule: str) -> Step:
    names = ", ".join(sorted(map(str, over)))
    total = f"Σ_{{{names}}} " if ", " in names else f"Σ_{names} " if names else ""
    return Step(total + " ".join(f"P({', '.join(map(str, factor))})" for factor in factors), rule)


def _interventional(graph: CausalGraph, p: P, known: Sequence[Regime], steps: list[Step]) -> Expression:
    """One interventional distribution from those that are known, by ID and IDC.

    Raises:
        Unidentified: there is a hedge.
    """
    do = [v for v in p.given if v.variable in p.regime.do]
    conditions = [v for v in p.given if v not in do]
    outcomes, actions, given = ([v.variable for v in group] for group in (p.outcomes, do, conditions))
    found = distribution(graph, outcomes, actions, known, given)
    found = apart(renamed(found, {Symbol(v.variable): v for v in (*p.outcomes, *p.given)}))
    if found != p:
        steps.append(Step(f"{p} = {found}", "IDC" if conditions else "ID"))
    return found


def _from_known(expression: Expression, identified: Callable[[P], Expression]) -> Expression:
    """The formula with every distribution replaced by what it is in terms of known ones."""
    match expression:
        case P():
            return identified(expression)
        case Product(factors):
            return product(*(_from_known(factor, identified) for factor in factors))
        case Sum(over, body):
            return summed(over, _from_known(body, identified))
        case Ratio(above, below):
            return _from_known(above, identified) / _from_known(below, identified)
    return expression


def _distributions(expression: Expression | None) -> Iterator[P]:
    match expression:
        case P():
            yield expression
        case Product(parts):
            yield from chain.from_iterable(map(_distributions, parts))
        case Sum(_, body):
            yield from _distributions(body)
        case Ratio(above, below):
            yield from chain(_distributions(above), _distributions(below))


def _check(graph: CausalGraph, query: Query, known: Sequence[Regime], given: str) -> None:
    """Refuse what is no question about this graph."""
    if given not in (modes := ("observational", "experimental")):
        raise IdentifyError(f"given={given!r}", fix=did_you_mean(given, modes) or f"use one of {modes}")
    if not query.outcomes:
        raise IdentifyError("the query has no outcomes", fix="say what is asked: P(y_{x=1})")
    if not known and given == "observational":
        raise IdentifyError("no distribution is known", fix="leave `known` out for P(v), or list regimes")
    for outcome in (*query.outcomes, *query.given):
        _check_outcome(graph, outcome)
    for regime in known:
        for name in sorted(regime.do):
            _check_name(graph, name, "an experiment that is known")


def _check_outcome(graph: CausalGraph, outcome: Outcome) -> None:
    for part in (outcome, *outcome.do):
        _check_name(graph, part.variable, f"'{outcome}'")
        if isinstance(part, Outcome) and part is not outcome:
            _check_outcome(graph, part)
    if outcome.value.variable != outcome.variable:
        raise IdentifyError(
            f"'{outcome.value}' is a value of {outcome.value.variable!r}, not of {outcome.variable!r}"
        )
    if len(outcome.actions) < len(outcome.do):
        raise IdentifyError(f"'{outcome}' sets a variable twice", fix="one action for each variable")


def _check_name(graph: CausalGraph, name: str, where: str) -> None:
    if name not in graph.observed:
        raise IdentifyError(
            f"{name!r}, in {where}, is {'latent' if name in graph else 'no node of the graph'}",
            why=f"observed are {', '.join(graph.observed)}",
            fix=did_you_mean(name, graph.observed) or "ask about these, or observe it",
        )
