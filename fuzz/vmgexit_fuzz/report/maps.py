"""The maps: heat tables of what a corpus reached, beside what could be counted."""

from __future__ import annotations

from dataclasses import dataclass

from vmgexit.machine.rules import entry
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.wire.apic import ApicRegister, access
from vmgexit.wire.calls import find_call
from vmgexit.wire.svsm import Protocol, ResultCode

from .reach import BETWEEN, OTHER, WAYS, Reach, answerable, call_rows, may_race

_HOTTEST = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell. `kind` is how it looks, `title` more of it, `share` a bar in per cent, `more` a text to
    unfold."""

    text: str
    kind: str = ""
    title: str = ""
    share: float | None = None
    more: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. The first cell of a row is its heading; `upright` columns have headings on end. A
    map has a `score`: how much was reached, and of how much."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    upright: int = 0  # how many of the last columns
    score: tuple[int, int] = (0, 0)


def hot(count: int) -> Cell:
    """A count that was reached, the darker the more digits it has."""
    return Cell(f"{count:,}", f"heat h{min(len(str(count)), _HOTTEST)}")


def _cell(count: int, *, reachable: bool, listed: bool = False, what: str = "") -> Cell:
    if count:
        return hot(count)
    if reachable:
        return Cell("0", "gap", f"never: {what}" if what else "")
    return Cell("-" if listed else "", "none")


def calls(reach: Reach) -> Table:
    """Calls by result code."""
    rows, reached, reachable = [], 0, 0
    for protocol, number, name, meaning in call_rows():
        call = find_call(protocol, number)
        listed = call.results if call else ()
        can = answerable(protocol, number)
        counts = {code: reach.calls[protocol, number, code] for code in ResultCode}
        reachable += len(can)
        reached += sum(bool(counts[code]) for code in can)
        place = f"{protocol}.{number} " if call else f"{protocol}. " if protocol != OTHER else ""
        cells = [Cell(f"{place}{name}", "code", meaning)]
        cells.append(Cell(f"{sum(counts.values()):,}", "number"))
        for code, count in counts.items():
            what = f"{name} answered {code.name}"
            cells.append(_cell(count, reachable=code in can, listed=code in listed, what=what))
        rows.append(cells)
    return Table(
        f"Calls by result code: {reached} of {reachable} answers of the machine reached",
        ["call", "calls", *(code.name for code in ResultCode)],
        rows,
        upright=len(ResultCode),
        score=(reached, reachable),
    )


def registers(reach: Reach) -> Table:
    """Accesses to APIC registers by outcome; without those to a vCPU that has no emulated APIC,
    which are the same for every register."""
    outcomes = [(way, number, code) for number, way in WAYS.items() for code in _results(number)]
    rows, reached, reachable = [], 0, 0
    for register in (*ApicRegister, OTHER):
        name = (
            "other numbers" if register == OTHER else f"{register:#x} {ApicRegister(register).name}"
        )
        cells = []
        for way, number, code in outcomes:
            count = reach.registers[register, way, code]
            can = code in answerable(Protocol.APIC, number, register)
            reachable += can
            reached += bool(count) and can
            cells.append(_cell(count, reachable=can, what=f"{way} of {name} answered {code.name}"))
        rows.append([Cell(name, "code"), Cell(access(register) or "-"), *cells])
    return Table(
        f"APIC registers by access and outcome: {reached} of {reachable} reached",
        ["register", "access", *(f"{way} {code.name}" for way, _, code in outcomes)],
        rows,
        upright=len(outcomes),
        score=(reached, reachable),
    )


def _results(number: int) -> tuple[ResultCode, ...]:
    call = find_call(Protocol.APIC, number)
    return call.results if call else ()


def invariants(reach: Reach) -> Table:
    """How often each invariant was exercised."""
    rows = []
    for place, invariant in enumerate(INVARIANTS):
        count = reach.exercised[(place,)]
        share = 100 * count / reach.steps if reach.steps else 0.0
        rows.append(
            [
                Cell(invariant.name, "code"),
                Cell(invariant.meaning, "words"),
                hot(count) if count else Cell("never", "gap"),
                Cell(f"{share:.{1 if share >= 1 else 2}f} %", "number", share=share),
                Cell(invariant.when, "words"),
            ]
        )
    return Table(
        f"Steps that exercised each invariant, of {reach.steps:,}",
        ["invariant", "sentence", "exercised", "share of steps", "when"],
        rows,
        score=(sum(map(bool, reach.exercised.values())), len(rows)),
    )


def races(reach: Reach) -> Table:
    """Steps of an entry by what came between."""
    can = {(step, what) for step in entry.STEPS for what in BETWEEN if may_race(step, what)}
    reached = sum(bool(reach.races[pair]) for pair in can)

    def cell(step: str, what: str) -> Cell:
        pair = step, what
        return _cell(reach.races[pair], reachable=pair in can, what=f"{what} before {step}")

    return Table(
        f"Steps of an entry by what came before them: {reached} of {len(can)} pairs",
        ["next step", *BETWEEN],
        [[Cell(step, "code"), *(cell(step, what) for what in BETWEEN)] for step in entry.STEPS],
        upright=len(BETWEEN),
        score=(reached, len(can)),
    )
