"""Verdicts, corrections and how a report reads."""

import itertools
import math

import numpy as np
import pytest

from pyrocausal.checks import Finding, Report
from pyrocausal.checks.report import Family, Trial, holm

FAMILY = Family("law", "gap", matters=0.1, fine="fine", todo="mend it", small="train on")


def test_holm_is_bonferroni_closed():
    """Holm's p-value is the largest Bonferroni p-value of all sets of hypotheses that hold this one."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.random(5) ** 3
        sets = [s for k in range(1, 6) for s in itertools.combinations(range(5), k)]
        closed = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(5)]
        assert holm(p) == pytest.approx(closed)
    assert holm([]).tolist() == []


def test_holm_keeps_the_level_of_the_family():
    rng = np.random.default_rng(1)
    alarms = [(holm(rng.random(10)) <= 0.05).any() for _ in range(2000)]
    assert 0.03 < np.mean(alarms) < 0.065


def test_a_failure_is_sure_and_large():
    tests = [Trial("a", 0.3, 1e-6, "bad"), Trial("b", 0.05, 1e-6, "bad"), Trial("c", 0.3, 0.2, "bad")]
    found = FAMILY.judged(tests, alpha=0.01)
    assert [f.verdict for f in found] == ["fail", "warn", "pass"]
    assert [f.todo for f in found] == ["mend it", "it is small: train on", ""]
    assert found[2].meaning == "fine" and found[0].meaning == "bad"
    assert FAMILY.judged([], alpha=0.01) == []


def report() -> Report:
    found = FAMILY.judged([Trial("a", 0.3, 1e-6, "bad"), Trial("b", 0.02, 0.5, "bad")], alpha=0.01)
    note = Finding("E-value", "effect of <t>", "note", 2.5, "risk ratio", meaning="so strong")
    return Report((*found, note, Finding("overlap", "t", "not run", meaning="no density")), "10 rows.")


def test_a_report_says_what_matters():
    found = report()
    assert found.verdict == "fail" and not found.ok()
    assert Report(()).ok() and Report(()).verdict == "pass"
    text = repr(found)
    assert "law               fail     1 of 2 pass; at worst 0.3 gap, p < 0.0001 (a)" in text
    assert "[fail] law: a (0.3 gap, p < 0.0001): bad. Mend it." in text
    assert "[note] E-value: effect of <t> (2.5 risk ratio): so strong." in text
    assert "[not run] overlap: t: no density." in text
    assert "law: b" not in text  # what passed among several needs no words
    frame = found.to_pandas()
    assert frame.verdict.tolist() == ["fail", "pass", "note", "not run"]
    assert math.isnan(frame.number[3])
    assert [f.about for f in found.of("law")] == ["a", "b"]
    html = found._repr_html_()
    assert "effect of &lt;t&gt;" in html and html.count("<li>") == 3 and html.count("<tr>") == 4
