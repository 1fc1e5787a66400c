"""Earlier layouts of the #HV doorbell page, each a revision beside the current one in `doorbell`.

`vmgexit decode doorbell-page --revision 2024-05-16` reads a dump of that draft. Sources: COCONUT-SVSM
and msft-jlange/svsm commits named at each revision, the Linux and KVM restricted-injection RFCs, and
the svsm-devel thread of May and June 2024.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import (
    Bits,
    Note,
    Record,
    Rule,
    bit,
    bitmap,
    bits,
    nested,
    reserved,
    reserved_bytes,
    structure,
    u8,
)
from .doorbell import ExtIntDescriptor

# --- 2023: the Linux guest RFC, KVM's struct hvdb --------------------------------------------------


@structure(
    "pending-events", size=2, revision="2023-rfc", source="Linux and KVM #HV RFCs, 2023-2024"
)
class PendingEvents(Bits):
    """Pending events of the executing VMPL as one 16-bit word; bytes 0 and 1 of today's page."""

    vector: int = bits(8, "Pending vector; 0 = none", access="host sets, guest clears")
    nmi_pending: bool = bit("An NMI is pending", access="host sets, guest clears")
    mc_pending: bool = bit("A machine check is pending", access="host sets, guest clears")
    reserved_14_10: int = reserved(5)
    no_further_signal: bool = bit(
        "No further #HV comes while it is set", access="host sets, guest clears"
    )


@structure(
    "doorbell-head", size=256, revision="2023-rfc", source="Linux and KVM #HV RFCs, 2023-2024"
)
class DoorbellHead2023(Record):
    """Doorbell before lower VMPLs: one event word (`struct hvdb` is its first 64 bytes)."""

    pending_events: PendingEvents = nested(PendingEvents, "Pending events")
    no_eoi_required: int = u8("The EOI needs no exit", spec="NoEoiRequired")
    reserved_0x003: bytes = reserved_bytes(61)
    reserved_0x040: bytes = reserved_bytes(192, Rule.IGNORED, meaning="Padding of the page")


@structure(
    "doorbell-page", size=4096, revision="2023-rfc", source="Linux and KVM #HV RFCs, 2023-2024"
)
class DoorbellPage2023(DoorbellHead2023):
    """Doorbell page of the Linux guest RFC and of KVM's `struct hvdb`."""

    reserved_0x100: bytes = reserved_bytes(0xF00, Rule.IGNORED, meaning="Padding of the page")


# --- 2024-01-05: the first COCONUT draft, the same bytes ------------------------------------------


@structure("doorbell-head", size=256, revision="2024-01-05", source="msft-jlange/svsm 3c7cc3e2")
class DoorbellHead20240105(DoorbellHead2023):
    """First COCONUT draft: the layout of the RFCs, unchanged."""


@structure("doorbell-page", size=4096, revision="2024-01-05", source="msft-jlange/svsm 3c7cc3e2")
class DoorbellPage20240105(DoorbellPage2023):
    """Doorbell page of the first COCONUT draft: the layout of the RFCs, unchanged."""


# --- 2024-04-30, first: one status dword ----------------------------------------------------------


@structure(
    "ext-int-status", size=4, revision="2024-04-30-dword", source="msft-jlange/svsm f42f8f0c"
)
class StatusDword(Bits):
    """The one status dword: the events of the executing VMPL and of the lower ones together."""

    pending_vector: int = bits(8, "Pending vector; 0 = none")
    nmi_pending: bool = bit("An NMI is pending")
    mc_pending: bool = bit("A machine check is pending")
    level_sensitive: bool = bit("PendingVector is level-triggered")
    ipi_pending: bool = bit("An IPI is pending")
    timer_pending: bool = bit("The timer expired")
    guest_msr_access: bool = bit("The host intercepted an x2APIC MSR access of the guest")
    multiple_vectors: bool = bit("More than one vector is pending")
    no_further_signal: bool = bit("No further #HV comes while it is set")
    no_eoi_required: bool = bit("The EOI needs no exit", spec="NoEoiRequired")
    vmpl1_events: bool = bit("VMPL 1 has interrupt work: bit 1 of the second 16-bit word")
    vmpl2_events: bool = bit("VMPL 2 has interrupt work: bit 2 of the second 16-bit word")
    vmpl3_events: bool = bit("VMPL 3 has interrupt work: bit 3 of the second 16-bit word")
    reserved_30_20: int = reserved(11)
    vector_31: bool = bit("Vector 31 is pending", spec="Vector31")


@structure(
    "doorbell-head", size=256, revision="2024-04-30-dword", source="msft-jlange/svsm f42f8f0c"
)
class DoorbellHead20240430Dword(Record):
    """Doorbell with one status dword and nothing else."""

    status: StatusDword = nested(StatusDword, "Everything that is pending")
    reserved_0x004: bytes = reserved_bytes(252)


@structure(
    "doorbell-page", size=4096, revision="2024-04-30-dword", source="msft-jlange/svsm f42f8f0c"
)
class DoorbellPage20240430Dword(DoorbellHead20240430Dword):
    """Doorbell page with one status dword and nothing else."""

    reserved_0x100: bytes = reserved_bytes(0xF00)


# --- 2024-04-30, second: four descriptors ---------------------------------------------------------


