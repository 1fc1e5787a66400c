"""Figures in a text beside what the declarations say.

A path names a declaration, and after a space what of it is meant:

| path | the figure |
| --- | --- |
| `ext-int-status.pending_vector bits` | the bits in its word, `7:0`, or the number of the one bit |
| `doorbell-page.vmpl1 byte` | the offset in bytes |
| `vmpl-events width` or `size`, of a field too | how many bits, or bytes |
| `ext-int-descriptor.irr first` or `last` | the numbers of a bitmap's first and last bit |
| `ConfigureRequest.REGISTER` | the value of a code |
| `ConfigureRequest count` | how many codes there are |
| `SVSM_APIC_EOI call` | the number of a call |
| `APIC protocol`, `APIC count`, `APIC unused` | a protocol's number, how many calls, no call's number |
| `doorbell.LOWEST_VECTOR` | a number that a chapter has by name |
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from enum import IntEnum
from importlib import import_module

from ..errors import UsageError, nearest
from ..schema import Field, Structure
from ..schema.walk import locate
from ..wire.calls import calls
from ..wire.registry import CHAPTERS, find
from ..wire.svsm import Protocol
from .text import Clause, Mark

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
WORDS = {word: number for number, word in enumerate(_WORDS)}
"""Numbers as prose writes them."""

_NUMBER = re.compile(r"0x[0-9A-Fa-f]+|0b[01]+|\d+")

# Numbers of a clause that are no figure of a declaration.
_NO_FIGURES = (
    r"VMPLs? ?\d(?:(?:,? (?:and|or|to) |, )\d)*",  # the name of a privilege level
    r"(?:May|April) \d+(?:(?: and May \d+)?, \d{4})?|(?:May|April) \d{4}",  # a date
    r"(?<![\w.])[A-Z]+-\d+",  # another clause
    r"\b[A-Z]+\d+\b",  # a name: CR8
    # How often Alternate Injection is registered: a state, and what tests run through.
    r"counts? (?:of |[+-] |never rises from )?\d\b|\(\d\)|(?:above|[Aa]t) 0\b",
    r"\"[^\"]*\"",  # what somebody else wrote
)
_NO_FIGURE = re.compile("|".join(_NO_FIGURES))


def wrong(clause: Clause) -> list[str]:
    """What is wrong with the figures of a clause: those contradicted, and those without a mark."""
    found = [complaint for mark in clause.marks if (complaint := contradicted(mark))]
    left = _NO_FIGURE.sub("", clause.unmarked)
    return [*found, *(f"{number} has no mark" for number in _NUMBER.findall(left))]


def contradicted(mark: Mark) -> str:
    """Why a figure is not as declared; "" where it is. A path that leads nowhere is a reason."""
    written = spoken(mark.written)
    try:
        if mark.path.endswith(" unused"):
            return _used(written, mark.path.removesuffix(" unused"))
        expected = figure(mark.path)
    except UsageError as error:
        return f"[{mark.written}][{mark.path}]: {error}"
    if expected in (written, mark.written):
        return ""
    return f"{mark.written} found, {mark.path} is {expected}"


def spoken(written: str) -> int | None:
    """The number in a figure as texts write it: `0b10`, `16-bit`, `call 5`, `three`."""
    word = written.partition("-")[0].split(" ")[-1].lower()
    if word in WORDS:
        return WORDS[word]
    if not _NUMBER.fullmatch(word):
        return None
    return int(word) if word.isdecimal() else int(word, 0)


def _used(number: int | None, name: str) -> str:
    """Why no call of a protocol may have a number: because one has it."""
    if name not in Protocol.__members__:
        raise UsageError(
            f"no protocol {name}; nearest: {', '.join(nearest(name, Protocol.__members__))}"
        )
    for call in calls():
        if call.protocol is Protocol[name] and call.number == number:
            return f"{number} is said to be no call, and is {call.name}"
    return ""


def figure(path: str) -> str | int:
    """What the declaration at `path` says. Raises UsageError where there is none."""
    name, _, what = path.rpartition(" ")
    if not name:
        return _constant(path)
    if what == "call":
        return _call_number(name)
    if name in Protocol.__members__ and what in _OF_PROTOCOL:
        return _OF_PROTOCOL[what](Protocol[name])
    if name in enums() and what == "count":
        return len(enums()[name])
    owner, _, inner = name.partition(".")
    cls = find(owner)
    if what not in _OF_FIELD:
        raise UsageError(f"no figure {what}; there are {', '.join(_OF_FIELD)}")
    if not inner:
        return {"size": cls.size, "width": cls.size * 8}.get(what) or _no(what, name)
    return _OF_FIELD[what](locate(cls, inner).field, cls, inner)


def _no(what: str, name: str) -> int:
    raise UsageError(f"{name} is a structure, and has no {what}")


_OF_PROTOCOL: dict[str, Callable[[Protocol], int]] = {
    "protocol": int,
    "count": lambda protocol: sum(call.protocol is protocol for call in calls()),
}

_OF_FIELD: dict[str, Callable[[Field, type[Structure], str], str | int]] = {
    "bit": lambda field, cls, path: field.bit_offset,
    "bits": lambda field, cls, path: field.bits,
    "byte": lambda field, cls, path: locate(cls, path).bit_offset // 8,
    "size": lambda field, cls, path: field.size,
    "width": lambda field, cls, path: field.width,
    "first": lambda field, cls, path: field.first,
    "last": lambda field, cls, path: field.first + field.width - 1,
}


def _constant(path: str) -> int:
    """`ConfigureRequest.REGISTER`, `doorbell.LOWEST_VECTOR`."""
    owner, _, name = path.rpartition(".")
    if owner in enums():
        members = enums()[owner].__members__
        if name in members:
            return int(members[name])
        raise UsageError(f"{owner} has no {name}; nearest: {', '.join(nearest(name, members))}")
    if owner in CHAPTERS:
        found = getattr(import_module(f"vmgexit.wire.{owner}"), name, None)
        if isinstance(found, int):
            return found
        raise UsageError(f"{owner} has no number {name}")
    near = nearest(owner, [*enums(), *CHAPTERS])
    raise UsageError(f"no codes and no chapter {owner}; nearest: {', '.join(near)}")


def _call_number(name: str) -> int:
    numbers = {call.name: call.number for call in calls()}
    if name not in numbers:
        raise UsageError(f"no call {name}; nearest: {', '.join(nearest(name, numbers))}")
    return numbers[name]


@functools.cache
def enums() -> dict[str, type[IntEnum]]:
    """Every enumeration of the chapters, by the name of its class."""
    found: dict[str, type[IntEnum]] = {}
    for chapter in CHAPTERS:
        for each in vars(import_module(f"vmgexit.wire.{chapter}")).values():
            if isinstance(each, type) and issubclass(each, IntEnum) and len(each):
                found[each.__name__] = each
    return found
