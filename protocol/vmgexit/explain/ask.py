"""A name, a number, or a structure's name and a value: what it is, from the manual.

Spelling is tolerant. What is not known is told with the nearest names; a number that fits nothing,
with what was tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import errors
from ..errors import DecodeError
from ..read import numbers
from ..schema import Structure
from ..wire.ghcb_msr import GhcbMsr
from ..wire.registry import find
from .subject import STRUCTURE, Subject, plain, spellings
from .subjects import by_name
from .values import Reading, readings, tried

LONGEST = 120
"""Letters of a question: a longer text is something else."""

_DIGITS = re.compile(r"[0-9a-fA-F]{2,16}")
_NEAREST = 5


@dataclass(frozen=True, slots=True)
class Number:
    """A number and what it can mean. `read_as`: how its digits were understood."""

    value: int
    read_as: str
    readings: list[Reading]


@dataclass(frozen=True, slots=True)
class Value:
    """A structure that was named, and the value that was given for it."""

    structure: type[Structure]
    held: Structure
    read_as: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question brought: pages by name, numbers by their readings, values of structures."""

    pages: list[Subject]
    numbers: list[Number]
    values: list[Value]
    note: str = ""


def ask(text: str) -> Answer | None:
    """The answer to a short text; None where it is neither a known name nor a number."""
    question = text.strip()
    if not question or len(question) > LONGEST or "\n" in question:
        return None
    pages = named(question)
    if pages:
        return Answer(pages, [], [])
    if found := _numbers(question):
        return Answer([], found, [], _nothing(found))
    return _of_structure(question)


def named(name: str) -> list[Subject]:
    """The subjects that `name` can mean, in any spelling."""
    known = by_name()
    for spelling in spellings(name):
        if spelling in known:
            return known[spelling]
    return []


def nearest(name: str) -> list[str]:
    """Names that are like `name`, the likeliest first."""
    known = by_name()
    near = errors.nearest(plain(name), known, most=_NEAREST, likeness=0.6)
    return list(dict.fromkeys(known[spelling][0].name for spelling in near))


def _numbers(question: str) -> list[Number]:
    """Every number that the text can be: bare digits can be hex, decimal, or bytes."""
    found = []
    if _DIGITS.fullmatch(question):
        value = int(question, 16)
        found.append(Number(value, f"hex, {value:#x}", readings(value)))
    try:
        number = numbers.number(question)
    except DecodeError:
        number = None
    if number is not None and number.kind == "number":
        read_as = f"decimal, {number.value:#x}" if number.is_decimal else f"{number}"
        found.append(Number(number.value, read_as, readings(number.value)))
    if _DIGITS.fullmatch(question) and len(question) in (4, 8, 16):
        swapped = int.from_bytes(bytes.fromhex(question), "little")
        if swapped not in (each.value for each in found):
            read_as = f"bytes in memory order, the little-endian number {swapped:#x}"
            found.append(Number(swapped, read_as, readings(swapped)))
    best = sorted(found, key=lambda each: -max((r.score for r in each.readings), default=0.0))
    return list({each.value: each for each in best}.values())


def _nothing(found: list[Number]) -> str:
    return "" if any(each.readings for each in found) else f"nothing fits; tried: {tried()}"


def _of_structure(question: str) -> Answer | None:
    """`ghcb-msr 0x100`, `sev_features = 0x81`: a structure or field by name, and its value."""
    name, _, rest = re.sub(r"\s*[=:]\s*|\s+", " ", question).partition(" ")
    values = numbers.tokens(rest) if rest else None
    if not values:
        return None
    for page in named(name):
        if page.kind is STRUCTURE and (held := valued(page.name, values)):
            return Answer([], [], held)
    return None


def valued(name: str, values: list[numbers.Understood]) -> list[Value]:
    """The values as structures of that name; those that do not fit are left out."""
    cls = find(name)
    found: list[Value] = []
    for value in values:
        try:
            held = _specific(cls.decode(value.sized(cls.size)))
        except DecodeError:
            continue
        if all(held != other.held for other in found):
            found.append(Value(type(held), held, str(value)))
    return found


def _specific(held: Structure) -> Structure:
    """A value of the GHCB MSR by the declaration of its code."""
    return held.specific if isinstance(held, GhcbMsr) else held
