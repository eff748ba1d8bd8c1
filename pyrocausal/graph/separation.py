"""m-separation: which independences a graph implies, for graphs with bidirected edges too.

T. Richardson, "Markov properties for acyclic directed mixed graphs", Scandinavian Journal of
Statistics 30 (2003). Without bidirected edges it is Pearl's d-separation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

from pyrocausal.graph.text import quote

if TYPE_CHECKING:
    from pyrocausal.graph.causal_graph import CausalGraph


class Step(NamedTuple):
    """One edge of a walk: where it leads, and whether it has an arrowhead at either end."""

    to: str
    arrow: str
    head_at_start: bool
    head_at_end: bool


def steps(graph: CausalGraph, node: str) -> Iterator[Step]:
    yield from (Step(child, "->", False, True) for child in graph.children(node))
    yield from (Step(parent, "<-", True, False) for parent in graph.parents(node))
    yield from (Step(spouse, "<->", True, True) for spouse in graph.spouses(node))


def passes(node: str, collider: bool, given: AbstractSet[str], opened: AbstractSet[str]) -> bool:
    """Whether a walk may go on through ``node``: the blocking rule.

    ``opened`` are the given nodes and their ancestors, where a collider lets dependence through.
    """
    return node in opened if collider else node not in given


def reachable(graph: CausalGraph, sources: AbstractSet[str], given: AbstractSet[str]) -> set[str]:
    """All nodes connected to a source by a walk that is open given ``given`` (the Bayes ball).

    A state is a node, and whether the walk came to it by an arrowhead: if it leaves by one too, the node is
    a collider.
    """
    opened = given | graph.ancestors(*given)
    frontier = [(step.to, step.head_at_end) for source in sources for step in steps(graph, source)]
    seen = set()
    while frontier:
        state = (node, head) = frontier.pop()
        if state in seen:
            continue
        seen.add(state)
        if passes(node, False, given, opened):
            frontier += [(child, True) for child in graph._children[node]]
        if passes(node, head, given, opened):
            frontier += [(parent, False) for parent in graph._parents[node]]
            frontier += [(spouse, True) for spouse in graph._spouses[node]]
    return {node for node, _ in seen}


def shortest_open_path(
    graph: CausalGraph, sources: AbstractSet[str], targets: AbstractSet[str], given: AbstractSet[str]
) -> str | None:
    """An open path with the fewest edges, as text, or None: in linear time, where `open_paths` lists all.

    The shortest open walk is a path: at a node that it visits twice, it could be cut short.

    >>> from pyrocausal.graph import CausalGraph
    >>> shortest_open_path(CausalGraph.from_string("x <- age -> y; x -> m -> y"), {"x"}, {"y"}, {"m"})
    'x <- age -> y'
    """
    opened = given | graph.ancestors(*given)
    frontier = deque(
        (quote(source), step) for source in graph.select(sources) for step in steps(graph, source)
    )
    seen = set()
    while frontier:
        text, last = frontier.popleft()
        if (last.to, last.head_at_end) in seen:
            continue
        seen.add((last.to, last.head_at_end))
        text = f"{text} {last.arrow} {quote(last.to)}"
        if last.to in targets:
            return text
        for step in steps(graph, last.to):
            if passes(last.to, last.head_at_end and step.head_at_start, given, opened):
                frontier.append((text, step))
    return None


def open_paths(graph: CausalGraph, x: str, y: str, given: AbstractSet[str]) -> Iterator[str]:
    """The open paths from ``x`` to ``y`` that visit no node twice, as text (``x <- age -> y``)."""
    opened = given | graph.ancestors(*given)

    def extend(text: str, visited: tuple[str, ...], last: Step | None) -> Iterator[str]:
        here = visited[-1]
        if here == y:
            yield text
            return
        for step in steps(graph, here):
            collider = last is not None and last.head_at_end and step.head_at_start
            if step.to not in visited and (last is None or passes(here, collider, given, opened)):
                yield from extend(f"{text} {step.arrow} {quote(step.to)}", (*visited, step.to), step)

    yield from extend(quote(x), (x,), None)


class Path(NamedTuple):
    """A path, and where it is blocked: by a given node, or by a collider that nothing given opens."""

    text: str
    blocked: tuple[str, ...]


def paths(graph: CausalGraph, x: str, y: str, given: AbstractSet[str]) -> Iterator[Path]:
    """Every path from ``x`` to ``y`` that visits no node twice, short ones first, and what blocks it.

    >>> from pyrocausal.graph import CausalGraph
    >>> list(paths(CausalGraph.from_string("x -> y; x <- z -> y"), "x", "y", {"z"}))
    [Path(text='x -> y', blocked=()), Path(text='x <- z -> y', blocked=('z',))]
    """
    opened = given | graph.ancestors(*given)
    near = _between(graph, x, y)
    frontier: deque[tuple[str, tuple[str, ...], bool, tuple[str, ...]]] = deque([(quote(x), (x,), False, ())])
    while frontier:
        text, visited, head, blocked = frontier.popleft()
        for step in steps(graph, visited[-1]):
            if step.to in visited or step.to not in near:
                continue
            here = visited[-1]
            free = here == x or passes(here, head and step.head_at_start, given, opened)
            stops = blocked if free else (*blocked, here)
            longer = f"{text} {step.arrow} {quote(step.to)}"
            if step.to == y:
                yield Path(longer, stops)
            else:
                frontier.append((longer, (*visited, step.to), step.head_at_end, stops))


def _between(graph: CausalGraph, x: str, y: str) -> set[str]:
    """The nodes that lie on some path from x to y: others need not be tried, and could be very many.

    They are the block of both, were the two joined by an edge.
    """
    import networkx as nx

    ties = nx.Graph([(x, y), *graph.edges, *graph.bidirected])
    return next(block for block in nx.biconnected_components(ties) if {x, y} <= block)
