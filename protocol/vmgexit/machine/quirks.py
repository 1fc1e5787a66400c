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
class Quirks:
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


PROFILES = Profiles(Quirks, "an SVSM", {"coconut": (COCONUT_SEEN,)})
names, only, profile = PROFILES.names, PROFILES.only, PROFILES.profile

REFERENCE = Quirks()
COCONUT = profile("coconut")
