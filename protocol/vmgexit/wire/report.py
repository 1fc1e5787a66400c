"""The attestation report: what the firmware signs of a guest, versions 2 to 5, and the words in it.

One declaration reads every version. CPUID fields exist from version 3 on, mitigation vectors from
version 5; before that their bytes are reserved. A later version is read as far as version 5 goes.

The TCB words have two layouts, chosen by the processor that the report names: up to Genoa
`tcb-version`, from Turin on `tcb-version@turin`. Reports of version 2 do not name it: both are shown.

Sources: virtee/sev src/firmware/guest/types/snp.rs and src/firmware/host/types/snp.rs,
google/go-sev-guest abi/abi.go, COCONUT-SVSM kernel/src/greq/pld_report.rs.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from ..schema import (
    Bits,
    Note,
    Problem,
    Record,
    bit,
    bits,
    nested,
    raw,
    reserved,
    reserved_bytes,
    structure,
    u8,
    u32,
    u64,
)

VIRTEE = "virtee/sev src/firmware/guest/types/snp.rs"
SOURCE = f"{VIRTEE}; google/go-sev-guest abi/abi.go"

REPORT_SIZE = 0x4A0
NEWEST = 5
"""The newest version that is known here."""

LATER_FIELDS = {
    3: ("cpuid_fam_id", "cpuid_mod_id", "cpuid_step"),
    5: ("launch_mit_vector", "current_mit_vector"),
}
"""Fields that earlier versions have reserved, by the version that brought them."""


@structure("guest-policy", size=8, source=SOURCE)
class GuestPolicy(Bits):
    """Policy of a guest: what its owner lets the host do. Given at launch, and in the report."""

    abi_minor: int = bits(8, "Lowest minor version of the firmware's ABI", spec="ABI_MINOR")
    abi_major: int = bits(8, "Lowest major version of the firmware's ABI", spec="ABI_MAJOR")
    smt: bool = bit("SMT may be on", spec="SMT")
    one: int = bits(1, "Reserved, must be 1", spec="Reserved", value=1)
    migrate_ma: bool = bit("A migration agent may be associated", spec="MIGRATE_MA")
    debug: bool = bit("The host may debug the guest", spec="DEBUG")
    single_socket: bool = bit("The guest runs on one socket only", spec="SINGLE_SOCKET")
    cxl_allow: bool = bit("CXL devices and memory may be there", spec="CXL_ALLOW")
    mem_aes_256_xts: bool = bit("Memory must be encrypted by AES 256 XTS", spec="MEM_AES_256_XTS")
    rapl_dis: bool = bit("Running average power limit must be off", spec="RAPL_DIS")
    ciphertext_hiding_dram: bool = bit(
        "Ciphertext hiding must be on for memory", spec="CIPHERTEXT_HIDING_DRAM"
    )
    page_swap_disable: bool = bit("The host may not move or swap pages", spec="PAGE_SWAP_DISABLE")
    reserved_63_26: int = reserved(38)


@structure("tcb-version", size=8, source="virtee/sev src/firmware/host/types/snp.rs")
class TcbVersion(Bits):
    """TCB version of Milan and Genoa: security versions of what the platform is built on."""

    boot_loader: int = bits(8, "Version of the secure processor's boot loader", spec="BOOT_LOADER")
    tee: int = bits(8, "Version of the secure processor's operating system", spec="TEE")
    reserved_47_16: int = reserved(32)
    snp: int = bits(8, "Version of the SNP firmware", spec="SNP")
    microcode: int = bits(8, "Lowest patch level of all cores", spec="MICROCODE")


@structure(
    "tcb-version",
    size=8,
    revision="turin",
    source="virtee/sev src/firmware/host/types/snp.rs",
)
class TcbVersionTurin(Bits):
    """TCB version of Turin and later: the boot loader and the TEE stand a byte higher."""

    fmc: int = bits(8, "Version of the FMC firmware", spec="FMC")
    boot_loader: int = bits(8, "Version of the secure processor's boot loader", spec="BOOT_LOADER")
    tee: int = bits(8, "Version of the secure processor's operating system", spec="TEE")
    snp: int = bits(8, "Version of the SNP firmware", spec="SNP")
    reserved_55_32: int = reserved(24)
    microcode: int = bits(8, "Lowest patch level of all cores", spec="MICROCODE")


@structure("platform-info", size=8, source=SOURCE)
class PlatformInfo(Bits):
    """PLATFORM_INFO: how the host is set up."""

    smt_en: bool = bit("SMT is on", spec="SMT_EN")
    tsme_en: bool = bit("Transparent memory encryption is on", spec="TSME_EN")
    ecc_en: bool = bit("Memory has error correction", spec="ECC_EN")
    rapl_dis: bool = bit("Running average power limit is off", spec="RAPL_DIS")
    ciphertext_hiding_dram_en: bool = bit(
        "Ciphertext hiding is on for memory", spec="CIPHERTEXT_HIDING_DRAM_EN"
    )
    alias_check_complete: bool = bit(
        "No aliased memory was found since the last reset", spec="ALIAS_CHECK_COMPLETE"
    )
    reserved_6: int = reserved(1)
    tio_en: bool = bit("SEV-TIO is on", spec="TIO_EN")
    reserved_63_8: int = reserved(56)


class SigningKey(IntEnum):
    """Which key signed a report."""

    VCEK = 0
    VLEK = 1
    NONE = 7


@structure("report-key-info", size=4, source=SOURCE)
class ReportKeyInfo(Bits):
    """Which keys a report is about: 4 bytes at its offset 0x48."""

    author_key_en: bool = bit("AUTHOR_KEY_DIGEST is of a key", spec="AUTHOR_KEY_EN")
    mask_chip_key: bool = bit("The host has the signature masked", spec="MASK_CHIP_KEY")
    signing_key: int = bits(3, "Key that signed", enum=SigningKey, spec="SIGNING_KEY")
    reserved_31_5: int = reserved(27)


@structure("firmware-version", size=4, source=SOURCE)
class FirmwareVersion(Record):
    """Version of the firmware, as reports hold it: major.minor.build."""

    build: int = u8("Build", spec="BUILD")
    minor: int = u8("Minor version", spec="MINOR")
    major: int = u8("Major version", spec="MAJOR")
    reserved_0x003: bytes = reserved_bytes(1)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.build}"


@structure("report-signature", size=512, source=SOURCE)
class ReportSignature(Record):
    """ECDSA P-384 with SHA-384 of the report's first 0x2A0 bytes, numbers least significant byte first."""

    r: bytes = raw(72, "R", spec="R")
    s: bytes = raw(72, "S", spec="S")
    reserved_0x090: bytes = reserved_bytes(368)


