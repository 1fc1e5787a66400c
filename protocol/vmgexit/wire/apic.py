"""The SVSM APIC protocol (3): its calls, their arguments, the x2APIC registers behind them, the ICR.

Source: COCONUT-SVSM kernel/src/protocols/apic.rs, kernel/src/cpu/apic.rs and cpuarch/src/x86apic.rs at
f4bc4bcd; registration by count as the svsm-devel thread of May and June 2024 settles it. There is no
call 5: its text in the May 24 draft belongs to call 1 (REG-8).
"""

from __future__ import annotations

from enum import IntEnum

from ..schema import Bits, bit, bits, reserved, structure
from .svsm import Call, Operand, Protocol, Refusal, ResultCode

SOURCE = "COCONUT-SVSM kernel/src/protocols/apic.rs"
REGISTERS_SOURCE = "COCONUT-SVSM cpuarch/src/x86apic.rs"


class ApicCall(IntEnum):
    """Calls of protocol 3."""

    QUERY_FEATURES = 0
    CONFIGURE_EMULATION = 1
    READ_REGISTER = 2
    WRITE_REGISTER = 3
    CONFIGURE_VECTOR = 4


class ConfigureRequest(IntEnum):
    """What SVSM_APIC_CONFIGURE_EMULATION is asked for."""

    ALIGN = 0b00  # bring this vCPU in line with the VM
    DEREGISTER = 0b01  # count - 1
    REGISTER = 0b10  # count + 1


class LockRequest(IntEnum):
    """What the superseded configure call of May 16, 2024 is asked for."""

    DISABLED = 0
    ENABLED = 1
    LOCKED = 2


@structure("apic-configure-emulation", size=8, clause="REG-2", source=SOURCE)
class ConfigureEmulation(Bits):
    """RCX of SVSM_APIC_CONFIGURE_EMULATION. Anything but 0b00, 0b01 and 0b10 is refused."""

    request: int = bits(2, "0b00 align, 0b01 deregister, 0b10 register", enum=ConfigureRequest)
    reserved_63_2: int = reserved(62)


@structure(
    "apic-configure-emulation",
    size=8,
    clause="REG-9",
    revision="2024-05-16",
    source="COCONUT-SVSM commit 6c5a3650",
)
class ConfigureEmulation20240516(Bits):
    """RCX of the configure call of the May 16 draft: the state to enter."""

    request: int = bits(2, "0 disabled, 1 enabled, 2 locked", enum=LockRequest)
    reserved_63_2: int = reserved(62)


@structure("apic-features", size=8, source=SOURCE)
class ApicFeatures(Bits):
    """RCX that SVSM_APIC_QUERY_FEATURES answers: no feature beyond the base is defined."""

    reserved_63_0: int = reserved(64)


class ApicRegister(IntEnum):
    """x2APIC MSR numbers that the protocol knows. All 64 bits of RCX are the number."""

    ID = 0x802
    TPR = 0x808
    PPR = 0x80A
    EOI = 0x80B
    LDR = 0x80D
    ISR0, ISR1, ISR2, ISR3, ISR4, ISR5, ISR6, ISR7 = range(0x810, 0x818)
    TMR0, TMR1, TMR2, TMR3, TMR4, TMR5, TMR6, TMR7 = range(0x818, 0x820)
    IRR0, IRR1, IRR2, IRR3, IRR4, IRR5, IRR6, IRR7 = range(0x820, 0x828)
    ICR = 0x830
    SELF_IPI = 0x83F


WRITE_ONLY = frozenset({ApicRegister.EOI, ApicRegister.SELF_IPI})
READ_WRITE = frozenset({ApicRegister.TPR, ApicRegister.ICR})


def access(register: int) -> str:
    """`RO`, `RW` or `WO`; "" for a number that is no register."""
    return _ACCESS.get(register, "")


_ACCESS = {
    int(one): "WO" if one in WRITE_ONLY else "RW" if one in READ_WRITE else "RO"
    for one in ApicRegister
}


@structure("apic-register-number", size=8, source=REGISTERS_SOURCE)
class RegisterNumber(Bits):
    """RCX of SVSM_APIC_READ_REGISTER and SVSM_APIC_WRITE_REGISTER."""

    number: int = bits(64, "x2APIC MSR number", enum=ApicRegister)


@structure("apic-configure-vector", size=8, clause="INV-2", source=SOURCE)
class ConfigureVector(Bits):
    """RCX of SVSM_APIC_CONFIGURE_VECTOR: which vectors the host may present."""

    vector: int = bits(8, "The vector, unless AllVectors is set")
    enable: bool = bit("1 allow, 0 disallow")
    all_vectors: bool = bit("Every vector: allow adds 31 to 255, disallow removes all")
    reserved_63_10: int = reserved(54)


@structure("apic-tpr", size=8, source=REGISTERS_SOURCE)
class ApicTpr(Bits):
    """Task priority register, 0x808. The VMSA keeps bits 7:4."""

    sub_class: int = bits(4, "Priority sub-class; reads as 0", access="RW")
    priority_class: int = bits(4, "Vectors of this class and below wait", access="RW")
    reserved_63_8: int = reserved(56)


@structure("apic-eoi", size=8, clause="INV-5", source=REGISTERS_SOURCE)
class ApicEoi(Bits):
    """End of interrupt, 0x80B: only 0 may be written."""

    reserved_63_0: int = reserved(64)


