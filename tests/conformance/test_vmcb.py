"""Worked values of the VMCB's control area, of AVIC's words and page, of INVLPGB and MOV to CR."""

from __future__ import annotations

import pytest

from tests.conformance.worked import Worked
from vmgexit import (
    AvicIncompleteIpi,
    AvicIncompleteIpiCause,
    AvicNoaccel,
    AvicRegister,
    InterceptsWord3,
    InterceptsWord4,
    InterceptsWord5,
    InvlpgbEcx,
    InvlpgbEdx,
    InvlpgbRax,
    MovCrDrInfo,
    SecureAvicPage,
    TlbControl,
    VmcbControl,
    VmcbIntCtl,
    VmcbMiscCtl,
    Vmsa,
)
from vmgexit.wire.apic import ApicIcr
from vmgexit.wire.exit_codes import exit_name
from vmgexit.wire.exits import find_exit

VALUES = [
    # The tests of OpenVMM vm/x86/x86defs/src/snp.rs
    Worked(0x00000000000000B0, AvicNoaccel, {"register": AvicRegister.EOI}),
    Worked(0x0000000100000300, AvicNoaccel, {"register": AvicRegister.ICR_LOW, "write": 1}),
    Worked(0x0000000000000400, AvicNoaccel, broken="register"),
    Worked(0x0000000000000021, AvicNoaccel, broken="reserved_3_0"),
    Worked(0x02000000000410FF, AvicIncompleteIpi, {"icr_low": 0x000410FF, "icr_high": 0x02000000}),
    Worked(0x000000010000002A, AvicIncompleteIpiCause, {"index": 42, "failure": 1}),
    Worked(0x00000005000001FF, AvicIncompleteIpiCause, {"index": 511, "failure": 5}),
    Worked(0x0000000600000000, AvicIncompleteIpiCause, broken="failure"),
    # COCONUT-SVSM kernel/src/sev/tlb.rs: everything; one address
    Worked(0x000000000000000C, InvlpgbRax, {"asid_valid": 1, "include_global": 1}),
    Worked(
        0xFFFF80000000100D,
        InvlpgbRax,
        {"va_valid": 1, "asid_valid": 1, "include_global": 1, "virtual_page": 0xFFFF800000001},
    ),
    Worked(0x0000000000000040, InvlpgbRax, broken="reserved_11_6"),
    Worked(0x80000007, InvlpgbEcx, {"count": 7, "large": 1}),
    Worked(0x00010000, InvlpgbEcx, broken="reserved_30_16"),
    Worked(0x0FFF0001, InvlpgbEdx, {"asid": 1, "pcid": 0xFFF}),
    # OpenVMM handle_crx_intercept: MOV of CR4 from RBX; CLTS
    Worked(0x8000000000000003, MovCrDrInfo, {"register": 3, "mov_cr": 1}),
    Worked(0, MovCrDrInfo, {"register": 0}),
    # Linux asm/svm.h
    Worked(0x80000000 | 1 << 30, VmcbIntCtl, {"avic_enable": 1, "x2apic_mode": 1}),
    Worked(0x0006030F, VmcbIntCtl, {"v_tpr": 15, "v_irq": 1, "v_gif": 1, "v_intr_prio": 6}),
    Worked(0x07000000, VmcbIntCtl, {"v_intr_masking": 1, "v_gif_enable": 1, "v_nmi_enable": 1}),
    Worked(7, VmcbMiscCtl, {"nested_paging": 1, "sev": 1, "sev_es": 1}),
]


@pytest.mark.parametrize("word", VALUES, ids=str)
def test_worked_value(word: Worked) -> None:
    word.check()


def test_intercepts_have_the_exit_codes_of_their_bits() -> None:
    """Bit n of word 3 exits with 0x60 + n, of word 4 with 0x80 + n, of word 5 with 0xA0 + n."""
    renamed = {
        "cr0_selective": "CR0_SEL_WRITE",
        "store_idtr": "IDTR_READ",
        "store_gdtr": "GDTR_READ",
        "store_ldtr": "LDTR_READ",
        "store_tr": "TR_READ",
        "load_idtr": "IDTR_WRITE",
        "load_gdtr": "GDTR_WRITE",
        "load_ldtr": "LDTR_WRITE",
        "load_tr": "TR_WRITE",
        "int_n": "SWINT",
        "invlpgb_illegal": "ILLEGAL_INVLPGB",
        "bus_lock": "BUSLOCK",
    }
    unnamed = {"mcommit": 0xA3, "tlbsync": 0xA4}  # OpenVMM names neither exit
    for first, cls in ((0x60, InterceptsWord3), (0x80, InterceptsWord4), (0xA0, InterceptsWord5)):
        for field in cls.declaration.fields:
            if field.width > 1:
                continue
            code = first + field.bit_offset
            expected = hex(code) if field.name in unnamed else field.name.upper()
            assert exit_name(code) == renamed.get(field.name, expected)


