"""One question, whatever its rung: the formula over what is known, or why there is none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pyrocausal.errors import IdentifyError, did_you_mean
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.counterfactual import identify_counterfactual
from pyrocausal.identification.estimand import Estimand
from pyrocausal.identification.expression import OBSERVED, Constant, Regime, Symbol, Value, apart, renamed
from pyrocausal.identification.interventional import Question
from pyrocausal.identification.named import named
from pyrocausal.identification.outcome import Outcome, Query
from pyrocausal.identification.surrogates import Source, Unidentified, sources
from pyrocausal.identification.trail import steps

JUST_OBSERVED = sources()


def identify(
    graph: CausalGraph, query: Query, known: Sequence[Regime] = (OBSERVED,), *, by_name: bool = True
) -> Estimand:
    """Answer a causal query by a formula over known distributions, if the graph allows one.

    Seeing and doing (rungs 1 and 2) are decided completely: by ID and IDC where only P(v) is known, by gID
    where experiments are (Shpitser and Pearl 2006; Lee, Correa and Bareinboim 2019; with conditions, Kivva,
    Etesami and Kiyavash 2023). Imagining (rung 3) goes to `identify_counterfactual`.

    Args:
        graph: latent nodes are projected out, and become bidirected edges.
        query: what is asked.
        known: the distributions that the formula may use; the first one that does is taken. Default: P(v),
            of what is observed.
        by_name: whether back-door adjustment and the front door come first, where only P(v) is known;
            without, the formula is that of the algorithm.

    Returns:
        An estimand; its ``expression`` is None if the query is not identified, and ``witness`` says why.

    Raises:
        IdentifyError: names that are not in the graph, not observed, or stand in two places.

    >>> napkin = CausalGraph.from_string("w -> z -> x -> y; w <-> x; w <-> y")
    >>> y_do_x = Query((Outcome.of("y", do=[Symbol("x")]),))
    >>> print(identify(napkin, y_do_x))
    P(y | do(x)) = [Σ_w P(x, y | w, z) P(w)] / [Σ_w P(x | w, z) P(w)]  [ID]
    >>> bow = CausalGraph.from_string("x -> y; x <-> y")
    >>> identify(bow, y_do_x).witness.nodes
    {'x', 'y'}
    """
    check_one_population(known)
    if query.rung == 3:
        check_names(graph, query, sources(known))
        return identify_counterfactual(graph, query, known)
    return answered(graph, query, sources(known), by_name)


def answered(graph: CausalGraph, query: Query, known: Sequence[Source], by_name: bool = False) -> Estimand:
    """`identify`, with populations that differ."""
    question, values = asked(graph, query, known)
    diagram, regimes = question.diagram, tuple(source.regime for source in known)
    if by_name and known == JUST_OBSERVED and not query.given:
        first = named(diagram, diagram.select(question.actions), diagram.select(question.outcomes))
        if first is not None:
            formula, step = apart(renamed(first.expression, values)), (first.step,)
            return Estimand(query, diagram, formula, first.method, step, through=tuple(first.through))
    try:
        solution = question.solved()
    except Unidentified as error:
        return Estimand(query, diagram, None, question.method(regimes), (), error.witness, regimes)
    expression = apart(renamed(solution.expression, values))
    return Estimand(query, diagram, expression, solution.method, steps(question, solution), None, regimes)


def asked(graph: CausalGraph, query: Query, known: Sequence[Source]) -> tuple[Question, dict[Symbol, Value]]:
    """The question with plain symbols, and what to write for them in its answer.

    Raises:
        IdentifyError: the names are wrong, or the query is of rung 3.
    """
    check_names(graph, query, known)
    if query.rung == 3:
        raise IdentifyError(
            f"{query} speaks of more than one world",
            why="transport, and derivations by do-calculus, are for seeing and doing (rungs 1 and 2)",
            fix="ask about one world: P(y | do(x), z)",
        )
    outcomes, given = ([outcome.variable for outcome in group] for group in (query.outcomes, query.given))
    actions = [action.variable for action in query.world or ()]
    return Question(graph.project(), outcomes, actions, given, known), _values(query)


def _values(query: Query) -> dict[Symbol, Value]:
    """What to write for each variable, where it is not its plain symbol."""
    values: dict[str, Value] = {}
    outcomes = (*query.outcomes, *query.given)
    for value in (*(outcome.value for outcome in outcomes), *(query.world or ())):
        if isinstance(value, Symbol | Constant):
            if value.variable in values:
                raise IdentifyError(
                    f"{query} names '{value.variable}' twice",
                    why="in one world a variable has one value, and a variable that is set has the one it is "
                    "set to",
                    fix="name each variable once: as an outcome, an action or a condition",
                )
            values[value.variable] = value
    return {Symbol(name): value for name, value in values.items() if value != Symbol(name)}


def check_one_population(known: Iterable[Regime]) -> None:
    """What is known is of the population that is asked about.

    Raises:
        IdentifyError: it is not.
    """
    for regime in known:
        if regime.population:
            raise IdentifyError(
                f"a distribution of another population, {regime.population!r}, is among the known ones",
                why="it has to be said which mechanisms differ there",
                fix="pyrocausal.identification.transport(graph, query, differs={...}, known=...)",
            )


def check_names(graph: CausalGraph, query: Query, known: Iterable[Source]) -> None:
    """All names in a query and in what is known are observed variables.

    Raises:
        IdentifyError: one is not; or nothing is asked, or known.
    """
    if not query.outcomes:
        raise IdentifyError("the query has no outcome", fix='e.g. Query((Outcome.of("y"),))')
    if not known:
        raise IdentifyError("no distribution is known", fix="leave `known` out for P(v), or list regimes")
    for outcome in (*query.outcomes, *query.given):
        check_observed(graph, _named(outcome), f"the query {query}")
        if outcome.value.variable != outcome.variable:
            raise IdentifyError(
                f"'{outcome.variable}' has the value {outcome.value}, of another variable",
                fix=f"Symbol({outcome.variable!r}) or Constant({outcome.variable!r}, ...)",
            )
    for source in known:
        check_observed(graph, source.regime.do, "an experiment that is known")


def _named(outcome: Value | Outcome) -> list[str]:
    """All variables of an outcome, those of its world too."""
    inner = outcome.do if isinstance(outcome, Outcome) else ()
    return [outcome.variable, *(name for action in inner for name in _named(action))]


def check_observed(graph: CausalGraph, names: Collection[str], where: str) -> None:
    """Names of observed variables, or an error that says where they stand.

    Raises:
        IdentifyError: a name is not a node, or latent.
    """
    check_nodes(graph, names, where)
    for name in sorted(graph.latent.intersection(names)):
        raise IdentifyError(
            f"{name!r}, which is named in {where}, is latent",
            why="formulas are over observed variables",
            fix="name observed variables only, or observe it",
        )


def check_nodes(graph: CausalGraph, names: Collection[str], where: str) -> None:
    """Names of nodes, or an error that says where they stand.

    Raises:
        IdentifyError: a name is not a node; or there is a string for a collection of names.
    """
    if isinstance(names, str):
        raise IdentifyError(
            f"{where} is the string {names!r}, where names were expected",
            why="a string is read letter by letter",
            fix=f"write [{names!r}]",
        )
    for name in sorted(names):
        if name not in graph:
            raise IdentifyError(
                f"the graph has no node {name!r}, which is named in {where}",
                why=f"its nodes are {', '.join(graph.nodes)}",
                fix=did_you_mean(name, graph.nodes) or "use one of these",
            )
