"""What a host asks of devices, guest memory, firmware and user space: a word, and what its numbers are.

The words stand in the order of an exit in the `asked` of an answer, and in recordings. `ASKED` names the
numbers, for people.
"""

from __future__ import annotations

from ..errors import cut

Asked = list[int | str | None]
"""A word of `ASKED` and its values."""

PRIVATE_ATTRIBUTE, LARGE_ATTRIBUTE = 16, 1  # of a mapping; Linux KVM_MAP_GPA_RANGE_*

ASKED: dict[str, tuple[str, ...]] = {
    "xcr0": ("value",),
    "in": ("port", "bytes"),
    "out": ("port", "bytes", "data"),
    "ins": ("port", "bytes", "count"),
    "outs": ("port", "bytes", "count", "data"),
    "mmio-read": ("gpa", "bytes"),
    "mmio-write": ("gpa", "data"),
    "map": ("gpa", "pages", "attributes"),
    "rdmsr": ("msr",),
    "wrmsr": ("msr", "value"),
    "rdpmc": ("counter",),
    "cpuid": ("leaf", "subleaf"),
    "hypercall": ("number", "rbx", "rcx", "rdx", "rsi"),
    "firmware": (),
    "read-memory": ("gpa", "bytes"),
    "write-memory": ("gpa", "bytes", "data"),
    "clear-memory": ("gpa", "bytes"),
    "ap": ("request", "apic_id", "vmsa"),
    "hold": (),
    "nmi-unmask": (),
    "inject": ("vector",),
    "exit": ("code", "info1", "info2"),
    "ipi": ("icr",),
    "run-vmpl": ("vmpl",),
    "hand-over": ("vmpl", "interrupts_enabled", "interrupt_shadow", "tpr"),
    "eoi": ("vmpl", "vector"),
}
"""The words, and the names of their values. `exit` is an exit of which no more is known than its row; the
last may be missing there. Data are hex; those of `write-memory` have no zeros at the end, and are empty
where memory could not be written."""


def shown(asked: Asked) -> str:
    """One line: `map gpa=0x12345000 pages=1 attributes=0x10 (private)`."""
    word, *values = asked
    named = zip(ASKED[str(word)], values, strict=False)
    told = (f"{name}={_value(name, value)}" for name, value in named if value != "")
    return " ".join([str(word), *told])


def _value(name: str, value: int | str | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return cut(value)
    text = str(value) if value < 10 else f"{value:#x}"
    if name == "attributes":
        size = ", 2 MiB" * bool(value & LARGE_ATTRIBUTE)
        text += f" ({'private' if value & PRIVATE_ATTRIBUTE else 'shared'}{size})"
    return text
