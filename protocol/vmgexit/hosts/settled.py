"""Departures of KVM on which KVM was right, or nobody says otherwise: the reference does as KVM there.

They have no switch. `quirks` has the departures on which the reference stands by its sources.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settled:
    """A departure on which the reference does as KVM now."""

    name: str
    happens: str
    why: str


SETTLED = (
    Settled(
        "valid-bits-before-values",
        "a page that lacks an input and has a wrong value too is error 4",
        "no source orders the two; a value that is missing cannot be judged",
    ),
    Settled(
        "negotiated-version-decides",
        "the VM's version decides on MMIO's length and the place of the scratch area, not the page's",
        "KVM 1aa8a6dc and dcf1b2d4; the page's may be 0, which says nothing",
    ),
    Settled(
        "string-count-zero-done",
        "a string form of no element does nothing, and is done",
        "REP with a count of 0 does so on hardware",
    ),
    Settled(
        "mmio-length-zero-done",
        "MMIO of no byte does nothing, and is done",
        "no host is known that refuses it",
    ),
    Settled(
        "unused-info-ignored",
        "an information word that the exit has no use for may be anything",
        "no host is known to look at it, and nothing depends on it",
    ),
    Settled(
        "unmapped-page-silent",
        "no answer where the page is not in guest memory",
        "an answer would have no place",
    ),
    Settled(
        "io-in-merges-rax",
        "IN of 1 or 2 bytes keeps the other bytes of the RAX given, 0 if not marked",
        "IN does so on hardware, and edk2 passes RAX",
    ),
    Settled(
        "version-1-scratch-anywhere",
        "the scratch area of version 1 may be anywhere in guest memory, up to 64 KiB",
        "KVM 1aa8a6dc and dcf1b2d4: only version 2 bounds it to the page",
    ),
    Settled(
        "ap-apic-id-checked",
        "error 5 for an APIC ID that no vCPU has",
        "nothing could be created or stopped",
    ),
    Settled(
        "ap-address-width-checked",
        "error 5 for a VMSA past the VM's address width",
        "no page can be there",
    ),
    Settled(
        "firmware-error-passed-on",
        "the firmware's error is bits 31:0 of the result",
        "`wire.guest_message.GuestRequestResult`",
    ),
    Settled(
        "termination-not-answered",
        "the VM ends",
        "`wire.termination`: the guest cannot go on, so nobody reads an answer",
    ),
    Settled(
        "termination-reason-unchecked",
        "the VM ends whatever reason is given",
        "a refusal would let a guest run that cannot go on",
    ),
    Settled(
        "psc-fault-in-done-status",
        "errors of header and entries are status 0, with class and detail in SW_EXITINFO2",
        "zyuiop/ghcb and `wire.page_state.PscResult`",
    ),
    Settled(
        "psc-done-before-fault",
        "the entries before the bad one are done, and cur_entry names the bad one",
        "`wire.page_state.PSC_DETAILS`: the entry at cur_entry",
    ),
    Settled(
        "psc-user-space-failure",
        "class 0x100 where user space takes no mappings or fails one",
        "`wire.page_state.PscErrorClass`; no other class fits",
    ),
    Settled(
        "psc-empty-list-done",
        "a list whose cur_entry is past end_entry is done",
        "Linux and edk2 repeat the exit until it is",
    ),
    Settled(
        "psc-small-entry-one-taken",
        "current page 1 in a 4 KiB entry: nothing is left in it",
        "a guest gives a list back as KVM left it",
    ),
    Settled(
        "msr-reserved-ignored",
        "reserved bits of a request may be anything",
        "the words have no way to say so, and no host is known that looks at them all",
    ),
    Settled(
        "msr-page-operation-refused",
        "an operation but 1 and 2 is error 0x80000000",
        "`wire.ghcb_msr.PageStateResponse`",
    ),
    Settled(
        "msr-map-failure-one-code",
        "a mapping that user space fails or does not take is error 0x80000000",
        "`wire.ghcb_msr.PageStateResponse`: no other code is known",
    ),
    Settled(
        "msr-termination-unchecked",
        "the VM ends whatever reason is given",
        "a refusal would let a guest run that cannot go on",
    ),
)
"""Where the reference was wrong, or nobody says otherwise."""
