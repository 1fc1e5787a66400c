"""OVMF under an SVSM: what edk2's SVSM library and MpInitLib call.

OVMF as published speaks no protocol 3: it starts in xAPIC mode, and a proposal to start in x2APIC mode
(edk2 pull request 11033, 2025) was not taken. It leaves registers that a call has no use for as they
are. A new VMSA and its calling area are two pages of one allocation.
"""

from __future__ import annotations

from ..machine.vcpu import FRESH_VINTR
from ..wire.page_size import LARGE_PAGE
from ..wire.svsm import CoreCall, Protocol
from ..wire.vtpm import VtpmCall
from .guest import Guest, Makes
from .values import Address, Anything, ApicId, PageAfter

_ANY = Anything()
_VMSA = Address("a page that begins no 2 MiB page", not_multiple=LARGE_PAGE)

OVMF = Guest(
    "ovmf",
    "OVMF of edk2 under an SVSM",
    (
        "edk2 OvmfPkg/Library/AmdSvsmLib/AmdSvsmLib.c",
        "edk2 UefiCpuPkg/Library/MpInitLib/X64/AmdSev.c (VMSAs)",
        "edk2 pull request 11033 (the mode of its APIC)",
    ),
    makes=(
        Makes(
            "validates pages",
            Protocol.CORE,
            CoreCall.PVALIDATE,
            Address("a list in its calling area", step=8),
            _ANY,
            _ANY,
            ends=True,
            in_memory=True,
        ),
        Makes(
            "starts a CPU",
            Protocol.CORE,
            CoreCall.CREATE_VCPU,
            _VMSA,
            PageAfter(),
            ApicId(),
            in_memory=True,
        ),
        Makes(
            "takes a VMSA back before it starts that CPU anew",
            Protocol.CORE,
            CoreCall.DELETE_VCPU,
            _VMSA,
            _ANY,
            _ANY,
            in_memory=True,
        ),
        Makes("looks for a vTPM", Protocol.VTPM, VtpmCall.QUERY, _ANY, _ANY, _ANY),
        Makes(
            "sends a command to the vTPM",
            Protocol.VTPM,
            VtpmCall.COMMAND,
            Address("a buffer", step=1),
            _ANY,
            _ANY,
            in_memory=True,
        ),
    ),
    ends_by="termination request, set 0, 0",
    vintr=(0, FRESH_VINTR),
)
