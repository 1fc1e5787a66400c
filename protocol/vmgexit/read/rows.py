"""One line of a hex dump: its address, its words as they are written, and its text column.

| mark | address as | words as | printed by |
| --- | --- | --- | --- |
| `0x:` | `0x1000 <page+16>:`, `0x1000:` | `0x61`, `97`, `0141`, `01100001`; bare bytes | GDB's x; LLDB |
| `0x:` | `1000 <page+16>:` | `61`, `02018161` | GDB's x, of which someone took each 0x |
| `:` | `00001000:` | `6181`, `02018161`, `01100001` | xxd, the kernel's print_hex_dump |
| `:` | `  00001000: ` | `61 81-01 02  *a...*` | edk2 |
| `::` | `ffff888100005000:  ` (two spaces) | `0000000002018161` | rd of crash and of drgn |
| `:0x` | `0000000000005000:` | `0x61`, `0x0000000002018161` | x and xp of QEMU's monitor |
| `` ` `` | ``fffff803`12345670`` | `61 81-01 02`, `02018161` | WinDbg's db, dw, dd, dq |
| ` ` | `00001000`, `0001000` | `61`, `8161`, `060141` | hexdump, od |
| none | | `61 81`, `02018161` | print_hex_dump without a prefix, xxd -p |

The meaning of one line depends on all lines: `hexdump` decides it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

Mark = Literal["0x:", ":", "::", ":0x", "`", " ", ""]

_ADDRESS = re.compile(
    r"""\s*(?:
        0[xX](?P<prefixed>[0-9a-fA-F`]+)(?:\s*<.*>)?:(?=\s|$)
      | (?P<named>[0-9a-fA-F]{1,16})\s*<[^>]*>:(?=\s|$)
      | (?P<tick>[0-9a-fA-F]{8}`[0-9a-fA-F]{8})(?=\s|$)
      | (?P<colon>[0-9a-fA-F]{4,16}):(?=\s|$)
      | (?P<column>[0-9a-fA-F]{6,16})(?=\s|$)
    )""",
    re.VERBOSE,
)
# Words that a driver or a caller puts before each line: `SVSM: `, `ccp 0000:22:00.1: `. Each has a
# letter that is no hex digit, but for the last ones.
_LABEL = re.compile(
    r"\s*(?:[^\sg-zG-Z_]*+[g-zG-Z_]\S*+\s++)+(?:(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.\d:\s+)?"
)
_BARS = re.compile(r"(?<=\S)\s++(?:[|>](.*?)[|<]?|\*(.*)\*)\s*+$")
_SPREAD = re.compile(r"\s{2,}")
_JOINT = re.compile(r"(?<=[0-9a-fA-F])[-`](?=[0-9a-fA-F])")
_HEX = re.compile(r"[0-9a-fA-F]+")
_ZERO_X = re.compile(r"0[xX][0-9a-fA-F]+")
_CHARACTER = re.compile(r"\s'(?:\\.[0-7]*|[^'\\])'")  # x/c prints 97 'a'
_SIGNED = re.compile(r"-?\d+")
_DECIMALS = re.compile(r"(?:\s{2,}\d{1,2})+\s*")  # od -t u1, d1; hexdump -C has longer addresses
_BITS = re.compile(r"(?:[01]{8}){1,8}")

_LONGEST = 2048  # letters of a line: no program prints so many
_GAPS = 40  # wide gaps of a line behind which its text may begin
PRINTABLE = range(0x20, 0x7F)


@dataclass(frozen=True, slots=True)
class Row:
    """One line, before anything is decided.

    `address` and `words` are digits as written, without 0x. `base` is how the words are written: 16, 2,
    or 10, which stands for decimal and octal ones whose size the line does not tell. `label` is what
    stands before the address, or before the words. `is_log`: the line has a log's prefix.
    """

    number: int
    mark: Mark
    address: str
    words: tuple[str, ...]
    base: Literal[16, 10, 2]
    text: str | None
    label: str
    is_log: bool
    is_spread: bool = False  # two spaces behind the address

    @property
    def width(self) -> int:
        """Bytes of the first word; 0 where the digits do not tell."""
        if not self.words or self.base == 10:
            return 0
        return len(self.words[0]) // (2 if self.base == 16 else 8)

    @property
    def is_bits(self) -> bool:
        """Whether each word is eight binary digits."""
        return all(len(word) == 8 and set(word) <= {"0", "1"} for word in self.words)

    def data(self, *, reverse: bool) -> bytes:
        """The bytes, the digits of each word as they stand or from the last to the first."""
        if self.base == 2:
            parts = [int(word, 2).to_bytes(len(word) // 8, "big") for word in self.words]
        else:
            parts = [bytes.fromhex(word) for word in self.words]
        return b"".join(part[::-1] for part in parts) if reverse else b"".join(parts)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A line that begins as a row does, and what is wrong with the rest."""

    number: int
    mark: Mark
    found: str
    is_decimal: bool = False


def row(line: str, number: int = 1, *, is_log: bool = False) -> Row | Wrong | None:
    """The row that a line is, without a log's prefix; what is wrong with it; None for other text."""
    if len(line) > _LONGEST:
        return None
    found = _addressed(line, number, is_log, "")
    if isinstance(found, Row):
        return _unless_bare(found, line)
    if bare := bare_row(line, number, is_log=is_log):
        return bare
    if found is None and (label := _LABEL.match(line)):
        inner = _addressed(line[label.end() :], number, is_log, label[0])
        return inner if inner and inner.mark != " " else None
    return found


def _unless_bare(found: Row, line: str) -> Row:
    """`found`, unless its address is the first of words of one width, beside which the text of all is."""
    is_odd = any(len(word) % 2 for word in found.words)
    if found.mark != " " or _BARS.search(line) or (found.is_spread and not is_odd):
        return found
    bare = _bare(line, found.number, found.is_log, "")
    return bare if bare and bare.text is not None else found


def bare_row(line: str, number: int = 1, *, is_log: bool = False, label: str = "") -> Row | None:
    """The row that a line without an address is: words of one width, or None.

    `label` is what stands before the words of other lines; without one, a single word behind other
    text is no row.
    """
    if len(line) > _LONGEST:
        return None
    if found := _bare(line, number, is_log, ""):
        return found
    if label and line.startswith(label):
        return _bare(line[len(label) :], number, is_log, label)
    before = _LABEL.match(line)
    found = _bare(line[before.end() :], number, is_log, before[0]) if before else None
    return found if found and len(found.words) > 1 else None


def _addressed(line: str, number: int, is_log: bool, label: str) -> Row | Wrong | None:
    match = _ADDRESS.match(line)
    if match is None:
        return None
    rest = line[match.end() :]
    address = next(filter(None, match.groups())).replace("`", "")
    mark: Mark = "0x:" if match["prefixed"] or match["named"] else "`" if match["tick"] else " "
    if match["colon"]:
        mark = ":0x" if rest.lstrip()[:2] in ("0x", "0X") else "::" if rest[:2] == "  " else ":"
    if not rest.strip():
        return Row(number, mark, address, (), 16, None, label, is_log)
    if mark in ("0x:", ":0x") and not match["named"]:
        words, base, text = _of_debugger(rest)
    else:
        words, base, text = _of_columns(rest, mark)
    is_decimal = mark == " " and len(address) < 8 and _DECIMALS.fullmatch(rest) is not None
    if words and mark == " " and text is not None and _is_of_more(words, text):
        return None  # hex of one width, with the text of more bytes beside it
    if words is None or is_decimal:
        return Wrong(number, mark, rest.strip(), is_decimal)
    return Row(number, mark, address, tuple(words), base, text, label, is_log, rest[:2] == "  ")


def _of_debugger(rest: str) -> tuple[list[str] | None, Literal[16, 10, 2], str | None]:
    words = rest.split()
    if all(_ZERO_X.fullmatch(word) for word in words):
        return [word[2:] for word in words], 16, None
    if "\t" in rest:  # GDB has a tab before each word
        words = _CHARACTER.sub("", rest).split()
        if all(_BITS.fullmatch(word) for word in words):
            return words, 2, None
        return (words if all(_SIGNED.fullmatch(word) for word in words) else None), 10, None
    return _of_columns(rest, "0x:")


def _of_columns(rest: str, mark: Mark) -> tuple[list[str] | None, Literal[16, 10, 2], str | None]:
    """Bare words and their text column: of all places where it may begin, one where both agree."""
    first: tuple[list[str] | None, str | None] = (None, None)
    for words, text in _cuts(rest, dashes=mark in ("`", " ", ":")):
        if not _uniform(words):
            continue
        if text is None or _fits(words, text):
            first = (words, text)
            break
        first = (words, text) if first[0] is None else first
    return first[0], _base(*first), first[1]


def _base(words: list[str] | None, text: str | None) -> Literal[16, 2]:
    """xxd -b prints a byte as eight binary digits: one letter of its text column for each of them."""
    is_binary = words and text is not None and all(_BITS.fullmatch(word) for word in words)
    return 2 if is_binary and len(text or "") <= len(words or ()) else 16


def _cuts(rest: str, *, dashes: bool) -> Iterator[tuple[list[str], str | None]]:
    """Where the text column may begin: at bars, at each wide gap; last of all nowhere."""
    rest = rest.rstrip("\r\n")
    if bars := _BARS.search(rest):
        left = rest[: bars.start()]
        text = bars[1] if bars[2] is None else bars[2]
        yield (_JOINT.sub(_joint, left) if dashes else left).split(), text
    start = len(rest) - len(rest.lstrip())
    ends = [(gap.start(), gap.end()) for gap in islice(_SPREAD.finditer(rest, start), _GAPS)]
    for end, text in (*ends, (len(rest), None)):
        if text is None or text < len(rest):
            left = _JOINT.sub(_joint, rest[:end]) if dashes else rest[:end]
            yield left.split(), None if text is None else rest[text:]


def _joint(match: re.Match[str]) -> str:
    """WinDbg has a dash between the eighth byte and the ninth, and a backtick within a quadword."""
    return " " if match[0] == "-" else ""


def _uniform(words: list[str]) -> bool:
    """Whether these are hex words of one width; only the last may be cut."""
    return (
        bool(words)
        and all(_HEX.fullmatch(word) for word in words)
        and all(len(word) == len(words[0]) for word in words[:-1])
        and len(words[-1]) <= len(words[0])
    )


def _fits(words: list[str], text: str) -> bool:
    base = _base(words, text)
    if base == 16 and any(len(word) % 2 for word in words):
        return False
    probe = Row(0, "", "", tuple(words), base, None, "", False)
    return any(agrees(probe.data(reverse=reverse), text) for reverse in (False, True))


def _is_of_more(words: list[str], text: str) -> bool:
    is_hex = len(words[0]) in (2, 4, 8, 16)
    return is_hex and not _fits(words, text) and 2 * len(text) != sum(map(len, words))


def agrees(data: bytes, text: str) -> bool:
    """Whether a text column is that of these bytes. Letters beyond ASCII are taken as they come.

    Spaces at its ends may be lost: those before it are no different from the gap.
    """
    if len(text.rstrip()) > len(data):
        return False
    blanks = len(data) - len(data.lstrip(b" "))
    return any(
        _is_text_of(data, (" " * lost + text).ljust(len(data)))
        for lost in range(min(blanks, len(data) - len(text.rstrip())) + 1)
    )


def _is_text_of(data: bytes, text: str) -> bool:
    return all(
        letter == chr(byte) if byte in PRINTABLE else (letter in ".? " or letter > "~")
        for byte, letter in zip(data, text, strict=False)
    )


def _bare(line: str, number: int, is_log: bool, label: str) -> Row | None:
    """A line that is words of one width and nothing else, but for a text column that agrees."""
    for words, text in _cuts(line, dashes=False):
        if not _uniform(words) or any(len(word) % 2 for word in words):
            continue
        if text is None or _fits(words, text):
            return Row(number, "", "", tuple(words), 16, text, label, is_log)
    return None
