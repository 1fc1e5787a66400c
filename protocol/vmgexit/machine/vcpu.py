"""The state of one vCPU: guest CPU (VMSA), calling area, doorbell page, local APIC, mailbox.

Nothing here decides anything; the rules are in `host`, `apic`, `entry`, `svsm` and `guest`. What the
guest, the SVSM and the host share is kept as they share it: the doorbell page is bytes, VINTR_CTRL is
the declared structure, EVENTINJ a raw 64-bit value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..schema import Bits, locate
from ..wire.doorbell import DoorbellFlags, DoorbellHead, ExtIntStatus, VmplEvents
from ..wire.vmsa import EventInj, EventType, VintrCtrl

if TYPE_CHECKING:
    from .rules.entry import Entry
    from .rules.host import Posting

GUEST_VMPL = 2


def mask(cls: type[Bits], name: str) -> int:
    """The bits of field `name` in a word of `cls`, in place."""
    declared = cls.declaration[name]
    return ((1 << declared.width) - 1) << declared.bit_offset


def _offset(path: str) -> int:
    return locate(DoorbellHead, path).bit_offset // 8


# Where things stand in the doorbell page, in bytes, and in the descriptor of the guest VMPL, in
# 32-bit words (the page is read and written by words, as the host and the SVSM do).
FLAGS_AT = _offset("flags")
EVENTS_AT = _offset("per_vmpl_events")
_DESCRIPTOR = f"vmpl{GUEST_VMPL}"
STATUS_WORD = _offset(f"{_DESCRIPTOR}.status") // 4
IRR_WORD = _offset(f"{_DESCRIPTOR}.irr") // 4 - 1  # word k holds vectors 32k to 32k + 31, k = 1..7
ISR_WORD = _offset(f"{_DESCRIPTOR}.isr") // 4

VECTOR = mask(ExtIntStatus, "pending_vector")
NMI = mask(ExtIntStatus, "nmi_pending")
LEVEL = mask(ExtIntStatus, "level_sensitive")
MULTIPLE = mask(ExtIntStatus, "multiple_vectors")
VECTOR_31 = mask(ExtIntStatus, "vector_31")
NO_FURTHER_SIGNAL = mask(DoorbellFlags, "no_further_signal")
OWN_NMI = mask(DoorbellFlags, "nmi_pending")
OWN_MC = mask(DoorbellFlags, "mc_pending")
GUEST_EVENT = mask(VmplEvents, f"vmpl{GUEST_VMPL}")

EVENT_VALID = mask(EventInj, "valid")
EVENT_TYPE = mask(EventInj, "type")
EVENT_VECTOR = mask(EventInj, "vector")
NMI_EVENT = EVENT_VALID | EventType.NMI << EventInj.declaration["type"].bit_offset


@dataclass(slots=True)
class Guest:
    """What the hardware runs: the VMSA as far as interrupts go."""

    interrupts_enabled: bool = False  # RFLAGS.IF
    vintr: VintrCtrl = field(default_factory=lambda: VintrCtrl(vgif=True))
    event_inj: int = 0
    exit_int_info: int = 0
    alternate_injection: bool = True  # SEV_FEATURES bit 4


@dataclass(slots=True)
class LocalApic:
    """The local APIC that the SVSM keeps for one vCPU. Vector sets are 256-bit integers."""

    icr: int = 0
    irr: int = 0
    allowed: int = 0  # vectors that the host may present
    tmr: int = 0  # level-triggered
    host_tmr: int = 0  # level-triggered, to be acknowledged to the host
    isr: list[int] = field(default_factory=list)  # in service, the newest last
    isr_tmr: list[tuple[bool, bool]] = field(default_factory=list)  # of each: level, from the host
    tpr_low: tuple[int, int] = (0, 0)  # v_tpr when the TPR was last written, and its low 4 bits
    update_required: bool = False
    interrupt_delivered: bool = False  # EVENTINJ holds the newest in service
    interrupt_queued: bool = False  # V_IRQ holds the newest in service
    lazy_eoi_pending: bool = False
    nmi_pending: bool = False


@dataclass(slots=True)
class Mailbox:
    """What other vCPUs sent and this one has not looked at."""

    irr: int = 0
    pending: bool = False
    nmi: bool = False


@dataclass(slots=True)
class CallingPage:
    """The part of a calling area that outlives a call, and its guest-physical address."""

    address: int
    no_eoi_required: int = 0


class Vcpu:
    """One vCPU. `page` is the doorbell page's first 256 bytes, `words` the same memory by 32 bits."""

    __slots__ = (
        "apic",
        "apic_id",
        "calling",
        "entry",
        "guest",
        "hv_raised",
        "index",
        "mailbox",
        "new_calling",
        "new_guest",
        "page",
        "posting",
        "refusing",
        "words",
    )

    def __init__(self, index: int, apic_id: int, calling: int) -> None:
        self.index = index
        self.apic_id = apic_id
        self.guest = Guest()
        self.apic = LocalApic()
        self.mailbox = Mailbox()
        self.calling = CallingPage(calling)
        self.page = bytearray(DoorbellHead.size)
        self.words = memoryview(self.page).cast("I")
        self.hv_raised = False  # a #HV that the SVSM has not handled
        # A remapped calling area and a new VMSA are taken up when the vCPU next runs the SVSM.
        self.new_calling: CallingPage | None = None
        self.new_guest: Guest | None = None
        self.refusing: list[str] = []  # requests that the host will refuse, by name
        # What is under way, where a scenario goes step by step: an entry, and a post of the host.
        self.entry: Entry | None = None
        self.posting: Posting | None = None

    @property
    def tpr(self) -> int:
        """The task priority that the hardware uses: a class in bits 7:4."""
        return self.guest.vintr.v_tpr << 4 & 0xFF
