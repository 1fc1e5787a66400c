"""Values that the sources spell out, decoded and encoded."""

import pytest

from vmgexit import (
    ApicIcr,
    CallingArea,
    DoorbellHead,
    DoorbellPage,
    ExtIntDescriptor,
    ExtIntStatus,
    SvsmCall,
    SvsmResult,
)
from vmgexit.wire.apic import (
    BROADCAST,
    ApicCall,
    ApicLdr,
    ApicRegister,
    ConfigureEmulation,
    ConfigureRequest,
    ConfigureVector,
    MessageType,
    RegisterNumber,
    Shorthand,
    access,
)
from vmgexit.wire.calls import find_call
from vmgexit.wire.core import ProtocolQuery, VersionRange
from vmgexit.wire.doorbell import DoorbellFlags, VmplEvents
from vmgexit.wire.doorbell_history import PendingEvents
from vmgexit.wire.registry import structures
from vmgexit.wire.svsm import CallNumber, Protocol
from vmgexit.wire.vmsa import EventInj, EventType, VintrCtrl

# --- Doorbell: COCONUT-SVSM kernel/src/sev/hv_doorbell.rs, commit 58539e37 ------------------------


@pytest.mark.clause("DESC-1", "DESC-2", "DESC-4")
@pytest.mark.parametrize("cls", [DoorbellPage, DoorbellHead])
def test_61_81_01_02_says_vector_signal_nmi_no_eoi_and_vmpl_2(cls: type[DoorbellHead]) -> None:
    data = bytes.fromhex("61810102").ljust(cls.size, b"\0")
    page = cls.decode(data)
    assert page.vector == 0x61
    assert page.flags == DoorbellFlags(nmi_pending=True, no_further_signal=True)
    assert page.no_eoi_required == 1
    assert page.per_vmpl_events == VmplEvents(vmpl2=True)
    assert page.encode() == data
    assert not page.problems()


@pytest.mark.clause("DESC-4")
def test_no_further_signal_is_bit_15_of_the_first_word() -> None:
    assert PendingEvents(no_further_signal=True).encode() == (0x8000).to_bytes(2, "little")
    page = DoorbellPage()
    page.flags.no_further_signal = True
    assert page.encode()[:2] == (0x8000).to_bytes(2, "little")


@pytest.mark.clause("DESC-2")
@pytest.mark.parametrize(("vmpl", "bit"), [(1, 8), (2, 9), (3, 10)])
def test_lower_vmpls_are_bits_8_to_10_of_the_second_word(vmpl: int, bit: int) -> None:
    data = bytes(2) + (1 << bit).to_bytes(2, "little") + bytes(252)
    events = DoorbellHead.decode(data).per_vmpl_events
    assert [n for n in (1, 2, 3) if getattr(events, f"vmpl{n}")] == [vmpl]
    assert data[3] == 1 << (vmpl - 1)


@pytest.mark.clause("DESC-1")
@pytest.mark.parametrize(("vmpl", "offset"), [(1, 0x40), (2, 0x80), (3, 0xC0)])
def test_descriptor_of_vmpl_n_stands_at_0x40_n(vmpl: int, offset: int) -> None:
    page = DoorbellPage()
    page.descriptor(vmpl).status.pending_vector = 0x61
    assert page.encode().index(0x61) == offset
    assert page.descriptor(vmpl) is (page.vmpl1, page.vmpl2, page.vmpl3)[vmpl - 1]


@pytest.mark.clause("DESC-1")
@pytest.mark.parametrize(
    ("vector", "irr_byte", "isr_byte", "bit"),
    # word k of IRR or ISR holds vectors 32 k to 32 k + 31; the descriptor has no IRR word 0
    [
        (0, None, 0x20, 0),
        (31, None, 0x23, 7),
        (32, 0x04, 0x24, 0),
        (0x61, 0x0C, 0x2C, 1),
        (128, 0x10, 0x30, 0),
        (255, 0x1F, 0x3F, 7),
    ],
)
def test_vectors_are_bits_of_irr_and_isr(
    vector: int, irr_byte: int | None, isr_byte: int, bit: int
) -> None:
    data = bytearray(64)
    data[isr_byte] = 1 << bit
    descriptor = ExtIntDescriptor.decode(data)
    assert descriptor.numbers("isr") == [vector]
    assert descriptor.isr == 1 << vector
    if irr_byte is not None:
        data[irr_byte] = 1 << bit
        descriptor = ExtIntDescriptor.decode(data)
        assert descriptor.numbers("irr") == [vector]
        assert descriptor.irr == 1 << (vector - 32)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        (0x00000061, ExtIntStatus(pending_vector=0x61)),
        (0x00000461, ExtIntStatus(pending_vector=0x61, level_sensitive=True)),
        (0x00000100, ExtIntStatus(nmi_pending=True)),
        (0x00000200, ExtIntStatus(mc_pending=True)),
        (0x80004000, ExtIntStatus(multiple_vectors=True, vector_31=True)),
        (0x08000000, ExtIntStatus(ipi_requested=True)),
        (0xFFFFFFFF, ExtIntStatus.decode(b"\xff" * 4)),
    ],
)
def test_status_words(word: int, status: ExtIntStatus) -> None:
    assert int(status) == word


