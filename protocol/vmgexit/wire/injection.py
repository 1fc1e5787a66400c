"""Restricted and Alternate Injection seen from the exits: doorbell, IPI, EOI, configure, disable.

Also run VMPL and secure AVIC, whose single words have nowhere else to live. The doorbell page itself
is in `doorbell`; the IPI's word is the ICR of `apic`.

Sources: COCONUT-SVSM kernel/src/sev/ghcb.rs (calls of a guest; no host that answers configure,
disable and specific EOI has been published), KVM restricted-injection RFC (mail), linux-svsm
src/cpu/vc.rs, Linux arch/x86/include/uapi/asm/svm.h.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Bits, Code, Note, Problem, bit, bits, reserved, structure
from .doorbell import LOWEST_VECTOR
from .readings import notes_on

SOURCE = "COCONUT-SVSM kernel/src/sev/ghcb.rs"

NO_PAGE = (1 << 64) - 1
"""SW_EXITINFO2 that answers doorbell queries: no preference, none registered."""

SELF = (1 << 64) - 1
"""RAX of the secure AVIC exit: the calling vCPU."""

NOTIFY_VECTOR = 0x50
"""The vector that COCONUT-SVSM asks the host to notify it with. Source: cpu/idt/common.rs."""


class DoorbellOperation(Code):
    """SW_EXITINFO1 of exit 0x80000014."""

    GET_PREFERRED = 0, "SW_EXITINFO2 answers an address, all ones = no preference"
    SET = 1, "SW_EXITINFO2 is the address, and answers it"
    QUERY = 2, "SW_EXITINFO2 answers the address registered, all ones = none"
    CLEAR = 3


@structure("doorbell-info", size=8, source="KVM restricted-injection RFC (mail)")
class DoorbellInfo(Bits):
    """SW_EXITINFO1 of the #HV doorbell page exit."""

    operation: int = bits(64, "What to do with the doorbell page", enum=DoorbellOperation)


@structure("configure-injection", size=8, source=SOURCE)
class ConfigureInjection(Bits):
    """SW_EXITINFO1 of exit 0x8000001B: how the host tells VMPL 0 of a lower VMPL's events."""

    vector: int = bits(8, "Vector that the host raises for VMPL 0")
    reserved_63_8: int = reserved(56)

    def broken(self) -> Iterator[Problem]:
        if self.vector < LOWEST_VECTOR:
            rule = f"vectors below {LOWEST_VECTOR} are exceptions"
            yield Problem("vector", self.vector, rule, "INV-2")


@structure("disable-injection", size=8, clause="EXIT-1", source=SOURCE)
class DisableInjection(Bits):
    """SW_EXITINFO1 of exit 0x8000001C: the host takes a vCPU's interrupts over from the SVSM."""

    interrupts_enabled: bool = bit("RFLAGS.IF of the guest", spec="IF")
    interrupt_shadow: bool = bit("The guest is in an interrupt shadow")
    reserved_7_2: int = reserved(6)
    tpr: int = bits(8, "Task priority, all 8 bits of the register", spec="TPR")
    vmpl: int = bits(8, "VMPL of the guest", spec="VMPL")
    reserved_63_24: int = reserved(40)

    def broken(self) -> Iterator[Problem]:
        yield from _lower_vmpl(self.vmpl)


@structure("specific-eoi", size=8, source=SOURCE)
class SpecificEoi(Bits):
    """SW_EXITINFO1 of exit 0x8000001D: a lower VMPL ended a level-triggered interrupt."""

    vector: int = bits(8, "Vector that ended")
    reserved_15_8: int = reserved(8)
    vmpl: int = bits(8, "VMPL of the guest", spec="VMPL")
    reserved_63_24: int = reserved(40)

    def broken(self) -> Iterator[Problem]:
        yield from _lower_vmpl(self.vmpl)


def _lower_vmpl(vmpl: int) -> Iterator[Problem]:
    if not 1 <= vmpl <= 3:
        yield Problem("vmpl", vmpl, "not a lower VMPL, 1 to 3", "")


@structure("run-vmpl", size=8, source="linux-svsm src/cpu/vc.rs; Linux arch/x86/coco/sev")
class RunVmpl(Bits):
    """SW_EXITINFO1 of exit 0x80000018: run this vCPU at another VMPL."""

    vmpl: int = bits(64, "VMPL to run", spec="VMPL")

    def broken(self) -> Iterator[Problem]:
        if self.vmpl > 3:
            yield Problem("vmpl", self.vmpl, "there are VMPL 0 to 3", "")

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


class SecureAvicOperation(Code):
    """SW_EXITINFO1 of exit 0x8000001A."""

    REGISTER = 0
    UNREGISTER = 1


@structure("secure-avic-info", size=8, source="Linux arch/x86/include/uapi/asm/svm.h")
class SecureAvicInfo(Bits):
    """SW_EXITINFO1 of the secure AVIC exit. RAX is the vCPU, RBX the backing page."""

    operation: int = bits(64, "What to do", enum=SecureAvicOperation)
