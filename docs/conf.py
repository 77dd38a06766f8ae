"""How Sphinx builds the site (`make docs`): from these pages, from docstrings, and from pictures that code draws."""

from __future__ import annotations

import sys
from pathlib import Path

import raphson

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "Raphson"
author = "The Raphson developers"
copyright = author
version = release = raphson.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "accessible",
    "checked",
    "gallery",
    "mathml",
    "parameters",
    "pictures",
]
exclude_patterns = ["_extensions", "_pictures", "inventories"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = "Raphson"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # the signature says enough; docstrings give shapes and units
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_aliases = {
    "DataFrame": "pandas.DataFrame",
    "Series": "pandas.Series",
    "Axes": "matplotlib.axes.Axes",
    "Figure": "matplotlib.figure.Figure",
    "Fit": "raphson.Fit",
}

# Stored, so that the site is built without a request.
intersphinx_mapping = {
    name: (address, str(HERE / "inventories" / f"{name}.txt"))
    for name, address in {
        "python": "https://docs.python.org/3/",
        "numpy": "https://numpy.org/doc/stable/",
        "pandas": "https://pandas.pydata.org/docs/",
        "matplotlib": "https://matplotlib.org/stable/",
    }.items()
}
