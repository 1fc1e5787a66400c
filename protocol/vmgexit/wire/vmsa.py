"""Parts of the VMSA that interrupt delivery uses: VINTR_CTRL, EVENTINJ, the exit information.

Source: COCONUT-SVSM cpuarch/src/vmsa.rs, OpenVMM vm/x86/x86defs/src/snp.rs.
"""

from __future__ import annotations

from enum import IntEnum

from ..schema import Bits, bit, bits, reserved, structure

SOURCE = "COCONUT-SVSM cpuarch/src/vmsa.rs"


class EventType(IntEnum):
    """What kind of event EVENTINJ or EXITINTINFO holds."""

    EXTERNAL_INTERRUPT = 0
    NMI = 2
    EXCEPTION = 3
    SOFTWARE_INTERRUPT = 4


@structure("vintr-ctrl", size=8, source=SOURCE)
class VintrCtrl(Bits):
    """VINTR_CTRL, VMSA offset 0x3B8: the virtual interrupt that the hardware delivers."""

    v_tpr: int = bits(8, "Virtual TPR; the hardware uses bits 3:0, which are APIC TPR >> 4")
    v_irq: bool = bit("A virtual interrupt is pending")
    vgif: bool = bit("Virtual global interrupt flag")
    int_shadow: bool = bit("The guest is in an interrupt shadow")
    v_nmi: bool = bit("A virtual NMI is pending")
    v_nmi_mask: bool = bit("Virtual NMIs are blocked")
    reserved_15_13: int = reserved(3)
    v_intr_prio: int = bits(4, "Priority of the virtual interrupt: vector >> 4")
    v_ign_tpr: bool = bit("Deliver whatever the TPR says")
    reserved_25_21: int = reserved(5)
    v_nmi_enable: bool = bit("Virtual NMIs are in use")
    reserved_31_27: int = reserved(5)
    v_intr_vector: int = bits(8, "Vector of the virtual interrupt")
    reserved_62_40: int = reserved(23)
    busy: bool = bit("The VMSA is in use; only with Alternate Injection or Secure AVIC")


@structure("event-inj", size=8, source=SOURCE)
class EventInj(Bits):
    """EVENTINJ, VMSA offset 0x3E0, and EXITINTINFO, 0x3A0: one event to deliver, or not delivered."""

    vector: int = bits(8, "Vector")
    type: int = bits(3, "What kind of event", enum=EventType)
    error_code_valid: bool = bit("ErrorCode is pushed")
    reserved_30_12: int = reserved(19)
    valid: bool = bit("There is an event")
    error_code: int = bits(32, "Error code")
