"""The command line: `vmgexit list`, `decode`, `encode`, `layout`, ... Each command is one file here.

A command parses its arguments, calls the library and prints. `main` turns a user's mistake into one
line on standard error and exit code 2. A finding or a broken rule is exit code 1.
"""

from .main import main

__all__ = ["main"]
