"""Scenarios of a GHCB host in a binary spelling: every byte string is one.

An operation has 160 bytes. The first says what happens, by `OPERATIONS`; the second which vCPU. A page
starts as one of a real guest (`corpus/guests`) or as the builder makes it, and then is changed as the
inputs of `ghcb-exit` say. The first operation of a scenario sets the VM up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from vmgexit.descriptions import Command
from vmgexit.hosts.commands import LOWEST_IRQ
from vmgexit.hosts.host import RETURNED
from vmgexit.hosts.page import OFFSETS
from vmgexit.hosts.scenario import page_of as page_of_pieces
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.ghcb import ALWAYS_VALID, BUFFER_OFFSET, GhcbPage
from vmgexit.wire.ghcb_msr import GhcbInfo
from vmgexit.wire.injection import DoorbellOperation
from vmgexit.wire.page_size import PAGE

from ..base import REPOSITORY
from .exit import changed_by, chosen, page_of
from .expected import GPA

SIZE = 160
CPUS = 2
DOORBELL = 0x9000  # of vCPU 0; vCPU 1 has the page after it
_HEAD = slice(4, SIZE - 8)  # what an input of `ghcb-exit` has
_RACE = SIZE - 8  # the last bytes: whether, where and what another vCPU writes meanwhile

ARGUMENTS = (
    *(slice(at, min(at + 8, SIZE)) for at in reversed(range(14, SIZE, 8))),
    *(slice(10, 14), slice(4, 10), slice(2, 4), slice(1, 2)),
)
"""What of an operation can be tried as zero, the least telling first: race, buffer, words, masks."""

# Each is taken where a byte of the operation is above its threshold, so that zeros are a usual VM.
RARELY = 0xC0
RESTRICTED = 1 | 8  # SEV_FEATURES: SNP, restricted injection
SETUPS: tuple[tuple[str, Any], ...] = (
    ("ghcb_version", 1),
    ("snp", False),
    ("registered", 0),
    ("memory_top", 0x13000),
    ("map_exit", False),
    ("map_fails_at", 1),
    ("page_budget", 3),
    ("firmware_error", 0x16),
    ("msr_fault", True),
    ("pmc_fault", True),
    ("sipi", True),
    ("certificates", "41" * 5000),
    ("msr_value", 0x1234567890ABCDEF),
    ("device_byte", 0xA5),
)

WORDS = (*GhcbInfo, 0x003, 0xF00)

RACED = (
    *range(BUFFER_OFFSET, BUFFER_OFFSET + 128, 2),
    *[OFFSETS[name] for name in (*ALWAYS_VALID, "sw_scratch", *RETURNED)] * 4,
)
"""Where another vCPU writes to a page meanwhile: the beginning of the buffer, and as often a field that
says what is asked for, or with what."""


@cache
def guest_pages() -> tuple[bytes, ...]:
    """The pages that real guests send, with their scratch area in the page at `GPA`. None where only the
    package is installed."""
    found = []
    for path in sorted((REPOSITORY / "corpus" / "guests").glob("*.bin")):
        page = GhcbPage.decode(path.read_bytes())
        if page.is_valid("sw_scratch"):
            page.sw_scratch = GPA + page.sw_scratch % PAGE
        found.append(page.encode())
    return tuple(found)


def read(data: bytes) -> list[Command]:
    """The scenario that `data` spells. Never fails; empty data is a VM to which nothing happens. Nobody may
    change the commands: equal operations give the same ones."""
    data = bytes(data)
    operations = [data[at : at + SIZE].ljust(SIZE, b"\0") for at in range(0, len(data), SIZE)]
    opening = _init(operations[0] if operations else bytes(SIZE))
    return [opening, *map(_command, operations[1:])]


@lru_cache(maxsize=1 << 13)
def _command(operation: bytes) -> Command:
    return OPERATIONS[operation[0] % len(OPERATIONS)](operation)


def _init(operation: bytes) -> Command:
    command: Command = {"op": "init", "vcpus": CPUS, "registered": GPA}
    for (key, value), byte in zip(SETUPS, operation[4:], strict=False):
        if byte >= RARELY:
            command[key] = value
    if operation[2] & 1:
        command["vmsa_features"] = RESTRICTED
    command["features"] = (1 << 10) - 1
    return command


def page(operation: bytes) -> GhcbPage:
    """The page of an operation."""
    there_are = guest_pages()
    if not operation[2] & 1 or not there_are:
        return page_of(operation[_HEAD])[0]
    found = GhcbPage.decode(there_are[operation[3] % len(there_are)])
    changed_by(operation[_HEAD], found)
    return found


def _vmgexit(operation: bytes) -> Command:
    command: Command = {
        "op": "vmgexit",
        "cpu": operation[1] % CPUS,
        "gpa": GPA if operation[1] < RARELY else GPA + PAGE,
        "page": pieces(page(operation).encode()),
    }
    race = operation[_RACE:]
    if race[0] >= RARELY:
        command["meanwhile"] = [[RACED[race[1] % len(RACED)], race[2:4].hex()]]
    return command


def pieces(data: bytes) -> list[list[Any]]:
    """What of a page is not 0: runs of bytes, with at most 7 zeros between two."""
    return [[found.start(), found[0].hex()] for found in _RUNS.finditer(data)]


_RUNS = re.compile(rb"[^\0](?:\0{0,7}[^\0])*")


def page_in(command: Command) -> GhcbPage:
    """The page that a command exits with."""
    return GhcbPage.decode(page_of_pieces(command["page"]))


def _msr(operation: bytes) -> Command:
    word = int.from_bytes(operation[8:16], "little")
    if operation[4] < RARELY:
        word = word & ~0xFFF | int(WORDS[operation[4] % len(WORDS)])
    return {"op": "msr", "cpu": operation[1] % CPUS, "request": word}


def _write(operation: bytes) -> Command:
    cpu = operation[1] % CPUS
    if operation[4] & 1:  # what the guest may leave in the doorbell page
        return {"op": "write", "gpa": DOORBELL + PAGE * cpu, "hex": operation[8:10].hex()}
    gpa = int.from_bytes(operation[5:8], "little")
    return {"op": "write", "gpa": gpa, "hex": operation[8 : 8 + operation[3] % 64].hex()}


def _set_doorbell(operation: bytes) -> Command:
    """The exit that says where the doorbell page is; without it no event can be told."""
    cpu = operation[1] % CPUS
    where = DOORBELL + PAGE * cpu
    built = GhcbPage.for_exit(ExitCode.HV_DOORBELL_PAGE, DoorbellOperation.SET, where, gpa=GPA)
    return {"op": "vmgexit", "cpu": cpu, "gpa": GPA, "page": pieces(built.encode())}


def _irq(operation: bytes) -> Command:
    return {
        "op": "irq",
        "cpu": operation[1] % CPUS,
        "vector": LOWEST_IRQ + operation[4] % (256 - LOWEST_IRQ),
    }


def _take(operation: bytes) -> Command:
    command: Command = {"op": "take", "cpu": operation[1] % CPUS}
    if operation[4] & 1:
        command["tpr"] = operation[5] % 16
    return command


def _plain(op: str) -> Callable[[bytes], Command]:
    def make(operation: bytes) -> Command:
        return {"op": op, "cpu": operation[1] % CPUS}

    return make


Make = Callable[[bytes], Command]

WEIGHTS: dict[str, tuple[Make, int]] = {
    "vmgexit": (_vmgexit, 10),
    "msr": (_msr, 3),
    "set doorbell": (_set_doorbell, 2),
    "irq": (_irq, 3),
    "enter": (_plain("enter"), 4),
    "cancel": (_plain("cancel"), 2),
    "take": (_take, 2),
    "nmi": (_plain("nmi"), 1),
    "machine_check": (_plain("machine_check"), 1),
    "sipi": (_plain("sipi"), 1),
    "write": (_write, 1),
}
"""What an operation can be, and how often."""

_NAMES = [name for name, (_, weight) in WEIGHTS.items() for _ in range(weight)]
OPERATIONS = [WEIGHTS[name][0] for name in _NAMES]
"""By the first byte of an operation, what happens."""


def code_of(name: str) -> int:
    """The first byte of an operation of that name."""
    return _NAMES.index(name)


@cache
def exit_choices() -> dict[int, int]:
    """By exit code, the byte of a page operation that chooses it."""
    return {chosen(bytes((byte, 0)))[0]: byte for byte in range(256)}
