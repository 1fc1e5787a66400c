"""The attestation report and the words in it."""

from .rows import ladder

GO = "google/go-sev-guest abi/abi.go (ReportToProto, policy and platform bits)"
VIRTEE = "virtee/sev src/firmware/guest/types/snp.rs"
TCB = "virtee/sev src/firmware/host/types/snp.rs (to_legacy_bytes, to_turin_bytes)"

LADDERS = [
    ladder(
        "attestation-report",
        GO,
        """
        0x000 4   version
        0x004 4   guest_svn
        0x008 8   policy
        0x010 16  family_id
        0x020 16  image_id
        0x030 4   vmpl
        0x034 4   signature_algo
        0x038 8   current_tcb
        0x040 8   platform_info
        0x048 4   key_info
        0x04C 4   reserved_0x04c
        0x050 64  report_data
        0x090 48  measurement
        0x0C0 32  host_data
        0x0E0 48  id_key_digest
        0x110 48  author_key_digest
        0x140 32  report_id
        0x160 32  report_id_ma
        0x180 8   reported_tcb
        0x188 1   cpuid_fam_id
        0x189 1   cpuid_mod_id
        0x18A 1   cpuid_step
        0x18B 21  reserved_0x18b
        0x1A0 64  chip_id
        0x1E0 8   committed_tcb
        0x1E8 4   current
        0x1EC 4   committed
        0x1F0 8   launch_tcb
        0x1F8 8   launch_mit_vector
        0x200 8   current_mit_vector
        0x208 152 reserved_0x208
        0x2A0 512 signature
        """,
    ),
    ladder("report-signature", GO, "0 72 r\n 0x48 72 s\n 0x90 368 reserved_0x090"),
    ladder("firmware-version", GO, "0 1 build\n 1 1 minor\n 2 1 major\n 3 1 reserved_0x003"),
    ladder(
        "guest-policy",
        GO,
        """
        0  8 abi_minor
        8  8 abi_major
        16 1 smt
        17 1 one
        18 1 migrate_ma
        19 1 debug
        20 1 single_socket
        21 1 cxl_allow
        22 1 mem_aes_256_xts
        23 1 rapl_dis
        24 1 ciphertext_hiding_dram
        25 1 page_swap_disable
        """,
    ),
    ladder(
        "platform-info",
        VIRTEE,
        """
        0 1 smt_en
        1 1 tsme_en
        2 1 ecc_en
        3 1 rapl_dis
        4 1 ciphertext_hiding_dram_en
        5 1 alias_check_complete
        7 1 tio_en
        """,
    ),
    ladder("report-key-info", VIRTEE, "0 1 author_key_en\n 1 1 mask_chip_key\n 2 3 signing_key"),
    ladder("tcb-version", TCB, "0 8 boot_loader\n 8 8 tee\n 48 8 snp\n 56 8 microcode"),
    ladder(
        "tcb-version",
        TCB,
        "0 8 fmc\n 8 8 boot_loader\n 16 8 tee\n 24 8 snp\n 56 8 microcode",
        revision="turin",
    ),
]
