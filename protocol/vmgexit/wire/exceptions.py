"""The exceptions of the processor: what a vector below 32 is, in EVENTINJ and in an exit's code."""

from __future__ import annotations

from ..schema import Code, meaning_of, members

SOURCE = "AMD APM volume 2 (24593), table 8-1; Linux arch/x86/include/asm/trapnr.h"


class ExceptionVector(Code):
    """An exception by its vector, under the mnemonic that stands behind `#`."""

    DE = 0, "divide error"
    DB = 1, "debug"
    NMI = 2, "non-maskable interrupt"
    BP = 3, "breakpoint"
    OF = 4, "overflow"
    BR = 5, "bound range"
    UD = 6, "invalid opcode"
    NM = 7, "device not available"
    DF = 8, "double fault"
    TS = 10, "invalid TSS"
    NP = 11, "segment not present"
    SS = 12, "stack"
    GP = 13, "general protection"
    PF = 14, "page fault"
    MF = 16, "x87 floating-point error"
    AC = 17, "alignment check"
    MC = 18, "machine check"
    XF = 19, "SIMD floating-point error"
    CP = 21, "control protection"
    HV = 28, "hypervisor injection: the host has something in the doorbell page"
    VC = 29, "VMM communication: an instruction that the host has to emulate"
    SX = 30, "security"


def exception(vector: int) -> str:
    """`#VC, VMM communication: ...`; "" for a vector that is no exception's."""
    member = members(ExceptionVector).get(vector)
    return "" if member is None else f"#{member.name}, {meaning_of(member)}"
