"""Tables of fields and of codes beside the structures and enumerations that they describe.

A table of fields is one with a column of bits or of offsets. The structure that most of its rows fit
by name and place is what it is compared with; a name or phrase in the text above decides a tie.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from ..clauses.figures import enums
from ..layout.naming import label
from ..layout.table import Row as Declared
from ..layout.table import hexadecimal, sheet
from ..schema import Structure, members
from ..wire.registry import find, letters
from .document import Table
from .known import closest, every_structure
from .report import Remark, note

_BITS = ("bit", "bits")
_OFFSETS = ("offset", "byte offset", "offset bytes", "bytes")
_SIZES = ("size", "size bytes", "length", "width")
_NAMES = ("name", "field", "mnemonic", "symbol", "flag")
_TEXTS = ("description", "meaning", "function", "notes")
_CODES = ("value", "code", "encoding")
_NUMBER = r"(0x[0-9a-f]{1,8}|\d{1,6})(?![0-9a-f])"  # longer ones are no places
_RANGE = re.compile(rf"{_NUMBER}(?:\s*(?::|-|–|to|\.\.)\s*{_NUMBER})?", re.IGNORECASE)
_RESERVED = re.compile(r"\b(reserved|mbz|sbz|padding|unused)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a field where the draft has it, in bits. `width` is 0 where it does not say."""

    name: str
    start: int
    width: int
    place: str

    @property
    def is_reserved(self) -> bool:
        return bool(_RESERVED.search(self.name)) or not self.name


@dataclass(frozen=True, slots=True)
class Fields:
    """A table of fields, of a word by bits or of memory by bytes."""

    is_bits: bool
    rows: tuple[Row, ...]
    place: str


def column(table: Table, names: Sequence[str]) -> int | None:
    """The first column whose title is one of `names`."""
    for at, title in enumerate(table.header):
        if " ".join(re.findall(r"[a-z#/]+", title.lower().replace("(s)", "s"))) in names:
            return at
    return None


def number(text: str) -> int | None:
    """The one number that a cell is: `0x40`, `40h`, `0b10`, `5`."""
    word = text.strip().strip("`'\"").replace("_", "").lower()[:66]  # 0b and 64 bits
    if re.fullmatch(r"[0-9a-f]+h", word):
        return int(word[:-1], 16)
    if re.fullmatch(r"[01]{2,}b", word):
        return int(word[:-1], 2)
    try:
        return int(word) if word.isdecimal() else int(word, 0)
    except ValueError:
        return None


def fields(table: Table) -> Fields | None:
    """The table as one of fields; None where it is something else."""
    at_bits, at_offset = column(table, _BITS), column(table, _OFFSETS)
    at_size, at_name = column(table, _SIZES), column(table, _NAMES)
    at_text = column(table, _TEXTS)
    is_bits = at_bits is not None
    at = at_bits if is_bits else at_offset
    named = at_name if at_name is not None else at_text
    if at is None or named is None:
        return None
    rows = []
    for cells, place in zip(table.rows, table.places, strict=True):
        found = _RANGE.match(cells[at].strip().strip("`[]"))
        if found is None:
            continue
        ends = [int(end, 16 if end[:2] in ("0x", "0X") else 10) for end in found.groups() if end]
        unit = 1 if is_bits else 8
        width = (max(ends) - min(ends) + 1) * unit
        if not is_bits and len(ends) == 1:
            size = number(cells[at_size].split(" ")[0]) if at_size is not None else None
            width = (size or 0) * 8
        rows.append(Row(cells[named], min(ends) * unit, width, place))
    return Fields(is_bits, tuple(rows), table.place) if rows else None


def compared(found: Fields, named: Sequence[type[Structure]]) -> Iterator[Remark]:
    """A table of fields in itself, and beside its structure. `named`: what the text above names."""
    yield from _overlaps(found)
    if all(row.is_reserved for row in found.rows):
        return
    matched = structure_of(found, named)
    if matched is None:
        near = max(every_structure(), key=lambda cls: _score(found, cls))
        yield note(found.place, f"a table that fits no structure; nearest: {label(near)}")
        return
    yield from _differences(found, matched)


def structure_of(found: Fields, named: Sequence[type[Structure]]) -> type[Structure] | None:
    """The structure that a table describes: at least half of its fields must fit by name."""
    wanted = sum(not row.is_reserved for row in found.rows)
    scores = [
        (_score(found, cls), cls in named, -at, cls) for at, cls in enumerate(every_structure())
    ]
    (by_name, _), _, _, best = max(scores, key=lambda each: each[:3])
    alone = [each for each in named if each.declaration.is_bits == found.is_bits]
    if by_name * 2 >= wanted and (
        by_name > 1 or best in named or wanted == 1 == len(_fields(best))
    ):
        return best
    return alone[0] if len(alone) == 1 and by_name else None


def _score(found: Fields, cls: type[Structure]) -> tuple[int, int]:
    """How many rows fit a structure by name, and by name, place and size."""
    if cls.declaration.is_bits != found.is_bits:
        return 0, 0
    known = _spelled(label(cls))
    pairs = [(row, known[name]) for row in found.rows for name in _said(row) if name in known]
    named = dict(reversed(pairs))
    there = sum(
        (row.start, row.width or each.width) == (each.start, each.width)
        for row, each in named.items()
    )
    return len(named), 2 * there - abs(len(_fields(cls)) - len(named))


def _fields(cls: type[Structure]) -> tuple[Declared, ...]:
    """The rows that a structure's own table has, without reserved space."""
    return _fields_of(label(cls))


@functools.cache
def _fields_of(name: str) -> tuple[Declared, ...]:
    return tuple(row for row in sheet(find(name)).tables[0].rows if not row.is_reserved)


