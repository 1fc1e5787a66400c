"""The state of the VM: its vCPUs, and what they share. The rules read and change it, and nothing else.

A rule takes the vCPU alone, which knows its VM. Rules ask three things of the VM: whether the SVSM
still keeps a vCPU's APIC, to make a request to the host, and to note what a vCPU sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import InitVar, dataclass, field
from enum import StrEnum
from functools import partial
from typing import NamedTuple, Protocol

from ..devices import RECORDED, Devices
from ..devices.secure_processor import SecureProcessor
from ..wire.doorbell import DoorbellHead
from ..wire.exit_codes import ExitCode
from ..wire.page_size import PAGE
from .memory.memory import Memory
from .memory.registry import Home, Registry
from .quirks import REFERENCE, Quirks
from .state import outside
from .vcpu import CallingPage, Entry, Guest, LocalApic, Mailbox, Posting

FIRST_CALLING_AREA = 0x20002000  # of vCPU 0; the others' are out of the way of what guests name
_OTHER_CALLING_AREAS = 0xFFFF_0000_0000

REQUESTS = {
    code: code.name.lower()
    for code in (ExitCode.SPECIFIC_EOI, ExitCode.HV_IPI, ExitCode.DISABLE_ALTERNATE_INJECTION)
}
"""What an SVSM asks of the host, and its name in recordings and scenarios."""
REQUEST_CODES = {name: code for code, name in REQUESTS.items()}


class Assertion(Exception):
    """The SVSM stopped on an assertion of its own. Only quirks lead here."""


class Reason(StrEnum):
    """Why an SVSM may ask the host to terminate the guest (INV-10)."""

    PAGE_TAKEN = "the host took a VMSA or a calling area"
    MACHINE_CHECK = "the host signalled a machine check"
    DISABLE_REFUSED = "the host refused to disable Alternate Injection"


class Termination(Exception):
    """The SVSM asked the host to terminate the guest."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)


class HostRequest(NamedTuple):
    """A GHCB request that a vCPU's SVSM made."""

    cpu: int
    code: ExitCode
    info1: int  # SW_EXITINFO1, the encoded word; SW_EXITINFO2 is 0

    def as_dict(self) -> dict[str, int | str]:
        return {"cpu": self.cpu, "call": REQUESTS[self.code], "info1": self.info1, "info2": 0}


class Sent(NamedTuple):
    """An interrupt that a vCPU sent to another, or to itself."""

    target: int
    vector: int
    nmi: bool = False


class Listener(Protocol):
    """Something that watches the SVSM's steps, such as the ledger of the invariants."""

    def before_steps(self, cpu: Vcpu) -> None: ...

    def after_steps(self, cpu: Vcpu) -> None: ...


_WITH_MEMORY = outside("the explorer's systems have no memory")


@dataclass(slots=True, eq=False)
class Vcpu:
    """One vCPU. `page` is the doorbell page's first 256 bytes, `words` the same memory by 32 bits."""

    vm: Vm = field(metadata=outside("it holds this vCPU"), repr=False)
    index: int = field(metadata=outside("which vCPU this is"))
    apic_id: int = field(metadata=outside("which vCPU this is"))
    calling: CallingPage
    guest: Guest = field(default_factory=Guest)
    apic: LocalApic = field(default_factory=LocalApic)
    mailbox: Mailbox = field(default_factory=Mailbox)
    page: bytearray = field(default_factory=partial(bytearray, DoorbellHead.size), repr=False)
    words: memoryview = field(metadata=outside("it is the page"), init=False, repr=False)
    hv_raised: bool = False  # a #HV that the SVSM has not handled
    # A remapped calling area and a new VMSA are taken up when the vCPU next runs the SVSM.
    new_calling: CallingPage | None = None
    new_guest: Guest | None = None
    refusing: list[ExitCode] = field(default_factory=list)  # requests that the host will refuse
    # What is under way, where a scenario goes step by step: an entry, and a post of the host.
    entry: Entry | None = None
    posting: Posting | None = None
    # With memory: what the SVSM gave this vCPU, what it has mapped of that, and whether the guest is in.
    home: Home = field(metadata=_WITH_MEMORY, default=Home())
    mapped: Home = field(metadata=_WITH_MEMORY, default=Home())
    in_guest: bool = field(metadata=_WITH_MEMORY, default=False)

    def __post_init__(self) -> None:
        self.words = memoryview(self.page).cast("I")

    @property
    def tpr(self) -> int:
        """The task priority that the hardware uses: a class in bits 7:4."""
        return self.guest.vintr.v_tpr << 4 & 0xFF


@dataclass(slots=True, eq=False)
class Vm:
    """A VM of one guest VMPL, with a vCPU for each APIC id; without ids it has none yet.

    `registration_count` is how many registrations for Alternate Injection stand; `requests` is every
    GHCB request; `sent` is what vCPUs sent in the last command. `has_apic`: the SVSM can emulate APICs.
    `memory`, and what the SVSM knows of it, is None where calling areas are all the memory there is.
    """

    quirks: Quirks = field(metadata=outside("they never change"), default=REFERENCE)
    apic_ids: InitVar[Iterable[int]] = ()
    registration_count: int = 0
    devices: Devices = field(metadata=outside("they stand behind the SVSM"), default=RECORDED)
    listener: Listener | None = field(
        metadata=outside("it watches, and changes nothing"), default=None
    )
    has_apic: bool = field(metadata=outside("it never changes"), default=True)
    memory: Memory | None = field(metadata=_WITH_MEMORY, default=None)
    registry: Registry | None = field(metadata=_WITH_MEMORY, default=None)
    processor: SecureProcessor = field(metadata=_WITH_MEMORY, init=False)
    requests: list[HostRequest] = field(
        metadata=outside("they are told and done"), init=False, default_factory=list
    )
    sent: list[Sent] = field(
        metadata=outside("each command starts with none"), init=False, default_factory=list
    )
    vcpus: list[Vcpu] = field(
        metadata=outside("each is a state of its own"), init=False, default_factory=list
    )

    def __post_init__(self, apic_ids: Iterable[int]) -> None:
        self.processor = SecureProcessor(self.devices.messages)
        self.vcpus = [
            Vcpu(self, index, apic_id, CallingPage(_first_calling_area(index)))
            for index, apic_id in enumerate(apic_ids)
        ]

    def emulated(self, cpu: Vcpu) -> bool:
        """Whether the SVSM keeps this vCPU's APIC: while its Alternate Injection bit is set."""
        if not self.has_apic:
            return False
        if cpu.guest.alternate_injection or self.quirks.emulation_survives_disable:
            return True
        return self.quirks.lazy_eoi_survives_disable and cpu.apic.lazy_eoi_pending

    def request(self, cpu: Vcpu, code: ExitCode, word: int) -> bool:
        """Make a GHCB request with `word` as SW_EXITINFO1; False when the host refuses it."""
        self.requests.append(HostRequest(cpu.index, code, word))
        if code in cpu.refusing:
            cpu.refusing.remove(code)
            return False
        return True

    def note_sent(self, target: Vcpu, vector: int, *, nmi: bool = False) -> None:
        """Note that an interrupt was sent to `target`."""
        self.sent.append(Sent(target.index, vector, nmi))


def _first_calling_area(index: int) -> int:
    return _OTHER_CALLING_AREAS + index * PAGE if index else FIRST_CALLING_AREA
