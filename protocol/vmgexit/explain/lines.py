"""A log, line by line: which lines are known, and what their words mean.

Lines come in blocks. A form is asked about a line only where its longest fixed text occurs in the
block and then in the line, so that a log without a line of ours costs one search a form and block.
What is held is a block, and a dump's lines until it ends.

KVM's tracepoints of VMGEXIT are read by `logs.kvm`, hex dumps by `read.hexdump`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import IO

from ..errors import DecodeError
from ..logs.kvm import SIGN, Event, Pair, Pairing, RmpFault, State, parse, rmp_fault
from ..read import hexdump, numbers, prefixes
from ..wire.registry import CHAPTERS
from .ask import Value, valued
from .form import Form, Values
from .forms import FORMS
from .guess import Guess, guesses
from .meanings import Said, explained

BLOCK = 1 << 18
"""Bytes that are read at once. A longer line is cut: none of ours is."""

DUMP_LIMIT = 1 << 20
"""Bytes of text of the longest dump within a log; what follows is taken for another one."""

_KEPT = 4096  # lines whose reading is remembered: logs repeat themselves
_LIFE = 64  # lines after which a block of lines that belong together has ended
_FAULT = b"kvm_rmp_fault:"
# What a line of a dump has: eight bytes, or three longer words, or a debugger's tokens.
_DUMPED = re.compile(
    rb"(?:\b[0-9a-fA-F]{2}[ -]){7}|(?:\b[0-9a-fA-F]{4,16}[ \t|]+){3}"
    rb"|(?:\b0x[0-9a-fA-F]{2,16}[ \t,]+){2}0x|^[0-9a-fA-F]{16,}\s*$",
    re.MULTILINE,
)
_CODE = b"Code: "  # an oops prints the bytes of instructions
_STRUCTURES = frozenset(name.encode() for names in CHAPTERS.values() for name in names)


@dataclass(frozen=True, slots=True)
class Known:
    """What a line says whose form is known."""

    form: Form
    words: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """An event of KVM's tracepoints, and the requests and answers that it completes."""

    event: Event | RmpFault
    pairs: list[Pair]


@dataclass(frozen=True, slots=True)
class Named:
    """A structure that the line names, and its value."""

    values: list[Value]


@dataclass(frozen=True, slots=True)
class Dumped:
    """A hex dump that ended with this line, and what it could be."""

    dump: hexdump.Dump
    first: int  # number of its first line
    guesses: list[Guess]


