"""AVIC: the words of its two exits, and the backing page of Secure AVIC.

A processor with AVIC carries out most accesses to the APIC itself. Exit 0x401 is an IPI that it could
not deliver, exit 0x402 an access that it does not carry out. With Secure AVIC the APIC's registers are
in a page of the guest's own, which SECURE_AVIC_CONTROL names.

Sources: OpenVMM vm/x86/x86defs/src/snp.rs (SevAvicPage, SevAvicIncompleteIpiInfo1 and 2,
SevAvicNoAccelInfo), Linux arch/x86/include/asm/svm.h (AVIC_) and
arch/x86/kernel/apic/x2apic_savic.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import (
    Bits,
    Code,
    Note,
    Problem,
    Record,
    Rule,
    array,
    bit,
    bits,
    nested,
    reserved,
    reserved_bytes,
    structure,
    u32,
)
from .readings import notes_on

OPENVMM = "OpenVMM vm/x86/x86defs/src/snp.rs"
LINUX = "Linux arch/x86/include/asm/svm.h"
SAVIC = "Linux arch/x86/kernel/apic/x2apic_savic.c"
SOURCE = f"{OPENVMM}; {LINUX}"


class AvicRegister(IntEnum):
    """Registers of an APIC: their offset in its page over 16, or their x2APIC MSR less 0x800."""

    ID = 0x02
    VERSION = 0x03
    TPR = 0x08
    APR = 0x09
    PPR = 0x0A
    EOI = 0x0B
    REMOTE_READ = 0x0C
    LDR = 0x0D
    DFR = 0x0E
    SPURIOUS = 0x0F
    ISR0, ISR1, ISR2, ISR3, ISR4, ISR5, ISR6, ISR7 = range(0x10, 0x18)
    TMR0, TMR1, TMR2, TMR3, TMR4, TMR5, TMR6, TMR7 = range(0x18, 0x20)
    IRR0, IRR1, IRR2, IRR3, IRR4, IRR5, IRR6, IRR7 = range(0x20, 0x28)
    ERROR = 0x28
    ICR_LOW = 0x30
    ICR_HIGH = 0x31
    LVT_TIMER = 0x32
    LVT_THERMAL = 0x33
    LVT_PERFORMANCE = 0x34
    LVT_LINT0 = 0x35
    LVT_LINT1 = 0x36
    LVT_ERROR = 0x37
    INITIAL_COUNT = 0x38
    CURRENT_COUNT = 0x39
    DIVIDER = 0x3E
    SELF_IPI = 0x3F


class AvicIpiFailure(Code):
    """Why the processor could not deliver an IPI."""

    INVALID_TYPE = 0, "not an interrupt of the kinds that it delivers"
    NOT_RUNNING = 1, "a target does not run"
    INVALID_TARGET = 2, "the tables have no such target"
    INVALID_BACKING_PAGE = 3, "a target's backing page is not valid"
    INVALID_VECTOR = 4, "the vector is not allowed"
    UNACCELERATED = 5, "not accelerated; OpenVMM alone has it"


@structure("avic-incomplete-ipi", size=8, source=OPENVMM)
class AvicIncompleteIpi(Bits):
    """EXITINFO1 of exit 0x401: what the guest wrote to the ICR, in the layout of `apic-icr`."""

    icr_low: int = bits(32, "Low half of the ICR", spec="ICRL")
    icr_high: int = bits(32, "High half of the ICR: the destination", spec="ICRH")


@structure("avic-incomplete-ipi-cause", size=8, source=SOURCE)
class AvicIncompleteIpiCause(Bits):
    """EXITINFO2 of exit 0x401: why the IPI was not delivered, and to whom."""

    index: int = bits(12, "Index into the table of APIC IDs, where that is why")
    reserved_31_12: int = reserved(20, Rule.IGNORED)
    failure: int = bits(32, "Why the IPI was not delivered", enum=AvicIpiFailure, spec="ID")

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


@structure("avic-noaccel", size=8, source=SOURCE)
class AvicNoaccel(Bits):
    """EXITINFO1 of exit 0x402: which register the guest accessed, and how."""

    reserved_3_0: int = reserved(4)
    register: int = bits(
        8, "Register: its offset in the page over 16", enum=AvicRegister, spec="APIC_Offset"
    )
    reserved_31_12: int = reserved(20)
    write: bool = bit("A write", spec="R/W")
    reserved_63_33: int = reserved(31)


@structure("avic-noaccel-vector", size=8, source=LINUX)
class AvicNoaccelVector(Bits):
    """EXITINFO2 of exit 0x402: the vector that a write to EOI was for."""

    vector: int = bits(32, "Vector of the interrupt in service", spec="Vector")
    reserved_63_32: int = reserved(32, Rule.IGNORED)


@structure("avic-register", size=16, source=OPENVMM)
class AvicRegisterCell(Record):
    """A register of the backing page: 4 bytes in a cell of 16."""

    value: int = u32("Value")
    reserved_0x004: bytes = reserved_bytes(12)


@structure("avic-irr-register", size=16, source=f"{OPENVMM}; {SAVIC}")
class AvicIrrCell(Record):
    """32 bits of the IRR in the backing page, and which of them the host may request."""

    value: int = u32("32 bits of the IRR")
    allowed: int = u32("Which of them the host may request", spec="AllowedIRR")
    nmi_request: int = u32(
        "1 asks for an NMI; in the last cell only, page offset 0x278. OpenVMM reserves it",
        spec="NMI_REQ",
    )
    reserved_0x00c: bytes = reserved_bytes(4)

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


@structure("avic-icr-register", size=16, source=f"{OPENVMM}; {SAVIC}")
class AvicIcrCell(Record):
    """The ICR in the backing page. Linux writes all 64 bits here, OpenVMM the low half."""

    low: int = u32("Low half of the ICR")
    high: int = u32("High half of the ICR, as Linux writes it")
    reserved_0x008: bytes = reserved_bytes(8)

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


def _cell(meaning: str, spec: str) -> AvicRegisterCell:
    held: AvicRegisterCell = nested(AvicRegisterCell, meaning, spec=spec)
    return held


def _cells(count: int, meaning: str, spec: str) -> list[AvicRegisterCell]:
    held: list[AvicRegisterCell] = array(AvicRegisterCell, count, meaning, spec=spec)
    return held


@structure("secure-avic-page", size=4096, source=f"{OPENVMM} (SevAvicPage); {SAVIC}")
class SecureAvicPage(Record):
    """Backing page of Secure AVIC: 4 KiB of the guest's own, one for each vCPU."""

    reserved_0x000: bytes = reserved_bytes(32)
    id: AvicRegisterCell = _cell("APIC ID", "ID")
    version: AvicRegisterCell = _cell("Version of the APIC", "Version")
    reserved_0x040: bytes = reserved_bytes(64)
    tpr: AvicRegisterCell = _cell("Task priority", "TPR")
    apr: AvicRegisterCell = _cell("Arbitration priority", "APR")
    ppr: AvicRegisterCell = _cell("Processor priority", "PPR")
    eoi: AvicRegisterCell = _cell("End of interrupt", "EOI")
    remote_read: AvicRegisterCell = _cell("Remote read", "RRR")
    ldr: AvicRegisterCell = _cell("Logical destination", "LDR")
    dfr: AvicRegisterCell = _cell("Destination format", "DFR")
    spurious: AvicRegisterCell = _cell("Vector of spurious interrupts", "SVR")
    isr: list[AvicRegisterCell] = _cells(8, "Interrupts in service", "ISR")
    tmr: list[AvicRegisterCell] = _cells(8, "Interrupts that are level-triggered", "TMR")
    irr: list[AvicIrrCell] = array(AvicIrrCell, 8, "Interrupts that are requested", spec="IRR")
    error: AvicRegisterCell = _cell("Error status", "ESR")
    reserved_0x290: bytes = reserved_bytes(96)
    lvt_cmci: AvicRegisterCell = _cell("Local vector of corrected machine checks", "LVT CMCI")
    icr: AvicIcrCell = nested(AvicIcrCell, "Interrupt command", spec="ICR")
    icr_high: AvicRegisterCell = _cell("High half of the interrupt command", "ICR2")
    lvt_timer: AvicRegisterCell = _cell("Local vector of the timer", "LVT Timer")
    lvt_thermal: AvicRegisterCell = _cell("Local vector of the thermal sensor", "LVT Thermal")
    lvt_performance: AvicRegisterCell = _cell("Local vector of performance counters", "LVT PC")
    lvt_lint0: AvicRegisterCell = _cell("Local vector of LINT0", "LVT LINT0")
    lvt_lint1: AvicRegisterCell = _cell("Local vector of LINT1", "LVT LINT1")
    lvt_error: AvicRegisterCell = _cell("Local vector of errors", "LVT Error")
    initial_count: AvicRegisterCell = _cell("Initial count of the timer", "Timer ICR")
    current_count: AvicRegisterCell = _cell("Current count of the timer", "Timer CCR")
    reserved_0x3a0: bytes = reserved_bytes(64)
    divider: AvicRegisterCell = _cell("Divider of the timer", "Timer DCR")
    self_ipi: AvicRegisterCell = _cell("Self IPI", "Self IPI")
    extended_features: AvicRegisterCell = _cell("Features of the extended APIC", "EAFR")
    extended_control: AvicRegisterCell = _cell("Control of the extended APIC", "EACR")
    specific_eoi: AvicRegisterCell = _cell("Specific end of interrupt", "SEOI")
    reserved_0x430: bytes = reserved_bytes(80)
    ier: list[AvicRegisterCell] = _cells(8, "Interrupts that are enabled", "IER")
    extended_lvt: list[AvicRegisterCell] = _cells(
        3, "Local vectors of extended interrupts", "EILVT"
    )
    reserved_0x530: bytes = reserved_bytes(0xAD0)

    def broken(self) -> Iterator[Problem]:
        for number, cell in enumerate(self.irr[:-1]):
            if cell.nmi_request:
                path = f"irr[{number}].nmi_request"
                yield Problem(path, cell.nmi_request, "only the last cell has it", "")
