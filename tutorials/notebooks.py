"""The course as notebooks: the tests run `NN_name.py`, and the docs show these runs.

A run is kept under the digest of the tutorial's text. The docs take the kept run of the same text, and where
there is none, as in a build without the tests, run the tutorial themselves.

Percent files open in Jupyter with jupytext. A cell may have tags:

- `exercise`: the reader fills in the blank, `...`;
- `solution`, `hide-cell`: it is folded, and fills in only what the reader left blank;
- `check`: asserts that say what went wrong;
- `warns`: a warning is shown, and talked about in the text. Other cells are silent.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

HERE = Path(__file__).parent
TUTORIALS = sorted(HERE.glob("[0-9][0-9]_*.py"))
KEPT = HERE / "_build" / "notebooks"

LIMIT = 300  # seconds for one cell: nothing hangs, however busy the machine is


def read(text: str) -> NotebookNode:
    """A tutorial with its outputs: a kept run of this text, or else a new one. This is what myst-nb calls."""
    kept = _place(text)
    return nbformat.read(kept, as_version=4) if kept.exists() else run(text)


def run(text: str) -> NotebookNode:
    """Run a tutorial and keep it."""
    notebook = jupytext.reads(text, fmt="py:percent")
    execute(notebook)
    _keep(notebook, _place(text))
    return notebook


def execute(notebook: NotebookNode) -> None:
    """Run the cells in a kernel of their own, in an empty folder; outputs are written into the notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised, a check for instance.
    """
    with tempfile.TemporaryDirectory() as folder:
        # sockets in the folder: ports could be taken by the kernel of a test beside this one
        sockets = {"transport": "ipc", "connection_file": os.path.join(folder, "kernel.json")}
        client = NotebookClient(
            notebook,
            config=Config(KernelManager=sockets),
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            timeout=LIMIT,
        )
        client.execute(env=_environment())


def _environment() -> dict[str, str]:
    """Pictures go into the notebook; the package is the one beside this folder; one thread."""
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    return {**os.environ, **settings}


def _place(text: str) -> Path:
    return KEPT / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.ipynb"


def _keep(notebook: NotebookNode, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(f".{os.getpid()}")
    nbformat.write(notebook, unfinished)
    unfinished.replace(place)  # at once: another process reads a whole file or none
