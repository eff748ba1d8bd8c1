"""Structural causal models with finitely many levels: whatever is asked of them can be computed exactly.

The mechanisms are functions of the parents and of hidden causes. A hidden cause with enough levels makes a
variable any function of its parents at random: the response-function form of A. Balke and J. Pearl,
"Probabilistic evaluation of counterfactual queries" (1994).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pyrocausal.errors import GraphError, IdentifyError, did_you_mean
from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.identification.expression import Constant, Symbol
from pyrocausal.identification.outcome import Outcome, Query
from pyrocausal.identification.tables import Table
from pyrocausal.identification.worlds import Worlds

OWN = "e"  # the kind of hidden cause that is the noise of one variable


@dataclass(frozen=True, eq=False)
class Hidden:
    """A hidden cause.

    Args:
        children: the observed variables that it acts on; bidirected edges join every two of them.
        weights: the probabilities of its levels 0, 1, 2, ...
        kind: tells two of the same children apart.
    """

    children: tuple[str, ...]
    weights: np.ndarray
    kind: str = "u"

    @property
    def name(self) -> str:
        return f"{self.kind}[{', '.join(self.children)}]"


@dataclass(frozen=True, eq=False)
class DiscreteSCM:
    """An SCM over a graph with finitely many levels.

    Every variable is a function of its parents in the graph and of the hidden causes that act on it. Hidden
    causes are independent; one that acts on several variables is what a bidirected edge stands for. Variables
    that the graph does not join share none: the independences of the graph hold.

    Args:
        graph: directed and bidirected edges over observed variables.
        levels: the values of every variable.
        hidden: the hidden causes.
        functions: for every variable an array of positions in its levels, with one axis for every parent (in
            the order of ``graph.parents``), then one for every hidden cause that acts on it (in the order of
            ``hidden``).

    Raises:
        GraphError: latent nodes, or a hidden cause of variables that the graph does not join.
        IdentifyError: weights or functions that can't be.

    >>> coin, xor = np.array([0.5, 0.5]), np.array([[0, 1], [1, 0]])
    >>> scm = DiscreteSCM(
    ...     CausalGraph.from_string("x -> y; x <-> y"),
    ...     levels={"x": (0, 1), "y": (0, 1)},
    ...     hidden=(Hidden(("x", "y"), coin),),
    ...     functions={"x": np.array([0, 1]), "y": xor},
    ... )
    >>> float(scm.joint()[0, 0]), float(scm.do(x=0)[0])
    (0.5, 0.5)
    """

    graph: CausalGraph
    levels: Mapping[str, tuple[Any, ...]]
    hidden: tuple[Hidden, ...]
    functions: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        _check_levels(self.graph, self.levels)
        _check_hidden(self.graph, self.hidden)
        for variable in self.graph.nodes:
            self._check_function(variable)

    @classmethod
    def random(
        cls, graph: CausalGraph, seed: int = 0, levels: int | Mapping[str, Sequence[Any]] = 2, types: int = 8
    ) -> DiscreteSCM:
        """Random functions and weights; every combination of levels has a positive probability.

        Args:
            graph: without latent nodes.
            seed: the same seed gives the same model.
            levels: how many for all variables, or which for each.
            types: the levels of each hidden cause that is shared: one for every largest set of variables that
                are joined by bidirected edges, all with all.

        >>> scm = DiscreteSCM.random(CausalGraph.from_string("x -> y; x <-> y"), seed=1)
        >>> bool((scm.joint() > 0).all()), round(float(scm.joint().sum()), 12)
        (True, 1.0)
        """
        if types < 1 or (isinstance(levels, int) and levels < 2):
            raise IdentifyError(
                f"levels={levels}, types={types}", fix="levels from 2, and types from 1, make a model"
            )
        named = dict.fromkeys(graph.nodes, range(levels)) if isinstance(levels, int) else levels
        values = {v: tuple(of) for v, of in named.items()}
        _check_levels(graph, values)
        rng = np.random.default_rng(seed)
        shared = [Hidden(c, rng.dirichlet(np.full(types, 2.0))) for c in confounded(graph) if len(c) > 1]
        own = [Hidden((v,), rng.dirichlet(np.full(len(values[v]), 3.0)), OWN) for v in graph.nodes]
        functions = {}
        for v in graph.nodes:
            acting = [len(h.weights) for h in shared if v in h.children]
            shape = [*(len(values[p]) for p in graph.parents(v)), *acting]
            functions[v] = shifted(rng.integers(len(values[v]), size=shape), len(values[v]))
        return cls(graph, values, (*shared, *own), functions)

    # ---- the three rungs ----------------------------------------------------------------------

    def joint(self) -> pd.Series:
        """P(v) over all variables."""
        return self.experiment(())

    def do(self, actions: Mapping[str, Any] | None = None, /, **named: Any) -> pd.Series:
        """P(rest | do(actions)) over all variables that are not set.

        >>> scm = DiscreteSCM.random(CausalGraph.from_string("x -> y; x <-> y"), seed=1)
        >>> round(scm.do(x=1), 3)
        y
        0    0.493
        1    0.507
        dtype: float64
        """
        acted = {**(actions or {}), **named}
        return self.table(self._under(Constant(v, level) for v, level in acted.items())).to_pandas()

    def experiment(self, variables: Iterable[str]) -> pd.Series:
        """P(rest | do(variables)) for all values of these; adds up to 1 for each.

        It is what `Expression.evaluate` takes for the regime ``Regime(do={...})``.
        """
        world = [Symbol(v) for v in ([variables] if isinstance(variables, str) else variables)]
        return self.table(self._under(world), world).to_pandas()

    def probability(self, query: Query) -> float | pd.Series:
        """The probability of a query, whatever its worlds: a Series over its symbols, a number without any.

        Raises:
            IdentifyError: an unknown variable or level, or a condition of probability zero.

        >>> scm = DiscreteSCM.random(CausalGraph.from_string("x -> y; x <-> y"), seed=1)
        >>> x0, x1, y0, y1 = (Constant(v, level) for v in "xy" for level in (0, 1))
        >>> necessary = Query((Outcome.of("y", y0, do=[x0]),), (Outcome("x", x1), Outcome("y", y1)))
        >>> round(scm.probability(necessary), 3)
        0.472
        """
        both = self.table([*query.outcomes, *query.given])
        return both.divided(self.table(query.given), str(query)).to_pandas()

    def table(
        self, outcomes: Iterable[Outcome], kept: Iterable[Symbol] = (), by: Hidden | None = None
    ) -> Table:
        """P(outcomes) as a table over their symbols.

        Args:
            outcomes: in any number of worlds.
            kept: symbols that get an axis anyway, before all others.
            by: a hidden cause: the table is given its level, which is the last axis.
        """
        return Worlds(self, by).table(tuple(outcomes), tuple(kept))

    # ---- reading ------------------------------------------------------------------------------

    def acting_on(self, variable: str) -> tuple[Hidden, ...]:
        """The hidden causes of a variable."""
        return tuple(hidden for hidden in self.hidden if variable in hidden.children)

    def mechanism(self, variable: str) -> pd.DataFrame:
        """The value of a variable for all levels of its hidden causes (rows) and parents (columns)."""
        self._known([variable])
        hidden, parents = self.acting_on(variable), tuple(self.graph.parents(variable))
        rows = _index({h.name: range(len(h.weights)) for h in hidden})
        columns = _index({p: self.levels[p] for p in parents}, variable)
        cells = np.moveaxis(self.functions[variable], range(len(parents)), range(-len(parents), 0))
        values = np.array(self.levels[variable], dtype=object)[cells.reshape(len(rows), len(columns))]
        return pd.DataFrame(values, rows, columns)

    def __str__(self) -> str:
        """All weights and mechanisms."""
        weights = [f"P({h.name}) = {', '.join(f'{w:.3g}' for w in h.weights)}" for h in self.hidden]
        tables = [f"{v}:\n{self.mechanism(v).to_string()}" for v in self.graph.nodes]
        return "\n".join([*weights, *tables])

    def __repr__(self) -> str:
        return f"DiscreteSCM({self.graph.to_string()!r}, hidden: {', '.join(h.name for h in self.hidden)})"

    # ---- inside -------------------------------------------------------------------------------

    def _known(self, names: Iterable[str]) -> tuple[str, ...]:
        names = tuple(names)
        for name in names:
            if name not in self.graph:
                raise IdentifyError(
                    f"{name!r} is not a variable of the model", fix=did_you_mean(name, self.graph.nodes)
                )
        return names

    def _under(self, actions: Iterable[Symbol | Constant]) -> list[Outcome]:
        """All variables that are not set, in the world of the actions."""
        world = tuple(actions)
        acted = self._known(action.variable for action in world)
        if len(acted) == len(self.graph.nodes):
            raise IdentifyError("every variable is set: nothing is left to have a distribution")
        return [Outcome.of(v, do=world) for v in self.graph.nodes if v not in acted]

    def _check_function(self, variable: str) -> None:
        parents, hidden = self.graph.parents(variable), self.acting_on(variable)
        shape = (*(len(self.levels[p]) for p in parents), *(len(h.weights) for h in hidden))
        if variable not in self.functions:
            raise IdentifyError(f"'{variable}' has no function", fix=f"give one of shape {shape}")
        function = np.asarray(self.functions[variable])
        positions = np.arange(len(self.levels[variable]))
        if function.shape != shape or function.dtype.kind != "i" or not np.isin(function, positions).all():
            raise IdentifyError(
                f"the function of '{variable}' is no table of its levels",
                why=f"its shape is {function.shape}; that of parents and hidden causes is {shape}",
                fix="give for each combination the position in the levels, an integer",
            )


def confounded(graph: CausalGraph) -> tuple[tuple[str, ...], ...]:
    """The largest sets of variables that are all joined by bidirected edges; alone, if joined to none.

    One hidden cause for each gives every distribution that the bidirected edges allow a latent projection.

    >>> confounded(CausalGraph.from_string("x <-> y <-> z; x <-> z; z <-> w; v"))
    (('x', 'y', 'z'), ('z', 'w'), ('v',))
    """
    import networkx as nx  # takes its time to import

    joined = nx.Graph(list(graph.bidirected))
    joined.add_nodes_from(graph.nodes)
    rank = {name: position for position, name in enumerate(graph.nodes)}
    cliques = (tuple(sorted(clique, key=rank.__getitem__)) for clique in nx.find_cliques(joined))
    return tuple(sorted(cliques, key=lambda clique: [rank[name] for name in clique]))


def shifted(function: np.ndarray, levels: int) -> np.ndarray:
    """The function with one more hidden cause, which is added to its value (mod the number of levels)."""
    return (function[..., None] + np.arange(levels)) % levels


def _index(levels: Mapping[str, Sequence[Any]], otherwise: str = "") -> pd.Index:
    if not levels:
        return pd.Index([otherwise])
    if len(levels) == 1:
        ((name, values),) = levels.items()
        return pd.Index(list(values), name=name)
    return pd.MultiIndex.from_product(levels.values(), names=list(levels))


def _check_levels(graph: CausalGraph, levels: Mapping[str, Sequence[Any]]) -> None:
    if graph.latent:
        raise GraphError(
            f"the graph has latent nodes: {', '.join(graph.latent)}",
            "here a hidden cause is a bidirected edge",
            "use graph.project()",
        )
    for variable in graph.nodes:
        if not levels.get(variable):
            raise IdentifyError(f"'{variable}' has no levels", fix="give it the tuple of its values")
        if len(set(levels[variable])) < len(levels[variable]):
            raise IdentifyError(f"'{variable}' has a level twice", why=f"they are {levels[variable]}")


def _check_hidden(graph: CausalGraph, hidden: Sequence[Hidden]) -> None:
    for cause in hidden:
        joined = [{child, *graph.spouses(child)} for child in cause.children]
        if not cause.children or any(not around.issuperset(cause.children) for around in joined):
            raise GraphError(
                f"the hidden cause {cause.name} acts on variables that the graph does not join",
                f"the graph is {graph.to_string()}",
                "give every two of its children a bidirected edge",
            )
        weights = np.asarray(cause.weights)
        if weights.ndim != 1 or not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-9:
            raise IdentifyError(
                f"the weights of {cause.name} are no probabilities",
                why=f"they are {weights}",
                fix="give non-negative numbers that add up to 1",
            )
    names = [cause.name for cause in hidden]
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise IdentifyError(f"two hidden causes are called {repeated[0]}", fix="give one another kind")
