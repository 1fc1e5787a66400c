"""Literal offsets of the GHCB page and of what its shared buffer holds."""

from .rows import ladder

COCONUT = "COCONUT-SVSM kernel/src/sev/ghcb.rs, compile-time asserts"
EDK2 = "edk2 MdePkg/Include/Register/Amd/Ghcb.h"

LADDERS = [
    ladder(
        "ghcb",
        COCONUT,
        """
        0x000 203  reserved_0x000
        0x0CB 1    cpl
        0x0CC 116  reserved_0x0cc
        0x140 8    xss
        0x148 24   reserved_0x148
        0x160 8    dr7
        0x168 16   reserved_0x168
        0x178 8    rip
        0x180 88   reserved_0x180
        0x1D8 8    rsp
        0x1E0 24   reserved_0x1e0
        0x1F8 8    rax
        0x200 264  reserved_0x200
        0x308 8    rcx
        0x310 8    rdx
        0x318 8    rbx
        0x320 8    reserved_0x320
        0x328 8    rbp
        0x330 8    rsi
        0x338 8    rdi
        0x340 8    r8
        0x348 8    r9
        0x350 8    r10
        0x358 8    r11
        0x360 8    r12
        0x368 8    r13
        0x370 8    r14
        0x378 8    r15
        0x380 16   reserved_0x380
        0x390 8    sw_exit_code
        0x398 8    sw_exit_info_1
        0x3A0 8    sw_exit_info_2
        0x3A8 8    sw_scratch
        0x3B0 56   reserved_0x3b0
        0x3E8 8    xcr0
        0x3F0 16   valid_bitmap
        0x400 8    x87_state_gpa
        0x408 1016 reserved_0x408
        0x800 2032 shared_buffer
        0xFF0 10   reserved_0xff0
        0xFFA 2    protocol_version
        0xFFC 4    ghcb_usage
        """,
    ),
    ladder(
        "ghcb",
        EDK2,
        """
        0x0CB 1    cpl
        0x1F8 8    rax
        0x308 8    rcx
        0x310 8    rdx
        0x318 8    rbx
        0x390 8    sw_exit_code
        0x398 8    sw_exit_info_1
        0x3A0 8    sw_exit_info_2
        0x3A8 8    sw_scratch
        0x3E8 8    xcr0
        0x3F0 16   valid_bitmap
        0x400 8    x87_state_gpa
        0x800 2032 shared_buffer
        0xFFA 2    protocol_version
        0xFFC 4    ghcb_usage
        """,
        revision="edk2",
    ),
    ladder(
        "ghcb-hypercall",
        "OpenVMM vm/x86/x86defs/src/snp.rs",
        """
        0x000 4072 data
        0xFE8 8    output_gpa
        0xFF0 8    control
        0xFFA 2    protocol_version
        0xFFC 4    ghcb_usage
        """,
    ),
    ladder(
        "psc-header",
        EDK2,
        """
        0  16 cur_entry
        16 16 end_entry
        32 32 reserved_63_32
        """,
    ),
    ladder(
        "psc-entry",
        EDK2,
        """
        0  12 current_page
        12 40 frame
        52 4  operation
        56 1  large
        57 7  reserved_63_57
        """,
    ),
    ladder(
        "psc-request",
        EDK2,
        """
        0  8 header
        8  8 entries
        16 0 rest
        """,
    ),
    ladder("apic-id-list-entry", EDK2, "0 32 apic_id"),
    ladder(
        "apic-id-list",
        EDK2,
        """
        0 4 count
        4 4 entries
        8 0 rest
        """,
    ),
]

VALID_BITS = {  # Oak oak_sev_guest/src/ghcb.rs; those that it does not name: offset / 8 by hand
    "cpl": 25,
    "xss": 40,
    "dr7": 44,
    "rip": 47,
    "rsp": 59,
    "rax": 63,
    "rcx": 97,
    "rdx": 98,
    "rbx": 99,
    "rbp": 101,
    "rsi": 102,
    "rdi": 103,
    "r8": 104,
    "r9": 105,
    "r10": 106,
    "r11": 107,
    "r12": 108,
    "r13": 109,
    "r14": 110,
    "r15": 111,
    "sw_exit_code": 114,
    "sw_exit_info_1": 115,
    "sw_exit_info_2": 116,
    "sw_scratch": 117,
    "xcr0": 125,
}
