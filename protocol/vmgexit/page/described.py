"""Every declaration as plain data, which the page's scripts walk as the library walks the classes.

A key that a field or a structure does not need is left out: the scripts know what that means.
"""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Iterator
from enum import IntEnum
from importlib import import_module
from typing import Any

from ..layout.naming import label
from ..schema import Bodies, Field, Listing, Structure, Whole, meaning_of
from ..wire.exit import Exit, Where, Word
from ..wire.exit_codes import ExitCode
from ..wire.exits import exits
from ..wire.ghcb import GhcbPage
from ..wire.ghcb_msr import DECLARATIONS, GhcbMsr
from ..wire.injection import DoorbellOperation
from ..wire.registry import structures
from .carried import Carried

Plain = dict[str, Any]


def described() -> Plain:
    """All structures and exits of the registry, with the codes that their fields have, and the rules."""
    classes = [cls for revisions in structures().values() for cls in revisions.values()]
    enums: dict[str, type[IntEnum]] = {}
    carried = Carried(lambda codes: _named(codes, enums))
    found = {label(cls): _structure(cls, enums, carried) for cls in classes}
    rows = carried.exits()
    methods = carried.methods(classes)
    return {
        "structures": found,
        "rules": {
            "functions": carried.functions,
            "objects": carried.objects,
            "methods": methods,
            "exits": rows,
        },
        "codes": {name: _codes(enum) for name, enum in enums.items()},
        "messages": {
            "of": label(GhcbMsr),
            "by": {str(int(code)): label(cls) for code, cls in DECLARATIONS.items()},
        },
        "exits": {str(int(row.code)): _exit(row) for row in exits()},
        "examples": [list(example) for example in _examples()],
    }


def _structure(cls: type[Structure], enums: dict[str, type[IntEnum]], carried: Carried) -> Plain:
    declaration = cls.declaration
    return _without_nothing(
        name=declaration.name,
        revision=declaration.revision,
        size=declaration.size,
        title=declaration.title,
        clause=declaration.clause,
        source=declaration.source,
        bits=declaration.is_bits,
        whole=declaration.any_length,
        total=declaration.total,
        fields=[_field(field, enums) for field in declaration.fields],
    ) | _rules(cls, carried)


def _rules(cls: type[Structure], carried: Carried) -> Plain:
    """The numbers of the functions that judge beyond single fields: those that are the structure's own."""
    module = cls.declaration.rules
    broken: Any = import_module(module).broken if module else cls.broken
    usual = Whole.judged if issubclass(cls, Whole) else Structure.judged
    own = {"broken": (broken, Structure.broken), "judged": (cls.judged, usual)}
    made = {name: carried.attempt(held) for name, (held, other) in own.items() if held is not other}
    return {"unjudged": True} if None in made.values() else made


def _field(field: Field, enums: dict[str, type[IntEnum]]) -> Plain:
    value = field.value
    return _without_nothing(
        name=field.name,
        spec=field.spec,
        kind=field.kind.name.lower(),
        width=field.width,
        at=field.bit_offset,
        meaning=field.meaning,
        rule="" if field.rule is None else field.rule.name.lower(),
        codes="" if field.enum is None else _named(field.enum, enums),
        of="" if field.of is None else label(field.of),
        count=field.count if field.count != 1 else 0,
        list=None if field.listing is None else _list(field.listing, field.of),
        rest=field.is_rest,
        value=None
        if value is None
        else value.hex()
        if isinstance(value, bytes)
        else str(int(value)),
        expected=field.shown_value,
        first=field.first,
        access=field.access,
        clause=field.clause,
    )


def _named(enum: type[IntEnum], enums: dict[str, type[IntEnum]]) -> str:
    """The key of an enumeration: its name, which several may have."""
    name, number = enum.__name__, 1
    while enums.setdefault(name, enum) is not enum:
        number += 1
        name = f"{enum.__name__}#{number}"
    return name


