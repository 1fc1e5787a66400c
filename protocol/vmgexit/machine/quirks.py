"""Quirks: the departures of implementations from what the protocol means, each as one named switch.

`reference` has no quirk. `coconut` has the quirks seen in COCONUT-SVSM at f4bc4bcd, and answers as
that code does. The others were seen elsewhere, and a user can name each alone. Code asks for a
quirk beside the rule that it breaks, and nowhere else; the invariants know nothing of quirks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..profiles import Profiles, switch

COCONUT_SEEN = "COCONUT-SVSM f4bc4bcd"


def quirk(happens: str, should: str, *, seen: str = COCONUT_SEEN) -> Any:
    """A switch, off unless named: what happens with it, what should, and where it was seen."""
    return switch(happens=happens, should=should, seen=seen)


@dataclass(frozen=True, slots=True)
class MemoryQuirks:
    """The switches that only a machine with memory asks for."""

    # --- stops that a guest can cause on an honest host
    unvalidated_operand_stops: bool = quirk(
        "an operand in the memory map that is not validated ends in an assertion",
        "INVALID_ADDRESS",
    )
    unvalidated_calling_area_accepted: bool = quirk(
        "CREATE_VCPU takes a calling area that is not validated, and the new vCPU's first call stops",
        "INVALID_ADDRESS",
    )
    list_invalidates_itself: bool = quirk(
        "a PVALIDATE list makes its own page invalid, and reading its next entry stops",
        "INVALID_ADDRESS",
    )
    delete_running_stops: bool = quirk(
        "DELETE_VCPU of a vCPU that runs ends in an assertion", "FAIL_INUSE"
    )
    wrapping_buffer_stops: bool = quirk(
        "a report buffer whose last page ends at 2^64 passes all checks, and writing it stops",
        "INVALID_ADDRESS",
    )
    invalidate_twice_stops: bool = quirk(
        "where RMPADJUST of a page not validated is #VC, making a page invalid twice stops",
        "FAIL_NOCHANGE",
    )
    taken_page_panics: bool = quirk(
        "a VMSA or a calling area that the host took ends in an assertion", "a termination request"
    )
    # --- what pages hold and who may reach them
    list_cleared_while_read: bool = quirk(
        "a PVALIDATE list clears its own page while it is read, and goes on with entries of zero",
        "INVALID_ADDRESS",
    )
    ignore_cf_wipes: bool = quirk(
        "validating a valid page with IgnoreCF succeeds and clears it", "the page is left as it is"
    )
    ignore_cf_unused_on_invalidate: bool = quirk(
        "making an invalid page invalid fails in RMPADJUST, with IgnoreCF too",
        "FAIL_NOCHANGE; with IgnoreCF success",
    )
    legacy_range_not_cleared: bool = quirk(
        "a page from 0xa0000 to 0xfffff is granted with what it held", "cleared like any other"
    )
    validated_twice: bool = quirk(
        "a page is validated again after the host put another one behind it, and both stay valid",
        "FAIL_NOCHANGE: the SVSM keeps a record",
    )
    refused_create_changes_permissions: bool = quirk(
        "after a refused CREATE_VCPU VMPL 3 has no permission on the page, and VMPL 2 has all",
        "the permissions of before",
    )
    guest_reads_vmsa: bool = quirk("VMPL 2 may read every VMSA", "it has no permission on one")
    vmsa_at_2m: bool = quirk(
        "a VMSA at a multiple of 2 MiB is taken, which some processors cannot run",
        "INVALID_ADDRESS",
    )
    # --- vCPUs and calling areas in guest memory
    remap_to_current_refused: bool = quirk(
        "REMAP_CA to the present calling area is INVALID_ADDRESS", "its head is cleared"
    )
    answer_in_new_vmsa: bool = quirk(
        "the answer to a CREATE_VCPU for the calling vCPU lands in the new VMSA",
        "in the one that called",
    )
    replaced_call_lost: bool = quirk(
        "the next call of a vCPU whose VMSA was replaced is lost, and one that the new VMSA holds is"
        " served",
        "the call is served where it was made",
    )
    boot_calling_area_stuck: bool = quirk(
        "the first VMSA and its calling area stay in use after vCPU 0 got another VMSA",
        "free once the vCPU has left them",
    )
    deleted_keeps_calling_area: bool = quirk(
        "a vCPU whose VMSA is deleted keeps its calling area, which is free for others",
        "it has none",
    )
    unaligned_codes_differ: bool = quirk(
        "CREATE_VCPU with an address that is not aligned is INVALID_ADDRESS",
        "INVALID_PARAMETER, as for REMAP_CA and DELETE_VCPU",
    )
    # --- attestation and vTPM
    stale_report: bool = quirk(
        "a guest request that the host answers as invalid is answered by the report before",
        "INVALID_REQUEST",
    )
    nonce_reused: bool = quirk(
        "after that the next request is encrypted under the same sequence number",
        "the message key is used no more",
    )
    host_error_stops: bool = quirk(
        "a guest request that the host refuses ends in an assertion", "INVALID_REQUEST"
    )
    host_error_looks_short: bool = quirk(
        "any refusal of an extended request is told as a buffer too small for certificates",
        "only that one is; else INVALID_REQUEST",
    )
    asked_before_checked: bool = quirk(
        "a report is fetched before the buffers of the guest are looked at", "afterwards"
    )
    report_left_after_refusal: bool = quirk(
        "a manifest buffer outside memory is refused after the report was written",
        "nothing is written",
    )
    certificates_always_16k: bool = quirk(
        "one page of certificates needs a buffer of 16 KiB", "one of 4 KiB"
    )
    buffers_may_overlap: bool = quirk(
        "report and manifest in one page are accepted, and the second lies over the first",
        "INVALID_PARAMETER",
    )
    unknown_attest_call: bool = quirk(
        "an unknown call of the attestation protocol is UNSUPPORTED_PROTOCOL", "UNSUPPORTED_CALL"
    )
    bad_operand_is_parameter: bool = quirk(
        "an operand of attestation or vTPM outside memory is INVALID_PARAMETER", "INVALID_ADDRESS"
    )
    tpm_response_dropped: bool = quirk(
        "a TPM response of 4093 to 4096 bytes is dropped, with SUCCESS", "INVALID_REQUEST"
    )
    tpm_echo: bool = quirk(
        "the rest of the buffer after a TPM response still holds the request", "zero"
    )


@dataclass(frozen=True, slots=True)
class Quirks(MemoryQuirks):
    """The switches of one profile."""

    handoff_drops_vector_31: bool = quirk(
        "disabling with vector 31 pending leaves status bit 31 clear", "the host gets it"
    )
    physical_nmi_becomes_fixed: bool = quirk(
        "an NMI IPI by physical destination arrives as a fixed interrupt on ICR.vector",
        "an NMI, as by logical destination",
    )
    emulation_survives_disable: bool = quirk(
        "after disabling, calls are served, protocol 3 is present, entry presents interrupts",
        "unsupported protocol; the host owns interrupts",
    )
    lazy_eoi_survives_disable: bool = quirk(
        "a lazy EOI outstanding at disable ends its interrupt at the next configure call, and"
        " DISABLE is issued twice",
        "settled before the hand-over; DISABLE once for each vCPU",
    )
    ppr_keeps_low_nibble: bool = quirk("PPR reads 0x47 with 0x47 in service", "0x40")
    host_nmi_ignored: bool = quirk(
        "status bit 8 set by the host is never consumed", "an NMI for the guest"
    )
    stale_field_beside_multiple: bool = quirk(
        "a field vector left beside MultipleVectors is delivered at a later event",
        "taken in the same pass",
    )
    vector_31_from_stale_status: bool = quirk(
        "vector 31 that comes between reading the status word and clearing MultipleVectors stays in"
        " the descriptor, seen by nobody",
        "taken in the same pass",
    )
    level_dropped_without_eoi: bool = quirk(
        "a level interrupt on a disallowed vector is dropped and never acknowledged",
        "the host is told by a specific EOI",
    )
    nmi_overwrites_reinjection: bool = quirk(
        "an NMI replaces a re-injected external interrupt in EVENTINJ", "both arrive"
    )
    reinjection_follows_global_count: bool = quirk(
        "the last deregistration on another vCPU loses this vCPU's intercepted interrupt",
        "re-injection follows this vCPU's own state",
    )
    remap_loses_lazy_eoi: bool = quirk(
        "remapping during a lazy EOI lets one explicit EOI end two interrupts",
        "one EOI, one interrupt",
    )
    self_ipi_below_16: bool = quirk(
        "IPI vectors 0 to 15 are accepted, never deliverable, and 1 to 15 block lazy EOI",
        "refused",
    )
    allow_below_31: bool = quirk(
        "single vectors 0 to 30 can be allowed, and then injected", "refused: exceptions"
    )
    tpr_low_nibble_dropped: bool = quirk(
        "TPR 0x3f reads back 0x30", "what was written, until the guest writes CR8"
    )
    level_on_edge_in_service: bool = quirk(
        "a level interrupt on a vector in service as edge is acknowledged at the first EOI",
        "at its own",
    )
    level_vector_zero: bool = quirk(
        "LevelSensitive with an empty field sets bit 0 of IRR and TMR", "ignored"
    )
    vcpu_create_keeps_apic: bool = quirk(
        "a stale in-service vector blocks the new vCPU", "a fresh local APIC"
    )
    cancelled_switch_reuses_exitintinfo: bool = quirk(
        "a cancelled switch copies a stale EXITINTINFO over the new EVENTINJ",
        "EXITINTINFO is used once",
    )
    foreign_vmsa_crashes: bool = quirk(
        "a new VMSA with an EVENTINJ or V_IRQ that the SVSM did not write ends in an assertion",
        "ignored",
    )
    refused_disable_crashes: bool = quirk(
        "a host that refuses DISABLE stops the SVSM by an assertion",
        "a termination request with a documented reason",
    )
    refused_ipi_crashes: bool = quirk(
        "a host that refuses the IPI request stops the SVSM", "the IPI waits in the mailbox"
    )
    switch_window_unchecked: bool = quirk(
        "a #HV between the last test of NoFurtherSignal and VMGEXIT does not cancel the switch",
        "the switch is cancelled (SCHED-3)",
        seen="COCONUT-SVSM before ba53bcc6",
    )


def noting(quirks: Quirks, asked: set[str]) -> Quirks:
    """The same quirks, of which each that is asked for is noted by its field's name."""

    class Noting(Quirks):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            asked.add(name)
            return getattr(quirks, name)

    return Noting.__new__(Noting)


PROFILES = Profiles(Quirks, "an SVSM", {"coconut": (COCONUT_SEEN,)})
names, only, profile = PROFILES.names, PROFILES.only, PROFILES.profile

MEMORY = Profiles(MemoryQuirks, "a machine with memory", {}).names()
"""The quirks that only a machine with memory asks for."""
WITHOUT_MEMORY = tuple(name for name in names() if name not in MEMORY)

REFERENCE = Quirks()
COCONUT = profile("coconut")
