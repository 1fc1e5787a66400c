"""A scenario as a trace in the Informal Trace Format, which viewers of model checkers read.

A state stands after each command: the command in words, the registration count, and of each vCPU what the
table of `_vcpu` names. Numbers are `#bigint`, sets `#set`, as Apalache's ADR 15 has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..descriptions import Command
from ..machine.machine import Machine
from ..machine.quirks import Quirks
from ..machine.scenario import show
from ..machine.vcpu import EVENTS_AT, FLAGS_AT, GUEST_EVENT, NO_FURTHER_SIGNAL
from ..machine.vm import Vcpu
from ..schema import set_numbers
from ..watch.whereabouts import descriptor


def trace(scenario: Iterable[Command], quirks: Quirks, *, source: str) -> str:
    """The trace of a scenario on the machine with these quirks, as JSON. `source` says where it is from."""
    machine, states = Machine(quirks), []
    for index, command in enumerate(scenario):
        answer = machine.execute(command)
        vm = machine.vm
        states.append(
            {
                "#meta": {"index": index},
                "command": _words(command),
                "stopped": str(answer.get("terminated") or answer.get("panic") or ""),
                "count": _number(vm.registration_count),
                "vcpus": [_vcpu(cpu) for cpu in vm.vcpus],
            }
        )
    head = {"format": "ITF", "format-description": "https://apalache.informal.systems/docs/adr/015adr-trace.html",
            "source": source}  # fmt: skip
    whole = {"#meta": head, "vars": ["command", "stopped", "count", "vcpus"], "states": states}
    return json.dumps(whole, indent=1) + "\n"


def _words(command: Command) -> str:
    """The command without its number."""
    return " ".join(show([command]).split()[1:])


def _vcpu(cpu: Vcpu) -> dict[str, Any]:
    held = descriptor(cpu)
    return {
        "entry": cpu.entry.step if cpu.entry else "",
        "post": cpu.posting.step if cpu.posting else "",
        "bit": cpu.guest.alternate_injection,
        "interrupts_enabled": cpu.guest.interrupts_enabled,
        "in_descriptor": _set(held.pending),
        "event_bit": bool(cpu.page[EVENTS_AT] & GUEST_EVENT),
        "no_further_signal": bool(cpu.page[FLAGS_AT] & NO_FURTHER_SIGNAL),
        "hv_raised": cpu.hv_raised,
        "mailbox": _set(cpu.mailbox.irr),
        "irr": _set(cpu.apic.irr),
        "in_service": [_number(vector) for vector in cpu.apic.isr],
        "event_inj": _number(cpu.guest.event_inj),
        "v_irq": _number(cpu.guest.vintr.v_intr_vector if cpu.guest.vintr.v_irq else 0),
        "no_eoi_required": bool(cpu.calling.no_eoi_required),
    }


def _number(value: int) -> dict[str, str]:
    return {"#bigint": str(value)}


def _set(vectors: int) -> dict[str, Any]:
    return {"#set": [_number(vector) for vector in set_numbers(vectors)]}
