"""What the documentation says runs, and shows what it says.

Every ```python block of the README and of tutorials/*.md is run, those of a file one after the other in
one namespace, in an empty folder. A block after the comment `<!-- not run -->` is left out. An expression
whose line ends in a comment with `→ value` must show that value.
"""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import torch

import pyrocausal as pc

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "tutorials").glob("*.md"))]
BLOCK = re.compile(r"^(?P<mark><!-- not run -->\n+)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWS = re.compile(r"#.*→ (?P<shown>.+)$")


def blocks(text: str) -> list[str]:
    """The blocks that run, each shifted to its line, so that a traceback points into the page."""
    found = [block for block in BLOCK.finditer(text) if not block["mark"]]
    return ["\n" * text.count("\n", 0, block.start("code")) + block["code"] for block in found]


def run(code: str, page: str, names: dict[str, object]) -> None:
    lines = code.splitlines()
    for statement in ast.parse(code, page).body:
        claim = SHOWS.search(lines[(statement.end_lineno or 1) - 1])
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), page, "eval"), names)
            if claim:
                assert repr(value) == claim["shown"], f"{page}, line {statement.lineno}"
        else:
            assert not claim, f"{page}, line {statement.lineno}: only an expression shows something"
            exec(compile(ast.Module([statement], []), page, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run_and_show_what_they_say(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, object] = {"__name__": page.stem}
    for code in blocks(page.read_text()):
        run(code, page.name, names)


def test_a_wrong_claim_is_caught():
    run("1 + 1  # → 2", "page", {})
    with pytest.raises(AssertionError):
        run("1 + 1  # → 3", "page", {})
    assert blocks("<!-- not run -->\n```python\n1\n```\n\n```python\n2\n```\n") == ["\n" * 6 + "2\n"]


@pytest.mark.parametrize("name", ["demo", "test"])
def test_the_set_up_commands_are_found_by_the_gate(name):
    finder = re.search(r"^readme_line\(\).*$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    shell = f"{finder[0]}\nreadme_line command:{name}"
    found = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = found.stdout.splitlines()
    environment = {"demo": ".venv", "test": ".venv-test"}[name]
    assert line.startswith(f"python3 -m venv {environment} && {environment}/bin/pip install")
    assert "-c constraints.txt" in line


def test_every_public_name_is_in_the_reference():
    reference = (ROOT / "tutorials" / "api.md").read_text()
    missing = [name for name in pc.__all__ if f"pyrocausal.{name}" not in reference]
    assert not missing
