"""The causal graph against brute force: path enumeration, projections, round trips, mutilation, errors."""

import itertools
import pickle
import random
import time

import networkx as nx
import pytest
from hypothesis import given, settings

from pyrocausal.errors import GraphError
from pyrocausal.graph import CausalGraph

from .random_graphs import graphs, random_graph

SMOKING = CausalGraph.from_string("age -> quit -> gain; age -> gain; quit <-> gain; lonely")


# ---- separation -------------------------------------------------------------------------------


def connected_by_the_textbook(graph: CausalGraph, x: str, y: str, given: set[str]) -> bool:
    """Pearl (2009), definition 1.2.3, word by word: some path has no blocked triple.

    Bidirected edges are first written out as hidden common causes, so that this shares nothing with
    the code under test.
    """
    dag = nx.DiGraph(graph.edges)
    dag.add_nodes_from(graph.nodes)
    for a, b in graph.bidirected:
        dag.add_edges_from([(("u", a, b), a), (("u", a, b), b)])

    def blocks(a: object, middle: object, b: object) -> bool:
        if dag.has_edge(a, middle) and dag.has_edge(b, middle):
            return not (({middle} | nx.descendants(dag, middle)) & given)
        return middle in given

    paths = nx.all_simple_paths(dag.to_undirected(), x, y)
    return any(not any(itertools.starmap(blocks, zip(p, p[1:], p[2:], strict=False))) for p in paths)


def subsets(names: list[str]) -> list[tuple[str, ...]]:
    return [chosen for size in range(len(names) + 1) for chosen in itertools.combinations(names, size)]


@pytest.mark.parametrize("seed", range(25))
def test_separation_is_the_textbook_blocking_rule(seed: int) -> None:
    graph = random_graph(random.Random(seed), size=5, edge=0.35, arc=0.2)
    for x, y in itertools.combinations(graph.nodes, 2):
        for given_ in subsets([name for name in graph.nodes if name not in (x, y)]):
            expected = connected_by_the_textbook(graph, x, y, set(given_))
            assert graph.is_d_separated(x, y, given_) is not expected
            assert graph.is_d_separated(y, x, given_) is not expected


@pytest.mark.parametrize("seed", range(40))
def test_separation_of_sets_agrees_with_networkx(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, size=9, edge=0.25, arc=0)
    roles = {name: rng.choice("xyz-") for name in graph.nodes}
    xs, ys, zs = ([name for name in graph.nodes if roles[name] == role] for role in "xyz")
    assert graph.is_d_separated(xs, ys, zs) == nx.is_d_separator(
        graph.to_networkx(), set(xs), set(ys), set(zs)
    )


@pytest.mark.parametrize("seed", range(20))
def test_open_paths_are_paths_of_the_graph_and_there_are_some_unless_separated_by_walks(seed: int) -> None:
    graph = random_graph(random.Random(seed), size=5, edge=0.35, arc=0.2)
    for x, y in itertools.combinations(graph.nodes, 2):
        for given_ in subsets([name for name in graph.nodes if name not in (x, y)]):
            paths = graph.open_paths(x, y, given_)
            assert bool(paths) is not graph.is_d_separated(x, y, given_)
            for path in map(CausalGraph.from_string, paths):
                assert path.edges <= graph.edges
                assert path.bidirected <= graph.bidirected


def test_open_paths_open_at_a_conditioned_collider() -> None:
    graph = CausalGraph.from_string("a -> c <- b; c -> d")
    assert graph.open_paths("a", "b") == ()
    assert graph.open_paths("a", "b", "d") == ("a -> c <- b",)


# ---- projection -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_projection_keeps_separations_and_ancestors(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, size=7, edge=0.3, arc=0.1)
    graph = graph.with_latent(rng.sample(graph.nodes, 3))
    small = graph.project()
    assert set(small.nodes) == graph.observed
    for x, y in itertools.combinations(small.nodes, 2):
        assert (x in small.ancestors(y)) == (x in graph.ancestors(y))
        for given_ in subsets([name for name in small.nodes if name not in (x, y)]):
            assert small.is_d_separated(x, y, given_) == graph.is_d_separated(x, y, given_)


