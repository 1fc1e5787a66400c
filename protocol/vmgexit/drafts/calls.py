"""Lists of calls and tables of registers beside the declared calls."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..wire.registry import letters
from ..wire.svsm import Call, Protocol
from .document import Table
from .known import clause_of_calls, closest, every_call, numbers
from .report import Remark, note
from .tables import column, number

_NUMBERS = ("call id", "call", "call number", "id", "number", "call #", "#")
_NAMES = ("name", "call name", "function", "description")


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of a list of calls."""

    number: int
    name: str
    place: str


def listed(table: Table) -> list[Listed]:
    """The calls that a table lists; empty where it is something else."""
    at, named = column(table, _NUMBERS), column(table, _NAMES)
    if at is None or named is None:
        return []
    rows = zip(table.rows, table.places, strict=True)
    return [
        Listed(value, cells[named], place)
        for cells, place in rows
        if (value := number(cells[at])) is not None
    ]


def compared(rows: Sequence[Listed], protocol: Protocol | None) -> Iterator[Remark]:
    """A list of calls beside a protocol: the one that most of its names are of, or the draft's."""
    meant = Counter(call.protocol for row in rows if (call := _named(row.name, every_call())))
    if meant:
        protocol = meant.most_common(1)[0][0]
    rows = [row for row in rows if not _is_label(row)]
    if protocol is None or not rows:
        return
    revision = _revision(rows, protocol)
    of_it = [c for c in every_call() if c.protocol is protocol and c.revision == revision]
    for row in rows:
        yield from _compared(row, protocol, of_it)
    known = [call.name for call in of_it if all(_named(row.name, [call]) is None for row in rows)]
    if known and len(rows) > 1:
        yield note(rows[0].place, f"{protocol.name}: left out are {', '.join(known)}")


def _is_label(row: Listed) -> bool:
    """Whether a row names a call of a revision, `SVSM_OCP_LIST@2026-04-14`, beside its number."""
    return any(
        row.number == call.number and row.name == f"{call.name}@{call.revision}"
        for call in every_call()
    )


def _revision(rows: Sequence[Listed], protocol: Protocol) -> str:
    """The revision of a protocol that most rows fit by name and number; the current one first."""
    fits: Counter[str] = Counter()
    for call in every_call():
        if call.protocol is protocol:
            fits[call.revision] += sum(
                (_named(row.name, [call]) is call) * 2 + (row.number == call.number) for row in rows
            )
    return max(fits, key=lambda revision: fits[revision])


def _compared(row: Listed, protocol: Protocol, of_it: list[Call]) -> Iterator[Remark]:
    clause = clause_of_calls(protocol)
    by_number = next((call for call in of_it if call.number == row.number), None)
    by_name = _named(row.name, of_it)
    if by_name is not None and by_number is not by_name:
        text = f"{row.name} is call {row.number} here, call {by_name.number} of {protocol.name}"
        yield Remark(row.place, text, by_name.clause or clause)
    elif by_number is None:
        text = f"call {row.number}, {row.name!r}: {protocol.name} has {numbers(of_it)}"
        yield Remark(row.place, text, clause)
    elif by_name is None:
        text = f"call {row.number} is {row.name!r} here, {by_number.name} of {protocol.name}"
        yield Remark(row.place, text, by_number.clause or clause)


def _named(name: str, among: Sequence[Call]) -> Call | None:
    """The call that a name means, also without SVSM and its protocol in front."""
    plain = re.split(r"[(:;,]", name)[0].strip()
    full = {call.name: call for call in reversed(among)}
    short = {call.name.split("_", 2)[-1]: call for call in reversed(among)}
    for known in (full, short):
        for text in (name, plain):
            if letters(text) in {letters(each) for each in known}:
                return closest((text,), known)
    prefix = re.compile(r"^SVSM_[A-Z]+_")
    return closest((prefix.sub("", name), prefix.sub("", plain)), short)


# --- registers ------------------------------------------------------------------------------------

_IN_OUT = ("in/out", "in / out", "direction", "dir", "i/o")


@dataclass(frozen=True, slots=True)
class Register:
    """One row of a table of registers: a name in lower case, `in` or `out`."""

    name: str
    way: str
    place: str


def registers(table: Table) -> list[Register]:
    """The registers of a table, of each direction; empty where it is something else.

    A row that says `in memory` is of what a register points to.
    """
    at, way = column(table, ("register", "registers")), column(table, _IN_OUT)
    if at is None or way is None:
        return []
    return [
        Register(cells[at].strip().lower(), each, place)
        for cells, place in zip(table.rows, table.places, strict=True)
        if not any(cell.lower().startswith("in memory") for cell in cells)
        for each in re.findall("in|out", cells[way].lower())
    ]


def compared_registers(rows: Sequence[Register], named: Sequence[Call]) -> Iterator[Remark]:
    """A table of registers beside the call that the text above names: its best fitting revision."""
    if not named:
        return
    best = min(named, key=lambda call: len(_odd(rows, call)))
    clause = best.clause or clause_of_calls(best.protocol)
    for row in _odd(rows, best):
        there = [f"{name.upper()} {way}" for name, way in sorted(_declared(best))]
        text = f"{row.name.upper()} {row.way}: {best.name} has {', '.join(there)}"
        yield Remark(row.place, text, clause)
    said = {(row.name, row.way) for row in rows}
    left = [f"{name.upper()} {way}" for name, way in sorted(_declared(best) - said)]
    if left:
        yield note(rows[0].place, f"{best.name}: left out are {', '.join(left)}")


def _declared(call: Call) -> set[tuple[str, str]]:
    inputs = {(each.register, "in") for each in call.inputs}
    return inputs | {(each.register, "out") for each in call.outputs}


def _odd(rows: Sequence[Register], call: Call) -> list[Register]:
    """What a call does not have. RAX holds its number before, and its result after."""
    return [row for row in rows if row.name != "rax" and (row.name, row.way) not in _declared(call)]
