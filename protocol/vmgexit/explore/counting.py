"""States counted by what they have in common, for people who compare models.

`PROJECTIONS` is the table: what of a vCPU a state is counted by, in words. Which vCPU is which is no
matter to a state, so what the vCPUs have stands in ascending order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ..machine.vm import Vcpu
from .exact import Exact
from .system import Left


def _registration(cpu: Vcpu, *, runs: bool) -> str:
    return f"bit {cpu.guest.alternate_injection:d}"


def _window(cpu: Vcpu, *, runs: bool) -> str:
    if runs:
        return "guest"
    return cpu.entry.step if cpu.entry else "SVSM"


def _service(cpu: Vcpu, *, runs: bool) -> str:
    return " below ".join(f"{vector:#x}" for vector in cpu.apic.isr) or "nothing"


PROJECTIONS: dict[str, tuple[str, Callable[..., str]]] = {
    "registration": (
        "the registration count, the calls that are left, and each vCPU's bit",
        _registration,
    ),
    "window": ("where each vCPU is: in its guest, or before which step of an entry", _window),
    "service": ("what the SVSM has in service for each vCPU", _service),
}


def counted(exact: Exact, name: str) -> Counter[str]:
    """How many of the visited states there are of each kind, by one of PROJECTIONS."""
    said = PROJECTIONS[name][1]
    words: dict[int, str] = {}
    found: Counter[str] = Counter()
    for state in exact.parents:
        shared, vcpus = exact.unpacked(state)
        for vcpu in vcpus:
            if vcpu not in words:
                cpu, runs = exact.steps.shown(vcpu)
                words[vcpu] = said(cpu, runs=runs)
        kind = ", ".join(sorted(words[vcpu] for vcpu in vcpus))
        if name == "registration":
            left = exact.left(state)
            calls = left.calls if isinstance(left, Left) else sum(one.calls for one in left)
            kind = f"count {exact.steps.shared.values[shared][1]}, {calls} left, {kind}"
        found[kind] += 1
    return found