@structure("ext-int-descriptor", size=64, revision="2024-04-30", source="msft-jlange/svsm 649160f8")
class ExtIntDescriptor20240430(Record):
    """Descriptor of one VMPL, the executing one included, each opened by the status dword."""

    status: StatusDword = nested(StatusDword, "What is pending")
    irr: int = bitmap(28, "Pending vectors 32 to 255", first=32, spec="IRR")
    isr: int = bitmap(32, "Vectors in service, 0 to 255", spec="ISR")

    def notes(self) -> Iterator[Note]:
        if self.status.guest_msr_access:
            access, rax, rdx = (self.isr >> shift & 0xFFFFFFFF for shift in (0, 32, 64))
            number = access & 0x7FFFFFFF
            meant = f"read of MSR {number:#x}"
            if access >> 31:  # only a write has the two registers
                meant = f"write of MSR {number:#x}, RAX {rax:#x}, RDX {rdx:#x}"
            yield Note("isr", f"GuestMsrAccess (8dda0e49): {meant}, not vectors")


@structure("doorbell-head", size=256, revision="2024-04-30", source="msft-jlange/svsm 649160f8")
class DoorbellHead20240430(Record):
    """Four descriptors: the first is the executing VMPL's (on a host of one VMPL also the guest's own)."""

    executing: ExtIntDescriptor20240430 = nested(
        ExtIntDescriptor20240430, "Descriptor of the executing VMPL"
    )
    vmpl1: ExtIntDescriptor20240430 = nested(
        ExtIntDescriptor20240430, "Descriptor of VMPL 1", spec="VMPL1"
    )
    vmpl2: ExtIntDescriptor20240430 = nested(
        ExtIntDescriptor20240430, "Descriptor of VMPL 2", spec="VMPL2"
    )
    vmpl3: ExtIntDescriptor20240430 = nested(
        ExtIntDescriptor20240430, "Descriptor of VMPL 3", spec="VMPL3"
    )

    def notes(self) -> Iterator[Note]:
        for name in ("executing", "vmpl1", "vmpl2", "vmpl3"):
            for note in getattr(self, name).notes():
                yield Note(f"{name}.{note.path}", note.text)


@structure("doorbell-page", size=4096, revision="2024-04-30", source="msft-jlange/svsm 649160f8")
class DoorbellPage20240430(DoorbellHead20240430):
    """Doorbell page with four descriptors; the layout before the split of the first dword."""

    reserved_0x100: bytes = reserved_bytes(0xF00)


# --- 2024-05-16: the circulated draft, with its slip ----------------------------------------------


@structure(
    "doorbell-events", size=2, revision="2024-05-16", clause="DESC-2", source="svsm-devel, May 2024"
)
class EventsWord20240516(Bits):
    """Second 16-bit word of the SVSM's own descriptor in the May 16 draft, both readings named.

    The draft's text says that bit 1, 2 or 3 tells which VMPL has work, as the status dword of April
    had it; its author confirmed bits 8, 9 and 10 as what was meant.
    """

    no_eoi_required: bool = bit("The EOI needs no exit", spec="NoEoiRequired")
    vmpl1_as_written: bool = bit("VMPL 1 has interrupt work, as the draft's text reads")
    vmpl2_as_written: bool = bit("VMPL 2 has interrupt work, as the draft's text reads")
    vmpl3_as_written: bool = bit("VMPL 3 has interrupt work, as the draft's text reads")
    reserved_7_4: int = reserved(4)
    vmpl1_as_meant: bool = bit("VMPL 1 has interrupt work, as the draft was meant")
    vmpl2_as_meant: bool = bit("VMPL 2 has interrupt work, as the draft was meant")
    vmpl3_as_meant: bool = bit("VMPL 3 has interrupt work, as the draft was meant")
    reserved_15_11: int = reserved(5)

    def notes(self) -> Iterator[Note]:
        written = [n for n in (1, 2, 3) if getattr(self, f"vmpl{n}_as_written")]
        meant = [n for n in (1, 2, 3) if getattr(self, f"vmpl{n}_as_meant")]
        yield Note(
            "",
            f"interrupt work for {_vmpls(written)} by bits 1 to 3 (as written),"
            f" for {_vmpls(meant)} by bits 8 to 10 (as meant)",
        )


@structure(
    "doorbell-head", size=256, revision="2024-05-16", clause="DESC-2", source="svsm-devel, May 2024"
)
class DoorbellHead20240516(Record):
    """Doorbell of the draft of May 16, 2024: today's layout, with two readings of the second word."""

    pending_events: PendingEvents = nested(PendingEvents, "Events of the executing VMPL")
    events: EventsWord20240516 = nested(EventsWord20240516, "Which VMPL has interrupt work")
    reserved_0x004: bytes = reserved_bytes(60)
    vmpl1: ExtIntDescriptor = nested(
        ExtIntDescriptor, "Extended interrupt descriptor of VMPL 1", spec="VMPL1"
    )
    vmpl2: ExtIntDescriptor = nested(
        ExtIntDescriptor, "Extended interrupt descriptor of VMPL 2", spec="VMPL2"
    )
    vmpl3: ExtIntDescriptor = nested(
        ExtIntDescriptor, "Extended interrupt descriptor of VMPL 3", spec="VMPL3"
    )

    def notes(self) -> Iterator[Note]:
        for note in self.events.notes():
            yield Note("events", note.text)


@structure(
    "doorbell-page",
    size=4096,
    revision="2024-05-16",
    clause="DESC-2",
    source="svsm-devel, May 2024",
)
class DoorbellPage20240516(DoorbellHead20240516):
    """Doorbell page of the draft of May 16, 2024."""

    reserved_0x100: bytes = reserved_bytes(0xF00)


def _vmpls(numbers: list[int]) -> str:
    return "VMPL " + ", ".join(map(str, numbers)) if numbers else "no VMPL"
