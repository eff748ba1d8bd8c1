"""The documentation site: `sphinx-build -W -q -b html tutorials tutorials/_build/html`. No network is needed.

Tutorials (`NN_name.py`, jupytext percent format) are run only when asked for: PYROCAUSAL_DOCS_EXECUTE=cache.
"""

import os

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
exclude_patterns = ["_build", "conf.py", "**.ipynb_checkpoints"]
default_role = "py:obj"  # `name` in a docstring links to the name where there is one, and is code where not

html_theme = "furo"
html_title = f"pyrocausal {release}"

nb_execution_mode = os.environ.get("PYROCAUSAL_DOCS_EXECUTE", "off")
nb_execution_raise_on_error = True
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_use_ivar = True  # attributes of a dataclass are documented once, by its docstring
