"""Shows structures from bytes, inside a debugger: plain Python 3.7, nothing but what is in this file.

A generated script fills the tables, which `vmgexit.debugger` describes, and adds the commands of one
debugger.
"""

from __future__ import annotations

import difflib
from typing import Any, Iterator  # noqa: UP035 -- of Python 3.7

STRUCTURES: dict[str, Any] = {}
ENUMS: dict[str, dict[int, str]] = {}
NAMES: dict[str, dict[int, str]] = {}

SHOWN = 32  # bytes of a field that is only bytes
MEMBERS = 12  # numbers of a bitmap


class Unreadable(Exception):
    """What was asked for cannot be shown; the message is one line."""


def size_of(name: str) -> int:
    """The structure's size in bytes."""
    if name in STRUCTURES:
        size: int = STRUCTURES[name][0]
        return size
    near = ", ".join(difflib.get_close_matches(name, STRUCTURES, 5))
    raise Unreadable(f"no structure {name}" + f"; nearest: {near}" * bool(near))


def word_bytes(name: str, value: int) -> bytes:
    """The bytes of a structure of up to 8 bytes that is held as a number."""
    size = size_of(name)
    if size > 8 or not 0 <= value < 1 << 8 * size:
        raise Unreadable(f"{name} has {size} bytes: {value:#x} is no value of it")
    return value.to_bytes(size, "little")


def show(name: str, data: bytes, address: int | None, zeros: bool) -> Iterator[str]:
    """The lines for a person: fields that are not 0, or with `zeros` all of them."""
    where = "" if address is None else f" at {address:#x}"
    yield f"{name}{where}, {len(data)} bytes: {STRUCTURES[name][1]}"
    rows, quiet = [], 0
    for is_set, *row in _leaves(name, name, "", 0, int.from_bytes(data, "little")):
        if is_set or zeros:
            rows.append(row)
        else:
            quiet += 1
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths)]  # noqa: B905 -- of 3.7
        yield "  ".join([*cells, row[3]]).rstrip()
    if quiet:
        yield f"{quiet} fields are 0"


def _leaves(top: str, name: str, prefix: str, base: int, number: int) -> Iterator[Any]:
    """Of each field: whether it is set, its place, path, value and meaning."""
    _, _, in_word, fields = STRUCTURES[name]
    for field, bit, width, kind, of, count, first, meaning in fields:
        path, start = prefix + field, base + bit
        if kind == "structure":
            step = width // count
            for index in range(count):
                inner = f"{path}[{index}]." if count > 1 else f"{path}."
                yield from _leaves(top, of, inner, start + index * step, number)
            continue
        value = number >> start & (1 << width) - 1
        place = f"{start // 8:#05x}"
        if in_word:
            place = f"{base // 8:#05x}[{bit}]"
            if width > 1:
                place = f"{base // 8:#05x}[{bit + width - 1}:{bit}]"
        known = NAMES.get(f"{top}.{path}", ENUMS.get(of, {}))
        yield value != 0, place, path, _value(value, width, kind, known, first), meaning


def _value(value: int, width: int, kind: str, known: dict[int, str], first: int) -> str:
    if kind == "bytes":
        data = value.to_bytes(width // 8, "little")
        start = len(data) - len(data.lstrip(b"\0"))
        if start == len(data):
            return "0"
        found = data[start:].rstrip(b"\0")
        shown = " ".join(f"{byte:02x}" for byte in found[:SHOWN])
        before = f"0 ({start} bytes), " if start else ""
        return before + shown + (f" ... (+{len(found) - SHOWN} bytes)" if found[SHOWN:] else "")
    if kind == "bitmap":
        numbers = [number for number in range(width) if value >> number & 1]
        listed = [known.get(number, hex(first + number)) for number in numbers[:MEMBERS]]
        more = f" and {len(numbers) - MEMBERS} more" if numbers[MEMBERS:] else ""
        return ", ".join(listed) + more or "none"
    text = f"{value:#x}" if value else "0"
    return f"{text} {known[value]}" if value in known else text
