"""The front door: an effect that is known through what carries it, when x and y share hidden causes.

J. Pearl, "Causality" (2009), definition 3.3.3 and theorem 3.3.4; finding and listing after H. Jeong, J. Tian
and E. Bareinboim, "Finding and listing front-door adjustment sets" (NeurIPS 2022). A set m meets it if

1. m intercepts all directed paths from x to y;
2. no back-door path from x to m is open: x ⫫ m in the graph without edges out of x;
3. x blocks all back-door paths from m to y: m ⫫ y | x in the graph without edges out of m.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.separation import reachable
from pyrocausal.identification.expression import Expression, P, Symbol, product, renamed, summed
from pyrocausal.identification.roles import Names, Roles, disjoint, roles


def is_front_door_set(graph: CausalGraph, x: Names, y: Names, m: Names) -> bool:
    """Whether m meets the front-door criterion.

    Raises:
        GraphError, IdentifyError: unknown names, a latent variable, or one with two roles.

    >>> is_front_door_set(CausalGraph.from_string("x -> m -> y; x <-> y"), "x", "y", "m")
    True
    """
    who = roles(graph, x, y, required=m)
    chosen = who.required
    return (
        intercepts(graph, who, chosen)
        and graph.without_outgoing(*who.x).is_d_separated(who.x, chosen)
        and graph.without_outgoing(*chosen).is_d_separated(chosen, who.y, who.x)
    )


def front_door_set(
    graph: CausalGraph, x: Names, y: Names, *, allowed: Names | None = None, required: Names = ()
) -> frozenset[str] | None:
    """A front-door set from which nothing (that is not required) can be left out; None if there is none.

    Args:
        allowed: what it may have; by default all that is observed.
        required: what it must have.

    >>> front_door_set(CausalGraph.from_string("x -> a -> b -> y; x <-> y"), "x", "y")
    {'b'}
    """
    who = roles(graph, x, y, allowed, required)
    chosen = largest(graph, who, who.allowed)
    if chosen is None:
        return None
    bystanders = chosen - (graph.descendants(*who.x) & graph.ancestors(*who.y))
    for spared in (bystanders, *({name} for name in chosen)):  # many at once, then one by one
        smaller = largest(graph, who, (chosen - spared) | who.required)
        chosen = chosen if smaller is None else smaller
    return chosen


def front_door_sets(
    graph: CausalGraph,
    x: Names,
    y: Names,
    minimal: bool = True,
    *,
    allowed: Names | None = None,
    required: Names = (),
) -> Iterator[frozenset[str]]:
    """All front-door sets, each once; there can be exponentially many.

    Args:
        minimal: only those from which nothing (that is not required) can be left out. The time up to the next
            set is polynomial if this is False; the minimal ones are picked from among all.

    >>> list(front_door_sets(CausalGraph.from_string("x -> a -> b -> y; x <-> y"), "x", "y"))
    [{'b'}, {'a'}]
    """
    who = roles(graph, x, y, allowed, required)
    branches = [(who.required, who.allowed)]
    while branches:
        inside, possible = branches.pop()
        found = largest(graph, Roles(who.x, who.y, possible, inside), possible)
        if found is None:
            continue
        if undecided := found - inside:
            chosen = next(iter(undecided))
            branches += [(graph.select(inside | {chosen}), found), (inside, found - {chosen})]
        elif not minimal or is_minimal(graph, who, found):
            yield found


def is_minimal(graph: CausalGraph, who: Roles, m: frozenset[str]) -> bool:
    return all(largest(graph, who, m - {name}) is None for name in m - who.required)


def largest(graph: CausalGraph, who: Roles, allowed: frozenset[str]) -> frozenset[str] | None:
    """The front-door set, among allowed nodes, that has all others in it; None if there is none.

    Nodes that break condition 2 can be in no set. Nodes that break condition 3 leave in rounds: each lets
    paths pass that it cut. What is left is as large as it can be: if it does not intercept, nothing does.
    """
    chosen = allowed - reachable(graph.without_outgoing(*who.x), who.x, frozenset())
    while wrong := chosen & reachable(graph.without_outgoing(*chosen), who.y, who.x):
        chosen = chosen - wrong
    fine = who.required <= chosen and intercepts(graph, who, chosen)
    return graph.select(chosen) if fine else None


def intercepts(graph: CausalGraph, who: Roles, m: frozenset[str]) -> bool:
    rest = graph.subgraph(node for node in graph.nodes if node not in m)
    return rest.descendants(*who.x).isdisjoint(who.y)


def front_door_formula(x: Names, y: Names, m: Names) -> Expression:
    """``Σ_m P(m | x) Σ_x' P(y | x', m) P(x')``, which is P(y | do(x)) if m is a front-door set.

    >>> str(front_door_formula("x", "y", "m"))
    "Σ_m P(m | x) Σ_x' P(y | x', m) P(x')"
    """
    xs, ys, ms = (tuple([group] if isinstance(group, str) else group) for group in (x, y, m))
    disjoint({"x": frozenset(xs), "y": frozenset(ys), "m": frozenset(ms)})
    primed = {Symbol(name): Symbol(name, primes=1) for name in xs}
    if not ms:  # nothing carries an effect
        return P.of(ys)
    inner = renamed(product(P.of(ys, given=(*xs, *ms)), P.of(xs)), primed)
    return summed(map(Symbol, ms), product(P.of(ms, given=xs), summed(primed.values(), inner)))
