"""From a question's text and a graph to an estimand."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from pyrocausal.errors import QueryError
from pyrocausal.graph.given import as_graph
from pyrocausal.identification import Estimand, Query, Regime
from pyrocausal.identification import identify as identify_query
from pyrocausal.query.meaning import queries
from pyrocausal.query.parse import parse
from pyrocausal.query.syntax import Node, Term, Variable
from pyrocausal.query.worlds import equality


def identify(
    graph: Any,
    question: str | Query,
    *,
    experiments: Iterable[Collection[str]] = (),
    observed: bool = True,
) -> Estimand:
    """Whether a causal question can be answered from what is known, by the graph alone, and by which formula.

    Complete for questions about one world (ID, IDC: Shpitser and Pearl 2006; with experiments gID: Lee,
    Correa and Bareinboim 2019) and about several (ID*, IDC*, nested ones too: Shpitser and Pearl 2008;
    Correa, Lee and Bareinboim 2021): where it says no, there are two models that agree on all that is known
    and differ in the answer, and `Estimand.counterexample` shows them.

    Args:
        graph: a `CausalGraph`, its text (``"x -> y; x <-> y"``), a networkx graph, or an SCM. What is latent
            in it counts as not observed.
        question: one term in the notation of `SCM.ask`, e.g. ``"P(y | do(x))"``, ``"E[y_{x=1} | x=0]"``; of a
            mean, the formula is that of the distribution. Or a `pyrocausal.identification.Query`.
        experiments: sets of variables of which an experiment is known that set all of them at random.
        observed: whether the distribution of what is observed, without any experiment, is known.

    Raises:
        QueryError: the question can't be read, or is about several distributions.
        IdentifyError: a name that is not in the graph, or latent.

    >>> print(identify("x -> m -> y; x <-> y", "P(y | do(x))"))
    P(y | do(x)) = Σ_m P(m | x) Σ_x' P(y | x', m) P(x')  [front-door {m}]
    >>> print(identify("z -> x -> y; x <-> y", "P(y | do(x))"))
    P(y | do(x)) is not identified: ...
    """
    asked, said = (question, "") if isinstance(question, Query) else _only(question)
    known = [Regime()] if observed else []
    known += [Regime(do=frozenset(_names(names))) for names in experiments or ()]
    return replace(identify_query(as_graph(graph), asked, known), question=said)


def _names(names: Collection[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _only(question: str) -> tuple[Query, str]:
    """The query of a question about one distribution, and the question if it is about less than that."""
    parsed = parse(question)
    found = queries(parsed)
    if len(found) == 1:
        return found[0], "" if _whole(parsed) else str(parsed)
    raise QueryError(
        f"{question} is about {len(found) or 'no'} distributions",
        why=f"they are {', '.join(map(str, found))}" if found else "nothing random is left in it",
        fix="identify one at a time" if found else "",
    )


def _whole(question: Node) -> bool:
    """Whether this is the distribution of values, or the mean of a variable, and no event or other number."""
    if not isinstance(question, Term) or question.kind not in ("P", "E"):
        return False
    values = (isinstance(node, Variable) or equality(node) for node in question.of)
    points = (isinstance(node, Variable) or equality(node) for node in question.given)
    return all(values) and all(points)
