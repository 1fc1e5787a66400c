"""How messages count things: `1 byte`, `2 bytes`."""

from __future__ import annotations


def count_of(amount: int, noun: str, *, separator: str = "") -> str:
    """`1 byte`, `2 bytes`; the plural of `noun` has an s. `separator`: of thousands, a comma or none."""
    return f"{amount:{separator}} {noun}{'' if amount == 1 else 's'}"
