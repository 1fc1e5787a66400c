"""Worked values of the words that exits, calls and the VMSA carry."""

from __future__ import annotations

import pytest

from tests.conformance.worked import Worked
from vmgexit.schema import Bits
from vmgexit.wire import ap_creation, exit_codes, injection, page_state, termination, vmsa
from vmgexit.wire.core import PvalidateEntry, VersionRange
from vmgexit.wire.exceptions import ExceptionVector, exception
from vmgexit.wire.faults import NpfInfo, PageFaultError
from vmgexit.wire.features import HypervisorFeatures
from vmgexit.wire.firmware_status import FirmwareCommand
from vmgexit.wire.guest_message import GuestRequestResult
from vmgexit.wire.kvm_planes import KvmPlaneEvent, KvmPlanes, PlaneEvent
from vmgexit.wire.rmp import RmpAdjustAttributes, RmpEntry

VALUES = [
    # OUT of a byte to port 0x3F8, COCONUT-SVSM; IN of a dword from 0xCFC, Oak
    Worked(0x03F80010, exit_codes.IoioInfo, {"size_8": 1, "port": 0x3F8}),
    Worked(
        0x0CFC00C1, exit_codes.IoioInfo, {"is_in": 1, "size_32": 1, "address_16": 1, "port": 0xCFC}
    ),
    Worked(0x00600028, exit_codes.IoioInfo, {"repeat": 1, "size_16": 1, "port": 0x60}),
    Worked(0x00602010, exit_codes.IoioInfo, broken="reserved_15_13"),
    Worked(0x00600000, exit_codes.IoioInfo, {"port": 0x60}, "size_8"),
    Worked(0x00600110, exit_codes.IoioInfo, {"size_8": 1, "address_32": 1, "port": 0x60}),
    Worked(0x00600190, exit_codes.IoioInfo, broken="address_16"),
    Worked(0, exit_codes.MsrInfo, {"access": 0}),
    Worked(1, exit_codes.MsrInfo, {"access": 1}),
    Worked(2, exit_codes.MsrInfo, broken="reserved_63_1"),
    # Page state: 4 KiB to shared at 0xC000000000 (zyuiop/ghcb's test), 2 MiB to private at 1 GiB
    Worked(0x002000C000000000, page_state.PscEntry, {"frame": 0xC000000, "operation": 2}),
    Worked(0x0110000040000000, page_state.PscEntry, {"frame": 0x40000, "operation": 1, "large": 1}),
    Worked(0x0110000040001000, page_state.PscEntry, broken="frame"),
    Worked(0x0010000040000005, page_state.PscEntry, broken="current_page"),
    Worked(0x0110000040000201, page_state.PscEntry, broken="current_page"),
    Worked(0x0000000000FC0000, page_state.PscHeader, {"end_entry": 252}),
    Worked(0x0000000000FD0000, page_state.PscHeader, broken="end_entry"),
    # AP creation now, VMPL 1, APIC ID 5
    Worked(0x0000000500010001, ap_creation.ApCreation, {"operation": 1, "vmpl": 1, "apic_id": 5}),
    Worked(0x0000000500040001, ap_creation.ApCreation, broken="vmpl"),
    Worked(0x0000000500010003, ap_creation.ApCreation, broken="operation"),
    # Alternate Injection: VMPL 2, TPR 0x40, IF set; end of vector 0x61 at VMPL 2; notify by 0x50
    Worked(
        0x00024001, injection.DisableInjection, {"interrupts_enabled": 1, "tpr": 0x40, "vmpl": 2}
    ),
    Worked(0x00024003, injection.DisableInjection),
    Worked(0x00004001, injection.DisableInjection, broken="vmpl"),
    Worked(0x00020061, injection.SpecificEoi, {"vector": 0x61, "vmpl": 2}),
    Worked(0x00020161, injection.SpecificEoi, broken="reserved_15_8"),
    Worked(0x50, injection.ConfigureInjection, {"vector": 0x50}),
    Worked(0x1E, injection.ConfigureInjection, broken="vector"),
    Worked(1, injection.RunVmpl, {"vmpl": 1}),
    Worked(4, injection.RunVmpl, broken="vmpl"),
    # Termination exit: set 1, code 6
    Worked(0x061, termination.TerminationInfo, {"reason_set": 1, "reason_code": 6}),
    # Features: SNP, AP creation, several VMPLs, extended interrupts
    Worked(
        0x223,
        HypervisorFeatures,
        {"snp": 1, "ap_creation": 1, "multi_vmpl": 1, "extended_interrupts": 1},
    ),
    Worked(0x008, HypervisorFeatures, broken="restricted_injection_timer"),
    Worked(0x400, HypervisorFeatures, broken="reserved_63_10"),
    # Guest request: certificates do not fit; busy; the host's general failure; bad message
    Worked(0x0000000100000000, GuestRequestResult, {"vmm": 1}),
    Worked(0x0000000200000000, GuestRequestResult, {"vmm": 2}),
    Worked(0x8000000000000000, GuestRequestResult, {"vmm": 0x80000000}),
    Worked(0x000000000000001D, GuestRequestResult, {"firmware": 0x1D}),
    Worked(0x000000000000001E, GuestRequestResult, broken="firmware"),
    # Page state result: invalid entry; KVM's general failure
    Worked(0x0000000100000002, page_state.PscResult, {"error": 1, "detail": 2}),
    Worked(0x0000010000000001, page_state.PscResult, {"error": 0x100, "detail": 1}),
    Worked(0x0000000500000000, page_state.PscResult, broken="error"),
    # EVENTINJ: an NMI, interrupt 0x61, #GP with an error code of 0
    Worked(0x80000200, vmsa.EventInj, {"valid": 1, "type": 2}),
    Worked(0x80000061, vmsa.EventInj, {"valid": 1, "vector": 0x61}),
    Worked(0x80000B0D, vmsa.EventInj, {"valid": 1, "type": 3, "error_code_valid": 1, "vector": 13}),
    Worked(0x80000100, vmsa.EventInj, broken="type"),
    # VINTR_CTRL: vector 0x61 queued at priority 6, TPR 4
    Worked(
        0x0000006100060104,
        vmsa.VintrCtrl,
        {"v_tpr": 4, "v_irq": 1, "v_intr_prio": 6, "v_intr_vector": 0x61},
    ),
    Worked(1 << 63, vmsa.VintrCtrl, {"busy": 1}),
    # SEV_FEATURES: SNP with Alternate Injection; SEV_STATUS of the same guest
    Worked(0x11, vmsa.SevFeatures, {"snp_active": 1, "alternate_injection": 1}),
    Worked(
        0x47, vmsa.SevStatus, {"sev": 1, "sev_es": 1, "snp_active": 1, "alternate_injection": 1}
    ),
    # RMPADJUST: VMPL 2 may do everything; a VMSA for VMPL 1
    Worked(
        0x0F02,
        RmpAdjustAttributes,
        {
            "target_vmpl": 2,
            "read": 1,
            "write": 1,
            "execute_user": 1,
            "execute_supervisor": 1,
        },
    ),
    Worked(0x10101, RmpAdjustAttributes, {"target_vmpl": 1, "read": 1, "vmsa": 1}),
    Worked(0x10100, RmpAdjustAttributes, broken="target_vmpl"),
    # SVSM: core is supported in version 1; validate 2 MiB at 1 GiB
    Worked(0x0000000100000001, VersionRange, {"lowest": 1, "highest": 1}),
    Worked(0x40000005, PvalidateEntry, {"page_size": 1, "validate": 1, "frame": 0x40000}),
    Worked(0x40001005, PvalidateEntry, broken="frame"),
    # A nested page fault by the RMP at a write; one by page size (KVM's trace of RMP faults)
    Worked(0x180000002, NpfInfo, {"write": 1, "rmp": 1, "guest_physical": 1}),
    Worked(0x880000000, NpfInfo, {"rmp": 1, "size_mismatch": 1}),
    Worked(1 << 63, NpfInfo, {"not_restartable": 1}),
    # An RMP violation of a host's kernel, and the entry of the VMSA that it wrote to (lkml, 2026-02-25)
    Worked(0x80000003, PageFaultError, {"present": 1, "write": 1, "rmp": 1}),
    Worked(
        0x6010FFFFFFFFF001,
        RmpEntry,
        {"assigned": 1, "frame": 0xFFFFFFFFF, "asid": 2, "vmsa": 1, "validated": 1},
    ),
    # The first entry of 2 MiB on a host of Zen 3 (AMDESE/AMDSEV issue 245)
    Worked(
        0x80000000000007FD,
        RmpEntry,
        {"assigned": 1, "immutable": 1, "reserved_11_3": 0xFF, "reserved_63": 1},
    ),
    Worked(0x40000016, PvalidateEntry, broken="page_size"),
]


