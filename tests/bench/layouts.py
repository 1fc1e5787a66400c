"""The structures of the bench, written a second time by hand, for the peers to be made from.

Nothing here is computed from our own declarations, so that a peer that reads the same values checks
them as well. Fields stand in the order of their bytes; `:8` is a count of bits in a `Word`; in a
`Record`, `:u64` is an integer, `:b60` so many bytes, `:w7` so many integers of 32 bits, as COCONUT-SVSM
declares IRR and ISR, and a name alone another layout of this file, `*3` of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One little-endian integer of `size` bytes, its fields from bit 0 upward."""

    name: str
    size: int
    text: str

    @property
    def fields(self) -> Iterator[tuple[str, int]]:
        for entry in self.text.split():
            name, _, bits = entry.partition(":")
            yield name, int(bits)


@dataclass(frozen=True)
class Field:
    """One field of a record: `code` is u8 to u64, b (bytes), w (32-bit words) or r (another layout)."""

    name: str
    code: str
    count: int
    of: Word | Record | None = None


@dataclass(frozen=True)
class Record:
    """Fields of whole bytes, one after the other."""

    name: str
    size: int
    text: str

    @property
    def fields(self) -> Iterator[Field]:
        for entry in self.text.split():
            name, _, kind = entry.partition(":")
            if kind[1:].isdigit():
                plain = kind in ("u8", "u16", "u32", "u64")
                yield Field(name, kind if plain else kind[0], 1 if plain else int(kind[1:]))
            else:
                other, _, count = kind.partition("*")
                yield Field(name, "r", int(count or 0), NAMED[other])


