"""What a draft changed as a table: plain text for a terminal, Markdown for a page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from ..formats.md import escape
from .compared import Change, Layout, Part, compared, paths, places

_COLUMNS = ("Change", "Before", "At", "After", "At")
_WIDEST = 28  # columns of a name
NOTHING = "Nothing moved, and no name changed."


def text(before: Layout, after: Layout) -> str:
    """The changes as lines of columns; a part that stayed as it was has no line."""
    changes = _told(before, after)
    lines = [f"{before.label} -> {after.label}", ""]
    if not changes:
        return "\n".join([*lines, NOTHING, ""])
    rows = [[[title] for title in _COLUMNS], *map(_cells, changes)]
    widths = [max(len(line) for row in rows for line in row[at]) for at in range(len(_COLUMNS))]
    rows.insert(1, [["-" * width] for width in widths])
    for row in rows:
        for cells in zip_longest(*row, fillvalue=""):
            line = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
            lines.append(line.rstrip())
    return "\n".join([*lines, ""])


def markdown(before: Layout, after: Layout) -> str:
    """The changes as a table of GitHub-flavoured Markdown, without a heading."""
    changes = _told(before, after)
    if not changes:
        return NOTHING + "\n"
    lines = [f"| {' | '.join(_COLUMNS)} |", f"| {' | '.join('---' for _ in _COLUMNS)} |"]
    return "\n".join([*lines, *map(_row, changes), ""])


def counted(before: Layout, after: Layout) -> str:
    """How many changes of each kind: `3 renamed, 1 widened`."""
    kinds = [", ".join(change.kinds) for change in _told(before, after)]
    return "; ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _told(before: Layout, after: Layout) -> list[Change]:
    return [change for change in compared(before, after) if change.kinds]


def _cells(change: Change) -> list[list[str]]:
    """The lines of each cell; below a name stands the path."""
    cells = [list(change.kinds)]
    for parts in (change.before, change.after):
        named = textwrap.wrap(names(parts), _WIDEST)
        named += textwrap.wrap(paths(parts), _WIDEST, initial_indent="  ", subsequent_indent="    ")
        cells += [named, places(parts).split("; ")]
    return cells


def names(parts: Sequence[Part]) -> str:
    """What parts are called, each name once."""
    return ", ".join(dict.fromkeys(part.name for part in parts))


def _row(change: Change) -> str:
    cells = [", ".join(change.kinds)]
    for parts in (change.before, change.after):
        named = f"**{escape(names(parts))}**" if parts else ""
        if shown := paths(parts):
            named += f"<br>`{shown}`"
        cells += [named, places(parts)]
    return f"| {' | '.join(cells)} |"
