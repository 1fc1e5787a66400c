"""A small system with memory: its pages, and the moves of its guests and its host, as tables.

Pages of the guest that have a name here are all that moves name. A move is a few commands: an operand is
written, a call is made, and the operand's page is put back as it was, so that what is left of it makes no
state different.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...descriptions import Command
from ...machine.commands import call
from ...wire.core import PvalidateEntry, PvalidateHeader
from ...wire.exit_codes import ExitCode
from ...wire.page_size import LARGE_PAGE, PAGE
from ...wire.rmp import PageSize
from ...wire.svsm import CoreCall, Protocol
from ...wire.vmsa import EFER_SVME

GUEST = 2  # the VMPL
FIRST_AREA = 0x8000
LIST, OTHER, INVALID, LEGACY = 0x9000, 0xA000, 0xB000, 0xB8000
"""Two pages that are valid at first, and two that are not; the last is in the range of old devices."""
CHUNK = LARGE_PAGE
SVSM = 2 * LARGE_PAGE
SPARE = SVSM + LARGE_PAGE
"""A system page that is nobody's at first."""
FILL = 0x11

IN_CHUNK, NEXT_IN_CHUNK = CHUNK + PAGE, CHUNK + 2 * PAGE
NAMED = (FIRST_AREA, LIST, OTHER, INVALID, LEGACY, CHUNK, IN_CHUNK, NEXT_IN_CHUNK)
SYSTEM_PAGES = (*NAMED, CHUNK + LARGE_PAGE - PAGE, SVSM, SVSM + PAGE, SPARE)
"""What a state is told by: all pages that moves name, and one for all others of the chunk."""
KINDS = ("areas", "lists", "vcpus", "permissions")
"""Kinds of moves of guests, as people name them."""

Commands = tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class MemorySystem:
    """What a small system may do. `host_moves` is how many moves its host makes, of any kind; `kinds`,
    from KINDS, are those of its guests.

    `unvalidated_faults`: RMPADJUST of a page that is not validated is #VC, else it fails."""

    vcpus: int = 2
    host_moves: int = 0
    unvalidated_faults: bool = False
    kinds: frozenset[str] = frozenset(KINDS)

    def opening(self) -> Command:
        """The machine at first: four pages of the guest and a 2 MiB page, on a host that ends the VM on a
        nested page fault."""
        return {
            "op": "init",
            "cpus": self.vcpus,
            "memory": [[0, SVSM]],
            "svsm": [SVSM, 2 * PAGE],
            "caa": FIRST_AREA,
            "sev_features": 1,
            "npf": "stop",
            "unvalidated": "vc" if self.unvalidated_faults else "input",
            "pages": [
                [FIRST_AREA, PAGE, "valid", 0],
                [LIST, PAGE, "valid", FILL],
                [OTHER, PAGE, "valid", FILL],
                [INVALID, PAGE, "private", FILL],
                [LEGACY, PAGE, "private", FILL],
                [CHUNK, LARGE_PAGE, "huge-valid", FILL],
            ],
        }

    def moves(self) -> Iterator[tuple[int | None, Commands]]:
        """Every move of guests, with the vCPU that makes a call in it, if one does."""
        if "permissions" in self.kinds:
            for commands in _permissions():
                yield None, commands
        for cpu in range(self.vcpus):
            for kind, moves in _OF_VCPU.items():
                if kind in self.kinds:
                    for commands in moves(cpu, self.vcpus):
                        yield cpu, commands

    def of_host(self) -> Iterator[Commands]:
        """Every move of the host, which has so many."""
        for page in (FIRST_AREA, LIST, OTHER, INVALID, LEGACY):
            for to in ("shared", "private"):
                yield ({"op": "host_page", "gpa": page, "to": to},)
        for page, behind in (
            (OTHER, SPARE), (OTHER, OTHER), (INVALID, SVSM), (LEGACY, SVSM), (LIST, OTHER)
        ):  # fmt: skip
            yield ({"op": "host_page", "gpa": page, "to": "remap", "spa": behind},)
        for to in ("split", "join"):
            yield ({"op": "host_page", "gpa": CHUNK, "to": to},)


def _core(cpu: int, number: CoreCall, rcx: int, rdx: int = 0, r8: int = 0) -> Command:
    return call(cpu, number, rcx, rdx, r8, protocol=Protocol.CORE)


