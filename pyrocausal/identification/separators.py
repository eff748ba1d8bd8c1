"""Sets that separate x from y: a minimal one, a smallest one, all of them.

A separator within the ancestors A of x, y and itself cuts x from y in the *factor graph* of A: a node is
joined to each factor that it occurs in, and a factor is a district together with its parents (the
distribution of A is a product of them, J. Tian and J. Pearl 2002). This is the augmented, or moral, graph of
A (S. Lauritzen 1996; T. Richardson 2003) without its cliques written out, so that all here takes a time that
is linear in the graph, as in B. van der Zander, M. Liśkiewicz and J. Textor, "Separators and adjustment sets
in causal graphs", Artificial Intelligence 270 (2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

import networkx as nx
from networkx.algorithms.flow import shortest_augmenting_path

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.ordered import OrderedFrozenSet

Names = AbstractSet[str]


class FactorGraph:
    """The ancestors of some nodes, and the factors of their distribution.

    >>> web = FactorGraph(CausalGraph.from_string("x -> m -> y <- age"), {"y"})
    >>> sorted(web.reach({"x"}, cut={"m"}))
    ['m', 'x']
    """

    def __init__(self, graph: CausalGraph, names: Names):
        self.graph = graph.subgraph(names | graph.ancestors(*names))
        districts = self.graph.districts
        number = {name: i for i, district in enumerate(districts) for name in district}
        members = [dict.fromkeys(district) for district in districts]
        for cause, effect in self.graph.edges:
            members[number[effect]][cause] = None
        self.factors = [tuple(names) for names in members]
        self.factors_of: dict[str, list[int]] = {name: [] for name in self.graph.nodes}
        for i, factor in enumerate(self.factors):
            for name in factor:
                self.factors_of[name].append(i)

    def reach(self, sources: Names, cut: Names) -> frozenset[str]:
        """The sources, and all that paths from them come to: these may end in ``cut``, not go on."""
        reached, used = set(sources), set[int]()
        frontier = list(sources)
        while frontier:
            for factor in self.factors_of[frontier.pop()]:
                if factor not in used:
                    used.add(factor)
                    new = [name for name in self.factors[factor] if name not in reached]
                    reached.update(new)
                    frontier += [name for name in new if name not in cut]
        return frozenset(reached)

    def ordered(self, names: Names) -> frozenset[str]:
        return self.graph.select(names)


def neighbourhood(
    graph: CausalGraph, x: Names, y: Names, allowed: Names, required: Names = frozenset()
) -> frozenset[str] | None:
    """What stands around y: the allowed nodes that y reaches first, with the required; None if x is reached.

    It separates x from y, if any set does that has the required nodes and allowed ones only.
    """
    web = FactorGraph(graph, x | y | required)
    near = web.reach(y, allowed | required)
    return None if near & x else web.ordered((near & allowed) | required)


def minimal_separator(
    graph: CausalGraph, x: Names, y: Names, allowed: Names, required: Names = frozenset()
) -> frozenset[str] | None:
    """Of the separators from which no node can be left out, the one that is nearest to y.

    Args:
        allowed: nodes it may have; neither of x nor of y.
        required: nodes it must have.

    >>> graph = CausalGraph.from_string("x <- a -> b -> y; x <- c -> y")
    >>> minimal_separator(graph, {"x"}, {"y"}, {"a", "b", "c"})
    {'b', 'c'}
    """
    web = FactorGraph(graph, x | y | required)
    return nearest(web, x, y, allowed, required)


def nearest(web: FactorGraph, x: Names, y: Names, allowed: Names, required: Names) -> frozenset[str] | None:
    near = web.reach(y, allowed | required)
    if near & x:
        return None
    around = (near & allowed) | required
    return web.ordered((around & web.reach(x, around)) | required)


def minimum_separator(
    graph: CausalGraph,
    x: Names,
    y: Names,
    allowed: Names,
    required: Names = frozenset(),
    costs: Mapping[str, float] | None = None,
) -> frozenset[str] | None:
    """A separator with the fewest nodes, or of the lowest total cost; of these, the one nearest to y.

    By the theorem of Menger, and of Ford and Fulkerson: a minimum cut of the factor graph, in which only
    allowed nodes have a finite capacity.

    Args:
        costs: of a node, not negative; 1 where none is given.
    """
    web = FactorGraph(graph, x | y | required)
    found = nearest(web, x, y, allowed, required)
    if found is None or (costs is None and len(found - required) < 2):
        return found  # nothing can be left out of it, so no other is smaller
    flow = nx.DiGraph()  # an edge without a capacity has an infinite one
    flow.add_nodes_from(["x", "y"])
    for name in web.graph.nodes:
        if name not in required:
            limit = {"capacity": (costs or {}).get(name, 1)} if name in allowed else {}
            flow.add_edge(("in", name), ("out", name), **limit)
            for factor in web.factors_of[name]:
                flow.add_edge(("out", name), factor)
                flow.add_edge(factor, ("in", name))
    flow.add_edges_from(("x", ("in", name)) for name in x)
    flow.add_edges_from((("out", name), "y") for name in y)
    _, (_, far) = nx.minimum_cut(flow, "x", "y", flow_func=shortest_augmenting_path)
    cut = {name for name in web.graph.nodes if ("out", name) in far and ("in", name) not in far}
    return nearest(web, x, y, cut, required)  # what costs nothing may be in the cut for nothing


def minimal_separators(
    graph: CausalGraph, x: Names, y: Names, allowed: Names, required: Names = frozenset()
) -> Iterator[frozenset[str]]:
    """All separators from which no (not required) node can be left out, each once, with polynomial delay.

    A minimal separator is told by the side of x: the nodes that x reaches. Among those whose side has a set A
    there is a nearest to x, whose side lies in the side of all others; so a search that decides node by node
    whether it belongs to the side of x never goes down a branch without a result. K. Takata, "Space-optimal,
    backtracking algorithms to list the minimal vertex separators of a graph", Discrete Applied Mathematics
    158 (2010), searches alike.
    """
    web = FactorGraph(graph, x | y | required)
    allowed = allowed - required
    branches: list[tuple[Names, Names]] = [(x, frozenset())]  # on the side of x, and not on it
    while branches:
        inside, outside = branches.pop()
        border = (web.reach(inside, (allowed - inside) | required) & allowed) - inside
        beyond = web.reach(y, border | required)
        nearest = border & beyond
        side = web.reach(x, nearest | required) - nearest - required
        if inside & beyond or side & outside:
            continue
        undecided = web.ordered(nearest - outside)
        if not undecided:
            yield web.ordered(nearest | required)
            continue
        chosen = next(iter(undecided))
        branches += [(side | {chosen}, outside), (side, outside | {chosen})]


def separators(
    graph: CausalGraph, x: Names, y: Names, allowed: Names, required: Names = frozenset()
) -> Iterator[frozenset[str]]:
    """All separators, each once, with polynomial delay: van der Zander et al. 2019, ``ListSep``."""
    branches: list[tuple[Names, Names]] = [(OrderedFrozenSet(required), graph.select(allowed | required))]
    while branches:
        inside, possible = branches.pop()
        if neighbourhood(graph, x, y, possible - inside, inside) is None:
            continue
        undecided = possible - inside
        if not undecided:
            yield graph.select(inside)
            continue
        chosen = next(iter(undecided))
        branches += [(inside | {chosen}, possible), (inside, possible - {chosen})]
