"""What stands around an SVSM: the host, the guest, and the pages that they share with it.

The SVSM under test gets these pages and registers, and calls `Vm.request` and `Vm.window`. Everything else
here is done by commands, without the SVSM.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .layouts import (
    DoorbellFlags,
    EventInj,
    EventTypeCode,
    ExtIntStatus,
    VintrCtrl,
    VmplEvents,
    get,
    put,
)

GUEST_VMPL = 2
FIRST_CALLING_AREA = 0x2000_2000  # of vCPU 0
OTHER_CALLING_AREAS = 0xFFFF_0000_0000  # of vCPU n: n pages above
STATUS_WORD = 0x80 // 4  # of the guest VMPL's descriptor; IRR words 1 to 7 follow
ISR_WORD = 0xA0 // 4
_FLAGS_AT, _EVENTS_AT = 1, 3


class Stop(Exception):
    """The SVSM stopped: `kind` is panic or terminated. Any other exception of the SVSM is a panic."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass
class Guest:
    """What the hardware runs: the VMSA of the guest, as far as interrupts go."""

    interrupts_enabled: bool = False  # RFLAGS.IF
    alternate_injection: bool = True  # its bit of SEV_FEATURES; the SVSM clears it when it disables
    vintr: int = VintrCtrl.VGIF.mask
    event_inj: int = 0
    exit_int_info: int = 0

    def take(self) -> tuple[str, int]:
        """What the CPU takes now, and its vector: EVENTINJ whatever IF is, else V_IRQ."""
        event, vintr = self.event_inj, self.vintr
        if get(event, EventInj.VALID):
            self.event_inj = 0
            kind, vector = get(event, EventInj.TYPE), get(event, EventInj.VECTOR)
            if kind == EventTypeCode.NMI:
                return "nmi", 2
            return ("event" if kind == EventTypeCode.EXTERNAL_INTERRUPT else "other"), vector
        is_open = get(vintr, VintrCtrl.VGIF) and not get(vintr, VintrCtrl.INT_SHADOW)
        is_above = get(vintr, VintrCtrl.V_IGN_TPR) or (
            get(vintr, VintrCtrl.V_INTR_PRIO) > get(vintr, VintrCtrl.V_TPR) & 15
        )
        if not (get(vintr, VintrCtrl.V_IRQ) and is_open and self.interrupts_enabled and is_above):
            return "none", 0
        self.vintr = put(vintr, VintrCtrl.V_IRQ, 0)
        return "virq", get(vintr, VintrCtrl.V_INTR_VECTOR)


class Doorbell(bytearray):
    """The first 256 bytes of the doorbell page, also by words of 32 bits."""

    def __init__(self) -> None:
        super().__init__(256)

    def word(self, at: int) -> int:
        return int.from_bytes(self[4 * at : 4 * at + 4], "little")

    def set_word(self, at: int, word: int) -> None:
        self[4 * at : 4 * at + 4] = word.to_bytes(4, "little")

    @property
    def status(self) -> int:
        """The status word of the guest VMPL's descriptor."""
        return self.word(STATUS_WORD)

    @status.setter
    def status(self, word: int) -> None:
        self.set_word(STATUS_WORD, word)

    @property
    def flags(self) -> int:
        """The flags of the executing VMPL, the SVSM's own."""
        return self[_FLAGS_AT]

    @flags.setter
    def flags(self, flags: int) -> None:
        self[_FLAGS_AT] = flags

    @property
    def events(self) -> int:
        """Which lower VMPL has interrupt work."""
        return self[_EVENTS_AT]

    @events.setter
    def events(self, events: int) -> None:
        self[_EVENTS_AT] = events

    def set_irr(self, vector: int) -> None:
        """Set a vector's bit: in the status word for 31, in the IRR above."""
        if vector == 31:
            self.status |= ExtIntStatus.VECTOR_31.mask
        else:
            at = STATUS_WORD + vector // 32
            self.set_word(at, self.word(at) | 1 << vector % 32)

    def present(self, vector: int, level: bool) -> bool:
        """Put a vector into the descriptor; False, with nothing changed, where that cannot be."""
        status = self.status
        held = get(status, ExtIntStatus.PENDING_VECTOR)
        is_level = get(status, ExtIntStatus.LEVEL_SENSITIVE)
        several = get(status, ExtIntStatus.MULTIPLE_VECTORS)
        moves = held and not is_level and (level or not several)
        if not vector or (level and is_level and held and held != vector):
            return False
        if (is_level and held) if level else (held == vector and not is_level and not several):
            return True  # it is there already
        if not level and not held and not several:
            self.status = status | vector
            return True
        if (not level and vector < 31) or (moves and held < 31):
            return False
        if moves:
            self.status = put(status, ExtIntStatus.PENDING_VECTOR, 0)
            self.set_irr(held)
        if not level:
            self.set_irr(vector)
        if moves or not level:
            self.status |= ExtIntStatus.MULTIPLE_VECTORS.mask
        if level:
            self.status |= vector | ExtIntStatus.LEVEL_SENSITIVE.mask
        return True


