"""Every SVSM call of every protocol, and its registers before and after."""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Note, Record, structure, u64
from .apic import APIC_CALLS
from .attestation import ATTESTATION_CALLS
from .core import CORE_CALLS
from .readings import notes_on
from .svsm import SOURCE, Call, ResultCode
from .uefi_mm import UEFI_MM_CALLS
from .vtpm import VTPM_CALLS

_CALLS = (*CORE_CALLS, *ATTESTATION_CALLS, *VTPM_CALLS, *APIC_CALLS, *UEFI_MM_CALLS)
_BY_NUMBER = {(int(call.protocol), call.number): call for call in _CALLS}


def calls() -> tuple[Call, ...]:
    """Every call that is described, by protocol and number."""
    return _CALLS


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
    r9: int = u64("Fourth input; COCONUT-SVSM does not read it", spec="R9")

    @property
    def protocol(self) -> int:
        return self.rax >> 32

    @property
    def call(self) -> int:
        return self.rax & 0xFFFFFFFF

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)
        found = find_call(self.protocol, self.call)
        if found is None:
            yield Note("rax", f"protocol {self.protocol}, call {self.call}: not known")
            return
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
    r9: int = u64("Fourth output; COCONUT-SVSM does not write it", spec="R9")
