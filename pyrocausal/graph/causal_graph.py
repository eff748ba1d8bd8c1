"""The causal graph: directed edges for causes, bidirected ones for hidden common causes.

J. Pearl, "Causality" (2009), chapters 1 and 3; latent projection after T. Verma and J. Pearl,
"Equivalence and synthesis of causal models" (1990); districts and m-separation after T. Richardson,
"Markov properties for acyclic directed mixed graphs" (2003).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyrocausal.errors import GraphError
from pyrocausal.graph import check, export, formats, projection, separation, text
from pyrocausal.graph.ordered import OrderedFrozenSet

if TYPE_CHECKING:
    import networkx as nx

    from pyrocausal.graph.drawing import Drawing

Edge = tuple[str, str]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class CausalGraph:
    """An acyclic graph of named variables, with directed and bidirected edges. It never changes.

    Every set it gives out is a frozenset that iterates in a fixed order (that of ``nodes``), so code
    built on it gives the same numbers in every process. Two graphs are equal when they have the same
    nodes, edges and marks, whatever the order they were given in.

    Parameters
    ----------
    nodes
        Names; those that appear in edges need not be listed. Their order breaks ties in ``graph.nodes``.
    edges
        Pairs ``(cause, effect)``.
    bidirected
        Pairs that share a hidden cause, in either order; kept with the alphabetically first name first.
    latent
        The nodes that are not observed.
    intervened, cut, cut_bidirected
        What `do` records: the nodes set from outside, and the edges that this removed.

    Examples
    --------
    >>> g = CausalGraph.from_string("age -> quit -> gain; age -> gain")
    >>> g.nodes
    ('age', 'quit', 'gain')
    >>> g.do("quit")
    CausalGraph.from_string('age -> gain; quit -> gain; age -/> quit; quit [do]')
    >>> g.is_d_separated("age", "gain", given=["quit"])
    False
    """

    nodes: tuple[str, ...]
    edges: frozenset[Edge]
    bidirected: frozenset[Edge]
    latent: frozenset[str]
    intervened: frozenset[str]
    cut: frozenset[Edge]
    cut_bidirected: frozenset[Edge]

    def __init__(
        self,
        nodes: Iterable[str] = (),
        edges: Iterable[Edge] = (),
        bidirected: Iterable[Edge] = (),
        latent: Iterable[str] = (),
        *,
        intervened: Iterable[str] = (),
        cut: Iterable[Edge] = (),
        cut_bidirected: Iterable[Edge] = (),
    ):
        given = check.names_of(nodes, "nodes")
        if repeated := [name for name, times in Counter(given).items() if times > 1]:
            raise GraphError(
                f"nodes names {check.listed(repeated)} twice",
                "each node is one variable",
                "drop the repeats, or give the second variable its own name",
            )
        directed = check.pairs_of(edges, "edges")
        confounded = check.pairs_of(bidirected, "bidirected", symmetric=True)
        mentioned = dict.fromkeys((*given, *(name for edge in (*directed, *confounded) for name in edge)))
        order = check.topological_order(tuple(mentioned), directed)
        object.__setattr__(self, "nodes", order)

        def in_order(names: Iterable[str], argument: str) -> OrderedFrozenSet:
            return self._known(check.names_of(names, argument))

        def edges_in_order(pairs: tuple[Edge, ...]) -> OrderedFrozenSet:
            check.check_known([name for pair in pairs for name in pair], self._rank)
            return self._sorted(pairs)

        values = {
            "edges": edges_in_order(directed),
            "bidirected": edges_in_order(confounded),
            "latent": in_order(latent, "latent"),
            "intervened": in_order(intervened, "intervened"),
            "cut": edges_in_order(check.pairs_of(cut, "cut")),
            "cut_bidirected": edges_in_order(
                check.pairs_of(cut_bidirected, "cut_bidirected", symmetric=True)
            ),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    # ---- reading and writing ------------------------------------------------------------------

    @classmethod
    def from_string(cls, graph: str) -> CausalGraph:
        """Read ``age -> quit -> gain; a <-> c; u [latent]`` (all of it: `pyrocausal.graph.text`).

        Dagitty's and Graphviz's languages (`pyrocausal.graph.dot`) and GML are told by how the text begins.

        >>> CausalGraph.from_string("`smoking years` -> gain <- age; lonely").roots
        {'smoking years', 'age', 'lonely'}
        >>> CausalGraph.from_string('dag { x [exposure,pos="0,1"]  x -> y  u [latent]  x <-> y }')
        CausalGraph.from_string('x -> y; x <-> y; u [latent]')
        """
        return cls(**vars(formats.parse(graph)))

    @classmethod
    def from_file(cls, path: str | Path) -> CausalGraph:
        """Read a file named ``.dot``, ``.gv``, ``.dagitty`` or ``.gml``, or ``.txt`` with any such text."""
        return cls(**vars(formats.parse_file(path)))

    @classmethod
    def from_networkx(cls, graph: nx.DiGraph) -> CausalGraph:
        """Read a ``networkx.DiGraph`` as `to_networkx` writes it.

        >>> import networkx as nx
        >>> CausalGraph.from_networkx(nx.DiGraph([("age", "quit")], bidirected=[("quit", "gain")]))
        CausalGraph.from_string('age -> quit; gain <-> quit')
        """
        return cls(**export.from_networkx(graph))

    def to_string(self, separator: str = "; ") -> str:
        """The text that `from_string` reads back.

        >>> CausalGraph(edges=[("age", "quit")], latent=["age"]).to_string()
        'age -> quit; age [latent]'
        """
        return text.write(self, separator)

    def to_networkx(self) -> nx.DiGraph:
        """A ``networkx.DiGraph`` of the directed edges.

        ``latent=True`` and ``intervened=True`` are node attributes; ``bidirected``, ``cut`` and
        ``cut_bidirected`` are lists of pairs among the attributes of the graph (``.graph[...]``).

        >>> CausalGraph.from_string("u [latent] -> x; x <-> y").to_networkx().nodes(data=True)
        NodeDataView({'u': {'latent': True}, 'x': {}, 'y': {}})
        """
        return export.to_networkx(self)

    def to_mermaid(self) -> str:
        """A mermaid flowchart: GitHub and MyST draw it."""
        return export.to_mermaid(self)

    def to_dot(self) -> str:
        """Graphviz's language."""
        return export.to_dot(self)

    def __repr__(self) -> str:
        return f"CausalGraph.from_string({self.to_string()!r})"

    def show(
        self,
        *,
        evidence: str | Iterable[str] = (),
        adjust: str | Iterable[str] = (),
        paths: str | Iterable[str] = (),
        direction: Literal["LR", "TD"] | None = None,
    ) -> Drawing:
        """A picture with marks, which Jupyter shows and `.save("graph.svg")` writes.

        Hidden nodes are dashed, hidden common causes dashed arcs, and edges that ``do`` cut carry scissors.

        Args:
            evidence: what is conditioned on.
            adjust: what is adjusted for.
            paths: two nodes: all paths between them, open or blocked given both sets; or paths as text.
            direction: "LR" (left to right) or "TD" (top down).

        >>> CausalGraph.from_string("age -> quit -> gain; age -> gain").show(
        ...     adjust="age", paths=("quit", "gain"))
        Drawing of age -> quit -> gain; age -> gain
          quit -> gain   open
          quit <- age -> gain   blocked at age
        """
        from pyrocausal.graph.drawing import drawing

        return drawing(self, evidence=evidence, adjust=adjust, paths=paths, direction=direction)

    def _repr_html_(self) -> str:
        from pyrocausal.graph import draw  # drawing is needed by those who look, not by those who compute

        return draw.svg(self)

    # ---- value semantics ----------------------------------------------------------------------

    @cached_property
    def _value(self) -> tuple[frozenset[Any], ...]:
        marks = (self.latent, self.intervened, self.cut, self.cut_bidirected)
        return (frozenset(self.nodes), self.edges, self.bidirected, *marks)

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, CausalGraph) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __contains__(self, name: object) -> bool:
        return name in self._rank

    # ---- relations ----------------------------------------------------------------------------

    @property
    def observed(self) -> frozenset[str]:
        """The nodes that are not latent."""
        return self._set(set(self.nodes) - self.latent)

    @property
    def roots(self) -> frozenset[str]:
        """The nodes without parents."""
        return self._set(name for name in self.nodes if not self._parents[name])

    @property
    def leaves(self) -> frozenset[str]:
        """The nodes without children."""
        return self._set(name for name in self.nodes if not self._children[name])

    def topological_order(self) -> tuple[str, ...]:
        """The nodes, each after its parents; ties stand as they were given. The same as ``nodes``."""
        return self.nodes

    def select(self, names: str | Iterable[str], argument: str = "names") -> frozenset[str]:
        """The names as a set in the order of ``nodes``; a name that is no node is an error.

        >>> list(CausalGraph.from_string("age -> quit -> gain").select(["gain", "age"]))
        ['age', 'gain']
        """
        return self._known([names] if isinstance(names, str) else check.names_of(names, argument))

    def parents(self, *names: str) -> frozenset[str]:
        """The direct causes of any of ``names``.

        >>> CausalGraph.from_string("age -> gain; quit -> gain").parents("gain")
        {'age', 'quit'}
        """
        return self._neighbours(self._parents, names)

    def children(self, *names: str) -> frozenset[str]:
        """The direct effects of any of ``names``."""
        return self._neighbours(self._children, names)

    def spouses(self, *names: str) -> frozenset[str]:
        """The nodes joined to any of ``names`` by a bidirected edge."""
        return self._neighbours(self._spouses, names)

    def ancestors(self, *names: str) -> frozenset[str]:
        """All causes of ``names``, direct or not; the names themselves are never in it.

        >>> CausalGraph.from_string("age -> quit -> gain").ancestors("gain")
        {'age', 'quit'}
        """
        return self._set(self._closure(self._parents, names) - set(names))

    def descendants(self, *names: str) -> frozenset[str]:
        """All effects of ``names``, direct or not; the names themselves are never in it."""
        return self._set(self._closure(self._children, names) - set(names))

    def district(self, name: str) -> frozenset[str]:
        """The nodes reached from ``name`` by bidirected edges, with ``name``: its c-component.

        >>> CausalGraph.from_string("x <-> y <-> z; x -> w").district("x")
        {'x', 'y', 'z'}
        """
        return self._set(self._closure(self._spouses, [name]))

    @property
    def districts(self) -> tuple[frozenset[str], ...]:
        """The partition of the nodes by bidirected edges, in the order of ``nodes``."""
        seen: set[str] = set()
        found = []
        for name in self.nodes:
            if name not in seen:
                found.append(self._set(self._reach(self._spouses, [name])))
                seen |= found[-1]
        return tuple(found)

    # ---- other graphs from this one -----------------------------------------------------------

    def do(self, *names: str, parents: Mapping[str, Iterable[str]] | None = None) -> CausalGraph:
        """The graph after an intervention: edges into ``names``, bidirected ones too, are cut.

        ``parents`` gives the variables that a policy reads: those edges are added. A policy that
        reads the natural value of its own variable (``x + 1``) lists it: then nothing into it is cut.
        The result remembers ``intervened``, ``cut`` and ``cut_bidirected``.

        >>> g = CausalGraph.from_string("age -> quit -> gain; quit <-> gain")
        >>> g.do("quit")
        CausalGraph.from_string('quit -> gain; age -/> quit; gain </> quit; quit [do]')
        >>> g.do(parents={"quit": ["age"]}).parents("quit")
        {'age'}
        """
        policies = {
            name: check.names_of(reads, f"parents[{name!r}]") for name, reads in (parents or {}).items()
        }
        targets = self._known((*names, *policies))
        self._known([read for reads in policies.values() for read in reads])
        set_afresh = targets - {name for name, reads in policies.items() if name in reads}
        added = {(read, name) for name, reads in policies.items() for read in reads if read != name}
        kept = {edge for edge in self.edges if edge[1] not in set_afresh} | added
        confounded = {pair for pair in self.bidirected if set_afresh.isdisjoint(pair)}
        return self._with(
            edges=kept,
            bidirected=confounded,
            intervened=self.intervened | targets,
            cut=(self.cut | (self.edges - kept)) - kept,
            cut_bidirected=self.cut_bidirected | (self.bidirected - confounded),
        )

    def rewired(self, cut: Iterable[Edge], added: Iterable[Edge] = ()) -> CausalGraph:
        """The graph after an intervention that only some children see: edges are cut, others added.

        >>> CausalGraph.from_string("t -> m -> y; t -> y").rewired(cut=[("t", "y")])
        CausalGraph.from_string('t -> m -> y; t -/> y')
        """
        gone, new = set(check.pairs_of(cut, "cut")), set(check.pairs_of(added, "added"))
        return self._with(edges=(self.edges - gone) | new, cut=(self.cut | gone) - new)

    def without_outgoing(self, *names: str) -> CausalGraph:
        r"""The graph without the edges out of ``names``: Pearl's :math:`G_{\underline X}`.

        >>> CausalGraph.from_string("age -> quit -> gain").without_outgoing("quit").edges
        {('age', 'quit')}
        """
        sources = self._known(names)
        kept = OrderedFrozenSet(edge for edge in self.edges if edge[0] not in sources)
        return self._derived(edges=kept)

    def subgraph(self, names: Iterable[str]) -> CausalGraph:
        """The nodes ``names`` and the edges among them; other nodes vanish, with what they carried.

        To leave nodes out and keep the dependence through them, use `project`.
        """
        kept = self._known(check.names_of(names, "names"))

        def within(pairs: frozenset[Edge]) -> OrderedFrozenSet:
            return OrderedFrozenSet(pair for pair in pairs if kept.issuperset(pair))

        return self._derived(
            nodes=tuple(kept),
            edges=OrderedFrozenSet((a, b) for a in kept for b in self._children[a] if b in kept),
            bidirected=within(self.bidirected),
            latent=kept & self.latent,
            intervened=kept & self.intervened,
            cut=within(self.cut),
            cut_bidirected=within(self.cut_bidirected),
        )

    def project(self, observed: Iterable[str] | None = None) -> CausalGraph:
        """The latent projection on ``observed`` (default: all that are not latent).

        It has the same ancestral relations and m-separations among them as this graph. A directed
        path through hidden nodes becomes an edge, and a hidden common cause a bidirected edge.

        >>> CausalGraph.from_string("u [latent]; u -> x; u -> y; x -> m [latent] -> y").project()
        CausalGraph.from_string('x -> y; x <-> y')
        """
        kept = self.observed if observed is None else self._known(check.names_of(observed, "observed"))
        directed, confounded = projection.project(self, kept)
        rest = self.subgraph(kept)
        return rest._derived(
            edges=rest._sorted(directed),
            bidirected=rest._sorted(confounded),
            cut=rest.cut - directed,
        )

    def with_latent(self, names: Iterable[str]) -> CausalGraph:
        """The same graph, with ``names`` latent too."""
        more = self._known(check.names_of(names, "names"))
        return self._derived(latent=self._set(self.latent | more))

    # ---- independence -------------------------------------------------------------------------

    def is_d_separated(
        self, x: str | Iterable[str], y: str | Iterable[str], given: str | Iterable[str] = ()
    ) -> bool:
        """Whether the graph makes ``x`` and ``y`` independent given ``given`` (m-separation).

        >>> g = CausalGraph.from_string("x -> m -> y; x <-> c <-> y")
        >>> g.is_d_separated("x", "y", "m"), g.is_d_separated("x", "y", ["m", "c"])
        (True, False)
        """
        xs, ys, zs = self._disjoint(x, y, given)
        return separation.reachable(self, xs, zs).isdisjoint(ys)

    def open_paths(self, x: str, y: str, given: str | Iterable[str] = ()) -> tuple[str, ...]:
        """The paths along which ``x`` and ``y`` are dependent given ``given``, written out.

        Their number can grow exponentially with the graph: to look at, not to compute with.

        >>> CausalGraph.from_string("age -> quit -> gain; age -> gain").open_paths("quit", "gain")
        ('quit -> gain', 'quit <- age -> gain')
        """
        (_, _, zs) = self._disjoint(x, y, given)
        return tuple(separation.open_paths(self, x, y, zs))

    # ---- inside -------------------------------------------------------------------------------

    @cached_property
    def _rank(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.nodes)}

    @cached_property
    def _parents(self) -> dict[str, list[str]]:
        return self._adjacency((effect, cause) for cause, effect in self.edges)

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        return self._adjacency(self.edges)

    @cached_property
    def _spouses(self) -> dict[str, list[str]]:
        return self._adjacency((*self.bidirected, *((b, a) for a, b in self.bidirected)))

    def _adjacency(self, pairs: Iterable[Edge]) -> dict[str, list[str]]:
        adjacency: dict[str, list[str]] = {name: [] for name in self.nodes}
        for name, neighbour in pairs:
            adjacency[name].append(neighbour)
        return adjacency

    def _set(self, names: Iterable[str]) -> OrderedFrozenSet:
        return OrderedFrozenSet(sorted(set(names), key=self._rank.__getitem__))

    def _sorted(self, pairs: Iterable[Edge]) -> OrderedFrozenSet:
        rank = self._rank
        return OrderedFrozenSet(sorted(pairs, key=lambda pair: (rank[pair[0]], rank[pair[1]])))

    def _known(self, names: Iterable[str]) -> OrderedFrozenSet:
        return self._set(check.check_known(names, self._rank))

    def _neighbours(self, adjacency: Mapping[str, list[str]], names: Iterable[str]) -> OrderedFrozenSet:
        return self._set(neighbour for name in self._known(names) for neighbour in adjacency[name])

    def _closure(self, adjacency: Mapping[str, list[str]], names: Iterable[str]) -> set[str]:
        return self._reach(adjacency, self._known(names))

    def _reach(self, adjacency: Mapping[str, list[str]], known: Iterable[str]) -> set[str]:
        reached: set[str] = set()
        frontier = list(known)
        while frontier:
            if (name := frontier.pop()) not in reached:
                reached.add(name)
                frontier += adjacency[name]
        return reached

    def _with(self, **changes: Any) -> CausalGraph:
        """The graph with other parts, checked and put in order."""
        return CausalGraph(**{name: getattr(self, name) for name in self.__dataclass_fields__} | changes)

    def _derived(self, **changes: Any) -> CausalGraph:
        """The same for parts that are known to be right, and in order: it costs no more than they do.

        Leaving out nodes and edges keeps a topological order one, and algorithms leave out many times.
        """
        graph = object.__new__(CausalGraph)
        for name in self.__dataclass_fields__:
            object.__setattr__(graph, name, changes[name] if name in changes else getattr(self, name))
        return graph

    def _disjoint(self, *groups: str | Iterable[str]) -> list[OrderedFrozenSet]:
        sets = [self._known([group] if isinstance(group, str) else group) for group in groups]
        for (i, a), (j, b) in ((p, q) for p in enumerate(sets) for q in enumerate(sets) if p[0] < q[0]):
            if a & b:
                roles = ("x", "y", "given")
                raise GraphError(
                    f"{check.listed(a & b)} stands both in {roles[i]} and in {roles[j]}",
                    "separation is a statement about disjoint sets of variables",
                    f"take it out of {roles[i]} or of {roles[j]}",
                )
        return sets
