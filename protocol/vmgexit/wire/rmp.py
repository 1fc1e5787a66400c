"""Operands and results of RMPADJUST and PVALIDATE, by which a guest changes the state of its pages.

RAX is the page's virtual address, RCX its size, RDX the operands; the status comes in EAX.
What a host does to the RMP follows: the state that RMPUPDATE sets, what it and PSMASH answer, an entry
of the table in memory, and an entry as RMPREAD answers it.

Sources: OpenVMM vm/x86/x86defs/src/snp.rs (SevRmpAdjust), COCONUT-SVSM kernel/src/sev/utils.rs,
zyuiop/ghcb src/instructions, Linux arch/x86/include/asm/sev.h (rmp_state) and arch/x86/virt/svm/sev.c
(rmpentry, rmpentry_raw).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import (
    Bits,
    Code,
    Problem,
    Record,
    Rule,
    bit,
    bits,
    nested,
    reserved,
    reserved_bytes,
    structure,
    u8,
    u32,
    u64,
)

SOURCE = "COCONUT-SVSM kernel/src/sev/utils.rs"
_KEPT = "Not described; processors keep something there (dumps in AMDESE/AMDSEV issue 245)"


class PageSize(Code):
    """Size of a page, as PVALIDATE and RMPADJUST number it."""

    SIZE_4K = 0, "4 KiB"
    SIZE_2M = 1, "2 MiB"


class PageStatus(Code):
    """EAX after PVALIDATE or RMPADJUST. The carry flag of PVALIDATE says that nothing changed."""

    SUCCESS = 0
    FAIL_INPUT = 1, "an operand is not valid"
    FAIL_PERMISSION = 2, "RMPADJUST: the VMPL's own rights do not allow it"
    FAIL_SIZEMISMATCH = 6, "the page's size in the RMP is another"


@structure("rmp-page-size", size=8, source=SOURCE)
class RmpPageSize(Bits):
    """RCX of PVALIDATE and RMPADJUST."""

    page_size: int = bits(64, "Size of the page", enum=PageSize)


@structure("rmpadjust-attributes", size=8, source="OpenVMM vm/x86/x86defs/src/snp.rs")
class RmpAdjustAttributes(Bits):
    """RDX of RMPADJUST: what a VMPL may do with the page. Only a lower VMPL than one's own."""

    target_vmpl: int = bits(8, "VMPL whose permissions are set", spec="TargetVMPL")
    read: bool = bit("It may read")
    write: bool = bit("It may write")
    execute_user: bool = bit("It may execute in user mode")
    execute_supervisor: bool = bit("It may execute in supervisor mode")
    reserved_15_12: int = reserved(4)
    vmsa: bool = bit("The page is a VMSA", spec="VMSA")
    reserved_63_17: int = reserved(47)

    def broken(self) -> Iterator[Problem]:
        if not 1 <= self.target_vmpl <= 3:
            yield Problem("target_vmpl", self.target_vmpl, "not a lower VMPL, 1 to 3", "")


@structure("pvalidate-action", size=8, source=SOURCE)
class PvalidateAction(Bits):
    """RDX of PVALIDATE."""

    validate: bool = bit("1 = validate the page, 0 = make it invalid")
    reserved_63_1: int = reserved(63)


@structure("rmp-status", size=4, source=SOURCE)
class RmpStatus(Bits):
    """EAX after PVALIDATE or RMPADJUST."""

    status: int = bits(32, "What became of it", enum=PageStatus)


class RmpUpdateStatus(Code):
    """EAX after RMPUPDATE. Source: Linux arch/x86/include/asm/sev.h; 1 to 3: its SNP RFC of 2021."""

    SUCCESS = 0
    FAIL_INPUT = 1, "an operand is not valid"
    FAIL_PERMISSION = 2, "the entry may not be changed"
    FAIL_INUSE = 3, "another processor works on the entry"
    FAIL_OVERLAP = 4, "4 KiB and 2 MiB entries would overlap"


class PsmashStatus(Code):
    """EAX after PSMASH. Source: Linux arch/x86/include/asm/sev.h; 1, 2, 4: its SNP RFC of 2021."""

    SUCCESS = 0
    FAIL_INPUT = 1, "an operand is not valid"
    FAIL_PERMISSION = 2, "the entry may not be changed"
    FAIL_INUSE = 3, "another processor works on the entry"
    FAIL_BADADDR = 4, "the address has no entry"


