"""The command line: `vmgexit list`, `decode`, `encode`, `layout`, ... Each command is one file here.

Thin: a command parses its arguments, calls the library and prints. `main` turns what a user did
wrong into one line on standard error and exit code 2; a finding or a broken rule is 1.
"""

from .main import main

__all__ = ["main"]
