"""What judging a value finds: the rules that it breaks, and notes on what it means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that a value breaks."""

    path: str
    value: Any
    rule: str
    clause: str

    def __str__(self) -> str:
        value = _short(self.value)
        cited = f" [{self.clause}]" if self.clause else ""
        return f"{self.path}: {value}: {self.rule}{cited}"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a value means beyond its fields, such as a second reading of old drafts."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


def _short(value: Any) -> str:
    if isinstance(value, IntEnum):
        return f"{int(value):#x} {value.name}"
    if type(value) is int:
        return f"{value:#x}"
    if isinstance(value, bytes) and len(value) > 16:
        return f"{value[:16].hex(' ')} ... ({len(value)} bytes)"
    if isinstance(value, bytes):
        return value.hex(" ")
    return repr(value)
