"""What a graph implies about the observed distribution: independences, and constraints of Verma's kind.

Data can contradict these, and nothing else that the graph says: every other statement of it is about
interventions. Latent nodes are projected away first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.check import listed
from pyrocausal.identification.expression import letters
from pyrocausal.identification.separators import minimal_separator

Basis = Literal["pairs", "local"]


@dataclass(frozen=True)
class Independence:
    """x and y are independent given the rest; names in the order of the graph's nodes.

    >>> str(Independence(("x",), ("y", "w"), ("z",)))
    'x ⫫ y, w | z'
    """

    x: tuple[str, ...]
    y: tuple[str, ...]
    given: tuple[str, ...] = ()

    def __str__(self) -> str:
        x, y, z = (", ".join(names) for names in (self.x, self.y, self.given))
        return f"{x} ⫫ {y}" + (f" | {z}" if z else "")

    def latex(self) -> str:
        x, y, z = (", ".join(map(letters, names)) for names in (self.x, self.y, self.given))
        return rf"{x} \perp\!\!\!\perp {y}" + (rf" \mid {z}" if z else "")

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"


def independences(graph: CausalGraph, basis: Basis = "pairs") -> tuple[Independence, ...]:
    """The conditional independences that the graph implies, few enough to look at and to test.

    Args:
        basis:

            - "pairs": one for each pair of variables that some set separates, given a set from which nothing
              can be left out. These are the easiest to test.
            - "local": the ordered local Markov property: a distribution that has these has every independence
              that the graph implies. For a DAG, each variable is independent of those before it given its
              parents; with bidirected edges, see T. Richardson, "Markov properties for acyclic directed mixed
              graphs" (2003), section 3.1: one statement for each district that a variable can end, and their
              number can be exponential in the size of the districts.

    Raises:
        IdentifyError: an unknown basis.

    >>> for independence in independences(CausalGraph.from_string("age -> quit -> gain -> risk")):
    ...     print(independence)
    age ⫫ gain | quit
    age ⫫ risk | gain
    quit ⫫ risk | gain
    >>> [str(i) for i in independences(CausalGraph.from_string("age -> quit -> gain -> risk"), "local")]
    ['gain ⫫ age | quit', 'risk ⫫ age, quit | gain']
    """
    if basis not in get_args(Basis):
        raise IdentifyError(f"there is no basis {basis!r}", fix=f"use one of {listed(get_args(Basis))}")
    return tuple((pairwise if basis == "pairs" else local)(graph.project()))


def pairwise(graph: CausalGraph) -> Iterator[Independence]:
    adjacent = {frozenset(pair) for pair in (*graph.edges, *graph.bidirected)}
    for x, y in combinations(graph.nodes, 2):
        if frozenset({x, y}) not in adjacent:
            others = graph.select(graph.ancestors(x, y) - {x, y})
            given = minimal_separator(graph, graph.select(x), graph.select(y), others)
            if given is not None:
                yield Independence((x,), (y,), tuple(given))


def local(graph: CausalGraph) -> Iterator[Independence]:
    for last in graph.nodes:
        for ancestral, district in endings(graph, last):
            blanket = (district | graph.parents(*district)) - {last}
            if rest := graph.select(ancestral) - blanket - {last}:
                yield Independence((last,), tuple(rest), tuple(graph.select(blanket)))


def endings(graph: CausalGraph, last: str) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """The districts of ``last`` in the ancestral sets whose last node it is, each with the largest such set.

    A smaller district comes about where a node of the district, and with it all its effects, is left out.
    """
    before = graph.subgraph(graph.nodes[: graph.nodes.index(last) + 1])
    ready, found = [frozenset(before.nodes)], set()
    while ready:
        district = before.subgraph(ready.pop()).district(last)
        if district not in found:
            found.add(district)
            outside = before.spouses(*district) - district
            ancestral = frozenset(before.nodes) - outside - before.descendants(*outside)
            yield ancestral, district
            for name in district - before.ancestors(last) - {last}:
                ready.append(ancestral - {name} - before.descendants(name))
