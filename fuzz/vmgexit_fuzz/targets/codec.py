"""Invariant: any bytes that a structure accepts decode and encode back to themselves; any other length is
a DecodeError; judging and showing a value never raise.

The first two bytes choose the structure, the third whether the length is cut short; the rest is the
data, filled up with zeros. The targets `codec-*` have fewer structures, to look at them more closely.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from vmgexit.errors import DecodeError
from vmgexit.layout.naming import label
from vmgexit.schema import Structure
from vmgexit.show import values as reading
from vmgexit.wire.registry import structures

from ..inputs.messages import Leaf, Messages, fields_of
from .base import Conditions, Finding, Target, TargetRow

HEAD = 3
AS_IT_IS = 0xF0  # from here on, the third byte leaves the length alone
_WIRE = "vmgexit.wire."

CHAPTERS: dict[str, tuple[str, ...]] = {
    "codec-ghcb": (
        "ghcb",
        "ghcb_msr",
        "exit_codes",
        "page_state",
        "ap_creation",
        "injection",
        "features",
        "termination",
    ),
    "codec-svsm": (
        "svsm",
        "svsm_drafts",
        "calls",
        "core",
        "apic",
        "attestation",
        "vtpm",
        "uefi_mm",
        "omp",
    ),
    "codec-doorbell": ("doorbell", "doorbell_history"),
    "codec-vmsa": ("vmsa", "vmcb", "avic", "rmp", "invlpgb", "faults", "kvm_planes"),
    "codec-firmware": (
        "guest_message",
        "tio",
        "tio_dma",
        "report",
        "secrets",
        "launch",
        "igvm",
        "cpuid_page",
    ),
}
"""By target, the chapters of `wire` whose structures it checks; all of them for one not named."""


@cache
def classes(chapters: tuple[str, ...] = ()) -> Sequence[type[Structure]]:
    """The structures of chapters."""
    modules = tuple(f"{_WIRE}{chapter}" for chapter in chapters)
    return [
        cls
        for _, revisions in sorted(structures().items())
        for _, cls in sorted(revisions.items())
        if not modules or cls.__module__ in modules
    ]


class Codec(Messages, Target):
    """One structure of some chapters."""

    head = HEAD

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.classes = classes(CHAPTERS.get(row.name, ()))

    def fields(self, data: bytes) -> Sequence[Leaf]:
        return fields_of(self.chosen(data)[0], self.head)

    def chosen(self, data: bytes) -> tuple[type[Structure], bytes]:
        """The structure that an input is about, and the bytes for it."""
        cls = self.classes[int.from_bytes(data[:2], "little") % len(self.classes)]
        body = data[self.head :]
        if data[2:3] and data[2] >= AS_IT_IS:
            return cls, body
        if cls.declaration.any_length:
            return cls, body.ljust(cls.size, b"\0")
        return cls, body[: cls.size].ljust(cls.size, b"\0")

    def message(self, data: bytes) -> tuple[str, bytes] | None:
        cls, body = self.chosen(data)
        return (label(cls), body) if cls.accepts(len(body)) else None

    def run(self, data: bytes) -> int:
        cls, body = self.chosen(data)
        name = cls.declaration.name
        if not cls.accepts(len(body)):
            try:
                cls.decode(body)
            except DecodeError:
                return 1
            raise Finding(f"{name} takes a wrong length", f"{name} decoded {len(body)} bytes")
        value = cls.decode(body)
        if value.encode() != body:
            raise Finding(f"{name} is not lossless", f"{name}: {body.hex()} came back otherwise")
        value.problems()
        list(value.notes())
        value.as_dict()
        repr(value)
        return 1

    def show(self, data: bytes) -> str:
        """The value, field by field."""
        cls, body = self.chosen(data)
        if not cls.accepts(len(body)):
            return f"{cls.declaration.name}: {len(body)} bytes of {cls.size}"
        return reading.render(cls.decode(body))

    def read(self, data: bytes) -> str:
        """The structure's name and the bytes."""
        cls, body = self.chosen(data)
        return f"{cls.declaration.name}: {body.hex()}"
