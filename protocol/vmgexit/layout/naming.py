"""How layouts and values name structures, apart from tables, which few commands need."""

from __future__ import annotations

from ..counting import count_of
from ..schema import Structure

# An array of up to this many elements has a row for each; a longer one has a single row.
LISTED = 8


def label(cls: type[Structure]) -> str:
    """The structure's name, with `@revision` unless it is the current one."""
    declaration = cls.declaration
    return f"{declaration.name}@{declaration.revision}".removesuffix("@")


def size_of(cls: type[Structure]) -> str:
    """`64 bytes`, or `any length` with the least."""
    if cls.declaration.any_length:
        least = f", {count_of(cls.size, 'byte')} or more" * bool(cls.size)
        return f"any length{least}"
    return count_of(cls.size, "byte")
