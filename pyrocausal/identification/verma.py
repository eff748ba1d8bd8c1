"""Constraints that a graph with hidden causes puts on the observed distribution, other than independences.

T. Verma and J. Pearl, "Equivalence and synthesis of causal models" (1990), found the first: in
``a -> b -> c -> d; b <-> d``, ``Σ_b P(b | a) P(d | a, b, c)`` does not depend on a. The search is that of
J. Tian and J. Pearl, "On the testable implications of causal models with hidden variables" (UAI 2002); the
words are those of T. Richardson, R. Evans, J. Robins and I. Shpitser, "Nested Markov properties for acyclic
directed mixed graphs", Annals of Statistics 51 (2023).

The distribution of a district s given the values of its parents, as under do(parents), is a *kernel*
:math:`q_s(s | pa(s))`, a product of conditionals. Where d ⊂ s has no children in the rest of s, summing over
d gives a kernel of the rest, and each district of that rest has its own. By the graph, it depends on that
district and its parents alone. The formula that the sum gives, made of the larger kernel, may mention more
variables: it must not depend on them. Since d may have effects outside of s, which then count as set, this
need not be a conditional independence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.expression import Expression, P, Symbol, letters, product, summed
from pyrocausal.identification.implications import endings
from pyrocausal.identification.separators import neighbourhood

Kernel = Mapping[str, Expression]  # of each node, in order: its distribution given those before it


@dataclass(frozen=True)
class VermaConstraint:
    """A formula over the observed distribution that does not depend on some of its variables.

    Args:
        expression: the formula.
        free_of: these variables.
        district: it is the distribution of the last of these, given the others and their parents, in the
            world where all variables but these are set.
    """

    expression: Expression
    free_of: tuple[str, ...]
    district: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.expression} does not depend on {', '.join(self.free_of)}"

    def latex(self) -> str:
        names = ", ".join(map(letters, self.free_of))
        return rf"{self.expression.latex()} \text{{ does not depend on }} {names}"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"


def verma_constraints(graph: CausalGraph) -> tuple[VermaConstraint, ...]:
    """The functional constraints that the graph implies beyond its conditional independences.

    Their number can be exponential in the size of the districts. None for a graph without hidden causes.

    >>> for constraint in verma_constraints(CausalGraph.from_string("a -> b -> c -> d; b <-> d")):
    ...     print(constraint)
    Σ_b P(b | a) P(d | a, b, c) does not depend on a
    """
    projected = graph.project()
    return tuple(constraint for last in projected.nodes for constraint in ending(projected, last))


def ending(graph: CausalGraph, last: str) -> Iterator[VermaConstraint]:
    """Those about the distribution of ``last`` given variables before it.

    Of two variables that a set separates, the independence given that set says all there is to say: a pair
    takes one constraint (I. Shpitser, R. Evans and T. Richardson, "Acyclic linear SEMs obey the nested Markov
    property", UAI 2018, count them so in linear models).
    """
    ordinary = {district: ancestral for ancestral, district in endings(graph, last)}
    said: dict[frozenset[str], set[str]] = {}
    ready = [(district, observed_kernel(graph, ordinary[district], district)) for district in ordinary]
    while ready:
        district, kernel = ready.pop(0)
        for smaller, inner in inner_kernels(graph, district, kernel, last):
            if smaller not in said and smaller not in ordinary:
                ready.append((smaller, inner))
            mentioned = {symbol.variable for symbol in inner[last].free}
            relevant = district | graph.parents(*district)
            extra = (mentioned & relevant) - smaller - graph.parents(*smaller)
            extra = {name for name in extra if not is_separable(graph, name, last)}
            if extra - said.setdefault(smaller, set()):
                said[smaller] |= extra
                yield VermaConstraint(inner[last], tuple(graph.select(extra)), tuple(smaller))


def observed_kernel(graph: CausalGraph, ancestral: frozenset[str], district: frozenset[str]) -> Kernel:
    """Of a district of an ancestral set: each node given its Markov blanket among those before it."""
    kernel = {}
    for name in graph.select(district):
        part = graph.subgraph(ancestral & {*before(graph, name), name})
        own = part.district(name)
        kernel[name] = P.of(name, given=graph.select((own | part.parents(*own)) - {name}))
    return kernel


def inner_kernels(
    graph: CausalGraph, district: frozenset[str], kernel: Kernel, last: str
) -> Iterator[tuple[frozenset[str], Kernel]]:
    """The kernels of the districts of ``last`` that are left where some other node is summed over.

    With a node go its effects within the district, so it can be no cause of ``last`` there.
    """
    within = graph.subgraph(district)
    for name in district - within.ancestors(last) - {last}:
        kept = district - {name} - within.descendants(name)
        smaller = within.subgraph(kept).district(last)
        yield smaller, {one: conditional(kernel, kept, one) for one in smaller}


def conditional(kernel: Kernel, kept: frozenset[str], name: str) -> Expression:
    """The distribution of a node given those before it, when the nodes that are not kept are summed over."""
    names = list(kernel)[: list(kernel).index(name) + 1]
    hidden = [Symbol(one) for one in names if one not in kept]
    above = blocks([kernel[one] for one in names], hidden)
    below = blocks([kernel[one] for one in names[:-1]], hidden)
    shared = [block for block in above if block in below]
    top, bottom = (product(*(b for b in part if b not in shared)) for part in (above, below))
    return top / bottom


def blocks(factors: Sequence[Expression], hidden: Sequence[Symbol]) -> list[Expression]:
    """The sum of the product over hidden symbols, as factors: each sums what hangs together.

    A conditional distribution whose variable occurs nowhere else sums to one.
    """
    left = list(factors)
    for symbol in reversed(hidden):
        having = [factor for factor in left if symbol in factor.free]
        if len(having) == 1:
            left.remove(having[0])
    parts: list[Expression] = []
    while left:
        together = [left.pop(0)]
        while joined := [f for f in left if f.free & hidden_in(together, hidden)]:
            together += joined
            left = [f for f in left if f not in joined]
        ordered = [factor for factor in factors if factor in together]
        over = [symbol for symbol in hidden if symbol in hidden_in(together, hidden)]
        parts.append(summed(over, product(*ordered)))
    return parts


def hidden_in(factors: Sequence[Expression], hidden: Sequence[Symbol]) -> set[Symbol]:
    return {symbol for factor in factors for symbol in factor.free if symbol in hidden}


def before(graph: CausalGraph, name: str) -> tuple[str, ...]:
    return graph.nodes[: graph.nodes.index(name)]


def is_separable(graph: CausalGraph, x: str, y: str) -> bool:
    others = graph.ancestors(x, y) - {x, y}
    return neighbourhood(graph, graph.select(x), graph.select(y), others) is not None
