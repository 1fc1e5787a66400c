"""Kinds of arguments that only the commands of a host have (see `descriptions`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..descriptions import U32, U64, Kind, Number, is_hex

_ADDRESS, _REGISTER = Number(U64), Number(U32)


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value, or null."""

    kind: Kind

    @property
    def expected(self) -> str:
        return f"{self.kind.expected}, or null"

    def accepts(self, value: Any) -> bool:
        return value is None or self.kind.accepts(value)

    def shown(self, value: Any) -> str:
        return "none" if value is None else self.kind.shown(value)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of memory: a list of places below `end`, each with bytes in hexadecimal."""

    end: int = 1 << 64

    @property
    def expected(self) -> str:
        return f"a list of [place, hex] that end at {self.end:#x} or below"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list | tuple) and all(
            isinstance(piece, list | tuple)
            and len(piece) == 2
            and _ADDRESS.accepts(piece[0])
            and is_hex(piece[1])
            and piece[0] + len(piece[1]) // 2 <= self.end
            for piece in value
        )

    def shown(self, value: list[tuple[int, str]]) -> str:
        return " ".join(f"{at:#x}:{data}" for at, data in value) or "none"


@dataclass(frozen=True, slots=True)
class Leaves:
    """What CPUID answers: a list of leaf, sub-leaf or null, EAX, EBX, ECX, EDX."""

    expected = "a list of [leaf, sub-leaf or null, eax, ebx, ecx, edx]"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list | tuple) and all(
            isinstance(leaf, list | tuple)
            and len(leaf) == 6
            and all(
                _REGISTER.accepts(number) or (place == 1 and number is None)
                for place, number in enumerate(leaf)
            )
            for leaf in value
        )

    def shown(self, value: list[list[int | None]]) -> str:
        return f"{len(value)} leaves"
