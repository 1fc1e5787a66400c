"""IGVM files: the parts that say how an SNP guest is launched.

A file begins with a fixed header; variable headers follow, each with its type and length before it and
padded to 8 bytes. Those of parameters, relocation and other platforms are not declared here.

Sources: the crate igvm_defs of microsoft/igvm (IGVM_FIXED_HEADER and IGVM_VHS structures), OpenVMM
vm/x86/x86defs/src/snp.rs.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import (
    Bits,
    Code,
    Problem,
    Record,
    bit,
    nested,
    raw,
    reserved,
    reserved_bytes,
    structure,
    u8,
    u16,
    u32,
    u64,
)
from .launch import EcdsaCurve
from .page_size import LARGE_PAGE, PAGE
from .report import GuestPolicy, SignatureAlgorithm

SOURCE = "microsoft/igvm igvm_defs"

MAGIC = 0x4D564749


class IgvmHeaderType(Code):
    """Types of variable headers. Bit 31 says that a loader may ignore one that it does not know."""

    SUPPORTED_PLATFORM = 0x1
    GUEST_POLICY = 0x101
    RELOCATABLE_REGION = 0x102
    PAGE_TABLE_RELOCATION_REGION = 0x103
    CORIM_DOCUMENT = 0x104
    CORIM_SIGNATURE = 0x105
    CCA_POLICY = 0x106
    PARAMETER_AREA = 0x301
    PAGE_DATA = 0x302
    PARAMETER_INSERT = 0x303
    VP_CONTEXT = 0x304
    REQUIRED_MEMORY = 0x305
    VP_COUNT_PARAMETER = 0x307
    SRAT = 0x308
    MADT = 0x309
    MMIO_RANGES = 0x30A
    SNP_ID_BLOCK = 0x30B
    MEMORY_MAP = 0x30C
    ERROR_RANGE = 0x30D
    COMMAND_LINE = 0x30E
    SLIT = 0x30F
    PPTT = 0x310
    VBS_MEASUREMENT = 0x311
    DEVICE_TREE = 0x312
    ENVIRONMENT_INFO_PARAMETER = 0x313


class IgvmPlatform(Code):
    """Platforms that an IGVM file is for."""

    NATIVE = 0, "no isolation"
    VSM_ISOLATION = 1, "Hyper-V's own isolation"
    SEV_SNP = 2
    TDX = 3
    SEV = 4
    SEV_ES = 5
    CCA = 6, "of Arm"


class IgvmPageType(Code):
    """What an IGVM file's page is. NORMAL and SECRETS are page types 1 and 5 of SNP."""

    NORMAL = 0
    SECRETS = 1, "the secrets page"
    CPUID_DATA = 2, "the CPUID page"
    CPUID_XF = 3, "a CPUID page for extended state"


@structure("igvm-fixed-header", size=24, source=SOURCE)
class IgvmFixedHeader(Record):
    """What an IGVM file of version 1 begins with: 24 bytes."""

    magic: int = u32("The letters IGVM", value=MAGIC)
    format_version: int = u32("Version of the format")
    variable_header_offset: int = u32("Where the variable headers start in the file")
    variable_header_size: int = u32("Bytes of the variable headers")
    total_file_size: int = u32("Bytes of the file")
    checksum: int = u32("CRC-32 of fixed and variable headers, with 0 in this field")

    def broken(self) -> Iterator[Problem]:
        start, size = self.variable_header_offset, self.variable_header_size
        if start % 8 or start < IgvmFixedHeader.size:
            rule = f"a multiple of 8, at least {IgvmFixedHeader.size}"
            yield Problem("variable_header_offset", start, rule, "")
        elif start + size > self.total_file_size:
            rule = f"{size} bytes of headers end past the file"
            yield Problem("variable_header_size", size, rule, "")


@structure("igvm-variable-header", size=8, source=SOURCE)
class IgvmVariableHeader(Record):
    """What stands before each variable header: 8 bytes."""

    type: int = u32("What follows", enum=IgvmHeaderType)
    length: int = u32("Bytes of it, without these 8 and without the padding to 8 bytes")


@structure("igvm-supported-platform", size=16, source=SOURCE)
class IgvmSupportedPlatform(Record):
    """A platform that the file is for, and the bit that stands for it in other headers."""

    compatibility_mask: int = u32("The bit of this platform")
    highest_vtl: int = u8("Highest VTL that is used; 0 where there are none")
    platform_type: int = u8("Which platform", enum=IgvmPlatform)
    platform_version: int = u16("Its version; of SEV-SNP: 1")
    shared_gpa_boundary: int = u64("Address from which on memory is shared; 0 = none")

    def broken(self) -> Iterator[Problem]:
        if self.compatibility_mask.bit_count() != 1:
            yield Problem("compatibility_mask", self.compatibility_mask, "exactly one bit", "")