@dataclass
class Vcpu:
    """A vCPU: what guest, host and SVSM share of it. What stands last is the kit's own."""

    index: int
    apic_id: int
    calling_address: int
    no_eoi_required: int = 0  # of the calling area
    doorbell: Doorbell = field(default_factory=Doorbell)
    guest: Guest = field(default_factory=Guest)
    new_guest: Guest | None = None
    new_calling_address: int | None = None
    refusing: Counter[str] = field(default_factory=Counter)

    def post(self, vector: int, level: bool) -> tuple[bool, bool]:
        """The host posts to the guest VMPL: whether that was accepted, and whether a #HV is raised."""
        if not self.doorbell.present(vector, level):
            return False, False
        flags = self.doorbell.flags
        self.doorbell.events |= VmplEvents.VMPL2.mask
        self.doorbell.flags = flags | DoorbellFlags.NO_FURTHER_SIGNAL.mask
        return True, not get(flags, DoorbellFlags.NO_FURTHER_SIGNAL)

    def move_calling_area(self, address: int) -> None:
        """The calling area is this page of zeros, from the next `call`, `enter` or `intercept` on."""
        self.new_calling_address = address


class Vm:
    """The VM of one `init`. `reg_count` is what that gave; the SVSM has its own from then on."""

    def __init__(self, ids: list[int], reg_count: int) -> None:
        self.reg_count = reg_count
        self.requests: list[dict[str, Any]] = []
        self.vcpus = [
            Vcpu(at, apic_id, OTHER_CALLING_AREAS + 4096 * at if at else FIRST_CALLING_AREA)
            for at, apic_id in enumerate(ids)
        ]
        self.late: list[dict[str, Any]] = []
        self.cancelled = 0

    def request(self, cpu: Vcpu, name: str, info1: int) -> bool:
        """Make a GHCB request to the host, `info1` is SW_EXITINFO1; False if the host refuses it."""
        self.requests.append({"cpu": cpu.index, "call": name, "info1": info1, "info2": 0})
        if not cpu.refusing[name]:
            return True
        cpu.refusing[name] -= 1
        return False

    def is_calling_area(self, address: int) -> bool:
        """Whether a page is, or is about to be, the calling area of a vCPU."""
        return any(
            address == (cpu.calling_address if moved is None else moved)
            for cpu in self.vcpus
            for moved in [cpu.new_calling_address]
        )

    def window(self, cpu: Vcpu) -> bool:
        """The switch window, which an SVSM opens between its last test of NoFurtherSignal and VMGEXIT.

        Interrupts that come late come here. True if one raised a #HV: the switch is cancelled, as if the
        guest had run and left, and the SVSM starts over.
        """
        late, self.late = self.late, []
        cancels = False
        for post in late:
            cancels |= cpu.post(post["vector"], post["level"])[1]
        self.cancelled += cancels
        return cancels
