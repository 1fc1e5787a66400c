"""A log, line by line: which lines are known, and what their words mean.

Lines come in blocks. A form is asked about a line only where its longest fixed text occurs there, and
that is searched for in the block: a log without a line of ours costs one search a form and block.
What is held is a block, and the lines of a dump until it ends (`dumps`).

KVM's tracepoints of VMGEXIT are read by `logs.kvm`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any

from ..logs.kvm import FAULT_SIGN, SIGN, Event, Pair, Pairing, RmpFault, State, parse, rmp_fault
from ..read import numbers
from ..wire.registry import CHAPTERS
from .dumps import Dumped, Gathered, Rows
from .form import Form, Values
from .forms import FORMS
from .loose_words import ANCHORS, words_of
from .meanings import Said, explained
from .questions import Value, valued

BLOCK = 1 << 18
"""Bytes that are read at once. A longer line is cut: none of ours is."""

_KEPT = 4096  # lines whose reading is remembered: logs repeat themselves
_HOLE = re.compile(rb"(?<=[^\n\0])\0{16,}")  # behind a line that was cut
_LIFE = 64  # lines after which a block of lines that belong together has ended
_STRUCTURES = frozenset(name.encode() for names in CHAPTERS.values() for name in names)


@dataclass(frozen=True, slots=True)
class Known:
    """What a line says whose form is known; `also`: what further forms say that stand in it."""

    form: Form
    words: tuple[Said, ...]
    also: tuple[Known, ...] = ()


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
class Worded:
    """Words that the line names, and their values."""

    words: tuple[Said, ...]


Says = Known | Traced | Named | Worded | Dumped


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


def some(stream: Any) -> bytes:
    """A block of the stream, or what a pipe has now, without waiting for more; nothing at the end."""
    found: bytes = getattr(stream, "read1", stream.read)(BLOCK)
    return found


def blocks(stream: Any, head: bytes = b"") -> Iterator[list[bytes]]:
    """The lines of a stream, as many at once as a block holds. `head`: what was read of it already.

    Ends of lines are cut off, and what a line has beyond a block. Zeros are left out; a hole of them
    ends the line before it.
    """
    rest = b""
    chunk = head
    is_cut = False  # of the line that goes on, enough was given
    while chunk := chunk or some(stream):
        if is_cut:
            _, end, chunk = chunk.partition(b"\n")
            is_cut = not end
        if b"\0" in chunk:
            chunk = _HOLE.sub(b"\n", chunk).replace(b"\0", b"")
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > BLOCK:
            lines.append(rest)
            rest, is_cut = b"", True
        chunk = b""
        if lines:
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
    _gathered: Gathered = field(default_factory=Gathered)
    _anchors: list[bytes] = field(default_factory=list)

    def lines(self, block: list[bytes]) -> Iterator[Line]:
        """Every line of `block`, in order; a dump is told of before the line that follows it."""
        whole = b"\n".join(block)
        candidates = _candidates(block, whole)
        rows = Rows(whole)
        small = whole.lower()
        self._anchors = [anchor for anchor in ANCHORS if anchor in small]
        for place, text in enumerate(block):
            may_be_row = rows.has_one(text) and not self._is_of_block(text)
            if self._gathered.takes(text, may_be_row):
                self.count.lines += 1
                continue
            yield from self._end_of_dump()
            self.count.lines += 1
            says = self._says(text, candidates.get(place, []))
            self.count.known += says is not None
            if says is None:
                self._gathered.heading = text
            yield Line(self.count.lines, text, says)

    def finish(self) -> Iterator[Line]:
        """The end of the log: a dump that ends with it; requests that have no answer are counted."""
        yield from self._end_of_dump()
        self._answered(list(self._pairing.finish()))

    def _end_of_dump(self) -> Iterator[Line]:
        """What the lines of a dump show; where they are none after all, these lines."""
        lines = self._gathered.lines
        if not lines:
            return
        first = self.count.lines - len(lines) + 1
        found = self._gathered.end(first)
        if found is None:
            yield from (Line(first + at, text, None) for at, text in enumerate(lines))
            return
        self.count.known += len(lines)
        yield Line(self.count.lines, b"\n".join(lines), found)

    @property
    def _is_inside(self) -> bool:
        """Whether a block of lines that belong together may go on."""
        return bool(self._block) and self.count.lines - self._last <= _LIFE

    def _is_of_block(self, text: bytes) -> bool:
        """Whether a line that may be one of a dump in hex is one of a dump in words."""
        here = _inside(self._block) if self._is_inside else []
        return any(form.match(text) is not None for anchor, form in here if anchor in text)

    def _says(self, text: bytes, here: list[Form]) -> Says | None:
        if self._is_inside:
            inside = [form for anchor, form in _inside(self._block) if anchor in text]
            here = [*here, *inside]
        if not here and not (SIGN in text or FAULT_SIGN in text):
            return self._loose(text)
        if SIGN in text:
            found = parse(text, self.count.lines)
            if isinstance(found, Event):
                return Traced(found, self._answered(self._pairing.take(found)))
        if FAULT_SIGN in text and (fault := rmp_fault(text)):
            return Traced(fault, [])
        fits = _matched(text, here)
        if not fits:
            return self._loose(text)
        form, words = fits[0]
        if form.block:
            return Known(form, tuple(explained(form, self._with_block(form, words))))
        first, *others = (
            Known(form, _explained(form, tuple(words.items()))) for form, words in fits
        )
        return replace(first, also=tuple(others))

    def _loose(self, text: bytes) -> Named | Worded | None:
        """A line of no known form: what it names."""
        if found := _named(text):
            return found
        if not any(anchor in text.lower() for anchor in self._anchors):
            return None
        words = words_of(text.decode(errors="replace"))
        return Worded(words) if words else None

    def _answered(self, pairs: list[Pair]) -> list[Pair]:
        """The pairs that have something to say; requests that only lack an answer are counted."""
        silent = [pair for pair in pairs if pair.response is None and pair.state is State.UNPAIRED]
        self.count.unanswered += len(silent)
        return [pair for pair in pairs if pair not in silent]

    def _with_block(self, form: Form, words: Values) -> Values:
        """The words of a line and those of the lines before it that belong to the same block."""
        if form.heads or form.block != self._block or not self._is_inside:
            self._shared = {}
        self._block, self._last = form.block, self.count.lines
        self._shared.update(words)
        return {**words, **{name: held for name, held in self._shared.items() if name not in words}}


@cache
def _by_anchor() -> dict[bytes, list[Form]]:
    found: dict[bytes, list[Form]] = {}
    for form in FORMS:
        if not form.inside:
            found.setdefault(form.anchor, []).append(form)
    return found


@cache
def _inside(block: str) -> list[tuple[bytes, Form]]:
    """The forms that are asked about only within their block: what they print is common elsewhere."""
    return [(form.anchor, form) for form in FORMS if form.inside and form.block == block]


def _candidates(block: list[bytes], whole: bytes) -> dict[int, list[Form]]:
    """The forms that a line may be of, by its place in the block; `whole` is the block in one piece."""
    starts = list(accumulate((len(line) + 1 for line in block), initial=0))
    found: dict[int, list[Form]] = {}
    for anchor, forms in _by_anchor().items():
        at = whole.find(anchor)
        while at >= 0:
            place = bisect_right(starts, at) - 1
            found.setdefault(place, []).extend(forms)
            at = whole.find(anchor, starts[place + 1])
    return found


def _matched(text: bytes, forms: list[Form]) -> list[tuple[Form, Values]]:
    """The form that fits with the most fixed text and those that fit beside it, in order, with their words.

    What belongs to a block of lines has its line to itself.
    """
    fits = [
        (place, form, words) for form in dict.fromkeys(forms) for place, words in form.matches(text)
    ]
    found: list[tuple[range, Form, Values]] = []
    for fit in sorted(fits, key=lambda fit: -fit[1].fixed):
        place, form, _ = fit
        is_apart = all(
            place.stop <= other.start or other.stop <= place.start for other, *_ in found
        )
        if not found or (is_apart and not form.block and not found[0][1].block):
            found.append(fit)
    return [(form, words) for _, form, words in sorted(found, key=lambda fit: fit[0].start)]


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
