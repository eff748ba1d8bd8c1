"""The documentation site: `sphinx-build -W -q -b html tutorials tutorials/_build/html`. No network is needed.

Tutorials (`NN_name.py`, jupytext percent format) show the runs that the tests kept. Those that have none are
run: see `notebooks.py`.
"""

import sys
from pathlib import Path

from pyrocausal import __version__

project = "pyrocausal"
author = "The pyrocausal developers"
copyright = author
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "myst_nb",
]
exclude_patterns = ["_build", "conf.py", "notebooks.py", "**.ipynb_checkpoints"]
default_role = "py:obj"  # `name` in a docstring links to the name where there is one, and is code where not

html_theme = "furo"
html_title = f"pyrocausal {release}"

sys.path.insert(0, str(Path(__file__).parent))
nb_custom_formats = {".py": "notebooks.read"}
nb_execution_mode = "off"  # the reader gives runs
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_use_ivar = True  # attributes of a dataclass are documented once, by its docstring
