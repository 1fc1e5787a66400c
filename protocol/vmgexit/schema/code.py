"""A number with a name that can also say what it means.

class ReasonSet(Code):
    GENERAL = 0, "common to all"
    LINUX = 1
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Code(IntEnum):
    """Base of enumerations whose members have a `meaning`; "" where the name says all."""

    meaning: str

    def __new__(cls, value: int, meaning: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


def meaning_of(member: object) -> str:
    """What a member of any enumeration says of itself; "" where that is nothing."""
    return getattr(member, "meaning", "")
