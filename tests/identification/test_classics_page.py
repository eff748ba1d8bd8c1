"""The page of classic graphs says what `identify` answers."""

import re
from pathlib import Path

import pytest

import pyrocausal as pc

PAGE = Path(__file__).parents[2] / "tutorials" / "classics.md"
CELL = re.compile(r"(?<!\\)\|")


def rows() -> list[tuple[str, str, str, str]]:
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in CELL.split(line)[1:-1]]
        if len(cells) == 5 and cells[1].startswith("`"):
            found.append((cells[0], cells[1].strip("`"), cells[2].strip("`"), cells[3]))
    return found


@pytest.mark.parametrize("name, graph, question, answer", rows(), ids=lambda cell: cell[:30])
def test_a_row_is_what_identify_answers(name: str, graph: str, question: str, answer: str) -> None:
    estimand = pc.identify(graph, question)
    assert answer == (f"`{estimand.expression}`" if estimand.identified else "*no*"), name


def test_the_page_has_its_rows() -> None:
    assert len(rows()) >= 35
    assert {answer == "*no*" for *_, answer in rows()} == {True, False}
