"""Ladders: literal offsets and sizes, written by hand from public sources.

A ladder is a text of rows `offset size field`, in bytes for a record, or `bit width field` for a
word. It never comes from our own declarations, so that a slip in one of them shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmgexit.schema import Structure
from vmgexit.wire.registry import structures


@dataclass(frozen=True)
class Rung:
    """One row: where a field of a structure is, in bytes or, in a word, in bits."""

    structure: str
    revision: str
    source: str
    field: str
    offset: int
    size: int

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.structure}{revision}.{self.field}"

    @property
    def declared(self) -> type[Structure]:
        return structures()[self.structure][self.revision]


def ladder(structure: str, source: str, rows: str, *, revision: str = "") -> list[Rung]:
    """The rungs that `rows` lists."""
    rungs = []
    for row in rows.strip().splitlines():
        offset, size, field = row.split()
        rungs.append(Rung(structure, revision, source, field, int(offset, 0), int(size, 0)))
    return rungs


def check_rung(rung: Rung) -> None:
    """Fail unless the declaration has the field there, of that size."""
    declaration = rung.declared.declaration
    field = declaration[rung.field]
    scale = 1 if declaration.is_bits else 8
    assert (field.bit_offset, field.width) == (rung.offset * scale, rung.size * scale), rung.source


def check_complete(rungs: list[Rung]) -> None:
    """Fail unless the ladders have a rung for every field of their structures that is not reserved."""
    for cls in {rung.declared for rung in rungs}:
        listed = [rung.field for rung in rungs if rung.declared is cls]
        named = [field.name for field in cls.declaration.fields if field.rule is None]
        assert [name for name in listed if not name.startswith("reserved")] == named
