"""All lines of a dump together: which program printed them, the order of their words, and their
bytes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ..counting import count_of
from ..errors import DecodeError
from .dump import ORDERS, Dump, Source, skips
from .joined import Joined, Placed, join
from .numbers import brief
from .plain import is_hexish, is_left_out, plain
from .prefixes import is_prompt
from .rows import Mark, Row, Wrong, agrees, bare_row, row

_OCTAL_DIGITS = 7  # of od's addresses; hexdump has as many, in hex
_OCTAL_WORDS = {3: 1, 6: 2, 11: 4, 22: 8}  # digits of od's octal words, and their bytes
_WHOLE_WORDS = {2, 4, 8, 16}  # hex digits of words of 1, 2, 4 and 8 bytes
_COMMAND = re.compile(r"\bx/\d*[a-z]*?([bhwg])[a-z]*\b")  # of GDB; it tells decimal words' size
_GDB_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}


def of_lines(lines: list[Source], size: int) -> Dump:
    """What these lines show. `size`: of the structure expected, 0 if not known. Raises DecodeError."""
    found: list[Row | Wrong | None] = [
        row(line.body, line.number, is_log=bool(line.prefix)) for line in lines
    ]
    mark = _mark(found)
    if not mark:
        mark = ""
        bare = _bare_rows(lines, "")
        label = next((each.label for each in bare if each and each.label), "")
        bare = _bare_rows(lines, label) if label else bare
        if not any(each and (each.is_log or each.label or each.text) for each in bare):
            return plain(lines)
        found = [*bare]
    rows: list[Row] = []
    skipped: list[Source] = []
    breaks: dict[int, Source] = {}  # by how many rows are before them
    for line, each in zip(lines, found, strict=True):
        if line.body.strip() == "*" and mark:
            rows.append(Row(line.number, mark, "", (), 16, None, "", False))
        elif isinstance(each, Row) and _same(each.mark, mark):
            rows.append(each)
        elif complaint := _complaint(line, each, mark):
            raise DecodeError(f"line {line.number}: {complaint}")
        else:
            skipped.append(line)
            if rows:
                breaks.setdefault(len(rows), line)
    if any(
        each.base == 2 for each in rows
    ):  # of xxd -b a line may have lost its text, if it is spaces
        rows = [replace(each, base=2) if each.is_bits else each for each in rows]
    if mark in ("0x:", ":0x"):
        rows = _widened(rows)
    return _understood(mark, rows, skipped, breaks, size)


def _widened(rows: list[Row]) -> list[Row]:
    """GDB's x/a has no leading zeros: where a word is of no width, all are of 8 bytes."""
    digits = {len(word) for each in rows if each.base == 16 for word in each.words}
    if digits <= _WHOLE_WORDS:
        return rows
    return [
        replace(each, words=tuple(word.zfill(16) for word in each.words))
        if each.base == 16
        else each
        for each in rows
    ]


def _bare_rows(lines: list[Source], label: str) -> list[Row | None]:
    return [
        bare_row(line.body, line.number, is_log=bool(line.prefix), label=label) for line in lines
    ]


def _same(mark: Mark, kind: Mark) -> bool:
    return mark == kind or {mark, kind} == {":", "::"}


def _mark(found: Sequence[Row | Wrong | None]) -> Mark | None:
    """How most lines are marked. xxd -e spaces a last short word off, as crash does all words."""
    rows = [each for each in found if isinstance(each, Row)]
    marks = Counter(each.mark for each in rows if each.words)
    if marks[" "] and not are_columns([each for each in rows if each.mark == " "]):
        del marks[" "]
    if marks[":"] and marks["::"]:
        del marks["::"]
    if not marks:  # what begins as a row does, if nothing is one, is to be named
        wrong = [each for each in found if isinstance(each, Wrong)]
        marks = Counter(each.mark for each in wrong if each.mark != " " or each.is_decimal)
    return max(marks, key=lambda mark: (marks[mark], mark != ""), default=None)