@functools.cache
def _spelled(name: str) -> dict[str, Declared]:
    return {letters(each): row for each, row in _names(_fields_of(name)).items()}


def _texts(row: Row) -> tuple[str, ...]:
    """What may be the name in a row: all of it, what it begins with, its first and last word."""
    plain = re.split(r"[(:;,–]| - ", row.name)[0].strip()
    return row.name, plain, plain.split(" ")[0], plain.split(" ")[-1]


def _said(row: Row) -> list[str]:
    return [] if row.is_reserved else [letters(text) for text in _texts(row)]


def _declared(row: Row, cls: type[Structure]) -> Declared | None:
    """The field that a row names, in a column of its own or as what the description begins with.

    Of two fields with one name it is the one in that place.
    """
    if row.is_reserved:
        return None
    texts = _texts(row)
    here = [each for each in _fields(cls) if each.start == row.start]
    return closest(texts, _names(here)) or closest(texts, _names(_fields(cls)))


def _names(among: Iterable[Declared]) -> dict[str, Declared]:
    """Rows by their names in Python and in the specification, lists without their index, too."""
    return {
        name: each
        for each in among
        for full in (each.attribute, each.name)
        for name in (re.sub(r"\[(n|0-\d+)\]$", "", full), full)
    }


def _overlaps(found: Fields) -> Iterator[Remark]:
    """Rows that say two things of one bit."""
    rows = sorted((row for row in found.rows if row.width), key=lambda row: row.start)
    for row, following in pairwise(rows):
        if row.start + row.width > following.start:
            both = f"{row.name!r} and {following.name!r}"
            where = _where(found.is_bits, following.start, following.width)
            yield Remark(following.place, f"{both} overlap at {where}")


def _differences(found: Fields, cls: type[Structure]) -> Iterator[Remark]:
    pairs = {row: _declared(row, cls) for row in found.rows}
    taken = [each for each in pairs.values() if each is not None]
    here = {row.start for row, each in pairs.items() if each is None and not row.is_reserved}
    for row, each in pairs.items():
        if each is not None:
            yield from _placed(found, row, each, cls)
        elif not row.is_reserved:
            yield from _unknown(found, row, cls, taken)
    left = [each.name for each in _fields(cls) if each not in taken and each.start not in here]
    if left:
        yield note(found.place, f"{label(cls)}: left out are {', '.join(left)}")


def _placed(found: Fields, row: Row, there: Declared, cls: type[Structure]) -> Iterator[Remark]:
    width = row.width or there.width
    if there.field.is_rest or (row.start, width) == (there.start, there.width):
        return
    said = _where(found.is_bits, row.start, row.width)
    declared = _where(found.is_bits, there.start, there.width)
    text = f"{row.name}: {said} found, {declared} in {label(cls)}.{there.attribute}"
    yield Remark(row.place, text, there.field.clause or cls.declaration.clause)


def _unknown(
    found: Fields, row: Row, cls: type[Structure], taken: list[Declared]
) -> Iterator[Remark]:
    where = _where(found.is_bits, row.start, row.width)
    for each in _fields(cls):
        if each not in taken and each.start == row.start:
            text = f"{where} is {row.name!r} here, {each.name} in {label(cls)}"
            yield Remark(row.place, text, each.field.clause or cls.declaration.clause)
            return
    text = f"{label(cls)} has no field {row.name!r} at {where}"
    yield Remark(row.place, text, cls.declaration.clause)


def _where(is_bits: bool, start: int, width: int) -> str:
    if is_bits:
        return f"bit {start}" if width == 1 else f"bits {start + width - 1}:{start}"
    size = f", {width // 8} bytes" if width else ""
    return f"offset {hexadecimal(start // 8)}{size}"


# --- codes ----------------------------------------------------------------------------------------


def codes(table: Table) -> list[tuple[int, str, str]]:
    """Value, name and place of each row of a table of codes; empty where it is something else."""
    at, named = column(table, _CODES), column(table, (*_NAMES, *_TEXTS))
    if at is None or named is None:
        return []
    return [
        (value, cells[named], place)
        for cells, place in zip(table.rows, table.places, strict=True)
        if (value := number(cells[at])) is not None
    ]


def compared_codes(
    rows: list[tuple[int, str, str]], among: Sequence[type[IntEnum]], clause: str = ""
) -> Iterator[Remark]:
    """A table of codes beside the enumeration that most of its names are in."""
    candidates = [*among, *(each for each in enums().values() if each not in among)]
    best = max(candidates, key=lambda enum: (_hits(rows, enum), enum in among))
    if _hits(rows, best) * 2 < len(rows) or (best not in among and _hits(rows, best) < 2):
        return
    for value, name, place in rows:
        member = _member(name, best)
        if member is not None and int(member) != value:
            text = f"{name}: {value:#x} found, {int(member):#x} in {best.__name__}"
            yield Remark(place, text, clause)
        elif member is None and value not in members(best):
            yield Remark(place, f"{best.__name__} has no {value:#x}, {name!r}", clause)
        elif member is None and re.fullmatch(r"\w+", name):
            text = f"{value:#x} is {name} here, {members(best)[value].name} in {best.__name__}"
            yield Remark(place, text, clause)


def _hits(rows: list[tuple[int, str, str]], enum: type[IntEnum]) -> int:
    return sum(_member(name, enum) is not None for _, name, _ in rows)


def _member(name: str, enum: type[IntEnum]) -> IntEnum | None:
    words = [name, re.split(r"[ (:;,.]", name)[0], name.rpartition("ERR_")[2]]
    return closest(words, {each.name: each for each in enum})
