"""How the small SVSM refuses a call."""

from __future__ import annotations


class Refused(Exception):
    """The call is refused, by a code."""

    def __init__(self, code: int) -> None:
        super().__init__(hex(code))
        self.code = code


def require(holds: bool, otherwise: int) -> None:
    if not holds:
        raise Refused(otherwise)


def overlap(start: int, length: int, other: int, other_length: int) -> bool:
    return start < other + other_length and other < start + length
