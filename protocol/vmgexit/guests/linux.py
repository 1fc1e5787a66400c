"""Linux with the SVSM's APIC: what its drivers and the code above them call.

The APIC driver has been published in two versions, which differ in what they do with registers that
are not in their list: the first logs, the second asks the host by an MSR exit. Neither of them
registers, or allows a vector; another part of the kernel, or the firmware, has to. EOI and SELF_IPI
are in the driver's list for reading too, and nothing in the kernel reads them.
"""

from __future__ import annotations

from ..machine.vcpu import FRESH_VINTR
from ..wire.apic import ApicCall, ApicRegister, Shorthand
from ..wire.attestation import AttestationCall
from ..wire.svsm import CoreCall, Protocol
from ..wire.vtpm import VtpmCall
from .guest import Guest, Makes, When
from .values import ZERO, Address, ApicId, Icr, OneOf

_READ = tuple(
    register
    for register in ApicRegister
    if register not in (ApicRegister.EOI, ApicRegister.SELF_IPI, ApicRegister.LDR)
)
_TPR = 0x10  # setup_local_APIC: vectors 0 to 31 wait for ever
_FIRST_EXTERNAL = 0x20
_PAGE = Address("a page of its own")


def _apic(
    what: str, request: ApicCall, rcx: OneOf, rdx: OneOf | Icr = ZERO, when: When = When.ANY
) -> Makes:
    return Makes(what, Protocol.APIC, request, rcx, rdx, when=when, ends=True)


def _register(register: ApicRegister) -> OneOf:
    return OneOf(register.name, (register,))


LINUX = Guest(
    "linux",
    "Linux of 2026 with the APIC driver for Alternate Injection",
    (
        "Linux arch/x86/kernel/apic/svsm_apic.c and x2apic_svsm.c, as posted in 2026",
        "Linux arch/x86/kernel/apic/apic.c, local.h (TPR, the ICR's words)",
        "Linux arch/x86/coco/sev/core.c, svsm.c (calling areas, vCPUs, attestation, vTPM)",
    ),
    makes=(
        _apic(
            "reads a register",
            ApicCall.READ_REGISTER,
            OneOf("ID, TPR, PPR, ISR, TMR, IRR, ICR", _READ),
        ),
        _apic(
            "sets the task priority",
            ApicCall.WRITE_REGISTER,
            _register(ApicRegister.TPR),
            OneOf(f"{_TPR:#x}", (_TPR,)),
            when=When.QUIET,
        ),
        _apic(
            "ends an interrupt",
            ApicCall.WRITE_REGISTER,
            _register(ApicRegister.EOI),
            when=When.TAKEN,
        ),
        _apic(
            "sends an IPI",
            ApicCall.WRITE_REGISTER,
            _register(ApicRegister.ICR),
            Icr(_FIRST_EXTERNAL, (Shorthand.SELF, Shorthand.ALL, Shorthand.ALL_BUT_SELF)),
        ),
        Makes(
            "moves its calling area",
            Protocol.CORE,
            CoreCall.REMAP_CA,
            _PAGE,
            when=When.QUIET,
            ends=True,
        ),
        Makes(
            "validates pages",
            Protocol.CORE,
            CoreCall.PVALIDATE,
            Address("a list in its calling area", step=8),
            ends=True,
            in_memory=True,
        ),
        Makes(
            "starts a CPU",
            Protocol.CORE,
            CoreCall.CREATE_VCPU,
            _PAGE,
            Address("that CPU's calling area"),
            ApicId(),
            in_memory=True,
        ),
        Makes("takes a VMSA back", Protocol.CORE, CoreCall.DELETE_VCPU, _PAGE, in_memory=True),
        Makes(
            "attests the SVSM's services",
            Protocol.ATTESTATION,
            AttestationCall.ATTEST_SERVICES,
            Address("a structure", step=1),
            in_memory=True,
        ),
        Makes(
            "attests one service",
            Protocol.ATTESTATION,
            AttestationCall.ATTEST_SINGLE_SERVICE,
            Address("a structure", step=1),
            in_memory=True,
        ),
        Makes("looks for a vTPM", Protocol.VTPM, VtpmCall.QUERY, ZERO),
        Makes(
            "sends a command to the vTPM",
            Protocol.VTPM,
            VtpmCall.COMMAND,
            Address("a buffer", step=1),
            in_memory=True,
        ),
    ),
    ends_by="termination request, set 1 (Linux); the first version of its APIC driver: set 0, 2",
    vintr=(0, FRESH_VINTR),
)