class SignatureAlgorithm(IntEnum):
    """How a report is signed."""

    INVALID = 0
    ECDSA_P384_SHA384 = 1


class Processor(NamedTuple):
    """Processors whose reports are alike: `models` of one `family`, and the layout of their TCB words."""

    name: str
    family: int
    models: range
    tcb: type[TcbVersion] | type[TcbVersionTurin]


PROCESSORS = (
    Processor("Milan", 0x19, range(0x10), TcbVersion),
    Processor("Genoa", 0x19, range(0x10, 0x20), TcbVersion),
    Processor("Genoa (Bergamo, Siena)", 0x19, range(0xA0, 0xB0), TcbVersion),
    Processor("Turin", 0x1A, range(0x12), TcbVersionTurin),
    Processor("Venice", 0x1A, range(0x50, 0x58), TcbVersionTurin),
    Processor("Venice", 0x1A, range(0x90, 0xB0), TcbVersionTurin),
    Processor("Venice", 0x1A, range(0xC0, 0xC8), TcbVersionTurin),
)
"""Source: virtee/sev src/lib.rs."""


@structure("attestation-report", size=REPORT_SIZE, source=SOURCE)
class AttestationReport(Record):
    """Attestation report, versions 2 to 5: 1,184 bytes, of which the firmware signs 0x000 to 0x29F."""

    version: int = u32("Version of the report", spec="VERSION")
    guest_svn: int = u32("Security version of the guest", spec="GUEST_SVN")
    policy: GuestPolicy = nested(GuestPolicy, "Policy of the guest", spec="POLICY")
    family_id: bytes = raw(16, "Family ID given at launch", spec="FAMILY_ID")
    image_id: bytes = raw(16, "Image ID given at launch", spec="IMAGE_ID")
    vmpl: int = u32("VMPL of the request; all ones: the host asked", spec="VMPL")
    signature_algo: int = u32(
        "Algorithm of the signature", enum=SignatureAlgorithm, spec="SIGNATURE_ALGO"
    )
    current_tcb: int = u64("TCB version now", spec="CURRENT_TCB")
    platform_info: PlatformInfo = nested(PlatformInfo, "About the host", spec="PLATFORM_INFO")
    key_info: ReportKeyInfo = nested(ReportKeyInfo, "Keys of the report", spec="KEY_INFO")
    reserved_0x04c: bytes = reserved_bytes(4)
    report_data: bytes = raw(64, "What the guest wanted signed", spec="REPORT_DATA")
    measurement: bytes = raw(48, "Measurement of the launch", spec="MEASUREMENT")
    host_data: bytes = raw(32, "What the host gave at launch", spec="HOST_DATA")
    id_key_digest: bytes = raw(48, "SHA-384 of the ID key", spec="ID_KEY_DIGEST")
    author_key_digest: bytes = raw(
        48, "SHA-384 of the author key; 0 if there is none", spec="AUTHOR_KEY_DIGEST"
    )
    report_id: bytes = raw(32, "Report ID of the guest", spec="REPORT_ID")
    report_id_ma: bytes = raw(32, "Report ID of its migration agent", spec="REPORT_ID_MA")
    reported_tcb: int = u64("TCB version that the signing key is derived from", spec="REPORTED_TCB")
    cpuid_fam_id: int = u8("Family of the processor, from version 3 on", spec="CPUID_FAM_ID")
    cpuid_mod_id: int = u8("Model of the processor, from version 3 on", spec="CPUID_MOD_ID")
    cpuid_step: int = u8("Stepping of the processor, from version 3 on", spec="CPUID_STEP")
    reserved_0x18b: bytes = reserved_bytes(21)
    chip_id: bytes = raw(64, "Chip, or 0 where the host hides it", spec="CHIP_ID")
    committed_tcb: int = u64("TCB version below which it cannot go", spec="COMMITTED_TCB")
    current: FirmwareVersion = nested(FirmwareVersion, "Firmware that runs", spec="CURRENT")
    committed: FirmwareVersion = nested(
        FirmwareVersion, "Firmware below which it cannot go", spec="COMMITTED"
    )
    launch_tcb: int = u64("TCB version when the guest was launched", spec="LAUNCH_TCB")
    launch_mit_vector: int = u64(
        "Mitigations that were there at launch, from version 5 on", spec="LAUNCH_MIT_VECTOR"
    )
    current_mit_vector: int = u64(
        "Mitigations that are there now, from version 5 on", spec="CURRENT_MIT_VECTOR"
    )
    reserved_0x208: bytes = reserved_bytes(152)
    signature: ReportSignature = nested(ReportSignature, "Signature", spec="SIGNATURE")

    @property
    def processor(self) -> str:
        """The processor that the report names; "" where it names none that is known."""
        row = self._row()
        return row.name if row else ""

    def _row(self) -> Processor | None:
        family, model = self.cpuid_fam_id, self.cpuid_mod_id
        return next(
            (row for row in PROCESSORS if row.family == family and model in row.models), None
        )

    @property
    def tcb_layouts(self) -> tuple[type[TcbVersion] | type[TcbVersionTurin], ...]:
        """How the TCB words are laid out; both ways where the report does not say."""
        row = self._row()
        return (row.tcb,) if row else (TcbVersion, TcbVersionTurin)

    def judged(self, path: str = "") -> Iterator[Problem]:
        """What is reserved today are fields of a later version, which is therefore not judged by it."""
        # Slots make a class anew, which super() does not know.
        for problem in Record.judged(self, path):
            if self.version <= NEWEST or "reserved" not in problem.path:
                yield problem

    def broken(self) -> Iterator[Problem]:
        if self.version < 2:
            yield Problem("version", self.version, "versions 2 and later are known", "")
        for version, names in LATER_FIELDS.items():
            for name in names:
                if getattr(self, name) and self.version < version:
                    rule = f"reserved before version {version}, must be zero"
                    yield Problem(name, getattr(self, name), rule, "")

    def notes(self) -> Iterator[Note]:
        if self.version > NEWEST:
            text = f"newer than {NEWEST}: read as far as version {NEWEST} goes"
            if any(self.reserved_0x208) or any(self.reserved_0x18b):
                text += "; some bytes that were reserved then are not zero"
            yield Note("version", text)
        if self.version >= 3:
            yield Note("cpuid_fam_id", self.processor or "no processor that is known here")
        yield Note("current", f"firmware {self.current}, committed {self.committed}")
        for layout in self.tcb_layouts:
            yield from self._tcb_table(layout)

    def _tcb_table(self, layout: type[TcbVersion] | type[TcbVersionTurin]) -> Iterator[Note]:
        """The four TCB versions side by side."""
        fields = [field for field in layout.declaration.fields if field.rule is None]
        label = "TCB" if len(self.tcb_layouts) == 1 else f"TCB as {layout.__name__}"
        width = max(len(label), len("committed_tcb"))
        yield Note("", "  ".join([f"{label:{width}}", *(field.spec for field in fields)]))
        for name in ("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb"):
            word = layout.of(getattr(self, name))
            cells = [f"{getattr(word, field.name):{len(field.spec)}}" for field in fields]
            yield Note("", "  ".join([f"{name:{width}}", *cells]))