def test_control_area() -> None:
    """A guest with SEV-ES that exited for a nested page fault by the RMP."""
    data = bytearray(1024)
    data[0x00:0x04] = bytes.fromhex("10001000")  # CR4
    data[0x08:0x0C] = (1 << 18 | 1 << 1).to_bytes(4, "little")  # #MC, #DB
    data[0x58:0x5D] = bytes.fromhex("05000000 01")
    data[0x70:0x78] = (0x400).to_bytes(8, "little")
    data[0x78:0x80] = (0x180000002).to_bytes(8, "little")
    data[0x80:0x88] = (0x7000).to_bytes(8, "little")
    data[0x90] = 7
    data[0xF8:0x100] = (0x12345000 | 0x1FF).to_bytes(8, "little")
    data[0x108:0x110] = (0x98000).to_bytes(8, "little")
    data[0x138:0x140] = (1 << 63 | 1).to_bytes(8, "little")
    area = VmcbControl.decode(data, strict=True)
    assert (area.cr_intercepts.reads, area.cr_intercepts.writes) == (1 << 4, 1 << 4)
    assert area.numbers("exception_intercepts") == [1, 18]
    assert (area.asid, area.tlb_ctl) == (5, TlbControl.FLUSH_ALL_ASID)
    assert (area.avic_physical_id.frame, area.avic_physical_id.max_index) == (0x12345, 511)
    assert area.vmsa_pa == 0x98000
    assert area.allowed_sev_features.snp_active
    code, word = area.notes()
    assert (code.path, code.text) == ("exit_code", "NPF")
    assert (word.path, word.text) == (
        "exit_info_1",
        "NpfInfo(write=True, rmp=True, guest_physical=True)",
    )
    data[0x5C] = 2
    assert [problem.path for problem in VmcbControl.decode(data).problems()] == ["tlb_ctl"]


@pytest.mark.parametrize(
    ("code", "words", "texts"),
    [
        (
            0x402,
            (0x1000000B0, 0x61),
            [
                "AvicNoaccel(register=AvicRegister.EOI, write=True)",
                "AvicNoaccelVector(vector=0x61)",
            ],
        ),
        (
            0x401,
            (0x3000000FB, 0x100000003),
            [
                "AvicIncompleteIpi(icr_low=0xfb, icr_high=0x3)",
                "AvicIncompleteIpiCause(index=0x3, failure=AvicIpiFailure.NOT_RUNNING)",
            ],
        ),
        (0x14, (0x8000000000000003, 0), ["MovCrDrInfo(register=0x3, mov_cr=True)"]),
        (0x7B, (0x03F80010, 0), ["IoioInfo(size_8=True, port=0x3f8)"]),
        (0x403, (0, 0), []),
    ],
)
def test_a_vmsa_shows_the_words_of_its_exit(
    code: int, words: tuple[int, int], texts: list[str]
) -> None:
    state = Vmsa(guest_exit_code=code, guest_exitinfo1=words[0], guest_exitinfo2=words[1])
    shown = [note.text for note in state.notes() if note.path.startswith("guest_exitinfo")]
    assert shown == texts


def test_avic_exits_have_layouts() -> None:
    names = {
        code: [
            word.layout.declaration.name if word.layout else ""
            for row in (find_exit(code),)
            if row
            for word in (row.info1, row.info2)
        ]
        for code in (0x400, 0x401, 0x402)
    }
    assert names == {
        0x400: ["npf-info", ""],
        0x401: ["avic-incomplete-ipi", "avic-incomplete-ipi-cause"],
        0x402: ["avic-noaccel", "avic-noaccel-vector"],
    }


def test_an_incomplete_ipi_is_an_icr() -> None:
    word = AvicIncompleteIpi.of(0x00000003_000000FB)
    icr = ApicIcr.decode(word.encode())
    assert (icr.vector, icr.destination) == (0xFB, 3)


def test_backing_page_of_secure_avic() -> None:
    """Linux x2apic_savic.c: vector 0x61 requested and allowed, ICR of 64 bits, an NMI request."""
    data = bytearray(4096)
    data[0x20] = 3
    data[0x80] = 0x40
    data[0x230:0x238] = bytes.fromhex("02000000 02000000")  # IRR of vectors 0x60 to 0x7F
    data[0x278] = 1
    data[0x300:0x308] = (0x3_000000FB).to_bytes(8, "little")
    page = SecureAvicPage.decode(data, strict=True)
    assert (page.id.value, page.tpr.value) == (3, 0x40)
    assert (page.irr[3].value, page.irr[3].allowed, page.irr[7].nmi_request) == (2, 2, 1)
    assert (page.icr.low, page.icr.high) == (0xFB, 3)
    data[0x208] = 1
    found = [problem.path for problem in SecureAvicPage.decode(data).problems()]
    assert found == ["irr[0].nmi_request"]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0x02, "ID"),
        (0x0B, "EOI"),
        (0x0F, "SPURIOUS"),
        (0x10, "ISR0"),
        (0x1F, "TMR7"),
        (0x20, "IRR0"),
        (0x28, "ERROR"),
        (0x30, "ICR_LOW"),
        (0x32, "LVT_TIMER"),
        (0x37, "LVT_ERROR"),
        (0x38, "INITIAL_COUNT"),
        (0x3E, "DIVIDER"),
        (0x3F, "SELF_IPI"),
    ],
)
def test_number_of_an_avic_register(number: int, name: str) -> None:
    assert AvicRegister(number).name == name
