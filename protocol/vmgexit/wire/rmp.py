"""Operands and results of RMPADJUST and PVALIDATE, by which a guest changes the state of its pages.

RAX is the page's virtual address, RCX its size, RDX the operands; the status comes in EAX. What a
host does to the RMP follows: the statuses of RMPUPDATE and PSMASH, and an entry as kernels dump it.

Sources: OpenVMM vm/x86/x86defs/src/snp.rs (SevRmpAdjust), COCONUT-SVSM kernel/src/sev/utils.rs,
zyuiop/ghcb src/instructions.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Bits, Code, Problem, bit, bits, reserved, structure

SOURCE = "COCONUT-SVSM kernel/src/sev/utils.rs"


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


@structure("rmp-entry", size=8, source="Linux arch/x86/virt/svm/sev.c (rmpentry_raw)")
class RmpEntry(Bits):
    """First half of an RMP entry of Zen 3 and Zen 4, as Linux dumps it. Not architectural."""

    assigned: bool = bit("The page belongs to a guest or to the firmware")
    large: bool = bit("Size: 0 = 4 KiB, 1 = 2 MiB", spec="PageSize")
    immutable: bool = bit("RMPUPDATE cannot change the entry")
    reserved_11_3: int = reserved(9)
    frame: int = bits(39, "Guest frame number", spec="GPA")
    asid: int = bits(10, "ASID of the guest; 0 = the firmware", spec="ASID")
    vmsa: bool = bit("The page is a VMSA", spec="VMSA")
    validated: bool = bit("The guest has validated the page")
    reserved_63: int = reserved(1)
