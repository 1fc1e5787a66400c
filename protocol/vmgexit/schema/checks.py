"""The slow passes over a value, which name each broken rule and each field that is out of range.

Decoding judges nothing, and the fast encoder only notices that some value does not fit its field.
"""

from __future__ import annotations

from ..errors import DecodeError, EncodeError
from .structure import Structure


def raise_first(value: Structure) -> None:
    """Raise DecodeError on the first broken rule, if there is one."""
    for problem in value.judged():
        raise DecodeError(f"{value.declaration.name}: {problem}", path=problem.path)


def check_ranges(value: Structure, path: str = "") -> None:
    """Raise EncodeError on the first field whose value it cannot hold."""
    for problem in value.misfits(path):
        raise EncodeError(f"{problem.path}: {problem.rule}", path=problem.path) from None


def wrong_length(cls: type[Structure], found: int) -> DecodeError:
    """The error for data of any length but the structure's own."""
    more = " or more" * cls.declaration.any_length
    return DecodeError(
        f"{cls.declaration.name}: {found} bytes found, {cls.size}{more} expected",
        offset=min(found, cls.size),
    )
