"""A form: one line that a program prints, with holes for the words that it carries.

A form's text is the program's own format string, with holes in the notation of `str.format`:

    SEV-ES guest requested termination: {reason_set:#x}:{reason_code:#x}

A hole's name says what the word is (`meanings`), what follows the colon how the program writes it:

    #x, #010x   a number with 0x      x, 016x   hex digits without      d   decimal
    s           one word              nothing   any text
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from string import Formatter

Values = dict[str, int | str]

_LONGEST_TEXT = 200
_SPEC = re.compile(r"(?P<prefixed>#?)0?(?P<width>\d*)(?P<kind>[xds]?)")
_SPACES = re.compile(r" {2,}")  # columns: how many blanks there are depends on what stands before


@dataclass(frozen=True, eq=False)  # a row of the table is itself only
class Form:
    """One row of the table: who prints the line, what it says, where that was read."""

    program: str  # who prints it
    text: str
    says: str  # what the line tells, as a sentence
    source: str  # repository, file and function
    implied: Values = field(default_factory=dict)  # words that the line does not print
    of: str = ""  # the structure whose fields the holes are, in dumps of it
    block: str = ""  # lines of one block share their words, such as those of one dump
    heads: bool = False  # whether a block begins with it
    inside: bool = False  # whether it is known only within its block
    alone: bool = False  # whether it has a line to itself: others say the same of something else

    @cached_property
    def _parts(self) -> list[tuple[str, str | None, str]]:
        """Fixed text, then the hole after it: its name (None at the end) and how it is written."""
        parsed = Formatter().parse(self.text)
        return [(fixed, name, spec or "") for fixed, name, spec, _ in parsed]

    @cached_property
    def holes(self) -> dict[str, str]:
        """The holes by name, with the way in which each is written: x, d, s or "" for any text."""
        return {name: _kind(spec) for _, name, spec in self._parts if name is not None}

    @cached_property
    def anchor(self) -> bytes:
        """The longest fixed text: a line without it is not of this form."""
        pieces = [piece for fixed, _, _ in self._parts for piece in _SPACES.split(fixed)]
        return max(pieces, key=len).strip().encode()

    @cached_property
    def fixed(self) -> int:
        """How much of the text is fixed: of two forms that fit, the one with more says more."""
        return sum(len(fixed) for fixed, _, _ in self._parts)

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        made = [rb"(?<![\w.])"] if self.text[0].isalnum() else []
        last = self._parts[-1][1]  # a hole at the end takes all of the text that it can
        for fixed, name, spec in self._parts:
            made.append(_SPACES.sub(r"\\s+", re.escape(fixed).replace("\\ ", " ")).encode())
            if name is not None:
                written = _written(spec).removesuffix(b"?" * (name == last))
                made.append(b"(?P<%s>%s)" % (name.encode(), written))
        if last is not None and self.holes[last] in ("x", "d"):
            made.append(rb"(?!\w)")
        pattern = b"".join(made)
        return re.compile(rb"\A\s*" + pattern + rb"[\s.]*\Z" if self.alone else pattern)

    def match(self, line: bytes) -> Values | None:
        """The words that `line` carries, the implied ones among them; None for another line."""
        return next((words for _, words in self.matches(line)), None)

    def matches(self, line: bytes) -> Iterator[tuple[range, Values]]:
        """Each place of `line` that is of this form, and the words there."""
        for found in self._pattern.finditer(line):
            holes = found.groupdict().items()
            words = {name: _word(text, self.holes[name]) for name, text in holes}
            yield range(*found.span()), {**self.implied, **words}


def _kind(spec: str) -> str:
    found = _SPEC.fullmatch(spec)
    if found is None:
        raise ValueError(f"{spec!r}: #x, x, d, s or nothing expected in a hole")
    return found["kind"]


def _written(spec: str) -> bytes:
    """The pattern of what a program writes into a hole."""
    found = _SPEC.fullmatch(spec)
    assert found is not None
    match found["kind"]:
        case "x" if found["prefixed"]:
            return rb"(?:0x[0-9a-fA-F]{1,16}|0(?!x))"  # C prints 0 without the prefix
        case "x":
            return rb"[0-9a-fA-F]{%d,16}" % int(found["width"] or 1)
        case "d":
            return rb"-?\d{1,20}"
        case "s":
            return rb"\S{1,64}?"
        case _:
            return rb".{1,%d}?" % _LONGEST_TEXT


def _word(text: bytes, kind: str) -> int | str:
    match kind:
        case "x":
            return int(text, 16)
        case "d":
            return int(text)
        case _:
            return text.decode(errors="replace").strip()