def are_columns(rows: list[Row]) -> bool:
    """Whether the first words of these lines are addresses: not hex that was only cut into groups."""
    if any(each.text is not None for each in rows):
        return True
    widths = {len(word) for each in rows for word in each.words[:-1] or each.words}
    if len(widths) != 1:
        return False
    (width,) = widths
    if width in _OCTAL_WORDS:
        return all(len(each.address) == _OCTAL_DIGITS for each in rows)
    if width not in (2, 4, 8, 16):
        return False
    if len(rows) == 1:
        address = rows[0].address
        return len(address) % 2 == 1 or (rows[0].is_spread and width == 2 and address[-1] == "0")
    return any(len(each.address) != width for each in rows) or (
        any(
            int(after.address, 16) - int(before.address, 16) == len(before.words) * width // 2
            for before, after in pairwise(rows)
        )
    )


def _complaint(line: Source, found: Row | Wrong | None, mark: Mark) -> str:
    """Why a line that is no row of the dump must not be passed over; "" for other text."""
    if is_prompt(line.body):
        return ""
    if isinstance(found, Wrong) and found.is_decimal:
        return f"{brief(found.found)} found, decimal as of od -t u1: the words of od -t x1 expected"
    if isinstance(found, Wrong) and _same(found.mark, mark):
        return f"{brief(found.found)} found after the address, hex words of one width expected"
    if isinstance(found, Row) and found.mark and not mark:
        return "an address found, plain hex expected as on the lines before"
    if (isinstance(found, Row) and not found.label) or is_hexish(line.body):
        expected = "an address expected as on the other lines" if mark else "hex bytes expected"
        return f"{brief(line.body)} found, {expected}"
    if not mark and is_left_out(line.body):
        return f"{brief(line.body)} found: how many bytes are left out there is not known"
    return ""


# --- What the rows are together -------------------------------------------------------------------


def _understood(
    mark: Mark, rows: list[Row], skipped: list[Source], breaks: dict[int, Source], size: int
) -> Dump:
    width = _word_size(mark, rows, skipped, size)
    _check_digits(mark, rows)
    reverse, is_certain, notes = _order(mark, rows, width)
    joined = _joined(mark, rows, _parts(rows, width, reverse), breaks, size)
    if not joined.data:
        raise DecodeError("no bytes found, hex digits expected")
    other = b""
    if not is_certain:
        other = _joined(mark, rows, _parts(rows, width, not reverse), breaks, size).data
    return Dump(
        joined.data,
        _form(mark, rows),
        order=ORDERS[reverse].format(width) if width > 1 else "",
        address=joined.address,
        gaps=joined.gaps,
        notes=(*notes, *joined.notes, *skips(skipped)),
        skipped=tuple(line.number for line in skipped),
        other=other,
    )


def _parts(rows: list[Row], width: int, reverse: bool) -> list[bytes]:
    return [_data(each, width, reverse) for each in rows]


def _joined(
    mark: Mark, rows: list[Row], parts: list[bytes], breaks: dict[int, Source], size: int
) -> Joined:
    """The lines in one piece, by their addresses where they have some."""
    if mark == "":
        return _concatenated(parts, breaks, size)
    if _are_hashed(mark, rows, parts):
        note = "the addresses are in no order, as hashed pointers are: lines read as they come"
        joined = _concatenated(parts, breaks, size)
        return replace(joined, notes=(note, *joined.notes))
    width = max((each.width for each in rows), default=1)
    joined = _by_address(mark, rows, parts, width, size)
    start = joined.address or 0
    if mark not in (":", " ") or not 0 < start <= size - len(joined.data):
        return joined
    note = f"the first address is {start:#x}: what stands before it is not in the dump"
    gaps = (range(gap.start + start, gap.stop + start) for gap in joined.gaps)
    return Joined(0, bytes(start) + joined.data, (range(start), *gaps), (note, *joined.notes))