@structure("rmpupdate-status", size=4, source="Linux arch/x86/include/asm/sev.h")
class RmpUpdateResult(Bits):
    """EAX after RMPUPDATE."""

    status: int = bits(32, "What became of it", enum=RmpUpdateStatus)


@structure("psmash-status", size=4, source="Linux arch/x86/include/asm/sev.h")
class PsmashResult(Bits):
    """EAX after PSMASH."""

    status: int = bits(32, "What became of it", enum=PsmashStatus)


@structure("rmp-state", size=16, source="Linux arch/x86/include/asm/sev.h (rmp_state)")
class RmpState(Record):
    """What RMPUPDATE sets: 16 bytes that RCX leads to. RAX is the page's physical address."""

    gpa: int = u64("Guest-physical address of the page", spec="GPA")
    assigned: int = u8("1 = the page belongs to a guest or to the firmware")
    page_size: int = u8("Size of the page", enum=PageSize)
    immutable: int = u8("1 = RMPUPDATE cannot change the entry again")
    reserved_0x00b: bytes = reserved_bytes(1)
    asid: int = u32("ASID of the guest; 0 = the firmware", spec="ASID")

    def broken(self) -> Iterator[Problem]:
        for name in ("assigned", "immutable"):
            if getattr(self, name) > 1:
                yield Problem(name, getattr(self, name), "0 or 1", "")


@structure("rmpread-flags", size=4, source="Linux arch/x86/virt/svm/sev.c (rmpentry)")
class RmpReadFlags(Bits):
    """Bytes 0x08 to 0x0B of what RMPREAD answers."""

    assigned: bool = bit("The page belongs to a guest or to the firmware")
    reserved_7_1: int = reserved(7)
    large: bool = bit("Size: 0 = 4 KiB, 1 = 2 MiB", spec="PageSize")
    hpage_region_status: bool = bit(
        "Status of the 2 MiB region; Linux does not say more", spec="HpageRegionStatus"
    )
    reserved_15_10: int = reserved(6)
    immutable: bool = bit("RMPUPDATE cannot change the entry")
    reserved_23_17: int = reserved(7)
    reserved_31_24: int = reserved(8)


@structure("rmpread-entry", size=16, source="Linux arch/x86/virt/svm/sev.c (rmpentry)")
class RmpReadEntry(Record):
    """An RMP entry as RMPREAD answers it: 16 bytes, the same on every processor that has it."""

    gpa: int = u64("Guest-physical address of the page", spec="GPA")
    flags: RmpReadFlags = nested(RmpReadFlags, "What the page is")
    asid: int = u32("ASID of the guest; 0 = the firmware", spec="ASID")


@structure("rmp-entry", size=8, source="Linux arch/x86/virt/svm/sev.c (rmpentry_raw)")
class RmpEntry(Bits):
    """First half of an RMP entry of Zen 3 and Zen 4, as Linux dumps it. Not architectural.

    The processor writes it, so that no bit is wrong: in entries that are in use, 11:3 and 63 are set.
    """

    assigned: bool = bit("The page belongs to a guest or to the firmware")
    large: bool = bit("Size: 0 = 4 KiB, 1 = 2 MiB", spec="PageSize")
    immutable: bool = bit("RMPUPDATE cannot change the entry")
    reserved_11_3: int = reserved(9, Rule.IGNORED, meaning=_KEPT)
    frame: int = bits(39, "Guest frame number", spec="GPA")
    asid: int = bits(10, "ASID of the guest; 0 = the firmware", spec="ASID")
    vmsa: bool = bit("The page is a VMSA", spec="VMSA")
    validated: bool = bit("The guest has validated the page")
    reserved_63: int = reserved(1, Rule.IGNORED, meaning=_KEPT)


@structure("rmp-table-entry", size=16, source="Linux arch/x86/virt/svm/sev.c (rmpentry_raw)")
class RmpTableEntry(Record):
    """An entry of the RMP in memory, of Zen 3 and Zen 4. The first one is 16 KiB after RMP_BASE."""

    low: RmpEntry = nested(RmpEntry, "What the page is", spec="lo")
    high: int = u64("Second half; Linux dumps it and does not say what it holds", spec="hi")
