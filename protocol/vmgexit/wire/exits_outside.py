"""Exits that no GHCB carries: those that a processor puts into a VMSA, or hands to a guest as #VC."""

from __future__ import annotations

from .exit import Exit, Where, Word
from .exit_codes import ExitCode
from .exit_information import information_words

LINUX = "Linux arch/x86/include/uapi/asm/svm.h"
OPENVMM = "OpenVMM vm/x86/x86defs/src/snp.rs"

EXITS_OUTSIDE_A_GHCB = (
    Exit(
        ExitCode.EXCEPTION_AC,
        "alignment check, 0x40 + 17; handled in the guest",
        where=Where.EXCEPTION,
        source="Linux arch/x86/coco/sev",
    ),
    Exit(
        ExitCode.NPF,
        "nested page fault: MMIO that the guest emulates by exits 0x80000001 and 0x80000002",
        info1=Word("why the access failed", information_words(ExitCode.NPF)[0]),
        info2=Word("guest-physical address of the access", value=True),
        where=Where.EXCEPTION,
        source=OPENVMM,
    ),
    Exit(
        ExitCode.AVIC_INCOMPLETE_IPI,
        "the APIC could not deliver an IPI; the instruction is done",
        info1=Word("what the ICR was to be", information_words(ExitCode.AVIC_INCOMPLETE_IPI)[0]),
        info2=Word("why", information_words(ExitCode.AVIC_INCOMPLETE_IPI)[1]),
        where=Where.VMSA,
        source=OPENVMM,
    ),
    Exit(
        ExitCode.AVIC_NOACCEL,
        "access to a register that the APIC does not carry out",
        info1=Word("which register, and how", information_words(ExitCode.AVIC_NOACCEL)[0]),
        info2=Word("vector of an EOI", information_words(ExitCode.AVIC_NOACCEL)[1]),
        where=Where.VMSA,
        source=OPENVMM,
    ),
    Exit(
        ExitCode.PAGE_NOT_VALIDATED,
        "access to a page that is not validated",
        where=Where.EXCEPTION,
        source=OPENVMM,
    ),
    Exit(ExitCode.IDLE_HLT, "HLT with nothing pending", where=Where.VMSA, source=OPENVMM),
    Exit(ExitCode.VMGEXIT, "the guest executed VMGEXIT", where=Where.VMSA, source=OPENVMM),
    Exit(
        ExitCode.NOT_RESTARTABLE,
        "AVIC backing page not validated",
        where=Where.VMSA,
        source=OPENVMM,
    ),
    Exit(ExitCode.INVALID, "the VMSA cannot be run", where=Where.VMSA, source=OPENVMM),
    Exit(ExitCode.BUSY, "the VMSA's busy bit is set", where=Where.VMSA, source=OPENVMM),
    Exit(ExitCode.IDLE_REQUIRED, "a core must be idle first", where=Where.VMSA, source=OPENVMM),
    Exit(ExitCode.INVALID_PMC, "invalid counter state", where=Where.VMSA, source=OPENVMM),
    Exit(
        ExitCode.SOFTWARE,
        "for a hypervisor's own use",
        where=Where.NOWHERE,
        source=LINUX,
    ),
)
