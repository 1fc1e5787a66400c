"""What EXITINFO1 and EXITINFO2 of an exit of the processor hold, in a VMCB or a VMSA.

The exits that a GHCB carries have words of their own, which are in `exits`.

Sources: OpenVMM vm/x86/x86defs/src/snp.rs, Linux arch/x86/kvm/svm/svm.c and avic.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Bits, Note
from .avic import AvicIncompleteIpi, AvicIncompleteIpiCause, AvicNoaccel, AvicNoaccelVector
from .exit_codes import ExitCode, IoioInfo, MovCrDrInfo, MsrInfo
from .faults import NpfInfo

Layout = type[Bits] | None

_REGISTERS = range(0x40)
"""Exits of accesses to control and debug registers."""

_WORDS: dict[int, tuple[Layout, Layout]] = {
    ExitCode.IOIO: (IoioInfo, None),
    ExitCode.MSR: (MsrInfo, None),
    ExitCode.NPF: (NpfInfo, None),
    ExitCode.AVIC_INCOMPLETE_IPI: (AvicIncompleteIpi, AvicIncompleteIpiCause),
    ExitCode.AVIC_NOACCEL: (AvicNoaccel, AvicNoaccelVector),
}


def information_words(code: int) -> tuple[Layout, Layout]:
    """The layouts of EXITINFO1 and EXITINFO2 after exit `code`; None where a word has none."""
    return (MovCrDrInfo, None) if code in _REGISTERS else _WORDS.get(code, (None, None))


def information_notes(code: int, **words: int) -> Iterator[Note]:
    """A note for each of both words, given by the names of their fields, that has a layout."""
    for layout, (name, value) in zip(information_words(code), words.items(), strict=True):
        if layout is not None:
            yield Note(name, repr(layout.of(value)))
