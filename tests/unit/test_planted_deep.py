"""Each deep bug has a scenario of more than ten commands that shows it, with none to spare.

No shorter one can be, since what the bug needs takes commands of its own:

- One entry puts one interrupt in service, and `guest_take` keeps it there when the SVSM next runs. So n
  interrupts take n entries and n - 1 takes, and one more take where a call follows, which takes back what
  was presented. `init` and `guest` come before, since IF is off at first. What is entered comes by an IPI
  for each, or in the windows of the entries (`late`) after one CONFIGURE_VECTOR.
- A VMSA takes its page's bytes, and CREATE_VCPU. A list takes its bytes, and PVALIDATE.
- A call of attestation is one request that is answered; a VMGEXIT is one page state change.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from tests.campaigns.planted import Bug, bugs, planted
from tests.watched import broken_by
from vmgexit.descriptions import Command
from vmgexit.devices import Devices
from vmgexit.devices.sealed import Sealed
from vmgexit.hosts.scenario import Session
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.watch.hosts.invariants import HostWatch
from vmgexit.watch.watch import Watch
from vmgexit.wire.apic import ApicCall, ApicIcr, ApicRegister, ConfigureRequest, Shorthand
from vmgexit.wire.attestation import AttestationCall, AttestServices
from vmgexit.wire.core import PvalidateEntry
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.ghcb import GhcbPage
from vmgexit.wire.page_size import PAGE
from vmgexit.wire.svsm import CoreCall, Protocol
from vmgexit_fuzz.targets.ghcb import programs
from vmgexit_fuzz.targets.ghcb.expected import GPA

OURS = {
    name: bug for name, bug in bugs().items() if bug.place.startswith("tests.campaigns.planted.d")
}
AT_LEAST = 11  # commands, the first of which sets up


def op(name: str, cpu: int = 0, **arguments: Any) -> Command:
    return {"op": name, "cpu": cpu, **arguments}


# --- interrupts --------------------------------------------------------------------------------------


def init(cpus: int = 1, registrations: int = 1) -> Command:
    return {"op": "init", "cpus": cpus, "reg_count": registrations}


def ipi(vector: int, cpu: int = 0, *, to: Shorthand = Shorthand.SELF) -> Command:
    return call(
        cpu, ApicCall.WRITE_REGISTER, ApicRegister.ICR, int(ApicIcr(vector=vector, shorthand=to))
    )


def enabled(cpu: int = 0) -> Command:
    return op("guest", cpu, **{"if": True, "shadow": False})


def entered(cpu: int = 0) -> list[Command]:
    return [op("enter", cpu), op("guest_take", cpu)]


def arrives(vector: int, *, level: bool = False) -> Command:
    """An entry in whose window the host posts."""
    return op("enter", late=[{"vector": vector, "level": level}])


def nested(*vectors: int, level: bool = False) -> list[Command]:
    """Each is taken while the one before is in service."""
    taken = [one for vector in vectors for one in (arrives(vector, level=level), op("guest_take"))]
    return [enabled(), call(0, ApicCall.CONFIGURE_VECTOR, 0x300), *taken]


REGISTER = call(0, ApicCall.CONFIGURE_EMULATION, ConfigureRequest.REGISTER)
READ_ISR2 = call(0, ApicCall.READ_REGISTER, ApicRegister.ISR0 + 2)  # vectors 0x40 to 0x5F
DEREGISTER = call(0, ApicCall.CONFIGURE_EMULATION, ConfigureRequest.DEREGISTER)
BOTH_HANDLE = [
    enabled(0),
    enabled(1),
    ipi(0x41, to=Shorthand.ALL),
    *entered(0),
    *entered(1),
    ipi(0x51, to=Shorthand.ALL),
    op("enter", 1),
]

# --- memory ------------------------------------------------------------------------------------------

FIRST_VMSA, AREA, LIST, OPERATION, NONCE = 0x30000, 0x60000, 0x9000, 0x10000, 0x11000
REPORT, MANIFEST, GIVEN_UP = 0x12000, 0x14000, 0x70000
MEMORY: Command = {
    "op": "init", "cpus": 1, "memory": [[0, 0x1000000]], "svsm": [0x800000, 0x200000],
    "caa": 0x8000, "sev_features": 1, "npf": "stop", "unvalidated": "input",
    "pages": [[0, 0x200000, "valid", 0x11]],
}  # fmt: skip


def write(gpa: int, data: bytes) -> Command:
    return {"op": "write", "gpa": gpa, "hex": data.hex(), "by": 2}


def created(number: int) -> list[Command]:
    """One more VMSA of the guest, for the vCPU that runs."""
    page = FIRST_VMSA + 2 * PAGE * number
    state: Command = {
        "op": "vmsa", "gpa": page, "by": 2, "vmpl": 2, "efer": 0x1000, "sev_features": 1,
    }  # fmt: skip
    new = call(0, CoreCall.CREATE_VCPU, page, AREA + PAGE * number, 0, protocol=Protocol.CORE)
    return [state, new]


def listed(*entries: PvalidateEntry) -> list[Command]:
    words = [len(entries), *map(int, entries)]
    data = b"".join(word.to_bytes(8, "little") for word in words)
    return [write(LIST, data), call(0, CoreCall.PVALIDATE, LIST, protocol=Protocol.CORE)]


ATTEST = call(0, AttestationCall.ATTEST_SERVICES, OPERATION, protocol=Protocol.ATTESTATION)
ASKED = write(
    OPERATION,
    AttestServices(
        report_gpa=REPORT,
        report_size=0x1000,
        nonce_gpa=NONCE,
        nonce_size=64,
        manifest_gpa=MANIFEST,
        manifest_size=0x1000,
    ).encode(),
)

# --- hosts -------------------------------------------------------------------------------------------

PAGE_STATE_CHANGE = programs.pieces(
    GhcbPage.for_exit(ExitCode.SNP_PAGE_STATE_CHANGE, gpa=GPA).encode()
)

# The invariant that breaks, and the commands.
SCENARIOS: dict[str, tuple[str, list[Command]]] = {
    "in-service-stack-of-four": (
        "INV-5",
        [init(), *nested(0x41, 0x51, 0x61, 0x71), arrives(0x81)],
    ),
    "lazy-eoi-ends-the-second": (
        "INV-5",
        [init(), *nested(0x41, 0x51, 0x61), op("guest_lazy_eoi"), READ_ISR2],
    ),
    "hand-over-of-three-in-service": (
        "INV-1",
        [init(), *nested(0x41, 0x51, 0x61, 0x71), DEREGISTER],
    ),
    "new-vmsa-acknowledges-three": (
        "INV-4",
        [
            init(),
            *nested(0x41, 0x51, 0x61, level=True),
            arrives(0x71, level=True),
            op("set_vmsa"),
            op("enter"),
        ],
    ),
    "ipi-between-handlers-lost": (
        "INV-1",
        [init(2), *BOTH_HANDLE, ipi(0x61, to=Shorthand.ALL_BUT_SELF)],
    ),
    "registration-refused-while-busy": (
        "INV-9",
        [init(2), *BOTH_HANDLE, op("enter", 0), REGISTER],
    ),
    "fifth-vmsa-stays-readable": (
        "MEM-1",
        [MEMORY, *(one for number in range(5) for one in created(number))],
    ),
    "list-beside-vmsas-clears-nothing": (
        "INV-9",
        [
            MEMORY,
            *(one for number in range(4) for one in created(number)),
            *listed(
                PvalidateEntry(frame=GIVEN_UP // PAGE),
                PvalidateEntry(frame=GIVEN_UP // PAGE, validate=True),
            ),
        ],
    ),
    "sequence-number-of-four-bits": (
        "MEM-12",
        [MEMORY, ASKED, *[ATTEST] * 8, write(NONCE, b"1"), ATTEST],
    ),
    "scratch-maps-leak": (
        "HOST-5",
        [
            {"op": "init", "vcpus": 1, "registered": GPA},
            *[op("vmgexit", gpa=GPA, page=PAGE_STATE_CHANGE)] * 10,
        ],
    ),
}


def broken(target: str, commands: list[Command]) -> str:
    """The invariant that a scenario breaks, and nothing where it breaks none."""
    if target == "ghcb-host":
        return broken_by(commands, HostWatch(Session()))
    return broken_by(commands, Watch(Machine(devices=Devices(Sealed()))))


def test_every_bug_has_a_scenario() -> None:
    assert OURS.keys() == SCENARIOS.keys()
    assert all(bug.wrong.endswith(".") for bug in OURS.values())


@pytest.mark.parametrize("bug", OURS.values(), ids=OURS.keys())
def test_the_bug_breaks_its_invariant_and_nothing_else_does(bug: Bug) -> None:
    invariant, commands = SCENARIOS[bug.name]
    assert len(commands) >= AT_LEAST
    assert broken(bug.target, commands) == ""
    with planted(bug):
        assert broken(bug.target, commands) == invariant
        assert broken(bug.target, commands[:-1]) == ""
    assert broken(bug.target, commands) == ""


@pytest.mark.parametrize("bug", OURS.values(), ids=OURS.keys())
def test_no_two_commands_can_be_left_out(bug: Bug) -> None:
    _, commands = SCENARIOS[bug.name]
    after_init = range(1, len(commands))
    with planted(bug):
        for size in (1, 2):
            for left_out in combinations(after_init, size):
                kept = [one for index, one in enumerate(commands) if index not in left_out]
                assert broken(bug.target, kept) == "", left_out
