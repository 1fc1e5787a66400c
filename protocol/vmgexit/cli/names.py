"""Naming structures and revisions on the command line, and what is said where a name is wrong."""

from __future__ import annotations

import argparse
import difflib

from ..errors import UsageError
from ..schema import Structure, structures


def find(name: str, revision: str | None = None) -> type[Structure]:
    """The structure of that name, or `NAME@REVISION` as titles have it.

    Raises UsageError with the nearest names, or the revisions.
    """
    known = structures()
    if revision is None and "@" in name:
        name, _, revision = name.partition("@")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:3]
        raise UsageError(f"unknown structure {name}; nearest: {', '.join(near)}; see vmgexit list")
    revisions = known[name]
    if revision is None and "" not in revisions:
        revision = next(iter(revisions))
    if (revision or "") not in revisions:
        there = ", ".join(r or "the current one" for r in revisions)
        raise UsageError(f"{name} has no revision {revision}; there are {there}")
    return revisions[revision or ""]


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
