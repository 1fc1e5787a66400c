"""Two values of a structure side by side: only what differs, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ..counting import count_of
from ..layout.naming import label
from ..schema import Field, Kind, Place, leaves, set_numbers
from .partial import Partial
from .values import meaning_text, placed, ranges_text, value_text

_RANGES = 4  # of bytes that differ in one field
_SHOWN = 8  # bytes of each range
_NOTHING = "-"  # a field that one of the two does not have


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs: where it stands, and both values as people read them."""

    place: str
    path: str
    one: str
    other: str
    meaning: str


_Held = tuple[Place, Any]
"""A field and its value."""


def differences(one: Partial, other: Partial) -> list[Difference]:
    """The fields that differ, in the order of the first value. Their classes may be two revisions.

    A field that only one of two revisions has differs where it is not 0. What is missing in one of two
    dumps is not compared.
    """
    ours, theirs = _fields(one), _fields(other)
    paths = [*ours, *(path for path in theirs if path not in ours)]
    unknown = {*_missing(one), *_missing(other)}
    found = (_difference(ours.get(path), theirs.get(path)) for path in paths if path not in unknown)
    return [difference for difference in found if difference is not None]


def _fields(value: Partial) -> dict[str, _Held]:
    return {place.path: (place, held) for place, held in placed(value.value)}


def _missing(value: Partial) -> set[str]:
    return {place.path for place in leaves(value.cls) if value.missing_bytes(place)}


def _difference(one: _Held | None, other: _Held | None) -> Difference | None:
    if one is not None and other is not None:
        if one[1] == other[1]:
            return None
        place, pair = one[0], _pair(one[0].field, one[1], other[1])
    else:
        alone = one or other
        assert alone is not None
        place, held = alone
        if held == place.field.zero:
            return None
        shown = value_text(place.field, held)
        pair = (shown, _NOTHING) if one else (_NOTHING, shown)
    return Difference(_where(place), place.path, *pair, meaning_text(place.field))


def _where(place: Place) -> str:
    if not place.owner.declaration.is_bits:
        return f"{place.bit_offset // 8:#05x}"
    word = (place.bit_offset - place.field.bit_offset) // 8
    return f"{word:#05x}[{place.field.bits}]"


def _pair(field: Field, one: Any, other: Any) -> tuple[str, str]:
    if field.kind is Kind.BITMAP:
        both = one & other
        rest = f" and {both.bit_count()} in both" if both else ""
        first, second = (
            ranges_text(set_numbers(held & ~both, field.first)) or "none" for held in (one, other)
        )
        return first + rest, second + rest
    if field.kind is Kind.BYTES and len(one) == len(other):
        return _bytes_that_differ(bytes(one), bytes(other))
    return value_text(field, one), value_text(field, other)


def _bytes_that_differ(one: bytes, other: bytes) -> tuple[str, str]:
    """The first ranges in which they differ, each with its offset in the field."""
    runs = [
        [at for at, _ in run]
        for differ, run in groupby(enumerate(map(int.__ne__, one, other)), key=lambda each: each[1])
        if differ
    ]
    more = f"; {len(runs) - _RANGES} more ranges" if len(runs) > _RANGES else ""
    shown = []
    for data in (one, other):
        parts = [
            f"+{run[0]:#x}: {data[run[0] : run[0] + min(len(run), _SHOWN)].hex(' ')}"
            + f" ... ({len(run)} bytes)" * (len(run) > _SHOWN)
            for run in runs[:_RANGES]
        ]
        shown.append("; ".join(parts) + more)
    return shown[0], shown[1]


def render(one: Partial, other: Partial, names: tuple[str, str]) -> str:
    """What differs as a table, then the notes and broken rules that only one of the two has."""
    found = differences(one, other)
    of = count_of(len(list(leaves(one.cls))), "field")
    title = f"{label(one.cls)}"
    if label(one.cls) != label(other.cls):
        title += f" and {label(other.cls)}"
    lines = [f"{title}: {len(found)} of {of} differ" if found else f"{title}: no field differs"]
    if unknown := len({*_missing(one), *_missing(other)}):
        lines[0] += f"; {count_of(unknown, 'field')} not compared, which a dump does not have"
    lines += [f"  A: {names[0]}", f"  B: {names[1]}"]
    if found:
        rows = [("", "", "A", "B", "")]
        rows += [(each.place, each.path, each.one, each.other, each.meaning) for each in found]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines.append("")
        lines += [
            "  ".join(
                [*(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)), row[4]]
            ).rstrip()
            for row in rows
        ]
    lines += _only("Notes", *([str(note) for note in held.notes()] for held in (one, other)))
    lines += _only(
        "Problems", *([f"! {each}" for each in held.problems()] for held in (one, other))
    )
    return "\n".join([*lines, ""])


def _only(title: str, ours: list[str], theirs: list[str]) -> list[str]:
    """What only one of the two has."""
    lines = [f"  A  {text}" for text in ours if text not in theirs]
    lines += [f"  B  {text}" for text in theirs if text not in ours]
    return ["", f"{title} of one of them", *lines] if lines else []
