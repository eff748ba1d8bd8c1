"""Graphs as text: ``age -> quit -> gain; age <-> gain; u [latent]``, read and written.

==============  =====================================================
``a -> b``      an edge; ``b <- a`` is the same one
``a <-> b``     a bidirected edge: a and b share a hidden cause
``a``           a node, perhaps without edges
``u [latent]``  u is not observed
``x [do]``      x is set from outside; as ``CausalGraph.do`` records it
``a -/> x``     an edge that an intervention cut; ``a </> x`` a bidirected one
==============  =====================================================

Statements end at ``;`` or at the end of a line, ``#`` starts a comment, and a name that is no Python
identifier stands in backticks, a backtick inside it doubled: ```smoking years` -> gain``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from pyrocausal.errors import GraphError

if TYPE_CHECKING:
    from pyrocausal.graph.causal_graph import CausalGraph

Edge = tuple[str, str]

TOKEN = re.compile(
    r"(?P<space>[^\S\n]+|\#[^\n]*)"
    r"|(?P<end>[;\n])"
    r"|(?P<arrow><->|</>|-/>|</-|->|<-)"
    r"|(?P<mark>\[[^\]\n]*\])"
    r"|`(?P<quoted>(?:[^`]|``)+)`"
    r"|(?P<name>\w+)"
)
MARKS = {"[latent]": "latent", "[do]": "intervened"}
# arrow -> (the part of the graph it belongs to, whether it points backwards)
ARROWS = {
    "->": ("edges", False),
    "<-": ("edges", True),
    "<->": ("bidirected", False),
    "-/>": ("cut", False),
    "</-": ("cut", True),
    "</>": ("cut_bidirected", False),
}


@dataclass
class Parts:
    """What a text mentions, each part in order of first mention; the arguments of ``CausalGraph``.

    The parts are dicts without values: ordered, and quick to ask whether they have a thing.
    """

    nodes: dict[str, None] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    bidirected: dict[Edge, None] = field(default_factory=dict)
    latent: dict[str, None] = field(default_factory=dict)
    intervened: dict[str, None] = field(default_factory=dict)
    cut: dict[Edge, None] = field(default_factory=dict)
    cut_bidirected: dict[Edge, None] = field(default_factory=dict)

    def add(self, part: str, item: str | Edge) -> None:
        """Once: paths written one after the other may share edges."""
        getattr(self, part)[item] = None


class Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> Parts:
    """Read a graph's text into its parts.

    >>> list(parse("age -> quit -> gain; quit <-> gain").edges)
    [('age', 'quit'), ('quit', 'gain')]
    """
    parts = Parts()
    statement: list[Token] = []
    for token in (*tokens(text), Token("end", "", len(text))):
        if token.kind != "end":
            statement.append(token)
        elif statement:
            read_statement(text, statement, token, parts)
            statement = []
    return parts


def tokens(text: str) -> Iterable[Token]:
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            fail(text, at, f"{text[at]!r} has no meaning here")
        kind = found.lastgroup or ""
        if kind == "quoted":
            yield Token("name", found["quoted"].replace("``", "`"), at)
        elif kind != "space":
            yield Token(kind, found[0], at)
        at = found.end()


def read_statement(text: str, statement: list[Token], end: Token, parts: Parts) -> None:
    """name mark* (arrow name mark*)*"""
    left: Token | None = None
    arrow: Token | None = None
    for token in statement:
        if token.kind == "name":
            if left is not None and arrow is None:
                fail(text, token.at, f"an arrow is missing between {left.text!r} and {token.text!r}")
            parts.add("nodes", token.text)
            if left is not None and arrow is not None:
                join(left.text, arrow.text, token.text, parts)
            left, arrow = token, None
        elif left is None or arrow is not None:
            fail(text, token.at, f"a name was expected before {token.text!r}")
        elif token.kind == "arrow":
            arrow = token
        elif token.text not in MARKS:
            fail(text, token.at, f"{token.text} is no mark: the marks are {' and '.join(MARKS)}")
        else:
            parts.add(MARKS[token.text], left.text)
    if arrow is not None:
        fail(text, end.at, f"a name was expected after {arrow.text!r}")


def join(a: str, arrow: str, b: str, parts: Parts) -> None:
    part, backwards = ARROWS[arrow]
    edge = (b, a) if backwards else (a, b)
    symmetric = part in ("bidirected", "cut_bidirected")
    parts.add(part, (min(edge), max(edge)) if symmetric else edge)


FIX = "write edges as a -> b; a <-> c, nodes as a, and other names in backticks: `smoking years` -> b"


def fail(text: str, at: int, what: str, fix: str = FIX) -> NoReturn:
    """Raise with the line and a caret under the place."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    number = text.count("\n", 0, at) + 1
    raise GraphError(
        f"the graph's text can't be read at line {number}, column {at - start + 1}:\n\n"
        f"    {line}\n    {' ' * (at - start)}^\n{what}",
        fix=fix,
    )


def quote(name: str) -> str:
    """A name as the text has it: bare if it is a word, else in backticks.

    >>> quote("age"), quote("smoking years")
    ('age', '`smoking years`')
    """
    return name if re.fullmatch(r"\w+", name) else "`" + name.replace("`", "``") + "`"


def write(graph: CausalGraph, separator: str = "; ") -> str:
    """The text of a graph: ``parse`` gives its parts back."""
    statements = [" -> ".join(map(quote, chain)) for chain in chains(graph.edges)]
    for edges, arrow in ((graph.bidirected, "<->"), (graph.cut, "-/>"), (graph.cut_bidirected, "</>")):
        statements += [f"{quote(a)} {arrow} {quote(b)}" for a, b in edges]
    for names, mark in ((graph.latent, "[latent]"), (graph.intervened, "[do]")):
        statements += [f"{quote(name)} {mark}" for name in names]
    pairs = (*graph.edges, *graph.bidirected, *graph.cut, *graph.cut_bidirected)
    mentioned = {name for pair in pairs for name in pair} | graph.latent | graph.intervened
    alone = [quote(name) for name in graph.nodes if name not in mentioned]
    return separator.join(statements + alone)


def chains(edges: Iterable[Edge]) -> Iterable[list[str]]:
    """Cover edges by paths, greedily, each edge once: the shortest text in the order of the edges."""
    left: dict[str, deque[str]] = {}
    for cause, effect in edges:
        left.setdefault(cause, deque()).append(effect)
    for start in left:
        while left[start]:
            chain = [start]
            while left.get(chain[-1]):
                chain.append(left[chain[-1]].popleft())
            yield chain
