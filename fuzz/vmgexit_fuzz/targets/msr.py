"""Invariant: any two values of the GHCB MSR are read without loss, judged by the rules of their codes,
and are request and response exactly where the codes and what must be repeated say so.

The first two bytes choose the codes. The third says what the second value repeats of the first. Then
come the values. This file states the rules a second time, by masks and shifts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NoReturn

from vmgexit.rules import msr as msr_rules
from vmgexit.schema import Bits
from vmgexit.wire.ghcb_msr import DECLARATIONS, GhcbInfo, GhcbMsr, MsrWord, decode_msr

from ..inputs.messages import Leaf, Messages, fields_of
from .base import Finding, Target

HEAD = 3
_SIZE = HEAD + 16
_CODE = 0xFFF
_DATA = (1 << 64) - 1 ^ _CODE


def _bits(high: int, low: int) -> int:
    return (1 << high + 1) - (1 << low)


_NO_DATA = _bits(63, 12)
RESERVED = {
    0x001: _bits(23, 12),
    0x002: _NO_DATA,
    0x004: _bits(29, 12),
    0x005: _bits(29, 12),
    0x006: _NO_DATA,
    0x010: _NO_DATA,
    0x014: _bits(63, 56),
    0x015: _bits(31, 12),
    0x016: _bits(63, 40) | _bits(31, 12),
    0x017: _bits(31, 12),
    0x018: _NO_DATA,
    0x080: _NO_DATA,
    0x081: _bits(63, 22),
    0x100: _bits(63, 24),
}
"""By code, the bits that must be 0."""

REFUSED: dict[int, Callable[[int], bool]] = {
    0x001: lambda value: value >> 32 & 0xFFFF > value >> 48,  # lowest version above the highest
    0x014: lambda value: value >> 52 & 15 not in (1, 2),  # not private, not shared
    0x016: lambda value: value >> 32 & 0xFF > 3,  # VMPL
    0x100: lambda value: value >> 12 & 15 not in (0, 1, 15),  # nobody's reasons
}
"""By code, what else a value must not be."""

ANSWERS = {0x002: 0x001} | {
    code: code + 1 for code in (0x004, 0x006, 0x010, 0x012, 0x014, 0x016, 0x018, 0x080)
}
"""The code of the response to each request."""

REPEATED: dict[int, Callable[[int, int], bool]] = {
    0x004: lambda asked, given: (asked ^ given) >> 30 & 3 == 0,  # the register
    0x012: lambda asked, given: given >> 12 in (asked >> 12, (1 << 52) - 1),  # the page, or refused
}
"""By request, whether a response says what it answers."""

FAILED: dict[int, Callable[[int], bool]] = {
    0x001: REFUSED[0x001],
    0x007: lambda value: value >> 12 == 0,
    0x013: lambda value: value >> 12 == (1 << 52) - 1,
    0x015: lambda value: value >> 32 != 0,
    0x017: lambda value: value >> 32 != 0,
}
"""By response, whether it is a refusal."""

_CODES = (None, *GhcbInfo)


def chosen(data: bytes) -> tuple[int, int]:
    """The two values that an input is about."""
    first, second, repeats, one, other = struct.unpack("<3B2Q", data[:_SIZE].ljust(_SIZE, b"\0"))
    one = _with_code(one, _CODES[first % len(_CODES)])
    if repeats & 1:
        other = one & _DATA | other & _CODE
    elif repeats & 2:
        other |= _DATA
    answer = ANSWERS.get(one & _CODE)
    code = answer if second & 1 and answer is not None else _CODES[second // 2 % len(_CODES)]
    return one, _with_code(other, code)


def _with_code(value: int, code: int | None) -> int:
    return value if code is None else value & _DATA | code


def _read(value: int) -> Bits:
    """The value as its code reads it, checked."""
    code = value & _CODE
    word = decode_msr(value)
    data = value.to_bytes(8, "little")
    name = word.declaration.name
    if word.encode() != data or GhcbMsr.decode(data).specific != word:
        raise Finding(f"{name} is not lossless", f"{value:#018x} came back otherwise as {name}")
    if isinstance(word, MsrWord):
        held = {field.name: getattr(word, field.name) for field in word.declaration.fields[1:]}
        if type(word)(**held).encode() != data:
            raise Finding(f"{name} is made otherwise", f"{value:#018x} is made otherwise")
    found = [str(problem) for problem in word.problems()]
    wrong = value & RESERVED.get(code, 0) or REFUSED.get(code, _never)(value)
    if type(word) is not GhcbMsr and bool(found) != bool(wrong):
        _wrongly(name, f"refused: {'; '.join(found)}" if found else "accepted", f"{value:#018x}")
    failed = FAILED.get(code, _never)(value)
    told = msr_rules.failure(value)
    if bool(told) != failed or msr_rules.failure(word) != told:
        how = "read as a failure" if not failed else "not read as a failure"
        _wrongly(name, how, f"{value:#018x}")
    list(word.notes())
    repr(word)
    return word


def _wrongly(name: str, how: str, of: str) -> NoReturn:
    kind = how.partition(":")[0]
    raise Finding(f"{name} is wrongly {kind}", f"{of} as {name}: wrongly {how}")


def _never(value: int) -> bool:
    return False


def _pairs(one: int, other: int, words: list[Bits]) -> None:
    """Whether `other` answers `one`, as it should; also of the words, where both are given."""
    code = one & _CODE
    fits = (
        other & _CODE == ANSWERS.get(code)
        and one != other
        and (code not in REPEATED or REPEATED[code](one, other))
    )
    told, both = msr_rules.pair(one, other), f"{one:#018x} and {other:#018x}"
    if fits != (not told):
        name = decode_msr(one).declaration.name
        _wrongly(name, f"refused: {told}" if told else "paired", both)
    if len(words) == 2 and msr_rules.pair(*words) != told:
        raise Finding("words pair otherwise", f"{both}: words pair otherwise")


class Msr(Messages, Target):
    """Two values, and whether they pair."""

    head = HEAD

    def fields(self, data: bytes) -> Sequence[Leaf]:
        """The fields of both values, as their codes read them."""
        one, other = (DECLARATIONS.get(value & _CODE, GhcbMsr) for value in chosen(data))
        return fields_of(one, HEAD) + fields_of(other, HEAD + 8)

    def message(self, data: bytes) -> tuple[str, bytes]:
        """The first value, which a guest may send."""
        return "ghcb-msr", chosen(data)[0].to_bytes(8, "little")

    def run(self, data: bytes) -> int:
        one, other = chosen(data)
        words = [_read(one), _read(other)]
        _pairs(one, other, words)
        answer = ANSWERS.get(one & _CODE)
        if answer is not None:
            _pairs(one, one & _DATA | answer, words[:1])
        return 2

    def show(self, data: bytes) -> str:
        """Both values field by field, and whether they pair."""
        one, other = chosen(data)
        return f"{self.read(data)}\n   {msr_rules.pair(one, other) or 'they pair'}"

    def read(self, data: bytes) -> str:
        """Both values, as their codes read them."""
        return "\n   ".join(f"{value:#018x} {decode_msr(value)!r}" for value in chosen(data))
