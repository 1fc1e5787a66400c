"""The launch of a guest: what its first pages are, what they add up to, and who signed for it.

A launch digest grows page by page: it is SHA-384 of PAGE_INFO, which holds the digest before it. A VMSA
is measured at address 0xFFFFFFFFF000. An ID block says what the digest must be; the ID authentication
page has the signatures over it. In the running guest, UEFI's configuration table
067b1f5f-cf26-44c5-8554-93d777912d42 leads to `cc-blob-sev-info`, which says where the secrets page and
the CPUID page are.

Sources: OpenVMM vm/x86/x86defs/src/snp.rs, virtee/sev src/measurement/idblock_types.rs and
src/measurement/gctx.rs, Linux arch/x86/include/asm/sev.h, edk2
OvmfPkg/Include/Guid/ConfidentialComputingSevSnpBlob.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import (
    Code,
    Note,
    Problem,
    Record,
    nested,
    raw,
    reserved_bytes,
    structure,
    u8,
    u16,
    u32,
    u64,
)
from .page_size import PAGE
from .readings import notes_on
from .report import GuestPolicy, ReportSignature, SignatureAlgorithm

OPENVMM = "OpenVMM vm/x86/x86defs/src/snp.rs"
VIRTEE = "virtee/sev src/measurement/idblock_types.rs"
LINUX = "Linux arch/x86/include/asm/sev.h"

MAGIC = 0x45444D41


class LaunchPageType(Code):
    """What a page of the launch is, and with that, what of it is measured."""

    NORMAL = 1, "contents are measured"
    VMSA = 2, "contents are measured"
    ZERO = 3, "the firmware zeroes it, and measures that it did"
    UNMEASURED = 4, "encrypted, contents are not measured"
    SECRETS = 5, "the firmware writes the secrets page"
    CPUID = 6, "the firmware checks the CPUID page, contents are not measured"


@structure("launch-page-info", size=0x70, source=f"{OPENVMM}; virtee/sev src/measurement/gctx.rs")
class LaunchPageInfo(Record):
    """PAGE_INFO: what the launch digest is made of. SHA-384 of these 112 bytes is the next digest."""

    digest_current: bytes = raw(48, "Launch digest before this page", spec="DIGEST_CUR")
    contents: bytes = raw(48, "SHA-384 of the page, or 0 where it is not measured", spec="CONTENTS")
    length: int = u16("Size of this structure", value=0x70, spec="LENGTH")
    page_type: int = u8("What the page is", enum=LaunchPageType, spec="PAGE_TYPE")
    imi_page: int = u8("1 = a page of the initial migration image", spec="IMI_PAGE")
    vmpl3_permissions: int = u8("What VMPL 3 may do with the page", spec="VMPL3_PERMS")
    vmpl2_permissions: int = u8("What VMPL 2 may do with the page", spec="VMPL2_PERMS")
    vmpl1_permissions: int = u8("What VMPL 1 may do with the page", spec="VMPL1_PERMS")
    reserved_0x067: bytes = reserved_bytes(1)
    gpa: int = u64("Guest-physical address of the page", spec="GPA")

    def broken(self) -> Iterator[Problem]:
        if self.imi_page > 1:
            yield Problem("imi_page", self.imi_page, "0 or 1", "")
        if self.gpa % PAGE:
            yield Problem("gpa", self.gpa, "not 4 KiB aligned", "")

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


@structure("id-block", size=0x60, source=f"{OPENVMM}; {VIRTEE}")
class IdBlock(Record):
    """ID block: what the owner of a guest expects its launch to be. 96 bytes, signed by the ID key."""

    launch_digest: bytes = raw(48, "Launch digest that is expected", spec="LD")
    family_id: bytes = raw(16, "Family ID, for the report", spec="FAMILY_ID")
    image_id: bytes = raw(16, "Image ID, for the report", spec="IMAGE_ID")
    version: int = u32("Version of the ID block", value=1, spec="VERSION")
    guest_svn: int = u32("Security version of the guest, for the report", spec="GUEST_SVN")
    policy: GuestPolicy = nested(GuestPolicy, "Policy that is expected", spec="POLICY")


class EcdsaCurve(IntEnum):
    """Elliptic curve of a public key."""

    NONE = 0  # as in the author key where there is none
    P384 = 2


@structure("ecdsa-public-key", size=0x404, source=VIRTEE)
class EcdsaPublicKey(Record):
    """Public key of the ID authentication page, numbers least significant byte first."""

    curve: int = u32("Elliptic curve", enum=EcdsaCurve, spec="CURVE")
    qx: bytes = raw(72, "X coordinate", spec="QX")
    qy: bytes = raw(72, "Y coordinate", spec="QY")
    reserved_0x094: bytes = reserved_bytes(0x370)


@structure("id-authentication", size=4096, source=VIRTEE)
class IdAuthentication(Record):
    """ID authentication information: 4 KiB with the signature of an ID block, and of the key for it."""

    id_key_algorithm: int = u32(
        "Algorithm of the ID key", enum=SignatureAlgorithm, spec="ID_KEY_ALGO"
    )
    author_key_algorithm: int = u32(
        "Algorithm of the author key; not looked at without one",
        enum=SignatureAlgorithm,
        spec="AUTH_KEY_ALGO",
    )
    reserved_0x008: bytes = reserved_bytes(0x38)
    id_block_signature: ReportSignature = nested(
        ReportSignature, "Signature of the ID block, by the ID key", spec="ID_BLOCK_SIG"
    )
    id_key: EcdsaPublicKey = nested(EcdsaPublicKey, "The ID key", spec="ID_KEY")
    reserved_0x644: bytes = reserved_bytes(0x3C)
    id_key_signature: ReportSignature = nested(
        ReportSignature, "Signature of the ID key, by the author key", spec="ID_KEY_SIG"
    )
    author_key: EcdsaPublicKey = nested(EcdsaPublicKey, "The author key", spec="AUTHOR_KEY")
    reserved_0xc84: bytes = reserved_bytes(0x37C)


@structure("cc-blob-sev-info", size=40, source=f"{LINUX}; edk2 ConfidentialComputingSevSnpBlob.h")
class CcBlobSevInfo(Record):
    """Confidential computing blob: where a guest finds its secrets page and its CPUID page."""

    magic: int = u32("The letters AMDE", value=MAGIC, spec="Header")
    version: int = u16("Version; edk2 writes 1")
    reserved_0x006: bytes = reserved_bytes(2)
    secrets_phys: int = u64(
        "Guest-physical address of the secrets page", spec="SecretsPhysicalAddress"
    )
    secrets_len: int = u32("Bytes there", spec="SecretsSize")
    reserved_0x014: bytes = reserved_bytes(4)
    cpuid_phys: int = u64("Guest-physical address of the CPUID page", spec="CpuidPhysicalAddress")
    cpuid_len: int = u32("Bytes there", spec="CpuidLSize")
    reserved_0x024: bytes = reserved_bytes(4)

    def broken(self) -> Iterator[Problem]:
        for name in ("secrets_phys", "cpuid_phys"):
            if getattr(self, name) % PAGE:
                yield Problem(name, getattr(self, name), "not 4 KiB aligned", "")
