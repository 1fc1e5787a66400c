"""The GHCB page: what a guest shares with its host at a VMGEXIT, and the bitmap that says which.

One page per vCPU, not encrypted. A field counts only if its bit of `valid_bitmap` is set: bit
(offset / 8), so fields from 0x3F0 on have none. `set` and `mark` keep the bitmap right; `for_exit`
builds a page with exactly the bits that the exit needs. What each exit puts where is in `exits`.

Sources: COCONUT-SVSM kernel/src/sev/ghcb.rs (offsets asserted there), OpenVMM
vm/x86/x86defs/src/snp.rs, edk2 MdePkg/Include/Register/Amd/Ghcb.h, Linux
arch/x86/include/asm/svm.h, Oak oak_sev_guest/src/ghcb.rs, mushroom common/snp-types/src/ghcb.rs.
"""

from __future__ import annotations

from enum import IntEnum

from ..errors import EncodeError
from ..schema import (
    Code,
    Record,
    bitmap,
    raw,
    reserved_bytes,
    set_numbers,
    structure,
    u8,
    u16,
    u32,
    u64,
)

SOURCE = "COCONUT-SVSM kernel/src/sev/ghcb.rs"
NAMED_BY = "COCONUT-SVSM kernel/src/sev/ghcb.rs; OpenVMM x86defs snp.rs; Linux asm/svm.h"

BUFFER_OFFSET = 0x800
BUFFER_SIZE = 0x7F0
BUFFER_END = BUFFER_OFFSET + BUFFER_SIZE
MMIO_LIMIT = 8  # bytes of an access, from version 2 on; KVM commits 1aa8a6dc and dcf1b2d4
SCRATCH_LIMIT = (
    65536  # bytes of a scratch area outside the page, in version 1; KVM GHCB_SCRATCH_AREA_LIMIT
)
BITMAP_OFFSET = 0x3F0
"""Fields from here on have no valid bit."""

ALWAYS_VALID = ("sw_exit_code", "sw_exit_info_1", "sw_exit_info_2")
"""Marked valid at every VMGEXIT, zero or not. Source: KVM sev_es_validate_vmgexit."""


class ProtocolVersion(IntEnum):
    """GHCB protocol versions, as a page states them. What the VM negotiated is not in the page."""

    UNSTATED = 0  # nobody wrote the field; the negotiated version holds
    V1 = 1  # SEV-ES
    V2 = 2  # SEV-SNP; the scratch area must be the page's own buffer


class GhcbUsage(Code):
    """What the page holds. KVM accepts STANDARD only; the others are Hyper-V's (OpenVMM)."""

    STANDARD = 0
    HYPERCALL = 1
    VTL_RETURN = 2
    INVALID = 0xFFFFFFFF


def valid_bit(cls: type[Record], name: str) -> int:
    """The number of the valid bit of field `name`.

    Raises EncodeError for the fields that have none. Source: edk2 CcExitLib.c, Linux asm/svm.h.
    """
    offset = cls.declaration[name].byte_offset
    if offset >= BITMAP_OFFSET:
        raise EncodeError(f"{name}: no valid bit stands for offset {offset:#x}", path=name)
    return offset // 8


