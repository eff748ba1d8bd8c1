"""The language: what is written is what is read, and errors point at the character."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrocausal.errors import QueryError
from pyrocausal.query import parse
from pyrocausal.query.syntax import (
    KINDS,
    Call,
    Comparison,
    Level,
    Node,
    Number,
    Operation,
    Setting,
    Term,
    Variable,
)

names = st.sampled_from(["y", "x", "wt82_71", "E", "do", "smoking years", "a`b", "y_", "größe", "P1", "x_1"])
numbers = st.one_of(st.integers(-99, 99), st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: x + 0.0)).map(
    lambda x: Number(float(x))
)
levels = st.sampled_from(["high", "it's", 'say "so"', "back\\slash"]).map(Level)


@st.composite
def worlds(draw: st.DrawFn, depth: int = 1) -> tuple[Setting, ...]:
    found = {}
    for name in draw(st.lists(names, max_size=2, unique=True)):
        kinds = ["value", "symbol", "read"] + (["nested"] if depth else [])
        match draw(st.sampled_from(kinds)):
            case "value":
                found[name] = Setting(name, draw(st.one_of(numbers, levels)))
            case "symbol":
                found[name] = Setting(name)
            case "read":
                found[name] = Setting(name, Operation("+", (Variable(draw(names)), draw(numbers))))
            case "nested":
                inner = draw(worlds(depth - 1))
                found[name] = Setting(name, Variable(name, inner) if inner else None)
    return tuple(found[name] for name in sorted(found))


@st.composite
def variables(draw: st.DrawFn, in_worlds: bool) -> Variable:
    return Variable(draw(names), draw(worlds()) if in_worlds else ())


def quantities(in_worlds: bool) -> st.SearchStrategy[Node]:
    leaves = st.one_of(variables(in_worlds), numbers)
    return st.recursive(leaves, lambda inner: _combined(inner, ["+", "-", "*", "/", "^"]), max_leaves=4)


def _combined(inner: st.SearchStrategy[Node], signs: list[str]) -> st.SearchStrategy[Node]:
    pairs = st.builds(lambda s, a, b: Operation(s, (a, b)), st.sampled_from(signs), inner, inner)
    minus = inner.map(_negative)
    calls = st.builds(lambda f, a: Call(f, (a,)), st.sampled_from(["log", "exp", "abs", "sqrt"]), inner)
    both = st.builds(lambda f, a, b: Call(f, (a, b)), st.sampled_from(["min", "max"]), inner, inner)
    return st.one_of(pairs, minus, calls, both)


def _negative(node: Node) -> Node:
    """-2 is read as a number."""
    return Number(-node.value) if isinstance(node, Number) else Operation("-", (node,))


@st.composite
def events(draw: st.DrawFn, in_worlds: bool) -> Comparison:
    signs = draw(st.lists(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), min_size=1, max_size=2))
    left = draw(quantities(in_worlds))
    right = [draw(st.one_of(quantities(in_worlds), levels)) for _ in signs]
    return Comparison((left, *right), tuple(signs))


@st.composite
def terms(draw: st.DrawFn) -> Term:
    kind = draw(st.sampled_from(KINDS))
    do = draw(worlds(0)) if draw(st.booleans()) else ()
    in_worlds = not do
    if kind == "P":
        one = draw(st.sampled_from([events(in_worlds), variables(in_worlds)]))
        of = draw(st.lists(one, min_size=1, max_size=2))
    else:
        of = [draw(quantities(in_worlds)) for _ in range(2 if kind in ("Cov", "Corr") else 1)]
    if kind == "Q":
        of = [draw(variables(in_worlds))]  # a bare number would be its level
    given_ = draw(st.lists(st.one_of(events(in_worlds), variables(in_worlds)), max_size=2))
    level = draw(st.sampled_from([0.1, 0.5, 0.975])) if kind == "Q" else None
    return Term(kind, tuple(of), tuple(given_), do, level)


questions = st.recursive(terms(), lambda inner: _combined(inner, ["+", "-", "*", "/"]), max_leaves=3)


@settings(max_examples=80, deadline=None)
@given(questions)
def test_what_is_written_is_read_back(question: Node) -> None:
    try:
        again = parse(str(question))
    except QueryError as error:  # the one thing that a random tree may say and a question must not
        assert "set by do and conditioned on" in str(error)
        return
    assert again == question


SAME = {
    "E(y|do(x==1))": "E[y | do(x=1)]",
    "P[ y > 0 | x = 1 ]": "P(y > 0 | x=1)",
    "E[y | do(x=1), do(z=2)]": "E[y | do(x=1, z=2)]",
    "Q(y, 0.9 | do(x=1))": "Q(y | do(x=1), 0.9)",
    "2**3 * E[y]": "2^3 * E[y]",
    "E[y_{b=1, a=2}]": "E[y_{a=2, b=1}]",
    "E[y] - (E[x] - E[z])": "E[y] - (E[x] - E[z])",
    "-E[y]^2": "-E[y]^2",
    "E[y | 1 < x]": "E[y | 1 < x]",
}


@pytest.mark.parametrize("text", SAME)
def test_spellings(text: str) -> None:
    assert str(parse(text)) == SAME[text]


def test_subtraction_and_power_associate_as_in_mathematics() -> None:
    assert parse("E[a] - E[b] - E[c]") == parse("(E[a] - E[b]) - E[c]")
    assert parse("E[a] / E[b] / E[c]") == parse("(E[a] / E[b]) / E[c]")
    assert parse("2^3^2 * E[a]") == parse("2^(3^2) * E[a]")
    assert parse("E[-y^2]") == parse("E[-(y^2)]")


# text: (the character, counted from 1; a part of the message)
WRONG = {
    "P(y | do(x)": (12, "')' is missing"),
    "E[y | do(x=1)": (14, "']' is missing"),
    "E[y | ]": (7, "expected"),
    "E[y_{1}]": (6, "_{x=1}"),
    "E[y | x=0, do(x=1)]": (7, "write y_{x=1} | x=0"),
    "E[y_{x=1} | do(z=1)]": (3, "subscripts"),
    "E(y]": (4, "')' comes first"),
    "y | x": (3, "'|'"),
    "E[y] = 3": (6, "no answer in it"),
    "E[y], E[x]": (5, "one question at a time"),
    "Q(y)": (1, "level between 0 and 1"),
    "Q(y, 1.5)": (6, "between 0 and 1"),
    "E[y>0]": (1, "P(…)"),
    "P(y+1)": (1, "E[…]"),
    "P(y=1, z)": (1, "bare variables"),
    "E[y | z + 1]": (7, "an event"),
    "E[E[y]]": (3, "outside"),
    "E[y | do(x=E[z])]": (12, "set to"),
    "E[y | do(x=1, x=2)]": (15, "twice"),
    "log(1,2)": (1, "one number"),
    "": (1, "too early"),
    "Cov[y]": (1, "two quantities"),
    "E[y $ 2]": (5, "'$'"),
    "Cor[y, x]": (4, "'['"),
}


@pytest.mark.parametrize("text", WRONG)
def test_an_error_points_at_the_character(text: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    at, part = WRONG[text]
    message = str(caught.value)
    assert f"at character {at}:" in message and part in message
    shown, caret = message.splitlines()[2:4]
    assert shown == f"    {text}" and caret == " " * (at + 3) + "^"


def test_a_question_is_text() -> None:
    with pytest.raises(QueryError, match="a question is text"):
        parse(3)  # type: ignore[arg-type]
