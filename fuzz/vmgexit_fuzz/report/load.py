"""Reading a campaign's folder for the report. No file in it is trusted.

Only `campaign.json` must be readable: without it, this is no campaign's folder. Every other file
may be torn, missing or of the wrong type; the report leaves it out, and counts it where that
matters.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vmgexit.errors import UsageError, VmgexitError
from vmgexit.guests.profiles import find_guest

from ..campaign.findings import Record, records
from ..campaign.folder import Directory
from ..campaign.statistics import Line, read_lines
from ..campaign.status import Status
from ..campaign.untrusted import files, is_file, typed
from ..targets import TargetRow, find
from .text import decoded, one_line

PAUSE = 30.0  # seconds without a word of any worker: the campaign was not running
LARGEST = 1 << 20  # bytes of an input or a record; what is larger is none of ours
LARGEST_TEXT = 32 << 10  # bytes of a scenario that are shown
LARGEST_LOG = 4 << 10  # bytes of a log that are shown: the last


@dataclass(frozen=True, slots=True)
class Found:
    """One finding: its record, its scenario as text, and the file with its commands, if it has one."""

    record: Record
    text: str
    commands: Path | None = None


@dataclass(slots=True)
class Loaded:
    """What a campaign's folder holds."""

    path: Path
    target: TargetRow
    profile: str
    plant: str
    peer: str
    guest: str
    created: float  # seconds since 1970; 0 where it is not known
    lines: list[Line]  # by time
    unreadable: int  # lines
    corpus: list[Path]  # by name
    status: Status  # of these lines and findings
    findings: list[Found]  # those not marked as known first, the latest of them at the top
    unreadable_findings: int
    logs: list[tuple[str, str]]  # name, and the end of what is in it


def load(path: Path) -> Loaded:
    """Read the folder. Raises VmgexitError when it is no campaign's, or one of a newer version."""
    directory = Directory.at(path)
    about = directory.read()
    named = ("target", "profile", "plant", "peer", "guest")
    texts = {name: typed(about.get(name), "") for name in named}
    try:
        target = find(texts["target"])
        target.quirks(texts["profile"] or "reference")
        find_guest(texts["guest"])
    except UsageError as error:
        raise VmgexitError(one_line(f"{path / 'campaign.json'}: {error}")) from None
    lines, unreadable = read_lines(directory.statistics)
    findings, unreadable_findings = _findings(directory.findings)
    told = [found.record for found in findings]
    status = replace(Status.of(directory), lines=lines, findings=told)
    return Loaded(
        path,
        target,
        texts["profile"] or "reference",
        texts["plant"],
        texts["peer"],
        texts["guest"],
        typed(about.get("created"), 0.0),
        lines,
        unreadable,
        [file for file in files(directory.corpus) if file.stat().st_size <= LARGEST],
        status,
        findings,
        unreadable_findings,
        [(file.name, _end(file)) for file in files(directory.logs, "*.log")],
    )


def _findings(folder: Path) -> tuple[list[Found], int]:
    """The findings, and how many records could not be read."""
    found = [_found(folder, record) for record in records(folder)]
    found.sort(key=lambda one: (one.record.known, -one.record.first, one.record.id))
    return found, len(files(folder, "*.json")) - len(found)


def _found(folder: Path, record: Record) -> Found:
    commands = folder / f"{record.id}.jsonl"
    is_there = is_file(commands) and commands.stat().st_size <= LARGEST
    return Found(record, _start(folder / f"{record.id}.txt"), commands if is_there else None)


def _start(path: Path) -> str:
    """A text; of a long one the first part, and how much follows."""
    if not is_file(path):
        return ""
    with path.open("rb") as stream:
        text = decoded(stream.read(LARGEST_TEXT))
    rest = path.stat().st_size - LARGEST_TEXT
    return f"{text}\n... {rest:,} bytes more" if rest > 0 else text


def _end(path: Path) -> str:
    """The last part of a log."""
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - LARGEST_LOG, 0))
        return decoded(stream.read(LARGEST_LOG))


def pauses(lines: list[Line]) -> Iterator[tuple[float, float]]:
    """Where the campaign did not run, from and to: it was resumed later."""
    for before, after in itertools.pairwise(lines):
        if after.at - after.seconds - before.at > PAUSE:
            yield before.at, after.at - after.seconds
