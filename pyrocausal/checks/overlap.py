"""A finding on overlap for either action of an effect."""

from __future__ import annotations

from pyrocausal.checks.effect import Effect, shown
from pyrocausal.checks.report import Checked, Finding, not_run
from pyrocausal.checks.rows import Rows
from pyrocausal.overlap import RARE, Overlap, overlap, untold

CHECK = "overlap"
HELP = (
    "trim the rows that can't have it, ask for a milder action (a shift), or say that the model extrapolates"
)


def check_overlap(rows: Rows, effect: Effect) -> Checked:
    """A finding for either action of the effect."""
    why = untold(rows.scm, effect.treatment, rows.values)
    if why:
        return [not_run(CHECK, effect.treatment, f"the chance of its values can't be told: {why}")], {}
    findings: list[Finding] = []
    pictures: list[Overlap] = []
    for value, actions in zip(effect.contrast, effect.actions):
        if not actions:
            continue
        label = f"do({effect.treatment}{shown(value)})"
        measured = overlap(rows, effect.treatment, actions, label)
        if measured is None:
            findings.append(not_run(CHECK, label, "nested actions have no weights"))
            continue
        pictures.append(measured)
        findings.append(_finding(measured))
    return findings, {"overlap": pictures} if pictures else {}


def _finding(measured: Overlap) -> Finding:
    unit = f"of the rows below a chance of {RARE:g}"
    todo = "" if measured.verdict == "pass" else HELP
    return Finding(
        CHECK, measured.action, measured.verdict, measured.rare, unit, meaning=measured.meaning, todo=todo
    )
