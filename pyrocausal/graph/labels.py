"""How wide a name is when drawn, and where to break a long one.

Widths are those of Helvetica, which Arial and Liberation Sans share, so that a picture fits its text
without a font engine.
"""

from __future__ import annotations

import re
import unicodedata

FONT_SIZE = 14.0
LINE_HEIGHT = 17.0
MAX_LINE = 132.0
MAX_LINES = 3
# Adobe's font metrics of Helvetica, in thousandths of the font size
WIDTHS = {
    char: width
    for chars, width in {
        "'": 191, "ijl": 222, "|": 260, " !,./:;I[\\]ft": 278, "()-`r": 333, "{}": 334, '"': 355, "*": 389,
        "^": 469, "Jcksvxyz": 500, "#$0123456789?L_abdeghnopqu": 556, "+<=>~": 584, "FTZ": 611,
        "&ABEKPSVXY": 667, "CDHNRUw": 722, "GOQ": 778, "Mm": 833, "%": 889, "W": 944, "@": 1015,
    }.items()
    for char in chars
}  # fmt: skip


def text_width(text: str) -> float:
    """The width of a line of text in pixels.

    >>> text_width("age") < text_width("AGE") < text_width("年齢年齢")
    True
    """
    return FONT_SIZE * sum(map(_char_width, text)) / 1000


def _char_width(char: str) -> float:
    if char in WIDTHS:
        return WIDTHS[char]
    if unicodedata.combining(char):
        return 0
    return 1000 if unicodedata.east_asian_width(char) in "WF" else 650


def wrap(name: str) -> list[str]:
    """The lines of a label: broken after blanks and joiners where it is too long for one.

    >>> wrap("gain"), wrap("average_daily_cigarettes_smoked")
    (['gain'], ['average_daily_', 'cigarettes_smoked'])
    """
    visible = "".join(char if char.isprintable() else " " for char in name)
    lines = [""]
    for piece in re.findall(r"[^\s_\-./]*[\s_\-./]*", visible):
        if lines[-1] and text_width((lines[-1] + piece).rstrip()) > MAX_LINE:
            lines.append("")
        lines[-1] += piece
    shown = [_shorten(line.strip()) for line in lines[:MAX_LINES]]
    if len(lines) > MAX_LINES:
        shown[-1] = _shorten(shown[-1] + "…", always=True)
    return shown


def _shorten(line: str, always: bool = False) -> str:
    if text_width(line) <= MAX_LINE:
        return line
    kept = line.rstrip("…")
    while text_width(kept + "…") > MAX_LINE:
        kept = kept[:-1]
    return kept + "…"