# --- Calls: COCONUT-SVSM kernel/src/protocols/, edk2 Svsm.h ---------------------------------------


def test_calling_area_header_is_one_byte_each() -> None:
    area = CallingArea(call_pending=1, mem_available=2, no_eoi_required=3, buffer=b"\4" * 4088)
    assert area.encode() == bytes([1, 2, 3, 0, 0, 0, 0, 0]) + b"\4" * 4088


def test_registers_stand_in_the_order_rax_rcx_rdx_r8_r9() -> None:
    call = SvsmCall(rax=0x3_0000_0002, rcx=0x80D, rdx=3, r8=4, r9=5)
    assert call.encode() == b"".join(
        value.to_bytes(8, "little") for value in (0x3_0000_0002, 0x80D, 3, 4, 5)
    )
    assert (call.protocol, call.call) == (3, 2)
    assert call.encode() == SvsmResult.decode(call.encode()).encode()


def test_a_call_number_is_protocol_and_call() -> None:
    held = CallNumber.of(0x3_0000_0002)
    assert held == CallNumber(protocol=Protocol.APIC, call=ApicCall.READ_REGISTER)
    assert held.protocol is Protocol.APIC


@pytest.mark.clause("REG-8")
def test_there_is_no_apic_call_5() -> None:
    assert find_call(3, 5) is None
    assert 5 not in set(ApicCall)
    notes = [note.text for note in SvsmCall(rax=0x3_0000_0005).notes()]
    assert notes == ["protocol 3, call 5: not known"]


def test_protocol_numbers() -> None:
    assert {member.name: int(member) for member in Protocol} == {
        "CORE": 0,
        "ATTESTATION": 1,
        "VTPM": 2,
        "APIC": 3,
        "UEFI_MM": 4,
        "OBSERVABILITY": 5,
        "MEMORY_MAP": 42,
    }


def test_query_protocol_asks_and_answers_in_rcx() -> None:
    # COCONUT-SVSM kernel/src/protocols/core.rs: core, version 1, is supported from 1 to 1
    assert int(ProtocolQuery(protocol=Protocol.CORE, version=1)) == 0x0000000000000001
    assert int(ProtocolQuery(protocol=Protocol.APIC, version=1)) == 0x0000000300000001
    assert int(VersionRange(lowest=1, highest=1)) == 0x0000000100000001
    assert int(VersionRange(lowest=1, highest=2)) == 0x0000000200000001


# --- APIC protocol: COCONUT-SVSM kernel/src/protocols/apic.rs, cpuarch/src/x86apic.rs -------------


@pytest.mark.clause("REG-2")
def test_configure_requests() -> None:
    requests = {0b00: ConfigureRequest.ALIGN, 0b01: ConfigureRequest.DEREGISTER}
    requests[0b10] = ConfigureRequest.REGISTER
    for code, request in requests.items():
        rcx = ConfigureEmulation.of(code)
        assert rcx.request is request
        assert not rcx.problems()


@pytest.mark.clause("REG-2")
@pytest.mark.parametrize(
    ("rcx", "paths"),
    [
        (0b11, ["request"]),
        (0b100, ["reserved_63_2"]),
        (0b111, ["request", "reserved_63_2"]),
        (1 << 63 | 0b10, ["reserved_63_2"]),
    ],
)
def test_any_other_configure_request_is_a_problem(rcx: int, paths: list[str]) -> None:
    held = ConfigureEmulation.of(rcx)
    assert [problem.path for problem in held.problems()] == paths
    assert {problem.clause for problem in held.problems()} == {"REG-2"}


