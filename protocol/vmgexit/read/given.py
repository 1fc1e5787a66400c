"""The input of a command: a FILE, standard input, a dump or a number, all through one door.

Each becomes a stream of bytes, with a sentence that says how it was understood. A file may hold the
bytes themselves, or a dump of them as text; its content decides, and an option can ask for either.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from ..counting import count_of
from ..errors import DecodeError, UsageError
from . import numbers
from .dump import Dump
from .numbers import brief
from .streams import opened, read_exactly

TEXT_LIMIT = 64 << 20
"""Bytes of dump text that are read; a page prints as some 20 kB."""

_PEEKED = 1 << 16
_ASCII_TEXT = frozenset((*b"\t\n\r\f\x1b", *range(0x20, 0x7F)))
MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\xef\xbb\xbf": "utf-8"}
"""Byte order marks at the start of a text, and the encoding that each tells."""

# Text has them, what was copied from a page no-break spaces, and coloured text its escapes.
_SPACES = str.maketrans("", "", "\t\n\r\f\x1b\xa0\u2007\u202f")

Form = Literal["any", "dump", "raw"]


class Given(NamedTuple):
    """The bytes, and how they were understood.

    `said`: what they were taken for, such as `the number 0x100`. `notes`: what else must be known.
    `dump`: what a text was read as; None where the bytes are themselves.
    """

    stream: Any
    said: str
    notes: tuple[str, ...] = ()
    dump: Dump | None = None

    @property
    def value(self) -> numbers.Understood | None:
        """The one value that was given, if it was one."""
        values = self.dump.values if self.dump else ()
        return values[0] if len(values) == 1 else None


@contextlib.contextmanager
def given(
    file: str | None = None,
    *,
    text: str | None = None,
    value: str | None = None,
    form: Form = "any",
    size: int = 0,
) -> Iterator[Given]:
    """What was given: one of `file`, `text` (of a dump) and `value` (a number); else standard input.

    `file` may be a number where no file of that name is. `form` says what a file holds: a dump, the
    bytes themselves, or what it looks like. `size`: of the structure expected, 0 if not known.

    Raises UsageError for more than one, DecodeError for what cannot be read.
    """
    named = {"a FILE": file, "a value of --hex": text, "--value": value}
    found = [name for name, one in named.items() if one is not None]
    if len(found) > 1:
        raise UsageError(f"{' and '.join(found)} found, one of them expected")
    if value is not None:
        yield _number(value, "--value", size)
    elif text is not None:
        yield _text(text, "--hex", size)
    elif file is not None and file != "-" and _is_value(file):
        yield _number(file, file, size)
    else:
        with opened(file or "-") as stream:
            yield _stream(stream, file or "-", form, size)


def _is_value(word: str) -> bool:
    """Whether a word is no file but begins with a digit, as numbers do, or is hex digits."""
    with contextlib.suppress(OSError, ValueError):
        looks = word.removeprefix("-")[:1].isdigit() or set(word) <= set("0123456789abcdefABCDEF")
        return bool(word) and looks and not os.path.exists(word)
    return False


def _number(text: str, place: str, size: int) -> Given:
    values = numbers.tokens(text) if len(text.split()) > 1 and place != "--value" else None
    try:
        values = values or [numbers.number(text)]
        data = numbers.joined(values).sized(size)
    except DecodeError as error:
        missing = "" if place == "--value" else "no such file, and "
        raise DecodeError(
            f"{brief(place)}: {missing}{error}" if missing else f"--value: {error}"
        ) from None
    said = str(values[0]) if len(values) == 1 else count_of(len(values), "number")
    return Given(io.BytesIO(data), said, dump=Dump(data, said, is_rows=False, values=tuple(values)))


def _text(text: str, place: str, size: int) -> Given:
    try:
        dump = _dump(text, size)
        one = dump.values[0] if len(dump.values) == 1 else None
        data = one.sized(size) if one else dump.data
    except DecodeError as error:
        raise DecodeError(f"{place}: {error}{_file_hint(text, place)}") from None
    said = str(one) if one else str(dump)
    return Given(io.BytesIO(data), said, dump.notes, dump)


def _dump(text: str, size: int) -> Dump:
    """As `hexdump.read`, which one value alone does not need."""
    if len(text.split()) == 1:
        with contextlib.suppress(DecodeError):
            value = numbers.token(text.strip())
            return Dump(value.data, str(value), is_rows=False, values=(value,))
    from . import hexdump

    return hexdump.read(text, size)


def _file_hint(text: str, place: str) -> str:
    """`--hex dump.txt` takes the file's name for the dump."""
    with contextlib.suppress(OSError, ValueError):
        if place == "--hex" and os.path.isfile(text):
            return f"; to read the file: {text} --hex"
    return ""


