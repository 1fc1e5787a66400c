"""Ladders: literal offsets and sizes, written by hand from public sources.

A ladder is a text of rows `offset size path`, in bytes for a record, or `bit width path` for a word.
Of a structure of any length it has one element of the list, and the rest, of no bytes, after that.
It never comes from our own declarations, so that a slip in one of them shows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ladder:
    """A structure, the source of its layout, and a row for each field: offset, size, path."""

    name: str
    revision: str
    source: str
    rows: tuple[tuple[int, int, str], ...]

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}".removesuffix("@")


def ladder(name: str, source: str, rows: str, *, revision: str = "") -> Ladder:
    """The ladder that `rows` lists."""
    split = (row.split() for row in rows.strip().splitlines())
    found = tuple((int(offset, 0), int(size, 0), path) for offset, size, path in split)
    return Ladder(name, revision, source, found)
