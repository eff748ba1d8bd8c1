"""Graphs in Graphviz's language, and in dagitty's, which is like it.

::

    digraph { "smoking years" -> risk; a -> {b c} [color=red]; b -> c [dir=both]; u [latent=true] }
    dag { x [exposure, pos="0,1"]  x -> y  u [latent]  x <-> y }

What is only for the eye is passed over, and so are dagitty's marks exposure, outcome and adjusted: they are
about a question, not about the graph. ``dir=both`` and ``<->`` are hidden common causes. Undirected edges are
refused. See graphviz.org/doc/info/lang.html, and the manual of the R package dagitty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from pyrocausal.graph.text import Parts, Token
from pyrocausal.graph.text import fail as fail_at

TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n]*|/\*(?s:.*?)\*/|\#[^\n]*)"
    r"|(?P<arrow><->|->|<-)"
    r"|(?P<undirected>--|@)"
    r"|(?P<sign>[{}\[\];,=])"
    r'|"(?P<quoted>(?:[^"\\]|\\(?s:.))*)"'
    r"|(?P<number>-?(?:\.\d+|\d+(?:\.\d*)?)(?!\w))"
    r"|(?P<name>[\w.]+)"
)
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
KINDS = ("dag", "digraph")
FIX = "write digraph { a -> b; a -> c [dir=both]; u [latent=true] }, with other names in double quotes"


def parse(text: str) -> Parts:
    """Read a graph's text into its parts.

    >>> list(parse('dag { x [exposure,pos="0,1"] x -> y  x <-> y }').bidirected)
    [('x', 'y')]
    """
    return Reader(text).graph()


class Reader:
    """Recursive descent; it stands before the token that comes next."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = [*self._tokens(), Token("end", "", len(text))]
        self.place = 0
        self.parts = Parts()

    def _tokens(self) -> Iterator[Token]:
        at = 0
        while at < len(self.text):
            found = TOKEN.match(self.text, at)
            if found is None:
                fail_at(self.text, at, f"{self.text[at]!r} has no meaning here", FIX)
            if found["quoted"] is not None:
                yield Token("quoted", re.sub(r'\\[\\"n]', lambda m: ESCAPES[m[0]], found["quoted"]), at)
            elif found.lastgroup != "space":
                yield Token(str(found.lastgroup), found[0], at)
            at = found.end()

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        self.place += 1
        return self.tokens[self.place - 1]

    def takes(self, *signs: str) -> bool:
        """Go past one of these, if it comes next."""
        if self.next.kind == "quoted" or self.next.text not in signs:
            return False
        self.place += 1
        return True

    def need(self, sign: str) -> None:
        if not self.takes(sign):
            self.fail(f"{sign!r} was expected")

    def fail(self, what: str) -> NoReturn:
        fail_at(self.text, self.next.at, what, FIX)

    def graph(self) -> Parts:
        """'strict'? kind name? '{' statement* '}'"""
        self.takes("strict")
        if self.next.text.lower() not in KINDS:
            self.fail(
                f"{self.next.text!r} is no kind of graph that says what causes what: use dag or digraph"
            )
        self.take()
        if self.next.kind in ("name", "quoted", "number"):
            self.take()
        self.need("{")
        self.statements()
        if self.next.kind != "end":
            self.fail("the graph has ended")
        return self.parts

    def statements(self) -> list[str]:
        """All up to '}'; the nodes that they mention."""
        nodes: list[str] = []
        while not self.takes("}"):
            if self.next.kind == "end":
                self.fail("'}' was expected")
            if not self.takes(";", ","):
                nodes += self.statement()
        return nodes

    def statement(self) -> list[str]:
        """name '=' value, or 'node' '[' ... ']', or group (arrow group)* ('[' ... ']')*"""
        if self.setting():
            return []
        mentioned = left = self.group()
        edges: list[tuple[str, str, str]] = []
        while self.next.kind == "arrow":
            arrow = self.take().text
            right = self.group()
            edges += [(a, arrow, b) for a in left for b in right]
            mentioned, left = mentioned + right, right
        at = self.place
        attributes = self.attributes()
        for a, arrow, b in edges:
            self.join(a, arrow, b, attributes, at)
        if not edges:
            self.mark(left, attributes, at)
        return mentioned

    def setting(self) -> bool:
        """Defaults and settings are for the eye, unless they are about the ends of edges."""
        after = self.tokens[self.place + 1] if self.next.kind != "end" else self.next
        if self.next.kind == "name" and self.next.text in ("graph", "node", "edge") and after.text == "[":
            self.take()
            if "dir" in self.attributes():
                self.place -= 1
                self.fail("dir as a default for all edges is not read: give it to each edge")
            return True
        if self.next.kind in ("name", "quoted") and after == Token("sign", "=", after.at):
            self.place += 2
            self.take()
            return True
        return False

    def group(self) -> list[str]:
        """A name, or several in braces."""
        if self.takes("subgraph") and self.next.kind in ("name", "quoted"):
            self.take()
        if self.takes("{"):
            return self.statements()
        if self.next.kind == "undirected":
            self.fail("an undirected edge does not say which end is the cause")
        if self.next.kind not in ("name", "quoted", "number"):
            self.fail(
                f"a name was expected before {self.next.text!r}" if self.next.text else "a name was expected"
            )
        name = self.take().text
        self.parts.add("nodes", name)
        return [name]

    def attributes(self) -> dict[str, str]:
        """('[' (name ('=' value)?)* ']')*"""
        found: dict[str, str] = {}
        while self.takes("["):
            while not self.takes("]"):
                if self.next.kind not in ("name", "quoted", "number"):
                    self.fail("an attribute or ']' was expected")
                key = self.take().text
                found[key] = self.take().text if self.takes("=") else "true"
                self.takes(",", ";")
        return {key: value for key, value in found.items() if value != "false"}

    def mark(self, names: list[str], attributes: dict[str, str], at: int) -> None:
        if "selected" in attributes:
            self.place = at
            self.fail("a graph with selection is not read: ask for what is selected as a condition")
        for mark, part in (("latent", "latent"), ("do", "intervened")):
            if mark in attributes:
                for name in names:
                    self.parts.add(part, name)

    def join(self, a: str, arrow: str, b: str, attributes: dict[str, str], at: int) -> None:
        ends = attributes.get("dir", "forward")
        if ends == "none":
            self.place = at
            self.fail("dir=none: an undirected edge does not say which end is the cause")
        if arrow == "<->" or ends == "both":
            self.parts.add("cut_bidirected" if "cut" in attributes else "bidirected", (min(a, b), max(a, b)))
        else:
            edge = (b, a) if (arrow == "<-") != (ends == "back") else (a, b)
            self.parts.add("cut" if "cut" in attributes else "edges", edge)
