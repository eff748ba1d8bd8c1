"""Asking a model a causal question in text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pyrocausal.answer import Answer, around, middle
from pyrocausal.ask.asked import Asked
from pyrocausal.ask.certify import certify, rung
from pyrocausal.ask.distribution import distribution
from pyrocausal.ask.door import checked
from pyrocausal.ask.positivity import not_overlapping
from pyrocausal.errors import QueryError
from pyrocausal.query import parse
from pyrocausal.query.faults import fail
from pyrocausal.query.syntax import Node, Term, Variable
from pyrocausal.query.worlds import terms
from pyrocausal.table import whole

__all__ = ["ask"]


def ask(
    scm: Any,
    question: str,
    *,
    data: Any = None,
    num_samples: int | None = None,
    replicas: int | None = None,
    seed: int | None = None,
    **options: Any,
) -> Answer:
    """See `SCM.ask`."""
    parsed = parse(question)
    tree = checked(parsed, scm.variables, question)
    if replicas is not None and data is None:
        raise QueryError(
            "replicas= refits the model to resampled rows", fix="pass the rows it was fitted to as data="
        )
    if replicas is None and options:
        raise QueryError(
            f"{next(iter(options))}= is for refits", fix="pass replicas=100 too, or leave it out"
        )
    if num_samples is not None:
        num_samples = whole(num_samples, "num_samples", least=1)
    _refuse_arithmetic_on_distributions(tree, question)
    found = Asked(scm, tree, question, data, num_samples, seed)
    said: dict[str, Any] = {
        "question": str(parsed),
        "rung": rung(scm, parsed),
        "population": found.whom(),
        "certificate": certify(scm, parsed),
        "diagnostics": {"method": found.methods()},
    }
    if _bare(tree):
        return _distribution(found, tree, replicas, said)
    mind = not_overlapping(scm, tree, question, data)
    value, error, table = found.number()
    draws, interval, of = None, None, ""
    if replicas is not None:
        draws, of = _refitted(found, replicas, options), f"bootstrap over {replicas} refits"
        interval = around(value.mean().item(), draws)
    elif len(value) > 1:
        draws, interval, of = value, middle(value), "posterior of the weights"
    return Answer(
        value=value.mean().item(),
        error=error,
        exact=found.exact,
        interval=interval,
        interval_of=of,
        draws=draws,
        terms=table,
        warnings=(*found.rough(table["units"].to_dict()), *mind),
        **said,
    )


def _distribution(found: Asked, term: Any, replicas: int | None, said: dict[str, Any]) -> Answer:
    if replicas is not None:
        raise QueryError("a distribution has no interval", fix="ask for E[…] or P(… > 0) with replicas=")
    value, ess = distribution(term, found.population(term), found.scm.variables)
    return Answer(value=value, warnings=found.rough({str(term): ess}), **said)


def _refitted(found: Asked, replicas: int, options: Mapping[str, Any]) -> Tensor:
    """The value after each refit to resampled rows, for those rows."""

    def statistic(model: Any, rows: Any) -> Tensor:
        try:
            again = Asked(model, found.tree, found.text, rows, found.num_samples, found.seed)
            return again.number()[0].mean()
        except QueryError as error:
            raise QueryError(
                f"in a resample, {error.what}", why="few rows have it", fix="widen the condition"
            ) from error

    return found.scm.bootstrap(
        found.data, statistic, replicas=replicas, **{"seed": found.seed or 0, **options}
    )


def _bare(node: Node) -> bool:
    """Whether this is P of variables without values: a distribution."""
    return isinstance(node, Term) and node.kind == "P" and all(isinstance(v, Variable) for v in node.of)


def _refuse_arithmetic_on_distributions(tree: Node, text: str) -> None:
    for term in terms(tree):
        if term is not tree and _bare(term):
            fail(
                text,
                term.at,
                f"{term} is a distribution, which can't be computed with",
                fix="give its variables values, P(y > 0 | …)",
            )
