"""Sphinx's configuration; `python3 dev.py docs` builds the site."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

project = "vmgexit"
author = "The vmgexit authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "shown"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["corpus"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Documents of specs/ link to files that are no pages, and to folders.
suppress_warnings = ["myst.header"]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = "vmgexit"
html_show_sourcelink = False
html_show_copyright = False
html_copy_source = False
# A page opened from a file may not fetch others.
html_show_search_summary = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
# --json stays two hyphens.
smartquotes_action = "qe"
