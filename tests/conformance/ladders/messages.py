"""Literal offsets of guest messages, their payloads, and the secrets page."""

from .rows import ladder

MSG = "COCONUT-SVSM kernel/src/greq/msg.rs, compile-time asserts"
REPORT = "COCONUT-SVSM kernel/src/greq/pld_report.rs, compile-time asserts"
OAK = "Oak oak_sev_guest/src/guest.rs"
SECRETS = "Linux arch/x86/include/asm/sev.h (snp_secrets_page, secrets_os_area)"
COCONUT_SECRETS = "COCONUT-SVSM kernel/src/sev/secrets_page.rs"

LADDERS = [
    ladder(
        "guest-message-header",
        MSG,
        """
        0x00 32 authtag
        0x20 8  msg_seqno
        0x28 8  reserved_0x028
        0x30 1  algo
        0x31 1  hdr_version
        0x32 2  hdr_sz
        0x34 1  msg_type
        0x35 1  msg_version
        0x36 2  msg_sz
        0x38 4  reserved_0x038
        0x3C 1  msg_vmpck
        0x3D 35 reserved_0x03d
        """,
    ),
    ladder("guest-message", MSG, "0x00 0x60 header\n 0x60 4000 payload"),
    ladder("report-key-select", REPORT, "0 2 key"),
    ladder(
        "report-request",
        REPORT,
        """
        0x00 64 user_data
        0x40 4  vmpl
        0x44 4  key_select
        0x48 24 reserved_0x048
        """,
    ),
    ladder("report-request", OAK, "0x00 64 user_data\n 0x40 4 vmpl", revision="oak"),
    ladder(
        "report-response",
        REPORT,
        """
        0x00 4     status
        0x04 4     report_size
        0x08 24    reserved_0x008
        0x20 0x4A0 report
        """,
    ),
    ladder("key-select", OAK, "0 1 root\n 1 2 key"),
    ladder(
        "guest-field-select",
        OAK,
        """
        0 1 guest_policy
        1 1 image_id
        2 1 family_id
        3 1 measurement
        4 1 guest_svn
        5 1 tcb_version
        6 1 launch_mit_vector
        """,
    ),
    ladder(
        "key-request",
        OAK,
        """
        0x00 4 key_select
        0x04 4 reserved_0x004
        0x08 8 guest_field_select
        0x10 4 vmpl
        0x14 4 guest_svn
        0x18 8 tcb_version
        """,
    ),
    ladder(
        "key-request",
        "virtee/sev src/firmware/linux/guest/types.rs (DerivedKeyReq)",
        """
        0x00 4 key_select
        0x04 4 reserved_0x004
        0x08 8 guest_field_select
        0x10 4 vmpl
        0x14 4 guest_svn
        0x18 8 tcb_version
        0x20 8 launch_mit_vector
        """,
        revision="2",
    ),
    ladder(
        "key-response",
        OAK,
        """
        0x00 4  status
        0x04 28 reserved_0x004
        0x20 32 key
        """,
    ),
    ladder(
        "tsc-info-response",
        "Linux arch/x86/include/asm/sev.h (snp_tsc_info_resp)",
        """
        0x00 4   status
        0x04 4   reserved_0x004
        0x08 8   tsc_scale
        0x10 8   tsc_offset
        0x18 4   tsc_factor
        0x1C 100 reserved_0x01c
        """,
    ),
    ladder("tsc-info-request", "Linux arch/x86/include/asm/sev.h", "0 128 reserved_0x000"),
    ladder(
        "certificate-entry",
        "KVM arch/x86/kvm/svm/sev.c",
        """
        0  16 guid
        16 4  offset
        20 4  length
        """,
    ),
    ladder("certificate-table", "KVM arch/x86/kvm/svm/sev.c", "0 24 entries\n 24 0 rest"),
    ladder(
        "secrets-page",
        SECRETS,
        """
        0x000 4    version
        0x004 4    flags
        0x008 4    fms
        0x00C 4    reserved_0x00c
        0x010 16   gosvw
        0x020 32   vmpck0
        0x040 32   vmpck1
        0x060 32   vmpck2
        0x080 32   vmpck3
        0x0A0 4    msg_seqno_0
        0x0A4 4    msg_seqno_1
        0x0A8 4    msg_seqno_2
        0x0AC 4    msg_seqno_3
        0x0B0 8    ap_jump_table_pa
        0x0B8 40   reserved_0x0b8
        0x0E0 32   guest_usage
        0x100 64   vmsa_tweak_bitmap
        0x140 8    svsm_base
        0x148 8    svsm_size
        0x150 8    svsm_caa
        0x158 4    svsm_max_version
        0x15C 1    svsm_guest_vmpl
        0x15D 3    reserved_0x15d
        0x160 4    tsc_factor
        0x164 3740 reserved_0x164
        """,
    ),
    ladder(
        "secrets-page",
        COCONUT_SECRETS,
        """
        0x000 4  version
        0x004 4  gctxt
        0x008 4  fms
        0x010 16 gosvw
        0x020 32 vmpck0
        0x040 32 vmpck1
        0x060 32 vmpck2
        0x080 32 vmpck3
        0x0A0 96 reserved_0x0a0
        0x100 64 vmsa_tweak_bitmap
        0x140 8  svsm_base
        0x148 8  svsm_size
        0x150 8  svsm_caa
        0x158 4  svsm_max_version
        0x15C 1  svsm_guest_vmpl
        0x160 4  tsc_factor
        """,
        revision="coconut",
    ),
    ladder("secrets-flags", SECRETS, "0 1 imi_enabled"),
]
