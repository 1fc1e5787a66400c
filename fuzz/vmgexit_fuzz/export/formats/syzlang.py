"""syzlang: descriptions of VMGEXIT for syzkaller, from the declarations, of the exits that are exported.

For each exit a pseudo-syscall with its page: the exit's code, the valid bits that it needs, its words by
their layouts; the other fields are 0. `vmgexit_page_any` has every field free. A word of the GHCB MSR is a
structure of its own. syzkaller's executor has to get the two pseudo-syscalls, which the head names. Names
stand beside their values in the file of constants that `make extract` would make.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

from vmgexit.layout.document import printable
from vmgexit.layout.naming import label
from vmgexit.layout.parts import Names, snake, with_parts
from vmgexit.schema import Bits, Field, Kind, Rule, Structure
from vmgexit.wire.exit import Exit, Where, Word
from vmgexit.wire.exits import find_exit
from vmgexit.wire.ghcb import ALWAYS_VALID, BUFFER_OFFSET, BUFFER_SIZE, GhcbPage
from vmgexit.wire.ghcb_msr import decode_msr
from vmgexit.wire.page_state import PscEntry, PscHeader

from ...targets.ghcb.programs import page_in
from ..cases import Case
from ..words import valid_bits

FILE = "vmgexit.txt"

_HEAD = """\
# Exported by `vmgexit export syzlang`.
#
# The executor has to get two pseudo-syscalls, for CPL 0 of an SEV-SNP guest:
#   syz_vmgexit(page)      copies the page to the GHCB, adds the GHCB's address to SW_SCRATCH where that is
#                          valid, executes VMGEXIT, and copies the page back;
#   syz_vmgexit_msr(word)  writes the word to the GHCB MSR, executes VMGEXIT, and reads the MSR back.

meta noextract
meta arches["amd64"]
"""
_PAGE_LIST = "vmgexit_psc_list"


def refuses(case: Case) -> str:
    """Why a scenario has nothing to describe."""
    has_any = any(command["op"] == "msr" or "page" in command for command, _ in case.steps)
    return "" if has_any else "a scenario without an exit found, GHCB pages or MSR words expected"


def render(cases: Sequence[Case]) -> dict[str, bytes]:
    """The descriptions, and their constants."""
    written = _Written()
    rows: dict[int, Exit] = {}
    words: dict[type[Bits], None] = {}
    for case in cases:
        for command, _ in case.steps:
            if command["op"] == "msr":
                words.setdefault(type(decode_msr(command["request"])))
            elif command["op"] == "vmgexit" and "page" in command:
                row = find_exit(page_in(command).sw_exit_code)
                if row is not None and row.where is Where.GHCB:
                    rows[row.code] = row
    calls = ["syz_vmgexit$any(page ptr[inout, vmgexit_page_any])"]
    written.structure(
        "vmgexit_page_any", GhcbPage.size, map(written.field, GhcbPage.declaration.fields)
    )
    for _, row in sorted(rows.items()):
        name = _page_name(row)
        calls.append(f"syz_vmgexit${row.name}(page ptr[inout, {name}])")
        written.structure(name, GhcbPage.size, _page(row, written), row.meaning)
    calls += [
        f"syz_vmgexit_msr${snake(label(cls))}(word ptr[inout, {written.of(cls)}])" for cls in words
    ]
    lines = [_HEAD, *calls, "", *written.lines()]
    return {FILE: "\n".join(lines).encode(), f"{FILE}.const": written.constants()}


def _page_name(row: Exit) -> str:
    return f"vmgexit_page_{row.name.lower()}"


def _page(row: Exit, written: _Written) -> Iterator[str]:
    """The fields of an exit's page."""
    needed = [*ALWAYS_VALID, *(need.field for need in row.needs if need.test is None)]
    given = [need.field for need in row.needs if need.test is not None] + list(row.may)
    for field in GhcbPage.declaration.fields:
        match field.name:
            case "sw_exit_code":
                value = written.constant(f"VMGEXIT_EXIT_{row.name}", row.code)
                yield f"{field.name}\tconst[{value}, int64]"
            case "sw_exit_info_1":
                yield f"{field.name}\t{_word(row.info1, written)}"
            case "sw_exit_info_2":
                yield f"{field.name}\t{_word(row.info2, written)}"
            case "sw_scratch" if field.name in needed:
                yield f"{field.name}\tconst[{BUFFER_OFFSET:#x}, int64]"
            case "sw_scratch" if field.name in given:
                called = written.flags("vmgexit_scratch", iter(("0x0", f"{BUFFER_OFFSET:#x}")))
                yield f"{field.name}\tflags[{called}, int64]"
            case "valid_bitmap":
                yield from _valid(row, needed, given, written)
            case "shared_buffer" if row.buffer:
                yield from _buffer(row, written)
            case "protocol_version":
                yield written.field(field)
            case name if name in needed or name in given:
                yield written.field(field)
            case name:
                yield f"{name}\t{_zero(field)}"


def _word(word: Word, written: _Written) -> str:
    if word.layout is not None:
        return written.of(word.layout)
    return "int64" if word.value else "const[0, int64]"