# --- Files and standard input ---------------------------------------------------------------------


def _stream(stream: Any, name: str, form: Form, size: int) -> Given:
    where = "standard input" if name == "-" else name
    if form == "raw" or (
        form == "any" and _letters(stream.peek(_PEEKED)[:_PEEKED], size, cut=True) is None
    ):
        return Given(stream, f"the bytes of {where}")
    data = read_exactly(stream, TEXT_LIMIT + 1)
    if len(data) > TEXT_LIMIT:
        raise DecodeError(f"{name}: dump text of more than {TEXT_LIMIT} bytes")
    if form == "dump":
        return _text(_decoded(data, size) or data.decode("utf-8-sig", "replace"), name, size)
    return _either(data, name, where, size)


def _either(data: bytes, name: str, where: str, size: int) -> Given:
    """A file that looks like text: a dump, unless it is none and has the size of the structure."""
    raw = Given(io.BytesIO(data), f"the bytes of {where}")
    text = _letters(data, size)
    if text is None:
        return raw
    try:
        found = _text(text, name, size)
    except DecodeError as error:
        if len(data) == size:
            return raw
        raise DecodeError(
            f"{error}; --raw takes the {count_of(len(data), 'byte')} as they are"
        ) from None
    if len(data) != size:
        return found
    if len(text.split()) == 1 and text == text.strip():
        note = f"they are text too: --hex reads them as {found.said}"
        return Given(io.BytesIO(data), raw.said, (note,))
    note = f"--raw takes the {count_of(len(data), 'byte')} as they are"
    return Given(found.stream, found.said, (*found.notes, note), found.dump)


def _letters(data: bytes, size: int, *, cut: bool = False) -> str | None:
    """`data` as text; None where it is none. `cut`: it may end within a letter."""
    text = _decoded(data, size, cut=cut)
    if text is None or not text.strip():
        return None
    return text if text.translate(_SPACES).isprintable() else None


def unmarked_wide(data: bytes) -> str:
    """The encoding of ASCII text as UTF-16 that has no mark at its start; "" for anything else."""
    high, low = data[1::2], data[::2]
    for encoding, letters, zeros in (("utf-16-le", low, high), ("utf-16-be", high, low)):
        if len(data) > 3 and not any(zeros) and _ASCII_TEXT.issuperset(letters):
            return encoding
    return ""


def _decoded(data: bytes, size: int, *, cut: bool = False) -> str | None:
    """By the mark at its start, else UTF-8; without a mark also what Windows writes as UTF-16."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            half = len(data) % 2 if encoding.startswith("utf-16") else 0  # of a last letter
            with contextlib.suppress(UnicodeDecodeError):
                return data[len(mark) : len(data) - half].decode(encoding)
    if len(data) != size and (encoding := unmarked_wide(data)):
        return data[: len(data) - len(data) % 2].decode(encoding)
    for more in range(4 if cut else 1):
        with contextlib.suppress(UnicodeDecodeError):
            return data[: len(data) - more].decode()
    return None
