"""Findings on disk: one for each cause, its smallest input so far, and what is known of it.

A finding `NAME` has four files. `NAME.bin` is the input. `NAME.txt` says what is wrong, and shows
the input to a person. `NAME.jsonl` has the commands, where the input is a scenario. `NAME.json` is
the record; it is written last, so that it vouches for the others. A fuzzing process only describes
what it finds (`Target.described`); the parent's store writes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmgexit.errors import VmgexitError
from vmgexit.files import write

from ..targets import TARGETS, USUAL, Conditions
from .untrusted import files, filled, is_file, object_of

LARGEST_RECORD = 1 << 20  # bytes; what is larger is none of ours
MOST_NAMED = 8  # findings in a message
LONGEST_NAME, DIGEST = 80, 8  # letters of a text in a file name, and of its digest where it is cut


@dataclass(slots=True)
class Record:
    """What is known of a finding. Times are seconds since 1970."""

    id: str
    cause: str
    message: str
    target: str
    clause: str = ""  # of the broken invariant
    meaning: str = ""  # the clause's sentence
    place: str = ""
    size: int = 0  # bytes of the input
    commands: int = 0  # of a scenario
    count: int = 0  # how often it was met
    first: float = 0.0
    last: float = 0.0
    kind: str = ""  # of the worker that met it first
    known: bool = False  # marked by a person; campaigns are quiet about it
    profile: str = "reference"
    plant: str = ""
    peer: str = ""
    guest: str = ""
    hang_seconds: float = 0.0  # of a hang: how long it was waited for

    @property
    def conditions(self) -> Conditions:
        """Under what it was found."""
        patience = self.hang_seconds or USUAL.hang_seconds
        return Conditions(self.profile, self.plant, self.peer, patience, self.guest)


class Store:
    """The findings in one folder. Raises OSError where it cannot be written."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.records = {record.cause: record for record in records(directory)}
        self._changed: set[str] = set()

    def sizes(self) -> dict[str, int]:
        """Bytes of the input kept for each cause."""
        return {cause: record.size for cause, record in self.records.items()}

    def keep(self, told: dict[str, Any], **origin: Any) -> tuple[Record, bool]:
        """Keep what `Target.described` told, unless a smaller input of that cause is there. The
        record, and whether its cause is new. `origin` is the rest of a new record."""
        cause, data = told["cause"], bytes.fromhex(told["data"])
        record = self.records.get(cause)
        is_new = record is None
        if record is None:
            name = self._free_name(f"{origin['target']}-{slug(cause)}")
            record = Record(id=name, cause=cause, message="", first=time.time(), **origin)
            self.records[cause] = record
        if is_new or len(data) <= record.size:
            for name in ("message", "clause", "meaning", "place"):
                setattr(record, name, told[name])
            record.size, record.commands = len(data), told.get("commands", 0)
            path = self.directory / record.id
            write(path.with_name(f"{record.id}.bin"), data)
            write(path.with_name(f"{record.id}.txt"), f"{told['text']}\n".encode())
            if "lines" in told:
                write(path.with_name(f"{record.id}.jsonl"), told["lines"].encode())
            self._changed.add(cause)
            self.flush()
        return record, is_new

    def count(self, counts: dict[str, int]) -> None:
        """These causes were met so often again."""
        for cause, times in counts.items():
            if cause in self.records:
                record = self.records[cause]
                record.count += times
                record.last = time.time()
                self._changed.add(cause)

    def mark(self, record: Record, known: bool) -> None:
        """Mark a finding as known, or take the mark away."""
        record.known = known
        self._changed.add(record.cause)
        self.flush()

    def flush(self) -> None:
        """Write the records that changed."""
        for cause in sorted(self._changed):
            record = self.records[cause]
            text = json.dumps(dataclasses.asdict(record), indent=1)
            write(self.directory / f"{record.id}.json", f"{text}\n".encode())
        self._changed.clear()

    def named(self, name: str) -> Record:
        """The finding whose ID is or starts with `name`. Raises VmgexitError."""
        found = [record for record in self.records.values() if record.id.startswith(name)]
        exact = [record for record in found if record.id == name]
        if len(exact or found) != 1:
            ids = sorted(record.id for record in found or self.records.values())
            there = ", ".join(ids[:MOST_NAMED]) or "none"
            more = f" and {len(ids) - MOST_NAMED} more" if ids[MOST_NAMED:] else ""
            what = "not the start of one finding only" if found else "no such finding"
            raise VmgexitError(f"{name}: {what}; there are {there}{more} in {self.directory}")
        return (exact or found)[0]

    def _free_name(self, name: str) -> str:
        taken = {record.id for record in self.records.values()}
        names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
        return next(name for name in names if name not in taken)


def records(directory: Path) -> Iterator[Record]:
    """The records in a folder, by name. What is no record of ours is passed over, and so are values of a
    wrong type. A record's name is its file's."""
    for path in files(directory, "*.json"):
        if (record := _read(path)) is not None:
            yield record


def record_of(path: Path) -> Record | None:
    """The record of an input, which is beside it; None where the input is no finding's."""
    beside = path.with_name(f"{path.stem}.json")
    return _read(beside) if is_file(beside) else None


def _read(path: Path) -> Record | None:
    told = object_of(path.read_bytes()) if path.stat().st_size <= LARGEST_RECORD else None
    if told is None or "cause" not in told:
        return None
    return filled(Record(id=path.stem, cause="", message="", target=""), told, "id")


def slug(text: str) -> str:
    """A text as part of a file name. A long one is cut and ends with its digest, since two that
    begin alike are two."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
    return f"{name[: LONGEST_NAME - DIGEST - 1].rstrip('-')}-{digest}"


def target_of(path: Path) -> str:
    """The target that an input's name or its folders say, or an empty string."""
    for part in reversed(path.absolute().parts):
        # The longest name that fits: `codec-ghcb` is not `codec`.
        for name in sorted(TARGETS, key=len, reverse=True):
            if part == name or part.startswith(f"{name}-"):
                return name
    return ""
