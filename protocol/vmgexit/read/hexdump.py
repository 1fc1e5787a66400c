"""Hex dumps as people paste them, in whatever order their words stand.

`read` takes a log's prefixes off, finds out what printed the lines (`rows` has the forms), joins them by
their addresses (`joined`) and tells all that it assumed: which order of the bytes in a word, which lines
it passed over, what is missing. Byte literals and arrays of C, Rust and Python are in `literals`, single
values in `numbers`.

Words of more than one byte are little-endian, as a debugger, hexdump, od and the kernel print them on
this architecture; xxd's groups are no words, they stand in memory order. Where there is a text column it
decides: a dump that contradicts the order assumed is read in the other one, and this is said.

A DecodeError names the line, what was found and what was expected.
"""

from __future__ import annotations

import re

from ..counting import count_of
from ..errors import DecodeError
from . import base64, literals, numbers, prefixes
from .dump import Dump, Source, skips
from .lines import are_columns, of_lines
from .plain import doubts, is_hexish
from .rows import Row, row

__all__ = ["Dump", "is_row", "read"]

_RESULT = re.compile(r"\s*\$\d+ = (0[xX][0-9a-fA-F]+|\d+)\s*")
_COMMANDS = 3  # lines that may stand before a literal


def read(text: str, size: int = 0) -> Dump:
    """What `text` shows. `size`: of the structure expected, 0 if not known; it settles what is open.

    Raises DecodeError where the text is no dump, or contradicts itself; empty text is an error too.
    """
    lines = [
        Source(number, *prefixes.split(line))
        for number, whole in enumerate(text.removeprefix("\ufeff").splitlines(), 1)
        for line in prefixes.lines_of(whole)
        if line.strip()
    ]
    lines = [line for line in lines if line.body.strip()]
    try:
        dump = _of(lines, size) if lines else None
    except DecodeError:
        if (data := base64.bytes_of(text)) is None:
            raise
        return Dump(data, "base64", is_rows=False)
    if dump is None or not dump.data:
        raise DecodeError("no bytes found, hex digits expected")
    return dump


def _of(lines: list[Source], size: int) -> Dump:
    if value := _printed(lines):
        return Dump(value.data, str(value), is_rows=False, values=(value,))
    if values := _values(lines):
        whole = numbers.joined(values)
        other, doubted = doubts(lines)
        return Dump(
            whole.data,
            _form_of_values(values),
            notes=doubted,
            is_rows=len(lines) > 1,
            values=tuple(values),
            other=other,
        )
    if (at := _start_of_literal(lines)) is not None:
        found = literals.read("\n".join(line.body for line in lines[at:]), size)
        others = [*lines[:at], *_last(lines, found.rest)]
        return Dump(
            found.data,
            found.form,
            notes=(*found.notes, *skips(others)),
            skipped=tuple(each.number for each in others if not prefixes.is_prompt(each.body)),
            is_rows=False,
            other=found.other,
        )
    return of_lines(lines, size)


def _printed(lines: list[Source]) -> numbers.Understood | None:
    """The number that GDB's `print` shows, `$1 = 0x100`, alone or behind the command."""
    *before, last = lines
    match = _RESULT.fullmatch(last.body)
    if match is None or not all(prefixes.is_prompt(line.body) for line in before):
        return None
    return numbers.number(match[1])


def is_row(line: str) -> bool:
    """Whether a line of a log may be a line of a hex dump: cheap, and not certain."""
    prefix, body = prefixes.split(line)
    return isinstance(row(body, is_log=bool(prefix)), Row) or body.strip() == "*"


def _start_of_literal(lines: list[Source]) -> int | None:
    """Where a literal begins: at once, or behind the command that printed it."""
    for at, line in enumerate(lines[: _COMMANDS + 1]):
        if not prefixes.is_prompt(line.body) and literals.is_literal(
            "\n".join(each.body for each in lines[at : at + 3])
        ):
            return at
        if row(line.body) is not None or is_hexish(line.body):
            return None
    return None


def _last(lines: list[Source], rest: str) -> list[Source]:
    """The lines that `rest` ends, the first of them as far as it is in `rest`."""
    bodies = rest.split("\n") if rest else []
    behind = lines[len(lines) - len(bodies) :]
    return [line._replace(body=body) for line, body in zip(behind, bodies, strict=True)]


def _values(lines: list[Source]) -> list[numbers.Understood] | None:
    """The values that the text is: `0x` tokens, or one line of bare digits without an address."""
    body = "\n".join(line.body for line in lines)
    values = numbers.tokens(body)
    if not values or any("0x" in value.written[:2].lower() for value in values):
        return values
    if lines[0].prefix:  # in a log bare digits are a word that was printed
        return None
    found = row(body) if len(lines) == 1 else None
    has_address = isinstance(found, Row) and (
        found.mark == "`" or (found.mark == " " and are_columns([found]))
    )
    return values if len(lines) == 1 and not has_address else None


def _form_of_values(values: list[numbers.Understood]) -> str:
    widths = {value.width for value in values if value.kind == "number"}
    if not widths:
        return "hex digits in memory order"
    if len(values) == 1:
        return str(values[0])
    of = (
        f"of {count_of(widths.pop(), 'byte')}"
        if len(widths) == 1
        else "each as wide as it is written"
    )
    return f"{count_of(len(values), 'number')} {of}"
