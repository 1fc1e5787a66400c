"""Literal offsets of what a launch is made of, of the CPUID page, and of what a host does to the RMP."""

from .rows import ladder

CPUID = "Linux arch/x86/include/asm/sev.h (snp_cpuid_fn, snp_cpuid_table)"
OPENVMM = "OpenVMM vm/x86/x86defs/src/snp.rs (SnpPageInfo, SnpPspIdBlock)"
GCTX = "virtee/sev src/measurement/gctx.rs (Gctx::update)"
VIRTEE = "virtee/sev src/measurement/idblock_types.rs"
BLOB = "edk2 OvmfPkg/Include/Guid/ConfidentialComputingSevSnpBlob.h"
STATE = "Linux arch/x86/include/asm/sev.h (rmp_state)"
RMPREAD = "Linux arch/x86/virt/svm/sev.c (rmpentry)"
RMP_RAW = "Linux arch/x86/virt/svm/sev.c (rmpentry_raw)"

LADDERS = [
    ladder(
        "cpuid-function",
        CPUID,
        """
        0x00 4 eax_in
        0x04 4 ecx_in
        0x08 8 xcr0_in
        0x10 8 xss_in
        0x18 4 eax
        0x1C 4 ebx
        0x20 4 ecx
        0x24 4 edx
        0x28 8 reserved_0x028
        """,
    ),
    ladder(
        "cpuid-page",
        CPUID,
        """
        0x000 4    count
        0x004 12   reserved_0x004
        0x010 3072 functions
        0x010 4    functions[0].eax_in
        0x040 4    functions[1].eax_in
        0xC04 4    functions[63].edx
        0xC10 1008 reserved_0xc10
        """,
    ),
    ladder(
        "launch-page-info",
        GCTX,
        """
        0x00 48 digest_current
        0x30 48 contents
        0x60 2  length
        0x62 1  page_type
        0x63 1  imi_page
        0x64 1  vmpl3_permissions
        0x65 1  vmpl2_permissions
        0x66 1  vmpl1_permissions
        0x67 1  reserved_0x067
        0x68 8  gpa
        """,
    ),
    ladder(
        "id-block",
        OPENVMM,
        """
        0x00 48 launch_digest
        0x30 16 family_id
        0x40 16 image_id
        0x50 4  version
        0x54 4  guest_svn
        0x58 8  policy
        """,
    ),
    ladder(
        "ecdsa-public-key",
        VIRTEE,
        "0x000 4 curve\n 0x004 72 qx\n 0x04C 72 qy\n 0x094 0x370 reserved_0x094",
    ),
    ladder(
        "id-authentication",
        VIRTEE,
        """
        0x000 4     id_key_algorithm
        0x004 4     author_key_algorithm
        0x008 0x38  reserved_0x008
        0x040 0x200 id_block_signature
        0x240 0x404 id_key
        0x644 0x3C  reserved_0x644
        0x680 0x200 id_key_signature
        0x880 0x404 author_key
        0xC84 0x37C reserved_0xc84
        """,
    ),
    ladder(
        "cc-blob-sev-info",
        BLOB,
        """
        0x00 4 magic
        0x04 2 version
        0x06 2 reserved_0x006
        0x08 8 secrets_phys
        0x10 4 secrets_len
        0x14 4 reserved_0x014
        0x18 8 cpuid_phys
        0x20 4 cpuid_len
        0x24 4 reserved_0x024
        """,
    ),
    ladder("rmpupdate-status", STATE, "0 32 status"),
    ladder("psmash-status", STATE, "0 32 status"),
    ladder(
        "rmp-state",
        STATE,
        """
        0x0 8 gpa
        0x8 1 assigned
        0x9 1 page_size
        0xA 1 immutable
        0xB 1 reserved_0x00b
        0xC 4 asid
        """,
    ),
    ladder(
        "rmpread-flags",
        RMPREAD,
        """
        0  1 assigned
        1  7 reserved_7_1
        8  1 large
        9  1 hpage_region_status
        10 6 reserved_15_10
        16 1 immutable
        17 7 reserved_23_17
        24 8 reserved_31_24
        """,
    ),
    ladder("rmpread-entry", RMPREAD, "0 8 gpa\n 8 4 flags\n 12 4 asid"),
    ladder("rmp-table-entry", RMP_RAW, "0 8 low\n 8 8 high"),
]
