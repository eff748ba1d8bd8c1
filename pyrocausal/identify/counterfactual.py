"""Identification of counterfactual queries: ID*, IDC*, and nested counterfactuals.

I. Shpitser and J. Pearl, "What counterfactuals can be tested" (2007) and "Complete identification methods for
the causal hierarchy" (2008), in the form of J. Correa, S. Lee and E. Bareinboim, "Nested Counterfactual
Identification from Arbitrary Surrogate Experiments" (2021), which is complete: a "no" is a theorem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from pyrocausal.errors import IdentifyError, did_you_mean
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identify.ctf_factors import (
    District,
    Response,
    by_district,
    experimental,
    inconsistency,
    responses,
    united,
)
from pyrocausal.identify.estimand import Estimand, Step, Witness
from pyrocausal.identify.expression import (
    OBSERVED,
    ONE,
    ZERO,
    Expression,
    P,
    Product,
    Ratio,
    Regime,
    Sum,
    Symbol,
    Value,
    product,
    renamed,
    summed,
)
from pyrocausal.identify.interventional import Unidentified, distribution
from pyrocausal.identify.outcome import Outcome, Query
from pyrocausal.identify.unnest import Impossible, Letters, plain, unnested


def identify_counterfactual(
    graph: CausalGraph,
    query: Query,
    known: Sequence[Regime] = (OBSERVED,),
    given: str = "observational",
) -> Estimand:
    """A query about several worlds as a formula over what is known, or why there is none.

    Different symbols of one variable stand for different values. ``P(y_{x} | x')`` asks for the effect on those
    who had another treatment; write ``P(y_{x} | x)`` for the same one. A formula that is found holds for equal
    values too. A "no" holds for variables of any number of levels: with two levels only, more may be known
    (``P(y_{x=1}, x=0) = P(y_{x=1}) - P(y, x=1)``).

    Args:
        graph: latent nodes are projected out.
        query: outcomes in worlds, given others. The value of a nested outcome is of no account.
        known: the distributions that the formula may use.
        given: "observational" is what `known` says; "experimental": all distributions ``P(v | do(z))``.

    Raises:
        IdentifyError: names or values that can't be; a condition that can't happen; two different symbols for
            what is one variable of one world.

    >>> from pyrocausal.identify import Constant
    >>> x0, x1 = Constant("x", 0), Constant("x", 1)
    >>> g = CausalGraph.from_string("x -> m -> y; x -> y")
    >>> nested = Query((Outcome.of("y", do=[x1, Outcome.of("m", do=[x0])]),))
    >>> print(identify_counterfactual(g, nested))
    P(y_{m_{x=0}, x=1}) = Σ_m P(y | x=1, m) P(m | x=0)  [ID*]
    >>> both = Query((Outcome.of("y", do=[x1]), Outcome.of("y", do=[x0])))
    >>> print(identify_counterfactual(g, both, given="experimental"))
    P(y_{x=1}, y_{x=0}) is not identified: y under ...
    """
    graph = graph.project()
    _check(graph, query)
    if given not in ("observational", "experimental"):
        raise IdentifyError(
            f"given={given!r}", fix=did_you_mean(given, modes := ["observational", "experimental"]) or f"one of {modes}"
        )
    steps: list[Step] = []
    expression, witness = _over_experiments(graph, query, steps)
    if expression is not None and given == "observational":
        try:
            expression = _from_known(expression, lambda p: _interventional(graph, p, known, steps))
        except Unidentified as hedge:
            expression, witness = None, hedge.witness
    if given == "experimental":
        known = tuple(dict.fromkeys(p.regime for p in _distributions(expression)))
    return Estimand(
        query, graph, expression, "IDC*" if query.given else "ID*", tuple(steps), witness, tuple(known)
    )


def _over_experiments(
    graph: CausalGraph, query: Query, steps: list[Step]
) -> tuple[Expression | None, Witness | None]:
    """The formula in terms of interventional distributions, or the district that no experiment shows."""
    letters = Letters(_values(query.given))
    try:
        conditions, _ = _conjunction(graph, query.given, letters)
    except Impossible:
        raise IdentifyError(
            f"the condition of {query} can't happen",
            why="it gives one variable two values in one world",
            fix="ask given what can be seen",
        ) from None
    below = by_district(graph, conditions)
    new_below = letters.new

    letters = Letters(_values((*query.outcomes, *query.given)))
    try:
        everything, roots = _conjunction(graph, (*query.outcomes, *query.given), letters)
    except Impossible:
        steps.append(Step("0", "one variable would have two values in one world"))
        return ZERO, None
    seen = set(roots[len(query.outcomes) :])
    asked = [root for root in roots[: len(query.outcomes)] if root is not None and root not in seen]
    districts = by_district(graph, everything)
    steps.append(_factorised(districts, letters.new))

    # What is neither linked to an outcome nor independent of the conditions is in numerator and denominator.
    above = _relevant(districts, asked, seen)
    common = {r.variable for district in districts if district not in above for r in district}
    below = [district for district in below if not common.issuperset(r.variable for r in district)]
    if not asked:
        below = []
    for district in (*above, *below):
        if witness := inconsistency(district):
            return None, witness
    numerator = experimental(united(graph, above), letters.new)
    expression = _divided(numerator, experimental(united(graph, below), new_below))
    steps.append(Step(str(expression), "consistent factors are interventional distributions", "P(c | do(pa(C)))"))
    return expression, None


def _conjunction(
    graph: CausalGraph, outcomes: Iterable[Outcome], letters: Letters
) -> tuple[list[Response], list[Response | None]]:
    """All responses that the event hangs on; and, for every outcome, its own (None if an action sets it)."""
    groups = [unnested(graph, outcome, letters) for outcome in outcomes]
    found = responses(graph, [*chain(*groups)], letters)
    return [*dict.fromkeys(found.values())], [found.get(plain(group[0])) for group in groups]


def _relevant(
    districts: Sequence[District], asked: Iterable[Response], seen: AbstractSet[Response | None]
) -> list[District]:
    """The ancestral components with outcomes: districts linked to them by causes that are not conditions."""
    home = {response: i for i, district in enumerate(districts) for response in district}
    links = [
        {home[response], home[cause]}
        for response in home
        for cause in response.causes
        if cause not in seen
    ]
    reached = {home[response] for response in asked}
    while more := [link for link in links if link & reached and not link <= reached]:
        reached = reached.union(*more)
    return [district for i, district in enumerate(districts) if i in reached]


def _factorised(districts: Sequence[District], new: AbstractSet[Value]) -> Step:
    """Σ Π of ctf-factors, in words."""
    over = [response.value for district in districts for response in district if response.value in new]
    total = f"Σ_{{{', '.join(map(str, over))}}} " if over else ""
    factors = (f"P({', '.join(map(str, district))})" for district in reversed(districts))
    return Step(
        total + " ".join(factors),
        "the ancestral set, factorised over districts",
        "each variable responds to its parents; districts share no hidden cause",
    )


def _divided(numerator: Expression, denominator: Expression) -> Expression:
    """The ratio; as a conditional distribution, where a factor above has all that is below."""
    if denominator == ONE:
        return numerator
    over, body = (numerator.over, numerator.body) if isinstance(numerator, Sum) else ((), numerator)
    factors = body.factors if isinstance(body, Product) else (body,)
    for i, factor in enumerate(factors):
        if not (isinstance(factor, P) and isinstance(denominator, P)):
            continue
        same = factor.regime == denominator.regime and set(factor.given) == set(denominator.given)
        if same and set(denominator.outcomes) <= set(factor.outcomes):
            left = tuple(v for v in factor.outcomes if v not in denominator.outcomes)
            conditional = P(left, (*factor.given, *denominator.outcomes), factor.regime) if left else ONE
            return summed(over, product(*factors[:i], conditional, *factors[i + 1 :]))
    return Ratio(numerator, denominator)


def _interventional(graph: CausalGraph, p: P, known: Sequence[Regime], steps: list[Step]) -> Expression:
    """One interventional distribution from those that are known, by ID.

    Raises:
        Unidentified: there is a hedge.
    """
    if p.regime in known:
        return p

    def of(outcomes: Sequence[Value]) -> Expression:
        do = [v for v in p.given if v.variable in p.regime.do]
        found = distribution(graph, [v.variable for v in outcomes], [v.variable for v in do], known)
        return renamed(found, {Symbol(v.variable): v for v in (*outcomes, *do)})

    conditions = [v for v in p.given if v.variable not in p.regime.do]
    found = of([*p.outcomes, *conditions])
    if conditions:
        found = _divided(found, of(conditions))
    steps.append(Step(f"{p} = {found}", "ID"))
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
            return _divided(_from_known(above, identified), _from_known(below, identified))
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


def _values(outcomes: Iterable[Outcome]) -> Iterator[Value]:
    """All values that a query names; a nested outcome has whatever value it has."""
    for outcome in outcomes:
        yield outcome.value
        yield from _actions(outcome)


def _actions(outcome: Outcome) -> Iterator[Value]:
    for action in outcome.do:
        if isinstance(action, Outcome):
            yield from _actions(action)
        else:
            yield action


def _check(graph: CausalGraph, query: Query) -> None:
    """Refuse what is no query about this graph."""
    if not query.outcomes:
        raise IdentifyError("the query has no outcomes", fix="say what is asked: P(y_{x=1})")
    for outcome in (*query.outcomes, *query.given):
        _check_outcome(graph, outcome)


def _check_outcome(graph: CausalGraph, outcome: Outcome) -> None:
    for value in (outcome, *outcome.do):
        if value.variable not in graph:
            raise IdentifyError(
                f"{value.variable!r} in '{outcome}' is not observed",
                why=f"the variables are {', '.join(graph.nodes)}",
                fix=did_you_mean(value.variable, graph.nodes) or "observe it, or ask about these",
            )
        if isinstance(value, Outcome) and value is not outcome:
            _check_outcome(graph, value)
    if outcome.value.variable != outcome.variable:
        raise IdentifyError(f"'{outcome.value}' is a value of {outcome.value.variable!r}, not of {outcome.variable!r}")
    if len(outcome.actions) < len(outcome.do):
        raise IdentifyError(f"'{outcome}' sets a variable twice", fix="one action for each variable")
