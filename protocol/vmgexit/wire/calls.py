"""Every SVSM call of every protocol, and its registers before and after."""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Note, Record, structure, u64
from .apic import APIC_CALLS
from .attestation import ATTESTATION_CALLS
from .core import CORE_CALLS
from .omp import APRIL, AUGUST, FORMER_OMP_CALLS, OMP_CALLS
from .readings import notes_on
from .svsm import PROTOCOLS, SOURCE, Call, ProtocolOrigin, ResultCode
from .svsm_drafts import MEMORY_MAP_CALLS, REBOOT_CALLS
from .uefi_mm import UEFI_MM_CALLS
from .vtpm import VTPM_CALLS

_CALLS = (
    *CORE_CALLS,
    *ATTESTATION_CALLS,
    *VTPM_CALLS,
    *APIC_CALLS,
    *UEFI_MM_CALLS,
    *OMP_CALLS,
    *MEMORY_MAP_CALLS,
)
_FORMER = (*FORMER_OMP_CALLS, *REBOOT_CALLS)
_FORMER_ORIGINS = {
    APRIL: ProtocolOrigin("a draft of 2026-04-14", "joergroedel/svsm-specs 27a9fa6"),
    AUGUST: ProtocolOrigin(
        "a pull request of 2026-08-18", "COCONUT-SVSM refs/pull/1138 kernel/src/protocols/ocp"
    ),
    "reboot": ProtocolOrigin(
        "a draft of 2025, taken out of revision 1.01 of AMD #58019",
        "COCONUT-SVSM refs/pull/808 kernel/src/protocols/reboot.rs",
    ),
}
_BY_NUMBER = {(int(call.protocol), call.number): call for call in _CALLS}


def calls() -> tuple[Call, ...]:
    """Every call that is described, by protocol and number."""
    return _CALLS


def former_calls(protocol: int | None = None, number: int | None = None) -> tuple[Call, ...]:
    """What numbers meant in earlier shapes of a protocol, or in another one; of one call, or of all."""
    return tuple(
        call
        for call in _FORMER
        if protocol in (None, call.protocol) and number in (None, call.number)
    )


def origin(call: Call) -> ProtocolOrigin:
    """Since when a call exists, and where it was read off."""
    return _FORMER_ORIGINS[call.revision] if call.revision else PROTOCOLS[call.protocol]


def find_call(protocol: int, number: int) -> Call | None:
    """The description of a call, or None where there is none."""
    return _BY_NUMBER.get((protocol, number))


@structure("svsm-call", size=40, source=SOURCE)
class SvsmCall(Record):
    """Registers of an SVSM call, in the order RAX, RCX, RDX, R8, R9: 40 bytes."""

    rax: int = u64("Protocol in bits 63:32, call in bits 31:0", spec="RAX")
    rcx: int = u64("First input", spec="RCX")
    rdx: int = u64("Second input", spec="RDX")
    r8: int = u64("Third input", spec="R8")
    r9: int = u64("Fourth input; COCONUT-SVSM reads it for protocol 5 alone", spec="R9")

    @property
    def protocol(self) -> int:
        return self.rax >> 32

    @property
    def call(self) -> int:
        return self.rax & 0xFFFFFFFF

    def notes(self) -> Iterator[Note]:
        found = find_call(self.protocol, self.call)
        if found is None:
            yield Note("rax", f"protocol {self.protocol}, call {self.call}: not known")
        else:
            yield from self._notes_as(found)
        for former in former_calls(self.protocol, self.call):
            yield Note("rax", f"in {former.revision}, {former.name}: {former.meaning}")
        yield from notes_on(self)

    def _notes_as(self, found: Call) -> Iterator[Note]:
        yield Note("rax", f"{found.name}: {found.meaning}")
        for operand in found.inputs:
            value = getattr(self, operand.register)
            held = f": {operand.layout.of(value)!r}" if operand.layout else ""
            yield Note(operand.register, f"{operand.meaning}{held}")
        for there in found.memory:
            way = "is written to" if there.written else "is read from"
            name = there.layout.declaration.name
            yield Note(there.register, f"{name} {way} there: {there.meaning}")


@structure("svsm-result", size=40, source=SOURCE)
class SvsmResult(Record):
    """Registers after an SVSM call, in the order RAX, RCX, RDX, R8, R9: 40 bytes."""

    rax: int = u64("Result code", enum=ResultCode, spec="RAX")
    rcx: int = u64("First output, or the input unchanged", spec="RCX")
    rdx: int = u64("Second output, or the input unchanged", spec="RDX")
    r8: int = u64("Third output, or the input unchanged", spec="R8")
    r9: int = u64("Fourth output; COCONUT-SVSM writes it for protocol 5 alone", spec="R9")