@pytest.mark.parametrize("seed", range(25))
def test_projection_does_not_depend_on_the_order_of_elimination(seed: int) -> None:
    graph = random_graph(random.Random(seed), size=7, edge=0.35, arc=0.15)
    kept = graph.nodes[::2]
    hidden = [name for name in graph.nodes if name not in kept]
    one_by_one = graph
    for name in reversed(hidden):
        one_by_one = one_by_one.project([other for other in one_by_one.nodes if other != name])
    assert one_by_one == graph.project(kept)


def test_projection_in_known_cases() -> None:
    project = CausalGraph.from_string
    assert project("x <- u [latent] -> y").project() == project("x <-> y")
    assert project("x -> m [latent] -> y").project() == project("x -> y")
    assert project("x -> h [latent] <- y").project() == project("x; y")
    assert project("x <-> h [latent] -> y").project() == project("x <-> y")
    assert project("u [latent] -> v [latent] -> x; v -> y; u -> z").project() == project(
        "x <-> y <-> z <-> x"
    )


def test_a_thousand_nodes_take_moments() -> None:
    """All of this takes 0.3 s here; where one step was quadratic, projecting alone took over a minute."""
    rng = random.Random(0)
    names = [f"v{i}" for i in range(1000)]
    edges = {(names[i], names[min(i + rng.randrange(1, 60), 999)]) for i in range(900) for _ in range(3)}
    arcs = {(names[i], names[i + 1 + rng.randrange(400)]) for i in range(500)}
    start = time.process_time()
    graph = CausalGraph(rng.sample(names, 1000), sorted(edges), sorted(arcs))
    assert CausalGraph.from_string(graph.to_string()) == graph
    assert sum(map(len, graph.districts)) == 1000
    assert not graph.is_d_separated(names[0], names[1:60], names[60:900:2])
    assert len(graph.do(*names[:3]).subgraph(names[1:]).nodes) == 999
    assert len(graph.project(graph.observed - {*names[::10]}).nodes) == 900
    assert time.process_time() - start < 5


# ---- text, networkx, other languages ----------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_text_and_networkx_and_pickle_round_trip(graph: CausalGraph) -> None:
    for copy in (
        CausalGraph.from_string(graph.to_string()),
        CausalGraph.from_string(graph.to_string("\n")),
        CausalGraph.from_networkx(graph.to_networkx()),
        pickle.loads(pickle.dumps(graph)),
        eval(repr(graph)),
    ):
        assert copy == graph
        assert hash(copy) == hash(graph)
    assert CausalGraph.from_networkx(graph.to_networkx()).nodes == graph.nodes


def test_every_form_of_text() -> None:
    graph = CausalGraph.from_string(
        """
        age -> quit -> gain <- age   # confounding
        gain <-> quit; `smoking years` -> gain;; u [latent] -> age
        age -> quit
        lonely
        """
    )
    assert graph.edges == {
        ("age", "quit"), ("quit", "gain"), ("age", "gain"), ("smoking years", "gain"), ("u", "age"),
    }  # fmt: skip
    assert graph.bidirected == {("gain", "quit")}
    assert graph.latent == {"u"}
    assert graph.observed == {"age", "quit", "gain", "smoking years", "lonely"}
    assert "lonely" in graph.nodes
    assert CausalGraph.from_string("") == CausalGraph()


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("a -> ; b", "line 1, column 6", "a name was expected after '->'"),
        ("a\n-> b", "line 2, column 1", "a name was expected before '->'"),
        ("a -> -> b", "line 1, column 6", "a name was expected before '->'"),
        ("a -> b\n  b c", "line 2, column 5", "an arrow is missing between 'b' and 'c'"),
        ("a-b", "line 1, column 2", "'-' has no meaning here"),
        ("a [laten]", "line 1, column 3", r"\[laten\] is no mark"),
        ("a -> `b", "line 1, column 6", "'`' has no meaning here"),
    ],
)
def test_a_syntax_error_points_at_the_place(text: str, place: str, what: str) -> None:
    with pytest.raises(GraphError, match=what) as error:
        CausalGraph.from_string(text)
    assert place in str(error.value)
    column = int(place.split()[-1])
    assert f"\n    {' ' * (column - 1)}^\n" in str(error.value)