@pytest.mark.parametrize("word", VALUES, ids=str)
def test_worked_value(word: Worked) -> None:
    word.check()


@pytest.mark.clause("EXIT-3")
@pytest.mark.parametrize(("cls", "value"), [(vmsa.SevFeatures, 0x10011), (vmsa.SevStatus, 0x40047)])
def test_secure_avic_and_alternate_injection_exclude_each_other(
    cls: type[Bits], value: int
) -> None:
    (problem,) = cls.of(value).problems()
    assert (problem.path, problem.clause) == ("secure_avic", "EXIT-3")


@pytest.mark.clause("EXIT-1")
def test_what_a_disabling_svsm_tells_of_its_guest() -> None:
    word = injection.DisableInjection(
        interrupts_enabled=True, interrupt_shadow=True, tpr=0xF0, vmpl=3
    )
    assert word.encode() == bytes.fromhex("03 f0 03 00 00000000")


def test_ioio_operand_size() -> None:
    for bits, size in ((0x10, 1), (0x20, 2), (0x40, 4), (0x30, 0), (0x00, 0)):
        assert exit_codes.IoioInfo.of(bits).operand_size == size


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x00, "CR0_READ"),
        (0x18, "CR8_WRITE"),
        (0x27, "READ_DR7"),
        (0x30, "DR0_WRITE"),
        (0x4E, "EXCP14"),
        (0x51, "EXCEPTION_AC"),
        (0x60, "INTR"),
        (0x61, "NMI"),
        (0x64, "VINTR"),
        (0x72, "CPUID"),
        (0x78, "HLT"),
        (0x7F, "SHUTDOWN"),
        (0x8D, "XSETBV"),
        (0x8F, "EFER_WRITE_TRAP"),
        (0x90, "CR0_WRITE_TRAP"),
        (0xA0, "INVLPGB"),
        (0xA5, "BUSLOCK"),
        (0xA6, "IDLE_HLT"),
        (0x400, "NPF"),
        (0x403, "VMGEXIT"),
        (0xFFFFFFFFFFFFFFFF, "INVALID"),
        (0xFFFFFFFFFFFFFFFC, "INVALID_PMC"),
        (0xB7, "0xb7"),
    ],
)
def test_name_of_a_processor_exit(code: int, name: str) -> None:
    assert exit_codes.exit_name(code) == name


