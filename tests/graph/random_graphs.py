"""Random graphs for the tests of this folder."""

import itertools
import random

from hypothesis import strategies as st

from pyrocausal.graph import CausalGraph


def random_graph(rng: random.Random, size: int, edge: float, arc: float) -> CausalGraph:
    names = [f"v{i}" for i in range(size)]
    pairs = list(itertools.combinations(names, 2))
    return CausalGraph(
        rng.sample(names, size),
        [pair for pair in pairs if rng.random() < edge],
        [pair for pair in pairs if rng.random() < arc],
    )


names = st.text(min_size=1, max_size=6) | st.sampled_from(
    ["a", "smoking years", "x`y", "->", "[do]", "a;b\n#c"]
)


@st.composite
def graphs(draw: st.DrawFn) -> CausalGraph:
    nodes = draw(st.lists(names, unique=True, max_size=6))
    pairs = list(itertools.combinations(nodes, 2))
    some = st.lists(st.sampled_from(pairs), unique=True) if pairs else st.just([])
    graph = CausalGraph(
        draw(st.permutations(nodes)), draw(some), draw(some), latent=[n for n in nodes if draw(st.booleans())]
    )
    return graph.do(*(n for n in nodes if draw(st.integers(0, 3)) == 0))