def test_mermaid_and_dot_escape_names() -> None:
    graph = CausalGraph.from_string('`a"]<b>` -> y; y <-> z; u [latent] -> z').do("z")
    assert '"a#34;#93;#60;b#62;"' in graph.to_mermaid()
    assert "-. ✂ .->" in graph.to_mermaid()
    assert '"a\\"]<b>" -> "y";' in graph.to_dot()
    assert '"u" -> "z" [dir=both' not in graph.to_dot()


# ---- values -----------------------------------------------------------------------------------


def test_equality_forgets_order_and_minds_everything_else() -> None:
    graph = CausalGraph(["c", "a", "b"], [("a", "b")], [("c", "b")])
    assert graph == CausalGraph(["b", "a", "c"], [("a", "b")], [("b", "c")])
    assert len({graph, CausalGraph.from_string("a -> b <-> c")}) == 1
    assert graph != graph.with_latent(["a"])
    assert graph != graph.do("a")
    assert graph != graph.subgraph(["a", "b"])
    assert graph != "a -> b <-> c"


def test_it_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        SMOKING.edges = frozenset()


def test_nodes_are_in_topological_order_and_ties_stand_as_given() -> None:
    assert CausalGraph(["z", "y", "x"], [("x", "y")]).nodes == ("z", "x", "y")
    assert CausalGraph.from_string("b -> c; a -> c").nodes == ("b", "a", "c")
    for seed in range(20):
        graph = random_graph(random.Random(seed), 8, 0.3, 0.1)
        place = graph.nodes.index
        assert all(place(a) < place(b) for a, b in graph.edges)
        assert graph.do(graph.nodes[3]).nodes == graph.nodes


def test_sets_iterate_in_the_order_of_the_nodes() -> None:
    """And so alike in every process, whatever Python's hash seed."""
    graph = CausalGraph.from_string("e -> y <- b; d -> y <- a; c -> y; a <-> e <-> c")
    assert list(graph.parents("y")) == ["e", "b", "d", "a", "c"]
    assert list(graph.parents("y") - {"b"}) == ["e", "d", "a", "c"]
    assert list(graph.parents("y") & {"c", "d", "e"}) == ["e", "d", "c"]
    assert list(graph.parents("y") | {"z"}) == ["e", "b", "d", "a", "c", "z"]
    assert list(graph.edges) == [(cause, "y") for cause in "ebdac"]
    assert list(graph.district("c")) == ["e", "a", "c"]
    assert list(pickle.loads(pickle.dumps(graph)).edges) == list(graph.edges)


def test_relations() -> None:
    assert list(SMOKING.parents("gain")) == ["age", "quit"]
    assert SMOKING.children("age") == {"quit", "gain"}
    assert SMOKING.ancestors("gain") == {"age", "quit"}
    assert SMOKING.ancestors("gain", "quit") == {"age"}
    assert SMOKING.descendants("age") == {"quit", "gain"}
    assert SMOKING.roots == {"age", "lonely"}
    assert SMOKING.leaves == {"gain", "lonely"}
    assert SMOKING.spouses("quit") == {"gain"}
    assert SMOKING.district("gain") == {"quit", "gain"}
    assert SMOKING.districts == ({"age"}, {"quit", "gain"}, {"lonely"})
    assert SMOKING.topological_order() == SMOKING.nodes
    assert "age" in SMOKING
    assert "income" not in SMOKING


# ---- mutilation -------------------------------------------------------------------------------


def test_do_cuts_what_comes_in_and_remembers_it() -> None:
    graph = SMOKING.do("quit")
    assert graph.edges == {("quit", "gain"), ("age", "gain")}
    assert graph.bidirected == frozenset()
    assert graph.intervened == {"quit"}
    assert graph.cut == {("age", "quit")}
    assert graph.cut_bidirected == {("gain", "quit")}
    assert graph.do("quit") == graph
    assert SMOKING.do() == SMOKING
    assert SMOKING.do("quit").do("age") == SMOKING.do("age", "quit")


def test_a_policy_adds_edges() -> None:
    graph = SMOKING.do(parents={"quit": ["lonely"]})
    assert graph.parents("quit") == {"lonely"}
    assert graph.cut == {("age", "quit")}
    kept = SMOKING.do(parents={"quit": ["age"]})
    assert kept.parents("quit") == {"age"}
    assert kept.cut == frozenset()
    assert kept.cut_bidirected == {("gain", "quit")}


