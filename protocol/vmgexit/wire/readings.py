"""Where sources disagree: which reading the declarations follow, which other readings exist, and
their sources.

A row that names a field becomes a note on every value in which that field is not zero. A row that
names exit codes becomes a note on every GHCB page with one of those codes. A row that names a
revision says that the other reading is declared under that name. Sources are named by project: KVM
and Linux by file where it matters; `mail` is a public list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..schema import Note, Structure


@dataclass(frozen=True, slots=True)
class Reading:
    """One point on which sources differ. `field` is a path within the structure `of`."""

    topic: str
    chosen: str  # what the declarations here read
    other: str
    source: str  # "who reads it as chosen / who reads it otherwise"
    of: str = ""  # the structure's name
    field: str = ""
    codes: tuple[int, ...] = ()  # exit codes that it is about
    revision: str = ""  # under which the other reading is declared

    def __str__(self) -> str:
        return f"{self.topic}: {self.chosen}; otherwise {self.other} ({self.source})"


def notes_on(value: Structure) -> Iterator[Note]:
    """A note for each field of `value` that is not zero and that others read otherwise."""
    name = value.declaration.name
    for reading in READINGS:
        if reading.of != name or not reading.field:
            continue
        held = getattr(value, reading.field)
        if held != value.declaration[reading.field].zero:
            text = f"read as {reading.chosen}; otherwise {reading.other} ({reading.source})"
            yield Note(reading.field, text)


def notes_on_exit(code: int) -> Iterator[Note]:
    """A note for each point on which sources differ about exit `code`."""
    for reading in READINGS:
        if code in reading.codes:
            yield Note("sw_exit_code", str(reading))


def _named(fields: tuple[str, ...], of: str, other: str, source: str) -> Iterator[Reading]:
    for field in fields:
        topic = f"{of} {field}"
        yield Reading(topic, "a field of this name", other, source, of=of, field=field)


READINGS = (
    *_named(
        ("rip", "rsp"),
        "ghcb",
        "reserved",
        "Linux, OpenVMM, zyuiop/ghcb / COCONUT-SVSM, edk2, mushroom, Oak",
    ),
    *_named(
        ("rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
        "ghcb",
        "reserved",
        "COCONUT-SVSM, OpenVMM, zyuiop/ghcb, Linux / edk2, mushroom, Oak",
    ),
    Reading(
        "GHCB registers",
        "named",
        "reserved",
        "COCONUT-SVSM, OpenVMM, Linux / edk2",
        of="ghcb",
        revision="edk2",
    ),
    Reading(
        "GHCB 0x320",
        "reserved",
        "secure AVIC control",
        "every codec / a Xen patch text",
        of="ghcb",
        field="reserved_0x320",
    ),
    Reading(
        "valid bit of version and usage",
        "none exists from 0x3F0 on",
        "bit 127, to which COCONUT-SVSM's arithmetic wraps them",
        "edk2, Oak, zyuiop/ghcb / COCONUT-SVSM",
        of="ghcb",
    ),
    Reading(
        "coverage of the valid bitmap",
        "offsets 0x000 to 0x3EF; bits 126 and 127 have no field",
        "COCONUT-SVSM marks bits 126 and 127, the bitmap's own quadwords",
        "Oak / COCONUT-SVSM",
        of="ghcb",
    ),
    Reading(
        "width of the status in SW_EXITINFO1",
        "bits 31:0",
        "all 64 bits: anything but 0 is a failure",
        "Oak, zyuiop/ghcb, Linux / COCONUT-SVSM",
        of="exit-status",
        field="reserved_63_32",
    ),
    Reading(
        "status 2",
        "the request was malformed; SW_EXITINFO2 says why",
        "not expected: edk2 asserts 0 or 1 and falls back to #GP",
        "Linux, zyuiop/ghcb / edk2",
        of="exit-status",
    ),
    Reading(
        "width of the error code in SW_EXITINFO2",
        "bits 31:0",
        "all 64 bits",
        "Linux / zyuiop/ghcb",
        of="exit-error",
        field="reserved_63_32",
    ),
    Reading(
        "version that the guest writes",
        "what was negotiated, at most 2",
        "1, after negotiating 2",
        "COCONUT-SVSM, Oak / linux-svsm",
        of="ghcb",
    ),
    Reading(
        "GHCB MSR code 0x003",
        "AP jump table, no layout",
        "not defined, reserved",
        "OpenVMM / the others, a Xen patch text",
        of="ghcb-msr",
    ),
    Reading(
        "GHCB MSR codes 0x018 and 0x019, feature bit 8",
        "unregister the GHCB",
        "not known",
        "zyuiop/ghcb, Xen / COCONUT-SVSM, edk2, mushroom, OpenVMM",
        of="ghcb-msr",
    ),
    Reading(
        "how a GHCB is unregistered",
        "request 0x018 with data 0; the answer carries the frame",
        "request 0x012 with frame 0",
        "zyuiop/ghcb / COCONUT-SVSM",
        of="ghcb-msr",
    ),
    Reading(
        "error field of MSR response 0x017",
        "anything but 0 is a failure",
        "not looked at",
        "edk2, mushroom, Oak / COCONUT-SVSM",
        of="ghcb-msr-run-vmpl-response",
        field="error",
    ),
    Reading(
        "bits 31:12 of MSR response 0x015",
        "reserved, must be zero",
        "not looked at",
        "Oak, ghcb-msr-protocol, COCONUT-SVSM / Linux",
        of="ghcb-msr-page-state-response",
        field="reserved_31_12",
    ),
    Reading(
        "width of the last reserved field of MSR request 0x016",
        "24 bits, 63:40",
        "56 bits, which make the word 96 bits long",
        "mushroom, zyuiop/ghcb / edk2 SevSnpMsr.h",
        of="ghcb-msr-run-vmpl-request",
    ),
    Reading(
        "page operations over the MSR",
        "1 private and 2 shared; 3 and 4 are named and reported",
        "also PSMASH, UNSMASH and a flag for large pages in bit 56",
        "mushroom, Oak, edk2 / OpenVMM",
        of="ghcb-msr-page-state-request",
    ),
    Reading(
        "PSMASH and UNSMASH in a page state change",
        "operations of their own",
        "completed without effect",
        "COCONUT-SVSM, zyuiop/ghcb / KVM",
        of="psc-entry",
        codes=(0x80000010,),
    ),
    Reading(
        "entries of one page state change",
        "at most 253, as many as fit the buffer",
        "Linux's guest uses 64",
        "edk2, COCONUT-SVSM, Oak, zyuiop/ghcb / Linux",
        of="psc-request",
        codes=(0x80000010,),
    ),
    Reading(
        "end_entry of a page state change",
        "index of the last entry",
        "number of entries",
        "edk2, COCONUT-SVSM, Linux, Oak / zyuiop/ghcb",
        of="psc-header",
        codes=(0x80000010,),
    ),
    Reading(
        "error classes of a page state change",
        "1, 2, 3 and 0x100",
        "KVM answers 1 and 0x100 only; AMD's preview host 3 and 4",
        "zyuiop/ghcb / KVM, mail",
        of="psc-result",
        codes=(0x80000010,),
    ),
    Reading(
        "a page state change that is not finished",
        "the guest repeats the exit unchanged",
        "zyuiop/ghcb sends the rest as a new list; COCONUT-SVSM does not repeat",
        "edk2, Linux / zyuiop/ghcb, COCONUT-SVSM",
        of="psc-header",
        codes=(0x80000010,),
    ),
    Reading(
        "IOIO address size, bits 7, 8 and 9",
        "16, 32 and 64 bits",
        "named 8, 16 and 32",
        "edk2, Oak, zyuiop/ghcb / OpenVMM",
        of="ioio-info",
        codes=(0x7B,),
    ),
    Reading(
        "IOIO address size that a guest sets",
        "any one of the bits, or none",
        "bit 9 (linux-svsm, zyuiop/ghcb), bit 7 (Oak), none (COCONUT-SVSM)",
        "each as stated",
        of="ioio-info",
        codes=(0x7B,),
    ),
    Reading(
        "longest MMIO access",
        "8 bytes from version 2 on",
        "2032 bytes, the shared buffer",
        "KVM / zyuiop/ghcb",
        of="ghcb",
        codes=(
            0x80000001,
            0x80000002,
        ),
    ),
    Reading(
        "inputs of VMMCALL",
        "RAX and CPL must be valid; any register may be",
        "RCX, RDX and R8, for a Hyper-V host",
        "KVM, edk2 / COCONUT-SVSM",
        of="ghcb",
        codes=(0x81,),
    ),
    Reading(
        "exit code 0x80000019",
        "SNP TIO guest request",
        "disable alternate injection, then configure injection",
        "zyuiop/ghcb / COCONUT-SVSM before e27e9683",
        of="ghcb",
        codes=(0x80000019,),
    ),
    Reading(
        "exit code 0x8000001A",
        "secure AVIC",
        "specific EOI, then disable alternate injection",
        "Linux, zyuiop/ghcb / COCONUT-SVSM before e27e9683",
        of="ghcb",
        codes=(0x8000001A,),
    ),
    Reading(
        "exit code of the TIO guest request",
        "0x80000019",
        "0x80000020, with 0x80000021 beside it",
        "zyuiop/ghcb / Linux TIO RFC",
        of="ghcb",
        codes=(
            0x80000019,
            0x80000020,
            0x80000021,
        ),
    ),
    Reading(
        "feature bit of alternate injection",
        "bit 9",
        "bit 7",
        "COCONUT-SVSM / COCONUT-SVSM before e27e9683",
        of="hypervisor-features",
        revision="2024",
    ),
    Reading(
        "how a failed AP creation is answered",
        "status 2, error 5",
        "status 1 with #GP",
        "KVM / AMD's preview host (mail)",
        of="ap-creation",
        codes=(0x80000013,),
    ),
    Reading(
        "operation that registers a guest's VMSA",
        "0 create on INIT, 1 create now; 0 is not for restricted injection",
        "0 (COCONUT-SVSM), 1 (edk2, Linux)",
        "zyuiop/ghcb / each as stated",
        of="ap-creation",
        codes=(0x80000013,),
    ),
    Reading(
        "name of feature bit 6",
        "SEV-ES page state change",
        "SEV page state change",
        "zyuiop/ghcb / COCONUT-SVSM",
        of="hypervisor-features",
    ),
    Reading(
        "unknown feature bits",
        "kept, and reported as reserved",
        "dropped (COCONUT-SVSM, zyuiop/ghcb), or the whole decode fails (Oak)",
        "this library / each as stated",
        of="hypervisor-features",
    ),
    Reading(
        "SVSM calling area, byte 2",
        "NoEoiRequired",
        "reserved",
        "COCONUT-SVSM / edk2, linux-svsm, older Linux",
        of="calling-area",
        field="no_eoi_required",
    ),
    Reading(
        "test of call_pending",
        "anything but 0 is pending",
        "1 is pending",
        "COCONUT-SVSM / linux-svsm",
        of="calling-area",
    ),
    Reading(
        "VMPL of the guest under an SVSM",
        "what byte 0x15C of the secrets page says",
        "2 in COCONUT-SVSM, 1 in linux-svsm",
        "edk2, Linux / each as stated",
        of="secrets-page",
    ),
    Reading(
        "R9 in SVSM calls",
        "an input and an output",
        "not looked at",
        "edk2, Linux, COCONUT-SVSM's OMP and memory map / COCONUT-SVSM f4bc4bcd",
        of="svsm-call",
        field="r9",
    ),
    Reading(
        "CREATE_VCPU with an unaligned address",
        "INVALID_ADDRESS",
        "INVALID_PARAMETER",
        "COCONUT-SVSM / linux-svsm",
    ),
    Reading(
        "unknown attestation call",
        "UNSUPPORTED_PROTOCOL",
        "UNSUPPORTED_CALL, as in every other protocol",
        "COCONUT-SVSM's attestation / its other protocols",
        of="svsm-call-number",
    ),
    Reading(
        "APIC calls on a vCPU without APIC emulation",
        "UNSUPPORTED_PROTOCOL",
        "INVALID_REQUEST",
        "COCONUT-SVSM / review of its pull request 386",
    ),
    Reading(
        "nonce size of an attestation request",
        "16 bits and 6 reserved bytes",
        "32 bits and 4 reserved bytes; with 64 the bytes agree",
        "COCONUT-SVSM / Linux asm/sev.h",
        of="attest-services",
        revision="linux",
    ),
    Reading(
        "query in CONFIGURE_VTOM",
        "bit 0 of RCX",
        "RCX equal to 1",
        "COCONUT-SVSM / linux-svsm",
        of="configure-vtom",
    ),
    Reading(
        "PVALIDATE list with Next equal to Entries",
        "INVALID_PARAMETER: nothing is left to do",
        "passes the bounds check and answers its preset INVALID_PARAMETER",
        "COCONUT-SVSM / linux-svsm",
        of="pvalidate-header",
    ),
    Reading(
        "page sizes 2 and 3 of a PVALIDATE entry",
        "INVALID_PARAMETER",
        "2 MiB",
        "COCONUT-SVSM / linux-svsm",
        of="pvalidate-entry",
    ),
    Reading(
        "range that PVALIDATE does not zero",
        "0xA0000 to 0xFFFFF, by the start address",
        "0xC0000 to 0xFFFFF; both sides of it in a 2 MiB page at 0",
        "COCONUT-SVSM / linux-svsm",
        of="pvalidate-entry",
    ),
    Reading(
        "LDR",
        "a register of the APIC protocol",
        "read through a GHCB MSR event",
        "COCONUT-SVSM 9d6d4cca / Linux driver (mail)",
    ),
    Reading(
        "assert and trigger mode of the ICR",
        "not looked at",
        "refused",
        "COCONUT-SVSM since 2bfc0665 / before",
        of="apic-icr",
    ),
    *_named(
        ("guest_tsc_scale", "guest_tsc_offset"),
        "vmsa",
        "reserved",
        "COCONUT-SVSM, mushroom / OpenVMM",
    ),
    *_named(("spec_ctrl",), "vmsa", "reserved", "OpenVMM / COCONUT-SVSM, mushroom"),
    *_named(("tsc_aux",), "vmsa", "reserved", "OpenVMM, mushroom / COCONUT-SVSM"),
    *_named(("x87_state_valid",), "vmsa", "reserved", "OpenVMM / COCONUT-SVSM, mushroom"),
    Reading(
        "VMSA 0x320",
        "secure AVIC control",
        "reserved",
        "newer OpenVMM / COCONUT-SVSM, older OpenVMM",
        of="vmsa",
        field="secure_avic_control",
    ),
    Reading(
        "register protection, SMT protection and secure AVIC in SEV_STATUS",
        "bits 16, 17 and 18",
        "bits 15, 16 and 17",
        "edk2, Oak, COCONUT-SVSM / zyuiop/ghcb",
        of="sev-status",
    ),
    Reading(
        "SEV_FEATURES bit 13",
        "guest intercept control",
        "reserved",
        "newer OpenVMM / the others",
        of="sev-features",
        field="guest_intercept_control",
    ),
    Reading(
        "bits of SEV_FEATURES with a name",
        "every bit that edk2 or OpenVMM names",
        "bits 0, 3, 4, 5 and 9 only",
        "edk2, OpenVMM / KVM",
        of="sev-features",
    ),
    Reading(
        "secrets page, word at 0x004",
        "bit 0: IMI enabled",
        "gctxt, a 32-bit number",
        "Linux, zyuiop/ghcb, mushroom / COCONUT-SVSM",
        of="secrets-page",
        revision="coconut",
    ),
    Reading(
        "secrets page, 0x0A0 to 0x0FF",
        "the guest's own: sequence numbers and the AP jump table",
        "reserved",
        "Linux, zyuiop/ghcb / COCONUT-SVSM, mushroom",
        of="secrets-page",
        revision="coconut",
    ),
    Reading(
        "report request, word at 0x44",
        "key selection",
        "reserved",
        "COCONUT-SVSM / Oak, older Linux",
        of="report-request",
        revision="oak",
    ),
    Reading(
        "guest message types 15 and 16",
        "absorb without migration agent",
        "not listed",
        "Oak, zyuiop/ghcb / Linux",
        of="guest-message-header",
    ),
    *(
        Reading(
            "reserved bytes of a guest message's header",
            "reserved, must be zero",
            "not zero in answers of firmware, and not checked",
            "the layout / mushroom and Oak saw it, COCONUT-SVSM and zyuiop/ghcb do not look",
            of="guest-message-header",
            field=field,
        )
        for field in ("reserved_0x038", "reserved_0x03d")
    ),
    Reading(
        "guest message types of SEV-TIO",
        "19 to 26",
        "requests 0x81 to 0x84, responses 1 to 4",
        "Linux TIO series of 2026 / its RFC of 2024",
        of="guest-message-header",
    ),
    Reading(
        "how a TIO message names the device",
        "guest device ID, 16 bits",
        "TDI ID, 64 bits, in message version 2",
        "AMD #58271 0.91, Linux TIO series of 2026 / AMD's newest kernel tree",
        of="tdi-info-request",
        revision="tdi-id",
    ),
    Reading(
        "status 4 to 8 of MMIO_VALIDATE",
        "NOT_IO is 4, the others follow it",
        "there is no NOT_IO, and each later number is one lower",
        "Linux TIO series of 2026 / its RFC of 2025",
        of="mmio-validate-response",
        field="status",
    ),
    Reading(
        "version of key requests",
        "1, 32 bytes",
        "2, 40 bytes, with LAUNCH_MIT_VECTOR, from firmware 1.58 on",
        "Oak, Linux, OpenVMM / virtee/sev",
        of="key-request",
        revision="2",
    ),
    Reading(
        "permissions of PAGE_INFO",
        "a byte for each of VMPL 3, 2 and 1, and a reserved one",
        "one number of 32 bits",
        "virtee/sev / OpenVMM",
        of="launch-page-info",
    ),
    Reading(
        "count of INVLPGB",
        "pages after the first one",
        "pages: COCONUT-SVSM f4bc4bcd writes one more than it means",
        "OpenVMM / COCONUT-SVSM kernel/src/sev/tlb.rs",
        of="invlpgb-ecx",
        field="count",
    ),
    Reading(
        "high half of the ICR in the page of Secure AVIC",
        "bytes 0x304 to 0x307",
        "the cell at 0x310",
        "Linux x2apic_savic.c / OpenVMM",
        of="avic-icr-register",
        field="high",
    ),
    Reading(
        "page of Secure AVIC, 0x278",
        "NMI request",
        "reserved",
        "Linux x2apic_savic.c / OpenVMM",
        of="avic-irr-register",
        field="nmi_request",
    ),
    Reading(
        "index of an AVIC IPI that was not delivered",
        "bits 11:0",
        "bits 7:0",
        "KVM since AVIC_PHYSICAL_MAX_INDEX_MASK is 12 bits wide / OpenVMM, older KVM",
        of="avic-incomplete-ipi-cause",
        field="index",
    ),
    Reading(
        "update_irr of the VMCB",
        "32 bits",
        "8 bits",
        "review of the Secure AVIC host series, by the APM (mail) / the series",
        of="vmcb-control",
    ),
    Reading(
        "SVSM protocol 5",
        "observability and management, by name",
        "by index (2026-04-14, 2026-08-18), or reboot",
        "COCONUT-SVSM's OMP / svsm-specs, its pull requests 1138 and 808",
        of="svsm-call-number",
    ),
    Reading(
        "SEV_STATUS bits 13 and 15",
        "performance counters are virtualized; the guest controls intercepts",
        "reserved",
        "edk2 for bit 13, SEV_FEATURES shifted by 2 for bit 15 / OpenVMM for both, edk2 for bit 15",
        of="sev-status",
    ),
    Reading(
        "termination reasons of set 0",
        "0, 1 and 2",
        "1, 2 and 3",
        "edk2, mushroom, Oak, linux-svsm / ghcb-msr-protocol",
        of="ghcb-msr-termination-request",
    ),
    Reading(
        "where a termination's reason stands",
        "MSR: set in bits 15:12, code in 23:16. Exit 0x8000FFFE: set in 3:0, code in 11:4",
        "the two forms differ by design",
        "Linux (both)",
        of="termination-info",
        codes=(0x8000FFFE,),
    ),
    Reading(
        "doorbell page",
        "bytes for the executing VMPL and three descriptors",
        "one dword, or four descriptors",
        "COCONUT-SVSM / its drafts",
        of="doorbell-page",
        revision="2024-05-16",
    ),
    Reading(
        "no_eoi_required of the doorbell page",
        "the whole byte",
        "bit 0",
        "COCONUT-SVSM since 58539e37 / before",
        of="doorbell-page",
    ),
)
