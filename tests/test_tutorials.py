"""The course runs: each tutorial as a notebook, in a kernel of its own. The docs show these runs."""

import ast

import jupytext
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from tutorials import notebooks

each_tutorial = pytest.mark.parametrize("path", notebooks.TUTORIALS, ids=lambda path: path.stem)


def cells(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def outputs(some: list[NotebookNode]) -> list[NotebookNode]:
    return [output for cell in some for output in cell.get("outputs", [])]


@each_tutorial
def test_it_runs_in_silence_and_shows_a_picture(path):
    notebook = notebooks.run(path.read_text())
    quiet = [cell for cell in notebook.cells if cell not in cells(notebook, "warns")]
    assert not [output.text for output in outputs(quiet) if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook.cells))


@each_tutorial
def test_it_has_exercises_whose_checks_say_what_went_wrong(path):
    notebook = jupytext.read(path)
    exercises, solutions, checks = (cells(notebook, tag) for tag in ("exercise", "solution", "check"))
    assert 2 <= len(exercises) == len(solutions) == len(checks)
    for check in checks:
        asserts = [node for node in ast.walk(ast.parse(check.source)) if isinstance(node, ast.Assert)]
        assert asserts and all(node.msg is not None for node in asserts)
    assert "## Sources" in path.read_text()


def test_a_blank_is_found_by_the_check():
    """Without the solutions a tutorial stops at its first exercise, with words for the reader."""
    notebook = jupytext.read(notebooks.TUTORIALS[0])
    notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", [])]
    with pytest.raises(CellExecutionError) as found:
        notebooks.execute(notebook)
    assert found.value.ename == "AssertionError"
    assert "is blank" in found.value.evalue