def test_a_policy_of_the_natural_value_cuts_nothing() -> None:
    graph = SMOKING.do(parents={"quit": ["quit", "lonely"]})
    assert graph.parents("quit") == {"age", "lonely"}
    assert graph.bidirected == SMOKING.bidirected
    assert graph.intervened == {"quit"}
    assert not graph.cut


def test_a_policy_of_an_effect_is_a_cycle() -> None:
    with pytest.raises(GraphError, match="cycle"):
        SMOKING.do(parents={"quit": ["gain"]})


def test_without_outgoing_and_subgraph() -> None:
    assert SMOKING.without_outgoing("age").edges == {("quit", "gain")}
    assert SMOKING.without_outgoing("quit").bidirected == SMOKING.bidirected
    assert SMOKING.subgraph(["gain", "age"]) == CausalGraph.from_string("age -> gain")
    assert SMOKING.do("quit").subgraph(["age", "gain"]) == CausalGraph.from_string("age -> gain")
    assert SMOKING.do("quit").subgraph(["age", "quit"]).cut == {("age", "quit")}


# ---- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: CausalGraph.from_string("d -> a -> b -> c -> a"), "cycle: (a -> b -> c -> a|b -> c|c -> a)"),
        (lambda: SMOKING.do("quti"), "did you mean 'quit'"),
        (lambda: SMOKING.do(parents={"quit": ["aeg"]}), "did you mean 'age'"),
        (lambda: SMOKING.parents("income"), "no node 'income'"),
        (lambda: SMOKING.is_d_separated("age", "gian"), "did you mean 'gain'"),
        (lambda: SMOKING.project(["ages"]), "did you mean 'age'"),
        (lambda: CausalGraph(edges=[("a", "b")], latent=["c"]), "no node 'c'"),
        (lambda: CausalGraph.from_string("a -> a"), "'a' is joined to itself"),
        (lambda: CausalGraph.from_string("a <-> a"), "'a' is joined to itself"),
        (lambda: CausalGraph(["a", "b", "a"]), "nodes names 'a' twice"),
        (lambda: CausalGraph(edges=[("a", "b"), ("a", "b")]), "twice"),
        (lambda: CausalGraph(bidirected=[("a", "b"), ("b", "a")]), "twice"),
        (lambda: CausalGraph(edges=["ab"]), "'ab' in edges is no edge"),
        (lambda: CausalGraph(edges=[("a", "b", "c")]), "is no edge"),
        (lambda: CausalGraph(edges=[3]), "3 in edges is no edge"),
        (lambda: CausalGraph("a -> b"), "from_string"),
        (lambda: CausalGraph([1, 2]), "1 in nodes is no name"),
        (lambda: CausalGraph([""]), "is no name"),
        (lambda: CausalGraph.from_networkx(nx.Graph([("a", "b")])), "undirected"),
        (lambda: CausalGraph.from_networkx(nx.DiGraph([(1, 2)])), "relabel_nodes"),
        (lambda: SMOKING.is_d_separated("age", "gain", ["age"]), "'age' stands both in x and in given"),
        (lambda: SMOKING.is_d_separated("age", "age"), "both in x and in y"),
    ],
)
def test_errors_say_what_and_how_to_mend(wrong, says: str) -> None:
    with pytest.raises(GraphError, match=says) as error:
        wrong()
    assert "Fix:" in str(error.value)


@pytest.mark.parametrize("seed", range(20))
def test_the_cycle_named_is_one(seed: int) -> None:
    rng = random.Random(seed)
    edges = [pair for pair in itertools.permutations("abcdef", 2) if rng.random() < 0.3]
    if nx.is_directed_acyclic_graph(nx.DiGraph(edges)):
        return
    with pytest.raises(GraphError) as error:
        CausalGraph(edges=edges)
    walk = error.value.what.removeprefix("the graph has a cycle: ").split(" -> ")
    assert walk[0] == walk[-1]
    assert len(set(walk)) == len(walk) - 1
    assert set(itertools.pairwise(walk)) <= set(edges)
