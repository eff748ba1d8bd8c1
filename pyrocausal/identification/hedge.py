"""Why a query is not identified: the smallest hedge in what the algorithm stopped at.

A hedge (Shpitser and Pearl 2006) for P(y | do(x)) is a pair of sets F ⊃ F', each joined by
bidirected edges: all of F are ancestors of F' inside F, F' is among the ancestors of y that x does not cut
off, and F has actions in it while F' has none. Two models can then agree on all that is observed, and not on
the effect.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet

from pyrocausal.identification.mixed import Mixed


def smallest(
    graph: Mixed, district: AbstractSet[str], target: AbstractSet[str]
) -> tuple[list[str], list[str]]:
    """A hedge (F, F') in a district that *Identify* got stuck with; no node of F can be spared.

    Args:
        district: all of it are ancestors of the target in it.
        target: a district of the ancestors of y that x does not cut off. So a part of ``district`` that
            is joined to the target, causes it, and reaches beyond it, has an action in it.

    >>> from pyrocausal import CausalGraph
    >>> g = Mixed(CausalGraph.from_string("w -> x -> y; x <-> y; w <-> x"))
    >>> smallest(g, {"w", "x", "y"}, {"y"})
    (['x', 'y'], ['y'])
    """
    root = _smallest_root(graph, district, target)
    forest = closed(graph, district, root)
    for name in graph.ordered(forest - root):
        if name in forest and not (smaller := closed(graph, forest - {name}, root)) <= target:
            forest = smaller
    return graph.ordered(forest), graph.ordered(root)


def closed(graph: Mixed, nodes: AbstractSet[str], root: AbstractSet[str]) -> set[str]:
    """The largest part whose nodes are all ancestors of the root in it, and joined to the root.

    Args:
        root: joined by bidirected edges.
    """
    part = set(nodes)
    while True:
        smaller = graph.ancestors(root, graph.district(min(root), part))
        if smaller == part:
            return part
        part = smaller


def _smallest_root(graph: Mixed, district: AbstractSet[str], target: AbstractSet[str]) -> set[str]:
    """One node of the target if one is enough, else the target without what it can spare."""
    for name in graph.ordered(target):
        if not closed(graph, district, {name}) <= target:
            return {name}
    root = set(target)
    for name in graph.ordered(target):
        rest = root - {name}
        joined = rest and graph.district(min(rest), rest) == rest
        if joined and not closed(graph, district, rest) <= target:
            root = rest
    return root


def explained(forest: Collection[str], root: Collection[str], actions: Collection[str]) -> str:
    """The hedge, in a sentence for a student."""
    outside = [name for name in forest if name not in root]
    if len(outside) == len(root) == 1:
        x, y = outside[0], next(iter(root))
        return (
            f"{x} and {y} share a hidden cause, and {x} causes {y}: the bow. Either makes them go together, "
            "and no data tell how much each does"
        )
    acted = listed([name for name in forest if name in actions])
    return (
        f"hidden common causes join {listed(forest)}, and among these arrows lead from each of them to "
        f"{listed(root)}: a hedge. What doing {acted} would bring about can't be told from what the "
        "hidden causes do"
    )


def listed(names: Collection[str]) -> str:
    """The names, as in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