@structure("ghcb", size=4096, source=NAMED_BY, rules="vmgexit.rules.exits")
class GhcbPage(Record):
    """GHCB: 4 KiB page shared between a guest's vCPU and the host.

    Fields to 0x3EF stand at the offsets that they have in the VMSA.
    """

    reserved_0x000: bytes = reserved_bytes(203)
    cpl: int = u8("Privilege level; its valid bit is that of the quadword at 0x0C8")
    reserved_0x0cc: bytes = reserved_bytes(116)
    xss: int = u64("XSS, for CPUID leaf 0xD sub-leaf 1", spec="XSS")
    reserved_0x148: bytes = reserved_bytes(24)
    dr7: int = u64("Debug control register", spec="DR7")
    reserved_0x168: bytes = reserved_bytes(16)
    rip: int = u64("Instruction pointer", spec="RIP")
    reserved_0x180: bytes = reserved_bytes(88)
    rsp: int = u64("Stack pointer", spec="RSP")
    reserved_0x1e0: bytes = reserved_bytes(24)
    rax: int = u64("RAX", spec="RAX")
    reserved_0x200: bytes = reserved_bytes(264)
    rcx: int = u64("RCX", spec="RCX")
    rdx: int = u64("RDX", spec="RDX")
    rbx: int = u64("RBX", spec="RBX")
    reserved_0x320: bytes = reserved_bytes(8)
    rbp: int = u64("RBP", spec="RBP")
    rsi: int = u64("RSI", spec="RSI")
    rdi: int = u64("RDI", spec="RDI")
    r8: int = u64("R8", spec="R8")
    r9: int = u64("R9", spec="R9")
    r10: int = u64("R10", spec="R10")
    r11: int = u64("R11", spec="R11")
    r12: int = u64("R12", spec="R12")
    r13: int = u64("R13", spec="R13")
    r14: int = u64("R14", spec="R14")
    r15: int = u64("R15", spec="R15")
    reserved_0x380: bytes = reserved_bytes(16)
    sw_exit_code: int = u64("Exit code: which event", spec="SW_EXITCODE")
    sw_exit_info_1: int = u64(
        "In: first argument of the event. Out: status in bits 31:0", spec="SW_EXITINFO1"
    )
    sw_exit_info_2: int = u64(
        "In: second argument. Out: result, or what the status means", spec="SW_EXITINFO2"
    )
    sw_scratch: int = u64("Guest-physical address of the data buffer", spec="SW_SCRATCH")
    reserved_0x3b0: bytes = reserved_bytes(56)
    xcr0: int = u64("XCR0, for CPUID leaf 0xD", spec="XCR0")
    valid_bitmap: int = bitmap(
        16, "Which quadwords below 0x3F0 are valid: bit (offset / 8)", spec="VALID_BITMAP"
    )
    x87_state_gpa: int = u64("Guest-physical address of the x87 state", spec="X87_STATE_GPA")
    reserved_0x408: bytes = reserved_bytes(0x3F8)
    shared_buffer: bytes = raw(BUFFER_SIZE, "Data of the event", spec="SharedBuffer")
    reserved_0xff0: bytes = reserved_bytes(10)
    protocol_version: int = u16("Version that the guest speaks", enum=ProtocolVersion)
    ghcb_usage: int = u32("What the page holds; 0 = this layout", enum=GhcbUsage)

    @classmethod
    def for_exit(
        cls,
        code: int,
        info1: int = 0,
        info2: int = 0,
        *,
        gpa: int = 0,
        buffer: bytes = b"",
        version: int = ProtocolVersion.V2,
        **fields: int,
    ) -> GhcbPage:
        """The page of a request: exit `code` with its arguments and exactly its valid bits.

        `gpa` is the page's own address, from which the scratch address follows where the exit uses
        the buffer; `buffer` is what the buffer begins with. Raises EncodeError when a field that
        the exit needs is not given, or one is given that it does not take.
        """
        from .exit import Where
        from .exits import find_exit

        row = find_exit(code)
        if row is None or row.where is not Where.GHCB:
            found = "not known" if row is None else row.direction
            raise EncodeError(f"sw_exit_code: {code:#x} is no exit of a GHCB: {found}")
        page = cls(protocol_version=version)
        for name, value in zip(ALWAYS_VALID, (code, info1, info2), strict=True):
            page.set(name, value)
        for name, value in fields.items():
            if name not in row.may and all(name != need.field for need in row.needs):
                raise EncodeError(f"{name}: {row.name} does not take it", path=name)
            page.set(name, value)
        if buffer:
            page.write_buffer(buffer)
        for need in row.needs:
            if need.field in fields or not need.applies(page):
                continue
            if need.field != "sw_scratch":
                raise EncodeError(f"{need.field}: {row.name} needs it", path=need.field)
            page.set("sw_scratch", gpa + BUFFER_OFFSET)
        return page

    def is_valid(self, name: str) -> bool:
        """Whether the valid bit of field `name` is set."""
        return bool(self.valid_bitmap >> valid_bit(type(self), name) & 1)

    def mark(self, name: str, valid: bool = True) -> None:
        """Set the valid bit of field `name`, or clear it."""
        mask = 1 << valid_bit(type(self), name)
        self.valid_bitmap = self.valid_bitmap | mask if valid else self.valid_bitmap & ~mask

    def set(self, name: str, value: int) -> None:
        """Store `value` in field `name` and mark it valid."""
        self.mark(name)
        setattr(self, name, value)

    def valid_fields(self) -> list[str]:
        """The fields that are marked valid, in the order of their offsets."""
        bits = set(set_numbers(self.valid_bitmap))
        return [
            field.name
            for field in self.declaration.fields
            if field.rule is None
            and field.byte_offset < BITMAP_OFFSET
            and field.byte_offset // 8 in bits
        ]

    def write_buffer(self, data: bytes, offset: int = 0) -> None:
        """Put `data` into the shared buffer at `offset`. Raises EncodeError if it does not fit."""
        if offset < 0 or offset + len(data) > BUFFER_SIZE:
            raise EncodeError(
                f"shared_buffer: {len(data)} bytes at {offset} do not fit {BUFFER_SIZE}",
                path="shared_buffer",
            )
        held = self.shared_buffer
        self.shared_buffer = held[:offset] + bytes(data) + held[offset + len(data) :]

    @property
    def is_answer(self) -> bool:
        """Whether the page holds a host's answer: status valid, and no exit code that is.

        KVM clears the bitmap before it marks what it returns.
        """
        return self.is_valid("sw_exit_info_1") and not self.is_valid("sw_exit_code")