def _check_digits(mark: Mark, rows: list[Row]) -> None:
    if _has_octal(mark, rows) or any(each.base == 10 for each in rows):
        return
    for each in rows:
        if odd := next((word for word in each.words if len(word) % 2), None):
            raise DecodeError(
                f"line {each.number}: {brief(odd)} found, hex words of an even number of digits expected"
                " (od -t x1, or x/16xb of GDB, print them)"
            )


def _word_size(mark: Mark, rows: list[Row], skipped: list[Source], size: int) -> int:
    """Bytes of a word; of a decimal or octal one by what is known besides."""
    first = next(each for each in rows if each.words)
    if mark == " " and len(first.words[0]) in _OCTAL_WORDS:
        return _OCTAL_WORDS[len(first.words[0])]
    if first.base != 10:
        return first.width
    steps = {
        (int(after.address, 16) - int(before.address, 16)) // len(before.words)
        for before, after in pairwise(rows)
        if before.words and after.address and before.address
    }
    commands = {_GDB_SIZES[m[1]] for line in skipped if (m := _COMMAND.search(line.body))}
    fitting = {each for each in (1, 2, 4, 8) if each * len(first.words) == size}
    for known in (steps, commands, fitting):
        if len(known) == 1 and (step := known.pop()) in (1, 2, 4, 8):
            return step
    raise DecodeError(
        f"line {first.number}: decimal or octal words found, whose size one line does not tell:"
        " the command (x/16db) expected before it, or hex words (x/16xb)"
    )


def _data(each: Row, width: int, reverse: bool) -> bytes:
    is_octal = each.mark == " " and each.words and len(each.words[0]) in _OCTAL_WORDS
    if each.base != 10 and not is_octal:
        return each.data(reverse=reverse)
    octal = is_octal or any(len(word) > 1 and word[0] == "0" for word in each.words)
    try:
        numbers_ = [int(word, 8 if octal else 10) for word in each.words]
        return b"".join(value.to_bytes(width, "little", signed=value < 0) for value in numbers_)
    except (ValueError, OverflowError):
        kind = "octal" if octal else "decimal"
        raise DecodeError(
            f"line {each.number}: {brief(' '.join(each.words))} found,"
            f" {kind} words of {count_of(width, 'byte')} expected"
        ) from None


def _order(mark: Mark, rows: list[Row], width: int) -> tuple[bool, bool, list[str]]:
    """Whether words are little-endian, whether that is certain, and what is to say of it.

    What prints such lines decides, unless the text columns say no. Groups of four or eight bytes are
    words more often than not: the kernel prints such ones, and xxd -e.
    """
    if _has_octal(mark, rows) or any(each.base == 10 for each in rows) or width == 1:
        return True, True, _contradictions(rows) if width == 1 else []
    usual = mark not in (":", "") or any(each.is_log for each in rows) or width >= 4
    fits = {order: not _wrong_texts(rows, order) for order in (True, False)}
    if not fits[usual] and fits[not usual]:
        said = f"the text column contradicts {ORDERS[usual].format(width)}"
        return not usual, True, [f"{said}: read as {ORDERS[not usual].format(width)}"]
    if not fits[usual]:
        return usual, False, _contradictions(rows)
    differ = any(each.data(reverse=True) != each.data(reverse=False) for each in rows)
    if not differ or not fits[not usual] or mark not in (":", ""):
        return usual, True, []
    said = f"read as {ORDERS[usual].format(width)}; no text column tells, they might be"
    return usual, False, [f"{said} {ORDERS[not usual].format(width)}"]


def _wrong_texts(rows: list[Row], order: bool) -> list[Row]:
    """The lines whose text column is not that of their bytes."""
    shown = [each for each in rows if each.text is not None and each.words]
    return [each for each in shown if not agrees(each.data(reverse=order), each.text or "")]


