"""Quirks of GHCB hosts: what KVM does that the protocol's sources do not say, each as one named switch.

`reference` has no quirk. `kvm` has those of KVM, and answers as KVM does; `kvm-planes` is KVM with the
series that brings restricted injection and several VMPLs. `Quirks` has the departures on
which the reference stands by its sources. `settled` has those on which KVM was right, or nobody says
otherwise: there the reference does as KVM, and no switch exists. Code asks for a quirk beside the rule
that it breaks, and nowhere else.

KVM is arch/x86/kvm/svm/sev.c and arch/x86/kvm/x86.c of 6.12 with the public changes to 7.1-rc6. A row is
the exit's row in `wire.exits`, with the sources that it cites.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..profiles import Profiles, switch

KVM_SEEN = "KVM sev.c, 7.1-rc6"
WITHOUT_PLANES = "KVM sev.c, 7.1-rc6, without planes"
PLANES_SEEN = "KVM planes and SEV-SNP series of 2026-06-08"
"""Restricted injection and several VMPLs, for 7.1-rc7: Joerg Roedel, Melody Wang, Tom Lendacky."""


class Decision(Enum):
    """What we make of a departure."""

    REFERENCE_WRONG = "reference wrong"  # it does as KVM now
    CHOICE = "KVM's choice"
    ERROR = "KVM's error"
    OPEN = "open"


CHOICE, ERROR, OPEN = Decision.CHOICE, Decision.ERROR, Decision.OPEN


def quirk(
    happens: str, should: str, source: str, decision: Decision = CHOICE, *, seen: str = KVM_SEEN
) -> Any:
    """A switch: what happens with it, what should, where that stands, and what we make of it."""
    return switch(happens=happens, should=should, source=source, decision=decision, seen=seen)


@dataclass(frozen=True, slots=True)
class Quirks:
    """The switches of one profile."""

    # --- every exit ---

    registers_always_returned: bool = quirk(
        "RAX, RBX, RCX and RDX come back and are marked valid after every exit, refused ones too",
        "the registers that the exit returns",
        "the exit's row",
    )
    unmarked_registers_zeroed: bool = quirk(
        "a register that comes back and was not marked valid is 0, over what stood there",
        "what stood there stays",
        "the exit's row",
    )
    xcr0_taken_always: bool = quirk(
        "XCR0 that is marked valid takes effect at any exit, refused or not",
        "at CPUID of leaf 0xD",
        "row of CPUID",
    )
    version_field_ignored: bool = quirk(
        "a VM of version 1 may ask for the exits of version 2; the page's version is never looked at",
        "error 5 in a VM of version 1",
        "the rows' `since`; edk2 and fresh pages of Linux say version 0, so the page's counts for nothing",
    )
    unregistered_page_ends_run: bool = quirk(
        "KVM_RUN fails with 22 on a page that is not registered",
        "error 1",
        "`wire.exit_codes.MalformedInput`: error 1 is made for it",
    )
    later_events_unknown: bool = quirk(
        "0x80000014 to 0x8000001D, 0x80000020 and 0x80000021 are error 6",
        "carried out",
        "the exits' rows",
        seen=WITHOUT_PLANES,
    )
    snp_exits_in_es_guest_missing: bool = quirk(
        "0x80000010 to 0x80000013, and those of the planes series, are error 4 without SNP",
        "error 6: such a VM does not have the exit",
        "the rows' `feature`",
    )

    # --- exits of the processor ---

    rdtsc_ends_run: bool = quirk(
        "RDTSC passes the checks and ends in an internal error to user space",
        "RAX and RDX have the time stamp counter",
        "row of RDTSC; KVM's own checks let it pass",
        ERROR,
    )
    rdtscp_injects_ud: bool = quirk(
        "RDTSCP queues a #UD", "RAX, RDX and RCX have counter and TSC_AUX", "row of RDTSCP", ERROR
    )
    cpuid_xcr0_by_64_bits: bool = quirk(
        "RAX 0x1_0000000D needs no XCR0, though leaf 0xD is read",
        "the low half decides",
        "KVM's own CPUID reads the low half",
        ERROR,
    )
    msr_any_nonzero_writes: bool = quirk(
        "any SW_EXITINFO1 but 0 is a write", "error 5 above 1", "row of MSR"
    )
    exception_word_sign_extended: bool = quirk(
        "the event of an MSR that faults has ones in bits 63:32",
        "0x8000030D",
        "`wire.vmsa.EventInj`",
        ERROR,
    )
    rdpmc_fault_injected: bool = quirk(
        "RDPMC that faults queues a #GP, and is done with status 0",
        "status 1 with the event, as for an MSR",
        "`wire.exit_codes.Status`",
        ERROR,
    )
    hypercall_from_user_refused: bool = quirk(
        "VMMCALL from CPL 1 to 3 returns -1 in RAX", "the host's own affair", "row of VMMCALL"
    )
    hypercall_map_forwarded: bool = quirk(
        "KVM's hypercalls 1, 9 and 12 are carried out, any other returns -1000",
        "the reference has no hypercalls, and returns 0",
        "row of VMMCALL: which registers, only the host knows",
    )

    # --- ports and MMIO ---

    io_size_zero_done: bool = quirk(
        "IOIO of size 0 does nothing, and is done", "error 5", "`wire.exit_codes.IoioInfo`"
    )
    io_size_combined: bool = quirk(
        "bits 6:4 are a number: 3, 5, 6 and 7 move that many bytes",
        "error 5: exactly one size bit",
        "`wire.exit_codes.IoioInfo`",
    )
    io_reserved_ignored: bool = quirk(
        "reserved bits, unknown segments and several address sizes pass",
        "error 5",
        "`wire.exit_codes.IoioInfo`",
    )
    string_length_overflow_ends_run: bool = quirk(
        "KVM_RUN fails with 22 where count or length passes 2^31 - 1",
        "error 5; error 3 in a VM of version 1",
        "`rules.exits` of IOIO",
    )
    string_too_long_is_scratch: bool = quirk(
        "a string form longer than the buffer is error 3 in a VM of version 2, too",
        "error 5: the count is what is wrong",
        "no source says which",
        OPEN,
    )
    unreadable_scratch_ends_run: bool = quirk(
        "KVM_RUN fails with 14 where a scratch area of version 1 is not in guest memory",
        "error 3",
        "`wire.exit_codes.MalformedInput`",
    )

    # --- page state changes ---

    psc_reserved_ignored: bool = quirk(
        "reserved bits of header and entries may be anything",
        "class 1, detail 1 or 2",
        "`wire.page_state.PscHeader` and `PscEntry`",
    )
    psc_operation_skipped: bool = quirk(
        "operations 0 and 5 to 15 count as done",
        "class 1, detail 2; the hints 3 and 4 may be skipped",
        "`wire.ghcb_msr.PageOperation`",
    )
    psc_small_entry_marked_one: bool = quirk(
        "a finished 4 KiB entry has current page 1",
        "0, as other hosts leave it; guests look at the header alone",
        "`wire.page_state.PscEntry`",
        OPEN,
    )
    psc_ranges_merged: bool = quirk(
        "adjacent entries are one mapping", "one mapping each, with the same pages", "no source"
    )
    psc_large_flag_on_rest: bool = quirk(
        "the rest of a begun 2 MiB entry is mapped with the flag of 2 MiB",
        "without: it is not a whole 2 MiB",
        "KVM counts it as 4 KiB pages itself",
    )
    psc_begun_entry_merged: bool = quirk(
        "a 4 KiB entry at a begun entry's frame + pages left is joined to it: pages past its end are"
        " mapped, and the second entry's own page is not",
        "each entry's own pages",
        "KVM's comment: begun entries are kept apart",
        ERROR,
    )
    psc_list_read_again: bool = quirk(
        "header and entries are read from the page again for each range",
        "once, so that a guest which changes the list changes nothing that was checked",
        "nothing that a guest can change is read twice",
    )

    # --- messages to the firmware ---

    request_page_wrong_is_missing: bool = quirk(
        "request and response pages that are unaligned or one page are error 4",
        "error 5: a bad value",
        "`wire.exit_codes.MalformedInput`",
    )
    certificates_only_for_reports: bool = quirk(
        "the message's type is read, and RAX and RBX count only in a report request",
        "RAX and RBX are needed for any message",
        "row of SNP_EXTENDED_GUEST_REQUEST",
    )
    certificate_area_missing_is_invalid: bool = quirk(
        "RAX or RBX not marked valid is error 5",
        "error 4",
        "KVM answers other missing fields so",
        ERROR,
    )
    certificate_table_emptied: bool = quirk(
        "the guest gets an empty table, never the host's certificates nor how many pages they need",
        "the certificates, or RBX with the pages needed",
        "row of SNP_EXTENDED_GUEST_REQUEST; KVM's comment calls it a stub",
    )
    response_page_always_written: bool = quirk(
        "the response page is written after a firmware error too",
        "only with a response",
        "row of SNP_GUEST_REQUEST",
    )
    request_page_fault_ends_run: bool = quirk(
        "KVM_RUN fails with 5 where request, response or certificates are not in guest memory",
        "error 5",
        "`wire.exit_codes.MalformedInput`",
    )

    # --- vCPUs, and the rest ---

    ap_vmpl_not_known: bool = quirk(
        "bits 31:16 of SW_EXITINFO1 count as part of the operation, so VMPL 1 to 3 is error 5, or 4"
        " without RAX",
        "the VMSA is for that VMPL",
        "row of SNP_AP_CREATION",
        seen=WITHOUT_PLANES,
    )
    ap_features_compared: bool = quirk(
        "RAX must be the VM's own SEV features; for VMPL 1 to 3, the first that were given for it",
        "the VMSA's: those of two VMPLs may differ, as under COCONUT-SVSM",
        "row of SNP_AP_CREATION",
    )
    unsupported_event_ends_run: bool = quirk(
        "KVM_RUN fails with 22", "done; edk2 sends it for a #VC that it does not know", "its row"
    )

    # --- the MSR protocol ---

    msr_unknown_unchanged: bool = quirk(
        "0x018 leaves the word as it is",
        "0x019: the page that was registered",
        "`wire.ghcb_msr`",
    )
    msr_run_vmpl_unchanged: bool = quirk(
        "0x016 leaves the word as it is",
        "0x017: the VMPL ran",
        "`wire.ghcb_msr`",
        seen=WITHOUT_PLANES,
    )
    msr_cpuid_keeps_reserved: bool = quirk(
        "the response has the request's reserved bits 29:12", "0", "`wire.ghcb_msr.CpuidResponse`"
    )
    msr_es_guest_terminated: bool = quirk(
        "0x010, 0x012, 0x014 and, with the planes series, 0x016 terminate a VM without SNP",
        "unknown there: the word stays",
        "Linux arch/x86/include/asm/sev-common.h: they came with SNP",
    )
    msr_any_frame_registered: bool = quirk(
        "0x012 accepts a frame past guest memory",
        "all ones: refused",
        "`wire.ghcb_msr.RegisterGpaResponse`",
    )

    # --- restricted injection and VMPLs, in the planes series alone ---

    one_event_an_entry: bool = quirk(
        "one entry tells of one event: a machine check, else an NMI, else a vector; the rest waits for"
        " the next",
        "all kinds have a place in the doorbell page",
        "`wire.doorbell.DoorbellFlags`",
        seen=PLANES_SEEN,
    )
    vector_waits_for_guest: bool = quirk(
        "a higher vector waits until the guest has taken the one in the page",
        "it may take the place of the lower one, without another #HV",
        "GHCB specification on PendingEvent.Vector, quoted in the review of KVM's series of 2024",
        seen=PLANES_SEEN,
    )
    machine_check_leaves_plane: bool = quirk(
        "a machine check for VMPL 0 does not make VMPL 0 run next; an IRQ, NMI or SMI does",
        "VMPL 0 runs next (SCHED-1)",
        "clause SCHED-1",
        ERROR,
        seen=PLANES_SEEN,
    )
    cancel_bare_signal_is_vector_0: bool = quirk(
        "a cancelled entry whose page holds NoFurtherSignal alone makes an interrupt of vector 0",
        "nothing was pending, nothing comes back",
        "`wire.vmsa.EventInj`: valid, type 0 and vector 0 is an interrupt",
        ERROR,
        seen=PLANES_SEEN,
    )
    cancel_merges_events: bool = quirk(
        "a cancelled entry whose page holds several events ORs them into one EVENTINJ: an NMI swallows the"
        " vector, a machine check becomes another exception",
        "each comes back",
        "a comment in KVM has it that the page holds one event; one of an earlier entry stays there",
        ERROR,
        seen=PLANES_SEEN,
    )
    ap_vmpl_0_guarded: bool = quirk(
        "a vCPU's VMPL 0 is created and destroyed by VMPL 0 of another vCPU alone, else error 5",
        "any vCPU asks for any",
        "row of SNP_AP_CREATION",
        seen=PLANES_SEEN,
    )
    apic_ids_keep_rax: bool = quirk(
        "RAX stays what the guest gave where the APIC ID list fits",
        "the pages that the list needs",
        "row of APIC_ID_LIST",
        seen=PLANES_SEEN,
    )
    bad_doorbell_set_forgets: bool = quirk(
        "SET of a page that is not aligned or not there unregisters the one before, and is error 5",
        "a refused exit changes nothing",
        "`wire.exit_codes.MalformedInput`",
        ERROR,
        seen=PLANES_SEEN,
    )
    unknown_doorbell_operation_forgets: bool = quirk(
        "an unknown operation of the doorbell exit unregisters the page, and is error 5",
        "a refused exit changes nothing",
        "`wire.exit_codes.MalformedInput`",
        ERROR,
        seen=PLANES_SEEN,
    )
    run_vmpl_low_half: bool = quirk(
        "bits 63:32 of SW_EXITINFO1 of RUN_VMPL may be anything",
        "error 5",
        "`wire.readings_ghcb` on run-vmpl: sources differ",
        OPEN,
        seen=PLANES_SEEN,
    )
    msr_missing_vmpl_ends_run: bool = quirk(
        "KVM_RUN fails with 22 where 0x016 names a VMPL without a VMSA",
        "0x017 with an error, as the exit is error 5",
        "`wire.ghcb_msr.RunVmplResponse`",
        ERROR,
        seen=PLANES_SEEN,
    )
    events_beyond_planes_unknown: bool = quirk(
        "0x80000016, 0x80000019 to 0x8000001D, 0x80000020 and 0x80000021 are error 6",
        "carried out",
        "the exits' rows",
        seen=PLANES_SEEN,
    )


PROFILES = Profiles(
    Quirks,
    "a GHCB host",
    {"kvm": (KVM_SEEN, WITHOUT_PLANES), "kvm-planes": (KVM_SEEN, PLANES_SEEN)},
)
names, only, profile = PROFILES.names, PROFILES.only, PROFILES.profile

REFERENCE = Quirks()
KVM = profile("kvm")
