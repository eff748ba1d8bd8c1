"""The three rules of do-calculus, each with the separation that allows it.

J. Pearl, "Causal diagrams for empirical research" (Biometrika 1995); "Causality" (2009), theorem 3.4.1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.hedge import listed


@dataclass(frozen=True)
class Conditional:
    """P(of | do(do), given), in the order in which it is written.

    >>> print(Conditional(("y",), do=("x",), given=("z",)))
    P(y | do(x), z)
    """

    of: tuple[str, ...]
    do: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    def __str__(self) -> str:
        conditions = ", ".join([f"do({', '.join(self.do)})"] * bool(self.do) + list(self.given))
        return f"P({', '.join(self.of)}{' | ' * bool(conditions)}{conditions})"


@dataclass(frozen=True)
class Separation:
    """``left ⫫ right | given`` in the graph without the edges into some nodes, and out of others.

    >>> front_door = CausalGraph.from_string("x -> m -> y; x <-> y")
    >>> fact = Separation(("y",), ("m",), given=("x",), into=("x",), out_of=("m",))
    >>> print(fact)
    y ⫫ m | x in the graph without edges into x or out of m
    >>> fact.holds(front_door)
    True
    """

    left: tuple[str, ...]
    right: tuple[str, ...]
    given: tuple[str, ...] = ()
    into: tuple[str, ...] = ()
    out_of: tuple[str, ...] = ()

    def holds(self, graph: CausalGraph) -> bool:
        """Whether it is so."""
        mutilated = graph.do(*self.into).without_outgoing(*self.out_of)
        return mutilated.is_d_separated(self.left, self.right, self.given)

    def __str__(self) -> str:
        conditions = f" | {', '.join(self.given)}" if self.given else ""
        sides = f"{', '.join(self.left)} ⫫ {', '.join(self.right)}{conditions}"
        ways = (("into", self.into), ("out of", self.out_of))
        cut = " or ".join(f"{way} {listed(names)}" for way, names in ways if names)
        return f"{sides} in the graph{' without edges ' * bool(cut)}{cut}"


def rule_1(p: Conditional, seen: Collection[str]) -> Separation:
    """Observations come or go: P(y | do(x), z, w) = P(y | do(x), w).

    Args:
        p: the shorter side.
        seen: z.
    """
    return Separation(p.of, tuple(seen), (*p.do, *p.given), into=p.do)


def rule_2(p: Conditional, moved: Collection[str]) -> Separation:
    """Doing is seeing: P(y | do(x), do(z), w) = P(y | do(x), z, w).

    Args:
        p: P(y | do(x), w).
        moved: z.
    """
    return Separation(p.of, tuple(moved), (*p.do, *p.given), into=p.do, out_of=tuple(moved))


def rule_3(graph: CausalGraph, p: Conditional, acted: Collection[str]) -> Separation:
    """Actions come or go: P(y | do(x), do(z), w) = P(y | do(x), w).

    Cut are the edges into those of z that do not cause any of w once x is set: Z(W).

    Args:
        p: the shorter side.
        acted: z.
    """
    causes = graph.do(*p.do).ancestors(*p.given)
    free = tuple(name for name in acted if name not in causes)
    return Separation(p.of, tuple(acted), (*p.do, *p.given), into=(*p.do, *free))


def sum_over(names: Sequence[str]) -> str:
    """The sign of a sum, to write before a formula.

    >>> sum_over(["z"]), sum_over(["a", "b"]), sum_over([])
    ('Σ_z ', 'Σ_{a, b} ', '')
    """
    if len(names) == 1:
        return f"Σ_{names[0]} "
    return f"Σ_{{{', '.join(names)}}} " if names else ""
