"""What checks found: findings, each with a verdict, and the report that shows them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from pyrocausal import cards, plots
from pyrocausal.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: From good to bad. A note is a number without a threshold; what is not run says why.
VERDICTS = ("note", "not run", "pass", "warn", "fail")
#: Families of findings, in the order of a report; those on an effect are only there if one is asked.
CHECKS = (
    *("noise law", "noise and causes", "noise and noise", "graph"),
    *("overlap", "effect", "refutation", "E-value", "robustness value", "hidden cause"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        check: the family it belongs to, "noise law" …
        about: the variable, independence or effect.
        verdict: "pass", "warn", "fail", "note" or "not run".
        number: what was measured; NaN if nothing was.
        unit: what the number is.
        p_value: of a test, adjusted for all tests of its family; NaN for what is no test.
        meaning: what it says.
        todo: what can be done about it.
    """

    check: str
    about: str
    verdict: str
    number: float = math.nan
    unit: str = ""
    p_value: float = math.nan
    meaning: str = ""
    todo: str = ""


class Trial(NamedTuple):
    """One test of a family, before its verdict."""

    about: str
    number: float
    p_value: float
    meaning: str  # if it is rejected


@dataclass(frozen=True)
class Family:
    """Tests that are judged together.

    A test fails if its p-value, corrected for all tests of the family, is at most alpha *and* its number is
    at least `matters`; it warns if only the p-value is small, for with enough rows every model is false. If
    everything that a family tests is true, the chance that it has any warning or failure is at most alpha.
    """

    check: str
    unit: str
    matters: float
    fine: str
    todo: str
    small: str = ""

    def judged(self, tests: Sequence[Trial], alpha: float) -> list[Finding]:
        found = []
        for test, p in zip(tests, holm([test.p_value for test in tests])):
            if p > alpha:
                verdict, meaning, todo = "pass", self.fine, ""
            elif test.number >= self.matters:
                verdict, meaning, todo = "fail", test.meaning, self.todo
            else:
                verdict, meaning, todo = "warn", test.meaning, f"it is small: {self.small or self.todo}"
            found.append(
                Finding(self.check, test.about, verdict, test.number, self.unit, float(p), meaning, todo)
            )
        return found


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p-values: to reject those up to alpha errs with chance alpha at most, however dependent.

    S. Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    adjusted = np.empty_like(p)
    adjusted[order] = stepped
    return adjusted


#: What a check gives: findings, and its picture by name.
Checked = tuple[list[Finding], dict[str, Any]]


def not_run(check: str, about: str, why: str) -> Finding:
    return Finding(check, about, "not run", meaning=why)


@dataclass(frozen=True, eq=False)
class Report:
    """All findings, and what the pictures show.

    Attributes:
        findings: in the order of the checks.
        rows: what the rows are, in a sentence.
        pictures: by name, what `pyrocausal.plots` draws of them.
    """

    findings: tuple[Finding, ...]
    rows: str = ""
    pictures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The worst of all."""
        return _worst(self.findings)

    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.verdict != "fail"

    def of(self, check: str) -> tuple[Finding, ...]:
        """The findings of one check.

        Raises:
            DataError: there is no such check.
        """
        if check not in CHECKS and all(check != finding.check for finding in self.findings):
            raise DataError(
                f"there is no check {check!r}",
                why=f"the checks are {', '.join(CHECKS)}",
                fix=did_you_mean(str(check), CHECKS) or "use one of these",
            )
        return tuple(f for f in self.findings if f.check == check)

    def to_pandas(self) -> pd.DataFrame:
        """A row a finding."""
        return pd.DataFrame([vars(f) for f in self.findings])

    def plot(self, *, figure: Figure | None = None) -> Figure:
        """All pictures of this report, as one figure."""
        return plots.checks(self, figure=figure)

    def summary(self) -> pd.DataFrame:
        """A row a check: its worst verdict, and how many passed."""
        rows = []
        for check, found in self._by_check().items():
            tested = [f for f in found if f.verdict in cards.GOOD]
            passed = sum(f.verdict == "pass" for f in tested)
            several = len(found) > 1 and tested
            worst = max(found, key=_badness)
            result = f"{passed} of {len(tested)} pass; at worst " if several else ""
            result += _number(worst) + (f" ({worst.about})" if several else "")
            rows.append({"check": check, "verdict": _worst(found), "result": result})
        return pd.DataFrame(rows)

    def _by_check(self) -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        for finding in self.findings:
            found.setdefault(finding.check, []).append(finding)
        return found

    def _to_say(self) -> list[Finding]:
        """What needs words: all but what passed among several."""
        alone = {check for check, found in self._by_check().items() if len(found) == 1}
        return [f for f in self.findings if f.verdict != "pass" or f.check in alone]

    def __repr__(self) -> str:
        lines = [fill(f"Checks: {self.verdict}. {self.rows}", 108), ""]
        lines += [f"{row.check:<17} {row.verdict:<8} {row.result}" for row in self.summary().itertuples()]
        lines.append("")
        for f in self._to_say():
            text = f"[{f.verdict}] {f.check}: {_sentence(f)}"
            lines.append(fill(text, 108, subsequent_indent="    ", break_on_hyphens=False))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        lines = [
            (escape(row.check), cards.badge(row.verdict), escape(row.result))
            for row in self.summary().itertuples()
        ]
        said = "".join(
            f"<li>{cards.badge(f.verdict)} <b>{escape(f.check)}</b>: {escape(_sentence(f))}</li>"
            for f in self._to_say()
        )
        summary = cards.table(("check", "verdict", "result"), lines)
        return cards.card(f"Checks: {self.verdict}", summary, f"<ul>{said}</ul>", beside=self.rows)


def _worst(findings: Iterable[Finding]) -> str:
    return max((f.verdict for f in findings), key=VERDICTS.index, default="pass")


def _badness(finding: Finding) -> tuple[int, float]:
    return VERDICTS.index(finding.verdict), -1.0 if math.isnan(finding.number) else finding.number


def _number(finding: Finding) -> str:
    if math.isnan(finding.number):
        return ""
    p = "" if math.isnan(finding.p_value) else f", p {_p(finding.p_value)}"
    return f"{finding.number:.3g} {finding.unit}".strip() + p


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else "< 0.0001"


def _sentence(finding: Finding) -> str:
    number = _number(finding)
    parts = [finding.about + (f" ({number})" if number else ""), finding.meaning]
    said = ": ".join(part for part in parts if part)
    return f"{said}. {finding.todo[:1].upper()}{finding.todo[1:]}".strip(". ") + "."