@structure("apic-ldr", size=8, source=REGISTERS_SOURCE)
class ApicLdr(Bits):
    """Logical destination register, 0x80D: computed from the APIC id."""

    bit_in_cluster: int = bits(16, "1 << (id & 15)", access="RO", reset=None)
    cluster: int = bits(16, "id >> 4", access="RO", reset=None)
    reserved_63_32: int = reserved(32)


@structure("apic-self-ipi", size=8, source=REGISTERS_SOURCE)
class ApicSelfIpi(Bits):
    """Self-IPI register, 0x83F."""

    vector: int = bits(8, "Vector to send to this vCPU", access="WO")
    reserved_63_8: int = reserved(56)


class MessageType(IntEnum):
    """ICR message types. Only FIXED and NMI are accepted."""

    FIXED = 0
    LOWEST_PRIORITY = 1
    SMI = 2
    NMI = 4
    INIT = 5
    SIPI = 6
    EXTINT = 7


class Shorthand(IntEnum):
    """ICR destination shorthands."""

    NONE = 0
    SELF = 1
    ALL = 2
    ALL_BUT_SELF = 3


BROADCAST = 0xFFFFFFFF
"""ICR destination that, without a shorthand, means every vCPU, the sender too."""


@structure("apic-icr", size=8, source=REGISTERS_SOURCE)
class ApicIcr(Bits):
    """Interrupt command register, 0x830: sends an IPI. Reads back the last value accepted."""

    vector: int = bits(8, "Vector to send", access="RW")
    message_type: int = bits(3, "What to send; only fixed and NMI", enum=MessageType, access="RW")
    logical: bool = bit("Destination mode: 1 logical, 0 physical", access="RW")
    delivery_status: bool = bit("Must be written as 0", access="RO")
    reserved_13: int = reserved(1)
    assert_: bool = bit("Level: assert. Not looked at", spec="Assert", access="RW")
    level_triggered: bool = bit("Trigger mode. Not looked at: IPIs are edge", access="RW")
    remote_read_status: int = bits(2, "Must be written as 0", access="RO")
    shorthand: int = bits(2, "Destination shorthand", enum=Shorthand, access="RW")
    reserved_31_20: int = reserved(12)
    destination: int = bits(
        32, "APIC id, or cluster and bits; 0xFFFFFFFF without shorthand = all", access="RW"
    )


_REGISTER_RESULTS = (
    ResultCode.SUCCESS,
    ResultCode.INVALID_ADDRESS,
    ResultCode.INVALID_PARAMETER,
)

_UNKNOWN = Refusal(
    ResultCode.INVALID_ADDRESS,
    "RCX is the number of no register",
    "COCONUT-SVSM 39ea1147, by the SVSM specification",
)


def _invalid(when: str, commit: str) -> Refusal:
    source = f"COCONUT-SVSM {commit}, by the SVSM specification"
    return Refusal(ResultCode.INVALID_PARAMETER, when, source)


# Each of these also answers UNSUPPORTED_PROTOCOL on a vCPU that has no APIC emulation (INV-7).
APIC_CALLS = (
    Call(
        Protocol.APIC,
        ApicCall.QUERY_FEATURES,
        "SVSM_APIC_QUERY_FEATURES",
        "features beyond the base",
        outputs=(Operand("rcx", "feature bits", ApicFeatures),),
    ),
    Call(
        Protocol.APIC,
        ApicCall.CONFIGURE_EMULATION,
        "SVSM_APIC_CONFIGURE_EMULATION",
        "register, deregister, or bring this vCPU in line",
        inputs=(Operand("rcx", "what is asked for", ConfigureEmulation),),
        results=(
            ResultCode.SUCCESS,
            ResultCode.INVALID_PARAMETER,
            ResultCode.CANNOT_REGISTER,
        ),
        clause="REG-2",
    ),
    Call(
        Protocol.APIC,
        ApicCall.READ_REGISTER,
        "SVSM_APIC_READ_REGISTER",
        "read an x2APIC register",
        inputs=(Operand("rcx", "the register", RegisterNumber),),
        outputs=(Operand("rdx", "its value"),),
        results=_REGISTER_RESULTS,
        refusals=(_UNKNOWN, _invalid("the register is write-only", "39ea1147")),
    ),
    Call(
        Protocol.APIC,
        ApicCall.WRITE_REGISTER,
        "SVSM_APIC_WRITE_REGISTER",
        "write an x2APIC register",
        inputs=(
            Operand("rcx", "the register", RegisterNumber),
            Operand("rdx", "the value to write"),
        ),
        results=_REGISTER_RESULTS,
        refusals=(
            _UNKNOWN,
            _invalid("the register is read-only", "39ea1147"),
            _invalid("the register is EOI, and RDX is not 0", "229c0283"),
            _invalid("the register is ICR, and a bit of RDX that must be zero is set", "b88fbe1f"),
        ),
    ),
    Call(
        Protocol.APIC,
        ApicCall.CONFIGURE_VECTOR,
        "SVSM_APIC_CONFIGURE_VECTOR",
        "allow or disallow vectors from the host",
        inputs=(Operand("rcx", "which vectors", ConfigureVector),),
        results=(ResultCode.SUCCESS, ResultCode.INVALID_PARAMETER),
    ),
)
