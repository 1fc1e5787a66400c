"""How `--help` looks: as argparse has it, and with a text that keeps its lines.

argparse makes a formatter for each argument that is added, only to check it, and asks shutil how wide the
terminal is: importing that takes longer than to decode a structure. So the width is found here.
"""

from __future__ import annotations

import argparse
import os

_USUAL = 80


class Formatter(argparse.HelpFormatter):
    """argparse's own, but for the width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


class KeptLines(Formatter, argparse.RawDescriptionHelpFormatter):
    """For a command whose description or epilog has lines of its own."""


def _columns() -> int:
    """Of the terminal, or what COLUMNS says."""
    try:
        return int(os.environ.get("COLUMNS", "")) or _USUAL
    except ValueError:
        pass
    try:
        return os.get_terminal_size().columns or _USUAL
    except OSError:
        return _USUAL
