"""Literal offsets of the parts of IGVM files that are about SNP guests."""

from .rows import ladder

IGVM = "microsoft/igvm igvm_defs (fields of C structures, one after the other)"

LADDERS = [
    ladder(
        "igvm-fixed-header",
        IGVM,
        """
        0x00 4 magic
        0x04 4 format_version
        0x08 4 variable_header_offset
        0x0C 4 variable_header_size
        0x10 4 total_file_size
        0x14 4 checksum
        """,
    ),
    ladder("igvm-variable-header", IGVM, "0 4 type\n 4 4 length"),
    ladder(
        "igvm-supported-platform",
        IGVM,
        """
        0 4 compatibility_mask
        4 1 highest_vtl
        5 1 platform_type
        6 2 platform_version
        8 8 shared_gpa_boundary
        """,
    ),
    ladder("igvm-guest-policy", IGVM, "0 8 policy\n 8 4 compatibility_mask\n 12 4 reserved_0x00c"),
    ladder("igvm-page-data-flags", IGVM, "0 1 is_2mb_page\n 1 1 unmeasured"),
    ladder(
        "igvm-page-data",
        IGVM,
        """
        0x00 8 gpa
        0x08 4 compatibility_mask
        0x0C 4 file_offset
        0x10 4 flags
        0x14 2 data_type
        0x16 2 reserved_0x016
        """,
    ),
    ladder(
        "igvm-vp-context",
        IGVM,
        """
        0x00 8 gpa
        0x08 4 compatibility_mask
        0x0C 4 file_offset
        0x10 2 vp_index
        0x12 2 reserved_0x012
        """,
    ),
    ladder("igvm-snp-signature", IGVM, "0 72 r\n 72 72 s"),
    ladder("igvm-snp-public-key", IGVM, "0 4 curve\n 4 4 reserved_0x004\n 8 72 qx\n 80 72 qy"),
    ladder(
        "igvm-snp-id-block",
        IGVM,
        """
        0   4   compatibility_mask
        4   1   author_key_enabled
        5   3   reserved_0x005
        8   48  launch_digest
        56  16  family_id
        72  16  image_id
        88  4   version
        92  4   guest_svn
        96  4   id_key_algorithm
        100 4   author_key_algorithm
        104 144 id_block_signature
        248 152 id_key
        400 144 id_key_signature
        544 152 author_key
        """,
    ),
]
