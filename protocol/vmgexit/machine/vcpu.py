"""The parts of one vCPU: guest CPU (VMSA), calling area, doorbell page, local APIC, mailbox.

`vm` puts the parts together, and `rules` decides. The parts that guest, SVSM and host share are
kept as they share them: the doorbell page is bytes, VINTR_CTRL is the declared structure, EVENTINJ
is a raw 64-bit value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from ..schema import Bits, locate
from ..wire.doorbell import DoorbellFlags, DoorbellHead, ExtIntStatus, VmplEvents
from ..wire.vmsa import EventInj, EventType, VintrCtrl
from .state import passive

GUEST_VMPL = 2


def mask(cls: type[Bits], name: str) -> int:
    """The bits of field `name` in a word of `cls`, in place."""
    declared = cls.declaration[name]
    return ((1 << declared.width) - 1) << declared.bit_offset


def _offset(path: str) -> int:
    return locate(DoorbellHead, path).bit_offset // 8


# Where things stand in the doorbell page, in bytes, and in the descriptor of the guest VMPL, in
# 32-bit words (the page is read and written by words, as the host and the SVSM do).
OWN_VECTOR_AT = _offset("vector")
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
FRESH_VINTR = mask(VintrCtrl, "vgif")  # VINTR_CTRL of a new VMSA
_FRESH_BYTES = FRESH_VINTR.to_bytes(VintrCtrl.size, "little")
_TYPE_AT = EventInj.declaration["type"].bit_offset
NMI_EVENT = EVENT_VALID | EventType.NMI << _TYPE_AT


def event_type(event: int) -> int:
    """What kind of event EVENTINJ or EXITINTINFO holds, an `EventType` where it is one."""
    return (event & EVENT_TYPE) >> _TYPE_AT


def is_external(event: int) -> bool:
    """Whether EVENTINJ or EXITINTINFO holds an external interrupt."""
    return event & (EVENT_VALID | EVENT_TYPE) == EVENT_VALID


def is_nmi(event: int) -> bool:
    """Whether EVENTINJ or EXITINTINFO holds an NMI."""
    return event & (EVENT_VALID | EVENT_TYPE) == NMI_EVENT


@dataclass(slots=True)
class Guest:
    """What the hardware runs: the VMSA as far as interrupts go."""

    interrupts_enabled: bool = False  # RFLAGS.IF
    vintr: VintrCtrl = field(default_factory=partial(VintrCtrl.decode, _FRESH_BYTES))
    event_inj: int = 0
    exit_int_info: int = 0
    alternate_injection: bool = True  # SEV_FEATURES bit 4


@dataclass(slots=True)
class LocalApic:
    """The local APIC that the SVSM keeps for one vCPU. Vector sets are 256-bit integers."""

    icr: int = field(metadata=passive("a guest that reads it back learns nothing else"), default=0)
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

    address: int = field(
        metadata=passive(
            "vCPUs that differ by it alone are alike, and so are the pages a guest moves it to"
        )
    )
    no_eoi_required: int = 0


@dataclass(slots=True)
class Entry:
    """How far one entry has come: what a register of the SVSM holds between two steps."""

    step: str = "handle_hv"
    status: int = 0  # the descriptor's status word as last read
    word: int = 0  # which IRR word is next
    # How often the switch started over.
    cancelled: int = field(
        metadata=passive("it is told in an answer, and decides nothing"), default=0
    )


@dataclass(slots=True)
class Posting:
    """How far one post has come: what the host holds between two accesses."""

    vector: int
    level: bool
    step: str = "read_status"
    status: int = 0  # the descriptor's status word as last read
    occupant: int = 0  # an edge vector that this post moved out of the field
    raised: bool = False  # a #HV was raised