@structure("ghcb", size=4096, revision="edk2", source="edk2 MdePkg/Include/Register/Amd/Ghcb.h")
class GhcbPageEdk2(Record):
    """GHCB as edk2, mushroom and Oak read it: fewer registers named, the others reserved.

    edk2 reserves XSS and DR7 as well, which mushroom and Oak name.
    """

    reserved_0x000: bytes = reserved_bytes(203)
    cpl: int = u8("Privilege level")
    reserved_0x0cc: bytes = reserved_bytes(300)
    rax: int = u64("RAX", spec="Rax")
    reserved_0x200: bytes = reserved_bytes(264)
    rcx: int = u64("RCX", spec="Rcx")
    rdx: int = u64("RDX", spec="Rdx")
    rbx: int = u64("RBX", spec="Rbx")
    reserved_0x320: bytes = reserved_bytes(112)
    sw_exit_code: int = u64("Exit code: which event", spec="SwExitCode")
    sw_exit_info_1: int = u64("First argument; status on return", spec="SwExitInfo1")
    sw_exit_info_2: int = u64("Second argument; result on return", spec="SwExitInfo2")
    sw_scratch: int = u64("Guest-physical address of the data buffer", spec="SwScratch")
    reserved_0x3b0: bytes = reserved_bytes(56)
    xcr0: int = u64("XCR0", spec="XCr0")
    valid_bitmap: int = bitmap(16, "Which quadwords below 0x3F0 are valid: bit (offset / 8)")
    x87_state_gpa: int = u64("Guest-physical address of the x87 state", spec="X87StateGpa")
    reserved_0x408: bytes = reserved_bytes(1016)
    shared_buffer: bytes = raw(BUFFER_SIZE, "Data of the event")
    reserved_0xff0: bytes = reserved_bytes(10)
    protocol_version: int = u16("Version that the guest speaks", enum=ProtocolVersion)
    ghcb_usage: int = u32("What the page holds; 0 = this layout", enum=GhcbUsage)


@structure("ghcb-hypercall", size=4096, source="OpenVMM vm/x86/x86defs/src/snp.rs")
class GhcbHypercallPage(Record):
    """The page with usage 1: a Hyper-V hypercall instead of an exit."""

    data: bytes = raw(4072, "Input or output of the hypercall")
    output_gpa: int = u64("Guest-physical address of the output")
    control: int = u64("In: input control word. Out: output control word")
    reserved_0xff8: bytes = reserved_bytes(2)
    protocol_version: int = u16("Version that the guest speaks", enum=ProtocolVersion)
    ghcb_usage: int = u32("1: this layout", enum=GhcbUsage)
