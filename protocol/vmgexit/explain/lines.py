"""A log, line by line: which lines are known, and what their words mean.

Lines come in blocks. A form is asked about a line only where its longest fixed text occurs in the
block and then in the line, so that a log without a line of ours costs one search a form and block.
A block's memory is all that is held.

KVM's tracepoints of VMGEXIT are read by `logs.kvm`, which puts requests and answers together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import IO

from ..logs.kvm import SIGN, Event, Pair, Pairing, State, parse
from .form import Form, Values
from .forms import FORMS
from .meanings import Said, explained

BLOCK = 1 << 18
"""Bytes that are read at once. A longer line is cut: none of ours is."""

_KEPT = 4096  # lines whose reading is remembered: logs repeat themselves
_LIFE = 64  # lines after which a block of lines that belong together has ended


@dataclass(frozen=True, slots=True)
class Known:
    """What a line says whose form is known."""

    form: Form
    words: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """An event of KVM's tracepoints, and the requests and answers that it completes."""

    event: Event
    pairs: list[Pair]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log; `says` is None where it is not known."""

    number: int
    text: bytes
    says: Known | Traced | None


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

    def lines(self, block: list[bytes]) -> Iterator[Line]:
        """Every line of `block`, in order."""
        candidates = _occurring(b"\n".join(block))
        for text in block:
            self.count.lines += 1
            says = self._says(text, candidates) if candidates else None
            self.count.known += says is not None
            yield Line(self.count.lines, text, says)

    def finish(self) -> None:
        """The end of the log: requests that have no answer are counted."""
        self._answered(list(self._pairing.finish()))

    def _says(
        self, text: bytes, candidates: list[tuple[bytes, list[Form]]]
    ) -> Known | Traced | None:
        here = [forms for anchor, forms in candidates if anchor in text]
        if not here:
            return None
        if SIGN in text:
            found = parse(text, self.count.lines)
            if isinstance(found, Event):
                return Traced(found, self._answered(self._pairing.take(found)))
        fit = _matched(text, [form for forms in here for form in forms])
        if fit is None:
            return None
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


@cache
def _by_anchor() -> dict[bytes, list[Form]]:
    found: dict[bytes, list[Form]] = {SIGN: []}
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
