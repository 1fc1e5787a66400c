"""Arguments that several commands have: the name of a structure, a number."""

from __future__ import annotations

import argparse


def number(text: str) -> int:
    """A count or an offset: decimal or 0x hex, not negative."""
    try:
        value = int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def add_structure(parser: argparse.ArgumentParser) -> None:
    """The arguments that name one structure."""
    parser.add_argument(
        "name", metavar="NAME", help="structure, as vmgexit list names it; NAME@R: a revision of it"
    )
    parser.add_argument("--revision", metavar="R", help="an earlier draft's layout")
