"""Joining the lines of a dump, each at the place that its address says.

The result tells which bytes are missing, out of order or there twice. A gap is a range of bytes
that the dump lacks. Two different bytes at one address are an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..counting import count_of
from ..errors import DecodeError

LIMIT = 256 << 20
"""Bytes that a dump may stand for: a line with `*` can claim any number of them."""

FAR = 64 << 10
"""Bytes: a line that stands farther behind the others is of another dump."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A line's bytes and its address; `width` of its words. A `*` has neither address nor bytes."""

    number: int
    address: int | None
    data: bytes
    width: int = 1


@dataclass(frozen=True, slots=True)
class Joined:
    """Bytes from `address` on, None where no address was known.

    `gaps`: where nothing was there, as zeros. `notes`: what was odd.
    """

    address: int | None
    data: bytes
    gaps: tuple[range, ...]
    notes: tuple[str, ...]


def join(rows: Sequence[Placed], shown: str = "#x") -> Joined:
    """The rows in one piece. `shown` is how addresses are written in notes: `#x`, `#o` or `d`.

    A line that stands apart from the others, or begins the dump again, ends it, which is noted. Raises
    DecodeError for contradictions, and for a `*` without a line before or an address behind it.
    """
    notes: list[str] = []
    lines = _lines(rows, shown, notes)
    if not lines:
        return Joined(0, b"", (), tuple(notes))
    base = min(line.address for line in lines)
    data = bytearray()
    gaps = []
    for line in sorted(lines, key=lambda line: line.address):
        at = line.address - base
        known = len(data) - at
        if known < 0:
            gaps.append(range(len(data), at))
            notes.append(
                f"{_found(line, shown)}, {base + len(data):{shown}} expected:"
                f" a gap of {count_of(-known, 'byte')}"
            )
            data += bytes(-known)
        elif known and line.data:
            _check_overlap(line, bytes(data[at : at + len(line.data)]), shown, lines)
        data += line.data[max(known, 0) :]
    return Joined(base, bytes(data), tuple(gaps), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    address: int
    data: bytes


def _lines(rows: Sequence[Placed], shown: str, notes: list[str]) -> list[_Line]:
    """The lines of the first dump, those that a `*` stands for among them, in their order."""
    lines: list[_Line] = []
    last: Placed | None = None  # what a `*` repeats
    star: Placed | None = None
    first = end = 0
    for row in rows:
        if row.address is None:
            if last is None:
                raise DecodeError(f"line {row.number}: '*' found, a line to repeat expected first")
            star = row
            continue
        line = _Line(row.number, row.address, row.data)
        first = first if lines else row.address
        if star is not None and row.address <= end:
            notes.append(f"line {star.number}: '*' found, which stands for no line here")
        if star is not None and last is not None and row.address > end:
            repeated = last.data * (
                _claimed(star, row.address - end, end - first) // len(last.data)
            )
            lines.append(_Line(star.number, end, repeated))
            end += len(repeated)
        star = None
        if lines and (again := _begins_again(line, lines, end)):
            notes.append(f"{_found(line, shown)}{again}: another dump begins there, not read")
            return lines
        if lines and row.address < end:
            if not row.data:
                _cut(lines, row.address, last, shown, row.number)
                continue
            expected = f"{_found(line, shown)}, {end:{shown}} expected"
            notes.append(f"{expected}: a line out of order, or there twice; put in its place")
        lines.append(line)
        end = max(end, row.address + len(row.data))
        last = row if row.data else last
    if star is not None:
        raise DecodeError(f"line {star.number}: '*' found, an address expected after it")
    return lines


def _claimed(star: Placed, missing: int, known: int) -> int:
    if known + missing > LIMIT:
        raise DecodeError(
            f"line {star.number}: '*' found for {missing} bytes, at most {LIMIT} expected"
        )
    return missing


def _begins_again(line: _Line, lines: list[_Line], end: int) -> str:
    first = lines[0].address
    if line.address > end + FAR or line.address < first - FAR:
        return ", far from the lines before"
    return " again" if line.address == first and line.data and len(lines) > 1 else ""


def _cut(lines: list[_Line], at: int, last: Placed | None, shown: str, number: int) -> None:
    """The closing address: it says where the last word ends that was filled up with zeros."""
    line = lines[-1]
    extra = line.address + len(line.data) - at
    if not 0 < extra < (last.width if last else 1) or any(line.data[-extra:]):
        raise DecodeError(
            f"line {number}: address {at:{shown}} found,"
            f" {line.address + len(line.data):{shown}} expected: the lines before end there"
        )
    lines[-1] = _Line(line.number, line.address, line.data[:-extra])


def _check_overlap(line: _Line, before: bytes, shown: str, lines: Sequence[_Line]) -> None:
    for at, (now, then) in enumerate(zip(line.data, before, strict=False)):
        if now != then:
            _check_lengths(line, shown, lines)
            raise DecodeError(
                f"{_found(line, shown)}, an overlap: {now:#04x} found at {line.address + at:{shown}},"
                f" where another line has {then:#04x}"
            )


def _check_lengths(line: _Line, shown: str, lines: Sequence[_Line]) -> None:
    """Raise DecodeError where the line before `line` is longer than the others, so that they overlap."""
    (usual, _), *_ = Counter(len(each.data) for each in lines).most_common()
    for each in lines:
        if len(each.data) > usual and each.address + usual == line.address:
            raise DecodeError(
                f"line {each.number}: {count_of(len(each.data), 'byte')} found, {usual} expected:"
                f" line {line.number} begins at {line.address:{shown}}"
            )


def _found(line: _Line, shown: str) -> str:
    return f"line {line.number}: address {line.address:{shown}} found"