Says = Known | Traced | Named | Dumped


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log; `says` is None where it is not known."""

    number: int
    text: bytes
    says: Says | None


@dataclass(slots=True)
class Count:
    """How many lines were read, how many of them are known, and what is known of the others."""

    lines: int = 0
    known: int = 0
    unanswered: int = 0  # requests of a trace whose answer is not in it

    @property
    def unknown(self) -> int:
        return self.lines - self.known


def blocks(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """The lines of a stream, as many at once as a block holds. Ends of lines are cut off."""
    read = getattr(stream, "read1", stream.read)  # what a pipe has now, without waiting for more
    rest = b""
    while chunk := read(BLOCK):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > BLOCK:
            lines.append(rest)
            rest = b""
        yield lines
    if rest:
        yield [rest]


@dataclass(slots=True)
class Reader:
    """Reads blocks of lines. What the lines of one dump share is kept from line to line."""

    count: Count = field(default_factory=Count)
    _pairing: Pairing = field(default_factory=Pairing)
    _block: str = ""
    _shared: Values = field(default_factory=dict)
    _last: int = 0
    _dump: list[bytes] = field(default_factory=list)
    _held: int = 0  # bytes of `_dump`
    _heading: bytes = b""

    def lines(self, block: list[bytes]) -> Iterator[Line]:
        """Every line of `block`, in order; a dump is told of before the line that follows it."""
        whole = b"\n".join(block)
        candidates = _occurring(whole)
        may_dump = bool(self._dump) or _DUMPED.search(whole) is not None
        for text in block:
            if may_dump and self._takes(text):
                self.count.lines += 1
                continue
            if self._dump:
                yield from self._end_of_dump()
            self.count.lines += 1
            says = self._says(text, candidates)
            self.count.known += says is not None
            if says is None:
                self._heading = text
            yield Line(self.count.lines, text, says)

    def finish(self) -> Iterator[Line]:
        """The end of the log: a dump that ends with it; requests that have no answer are counted."""
        yield from self._end_of_dump()
        self._answered(list(self._pairing.finish()))

    def _says(self, text: bytes, candidates: list[tuple[bytes, list[Form]]]) -> Says | None:
        here = [forms for anchor, forms in candidates if anchor in text]
        if not here:
            return _named(text)
        if SIGN in text:
            found = parse(text, self.count.lines)
            if isinstance(found, Event):
                return Traced(found, self._answered(self._pairing.take(found)))
        if _FAULT in text and (fault := rmp_fault(text)):
            return Traced(fault, [])
        fit = _matched(text, [form for forms in here for form in forms])
        if fit is None:
            return _named(text)
        form, words = fit
        if form.block:
            return Known(form, tuple(explained(form, self._with_block(form, words))))
        return Known(form, _explained(form, tuple(words.items())))

    def _answered(self, pairs: list[Pair]) -> list[Pair]:
        """The pairs that have something to say; requests that only lack an answer are counted."""
        silent = [pair for pair in pairs if pair.response is None and pair.state is State.UNPAIRED]
        self.count.unanswered += len(silent)
        return [pair for pair in pairs if pair not in silent]

    def _with_block(self, form: Form, words: Values) -> Values:
        """The words of a line and those of the lines before it that belong to the same block."""
        over = self.count.lines - self._last > _LIFE
        if form.heads or form.block != self._block or over:
            self._shared = {}
        self._block, self._last = form.block, self.count.lines
        self._shared.update(words)
        return {**words, **{name: held for name, held in self._shared.items() if name not in words}}

    # --- dumps ------------------------------------------------------------------------------------

    def _takes(self, text: bytes) -> bool:
        """Whether the line is one of a dump; then it is kept until the dump ends."""
        star = bool(self._dump) and text.strip() == b"*"
        if not star and (_CODE in text or not self._is_row(text)):
            return False
        if self._held + len(text) > DUMP_LIMIT:
            return False
        self._dump.append(text)
        self._held += len(text)
        return True

    def _is_row(self, text: bytes) -> bool:
        if _DUMPED.search(text) is None and not self._dump:
            return False
        return hexdump.is_row(text.decode(errors="replace"))

    def _end_of_dump(self) -> Iterator[Line]:
        """What the lines kept show, if they are a dump after all."""
        lines, heading = self._dump, self._heading
        if not lines:
            return
        self._dump, self._held = [], 0
        first = self.count.lines - len(lines) + 1
        try:
            dump = hexdump.read(b"\n".join(lines).decode(errors="replace"))
        except DecodeError:
            yield from (Line(first + at, text, None) for at, text in enumerate(lines))
            return
        self.count.known += len(lines)
        _, body = prefixes.split(heading.decode(errors="replace"))
        says = Dumped(dump, first, guesses(dump.data, body))
        yield Line(self.count.lines, b"\n".join(lines), says)


@cache
def _by_anchor() -> dict[bytes, list[Form]]:
    found: dict[bytes, list[Form]] = {SIGN: [], _FAULT: []}
    for form in FORMS:
        found.setdefault(form.anchor, []).append(form)
    return found


def _occurring(text: bytes) -> list[tuple[bytes, list[Form]]]:
    return [(anchor, forms) for anchor, forms in _by_anchor().items() if anchor in text]


def _matched(text: bytes, forms: list[Form]) -> tuple[Form, Values] | None:
    """The form that fits with the most fixed text, and the words."""
    fits = [(form, words) for form in forms if (words := form.match(text)) is not None]
    return max(fits, key=lambda fit: fit[0].fixed, default=None)


@lru_cache(_KEPT)
def _explained(form: Form, words: tuple[tuple[str, int | str], ...]) -> tuple[Said, ...]:
    return tuple(explained(form, dict(words)))


def _named(text: bytes) -> Named | None:
    """A line that begins with a structure's name and is followed by values."""
    name, _, rest = text.strip().partition(b" ")
    if name not in _STRUCTURES:
        return None
    values = numbers.tokens(rest.decode(errors="replace"))
    found = valued(name.decode(), values) if values else []
    return Named(found) if found else None
