"""Operands of INVLPGB, by which a processor removes translations from the TLBs of all processors.

RAX says which translations and where the range starts, ECX how long it is, EDX whose they are.
TLBSYNC waits for it.

Sources: OpenVMM vm/x86/x86defs/src/snp.rs (SevInvlpgbRax, SevInvlpgbEdx, SevInvlpgbEcx),
COCONUT-SVSM kernel/src/sev/tlb.rs.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Bits, Note, bit, bits, reserved, structure
from .readings import notes_on

OPENVMM = "OpenVMM vm/x86/x86defs/src/snp.rs"
SOURCE = f"{OPENVMM}; COCONUT-SVSM kernel/src/sev/tlb.rs"


@structure("invlpgb-rax", size=8, source=SOURCE)
class InvlpgbRax(Bits):
    """RAX of INVLPGB: which translations go."""

    va_valid: bool = bit("Those of the address and count only")
    pcid_valid: bool = bit("Those of the PCID in EDX only", spec="PCIDValid")
    asid_valid: bool = bit("Those of the ASID in EDX only", spec="ASIDValid")
    include_global: bool = bit("Global translations, too", spec="Global")
    final_only: bool = bit("Final translations only, not those of upper levels")
    nested: bool = bit("Nested translations, too")
    reserved_11_6: int = reserved(6)
    virtual_page: int = bits(52, "Number of the first virtual page", spec="VA")


@structure("invlpgb-ecx", size=4, source=SOURCE)
class InvlpgbEcx(Bits):
    """ECX of INVLPGB: how many pages, and how large."""

    count: int = bits(16, "Pages after the first one: 0 = one page")
    reserved_30_16: int = reserved(15)
    large: bool = bit("Steps of 2 MiB, not of 4 KiB")

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


@structure("invlpgb-edx", size=4, source=OPENVMM)
class InvlpgbEdx(Bits):
    """EDX of INVLPGB: whose translations go."""

    asid: int = bits(16, "ASID; COCONUT-SVSM and OpenVMM, as guests, write 0", spec="ASID")
    pcid: int = bits(12, "PCID", spec="PCID")
    reserved_31_28: int = reserved(4)
