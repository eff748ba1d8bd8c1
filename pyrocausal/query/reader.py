"""From the parser's tree to the question's, with checks of what may stand where."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from pyrocausal.query.faults import fail
from pyrocausal.query.syntax import Call, Comparison, Level, Node, Number, Operation, Setting, Term, Variable


class Reader:
    """From lark's tree to ours: one method for each rule."""

    def __init__(self, text: str):
        self.text = text

    def node(self, tree: Any) -> Any:
        return getattr(self, tree.data)(tree.meta.start_pos, *tree.children)

    def number(self, at: int, token: Any) -> Number:
        return Number(float(token), at=at)

    def level(self, at: int, token: Any) -> Level:
        return Level(re.sub(r"\\(.)", r"\1", token[1:-1]), at=at)

    def operation(self, at: int, left: Any, sign: Any, right: Any) -> Operation:
        return Operation("^" if sign == "**" else str(sign), (self.node(left), self.node(right)), at=at)

    def negative(self, at: int, _: Any, operand: Any) -> Node:
        inner = self.node(operand)
        return Number(-inner.value, at=at) if isinstance(inner, Number) else Operation("-", (inner,), at=at)

    def call(self, at: int, function: Any, *arguments: Any) -> Call:
        least, most = (2, 99) if function in ("min", "max") else (1, 1)
        if not least <= len(arguments) <= most:
            fail(self.text, at, f"{function} takes {'two numbers or more' if least == 2 else 'one number'}")
        return Call(str(function), tuple(map(self.node, arguments)), at=at)

    def variable(self, at: int, name: Any, subscript: Any) -> Node:
        if name in ("True", "False") and subscript is None:
            return Number(float(name == "True"), at=at)
        return Variable(_name(name), self.world(subscript), at=at)

    def world(self, subscript: Any) -> tuple[Setting, ...]:
        return self.settings(subscript.children) if subscript is not None else ()

    def settings(self, trees: Any) -> tuple[Setting, ...]:
        found: dict[str, Setting] = {}
        for tree in trees:
            setting = self.node(tree)
            if setting.variable in found:
                fail(self.text, setting.at, f"{setting.variable!r} is set twice in one world")
            found[setting.variable] = setting
        return tuple(found[name] for name in sorted(found))

    def setting(self, at: int, name: Any, sign: Any = None, value: Any = None) -> Setting:
        if sign is None:
            return Setting(_name(name), at=at)
        if value is None:  # m_{x=0}: `sign` is the subscript
            return Setting(_name(name), Variable(_name(name), self.world(sign), at=at), at=at)
        node = self.node(value)
        for part in node.walk():
            if isinstance(part, Term):
                fail(
                    self.text,
                    part.at,
                    f"{part.kind}[…] can't be what a variable is set to",
                    fix="give a number",
                )
        return Setting(_name(name), node, at=at)

    def comparison(self, at: int, *parts: Any) -> Comparison:
        sides = tuple(self.node(part) for part in parts[::2])
        signs = tuple("=" if sign == "==" else str(sign) for sign in parts[1::2])
        return Comparison(sides, signs, at=at)

    def term(self, at: int, kind: Any, of: Any, bar: Any) -> Term:
        return Terms(self).read(at, str(kind), of, bar)


class Terms:
    """What may stand in E[…], P(…) and their kin."""

    def __init__(self, reader: Reader):
        self.reader, self.text = reader, reader.text

    def read(self, at: int, kind: str, of: Any, bar: Any) -> Term:
        before, _, level = self._split(kind, of.children)
        given, acts, level_behind = self._split(kind, bar.children if bar is not None else ())
        if kind == "Q" and (level is None) == (level_behind is None):
            fail(self.text, at, "a quantile needs one level between 0 and 1", fix="write Q(y | do(x=1), 0.9)")
        self._check_of(kind, before, at)
        for event in given:
            if not isinstance(event, Comparison | Variable):
                what = "a condition is an event"
                fail(self.text, event.at, f"{what}, and this is none", fix=f"write {event}=1 or {event} > 0")
        for part in (n for item in (*before, *given) for n in item.walk()):
            if isinstance(part, Term):
                fail(
                    self.text,
                    part.at,
                    f"{part.kind}[…] can't stand inside of {kind}[…]",
                    fix="compute it outside",
                )
        term = Term(kind, before, given, acts, level_behind if level is None else level, at=at)
        return in_worlds(term, self.text)

    def _split(self, kind: str, trees: Any) -> tuple[tuple[Node, ...], tuple[Setting, ...], float | None]:
        """Events and variables; what do(…) sets; a quantile's level."""
        items: list[Node] = []
        acts: list[Any] = []
        level = None
        for tree in trees:
            if tree.data == "act":
                acts += tree.children[1:]
                continue
            node = self.reader.node(tree)
            if kind == "Q" and isinstance(node, Number) and level is None:
                if not 0 < node.value < 1:
                    fail(
                        self.text,
                        node.at,
                        f"{node} is no level of a quantile",
                        fix="take one between 0 and 1",
                    )
                level = node.value
            else:
                items.append(node)
        return tuple(items), self.reader.settings(acts), level

    def _check_of(self, kind: str, of: tuple[Node, ...], at: int) -> None:
        events = [isinstance(node, Comparison) for node in of]
        count = {"P": None, "Cov": 2, "Corr": 2}.get(kind, 1)
        if count is not None and len(of) != count:
            things = "two quantities" if count == 2 else "one quantity"
            fail(self.text, at, f"{kind} is of {things}", why=f"this one has {len(of) or 'none'}")
        if kind != "P" and any(events):
            fail(
                self.text,
                at,
                f"{kind} is of a number, and this is an event",
                fix="write P(…) for probabilities",
            )
        if kind == "P" and any(not isinstance(n, Variable) for n, event in zip(of, events) if not event):
            fail(self.text, at, "P is of events, or of variables", fix="write P(y > 0), or E[…] for numbers")
        if kind == "P" and len(set(events)) > 1:
            fail(self.text, at, "P has events and bare variables", fix="give every variable a value, or none")


def in_worlds(term: Term, text: str) -> Term:
    """The same term with its do(…) in every variable: E[y | do(x=1), z=2] is E[y_{x=1} | z_{x=1}=2]."""
    if not term.do:
        return term
    variables = [n for item in (*term.of, *term.given) for n in item.walk() if isinstance(n, Variable)]
    for variable in variables:
        if variable.world:
            fail(
                text,
                variable.at,
                "do(…) and subscripts in one term",
                why="the variables without a subscript would be in the world of do, and the others not",
                fix=f"use subscripts alone, e.g. {variable}",
            )
    set_ = {setting.variable: setting for setting in term.do}
    for event in term.given:
        for variable in (n for n in event.walk() if isinstance(n, Variable)):
            if variable.name in set_:
                fail(
                    text,
                    variable.at,
                    f"{variable.name!r} is both set by do and conditioned on",
                    why="next to do(…), conditions are about the world after it",
                    fix=_suggested(term, event),
                )
    return term


def _suggested(term: Term, event: Node) -> str:
    if len(term.of) == 1 and isinstance(term.of[0], Variable):
        asked = replace(term.of[0], world=term.do)
        return f"write {asked} | {event}, for the units that have {event} of themselves"
    return f"write subscripts for the world of do, and {event} for the actual one"


def _name(token: Any) -> str:
    return token[1:-1].replace("``", "`") if token.startswith("`") else str(token)
