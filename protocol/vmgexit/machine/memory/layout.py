"""How the memory of a VM is laid out at first: the arguments of `init`, checked, as ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ...wire.page_size import LARGE_PAGE, PAGE
from .rmp import ALL, ASSIGNED, LARGE, MOST_ADDRESS, VALIDATED, with_permissions
from .sparse import Range

GUEST_VMPL = 2
SVSM_FILL = 0xC5

STATES = {
    "shared": 0,
    "private": ASSIGNED,
    "valid": with_permissions(ASSIGNED | VALIDATED, GUEST_VMPL, ALL),
    "huge-private": ASSIGNED | LARGE,
    "huge-valid": with_permissions(ASSIGNED | VALIDATED | LARGE, GUEST_VMPL, ALL),
}
"""What a range of pages is at first, by the name that a scenario gives it: its RMP entries."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Memory at first. `svsm` is the SVSM's own range; of `pages` the last range counts."""

    memory: tuple[tuple[int, int], ...]  # first byte, byte after the last
    svsm: tuple[int, int]
    pages: tuple[tuple[int, int, str, int], ...]  # with the name of a state, and a fill byte

    @classmethod
    def of(cls, command: dict[str, Any]) -> Layout:
        """From the arguments of `init`, whose complaint is empty."""
        start, length = command["svsm"]
        return cls(
            tuple((start, start + length) for start, length in command["memory"]),
            (start, start + length),
            tuple(
                (start, start + length, state, fill)
                for start, length, state, fill in command.get("pages", ())
            ),
        )

    @property
    def boot_vmsa(self) -> int:
        """Where the VMSA of the first vCPU is: the second page of the SVSM's range."""
        return self.svsm[0] + PAGE

    def entries(self) -> Iterator[Range[int]]:
        """The RMP entries at first; the SVSM's range goes before all others."""
        for start, end, state, _ in self.pages:
            yield start, end, STATES[state]
        yield *self.svsm, ASSIGNED | VALIDATED

    def fills(self) -> Iterator[Range[int]]:
        """The bytes at first."""
        for start, end, _, fill in self.pages:
            yield start, end, fill
        yield *self.svsm, SVSM_FILL

    def guest_memory(self) -> Iterator[tuple[int, int]]:
        """The memory map without the SVSM's range. Pieces are never joined."""
        first, last = self.svsm
        for start, end in self.memory:
            if last <= start or end <= first:
                yield start, end
                continue
            if start < first:
                yield start, first
            if last < end:
                yield last, end


def complaint(command: dict[str, Any]) -> str:
    """What is wrong with the layout that `init` asks for, as `ARGUMENT: what`; empty if nothing."""
    ranges = [
        *((f"memory[{index}]", *row, PAGE) for index, row in enumerate(command["memory"])),
        ("svsm", *command["svsm"], PAGE),
        *(
            (f"pages[{index}]", start, length, LARGE_PAGE if STATES[state] & LARGE else PAGE)
            for index, (start, length, state, _) in enumerate(command.get("pages", ()))
        ),
    ]
    for name, start, length, unit in ranges:
        if start % unit or length % unit or not length:
            return f"{name}: {_shown(start, length)} is not made of whole pages of {unit:#x} bytes"
        if start + length - 1 > MOST_ADDRESS:
            return f"{name}: {_shown(start, length)} ends above {MOST_ADDRESS:#x}, the last address"
    if command["svsm"][1] < 2 * PAGE:
        return f"svsm: {command['svsm'][1]:#x} bytes found, two pages or more expected"
    if command["caa"] > MOST_ADDRESS or command["caa"] % PAGE:
        return f"caa: {command['caa']:#x} is not the address of a page"
    return _overlap(command["memory"])


_MEMORY, _SVSM = [0, 64 << 20], [32 << 20, LARGE_PAGE]


def repaired(command: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `init` without what there is a complaint about, and with what is missing."""
    whole: dict[str, Any] = {
        "memory": [_MEMORY],
        "svsm": _SVSM,
        "pages": [],
        "caa": min(command["caa"], MOST_ADDRESS) & -PAGE,
    }
    if "svsm" in command and not complaint(whole | {"svsm": command["svsm"]}):
        whole["svsm"] = command["svsm"]
    for name in ("memory", "pages"):
        rows: list[list[Any]] = []
        for row in command.get(name, ()):
            if not complaint(whole | {name: [*rows, row]}):
                rows.append(row)
        whole[name] = rows or whole[name]
    return whole


def _overlap(rows: Iterable[tuple[int, int]]) -> str:
    placed = sorted((start, length, index) for index, (start, length) in enumerate(rows))
    for (start, length, index), (next_start, next_length, other) in pairwise(placed):
        if start + length > next_start:
            first, second = sorted((index, other))
            places = {index: (start, length), other: (next_start, next_length)}
            return (
                f"memory[{second}]: {_shown(*places[second])} overlaps"
                f" memory[{first}], {_shown(*places[first])}"
            )
    return ""


def _shown(start: int, length: int) -> str:
    return f"{length:#x} bytes at {start:#x}"
