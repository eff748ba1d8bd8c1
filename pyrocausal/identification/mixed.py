"""A causal graph as identification works on it: the same nodes and edges, and subsets instead of subgraphs.

Identification asks for ancestors and districts in very many induced subgraphs. To build each as a
`CausalGraph` would check and order it anew; here a subgraph is named by the set of its nodes (``within``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet

from pyrocausal.graph.causal_graph import CausalGraph


class Mixed:
    """The directed and bidirected neighbours of every node, and the order of the nodes (causes first).

    >>> g = Mixed(CausalGraph.from_string("w -> z -> x -> y; w <-> x; w <-> y"))
    >>> g.ordered(g.ancestors({"y"}, {"w", "x", "y"})), g.ordered(g.district("y", {"x", "y"}))
    (['x', 'y'], ['y'])
    """

    def __init__(self, graph: CausalGraph):
        self.nodes = graph.nodes
        self.rank = {name: position for position, name in enumerate(graph.nodes)}
        self.parents: dict[str, list[str]] = {name: [] for name in graph.nodes}
        self.children: dict[str, list[str]] = {name: [] for name in graph.nodes}
        self.spouses: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for cause, effect in graph.edges:
            self.parents[effect].append(cause)
            self.children[cause].append(effect)
        for a, b in graph.bidirected:
            self.spouses[a].append(b)
            self.spouses[b].append(a)

    def ordered(self, names: Iterable[str]) -> list[str]:
        """In the order of the graph, causes first."""
        return sorted(names, key=self.rank.__getitem__)

    def ancestors(self, names: Iterable[str], within: AbstractSet[str]) -> set[str]:
        """``names`` and all that cause them inside the subgraph: An(names), which has the names in it."""
        return _closure(self.parents, names, within)

    def district(self, name: str, within: AbstractSet[str]) -> set[str]:
        """The c-component of a node in the subgraph."""
        return _closure(self.spouses, [name], within)

    def districts(self, within: AbstractSet[str]) -> list[set[str]]:
        """The c-components of the subgraph, ordered by their first nodes."""
        found: list[set[str]] = []
        left = dict.fromkeys(self.ordered(within))
        while left:
            found.append(self.district(next(iter(left)), within))
            for name in found[-1]:
                del left[name]
        return found

    def blanket(self, name: str, within: AbstractSet[str]) -> set[str]:
        """What screens a node without children off from the rest: its district and their parents."""
        district = self.district(name, within)
        causes = {cause for member in district for cause in self.parents[member] if cause in within}
        return (district | causes) - {name}

    def separated(
        self,
        a: Collection[str],
        b: Collection[str],
        given: AbstractSet[str],
        within: AbstractSet[str],
        silent: AbstractSet[str] = frozenset(),
    ) -> bool:
        """m-separation of disjoint sets in the subgraph.

        Args:
            silent: nodes whose outgoing edges are left out (Pearl's underline).
        """
        return self.connected(a, b, given, within, silent).isdisjoint(b)

    def boundary(self, names: Collection[str], given: AbstractSet[str], within: AbstractSet[str]) -> set[str]:
        """The part of ``given`` that screens the rest of it off from ``names``; there is one smallest.

        A given node can go if it is separated from ``names`` by the other ones; all that can go, can go
        together (the intersection axiom holds for m-separation). Such nodes are those that no walk reaches
        that is open given all of ``given``.
        """
        return self.connected(names, (), given, within) & given

    def connected(
        self,
        sources: Collection[str],
        targets: Collection[str],
        given: AbstractSet[str],
        within: AbstractSet[str],
        silent: AbstractSet[str] = frozenset(),
    ) -> set[str]:
        """The nodes where open walks end, given nodes too, among the ancestors of all that is named."""

        def causes(name: str) -> list[str]:
            return [c for c in self.parents[name] if c in within and c not in silent]

        opened = _reached(causes, given)
        near = _reached(causes, {*sources, *targets, *opened})
        # a state is a node, and whether the walk came in by an arrowhead
        frontier = [(name, False) for name in sources]
        seen: set[tuple[str, bool]] = set()
        while frontier:
            state = frontier.pop()
            if state in seen:
                continue
            seen.add(state)
            name, head = state
            if name not in given and name not in silent:
                frontier += [(child, True) for child in self.children[name] if child in near]
            if (name in opened) if head else (name not in given):
                frontier += [(cause, False) for cause in causes(name)]
                frontier += [(spouse, True) for spouse in self.spouses[name] if spouse in near]
        return {name for name, _ in seen}


def _closure(neighbours: Mapping[str, list[str]], names: Iterable[str], within: AbstractSet[str]) -> set[str]:
    return _reached(lambda name: [other for other in neighbours[name] if other in within], names)


def _reached(neighbours, names: Iterable[str]) -> set[str]:
    reached = set(names)
    frontier = list(reached)
    while frontier:
        for other in neighbours(frontier.pop()):
            if other not in reached:
                reached.add(other)
                frontier.append(other)
    return reached
