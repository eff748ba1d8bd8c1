"""Which language a graph's text is in: it is told by how the text begins, or by the suffix of the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pyrocausal.errors import GraphError
from pyrocausal.graph import dot, gml, text
from pyrocausal.graph.text import Parts

BLANK = r"(?:\s|//[^\n]*\n|/\*(?s:.*?)\*/|\#[^\n]*\n)*"
NAME = r'(?:\w+|"[^"]*")?'
# ``graph [latent] -> x`` is our own language, with a node named graph
GML = re.compile(rf"{BLANK}(?:(?:Creator|Version)\s+\S.*\n\s*)*graph\s*\[(?!latent\]|do\])", re.IGNORECASE)
BRACES = re.compile(rf"{BLANK}(?:strict\s+)?(?:dag|digraph|graph|mag|pdag|pag)\s*{NAME}\s*\{{", re.IGNORECASE)

SUFFIXES: dict[str, Callable[[str], Parts]] = {".dot": dot.parse, ".gv": dot.parse, ".dagitty": dot.parse}
SUFFIXES |= {".gml": gml.parse, ".txt": lambda written: parse(written)}


def parse(written: str) -> Parts:
    """The parts of a graph from text in our own language, dagitty's, Graphviz's, or GML.

    >>> [list(parse(graph).edges) for graph in ("x -> y", "dag { x -> y }", 'digraph g { "x" -> "y" }')]
    [[('x', 'y')], [('x', 'y')], [('x', 'y')]]
    """
    if BRACES.match(written):
        return dot.parse(written)
    return gml.parse(written) if GML.match(written) else text.parse(written)


def parse_file(path: str | Path) -> Parts:
    path = Path(path)
    read = SUFFIXES.get(path.suffix.lower())
    if read is None:
        raise GraphError(
            f"no graph is read from a file named *{path.suffix}",
            f"the suffixes that are known are {', '.join(SUFFIXES)}",
            "rename it, or pass its text to CausalGraph.from_string",
        )
    if not path.is_file():
        raise GraphError(f"there is no file {str(path)!r}", fix="check the path")
    return read(path.read_text(encoding="utf-8"))
