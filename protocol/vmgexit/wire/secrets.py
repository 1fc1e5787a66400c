"""The secrets page: keys for messages to the firmware, and where the SVSM is.

The firmware fills it at launch. Bytes 0x140 to 0x15F are a guest's to use; an SVSM describes itself
there before it hands the page on, without the keys of the VMPLs above.

Sources: Linux arch/x86/include/asm/sev.h, COCONUT-SVSM kernel/src/sev/secrets_page.rs, zyuiop/ghcb
src/structures/snp_secrets_page.rs, mushroom common/snp-types/src/secrets.rs, edk2
MdePkg/Include/Register/Amd/Svsm.h.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import (
    Bits,
    Note,
    Problem,
    Record,
    bit,
    bitmap,
    nested,
    raw,
    reserved,
    reserved_bytes,
    structure,
    u8,
    u32,
    u64,
)

SOURCE = "Linux arch/x86/include/asm/sev.h; zyuiop/ghcb src/structures/snp_secrets_page.rs"


@structure("secrets-flags", size=4, source=SOURCE)
class SecretsFlags(Bits):
    """Word at 0x004 of the secrets page. COCONUT-SVSM calls it gctxt, without reading it."""

    imi_enabled: bool = bit("An initial migration image was used", spec="IMI_EN")
    reserved_31_1: int = reserved(31)


@structure("secrets-page", size=4096, source=SOURCE)
class SecretsPage(Record):
    """Secrets page: 4 KiB, encrypted."""

    version: int = u32("Version of the page; mushroom takes 3")
    flags: SecretsFlags = nested(SecretsFlags, "How the guest was launched")
    fms: int = u32("Family, model and stepping of the processor", spec="FMS")
    reserved_0x00c: bytes = reserved_bytes(4)
    gosvw: bytes = raw(16, "Guest OS visible workarounds", spec="GOSVW")
    vmpck0: bytes = raw(32, "Key of VMPL 0 for messages to the firmware", spec="VMPCK0")
    vmpck1: bytes = raw(32, "Key of VMPL 1", spec="VMPCK1")
    vmpck2: bytes = raw(32, "Key of VMPL 2", spec="VMPCK2")
    vmpck3: bytes = raw(32, "Key of VMPL 3", spec="VMPCK3")
    msg_seqno_0: int = u32("Guest's own: last sequence number with VMPCK0")
    msg_seqno_1: int = u32("Guest's own: last sequence number with VMPCK1")
    msg_seqno_2: int = u32("Guest's own: last sequence number with VMPCK2")
    msg_seqno_3: int = u32("Guest's own: last sequence number with VMPCK3")
    ap_jump_table_pa: int = u64("Guest's own: address of the AP jump table")
    reserved_0x0b8: bytes = reserved_bytes(40)
    guest_usage: bytes = raw(32, "Guest's own")
    vmsa_tweak_bitmap: int = bitmap(64, "Quadwords of a VMSA that are XORed with its nonce")
    svsm_base: int = u64("Guest-physical address of the SVSM")
    svsm_size: int = u64("Bytes of the SVSM; 0 = there is none")
    svsm_caa: int = u64("Guest-physical address of the first vCPU's calling area", spec="SvsmCAA")
    svsm_max_version: int = u32("Highest version of the core protocol")
    svsm_guest_vmpl: int = u8("VMPL that the guest runs at", spec="SvsmGuestVMPL")
    reserved_0x15d: bytes = reserved_bytes(3)
    tsc_factor: int = u32(
        "By how much the mean TSC frequency is below the nominal one, in 1/100000"
    )
    reserved_0x164: bytes = reserved_bytes(3740)

    def broken(self) -> Iterator[Problem]:
        if not self.svsm_size:
            return
        if self.svsm_caa % 4096:
            yield Problem("svsm_caa", self.svsm_caa, "not 4 KiB aligned", "")
        if not 1 <= self.svsm_guest_vmpl <= 3:
            rule = "under an SVSM a guest runs at VMPL 1 to 3"
            yield Problem("svsm_guest_vmpl", self.svsm_guest_vmpl, rule, "")

    def notes(self) -> Iterator[Note]:
        if not self.svsm_size:
            yield Note("svsm_size", "no SVSM")
        if any(self.reserved_0x164):
            text = "zyuiop/ghcb reads a launch mitigation vector, 8 bytes, at 0x168"
            yield Note("reserved_0x164", text)


@structure(
    "secrets-page",
    size=4096,
    revision="coconut",
    source="COCONUT-SVSM kernel/src/sev/secrets_page.rs",
)
class SecretsPageCoconut(Record):
    """Secrets page as COCONUT-SVSM reads it: gctxt at 0x004, nothing of the guest's at 0x0A0."""

    version: int = u32("Version of the page")
    gctxt: int = u32("gctxt", spec="gctxt")
    fms: int = u32("Family, model and stepping of the processor", spec="fms")
    reserved_0x00c: bytes = reserved_bytes(4)
    gosvw: bytes = raw(16, "Guest OS visible workarounds", spec="gosvw")
    vmpck0: bytes = raw(32, "Key of VMPL 0", spec="vmpck[0]")
    vmpck1: bytes = raw(32, "Key of VMPL 1", spec="vmpck[1]")
    vmpck2: bytes = raw(32, "Key of VMPL 2", spec="vmpck[2]")
    vmpck3: bytes = raw(32, "Key of VMPL 3", spec="vmpck[3]")
    reserved_0x0a0: bytes = reserved_bytes(96)
    vmsa_tweak_bitmap: int = bitmap(64, "Quadwords of a VMSA that are XORed with its nonce")
    svsm_base: int = u64("Guest-physical address of the SVSM")
    svsm_size: int = u64("Bytes of the SVSM")
    svsm_caa: int = u64("Guest-physical address of the first vCPU's calling area")
    svsm_max_version: int = u32("Highest version of the core protocol")
    svsm_guest_vmpl: int = u8("VMPL that the guest runs at")
    reserved_0x15d: bytes = reserved_bytes(3)
    tsc_factor: int = u32("By how much the mean TSC frequency is below the nominal one")
    reserved_0x164: bytes = reserved_bytes(3740)
