"""How `--help` looks: as argparse has it, but a text of several lines keeps them.

argparse makes a formatter for each argument that is added, only to check it, and asks shutil how wide the
terminal is: importing that takes longer than to decode a structure. So the width is found here.
"""

from __future__ import annotations

import argparse
import os

_USUAL = 80


class Formatter(argparse.HelpFormatter):
    """argparse's own, but for the width and for texts of several lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        return "".join(indent + line for line in text.splitlines(keepends=True))


def examples(*commands: str) -> str:
    """The end of a command's help: commands to copy, each on a line of its own."""
    return "\n".join(
        ["examples:" if len(commands) > 1 else "example:", *(f"  {c}" for c in commands)]
    )


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
