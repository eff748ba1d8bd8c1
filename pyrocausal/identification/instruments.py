"""Instruments: variables that move x, and y through x alone, perhaps given others.

An instrument does not identify P(y | do(x)): without a further assumption it gives bounds. With linear
equations, or an effect of x that is linear and the same for all, the effect is the ratio
``cov(z, y | w) / cov(z, x | w)``. With binary z and x, where z causes x and moves no one against the others
(monotonicity), the ratio is the mean effect among those whom z moves: G. Imbens and J. Angrist,
"Identification and estimation of local average treatment effects", Econometrica 62 (1994).

Conditional instruments: C. Brito and J. Pearl, "Generalized instrumental variables" (UAI 2002); how they are
found: B. van der Zander, J. Textor and M. Liśkiewicz, "Efficiently finding conditional instruments for causal
inference" (IJCAI 2015). Here the effect is the total one, so all causal paths are cut, not one edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyrocausal.errors import IdentifyError
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.adjustment import Setting, setting
from pyrocausal.identification.separators import minimal_separator, minimum_separator

Role = Literal["cause", "mediated", "proxy"]


@dataclass(frozen=True)
class Instrument:
    """z is an instrument for the effect of x on y given w.

    Args:
        z: the variable.
        given: what is conditioned on, w.
        role: "cause" if z is a parent of x, "mediated" if it acts on x through others only, and "proxy" if it
            is no cause of x but shares one with it. A proxy moves no one, so monotonicity makes no sense for
            it: it takes linearity.
    """

    z: str
    given: frozenset[str]
    role: Role

    def __str__(self) -> str:
        return f"{self.z}" + (f" | {', '.join(self.given)}" if self.given else "") + f" ({self.role})"


def instruments(
    graph: CausalGraph, x: str, y: str, *, allowed: str | list[str] | None = None
) -> tuple[Instrument, ...]:
    """All instruments for the total effect of x on y, each with variables to condition on.

    z is an instrument given w if, with the first edges of all causal paths from x to y cut, w separates z
    from y and not z from x, and neither z nor w lies on such a path or is an effect of a node on one.

    Args:
        allowed: the variables that may be z or in w; by default all that are observed.

    Returns:
        In the order of the graph's nodes. Each z has the smallest w of all, or, if no smallest set that
        separates z from y leaves z and x dependent, a w from which nothing can be left out. Sets w that have
        other variables than ancestors of z and y are not tried: to find those is NP-hard (van der Zander et
        al., theorem 1), and they are needed for no effect that has no other instrument.

    Raises:
        GraphError, IdentifyError: unknown names, a latent x or y, or several of them.

    >>> for instrument in instruments(CausalGraph.from_string("z -> x -> y; x <-> y; z <- w -> y"), "x", "y"):
    ...     print(instrument)
    z | w (cause)
    """
    how = setting(graph, x, y, allowed)
    if len(how.x) > 1 or len(how.y) > 1:
        raise IdentifyError("an instrument is for one x and one y", fix="ask for each effect on its own")
    found = []
    for z in graph.select(how.candidates):
        given = conditioning(how, graph.select(z))
        if given is not None:
            found.append(Instrument(z, given, role(graph, z, x)))
    return tuple(found)


def conditioning(how: Setting, z: frozenset[str]) -> frozenset[str] | None:
    """The separator of z and y nearest to y leaves z and x dependent, if any set of ancestors does."""
    where = (how.backdoor, z, how.y, how.candidates - z)
    nearest = minimal_separator(*where)
    if nearest is None or how.backdoor.is_d_separated(z, how.x, nearest):
        return None
    fewest = minimum_separator(*where)
    if fewest is None or how.backdoor.is_d_separated(z, how.x, fewest):
        return nearest
    return fewest


def role(graph: CausalGraph, z: str, x: str) -> Role:
    if z in graph.parents(x):
        return "cause"
    return "mediated" if z in graph.ancestors(x) else "proxy"