@pytest.mark.clause("REG-9")
def test_superseded_configure_requests_are_a_revision() -> None:
    old = structures()["apic-configure-emulation"]["2024-05-16"]
    names = [old.decode(code.to_bytes(8, "little")).as_dict()["request"] for code in range(3)]
    assert names == [0, 1, 2]
    enum = old.declaration["request"].enum
    assert enum is not None
    assert [enum(code).name for code in range(3)] == ["DISABLED", "ENABLED", "LOCKED"]


@pytest.mark.parametrize(
    ("rcx", "held"),
    [
        (0x021, ConfigureVector(vector=0x21)),
        (0x121, ConfigureVector(vector=0x21, enable=True)),
        (0x300, ConfigureVector(all_vectors=True, enable=True)),
        (0x200, ConfigureVector(all_vectors=True)),
    ],
)
def test_configure_vector(rcx: int, held: ConfigureVector) -> None:
    assert int(held) == rcx


REGISTERS = {
    "ID": (0x802, "RO"),
    "TPR": (0x808, "RW"),
    "PPR": (0x80A, "RO"),
    "EOI": (0x80B, "WO"),
    "LDR": (0x80D, "RO"),
    **{f"ISR{n}": (0x810 + n, "RO") for n in range(8)},
    **{f"TMR{n}": (0x818 + n, "RO") for n in range(8)},
    **{f"IRR{n}": (0x820 + n, "RO") for n in range(8)},
    "ICR": (0x830, "RW"),
    "SELF_IPI": (0x83F, "WO"),
}


def test_register_numbers_and_access() -> None:
    declared = {member.name: (int(member), access(member)) for member in ApicRegister}
    assert declared == REGISTERS
    known = {address for address, _ in REGISTERS.values()}
    assert all(access(address) == "" for address in range(0x780, 0x900) if address not in known)


def test_all_64_bits_of_rcx_are_the_register_number() -> None:
    rcx = RegisterNumber.of(0x1_0000_0802)
    assert type(rcx.number) is int
    assert [problem.path for problem in rcx.problems()] == ["number"]


@pytest.mark.parametrize("apic_id", [0, 1, 15, 16, 0x12, 0xFF, 0x1234, 0xFFFFF])
def test_ldr_is_the_cluster_and_a_bit_of_it(apic_id: int) -> None:
    # COCONUT-SVSM kernel/src/cpu/apic.rs, as of 9d6d4cca
    register = ((apic_id & ~0xF) << 12) + (1 << (apic_id & 0xF))
    ldr = ApicLdr.of(register)
    assert (ldr.cluster, ldr.bit_in_cluster) == (apic_id >> 4, 1 << (apic_id & 15))
    assert not ldr.problems()


@pytest.mark.parametrize(
    ("value", "icr"),
    [
        # the vector and shorthand with which COCONUT-SVSM wakes other vCPUs
        (0x00000000_000C0050, ApicIcr(vector=0x50, shorthand=Shorthand.ALL_BUT_SELF)),
        (0x00000007_00000400, ApicIcr(message_type=MessageType.NMI, destination=7)),
        (0x00010002_00000861, ApicIcr(vector=0x61, logical=True, destination=0x10002)),
        (0xFFFFFFFF_00000030, ApicIcr(vector=0x30, destination=BROADCAST)),
        (0x00000000_0000C021, ApicIcr(vector=0x21, assert_=True, level_triggered=True)),
        (0x00000000_00031000, ApicIcr(delivery_status=True, remote_read_status=3)),
    ],
)
def test_icr_values(value: int, icr: ApicIcr) -> None:
    assert int(icr) == value


# --- VMSA: COCONUT-SVSM kernel/src/sev/vmsa.rs ----------------------------------------------------


@pytest.mark.clause("INV-8")
def test_nmi_to_inject_is_0x80000200() -> None:
    assert int(EventInj(valid=True, type=EventType.NMI)) == 0x80000200
    assert EventInj.of(0x80000200).type is EventType.NMI


def test_interrupt_0x61_to_inject_is_0x80000061() -> None:
    assert int(EventInj(valid=True, vector=0x61)) == 0x80000061


def test_queued_interrupt_0x61_is_vector_priority_and_v_irq() -> None:
    queued = VintrCtrl(v_irq=True, v_intr_prio=6, v_intr_vector=0x61, v_tpr=2)
    assert int(queued) == 0x00000061_00060102
