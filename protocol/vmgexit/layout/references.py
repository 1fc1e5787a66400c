"""What the protocol has besides structures: calls, exits, GHCB MSR words and codes, as documents.

A call is a table of registers in the columns of published SVSM drafts, a protocol a list of its
calls, an exit the fields of the GHCB that must be valid. `references` has all of them by name.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from ..schema import Structure, meaning_of
from ..wire.calls import calls, former_calls, origin
from ..wire.exit import Exit, Where, Word
from ..wire.exit_codes import ExitCode
from ..wire.exits import exits
from ..wire.ghcb import GhcbPage
from ..wire.ghcb_msr import DECLARATIONS, RESPONSE_TO, SINCE_2, GhcbInfo
from ..wire.svsm import Call, Operand, Protocol, ResultCode
from ..wire.termination import REASONS, ReasonSet
from .document import Cell, Document, Grid, Section, Span, Style, plain
from .naming import label

REGISTERS = ("Register", "Size (Bytes)", "Alignment", "In/Out", "Description")
CALLS = ("Call ID", "First version", "Name", "Function")
RESULTS = ("Value", "Name", "Meaning")
EXITS = ("Code", "Name", "First version", "Function")
FIELDS = ("Field", "In/Out", "When", "Description")
MSR_WORDS = ("Code", "Name", "First version", "Description")

_REGISTER_SIZE = 8


@dataclass(frozen=True, slots=True)
class Reference:
    """Something that has a layout and is no structure.

    `columns` are those of the tables that together are its content, which CSV has as one table.
    `codes` are its numbers, for languages that have constants.
    """

    document: Document
    columns: tuple[str, ...]
    codes: tuple[type[IntEnum], ...] = ()

    @property
    def name(self) -> str:
        return self.document.label

    @property
    def title(self) -> str:
        return self.document.sections[0].title


@functools.cache
def references() -> dict[str, Reference]:
    """By name: each protocol, the exits, the words and codes, and each call and exit alone."""
    parts = [
        Reference(Document(_label(call), (_call(call),)), REGISTERS)
        for call in (*calls(), *former_calls())
    ]
    parts += [Reference(Document(exit.name, (_exit(exit),)), FIELDS) for exit in exits()]
    return {each.name: each for each in (*published_references(), *parts)}


@functools.cache
def published_references() -> tuple[Reference, ...]:
    """Those of `references` that are no part of another, by name."""
    found = [*map(_protocol, Protocol), *_exits(), *_numbers()]
    return tuple(sorted(found, key=lambda each: each.name))


def _made(
    columns: tuple[str, ...],
    codes: tuple[type[IntEnum], ...],
    first: Section,
    parts: Iterable[Section] = (),
) -> Reference:
    return Reference(Document(first.label, (first, *parts)), columns, codes)


# --- Calls ----------------------------------------------------------------------------------------


def _protocol(protocol: Protocol) -> Reference:
    now = [call for call in calls() if call.protocol == protocol]
    every = (*now, *former_calls(protocol))
    rows = tuple(
        (
            plain(f"{call.number:d}"),
            plain(origin(call).since),
            plain(_label(call), Style.LINK),
            plain(call.meaning),
        )
        for call in every
    )
    first = Section(
        f"{protocol.name.lower().replace('_', '-')}-calls",
        f"Calls of protocol {protocol:d}: {protocol.meaning}",
        (("Protocol", plain(f"{protocol:d}")), ("Source", plain(origin(now[0]).source))),
        (Grid(f"Calls of protocol {protocol:d}", CALLS, rows),),
    )
    numbers = (call.number for call in now)
    kinds = dict.fromkeys(type(number) for number in numbers if isinstance(number, IntEnum))
    return _made(REGISTERS, (Protocol, *kinds), first, map(_call, every))


def _label(call: Call) -> str:
    return f"{call.name}@{call.revision}".removesuffix("@")


def _call(call: Call) -> Section:
    start = origin(call)
    facts = [
        ("Call ID", plain(f"{call.number:d} of protocol {call.protocol:d}")),
        ("First version", plain(start.since)),
        ("Source", plain(start.source)),
    ]
    if call.clause:
        facts.append(("Clause", plain(call.clause)))
    results = Grid(
        f"Results of {call.name}",
        RESULTS,
        tuple(_result(call, result) for result in call.results),
    )
    registers = Grid(f"Registers of {call.name}", REGISTERS, tuple(_registers(call)))
    return Section(_label(call), call.meaning, tuple(facts), (registers, results))


def _result(call: Call, result: ResultCode) -> tuple[Cell, ...]:
    """A code that the call answers, with what public code answers it for."""
    value, name, meaning = _code(result, "#010x")
    refused = (each for each in call.refusals if each.result is result)
    for each in refused:
        meaning = (*meaning, Span(f"; {each.when} ({each.source})"))
    return (value, name, meaning)


def _registers(call: Call) -> Iterator[tuple[Cell, ...]]:
    number = (
        f"{call.protocol << 32 | call.number:#x}: protocol {call.protocol:d}, call {call.number:d}"
    )
    yield _register("rax", "In", plain(number))
    for operand in call.inputs:
        yield _register(operand.register, "In", _operand(operand), operand.alignment)
    for memory in call.memory:
        way = "written back" if memory.written else "read"
        said = (Span(f"in memory, {way}: {memory.meaning}."), *_laid_out(memory.layout))
        yield _register(memory.register, "In/Out" if memory.written else "In", said)
    yield _register("rax", "Out", plain("result code"))
    for operand in call.outputs:
        yield _register(operand.register, "Out", _operand(operand), operand.alignment)


def _register(name: str, way: str, said: Cell, alignment: int = 1) -> tuple[Cell, ...]:
    multiple = str(alignment) if alignment > 1 else "-"
    cells = (plain(f"{_REGISTER_SIZE}"), plain(multiple), plain(way), said)
    return (plain(name.upper(), Style.NAME), *cells)


def _operand(operand: Operand) -> Cell:
    if operand.layout is None:
        return plain(operand.meaning)
    return (Span(f"{operand.meaning}."), *_laid_out(operand.layout))


# --- Exits ----------------------------------------------------------------------------------------


def _exits() -> Iterator[Reference]:
    asked = [exit for exit in exits() if exit.where is Where.GHCB]
    others = [exit for exit in exits() if exit.where is not Where.GHCB]
    for name, title, found in (
        ("ghcb-exits", "Exits that a guest asks for, and what must be valid in its GHCB", asked),
        ("other-exits", "Exit codes in a VMSA, or as the error code of #VC", others),
    ):
        rows = tuple(
            (
                plain(f"{exit.code:#x}"),
                plain(exit.name, Style.LINK),
                plain(str(exit.since)),
                plain(exit.meaning),
            )
            for exit in found
        )
        first = Section(name, title, (), (Grid("Exits", EXITS, rows),))
        yield _made(FIELDS, (ExitCode,), first, map(_exit, found))


def _exit(exit: Exit) -> Section:
    facts = [
        ("Code", plain(f"{exit.code:#x}")),
        ("Direction", plain(exit.direction)),
        ("First version", plain(f"{exit.since} of the GHCB standard")),
    ]
    if exit.feature:
        facts.append(("Feature", plain(exit.feature, Style.CODE)))
    if exit.clause:
        facts.append(("Clause", plain(exit.clause)))
    facts.append(("Source", plain(exit.source)))
    grid = Grid(f"Fields of {exit.name}", FIELDS, tuple(_fields(exit)))
    return Section(exit.name, exit.meaning, tuple(facts), (grid,))


def _fields(exit: Exit) -> Iterator[tuple[Cell, ...]]:
    yield _field("sw_exit_code", "In", "", plain(f"{exit.code:#x}"))
    yield _field("sw_exit_info_1", "In", "", _word(exit.info1))
    yield _field("sw_exit_info_2", "In", "", _word(exit.info2))
    for need in exit.needs:
        yield _field(need.field, "In", need.when, plain("must be valid"))
    for name in exit.may:
        yield _field(name, "In", "", plain("may be valid"))
    if exit.buffer:
        yield _field("sw_scratch", "In", "", plain(f"leads to the buffer: {exit.buffer}"))
    if exit.where is Where.GHCB:
        result = (Span("with status 0: "), *_word(exit.result))
        yield _field("sw_exit_info_2", "Out", "", result)
    for returned in exit.returns:
        yield _field(returned.field, "Out", returned.when, plain("marked valid"))


def _field(name: str, way: str, when: str, said: Cell) -> tuple[Cell, ...]:
    spelled = GhcbPage.declaration[name].spec
    return (plain(spelled, Style.NAME), plain(way), plain(when or "always"), said)


def _word(word: Word) -> Cell:
    if word.layout is None:
        return plain(word.meaning)
    return (Span(f"{word.meaning}."), *_laid_out(word.layout))


def _laid_out(layout: type[Structure]) -> Cell:
    return (Span(" Layout: "), Span(label(layout), Style.CODE), Span("."))


# --- Words and codes ------------------------------------------------------------------------------


def _numbers() -> Iterator[Reference]:
    words = tuple(
        (
            plain(f"{info:#05x}"),
            plain(info.name, Style.NAME),
            plain("2" if info in SINCE_2 else "1"),
            (*plain(word.declaration.title), *_answer(info), *_laid_out(word)),
        )
        for info, word in ((GhcbInfo(code), word) for code, word in DECLARATIONS.items())
    )
    title = "Words of the GHCB MSR protocol, by their bits 11:0"
    first = Section("ghcb-msr-words", title, (), (Grid("GHCB MSR words", MSR_WORDS, words),))
    yield _made(MSR_WORDS, (GhcbInfo,), first)

    results = Grid("Result codes", RESULTS, tuple(_code(code, "#010x") for code in ResultCode))
    first = Section("result-codes", "What an SVSM call answers in RAX", (), (results,))
    yield _made(RESULTS, (ResultCode,), first)

    reasons = [Grid("Reason sets", RESULTS, tuple(_code(each, "d") for each in ReasonSet))]
    for number, codes in REASONS.items():
        caption = f"Reasons of set {number}, {ReasonSet(number).meaning}"
        reasons.append(Grid(caption, RESULTS, tuple(_code(code, "d") for code in codes)))
    title = "Why a guest gives up: reason sets, and the codes of each"
    first = Section("termination-reasons", title, (), tuple(reasons))
    yield _made(RESULTS, (ReasonSet, *REASONS.values()), first)


def _answer(info: GhcbInfo) -> Cell:
    return plain(f" {RESPONSE_TO[info].name} answers it.") if info in RESPONSE_TO else ()


def _code(code: IntEnum, form: str) -> tuple[Cell, ...]:
    return (plain(f"{code:{form}}"), plain(code.name, Style.NAME), plain(meaning_of(code)))