def _valid(row: Exit, needed: list[str], given: list[str], written: _Written) -> Iterator[str]:
    """The valid bits: those needed, and each of the others that may be given beside them."""
    values = [valid_bits(needed), *(valid_bits([*needed, name]) for name in given)]
    for half in range(2):
        halves = list(dict.fromkeys(value >> 64 * half & (1 << 64) - 1 for value in values))
        name = f"valid_bitmap_{half}"
        if len(halves) == 1:
            yield f"{name}\tconst[{halves[0]:#x}, int64]"
        else:
            called = written.flags(f"{_page_name(row)}_{name}", map(hex, halves))
            yield f"{name}\tflags[{called}, int64]"


def _buffer(row: Exit, written: _Written) -> Iterator[str]:
    """What SW_SCRATCH leads to: a list of pages, or bytes."""
    if row.name != "SNP_PAGE_STATE_CHANGE":
        yield f"shared_buffer\tarray[int8, {BUFFER_SIZE}]"
        return
    most = (BUFFER_SIZE - PscHeader.size) // PscEntry.size
    fields = [f"header\t{written.of(PscHeader)}", f"entries\tarray[{written.of(PscEntry)}, {most}]"]
    size = PscHeader.size + most * PscEntry.size
    written.structure(_PAGE_LIST, size, iter(fields), "the entries of a page state change")
    yield f"shared_buffer\t{_PAGE_LIST}"
    if size < BUFFER_SIZE:
        yield f"shared_buffer_rest\tarray[const[0, int8], {BUFFER_SIZE - size}]"


def _zero(field: Field) -> str:
    if field.kind is Kind.UINT:
        return f"const[0, int{field.width}]"
    return f"array[const[0, int8], {field.size}]"


class _Written:
    """What a file has so far: structures, sets of values, and constants, each under one name."""

    def __init__(self) -> None:
        self._structures: dict[str, list[str]] = {}
        self._flags: dict[str, list[str]] = {}
        self._constants: dict[str, int] = {}
        self._names = Names()

    def structure(self, name: str, size: int, fields: Iterator[str], about: str = "") -> None:
        """A structure of so many bytes, with fields as lines."""
        if name in self._structures:
            return
        held = list(fields)  # may add others, which come first
        comment = [f"# {printable(about)}"] if about else []
        self._structures[name] = [
            *comment,
            f"{name} {{",
            *(f"\t{line}" for line in held),
            f"}} [packed, size[{size}]]",
            "",
        ]

    def of(self, cls: type[Structure]) -> str:
        """The structure of a declaration, with all that it holds."""
        for part in with_parts([cls]):
            self.structure(
                self._called(part), part.size, self._fields(part), part.declaration.title
            )
        return self._called(cls)

    def _fields(self, cls: type[Structure]) -> Iterator[str]:
        for field in cls.declaration.fields:
            is_bits = cls.declaration.is_bits
            yield self._bits(field, cls.size) if is_bits else self.field(field)

    def _called(self, cls: type[Structure]) -> str:
        return self._names.give(f"vmgexit_{snake(label(cls))}", label(cls))

    def field(self, field: Field) -> str:
        """A field of whole bytes, free but where it is reserved."""
        if field.rule is Rule.ZERO:
            return f"{field.name}\t{_zero(field)}"
        if field.of is not None:
            kind = self.of(field.of)
            return f"{field.name}\t{f'array[{kind}, {field.count}]' if field.count > 1 else kind}"
        if field.kind is Kind.UINT:
            return f"{field.name}\t{self._number(field, f'int{field.width}')}"
        return f"{field.name}\tarray[int8, {field.size}]"

    def _bits(self, field: Field, size: int) -> str:
        """A bit field of a word of so many bytes."""
        base = f"int{8 * size}" + f":{field.width}" * (field.width < 8 * size)
        if field.rule is Rule.ZERO:
            return f"{field.name}\tconst[0, {base}]"
        return f"{field.name}\t{self._number(field, base)}"

    def _number(self, field: Field, base: str) -> str:
        if field.value is not None:
            return f"const[{int(field.value):#x}, {base}]"
        if field.enum is not None and field.width > 1:
            return f"flags[{self._codes(field.enum)}, {base}]"
        return base

    def _codes(self, codes: type[IntEnum]) -> str:
        name = snake(codes.__name__)
        return self.flags(
            f"vmgexit_{name}",
            (self.constant(f"VMGEXIT_{name}_{code.name}".upper(), code) for code in codes),
        )

    def flags(self, name: str, values: Iterator[str]) -> str:
        """A set of values."""
        self._flags.setdefault(name, list(values))
        return name

    def constant(self, name: str, value: int) -> str:
        """A number by its name."""
        self._constants[self._names.give(name, f"{name} {value}")] = int(value)
        return name

    def lines(self) -> Iterator[str]:
        for held in self._structures.values():
            yield from held
        for name, values in self._flags.items():
            yield f"{name} = {', '.join(values)}"
        yield ""
        for name, value in sorted(self._constants.items()):
            yield f"define {name}\t{value:#x}"
        yield ""

    def constants(self) -> bytes:
        """The file that stands beside descriptions."""
        lines = [f"{name} = {value}" for name, value in sorted(self._constants.items())]
        return "\n".join(["arches = amd64", *lines, ""]).encode()