@structure("igvm-guest-policy", size=16, source=SOURCE)
class IgvmGuestPolicy(Record):
    """Policy of the guest on SEV-SNP."""

    policy: GuestPolicy = nested(GuestPolicy, "Policy")
    compatibility_mask: int = u32("Bits of the platforms that it is for")
    reserved_0x00c: bytes = reserved_bytes(4)


@structure("igvm-page-data-flags", size=4, source=SOURCE)
class IgvmPageDataFlags(Bits):
    """How a page is loaded."""

    is_2mb_page: bool = bit("It is a page of 2 MiB")
    unmeasured: bool = bit("Its contents are not measured")
    reserved_31_2: int = reserved(30)


@structure("igvm-page-data", size=24, source=SOURCE)
class IgvmPageData(Record):
    """A page that is loaded into the guest."""

    gpa: int = u64("Guest-physical address of the page", spec="GPA")
    compatibility_mask: int = u32("Bits of the platforms that it is for")
    file_offset: int = u32("Where its contents start in the file; 0 = a page of zeros")
    flags: IgvmPageDataFlags = nested(IgvmPageDataFlags, "How it is loaded")
    data_type: int = u16("What it is", enum=IgvmPageType)
    reserved_0x016: bytes = reserved_bytes(2)

    def broken(self) -> Iterator[Problem]:
        unit = LARGE_PAGE if self.flags.is_2mb_page else PAGE
        if self.gpa % unit:
            yield Problem("gpa", self.gpa, f"not a multiple of {unit:#x}", "")


@structure("igvm-vp-context", size=20, source=SOURCE)
class IgvmVpContext(Record):
    """State of a vCPU; on SEV-SNP the file has a VMSA there, of page type 2."""

    gpa: int = u64("Guest-physical address of the state", spec="GPA")
    compatibility_mask: int = u32("Bits of the platforms that it is for")
    file_offset: int = u32("Where the state starts in the file")
    vp_index: int = u16("Number of the vCPU", spec="VPIndex")
    reserved_0x012: bytes = reserved_bytes(2)


@structure("igvm-snp-signature", size=144, source=SOURCE)
class IgvmSnpSignature(Record):
    """A signature of the ID block of an IGVM file, numbers least significant byte first."""

    r: bytes = raw(72, "R", spec="r_comp")
    s: bytes = raw(72, "S", spec="s_comp")


@structure("igvm-snp-public-key", size=152, source=SOURCE)
class IgvmSnpPublicKey(Record):
    """A public key of the ID block of an IGVM file."""

    curve: int = u32("Elliptic curve", enum=EcdsaCurve)
    reserved_0x004: bytes = reserved_bytes(4)
    qx: bytes = raw(72, "X coordinate")
    qy: bytes = raw(72, "Y coordinate")


@structure("igvm-snp-id-block", size=696, source=SOURCE)
class IgvmSnpIdBlock(Record):
    """ID block and ID authentication of an IGVM file. The policy is in `igvm-guest-policy`."""

    compatibility_mask: int = u32("Bits of the platforms that it is for")
    author_key_enabled: int = u8("1 = there is an author key; 0: its fields are zero")
    reserved_0x005: bytes = reserved_bytes(3)
    launch_digest: bytes = raw(48, "Launch digest that is expected", spec="ld")
    family_id: bytes = raw(16, "Family ID, for the report")
    image_id: bytes = raw(16, "Image ID, for the report")
    version: int = u32("Version of the ID block")
    guest_svn: int = u32("Security version of the guest, for the report")
    id_key_algorithm: int = u32("Algorithm of the ID key", enum=SignatureAlgorithm)
    author_key_algorithm: int = u32("Algorithm of the author key", enum=SignatureAlgorithm)
    id_block_signature: IgvmSnpSignature = nested(
        IgvmSnpSignature, "Signature of the ID block, by the ID key", spec="id_key_signature"
    )
    id_key: IgvmSnpPublicKey = nested(IgvmSnpPublicKey, "The ID key", spec="id_public_key")
    id_key_signature: IgvmSnpSignature = nested(
        IgvmSnpSignature, "Signature of the ID key, by the author key", spec="author_key_signature"
    )
    author_key: IgvmSnpPublicKey = nested(
        IgvmSnpPublicKey, "The author key", spec="author_public_key"
    )

    def broken(self) -> Iterator[Problem]:
        if self.author_key_enabled > 1:
            yield Problem("author_key_enabled", self.author_key_enabled, "0 or 1", "")
        elif not self.author_key_enabled and any(self.author_key.encode()):
            rule = "an author key is there, and is not enabled"
            yield Problem("author_key_enabled", self.author_key_enabled, rule, "")