def _codes(enum: type[IntEnum]) -> list[list[str]]:
    return [[str(int(code)), code.name, meaning_of(code)] for code in enum]


def _examples() -> Iterator[tuple[str, str, str]]:
    """What a newcomer may try: a title, the structure, the text."""
    page = GhcbPage.for_exit(ExitCode.HV_DOORBELL_PAGE, DoorbellOperation.SET, 0x12345000)
    yield "a GHCB MSR word", "ghcb-msr", "0x0000000100000016"
    yield "the head of a doorbell page", "doorbell-head", "00000000: 61 81 01 02 00 00 00 00"
    yield "a GHCB page, as hexdump -C prints it", "ghcb", _dumped(page.encode())


def _dumped(data: bytes) -> str:
    """The bytes by lines of hexdump, but for repeated ones."""
    lines: list[str] = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        if at and row == data[at - 16 : at]:
            lines += ["*"] * (lines[-1] != "*")
        else:
            lines.append(f"{at:08x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}")
    return "\n".join([*lines, f"{len(data):08x}"])


# --- Lists ----------------------------------------------------------------------------------------


def _list(listing: Listing, of: type[Structure] | None) -> Plain:
    assert of is not None
    return _without_nothing(
        count=listing.count,
        last=listing.last,
        until=[] if listing.until is None else list(_ending(listing, of)),
        most=listing.most,
        bodies=None if listing.bodies is None else _bodies(listing.bodies, of),
    )


def _ending(listing: Listing, of: type[Structure]) -> Iterator[str]:
    """The fields that are zero in the element that ends a list, found by asking for each of them."""
    assert listing.until is not None
    assert listing.until(of.decode(bytes(of.size)))
    for field in of.declaration.fields:
        data = bytearray(of.size)
        data[field.byte_offset] = 1
        if not listing.until(of.decode(bytes(data))):
            yield field.name


def _bodies(bodies: Bodies, of: type[Structure]) -> Plain:
    """What the elements point to, by their GUIDs: those that the chapter's tables have as keys."""
    keys = {
        data
        for table in vars(sys.modules[of.__module__]).values()
        if isinstance(table, dict)
        for key in table
        if isinstance(key, str) and (guid := _guid(key))
        for data in (guid.bytes, guid.bytes_le)
    }
    other, _ = bodies.what(of(guid=_PROBE))
    is_little = other == _text(_PROBE, is_little=True)
    named = {key.hex(): bodies.what(of(guid=key)) for key in sorted(keys)}
    return {
        "offset": bodies.offset,
        "length": bodies.length,
        "little": is_little,
        "names": {
            key: [name, label(cls) if cls else ""]
            for key, (name, cls) in named.items()
            if name != _text(bytes.fromhex(key), is_little=is_little)
        },
    }


_PROBE = bytes(range(16))
"""A GUID that no table has: a list writes it as it writes those that it does not know."""


def _text(guid: bytes, *, is_little: bool) -> str:
    return str(uuid.UUID(bytes_le=guid) if is_little else uuid.UUID(bytes=guid))


def _guid(text: str) -> uuid.UUID | None:
    with contextlib.suppress(ValueError):
        return uuid.UUID(text)
    return None


# --- Exits ----------------------------------------------------------------------------------------


def _exit(row: Exit) -> Plain:
    return _without_nothing(
        name=row.name,
        meaning=row.meaning,
        direction="" if row.where is Where.GHCB else row.direction,
        needs=list(row.fields_in),
        info1=_word(row.info1),
        info2=_word(row.info2),
        returns=list(row.fields_out),
        buffer=row.buffer,
        since=row.since,
        clause=row.clause,
        source=row.source,
    )


def _word(word: Word) -> Plain:
    of = "" if word.layout is None else label(word.layout)
    return _without_nothing(meaning=word.meaning, of=of)


def _without_nothing(**values: Any) -> Plain:
    return {name: value for name, value in values.items() if value or value == "0"}
