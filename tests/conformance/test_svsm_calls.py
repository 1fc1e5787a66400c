"""Every SVSM call: its number and name, registers and memory that are built and read, its results.

Numbers, operands and results are those of COCONUT-SVSM kernel/src/protocols.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from vmgexit import ResultCode, SvsmCall, SvsmResult
from vmgexit.schema import Record
from vmgexit.wire import attestation, core, uefi_mm, vtpm
from vmgexit.wire.calls import calls, find_call, former_calls

NONCE_OK = attestation.AttestServices(nonce_gpa=0x5000, nonce_size=64)


@dataclass(frozen=True)
class Case:
    """A call with registers that must read without a broken rule."""

    protocol: int
    number: int
    name: str
    registers: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    results: tuple[int, ...] = (0,)

    def __str__(self) -> str:
        return self.name


CASES = [
    Case(
        0,
        0,
        "SVSM_CORE_REMAP_CA",
        {"rcx": 0x7000},
        ("new calling area",),
        results=(0, 0x80000005, 0x80000003),
    ),
    Case(
        0,
        1,
        "SVSM_CORE_PVALIDATE",
        {"rcx": 0x7008},
        ("address of the list",),
        memory=("pvalidate-list",),
        results=(
            0,
            0x80000000,
            0x80000005,
            0x80000003,
            0x80001001,
            0x80001006,
            0x80001010,
        ),
    ),
    Case(
        0,
        2,
        "SVSM_CORE_CREATE_VCPU",
        {"rcx": 0x8000, "rdx": 0x9000, "r8": 3},
        ("the VMSA", "calling area", "apic_id=0x3"),
        results=(0, 0x80000003, 0x80000005, 0x80001002),
    ),
    Case(
        0,
        3,
        "SVSM_CORE_DELETE_VCPU",
        {"rcx": 0x8000},
        ("the VMSA",),
        results=(0, 0x80000005, 0x80000003, 0x80001003),
    ),
    Case(0, 4, "SVSM_CORE_DEPOSIT_MEM", results=(0x80000002,)),
    Case(0, 5, "SVSM_CORE_WITHDRAW_MEM", results=(0x80000002,)),
    Case(
        0,
        6,
        "SVSM_CORE_QUERY_PROTOCOL",
        {"rcx": 0x0000000300000001},
        ("Protocol.APIC",),
        outputs=("rcx",),
    ),
    Case(
        0,
        7,
        "SVSM_CORE_CONFIGURE_VTOM",
        {"rcx": 1},
        ("query=True",),
        outputs=("rcx",),
        results=(0, 0x80000006),
    ),
    Case(
        1,
        0,
        "SVSM_ATTEST_SERVICES",
        {"rcx": 0x7000},
        ("operation structure",),
        outputs=("rcx", "rdx", "r8"),
        memory=("attest-services",),
        results=(0, 0x80000005, 0x80000003, 0x80000006),
    ),
    Case(
        1,
        1,
        "SVSM_ATTEST_SINGLE_SERVICE",
        {"rcx": 0x7000},
        ("operation structure",),
        outputs=("rcx", "rdx", "r8"),
        memory=("attest-single-service",),
        results=(0, 0x80000005, 0x80000003, 0x80000006, 0x80000001),
    ),
    Case(2, 0, "SVSM_VTPM_QUERY", outputs=("rcx", "rdx")),
    Case(
        2,
        1,
        "SVSM_VTPM_COMMAND",
        {"rcx": 0x7123},
        ("any alignment",),
        memory=("vtpm-request", "vtpm-response"),
        results=(0, 0x80000005, 0x80000003, 0x80000002),
    ),
    Case(3, 0, "SVSM_APIC_QUERY_FEATURES", outputs=("rcx",)),
    Case(
        3,
        1,
        "SVSM_APIC_CONFIGURE_EMULATION",
        {"rcx": 0b10},
        ("ConfigureRequest.REGISTER",),
        results=(0, 0x80000005, 0x80001000),
    ),
    Case(
        3,
        2,
        "SVSM_APIC_READ_REGISTER",
        {"rcx": 0x808},
        ("ApicRegister.TPR",),
        outputs=("rdx",),
        results=(0, 0x80000003, 0x80000005),
    ),
    Case(
        3,
        3,
        "SVSM_APIC_WRITE_REGISTER",
        {"rcx": 0x830, "rdx": 0x40},
        ("ApicRegister.ICR",),
        results=(0, 0x80000003, 0x80000005),
    ),
    Case(
        3,
        4,
        "SVSM_APIC_CONFIGURE_VECTOR",
        {"rcx": 0x300},
        ("all_vectors=True",),
        results=(0, 0x80000005),
    ),
    Case(
        4,
        1,
        "SVSM_UEFI_MM_REQUEST",
        {"rcx": 0x7000, "rdx": 0x10000},
        ("bytes of the buffer",),
        memory=("mm-communicate-header",),
        results=(0, 0x80000005, 0x80000003),
    ),
    Case(
        5,
        0,
        "SVSM_OMP_LIST",
        {"rcx": 0x7000, "rdx": 0x10000, "r8": 4096},
        ("omp-name is read from there", "omp-entry is written to there"),
        ("r8", "r9"),
        ("omp-name", "omp-entry"),
        results=(0, 0x80000003, 0x80000005),
    ),
    Case(
        5,
        1,
        "SVSM_OMP_READ",
        {"rcx": 0x7000, "rdx": 0x10000, "r8": 8, "r9": 16},
        ("where to start in the source",),
        ("r8",),
        ("omp-identifier",),
        results=(0, 0x80000003, 0x80000005),
    ),
    Case(
        5,
        2,
        "SVSM_OMP_WRITE",
        {"rcx": 0x7000, "rdx": 0x10000, "r8": 8, "r9": 16},
        ("where to start in the source",),
        ("r8",),
        ("omp-identifier",),
        results=(0, 0x80000003, 0x80000005),
    ),
    Case(42, 1, "SVSM_MEMMAP_NUM_ENTRIES", outputs=("rcx",)),
    Case(
        42,
        2,
        "SVSM_MEMMAP_GET_ENTRY",
        {"rcx": 3},
        ("index of the range",),
        ("rdx", "r8", "r9"),
        results=(0, 0x80000005),
    ),
]

FORMER = [
    # Revision, protocol, number, name, inputs, outputs: svsm-specs 27a9fa6 (its tables),
    # COCONUT-SVSM refs/pull/1138 and refs/pull/808
    ("2026-04-14", 5, 0, "SVSM_OCP_LIST", "rcx rdx r8", "rcx"),
    ("2026-04-14", 5, 1, "SVSM_OCP_READ", "rcx rdx r8 r9", "r8"),
    ("2026-04-14", 5, 2, "SVSM_OCP_WRITE", "rcx rdx r8 r9", "r8"),
    ("2026-08-18", 5, 0, "SVSM_OCP_LIST_OBJECTS", "rcx rdx r8", "rcx"),
    ("2026-08-18", 5, 1, "SVSM_OCP_LIST_OBJECT_SOURCES", "rcx rdx r8", "rcx"),
    ("2026-08-18", 5, 2, "SVSM_OCP_READ", "rcx rdx r8 r9", "r8"),
    ("2026-08-18", 5, 3, "SVSM_OCP_WRITE", "rcx rdx r8 r9", "r8"),
    ("reboot", 5, 0, "SVSM_REBOOT_EXECUTE", "rcx", ""),
]


def test_every_call_is_here() -> None:
    assert [(case.protocol, case.number) for case in CASES] == [
        (call.protocol, call.number) for call in calls()
    ]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_call_is_built_and_read(case: Case) -> None:
    built = SvsmCall(rax=case.protocol << 32 | case.number, **case.registers)
    call = SvsmCall.decode(built.encode())
    assert (call.protocol, call.call) == (case.protocol, case.number)
    assert call.problems() == []
    notes = "\n".join(note.text for note in call.notes())
    assert notes.startswith(case.name)
    for text in case.notes:
        assert text in notes


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row_of_a_call(case: Case) -> None:
    row = find_call(case.protocol, case.number)
    assert row is not None
    assert row.name == case.name
    assert {operand.register for operand in row.inputs} == set(case.registers)
    assert tuple(operand.register for operand in row.outputs) == case.outputs
    assert tuple(held.layout.declaration.name for held in row.memory) == case.memory
    assert tuple(int(code) for code in row.results) == case.results


def test_what_numbers_meant_before() -> None:
    assert [
        (
            call.revision,
            int(call.protocol),
            call.number,
            call.name,
            " ".join(operand.register for operand in call.inputs),
            " ".join(operand.register for operand in call.outputs),
        )
        for call in former_calls()
    ] == FORMER


def test_a_call_of_protocol_5_says_all_that_it_can_mean() -> None:
    notes = [note.text for note in SvsmCall(rax=0x5_0000_0000, rcx=1).notes()]
    assert notes[0].startswith("SVSM_OMP_LIST: ")
    meant = [text for text in notes if text.startswith("in ")]
    assert [text.partition(":")[0] for text in meant] == [
        "in 2026-04-14, SVSM_OCP_LIST",
        "in 2026-08-18, SVSM_OCP_LIST_OBJECTS",
        "in reboot, SVSM_REBOOT_EXECUTE",
    ]
    only = [note.text for note in SvsmCall(rax=0x5_0000_0003).notes()]
    assert only == [
        "protocol 5, call 3: not known",
        "in 2026-08-18, SVSM_OCP_WRITE: write a source",
    ]


@pytest.mark.parametrize(("protocol", "number"), [(0, 8), (1, 2), (2, 2), (3, 5), (4, 0), (6, 0)])
def test_calls_that_do_not_exist(protocol: int, number: int) -> None:
    assert find_call(protocol, number) is None
    call = SvsmCall(rax=protocol << 32 | number)
    assert "not known" in next(iter(call.notes())).text


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0x00000000, "SUCCESS"),
        (0x80000000, "INCOMPLETE"),
        (0x80000001, "UNSUPPORTED_PROTOCOL"),
        (0x80000002, "UNSUPPORTED_CALL"),
        (0x80000003, "INVALID_ADDRESS"),
        (0x80000004, "INVALID_FORMAT"),
        (0x80000005, "INVALID_PARAMETER"),
        (0x80000006, "INVALID_REQUEST"),
        (0x80000007, "BUSY"),
        (0x80001000, "CANNOT_REGISTER"),
        (0x80001001, "FAIL_INPUT"),
        (0x80001002, "FAIL_PERMISSION"),
        (0x80001003, "FAIL_INUSE"),
        (0x80001006, "FAIL_SIZEMISMATCH"),
        (0x80001010, "FAIL_NOCHANGE"),
    ],
)
def test_result_code(value: int, name: str) -> None:
    result = SvsmResult.decode(value.to_bytes(8, "little") + bytes(32))
    assert isinstance(result.rax, ResultCode)
    assert result.rax.name == name


def test_version_range_of_a_query() -> None:
    held = core.VersionRange.of(0x0000000100000001)
    assert (held.lowest, held.highest) == (1, 1)


# --- PVALIDATE ------------------------------------------------------------------------------------


def test_pvalidate_list() -> None:
    entries = [
        core.PvalidateEntry(page_size=0, validate=True, frame=0x1234),
        core.PvalidateEntry(page_size=1, validate=False, ignore_cf=True, frame=0x400),
    ]
    data = core.PvalidateList(entries=entries).encode()
    assert data == bytes.fromhex("0200 0000 00000000" + "0440230100000000" + "0900400000000000")
    held = core.PvalidateList.decode(data + b"\xff" * 8)  # past the list: not looked at
    assert held.problems() == []
    held.header.next = 2
    assert "past the last entry" in str(held.problems()[0])
    held.header.next = 0
    held.entries[1].reserved_11_4 = 1
    assert [problem.path for problem in held.problems()] == ["entries[1].reserved_11_4"]


@pytest.mark.parametrize(("count", "paths"), [(0, 1), (511, 0), (512, 1)])
def test_pvalidate_list_fits_its_page(count: int, paths: int) -> None:
    held = core.PvalidateList(entries=[core.PvalidateEntry()] * count)
    assert [problem.path for problem in core.PvalidateList.decode(held.encode()).problems()] == [
        "header.entries"
    ] * paths


def test_pvalidate_header_that_says_another_number() -> None:
    held = core.PvalidateList(entries=[core.PvalidateEntry()])
    held.header.entries = 511
    assert [problem.path for problem in held.problems()] == ["header.entries"]


# --- attestation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, ""),
        ({"nonce_size": 63}, "nonce_size"),
        ({"nonce_gpa": 0x5FC1}, "nonce_gpa"),
        ({"nonce_gpa": 0x5FC0}, ""),
        ({"report_gpa": 0x1001}, "report_gpa"),
        ({"manifest_gpa": 0xFFFFFFFFFFFFF000, "manifest_size": 0x1001}, "manifest_gpa"),
        ({"manifest_gpa": 0xFFFFFFFFFFFFF000, "manifest_size": 0x1000}, ""),
        ({"cert_size": 0x4001}, "cert_size"),
        ({"cert_size": 0x4000}, ""),
        ({"reserved_0x01a": b"\0\0\0\0\0\1"}, "reserved_0x01a"),
    ],
)
def test_operation_structure(changes: dict[str, object], path: str) -> None:
    data = NONCE_OK.encode()
    held = attestation.AttestServices.decode(data)
    for name, value in changes.items():
        setattr(held, name, value)
    assert next((problem.path for problem in held.problems()), "") == path


def test_both_readings_of_the_nonce_size_agree_at_64() -> None:
    data = NONCE_OK.encode()
    assert attestation.AttestServices.decode(data).nonce_size == 64
    assert attestation.AttestServicesLinux.decode(data).nonce_size == 64
    wide = data[:0x18] + (0x10040).to_bytes(4, "little") + data[0x1C:]
    assert attestation.AttestServicesLinux.decode(wide).nonce_size == 0x10040
    found = [problem.path for problem in attestation.AttestServices.decode(wide).problems()]
    assert found == ["reserved_0x01a"]


def test_guids_are_in_mixed_order() -> None:
    data = bytes.fromhex("ebf176c4 2301 a545 9641 b4e7dde5bfe3")
    assert attestation.guid_bytes("c476f1eb-0123-45a5-9641-b4e7dde5bfe3") == data
    assert attestation.guid_text(data) == "c476f1eb-0123-45a5-9641-b4e7dde5bfe3"
    single = attestation.AttestSingleService(operation=NONCE_OK, service_guid=data)
    assert "vTPM" in next(single.notes()).text
    assert single.problems() == []
    single.manifest_version = 1
    assert [problem.path for problem in single.problems()] == ["manifest_version"]


def test_services_manifest() -> None:
    header = attestation.ServicesManifestHeader(
        guid=bytes.fromhex("bb9e8463 923d 7046 a1ff 58f9c94b87bb"), total_length=72, entry_count=2
    )
    manifest = attestation.ServicesManifest(
        header=header, services=[attestation.ServiceEntry(), attestation.ServiceEntry()]
    )
    assert manifest.problems() == []
    header.total_length = 71
    assert [problem.path for problem in manifest.problems()] == ["header.total_length"]
    header.guid = bytes(16)
    assert [problem.path for problem in manifest.problems()] == [
        "header.guid",
        "header.total_length",
    ]
    entry = attestation.ServiceEntry(
        guid=attestation.guid_bytes("a4453a59-9e1b-4787-a033-1986d6adbe55")
    )
    assert "UEFI MM" in next(entry.notes()).text
    assert "not known" in next(attestation.ServiceEntry().notes()).text


# --- vTPM, UEFI MM --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (vtpm.VtpmRequest(command=8, input_size=4087), ""),
        (vtpm.VtpmRequest(command=8, input_size=4088), "input_size"),
        (vtpm.VtpmRequest(command=8, locality=1), "locality"),
        (vtpm.VtpmRequest(command=7), "command"),
        (vtpm.VtpmResponse(output_size=4092), ""),
        (vtpm.VtpmResponse(output_size=4093), "output_size"),
        (uefi_mm.MmCommunicateHeader(message_length=0x40000 - 24), ""),
        (uefi_mm.MmCommunicateHeader(message_length=0x40000 - 23), "message_length"),
    ],
    ids=repr,
)
def test_buffer(value: Record, path: str) -> None:
    held = type(value).decode(value.encode())
    assert held == value
    assert next((problem.path for problem in held.problems()), "") == path


def test_commands_that_a_vtpm_supports() -> None:
    held = vtpm.VtpmCommands.of(0x100)
    assert held.send_command
    assert held.problems() == []


def test_header_of_an_mm_buffer_names_its_guid() -> None:
    held = uefi_mm.MmCommunicateHeader(guid=bytes(range(16)))
    assert next(held.notes()).text == "03020100-0504-0706-0809-0a0b0c0d0e0f"