def _contradictions(rows: list[Row]) -> list[str]:
    wrong = _wrong_texts(rows, True)
    if not wrong:
        return []
    text = brief(wrong[0].text or "")
    return [f"line {wrong[0].number}: the text column {text} is not that of the bytes"]


def _has_octal(mark: Mark, rows: list[Row]) -> bool:
    return mark == " " and any(each.words and len(each.words[0]) in _OCTAL_WORDS for each in rows)


def _are_hashed(mark: Mark, rows: list[Row], parts: list[bytes]) -> bool:
    """%p of a kernel prints no address but a hash of it, of 16 digits: no line follows the one
    before."""
    held = [
        (int(each.address, 16), len(part)) for each, part in zip(rows, parts, strict=True) if part
    ]
    return (
        mark == ":"
        and len(held) > 1
        and all(len(each.address) == 16 for each in rows)
        and all(after != before + size for (before, size), (after, _) in pairwise(held))
    )


def _concatenated(parts: list[bytes], breaks: dict[int, Source], size: int) -> Joined:
    """Lines without addresses, up to where other text shows that another dump begins."""
    data = bytearray()
    for at, part in enumerate(parts):
        between = breaks.get(at)
        if between and (between.body.rstrip().endswith(":") or len(data) >= size > 0):
            note = f"line {between.number}: {brief(between.body)} found after a dump"
            return Joined(None, bytes(data), (), (f"{note}: another begins there, not read",))
        data += part
    return Joined(None, bytes(data), (), ())


def _by_address(mark: Mark, rows: list[Row], parts: list[bytes], width: int, size: int) -> Joined:
    """By hex addresses, or by those that od may have printed: a radix that leaves no gap."""
    found: list[Joined] = []
    failed: list[DecodeError] = []
    for radix in _radixes(mark, rows, width):
        placed = [
            Placed(each.number, int(each.address, radix) if each.address else None, part, width)
            for each, part in zip(rows, parts, strict=True)
        ]
        try:
            found.append(join(placed, {8: "#o", 10: "d", 16: "#x"}[radix]))
        except DecodeError as error:
            failed.append(error)
    if not found:
        raise failed[0]
    clean = [joined for joined in found if not joined.notes] or found[:1]
    best = next((joined for joined in clean if len(joined.data) == size), clean[0])
    lengths = sorted({len(joined.data) for joined in clean} - {len(best.data)})
    if (size and len(best.data) == size) or not lengths:
        return best
    others = " or ".join(map(str, lengths))
    note = f"read as {len(best.data)} bytes; addresses of another radix would make it {others}"
    return replace(best, notes=(*best.notes, note))


def _radixes(mark: Mark, rows: list[Row], width: int) -> list[int]:
    """The radixes that the addresses may have, the likeliest first: of seven digits od's are octal.

    So many in hex stand before the words of two bytes that hexdump prints. xxd -d prints decimal ones.
    """
    addresses = [each.address for each in rows if each.address]
    if mark == ":" and "".join(addresses).isdecimal():
        return [16, 10]
    if mark != " " or not all(len(text) == _OCTAL_DIGITS for text in addresses):
        return [16]
    digits = set("".join(addresses).lower())
    likely = [16, 8, 10] if width == 2 and not _has_octal(mark, rows) else [8, 16, 10]
    return [radix for radix in likely if digits <= set("0123456789abcdef"[:radix])]


def _form(mark: Mark, rows: list[Row]) -> str:
    if mark in (":", "") and any(each.is_log for each in rows):
        return "lines of print_hex_dump in a log"
    if mark == ":" and any(each.base == 2 for each in rows):
        return "lines of xxd -b"
    return _FORMS[mark]


_FORMS: dict[Mark, str] = {
    "0x:": "lines of a debugger",
    ":": "lines of xxd or print_hex_dump",
    "::": "lines of rd",
    ":0x": "lines of QEMU's xp",
    "`": "lines of WinDbg",
    " ": "lines of hexdump or od",
    "": "lines of hex",
}
