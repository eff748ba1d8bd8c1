"""Answers about one population from studies in others: transportability.

E. Bareinboim and J. Pearl, "Transportability from multiple environments with limited experiments:
completeness results" (NeurIPS 2014); S. Lee, J. D. Correa and E. Bareinboim, "General transportability:
synthesizing observations and experiments from heterogeneous domains" (AAAI 2020).

All populations share one graph. In a *selection diagram*, a square node S points at each variable whose
mechanism differs between a population and the one that is asked about. A c-factor Q[C] may be taken from any
population in which no mechanism of C differs; nothing else is new (`pyrocausal.identification.surrogates`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pyrocausal.errors import IdentifyError, did_you_mean
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.estimand import Estimand
from pyrocausal.identification.expression import Regime
from pyrocausal.identification.identify import answered, check_nodes
from pyrocausal.identification.outcome import Query
from pyrocausal.identification.surrogates import sources


def transport(
    graph: CausalGraph,
    query: Query,
    differs: Mapping[str, Collection[str]],
    known: Sequence[Regime],
) -> Estimand:
    """Answer a query about the population "" by what is known of it and of others.

    Args:
        graph: of all populations.
        query: of rung 1 or 2.
        differs: for every other population, the variables whose mechanisms, or hidden causes, are not those
            of "": where the selection nodes point. A latent variable stands for the observed ones that it
            causes.
        known: the distributions that the formula may use, each of its ``population``; the first that does is
            taken.

    Raises:
        IdentifyError: names, of variables or populations.

    A trial in another city, whose ages (z) are others (Pearl and Bareinboim 2011):

    >>> from pyrocausal.identification import Outcome, Symbol
    >>> graph = CausalGraph.from_string("z -> x; z -> y; x -> y; x <-> y")
    >>> query = Query((Outcome.of("y", do=[Symbol("x")]),))
    >>> trial, here = Regime(frozenset("x"), "city"), Regime()
    >>> print(transport(graph, query, {"city": ["z"]}, [here, trial]))
    P(y | do(x)) = Σ_z P^{city}(y | do(x), z) P(z)  [transport]
    """
    if "" in differs:
        raise IdentifyError(
            "the population '' differs from itself",
            why="'' is the population that is asked about; `differs` is about the others",
            fix="give the other population a name",
        )
    for regime in known:
        if regime.population and regime.population not in differs:
            raise IdentifyError(
                f"a distribution of population {regime.population!r} is known, and not in what it differs",
                why=f"`differs` is about {', '.join(differs) or 'none'}",
                fix=did_you_mean(regime.population, differs)
                or f"say differs={{{regime.population!r}: [...]}}; [] if all its mechanisms are the same",
            )
    changed = {name: _observed(graph, nodes, name) for name, nodes in differs.items()}
    return answered(graph, query, sources(known, changed))


def _observed(graph: CausalGraph, nodes: Collection[str], population: str) -> frozenset[str]:
    """The observed variables whose mechanisms differ, when those of these nodes do."""
    check_nodes(graph, nodes, f"what differs in population {population!r}")
    reached, frontier = set(), list(nodes)
    while frontier:
        name = frontier.pop()
        reached.add(name)
        if name in graph.latent:
            frontier += graph.children(name)
    return frozenset(reached - graph.latent)
