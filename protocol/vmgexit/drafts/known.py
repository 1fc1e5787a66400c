"""Which declarations the names and phrases of a draft mean."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from enum import IntEnum
from typing import TypeVar

from ..schema import Structure
from ..schema.walk import walk
from ..wire.calls import calls, former_calls
from ..wire.registry import find, letters, structures
from ..wire.svsm import PROTOCOLS, Call, Protocol

T = TypeVar("T")

PHRASES = {
    "svsm's extended interrupt descriptor": "doorbell-head",
    "svsm's own descriptor": "doorbell-head",
    "#hv doorbell page": "doorbell-page",
    "extended interrupt descriptor": "ext-int-descriptor",
    "rmp entries": "rmp-table-entry",
    "rmp entry": "rmp-table-entry",
}
"""What prose calls structures whose names are others; of two that overlap the longer one counts."""

_LIKE = 0.9  # how like two spellings of one name are, from 0 to 1: WRITEABLE and Writable


def closest(texts: Sequence[str], known: Mapping[str, T]) -> T | None:
    """What one of `texts` is a spelling of, by its name: the same but for case and dashes, else alike."""
    spelled = {letters(name): value for name, value in known.items()}
    said = [letters(text) for text in texts]
    for each in said:
        if each and each in spelled:
            return spelled[each]
    alike = ((_likeness(each, name), name) for each in said for name in spelled)
    likeness, name = max(alike, default=(0.0, ""))
    return spelled[name] if likeness >= _LIKE else None


def _likeness(one: str, other: str) -> float:
    """0 to 1; names of four letters or of other numbers are not alike."""
    if min(len(one), len(other)) <= 4 or re.sub(r"\D", "", one) != re.sub(r"\D", "", other):
        return 0.0
    matcher = SequenceMatcher(None, one, other)
    return matcher.ratio() if matcher.quick_ratio() >= _LIKE else 0.0


@functools.cache
def every_structure() -> tuple[type[Structure], ...]:
    """Every structure, the current revision of each name first."""
    return tuple(cls for revisions in structures().values() for cls in revisions.values())


@functools.cache
def every_call() -> tuple[Call, ...]:
    """Every call, the current ones first."""
    return (*calls(), *former_calls())


def calls_named(text: str) -> list[Call]:
    """The calls whose names stand in a text; of a name with several shapes each."""
    words = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", text))
    return [call for call in every_call() if call.name in words]


def phrase(text: str) -> type[Structure] | None:
    """The structure that a text calls by its name or by a phrase, if it is one; the longest counts."""
    low = text.lower().replace("’", "'")  # as Word sets it
    found = [(len(said), name) for said, name in _phrases().items() if said in low]
    return find(max(found)[1]) if found else None


@functools.cache
def _phrases() -> dict[str, str]:
    """Names of several words, `doorbell-page` and `doorbell page`, and the phrases."""
    names = [cls.declaration.name for cls in every_structure()]
    spelled = {name: name for name in names if "-" in name}
    spaced = {name.replace("-", " "): name for name in names if name.count("-") > 1}
    return {**spelled, **spaced, **PHRASES}


def codes_of(structure: type[Structure]) -> Iterator[type[IntEnum]]:
    """The enumerations of a structure's fields."""
    yield from {place.field.enum: None for place in walk(structure) if place.field.enum is not None}


def clause_of_calls(protocol: Protocol) -> str:
    """The clause that says which calls a protocol has; "" where none does."""
    return PROTOCOLS[protocol].clause


def numbers(call_list: list[Call]) -> str:
    """`calls 0 to 4`, as a complaint says which there are."""
    known = sorted({call.number for call in call_list})
    return f"calls {known[0]} to {known[-1]}" if len(known) > 1 else f"call {known[0]}"
