"""Hex dumps within a log: which lines are theirs, and what they show together."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import DecodeError
from ..read import hexdump, prefixes
from .guess import Guess, guesses

LIMIT = 1 << 20
"""Bytes of text of the longest dump; what follows is taken for another one."""

_CODE = b"Code: "  # an oops prints the bytes of instructions


def _class(letter: int) -> int:
    """A letter's class: a hex digit, a blank, and what stays itself; a full stop for any other."""
    if letter in b"x\n":
        return letter
    if letter in b" \t-|":
        return ord(" ")
    return ord("h") if letter in b"0123456789abcdefABCDEF" else ord(".")


_CLASSES = bytes(map(_class, range(256)))
_ROWS = (
    b"hh hh hh hh hh hh hh",
    b"hhhh hhhh hhhh",
    b"hhhhhhhh hhhhhhhh",
    b"xhh hxhh hxhh",
    b"xhhhh hxhhhh",
    b"xhhhhhhhh hxhhhhhhhh",
)
"""What a line of a dump has, by classes of letters: bytes, words, or what a debugger prints."""


class Rows:
    """Where in a block lines of dumps may be: found at once, and asked for line by line."""

    def __init__(self, block: bytes) -> None:
        classes = block.translate(_CLASSES)
        found = {len(block) + 1}
        for form in _ROWS:
            at = classes.find(form)
            while at >= 0:
                found.add(at)
                end = classes.find(b"\n", at)  # one place a line is enough
                at = classes.find(form, end) if end >= 0 else -1
        self._places = sorted(found, reverse=True)
        self._end = -1

    def has_one(self, line: bytes) -> bool:
        """Whether the next line of the block, which is `line`, may be one of a dump."""
        self._end += len(line) + 1
        found = self._places[-1] < self._end
        while self._places[-1] < self._end:
            self._places.pop()
        return found


@dataclass(frozen=True, slots=True)
class Dumped:
    """A hex dump, and what it could be."""

    dump: hexdump.Dump
    first: int  # number of its first line
    guesses: list[Guess]


@dataclass(slots=True)
class Gathered:
    """The lines of a dump that has not ended, and the line before them, which may name it."""

    lines: list[bytes] = field(default_factory=list)
    heading: bytes = b""
    _size: int = 0

    def takes(self, line: bytes, may_be_row: bool) -> bool:
        """Whether the line is one of the dump, or begins one; then it is kept."""
        if not (self.lines and line.strip() == b"*") and not self._is_row(line, may_be_row):
            return False
        if self._size + len(line) > LIMIT:
            return False
        self.lines.append(line)
        self._size += len(line)
        return True

    def _is_row(self, line: bytes, may_be_row: bool) -> bool:
        if not may_be_row and not self.lines:
            return False
        return _CODE not in line and hexdump.is_row(line.decode(errors="replace"))

    def end(self, first: int) -> Dumped | None:
        """What the lines show, `first` being the number of the first; None where they are no dump."""
        text = b"\n".join(self.lines).decode(errors="replace")
        _, heading = prefixes.split(self.heading.decode(errors="replace"))
        self.lines, self._size = [], 0
        try:
            dump = hexdump.read(text)
        except DecodeError:
            return None
        return Dumped(dump, first, guesses(dump.data, heading))
