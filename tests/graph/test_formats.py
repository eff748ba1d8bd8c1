"""Graphs in the languages of others: what is read, what is refused and where, and round trips."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from pyrocausal.errors import GraphError
from pyrocausal.graph import CausalGraph

from .random_graphs import graphs

read = CausalGraph.from_string

DAGITTY = """
dag {
bb="-4.2,-3.1,4.5,2"
"Smoking years" [exposure,pos="-1.5,0.2"]
Cancer [outcome,pos="1.0,-0.4"]
Tar [pos="0,0"]
U [latent,pos="0,1"]
Age [adjusted]
"Smoking years" -> Tar
Tar -> Cancer [pos="0.1,0.2"]
U -> { "Smoking years" Cancer }
Age <-> Cancer
Cancer <- Age
}
"""


def test_dagitty() -> None:
    assert read(DAGITTY) == read(
        "`Smoking years` -> Tar -> Cancer <- Age <-> Cancer; U [latent] -> Cancer; U -> `Smoking years`"
    )
    assert read('dag { x [exposure,pos="0,1"] x -> y  u [latent] x <-> y }') == read(
        "x -> y; x <-> y; u [latent]"
    )
    assert read("dag{x->y<-z;lonely}") == read("x -> y <- z; lonely")
    assert read("dag { a -> b -> c  d }") == read("a -> b -> c; d")


def test_dot() -> None:
    graph = read(
        """
        // a comment
        strict digraph "my graph" {
            rankdir=LR; node [shape=box, style="filled"]; edge [color=red];
            a -> b -> {c d} [label="x -> y", penwidth=2.5];   /* several
            lines */
            a -> b [dir=both]; "smoking years" -> b; e -> a [dir=back]
            subgraph cluster_0 { f; g; label="these two" }
            1 -> 2.5
            "say \\"hi\\"" -> f
        }
        """
    )
    assert graph == read(
        'a -> b -> c; b -> d; a <-> b; `smoking years` -> b; a -> e; f; g; 1 -> `2.5`; `say "hi"` -> f'
    )


def test_gml() -> None:
    graph = read(
        """Creator "someone"
        graph [
          directed 1
          node [ id 0 label "smoking years" ]
          node [ id 1 label "risk" ]
          node [ id 2 label "u" latent 1 ]
          edge [ source 0 target 1 ]
          edge [ source 1 target 2 dir "both" ]
        ]"""
    )
    assert graph == read("`smoking years` -> risk <-> u; u [latent]")


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_what_is_written_for_graphviz_is_read_back(graph: CausalGraph) -> None:
    assert read(graph.to_dot()) == graph


def test_our_own_language_is_not_taken_for_another() -> None:
    assert read("graph [latent] -> x") == CausalGraph(edges=[("graph", "x")], latent=["graph"])
    assert read("dag -> digraph").nodes == ("dag", "digraph")
    assert read("# digraph {\na -> b").edges == {("a", "b")}


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("graph { a -- b }", "line 1, column 1", "'graph' is no kind of graph"),
        ("pdag { a -> b }", "line 1, column 1", "'pdag' is no kind of graph"),
        ("digraph { a -- b }", "line 1, column 13", "an undirected edge"),
        ("digraph {\n a -> b [dir=none]\n}", "line 2, column 9", "an undirected edge"),
        ("digraph {\n a -> \n}", "line 3, column 1", "a name was expected before '}'"),
        ("digraph { a -> b", "line 1, column 17", "'}' was expected"),
        ("digraph { a [color }", "line 1, column 20", "an attribute or ']' was expected"),
        ("digraph { a -> b:s }", "line 1, column 17", "':' has no meaning here"),
        ("digraph { a -> b } c", "line 1, column 20", "the graph has ended"),
        ("digraph { edge [dir=both]; a -> b }", "line 1, column 25", "a default for all edges"),
        ("dag { s [selected] x -> s }", "line 1, column 9", "selection"),
        ("graph [ directed 1\n node [ id 0 label \"a\" ]\n edge [ source 0 targt ]]", "line 3", "expected"),
    ],
)  # fmt: skip
def test_a_syntax_error_points_at_the_place(text: str, place: str, what: str) -> None:
    with pytest.raises(GraphError, match=what) as error:
        read(text)
    assert place in str(error.value)
    assert "^\n" in str(error.value)
    assert "Fix:" in str(error.value)


def test_errors_of_networkx_are_ours() -> None:
    with pytest.raises(GraphError, match="undefined target 1"):
        read('graph [ directed 1 node [ id 0 label "a" ] edge [ source 0 target 1 ] ]')
    with pytest.raises(GraphError, match="the graph is undirected"):
        read('graph [ node [ id 0 label "a" ] ]')
    with pytest.raises(GraphError, match="cycle"):
        read("digraph { a -> b -> a }")


def test_files(tmp_path: Path) -> None:
    graph = read("a -> b; a <-> b; u [latent]")
    for name, text in (
        ("g.dot", graph.to_dot()),
        ("g.gv", graph.to_dot()),
        ("g.dagitty", "dag { a -> b a <-> b u [latent] }"),
        ("g.txt", graph.to_string()),
        ("also.txt", graph.to_dot()),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert CausalGraph.from_file(tmp_path / name) == graph
    with pytest.raises(GraphError, match=r"the suffixes that are known are \.dot"):
        CausalGraph.from_file(tmp_path / "g.pdf")
    with pytest.raises(GraphError, match="there is no file"):
        CausalGraph.from_file(str(tmp_path / "missing.gml"))