def _permissions() -> Iterator[Commands]:
    """VMPL 2 lets VMPL 3 read a page, and takes that back."""
    for page in (LIST, OTHER):
        for allowed in (1, 0):
            yield ({"op": "adjust", "gpa": page, "vmpl": 3, "perms": allowed},)


def _calling_areas(cpu: int, vcpus: int) -> Iterator[Commands]:
    """REMAP_CA: of a free page, of one that is not valid, of one that may be in use, of no page."""
    for page in (FIRST_AREA, OTHER, INVALID, SVSM, OTHER + 8):
        yield (_core(cpu, CoreCall.REMAP_CA, page),)


# --- lists of PVALIDATE ------------------------------------------------------------------------------


def _lists(cpu: int, vcpus: int) -> Iterator[Commands]:
    for page in (LIST, OTHER, INVALID, LEGACY, CHUNK):
        for valid in (True, False):
            for ignored in (True, False):
                yield _listed(cpu, _entry(page, valid=valid, ignored=ignored))
    for valid in (True, False):
        yield _listed(cpu, _entry(CHUNK, valid=valid, size=PageSize.SIZE_2M))
    yield _listed(cpu, _entry(LIST, valid=True, ignored=True), _entry(OTHER, valid=False))
    yield _listed(cpu, _entry(OTHER, valid=False), _entry(OTHER, valid=True))


def _entry(
    page: int, *, valid: bool, ignored: bool = False, size: PageSize = PageSize.SIZE_4K
) -> PvalidateEntry:
    return PvalidateEntry(frame=page // PAGE, page_size=size, validate=valid, ignore_cf=ignored)


def _listed(cpu: int, *entries: PvalidateEntry) -> Commands:
    """The list is written, the call made, and the list's page put back."""
    data = PvalidateHeader(entries=len(entries)).encode() + b"".join(
        one.encode() for one in entries
    )
    return (
        _written(LIST, data),
        _core(cpu, CoreCall.PVALIDATE, LIST),
        _written(LIST, bytes([FILL]) * len(data)),
    )


def _written(page: int, data: bytes) -> Command:
    return {"op": "write", "gpa": page, "hex": data.hex(), "by": GUEST}


# --- vCPUs -------------------------------------------------------------------------------------------

_PRETENDED = Protocol.CORE << 32 | CoreCall.CONFIGURE_VTOM


def _vcpus(cpu: int, vcpus: int) -> Iterator[Commands]:
    """CREATE_VCPU of each vCPU, in pages that may be in use or not valid, with states of all kinds;
    DELETE_VCPU; a call that changes nothing, and executing in the guest."""
    for target in range(vcpus):
        for vmsa, area in ((LIST, OTHER), (LIST, FIRST_AREA), (OTHER, LIST), (LIST, INVALID)):
            yield _created(cpu, target, vmsa, area)
        yield _created(cpu, target, CHUNK, OTHER)
        yield _created(cpu, target, IN_CHUNK, NEXT_IN_CHUNK, rax=_PRETENDED)
    yield _created(cpu, 0, LIST, OTHER, efer=0)
    yield (_core(cpu, CoreCall.CREATE_VCPU, LIST + 8, OTHER, 0),)
    for page in (LIST, OTHER, SVSM + PAGE, LIST + 8):
        yield (_core(cpu, CoreCall.DELETE_VCPU, page),)
    yield (_core(cpu, CoreCall.QUERY_PROTOCOL, 0),)
    yield ({"op": "run", "cpu": cpu, "on": True},)


def _created(
    cpu: int, target: int, vmsa: int, area: int, *, efer: int = EFER_SVME, rax: int | None = None
) -> Commands:
    """A VMSA is written and the call made; with `rax` the VMSA and its calling area pretend a call."""
    state: Command = {
        "op": "vmsa", "gpa": vmsa, "by": GUEST, "vmpl": GUEST, "efer": efer, "sev_features": 1
    }  # fmt: skip
    made = _core(cpu, CoreCall.CREATE_VCPU, vmsa, area, target)
    if rax is None:
        return state, made
    pretended = state | {"rax": rax, "exit_code": int(ExitCode.VMGEXIT)}
    return pretended, _written(area, b"\1"), made


_OF_VCPU = {"areas": _calling_areas, "lists": _lists, "vcpus": _vcpus}