def test_numbers_of_kvms_planes() -> None:
    # KVM planes series, June 2026: _IO(KVMIO, 0xd6), _IO(KVMIO, 0xd7), with KVMIO = 0xAE
    assert (KvmPlanes.CREATE_PLANE, KvmPlanes.CREATE_VCPU_PLANE) == (0xAED6, 0xAED7)
    assert (KvmPlanes.CAP_PLANES, KvmPlanes.EXIT_PLANE_EVENT) == (249, 44)
    event = KvmPlaneEvent.decode(bytes.fromhex("01000000 02000000 0300000000000000") + bytes(56))
    assert (event.cause, event.plane, event.apic_id) == (PlaneEvent.CREATE_VCPU, 2, 3)


# Linux arch/x86/include/asm/trapnr.h, and AMD's volume 2 for 28 and 30
EXCEPTIONS = """
    0 DE, 1 DB, 2 NMI, 3 BP, 4 OF, 5 BR, 6 UD, 7 NM, 8 DF, 10 TS, 11 NP, 12 SS, 13 GP, 14 PF,
    16 MF, 17 AC, 18 MC, 19 XF, 21 CP, 28 HV, 29 VC, 30 SX
"""


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0x81, "SNP_INIT"),
        (0x94, "SNP_GUEST_REQUEST"),
        (0xA2, "SNP_LAUNCH_FINISH"),
        (0xB2, "SNP_VERIFY_MITIGATION"),
        (0xC7, "SNP_PAGE_RECLAIM"),
        (0xCE, "SNP_FEATURE_INFO"),
        (0xD5, "TIO_DEV_DISCONNECT"),
    ],
)
def test_commands_of_the_firmware(number: int, name: str) -> None:
    """Linux include/linux/psp-sev.h, enum sev_cmd."""
    assert FirmwareCommand(number).name == name


def test_exceptions_by_vector() -> None:
    ladder = dict(row.split()[::-1] for row in EXCEPTIONS.split(","))
    assert {each.name: f"{int(each)}" for each in ExceptionVector} == ladder
    assert exception(29).startswith("#VC, VMM communication")
    assert exception(15) == ""


def test_an_injected_exception_is_named() -> None:
    assert [note.text for note in vmsa.EventInj.of(0x8000031D).notes()] == [exception(29)]
    # an interrupt with this vector, and an exception that is not valid, are none
    assert not [*vmsa.EventInj.of(0x8000001D).notes()]
    assert not [*vmsa.EventInj.of(0x0000031D).notes()]