STATUS = Word(
    "Status",
    4,
    """
    pending_vector:8 nmi_pending:1 mc_pending:1 level_sensitive:1 reserved_13_11:3
    multiple_vectors:1 reserved_26_15:12 ipi_requested:1 reserved_30_28:3 vector_31:1
    """,
)
DESCRIPTOR = Record("Descriptor", 64, "status:Status irr:w7 isr:w8")
FLAGS = Word("Flags", 1, "nmi_pending:1 mc_pending:1 reserved_6_2:5 no_further_signal:1")
EVENTS = Word("Events", 1, "vmpl1:1 vmpl2:1 vmpl3:1 reserved_7_3:5")
HEAD = Record(
    "Head",
    256,
    """
    vector:u8 flags:Flags no_eoi_required:u8 per_vmpl_events:Events reserved_0x004:b60
    vmpl1:Descriptor vmpl2:Descriptor vmpl3:Descriptor
    """,
)
GHCB = Record(
    "Ghcb",
    4096,
    """
    reserved_0x000:b203 cpl:u8 reserved_0x0cc:b116 xss:u64 reserved_0x148:b24 dr7:u64
    reserved_0x168:b16 rip:u64 reserved_0x180:b88 rsp:u64 reserved_0x1e0:b24 rax:u64
    reserved_0x200:b264 rcx:u64 rdx:u64 rbx:u64 reserved_0x320:b8 rbp:u64 rsi:u64 rdi:u64 r8:u64
    r9:u64 r10:u64 r11:u64 r12:u64 r13:u64 r14:u64 r15:u64 reserved_0x380:b16 sw_exit_code:u64
    sw_exit_info_1:u64 sw_exit_info_2:u64 sw_scratch:u64 reserved_0x3b0:b56 xcr0:u64
    valid_bitmap:w4 x87_state_gpa:u64 reserved_0x408:b1016 shared_buffer:b2032 reserved_0xff0:b10
    protocol_version:u16 ghcb_usage:u32
    """,
)
SEGMENT = Record("Segment", 16, "selector:u16 attributes:u16 limit:u32 base:u64")
SECURE_AVIC = Word(
    "SecureAvic", 8, "enabled:1 allowed_nmi:1 reserved_11_2:10 backing_page_frame:52"
)
EVENT_INJ = Word(
    "EventInj",
    8,
    "vector:8 type:3 error_code_valid:1 reserved_30_12:19 valid:1 error_code:32",
)
SEV_FEATURES = Word(
    "SevFeatures",
    8,
    """
    snp_active:1 vtom:1 reflect_vc:1 restricted_injection:1 alternate_injection:1 debug_swap:1
    prevent_host_ibs:1 snp_btb_isolation:1 vmpl_sss:1 secure_tsc:1 vmgexit_parameter:1
    pmc_virtualization:1 ibs_virtualization:1 guest_intercept_control:1 vmsa_register_protection:1
    smt_protection:1 secure_avic:1 reserved_20_17:4 ibpb_on_entry:1 reserved_62_22:41
    allowed_sev_features_enable:1
    """,
)
VINTR_CTRL = Word(
    "VintrCtrl",
    8,
    """
    v_tpr:8 v_irq:1 vgif:1 int_shadow:1 v_nmi:1 v_nmi_mask:1 reserved_15_13:3 v_intr_prio:4
    v_ign_tpr:1 reserved_25_21:5 v_nmi_enable:1 reserved_31_27:5 v_intr_vector:8
    reserved_62_40:23 busy:1
    """,
)
VMSA = Record(
    "Vmsa",
    4096,
    """
    es:Segment cs:Segment ss:Segment ds:Segment fs:Segment gs:Segment gdt:Segment ldt:Segment
    idt:Segment tr:Segment pl0_ssp:u64 pl1_ssp:u64 pl2_ssp:u64 pl3_ssp:u64 u_cet:u64
    reserved_0x0c8:b2 vmpl:u8 cpl:u8 reserved_0x0cc:b4 efer:u64 reserved_0x0d8:b104 xss:u64 cr4:u64
    cr3:u64 cr0:u64 dr7:u64 dr6:u64 rflags:u64 rip:u64 dr0:u64 dr1:u64 dr2:u64 dr3:u64 dr0_mask:u64
    dr1_mask:u64 dr2_mask:u64 dr3_mask:u64 reserved_0x1c0:b24 rsp:u64 s_cet:u64 ssp:u64
    isst_addr:u64 rax:u64 star:u64 lstar:u64 cstar:u64 sfmask:u64 kernel_gs_base:u64
    sysenter_cs:u64 sysenter_esp:u64 sysenter_eip:u64 cr2:u64 reserved_0x248:b32 g_pat:u64
    dbgctl:u64 br_from:u64 br_to:u64 last_excp_from:u64 last_excp_to:u64 reserved_0x298:b72
    spec_ctrl:u64 pkru:u32 tsc_aux:u32 guest_tsc_scale:u64 guest_tsc_offset:u64 reg_prot_nonce:u64
    rcx:u64 rdx:u64 rbx:u64 secure_avic_control:SecureAvic rbp:u64 rsi:u64 rdi:u64 r8:u64 r9:u64
    r10:u64 r11:u64 r12:u64 r13:u64 r14:u64 r15:u64 reserved_0x380:b16 guest_exitinfo1:u64
    guest_exitinfo2:u64 guest_exitintinfo:EventInj guest_nrip:u64 sev_features:SevFeatures
    vintr_ctrl:VintrCtrl guest_exit_code:u64 vtom:u64 tlb_id:u64 pcpu_id:u64 event_inj:EventInj
    xcr0:u64 x87_state_valid:b16 x87_dp:u64 mxcsr:u32 x87_ftw:u16 x87_fsw:u16 x87_fcw:u16
    x87_fop:u16 x87_ds:u16 x87_cs:u16 x87_rip:u64 fpreg_x87:b80 fpreg_xmm:b256 fpreg_ymm:b256
    lbr_stack:b256 lbr_select:u64 ibs_fetch_ctl:u64 ibs_fetch_linaddr:u64 ibs_op_ctl:u64
    ibs_op_rip:u64 ibs_op_data:u64 ibs_op_data2:u64 ibs_op_data3:u64 ibs_dc_linaddr:u64
    bp_ibstgt_rip:u64 ic_ibs_extd_ctl:u64 reserved_0x7c8:b2104
    """,
)

NAMED: dict[str, Word | Record] = {
    layout.name: layout
    for layout in (
        STATUS,
        DESCRIPTOR,
        FLAGS,
        EVENTS,
        SEGMENT,
        SECURE_AVIC,
        EVENT_INJ,
        SEV_FEATURES,
        VINTR_CTRL,
    )
}


def parts(layout: Word | Record) -> Iterator[Word | Record]:
    """The layout and all that it holds, inner ones first, each once."""
    seen: dict[str, Word | Record] = {}

    def visit(one: Word | Record) -> None:
        if isinstance(one, Record):
            for field in one.fields:
                if field.of is not None:
                    visit(field.of)
        seen.setdefault(one.name, one)

    visit(layout)
    yield from seen.values()


def leaves(layout: Word | Record, prefix: str = "") -> Iterator[tuple[str, str, int]]:
    """Path, code (u or b) and bits of every value in the order of the bits; words one by one."""
    if isinstance(layout, Word):
        for name, bits in layout.fields:
            yield f"{prefix}{name}", "u", bits
        return
    for field in layout.fields:
        path = f"{prefix}{field.name}"
        if field.of is not None:
            for index in range(field.count or 1):
                yield from leaves(field.of, f"{path}[{index}]." if field.count else f"{path}.")
        elif field.code == "b":
            yield path, "b", 8 * field.count
        elif field.code == "w":
            for index in range(field.count):
                yield f"{path}[{index}]", "u", 32
        else:
            yield path, "u", int(field.code[1:])
