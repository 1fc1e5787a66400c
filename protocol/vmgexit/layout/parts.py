"""What a program that declares structures needs besides them: their parts, codes, names, alignment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import IntEnum

from ..errors import UsageError
from ..schema import Field, Kind, Rule, Structure
from .references import Reference
from .subjects import Subject


def with_parts(classes: Iterable[type[Structure]]) -> list[type[Structure]]:
    """`classes` and all that they hold, what is inside first, each once."""
    found: dict[type[Structure], None] = {}

    def visit(cls: type[Structure]) -> None:
        for field in cls.declaration.fields:
            if field.of is not None:
                visit(field.of)
        found.setdefault(cls)

    for cls in classes:
        visit(cls)
    return list(found)


def enums_of(classes: Iterable[type[Structure]]) -> list[type[IntEnum]]:
    """The codes of the fields of `classes`, each once, in the order of use."""
    fields = (field for cls in classes for field in cls.declaration.fields)
    return list(dict.fromkeys(field.enum for field in fields if field.enum is not None))


def codes_of(subjects: Iterable[Subject]) -> list[type[IntEnum]]:
    """The numbers of the references among `subjects`, each once."""
    return list(
        dict.fromkeys(code for one in subjects if isinstance(one, Reference) for code in one.codes)
    )


# --- Names ----------------------------------------------------------------------------------------


def snake(name: str) -> str:
    """`name` as an identifier of small letters: doorbell-page@2024-05-16, doorbell_page_20240516."""
    name, _, revision = name.partition("@")
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name)
    words = [
        re.sub(r"\W+", "_", spaced, flags=re.ASCII),
        re.sub(r"\W", "", revision, flags=re.ASCII),
    ]
    made = "_".join(filter(None, words)).lower().strip("_") or "_"
    return f"_{made}" if made[0].isdigit() else made


def camel(name: str) -> str:
    """`name` as an identifier of capitalised words: DoorbellPage20240516."""
    made = "".join(word.capitalize() for word in snake(name).split("_"))
    return f"_{made}" if made[:1].isdigit() or not made else made


def code_name(codes: type[IntEnum]) -> str:
    """What an enumeration is called: AvicRegisterCode, since `AvicRegister` may be a structure."""
    return f"{codes.__name__.removesuffix('Code')}Code"


class Names:
    """The names that a file has given, so that none means two things."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}

    def give(self, name: str, what: str) -> str:
        """`name` for `what`. Raises UsageError where something else has it."""
        if self._of.setdefault(name, what) != what:
            raise UsageError(f"{self._of[name]} and {what} would both be called {name}")
        return name


# --- Alignment ------------------------------------------------------------------------------------


def is_packed(cls: type[Structure]) -> bool:
    """Whether a compiler that aligns fields by itself would lay `cls` out in another way."""
    most = 1
    for field in fixed(cls):
        alignment = _alignment_of(field)
        most = max(most, alignment)
        if field.byte_offset % alignment:
            return True
    return bool(cls.size % most)


def alignment(cls: type[Structure]) -> int:
    """Bytes that a compiler aligns `cls` by."""
    if cls.declaration.is_bits:
        return cls.size
    if is_packed(cls):
        return 1
    return max((_alignment_of(field) for field in fixed(cls)), default=1)


def _alignment_of(field: Field) -> int:
    if field.of is not None:
        return alignment(field.of)
    return field.size if field.kind is Kind.UINT else 1


def fixed(cls: type[Structure]) -> Iterator[Field]:
    """The fields that stand at a known place: all, or those before the list of a `Whole`."""
    fields = cls.declaration.fields
    return iter(fields[:-2] if cls.declaration.any_length else fields)


# --- Words ----------------------------------------------------------------------------------------


def mask(field: Field) -> int:
    """The bits of a field of a word."""
    return ((1 << field.width) - 1) << field.bit_offset


def must_be_zero(cls: type[Structure]) -> int:
    """The bits of a word that are reserved and must be zero."""
    return sum(mask(field) for field in cls.declaration.fields if field.rule is Rule.ZERO)


def without_markers(text: str, *markers: str) -> str:
    """`text` in which a space stands inside of each of `markers`, two letters that would end it."""
    for marker in markers:
        while marker in text:
            text = text.replace(marker, " ".join(marker))
    return text
