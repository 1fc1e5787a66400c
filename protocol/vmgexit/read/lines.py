"""All lines of a dump together: which program printed them, the order of their words, and their
bytes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from ..errors import DecodeError
from .dump import ORDERS, Dump, Source, skips
from .joined import Joined, Placed, join
from .numbers import brief, count
from .plain import is_hexish, plain
from .rows import Mark, Row, Wrong, agrees, bare_row, row

_OCTAL_DIGITS = 7  # of od's addresses; hexdump has as many, in hex
_OCTAL_WORDS = {3: 1, 6: 2, 11: 4, 22: 8}  # digits of od's octal words, and their bytes
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
        bare = [bare_row(line.body, line.number, is_log=bool(line.prefix)) for line in lines]
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
    return _understood(mark, rows, skipped, breaks, size)


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
    return (
        any(len(each.address) != width for each in rows)
        or not rows[-1].words
        or any(
            int(after.address, 16) - int(before.address, 16) == len(before.words) * width // 2
            for before, after in pairwise(rows)
        )
    )


def _complaint(line: Source, found: Row | Wrong | None, mark: Mark) -> str:
    """Why a line that is no row of the dump must not be passed over; "" for other text."""
    if isinstance(found, Wrong) and found.is_decimal:
        return f"{brief(found.found)} found, decimal as of od -t u1: the words of od -t x1 expected"
    if isinstance(found, Wrong) and _same(found.mark, mark):
        return f"{brief(found.found)} found after the address, hex words of one width expected"
    if isinstance(found, Row) and found.mark and not mark:
        return "an address found, plain hex expected as on the lines before"
    if (isinstance(found, Row) and not found.label) or is_hexish(line.body):
        expected = "an address expected as on the other lines" if mark else "hex bytes expected"
        return f"{brief(line.body)} found, {expected}"
    if not mark and _is_ellipsis(line.body):
        return f"{brief(line.body)} found: how many bytes are left out there is not known"
    return ""


def _is_ellipsis(body: str) -> bool:
    return set(body.strip()) <= set(".…") and len(body.strip()) != 1


# --- What the rows are together -------------------------------------------------------------------


def _understood(
    mark: Mark, rows: list[Row], skipped: list[Source], breaks: dict[int, Source], size: int
) -> Dump:
    width = _word_size(mark, rows, skipped, size)
    _check_digits(mark, rows)
    notes: list[str] = []
    reverse = _reversed(mark, rows, width, notes)
    parts = [_data(each, width, reverse) for each in rows]
    if mark == "" or _are_hashed(mark, rows, parts):
        if mark:
            notes.append(
                "the addresses are in no order, as hashed pointers are: lines read as they come"
            )
        joined = _concatenated(parts, breaks, size, notes)
    else:
        joined = _by_address(mark, rows, parts, width)
    data, gaps, address = joined.data, joined.gaps, joined.address
    if not data:
        raise DecodeError("no bytes found, hex digits expected")
    if mark in (":", " ") and address > 0 and address + len(data) <= size:
        notes.append(f"the first address is {address:#x}: what stands before it is not in the dump")
        gaps = (range(address), *(range(gap.start + address, gap.stop + address) for gap in gaps))
        data, address = bytes(address) + data, 0
    return Dump(
        data,
        _form(mark, rows, width),
        order=ORDERS[reverse].format(width) if width > 1 else "",
        address=address if mark and not any("hashed" in note for note in notes) else None,
        gaps=gaps,
        notes=(*notes, *joined.notes, *skips(skipped)),
        skipped=tuple(line.number for line in skipped),
    )


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
            f" {kind} words of {count(width, 'byte')} expected"
        ) from None


def _reversed(mark: Mark, rows: list[Row], width: int, notes: list[str]) -> bool:
    """Whether words are little-endian: by what prints such lines, unless the text columns say no."""
    if _has_octal(mark, rows) or any(each.base == 10 for each in rows):
        return True
    wide = width > 1
    has_text = any(each.text is not None for each in rows)
    is_log = any(each.is_log for each in rows)
    usual = mark not in (":", "") or is_log or (mark == ":" and width >= 4 and not has_text)
    shown = [each for each in rows if each.text is not None and each.words]
    fits = {
        order: all(agrees(each.data(reverse=order), each.text or "") for each in shown)
        for order in ((usual, not usual) if wide else (usual,))
    }
    differ = wide and any(each.data(reverse=True) != each.data(reverse=False) for each in rows)
    if not any(fits.values()):
        wrong = next(e for e in shown if not agrees(e.data(reverse=usual), e.text or ""))
        notes.append(
            f"line {wrong.number}: the text column {brief(wrong.text or '')} is not that of the bytes"
        )
    elif not fits[usual]:
        notes.append(
            f"the text column contradicts {ORDERS[usual].format(width)}:"
            f" read as {ORDERS[not usual].format(width)}"
        )
        return not usual
    elif differ and mark in (":", "") and fits.get(not usual):
        notes.append(
            f"read as {ORDERS[usual].format(width)}; no text column tells, they might be"
            f" {ORDERS[not usual].format(width)}"
        )
    return usual


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


def _concatenated(
    parts: list[bytes], breaks: dict[int, Source], size: int, notes: list[str]
) -> Joined:
    """Lines without addresses, up to where other text shows that another dump begins."""
    data = bytearray()
    for at, part in enumerate(parts):
        between = breaks.get(at)
        if between and (between.body.rstrip().endswith(":") or len(data) >= size > 0):
            notes.append(
                f"line {between.number}: {brief(between.body)} found after a dump:"
                " another begins there, not read"
            )
            break
        data += part
    return Joined(0, bytes(data), (), ())


def _by_address(mark: Mark, rows: list[Row], parts: list[bytes], width: int) -> Joined:
    """By hex addresses, or by those that od may have printed: the first radix that leaves no gap."""
    radixes = [16]
    addresses = [each.address for each in rows if each.address]
    if mark == " " and all(len(text) == _OCTAL_DIGITS for text in addresses):
        digits = set("".join(addresses))
        radixes = [8, 16, 10] if width == 1 or _has_octal(mark, rows) else [16, 8, 10]
        radixes = [
            r for r in radixes if digits <= set("0123456789abcdefABCDEF"[: r + 6 * (r > 10)])
        ]
    results: list[Joined | DecodeError] = []
    for radix in radixes:
        placed = [
            Placed(each.number, int(each.address, radix) if each.address else None, part, width)
            for each, part in zip(rows, parts, strict=True)
        ]
        try:
            joined = join(placed, {8: "#o", 10: "d", 16: "#x"}[radix])
        except DecodeError as error:
            results.append(error)
            continue
        if not joined.notes:
            return joined
        results.append(joined)
    best = next((result for result in results if isinstance(result, Joined)), results[0])
    if isinstance(best, DecodeError):
        raise best
    return best


def _form(mark: Mark, rows: list[Row], width: int) -> str:
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
