"""The #HV doorbell page and the extended interrupt descriptor: where the host says what is pending.

One page per vCPU, shared with the host. Its first four bytes speak of the executing VMPL (VMPL0
with an SVSM); three descriptors speak of VMPL 1 to 3. Earlier layouts are in `doorbell_history`.

Source of every layout here: COCONUT-SVSM kernel/src/sev/hv_doorbell.rs at f4bc4bcd, which follows the
Alternate Injection draft of May 24, 2024; who sets and who clears: kernel/src/cpu/apic.rs there and
the Linux and KVM restricted-injection RFCs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import SupportsIndex

from ..schema import (
    Bits,
    Note,
    Problem,
    Record,
    bit,
    bitmap,
    bits,
    nested,
    reserved,
    reserved_bytes,
    structure,
    u8,
)

SOURCE = "COCONUT-SVSM kernel/src/sev/hv_doorbell.rs"

LOWEST_VECTOR = 31
"""The lowest vector that the host may present to a lower VMPL; those below are exceptions."""

LOWER_VMPLS = (1, 2, 3)
"""The VMPLs below the SVSM's: those that have a descriptor."""

IRR_FIRST = 32
"""The vector of bit 0 of a descriptor's `irr`; vector 31 has a bit of its own in the status word."""


@structure("ext-int-status", size=4, clause="DESC-1", source=SOURCE)
class ExtIntStatus(Bits):
    """Status word of the extended interrupt descriptor: 4 bytes, at the descriptor's offset 0."""

    pending_vector: int = bits(
        8,
        "Vector of the one pending interrupt; 0 = none. Not looked at while MultipleVectors is set,"
        " unless LevelSensitive is",
        access="host sets, SVSM clears",
    )
    nmi_pending: bool = bit("An NMI is pending for this VMPL", access="host sets, SVSM clears")
    mc_pending: bool = bit(
        "A machine check is pending for this VMPL", access="host sets, SVSM clears"
    )
    level_sensitive: bool = bit(
        "PendingVector is level-triggered: its end is told to the host by a specific EOI",
        access="host sets, SVSM clears with the vector",
    )
    reserved_13_11: int = reserved(3)
    multiple_vectors: bool = bit(
        "More than one vector is pending: they are in IRR and Vector31",
        access="host sets, SVSM clears before it reads IRR; SVSM sets at hand-over",
    )
    reserved_26_15: int = reserved(12)
    ipi_requested: bool = bit("An IPI is requested", access="host sets")
    reserved_30_28: int = reserved(3)
    vector_31: bool = bit(
        "Vector 31 is pending, beside IRR", spec="Vector31", access="host sets, SVSM clears"
    )

    def broken(self) -> Iterator[Problem]:
        if 0 < self.pending_vector < LOWEST_VECTOR:
            yield Problem(
                "pending_vector",
                self.pending_vector,
                f"vectors below {LOWEST_VECTOR} are exceptions",
                "INV-2",
            )
        if self.level_sensitive and not self.pending_vector:
            yield Problem(
                "level_sensitive", True, "set without a vector in PendingVector", "DESC-3"
            )


@structure("ext-int-descriptor", size=64, clause="DESC-1", source=SOURCE)
class ExtIntDescriptor(Record):
    """Extended interrupt descriptor of one lower VMPL: 64 bytes, VMPL n at page offset 0x40 * n."""

    status: ExtIntStatus = nested(ExtIntStatus, "What is pending, and where to read it")
    irr: int = bitmap(
        28,
        "Pending vectors 32 to 255, one bit each, while MultipleVectors is set",
        first=IRR_FIRST,
        spec="IRR",
        access="host sets, SVSM clears; SVSM sets at hand-over",
    )
    isr: int = bitmap(
        32,
        "Vectors in service, 0 to 255, one bit each",
        spec="ISR",
        access="SVSM writes at hand-over",
    )


@structure("doorbell-flags", size=1, clause="DESC-4", source=SOURCE)
class DoorbellFlags(Bits):
    """Flags of the executing VMPL: 1 byte, at page offset 1."""

    nmi_pending: bool = bit(
        "An NMI is pending for the executing VMPL", access="host sets, guest clears"
    )
    mc_pending: bool = bit(
        "A machine check is pending for the executing VMPL", access="host sets, guest clears"
    )
    reserved_6_2: int = reserved(5)
    no_further_signal: bool = bit(
        "Set when the host signals; no further #HV comes while it is set",
        access="host sets, guest clears before it looks for events",
    )


@structure("vmpl-events", size=1, clause="DESC-2", source=SOURCE)
class VmplEvents(Bits):
    """Which lower VMPL has interrupt work: 1 byte at page offset 3, bits 8 to 10 of the second word."""

    vmpl1: bool = bit(
        "The descriptor of VMPL 1 changed", spec="VMPL1", access="host sets, SVSM clears"
    )
    vmpl2: bool = bit(
        "The descriptor of VMPL 2 changed", spec="VMPL2", access="host sets, SVSM clears"
    )
    vmpl3: bool = bit(
        "The descriptor of VMPL 3 changed", spec="VMPL3", access="host sets, SVSM clears"
    )
    reserved_7_3: int = reserved(5)


@structure("doorbell-head", size=256, clause="DESC-1", source=SOURCE)
class DoorbellHead(Record):
    """The first 256 bytes of the #HV doorbell page: all of it that has a meaning."""

    vector: int = u8(
        "Pending vector for the executing VMPL; 0 = none", access="host sets, guest clears"
    )
    flags: DoorbellFlags = nested(DoorbellFlags, "Other events of the executing VMPL")
    no_eoi_required: int = u8(
        "Not 0: the EOI of Vector needs no exit to the host",
        spec="NoEoiRequired",
        access="host sets, guest exchanges with 0",
    )
    per_vmpl_events: VmplEvents = nested(VmplEvents, "Which of the descriptors changed")
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
        from .readings import notes_on

        yield from notes_on(self)
        for vmpl in LOWER_VMPLS:
            yield from _pending(f"vmpl{vmpl}", self.descriptor(vmpl))

    def descriptor(self, vmpl: int) -> ExtIntDescriptor:
        """The descriptor of VMPL 1, 2 or 3. Raises ValueError for anything else."""
        given: object = vmpl
        whole = isinstance(given, SupportsIndex) and not isinstance(given, bool)
        if not whole or vmpl not in LOWER_VMPLS:
            raise ValueError(f"vmpl: {vmpl!r} found, 1, 2 or 3 expected: these have a descriptor")
        return self.descriptors[vmpl - 1]

    @property
    def descriptors(self) -> tuple[ExtIntDescriptor, ExtIntDescriptor, ExtIntDescriptor]:
        """The descriptors of VMPL 1, 2 and 3, in this order."""
        return self.vmpl1, self.vmpl2, self.vmpl3


@structure("doorbell-page", size=4096, clause="DESC-1", source=SOURCE)
class DoorbellPage(DoorbellHead):
    """#HV doorbell page: 4 KiB, shared with the host, one per vCPU."""

    reserved_0x100: bytes = reserved_bytes(0xF00)


def _pending(path: str, descriptor: ExtIntDescriptor) -> Iterator[Note]:
    status = descriptor.status
    if status.multiple_vectors:
        vectors = [31] * status.vector_31 + descriptor.numbers("irr")
        listed = ", ".join(f"{vector:#x}" for vector in vectors) or "none"
        yield Note(path, f"MultipleVectors: pending are {listed}")
        if status.pending_vector and not status.level_sensitive:
            yield Note(f"{path}.status.pending_vector", "not looked at: MultipleVectors is set")
