"""Reading a causal question in the field's notation.

The notation is that of J. Pearl, "Causality" (2009), in one line: do-expressions stand right of the bar, and
counterfactuals have subscripts.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pyrocausal.errors import QueryError
from pyrocausal.query.faults import fail_to_read
from pyrocausal.query.reader import Reader
from pyrocausal.query.syntax import FUNCTIONS, KINDS, Node

if TYPE_CHECKING:
    from lark import Lark

GRAMMAR = r"""
?start: sum
?sum: product | sum PLUS product -> operation | sum MINUS product -> operation
?product: signed | product TIMES signed -> operation | product OVER signed -> operation
?signed: power | MINUS signed -> negative
?power: atom | atom POWER signed -> operation
?atom: NUMBER -> number | STRING -> level | variable | term | "(" sum ")"
     | FUNCTION "(" sum ("," sum)* ")" -> call

term: KIND "[" of ["|" bar] "]" | KIND "(" of ["|" bar] ")"
of: item ("," item)*
bar: item ("," item)*
?item: sum | comparison | act
comparison: sum ((SIGN | EQUAL) sum)+
act: DO "(" setting ("," setting)* ")"

variable: NAME [subscript]
subscript: "_{" setting ("," setting)* "}"
setting: NAME (EQUAL sum | subscript)?

PLUS: "+"
MINUS: "-"
TIMES: "*"
OVER: "/"
POWER: "**" | "^"
EQUAL: "==" | "="
SIGN: "<=" | ">=" | "!=" | "<" | ">"
DO.4: /do(?=\s*\()/
KIND.3: /(%KINDS)(?=\s*[\[(])/
FUNCTION.3: /(%FUNCTIONS)(?=\s*\()/
NAME: /`(``|[^`])+`|[^\W\d]\w*?(?=_\{)|[^\W\d]\w*/
NUMBER: /(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?/
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/
%ignore /\s+/
"""

LONGEST = 2_000  # characters


@cache
def grammar() -> Lark:
    from lark import Lark  # only those who ask in text need it

    text = GRAMMAR.replace("%KINDS", "|".join(KINDS)).replace("%FUNCTIONS", "|".join(FUNCTIONS))
    return Lark(text, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def parse(text: str) -> Node:
    """The tree of a question.

    Raises:
        QueryError: it can't be read; a caret stands under the place.

    >>> question = parse("E[y | do(x=1)] - E[y | do(x=0)]")
    >>> [term.do for term in question.operands]
    [(Setting(variable='x', value=Number(value=1.0)),), (Setting(variable='x', value=Number(value=0.0)),)]
    >>> print(parse("P(y_{ x = 0 }=0|x==1,`body mass`>25)"))
    P(y_{x=0}=0 | x=1, `body mass` > 25)
    """
    from lark.exceptions import UnexpectedInput

    if not isinstance(text, str):
        raise QueryError(f"a question is text, not {type(text).__name__}", fix='write e.g. "E[y | do(x=1)]"')
    if len(text) > LONGEST:
        raise QueryError(f"a question of {len(text):,} characters is too long", fix="ask for its parts")
    try:
        return Reader(text).node(grammar().parse(text))
    except UnexpectedInput as error:
        fail_to_read(text, error)
    except RecursionError:
        raise QueryError("the question is nested too deeply", fix="ask for its parts") from None
