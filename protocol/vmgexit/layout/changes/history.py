"""Every step from the earliest revision of a structure to the current one, as a page with pictures."""

from __future__ import annotations

from itertools import pairwise

from ...errors import UsageError
from ...wire.registry import find, structures
from ..formats.md import escape
from ..table import GENERATED
from . import picture, table
from .compared import Layout, of_structure


def steps(name: str) -> list[tuple[Layout, Layout]]:
    """Each revision of a structure with the one before it, the earliest first.

    Chapters declare earlier revisions in the order of their dates. Raises UsageError for a structure
    that has one revision.
    """
    known = structures()[find(name).declaration.name]
    layouts = [of_structure(cls) for revision, cls in known.items() if revision]
    layouts += [of_structure(known[""])] if "" in known else []
    if len(layouts) < 2:
        raise UsageError(f"{name} has one revision, and two are needed to compare")
    return list(pairwise(layouts))


def pages(name: str) -> dict[str, str]:
    """By file name: a page with the table of every step, and the picture of each."""
    plain = find(name).declaration.name
    made: dict[str, str] = {}
    first, last = steps(name)[0][0], steps(name)[-1][1]
    lines = [f"<!-- {GENERATED} -->", "", f"# What the drafts of {plain} changed", ""]
    lines += [escape(last.title), "", f"The earliest revision is {escape(first.label)}.", ""]
    for before, after in steps(name):
        drawn = f"{after.label}.svg"
        made[drawn] = picture.render(before, after)
        lines += [f"## {escape(after.label)}", "", escape(after.title), ""]
        if summary := table.counted(before, after):
            lines += [f"Since {escape(before.label)}: {summary}.", ""]
            lines += [f"![{after.label} beside {before.label}]({drawn})", ""]
        else:
            del made[drawn]
        lines += [table.markdown(before, after)]
    return {f"{plain}.md": "\n".join(lines), **made}
