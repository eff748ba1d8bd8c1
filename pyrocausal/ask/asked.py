"""A question put to a model: its terms, the populations that they are about, and its number."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyrocausal.ask.arithmetic import value_of
from pyrocausal.ask.estimates import Estimate, estimate, standard_error
from pyrocausal.ask.population import FACTUAL, Population, of_model, of_rows
from pyrocausal.errors import QueryError
from pyrocausal.query.faults import fail
from pyrocausal.query.syntax import Node, Term, World
from pyrocausal.query.worlds import equality, terms, worlds

logger = logging.getLogger("pyrocausal")

UNITS = 50_000  # drawn from the model
UNITS_OF_COUNTS = 5_000  # where counts, whose noise takes long, are among the variables
UNITS_A_WEIGHT = 5_000  # for each draw of weights that all units share
FEW = 200  # units of equal weight below which a number is called rough


class Asked:
    """A question to a model: its terms, and the populations they are about."""

    @torch.no_grad()
    def __init__(self, scm: Any, tree: Node, text: str, data: Any, num_samples: int | None, seed: int | None):
        self.scm, self.tree, self.text, self.data = scm, tree, text, data
        self.num_samples, self.seed = num_samples, seed
        self.terms = terms(tree)
        self._populations: dict[Any, Population] = {}
        if data is not None:
            every = tuple(dict.fromkeys(w for term in self.terms for w in worlds(term)))
            rows = of_rows(scm, data, every, text, num_samples=num_samples, seed=seed)
            self._populations = dict.fromkeys(self.terms, rows)
        else:
            for (world, evidence), group in self._groups().items():
                self._populations |= self._of_model(group, world, dict(evidence))

    def population(self, term: Node) -> Population:
        return self._populations[term]

    def _groups(self) -> dict[Any, list[Term]]:
        """Terms by the evidence that they condition on by density."""
        groups: dict[Any, list[Term]] = {}
        for term in self.terms:
            groups.setdefault(_evidence(term, self.scm.variables, self.text), []).append(term)
        return groups

    def _of_model(
        self, group: Sequence[Term], world: World, evidence: Mapping[str, float]
    ) -> dict[Any, Population]:
        """One population for all terms of a group; or one each, where that makes every answer exact."""

        def found(chosen: Sequence[Term], exact_only: bool) -> Population | None:
            every = dict.fromkeys((FACTUAL, world, *(w for term in chosen for w in worlds(term))))
            return of_model(
                self.scm,
                tuple(every),
                self.text,
                evidence=evidence,
                evidence_world=world,
                units=self.num_samples or self._units(),
                seed=self.seed,
                exact_only=exact_only,
            )

        together = found(group, True)
        if together is None and len(group) > 1:
            each = {term: found([term], True) for term in group}
            if all(population is not None for population in each.values()):
                return each  # type: ignore[return-value]
        together = together or found(group, False)
        assert together is not None
        return dict.fromkeys(group, together)

    def _units(self) -> int:
        if self.scm._model.structure.shared:
            return UNITS_A_WEIGHT
        return UNITS_OF_COUNTS if any(v.kind == "count" for v in self.scm.variables.values()) else UNITS

    def number(self) -> tuple[Tensor, float, pd.DataFrame]:
        """The value for every draw of the weights, its Monte Carlo error, and a table of the terms."""
        each = {term: estimate(term, self.population(term)) for term in self.terms}
        leaves: dict[Node, Tensor] = {
            term: found.value.clone().requires_grad_() for term, found in each.items()
        }
        with torch.enable_grad():
            value = value_of(self.tree, leaves)
            slopes = torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
        if not torch.isfinite(value).all():
            raise QueryError(
                f"{self.tree} has no value here",
                why=", ".join(f"{term} is {found.value.mean():.4g}" for term, found in each.items()),
                fix="mind what is divided by, or taken the logarithm of",
            )
        variance = self._variance(each, dict(zip(leaves, slopes)))
        table = pd.DataFrame(
            {
                "value": {str(t): e.value.mean().item() for t, e in each.items()},
                "error": {
                    str(t): standard_error(e.influence, self.population(t)).square().mean().sqrt().item()
                    for t, e in each.items()
                },
                "units": {str(t): e.ess.min().item() for t, e in each.items()},
            }
        )
        return value.detach(), self._error(value.detach(), variance), table

    @property
    def exact(self) -> bool:
        """Whether nothing was sampled: all units that there can be, or rows whose noise is known."""
        return all(p.exact or (p.rows and p.draws == (1, 1)) for p in self._populations.values())

    def _error(self, value: Tensor, variance: Tensor) -> float:
        """Of the mean over draws of the weights, if there are some; these vary by their units' draws, too."""
        if self.exact:
            return 0.0
        error = value.std() / len(value) ** 0.5 if len(value) > 1 else variance.mean().sqrt()
        return error.item() or float("nan")

    def _variance(self, each: Mapping[Term, Estimate], slopes: Mapping[Node, Any]) -> Tensor:
        """By the delta method; terms on the same units add up unit by unit."""
        total: Tensor | None = None
        for population in {id(p): p for p in self._populations.values()}.values():
            parts = [
                slopes[term][:, None, None] * found.influence
                for term, found in each.items()
                if self.population(term) is population and slopes[term] is not None
            ]
            if parts:
                part = standard_error(torch.stack(parts).sum(0), population) ** 2
                total = part if total is None else total + part
        assert total is not None
        return total

    def whom(self) -> str:
        if self.data is not None:
            return f"{_units(self._populations):,} rows of data"
        if all(p.exact for p in self._populations.values()):
            return "the model's, all units that differ"
        return f"the model's, {_units(self._populations):,} units drawn from it"

    def methods(self) -> list[str]:
        return list(dict.fromkeys(p.method for p in self._populations.values()))

    def rough(self, ess: Mapping[str, float]) -> tuple[str, ...]:
        """Sentences about terms that rest on few units."""
        if self.data is None and all(p.exact for p in self._populations.values()):
            return ()
        few = {term: n for term, n in ess.items() if n < FEW and self.data is None}
        for term, n in few.items():
            logger.warning(
                "%s rests on %.0f effective units: raise num_samples, or widen the condition.", term, n
            )
        return tuple(f"{term} rests on {n:.0f} effective units" for term, n in few.items())


def _units(populations: Mapping[Any, Population]) -> int:
    first = next(iter(populations.values()))
    return next(iter(next(iter(first.worlds.values())).values())).shape[2]


def _evidence(
    term: Term, variables: Mapping[str, Any], text: str
) -> tuple[World, tuple[tuple[str, float], ...]]:
    """The world whose values a term conditions on by density, and these.

    Continuous variables are never exactly equal to a value, so no unit can be selected by it. What is
    discrete in the same world then counts as evidence too.
    """
    equalities = [found for event in term.given if (found := equality(event)) is not None]
    dense = [(v, value) for v, value in equalities if not variables[v.name].discrete]
    where = list(dict.fromkeys(variable.world for variable, _ in dense))
    if not where:
        return FACTUAL, ()
    if len(where) > 1:
        other = next(v for v, _ in dense if v.world == where[1])
        fail(
            text,
            other.at,
            "conditions on continuous values in two worlds at once",
            why="no unit has exactly these values in both, and densities are taken in one world",
            fix="give an interval for one of them, e.g. 1.9 < z < 2.1",
        )
    told: dict[str, float] = {}
    for v, value in equalities:
        if v.world == where[0] and told.setdefault(v.name, float(value.value)) != float(value.value):
            fail(text, value.at, f"{v} has two values at once", fix="leave one of them out")
    return where[0], tuple(sorted(told.items()))
