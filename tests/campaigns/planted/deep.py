"""Bugs that no scenario of ten commands shows: where feedback must lead a campaign, and not luck.

Each needs a state that takes its own commands, one after the other: interrupts nested in service, two
vCPUs in handlers, VMSAs beside each other, requests one after the other. They are made up for the bench.
`tests/unit/test_planted_deep.py` has a scenario of each, from which no two commands can be left out, and
says why there is no shorter one.
"""

from __future__ import annotations

from typing import Any

from vmgexit.devices.secure_processor import SecureProcessor
from vmgexit.hosts import rules as host_rules
from vmgexit.hosts.request import Request
from vmgexit.hosts.rules.page_state import FAILED
from vmgexit.machine.memory.layout import GUEST_VMPL
from vmgexit.machine.memory.rmp import READ
from vmgexit.machine.rules import apic, core, ipis, registration
from vmgexit.machine.rules.operands import adjust, memory_of, registry_of
from vmgexit.machine.vcpu import EVENT_VALID, ISR_WORD
from vmgexit.machine.vm import Vcpu
from vmgexit.wire.apic import ApicIcr, ConfigureRequest
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.rmp import PageSize
from vmgexit.wire.svsm import ResultCode

from . import Undo, bug, replace

_OURS = "made up for the bench"
_WINDOWS = 4  # VMSAs of guests that an SVSM has room for, in the bugs below
_LAST_NUMBER = 16  # where four bits of a sequence number wrap
_MAPS = 9  # scratch areas that a host can have mapped

# --- interrupts nested in service ------------------------------------------------------------------


@bug(_OURS)
def in_service_stack_of_four() -> Undo:
    """The fifth interrupt in service takes the place of the first, which is forgotten."""
    original = apic._push

    def push(cpu: Vcpu, vector: int) -> None:
        original(cpu, vector)
        if len(cpu.apic.isr) > 4:
            del cpu.apic.isr[0], cpu.apic.isr_tmr[0]

    return replace(apic, "_push", push)


@bug(_OURS)
def lazy_eoi_ends_the_second() -> Undo:
    """A lazy EOI with three interrupts in service ends the one before the newest."""
    original = apic.rewind

    def rewind(cpu: Vcpu) -> None:
        local, guest = cpu.apic, cpu.guest
        ended = local.lazy_eoi_pending and not cpu.calling.no_eoi_required
        taken = not (guest.event_inj & EVENT_VALID or guest.vintr.v_irq)
        if ended and taken and len(local.isr) > 2:
            local.isr[-2:] = reversed(local.isr[-2:])
            local.isr_tmr[-2:] = reversed(local.isr_tmr[-2:])
        original(cpu)

    return replace(apic, "rewind", rewind)


@bug(_OURS)
def hand_over_of_three_in_service() -> Undo:
    """The host is told of the three newest interrupts in service, and of no other."""
    original = apic.disable

    def disable(cpu: Vcpu) -> None:
        apic.rewind(cpu)
        told = sum(1 << vector for vector in cpu.apic.isr[-3:])
        original(cpu)
        for word in range(8):
            cpu.words[ISR_WORD + word] &= told >> 32 * word

    return replace(apic, "disable", disable)


@bug(_OURS)
def new_vmsa_acknowledges_three() -> Undo:
    """A new VMSA acknowledges to the host the three newest of its interrupts in service."""
    original = apic.reset

    def reset(cpu: Vcpu) -> None:
        for index in range(len(cpu.apic.isr_tmr) - 3):
            cpu.apic.isr_tmr[index] = cpu.apic.isr_tmr[index][0], False
        original(cpu)

    return replace(apic, "reset", reset)


# --- two vCPUs -------------------------------------------------------------------------------------


@bug(_OURS)
def ipi_between_handlers_lost() -> Undo:
    """An IPI out of a handler is lost where the other vCPU has two interrupts in service."""
    original = ipis._deliver

    def deliver(sender: Vcpu, target: Vcpu, icr: ApicIcr) -> None:
        before = target.mailbox.irr, target.mailbox.pending, target.mailbox.nmi
        original(sender, target, icr)
        if target is not sender and sender.apic.isr and len(target.apic.isr) > 1:
            target.mailbox.irr, target.mailbox.pending, target.mailbox.nmi = before

    return replace(ipis, "_deliver", deliver)


@bug(_OURS)
def registration_refused_while_busy() -> Undo:
    """A registration is refused while two vCPUs have two interrupts in service each."""
    original = registration.configure

    def configure(cpu: Vcpu, request: int) -> tuple[ResultCode, bool]:
        busy = sum(len(other.apic.isr) > 1 for other in cpu.vm.vcpus) > 1
        if request == ConfigureRequest.REGISTER and busy:
            return ResultCode.CANNOT_REGISTER, False
        return original(cpu, request)

    return replace(registration, "configure", configure)


# --- memory ----------------------------------------------------------------------------------------


def _vmsas(cpu: Vcpu) -> int:
    """How many VMSAs stand that guests named."""
    return sum(one.guest_owned for one in registry_of(cpu).entries)


@bug(_OURS, target="svsm")
def fifth_vmsa_stays_readable() -> Undo:
    """The fifth VMSA that stands at a time is left to the guest to read."""
    original = core._take_as_vmsa

    def take(cpu: Vcpu, vmsa: int) -> None:
        original(cpu, vmsa)
        if _vmsas(cpu) > _WINDOWS:
            adjust(cpu, vmsa, PageSize.SIZE_4K, GUEST_VMPL, READ, vmsa=True)

    return replace(core, "_take_as_vmsa", take)


@bug(_OURS, target="svsm")
def list_beside_vmsas_clears_nothing() -> Undo:
    """An entry of a list makes its page valid without clearing it while four VMSAs stand."""
    original = core._validate

    def validate(cpu: Vcpu, address: int, size: int, **how: Any) -> None:
        memory = memory_of(cpu)
        kept = bytes(memory.pages.content(memory.backed_by(address)))
        original(cpu, address, size, **how)
        if _vmsas(cpu) >= _WINDOWS and size == PageSize.SIZE_4K:
            memory.writable(address)[:] = kept

    return replace(core, "_validate", validate)


@bug(_OURS, target="svsm")
def sequence_number_of_four_bits() -> Undo:
    """The sequence number of guest requests wraps after eight of them, under the same key."""
    original = SecureProcessor.request

    def request(self: SecureProcessor, *arguments: Any) -> Any:
        if self.number >= _LAST_NUMBER:
            self.number = 0
        return original(self, *arguments)

    return replace(SecureProcessor, "request", request)


# --- hosts -----------------------------------------------------------------------------------------


@bug(_OURS, target="ghcb-host")
def scratch_maps_leak() -> Undo:
    """A page state change leaves the scratch area mapped: after nine of them a VM can have no other."""
    original = host_rules.EXITS[ExitCode.SNP_PAGE_STATE_CHANGE]
    held: list[Any] = [None, 0]  # the VM that runs, and how many areas it has mapped

    def carry_out(request: Request) -> None:
        if held[0] is not request.vm:
            held[:] = request.vm, 0
        if held[1] >= _MAPS:
            request.detail = FAILED
            return
        original(request)
        held[1] += 1

    return replace(host_rules.EXITS, ExitCode.SNP_PAGE_STATE_CHANGE, carry_out)
