"""Covariate adjustment: sets z for which ``P(y | do(x)) = Σ_z P(y | x, z) P(z)``, found and listed.

Which sets they are: I. Shpitser, T. VanderWeele and J. Robins, "On the validity of covariate adjustment for
estimating causal effects" (UAI 2010), in the form of B. van der Zander, M. Liśkiewicz and J. Textor,
"Separators and adjustment sets in causal graphs", Artificial Intelligence 270 (2019); E. Perković et al.,
"Complete graphical characterization and construction of adjustment sets", JMLR 18 (2018), have the same one
for more graphs. A set z is valid if and only if

- no node of z is *forbidden*: on a proper causal path from x to y, or an effect of such a node; and
- z separates x from y in the *proper back-door graph*, where the first edges of those paths are cut.

x and y may be sets; a path is proper if it leaves x at once. Latent nodes are not adjusted for, and all else
is said about the graph with them in it: nothing is lost by projecting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.check import listed
from pyrocausal.graph.separation import shortest_open_path
from pyrocausal.identification import separators
from pyrocausal.identification.expression import Expression, P, Symbol, product, summed
from pyrocausal.identification.roles import Names, Roles, disjoint, roles

Kind = Literal["minimal", "minimum", "optimal", "parents", "all"]


@dataclass(frozen=True)
class Setting(Roles):
    """The roles, and what the graph says about them.

    Args:
        causal: the nodes other than x on proper causal paths from x to y.
        forbidden: those, and their effects.
        backdoor: the proper back-door graph.
    """

    causal: frozenset[str]
    forbidden: frozenset[str]
    backdoor: CausalGraph

    @property
    def candidates(self) -> frozenset[str]:
        return self.allowed - self.forbidden

    @property
    def required_in_vain(self) -> bool:
        return not self.required.isdisjoint(self.forbidden)


def setting(
    graph: CausalGraph, x: Names, y: Names, allowed: Names | None = None, required: Names = ()
) -> Setting:
    """Find the nodes on proper causal paths, and the proper back-door graph."""
    who = roles(graph, x, y, allowed, required)
    causal = causal_nodes(graph, who.x, who.y)
    forbidden = causal | graph.descendants(*causal)
    first = [(a, b) for a in who.x for b in graph.children(a) if b in causal]
    return Setting(**vars(who), causal=causal, forbidden=forbidden, backdoor=graph.rewired(cut=first))


def causal_nodes(graph: CausalGraph, x: frozenset[str], y: frozenset[str]) -> frozenset[str]:
    """The nodes other than x on directed paths from x to y that do not come back to x."""
    rest = graph.subgraph(node for node in graph.nodes if node not in x)
    first = graph.children(*x) - x
    reached = first | rest.descendants(*first)
    return graph.select(reached & (y | rest.ancestors(*y)))


def is_adjustment_set(graph: CausalGraph, x: Names, y: Names, z: Names = ()) -> bool:
    """Whether adjusting for z gives P(y | do(x)) in every model with this graph.

    The criterion is complete: where it says no, the formula is wrong for some model with the graph.

    Raises:
        GraphError, IdentifyError: unknown names, a latent variable, or one with two roles.

    >>> graph = CausalGraph.from_string("x <- age -> y; x -> m -> y; m -> test")
    >>> [is_adjustment_set(graph, "x", "y", z) for z in ("age", (), ("age", "test"))]
    [True, False, False]
    """
    how = setting(graph, x, y, required=z)
    return not how.required_in_vain and how.backdoor.is_d_separated(how.x, how.y, how.required)


def is_backdoor_set(graph: CausalGraph, x: Names, y: Names, z: Names = ()) -> bool:
    """Whether z meets the back-door criterion: J. Pearl, "Causality" (2009), definition 3.3.1.

    No node of z is an effect of x, and z blocks all paths into x that end in y (for sets: that do not come
    back to x). Such a set is valid for adjustment; not every valid set is one.

    >>> graph = CausalGraph.from_string("x -> y; x -> w")
    >>> is_backdoor_set(graph, "x", "y", "w"), is_adjustment_set(graph, "x", "y", "w")
    (False, True)
    """
    who = roles(graph, x, y, required=z)
    if not who.required.isdisjoint(graph.descendants(*who.x)):
        return False
    return graph.without_outgoing(*who.x).is_d_separated(who.x, who.y, who.required)


def adjustment_set(
    graph: CausalGraph,
    x: Names,
    y: Names,
    kind: Kind = "minimal",
    *,
    allowed: Names | None = None,
    required: Names = (),
    costs: Mapping[str, float] | None = None,
) -> frozenset[str] | None:
    """A set that is valid for adjustment, or None if there is none of the kind.

    Args:
        kind: which one.

            - "minimal": nothing can be left out. Of all such sets it is the one with the smallest asymptotic
              variance (E. Smucler, F. Sapienza and A. Rotnitzky, "Efficient adjustment in causal graphical
              models with hidden variables", Biometrika 109, 2022; for one x).
            - "minimum": the fewest variables, or the lowest total of `costs`; of all such sets the one with
              the smallest asymptotic variance (the same paper; where costs are all 1).
            - "optimal": the smallest asymptotic variance of all valid sets, whatever the model. It is the
              O-set of L. Henckel, E. Perković and M. Maathuis, "Graphical criteria for efficient total effect
              estimation via adjustment in causal linear models", JRSS B 84 (2022), if all of that is allowed,
              and the set that stands around y if only ancestors of x and y are allowed (Smucler et al.).
              Where neither holds, no set need be best for all models: it is then the "minimal" one, which is
              known to be best only among the minimal ones. If x has no effect on y, it is the best of the
              sets without effects of y.
            - "parents": the parents of x.
            - "all": all allowed ancestors of x and y that are not forbidden: it is valid if any set is.

        allowed: what may be adjusted for; by default all that is observed.
        required: what must be in it.
        costs: of single variables, for "minimum"; 1 where none is given.

    Raises:
        GraphError, IdentifyError: unknown names, a latent variable, or one with two roles; an unknown kind;
            costs that are negative or not for "minimum".

    >>> graph = CausalGraph.from_string("x <- a -> b -> y; x -> y <- c")
    >>> adjustment_set(graph, "x", "y"), adjustment_set(graph, "x", "y", "optimal")
    ({'b'}, {'b', 'c'})
    """
    check_kind(kind, costs)
    how = setting(graph, x, y, allowed, required)
    if how.required_in_vain:
        return None
    where = (how.backdoor, how.x, how.y, how.candidates, how.required)
    match kind:
        case "minimum":
            return separators.minimum_separator(*where, costs)
        case "optimal":
            return optimal(graph, how)
        case "parents":
            return valid(how, graph.parents(*how.x) - how.x)
        case "all":
            around = how.x | how.y | how.required
            return valid(how, how.candidates & (around | how.backdoor.ancestors(*around)))
    return separators.minimal_separator(*where)


def optimal(graph: CausalGraph, how: Setting) -> frozenset[str] | None:
    last = how.causal | how.y
    best = graph.parents(*last) - how.forbidden - how.x - how.y
    if not graph.spouses(*last) and valid(how, best) is not None:
        return best
    where = (how.backdoor, how.x, how.y, how.candidates, how.required)
    if how.candidates <= graph.ancestors(*how.x, *how.y):
        return separators.neighbourhood(*where)
    return separators.minimal_separator(*where)


def valid(how: Setting, z: frozenset[str]) -> frozenset[str] | None:
    """The set, if it is allowed and separates."""
    usable = how.required <= z <= how.candidates
    return z if usable and how.backdoor.is_d_separated(how.x, how.y, z) else None


def adjustment_sets(
    graph: CausalGraph,
    x: Names,
    y: Names,
    minimal: bool = True,
    *,
    allowed: Names | None = None,
    required: Names = (),
) -> Iterator[frozenset[str]]:
    """All valid sets, one after the other, each once; there can be exponentially many.

    The time up to the next one is polynomial. See `adjustment_set` for the arguments.

    Args:
        minimal: only those from which nothing (that is not required) can be left out.

    >>> graph = CausalGraph.from_string("x <- a -> b -> y; x -> y")
    >>> list(adjustment_sets(graph, "x", "y")), len(list(adjustment_sets(graph, "x", "y", minimal=False)))
    ([{'a'}, {'b'}], 3)
    """
    how = setting(graph, x, y, allowed, required)
    if how.required_in_vain:
        return iter(())
    listing = separators.minimal_separators if minimal else separators.separators
    return listing(how.backdoor, how.x, how.y, how.candidates, how.required)


def why_no_adjustment(
    graph: CausalGraph,
    x: Names,
    y: Names,
    z: Names | None = None,
    *,
    allowed: Names | None = None,
    required: Names = (),
) -> str:
    """Why z is not valid, or, without z, why no set is: a sentence; empty if there is no reason.

    >>> graph = CausalGraph.from_string("x -> m -> y; x <- u [latent] -> y")
    >>> why_no_adjustment(graph, "x", "y", "m")
    "'m' is forbidden: on a causal path from x to y, or an effect of a node on one"
    >>> why_no_adjustment(graph, "x", "y")
    'x <- u -> y stays open, whatever is adjusted for'
    """
    how = setting(graph, x, y, allowed, required if z is None else z)
    if wrong := how.required & how.forbidden:
        which = f"{listed(wrong)} {'is' if len(wrong) == 1 else 'are'} forbidden"
        return f"{which}: on a causal path from {_set(how.x)} to {_set(how.y)}, or an effect of a node on one"
    given = how.required
    if z is None:
        around = how.x | how.y | how.required
        given = given | (how.candidates & how.backdoor.ancestors(*around))
    path = shortest_open_path(how.backdoor, how.x, how.y, given)
    if path is None:
        return ""
    if z is None:
        return f"{path} stays open, whatever is adjusted for"
    return f"{path} is open" + (f" given {_set(given)}" if given else "")


def _set(names: frozenset[str]) -> str:
    return ", ".join(names)


def adjustment_formula(x: Names, y: Names, z: Names = ()) -> Expression:
    """``Σ_z P(y | x, z) P(z)``, which is P(y | do(x)) where z is valid: see `is_adjustment_set`.

    >>> str(adjustment_formula("x", "y", ["a", "b"]))
    'Σ_{a, b} P(y | x, a, b) P(a, b)'
    """
    xs, ys, zs = (tuple([group] if isinstance(group, str) else group) for group in (x, y, z))
    disjoint({"x": frozenset(xs), "y": frozenset(ys), "z": frozenset(zs)})
    if not zs:
        return P.of(ys, given=xs)
    return summed(map(Symbol, zs), product(P.of(ys, given=(*xs, *zs)), P.of(zs)))


def check_kind(kind: str, costs: Mapping[str, float] | None) -> None:
    kinds = get_args(Kind)
    if kind not in kinds:
        raise IdentifyError(f"there is no kind {kind!r} of adjustment set", fix=f"use one of {listed(kinds)}")
    if costs is not None and kind != "minimum":
        raise IdentifyError(f"costs are given, and the kind is {kind!r}", fix='use kind="minimum"')
    for name, cost in (costs or {}).items():
        if not cost >= 0:
            raise IdentifyError(f"the cost of {name!r} is {cost}", fix="costs are numbers, 0 or more")
