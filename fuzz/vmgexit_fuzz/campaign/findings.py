"""Findings on disk: one for each cause, the smallest input so far, and a readable copy beside it.

A cause whose file is there from an earlier campaign is a known finding: it is told in one line, and
counts like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vmgexit.files import write

from ..targets import TARGETS, Finding, Target


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a finding is kept."""

    path: Path
    is_new: bool


def save(
    target: Target, finding: Finding, data: bytes, directory: Path, *, deadly: bool = False
) -> Saved:
    """Keep `data` as the input of a finding, unless a smaller one of the same cause is there.

    A `deadly` input is not run to show where it fails. Raises OSError.
    """
    path = directory / f"{target.name}-{slug(finding.cause)}.bin"
    is_new = not path.exists()
    if is_new or path.stat().st_size > len(data):
        write(path, data)
        write(path.with_suffix(".txt"), f"{shown(target, finding, data, deadly)}\n".encode())
        if target.is_program:
            from vmgexit.machine.scenario import to_lines

            from ..targets.scenario import commands

            write(path.with_suffix(".jsonl"), to_lines(commands(data)).encode())
    return Saved(path, is_new)


def shown(target: Target, finding: Finding, data: bytes, deadly: bool = False) -> str:
    """A finding for a person: what is wrong, then the input."""
    if deadly:
        return f"{finding.message}\n{target.read(data)}"
    try:
        return f"{finding.message}\n{target.show(data)}"
    except (Exception, SystemExit):  # what is broken may be what shows it
        return f"{finding.message}\n   {data.hex()}"


def slug(cause: str) -> str:
    """A cause as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", cause.lower()).strip("-")[:80] or "unnamed"


def target_of(path: Path) -> str:
    """The target that an input's name or its folders say, or an empty string."""
    for part in reversed(path.absolute().parts):
        name = part.partition("-")[0]
        if name in TARGETS:
            return name
    return ""
