"""The CPUID page: what CPUID answers, as the firmware checked it when the guest was launched.

The host writes the page, the firmware refuses answers that the processor would not give, and the guest
reads it in place of asking the host. Its launch page type is 6.

Sources: Linux arch/x86/include/asm/sev.h (snp_cpuid_fn, snp_cpuid_table), COCONUT-SVSM
cpuarch/src/snp_cpuid.rs, OpenVMM vm/x86/x86defs/src/snp.rs (HvPspCpuidPage).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import (
    Note,
    Problem,
    Record,
    array,
    reserved_bytes,
    structure,
    u32,
    u64,
)

SOURCE = "Linux arch/x86/include/asm/sev.h; OpenVMM vm/x86/x86defs/src/snp.rs"

MAX_FUNCTIONS = 64
"""Entries of a page. The firmware takes no more."""


@structure("cpuid-function", size=48, source=SOURCE)
class CpuidFunction(Record):
    """One function of the CPUID page: inputs and answer, 48 bytes."""

    eax_in: int = u32("Function", spec="EAX_IN")
    ecx_in: int = u32("Sub-leaf", spec="ECX_IN")
    xcr0_in: int = u64("XCR0 that the answer is for, in function 0xD", spec="XCR0_IN")
    xss_in: int = u64("XSS that the answer is for, in function 0xD", spec="XSS_IN")
    eax: int = u32("Answer in EAX", spec="EAX")
    ebx: int = u32("Answer in EBX", spec="EBX")
    ecx: int = u32("Answer in ECX", spec="ECX")
    edx: int = u32("Answer in EDX", spec="EDX")
    reserved_0x028: bytes = reserved_bytes(8)


@structure("cpuid-page", size=4096, source=SOURCE)
class CpuidPage(Record):
    """CPUID page: one 4 KiB page of a guest."""

    count: int = u32("How many functions follow, at most 64", spec="COUNT")
    reserved_0x004: bytes = reserved_bytes(12)
    functions: list[CpuidFunction] = array(
        CpuidFunction, MAX_FUNCTIONS, "Functions, the first `count` of them"
    )
    reserved_0xc10: bytes = reserved_bytes(1008)

    def broken(self) -> Iterator[Problem]:
        if self.count > MAX_FUNCTIONS:
            yield Problem("count", self.count, f"a page holds {MAX_FUNCTIONS} functions", "")

    def notes(self) -> Iterator[Note]:
        for function in self.functions[: self.count]:
            inputs = f"CPUID {function.eax_in:#010x}, sub-leaf {function.ecx_in:#x}"
            registers = (function.eax, function.ebx, function.ecx, function.edx)
            answer = " ".join(f"{register:08x}" for register in registers)
            yield Note("functions", f"{inputs}: eax ebx ecx edx {answer}")
