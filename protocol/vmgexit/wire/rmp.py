"""Operands and results of RMPADJUST and PVALIDATE, by which a guest changes the state of its pages.

RAX is the page's virtual address, RCX its size, RDX what is to be done; the status comes in EAX.

Sources: OpenVMM vm/x86/x86defs/src/snp.rs (SevRmpAdjust), COCONUT-SVSM kernel/src/sev/utils.rs,
zyuiop/ghcb src/instructions.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import Bits, Problem, bit, bits, reserved, structure

SOURCE = "COCONUT-SVSM kernel/src/sev/utils.rs"


class PageSize(IntEnum):
    """Size of a page, as PVALIDATE and RMPADJUST number it."""

    SIZE_4K = 0
    SIZE_2M = 1


class PageStatus(IntEnum):
    """EAX after PVALIDATE or RMPADJUST. The carry flag of PVALIDATE says that nothing changed."""

    SUCCESS = 0
    FAIL_INPUT = 1
    FAIL_PERMISSION = 2  # RMPADJUST
    FAIL_SIZEMISMATCH = 6


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
