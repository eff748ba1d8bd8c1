"""How objects look in Jupyter: one family of small cards, on light and dark grounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

STYLE = """<style>
.pyrocausal-card{font-size:13px;line-height:1.45;color:var(--jp-content-font-color1,var(--vscode-editor-foreground,inherit))}
.pyrocausal-card>header{font-weight:600;margin:2px 0 6px}
.pyrocausal-card>header small{font-weight:400;opacity:.72;margin-left:.6em;font-size:12px}
.pyrocausal-card table{border-collapse:collapse;border:none;margin:4px 0;font-size:12.5px}
.pyrocausal-card :is(th,td){border:none;background:none;padding:2px 14px 2px 0;
 text-align:left;vertical-align:top}
.pyrocausal-card tbody :is(th,td){border-top:1px solid color-mix(in srgb,currentColor 18%,transparent)}
.pyrocausal-card th{font-weight:600;opacity:.72;white-space:nowrap}
.pyrocausal-card .number :is(td,thead th){text-align:right;font-variant-numeric:tabular-nums}
.pyrocausal-card code{font-size:12px;background:none;color:inherit}
.pyrocausal-card details{margin:4px 0}.pyrocausal-card summary{cursor:pointer;opacity:.8}
.pyrocausal-card ul{margin:4px 0;padding-left:18px}
</style>"""
GOOD = {"pass": "#2e8b57", "warn": "#c77700", "fail": "#d33f3f"}  # legible on white and on black


def card(title: str, *parts: str, beside: str = "") -> str:
    """A title (text, with a remark beside it) and parts, which are HTML."""
    small = f"<small>{escape(beside)}</small>" if beside else ""
    return (
        f'{STYLE}<div class="pyrocausal-card"><header>{escape(title)}{small}</header>'
        f"{''.join(part for part in parts if part)}</div>"
    )


def rows(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what there is to say of each, as text.

    >>> rows([("rung", "2 < 3")])
    '<table><tbody><tr><th>rung</th><td>2 &lt; 3</td></tr></tbody></table>'
    """
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in pairs)
    return f"<table><tbody>{body}</tbody></table>"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table whose cells are HTML."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def frame(data: pd.DataFrame, *, most: int = 12) -> str:
    """A DataFrame of numbers."""
    shown = data.to_html(border=0, max_rows=most, float_format=lambda x: f"{x:.4g}", classes="number")
    return shown.replace(' class="dataframe number"', ' class="number"').replace(
        ' style="text-align: right;"', ""
    )


def details(summary: str, inside: str, *, shown: bool = False) -> str:
    """What is folded away until it is asked for."""
    return f"<details{' open' * shown}><summary>{escape(summary)}</summary>{inside}</details>"


def formula(latex: str) -> str:
    """LaTeX, as MathJax finds it in a page.

    >>> formula("a < b")
    '<p>$$a &lt; b$$</p>'
    """
    return f"<p>$${escape(latex, quote=False)}$$</p>"


def badge(verdict: str) -> str:
    """A verdict in its colour."""
    colour = GOOD.get(verdict)
    style = f' style="color:{colour};font-weight:600"' if colour else ""
    return f"<span{style}>{escape(verdict)}</span>"
