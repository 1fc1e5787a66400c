"""What messages carry, in a few words: numbers, bytes, and declared words by their fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...descriptions import Command, Description
from ...schema import Bits, Field, members
from ...wire.exceptions import exception
from ...wire.page_size import PAGE
from ...wire.vmsa import EventInj, EventType

SHOWN_BYTES = 8
"""Bytes of memory that a label shows; of more it says how many there are."""


def number(value: int) -> str:
    """Up to 9 in decimal, which reads the same in hex."""
    return str(value) if 0 <= value < 10 else f"{value:#x}"


def sentence(function: Callable[..., Any]) -> str:
    """The first sentence of what a function says of itself, as the end of a sentence."""
    said = (function.__doc__ or "").partition(".")[0]
    return f"{said[:1].lower()}{said[1:]}"


def listed(values: list[int]) -> str:
    """Vectors, or other numbers; a long list is cut."""
    shown = ", ".join(map(number, values[:8]))
    return shown + f" and {len(values) - 8} more" * (len(values) > 8)


def data(text: str) -> str:
    """Bytes in hex; of many the first."""
    size = len(text) // 2
    if size <= SHOWN_BYTES:
        return text or "no bytes"
    return f"{size} bytes: {text[: 2 * SHOWN_BYTES]}..."


def fields(held: Bits) -> str:
    """The fields of a word that are not 0, by their names in the specification; "0" for none.

    A word of one field alone is that field's value.
    """
    declared = [field for field in held.declaration.fields if field.rule is None]
    alone = len(declared) == 1
    parts = (_field(field, getattr(held, field.name), alone=alone) for field in declared)
    reserved = (
        f"{field.name} {number(int(getattr(held, field.name)))}"
        for field in held.declaration.fields
        if field.rule is not None and getattr(held, field.name)
    )
    return ", ".join([*filter(None, parts), *reserved]) or "0"


def _field(field: Field, value: Any, *, alone: bool) -> str:
    if field.enum is not None:
        name = getattr(members(field.enum).get(int(value)), "name", "")
        if name and (alone or value):
            return name
    if not value and not alone:
        return ""
    if value is True:
        return field.spec
    return number(int(value)) if alone else f"{field.spec} {number(int(value))}"


def event(value: int) -> str:
    """EVENTINJ or EXITINTINFO: `vector 0x31`, `NMI`, `exception #HV`; nothing without an event."""
    held = EventInj.of(value)
    if not held.valid:
        return ""
    if held.type == EventType.EXTERNAL_INTERRUPT:
        return f"vector {held.vector:#x}"
    if held.type == EventType.NMI:
        return "NMI"
    if held.type == EventType.EXCEPTION and (known := exception(held.vector)):
        return f"exception {known.partition(',')[0]}"
    name = getattr(members(EventType).get(held.type), "name", f"type {held.type}")
    return f"{name.lower().replace('_', ' ')} {held.vector:#x}"


def arguments(command: Command, described: Description) -> str:
    """The arguments of a command as the description shows them, one a line; vCPUs are lanes."""
    lines = (
        f"{name} {_cut(described.kinds[name].shown(value))}"
        for name, value in command.items()
        if name not in ("op", "cpu")
    )
    return "\n".join(lines)


def keys(answer: Command) -> str:
    """The keys of an answer that are plain values, one a line."""
    lines = []
    for name, value in answer.items():
        if value is True:
            lines.append(name)
        elif isinstance(value, int) and value is not False:
            lines.append(f"{name} {number(value)}")
        elif isinstance(value, str) and value:
            lines.append(f"{name} {_cut(value)}")
    return "\n".join(lines)


def _cut(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:45]}..."


def pages(size: int) -> str:
    """A size in bytes: `4 KiB` for a page."""
    return (
        f"{size >> 20} MiB"
        if size >= 1 << 20
        else f"{size >> 10} KiB"
        if size >= PAGE
        else str(size)
    )
