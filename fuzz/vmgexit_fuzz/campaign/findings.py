"""Findings on disk: one for each cause, the smallest input so far, and a readable copy beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vmgexit.files import write

from ..targets import Finding, Target


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a finding is kept."""

    path: Path
    is_new: bool


def save(target: Target, finding: Finding, data: bytes, directory: Path) -> Saved:
    """Keep `data` as the input of a finding, unless a smaller one of the same cause is there."""
    path = directory / f"{target.name}-{slug(finding.cause)}.bin"
    is_new = not path.exists()
    if is_new or path.stat().st_size > len(data):
        write(path, data)
        write(path.with_suffix(".txt"), f"{target.show(data)}\n".encode())
        if target.name == "scenario":
            from vmgexit.machine.scenario import to_lines

            from ..targets.scenario import commands

            write(path.with_suffix(".jsonl"), to_lines(commands(data)).encode())
    return Saved(path, is_new)


def slug(cause: str) -> str:
    """A cause as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", cause.lower()).strip("-")[:80] or "unnamed"


def target_of(path: Path) -> str:
    """The target that an input's name says, or an empty string."""
    return path.name.partition("-")[0] if "-" in path.name else ""
