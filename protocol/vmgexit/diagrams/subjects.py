"""The diagrams: which small system each of them explores, and which parts of its states it shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..descriptions import Command
from ..explore.model import explore
from ..explore.system import Left, System
from ..machine.machine import Machine
from ..machine.rules import entry, host
from ..machine.rules.registration import Lock, LockMachine
from ..machine.vcpu import ISR_WORD, is_external
from ..sequences import Sequence
from ..watch.watch import Watch
from ..watch.whereabouts import descriptor
from ..wire.apic import LockRequest
from ..wire.svsm import ResultCode
from .charts import Chart, charted
from .charts.words import sentence
from .states.diagram import States, graph

VECTOR = 0x31
_OPENED = 2
"""Commands of a scenario before anything races: the machine begins, and the guest allows all vectors."""

PLACES = {
    "not sent": "the host has not posted the vector yet",
    "in the descriptor": "of the doorbell page: the host has posted it",
    "in the IRR": "of the APIC that the SVSM emulates: it waits for the guest",
    "in EVENTINJ": "the guest gets it as soon as it runs",
    "in V_IRQ": "the guest gets it as soon as it lets interrupts in",
    "in service": "the guest handles it",
    "ended": "the guest has ended it",
    "the host's": "it waits or is in service where the host keeps the APIC",
}
"""Where an interrupt can be, in the order of its way, and what that means."""

_CALLS = (
    ("0b00", "the guest asks the SVSM to bring this vCPU in line with the count"),
    ("0b01", "the guest takes one registration back"),
    ("0b10", "the guest registers once more"),
)


def registration() -> States:
    """Count and SEV feature bits of two vCPUs under every order of CONFIGURE_EMULATION calls."""

    def seen(watch: Watch, left: Left) -> str:
        count = watch.machine.vm.registration_count
        bits = sorted(
            (cpu.guest.alternate_injection for cpu in watch.machine.vm.vcpus), reverse=True
        )
        shown = "2 or more" if count > 1 else str(count)
        return f"count {shown}, bits {' '.join(str(int(bit)) for bit in bits)}"

    outcome = explore(System(vcpus=2, calls=3), projection=seen)
    edges = [
        (before, after, label.removeprefix("guest: CONFIGURE "))
        for before, after, label in outcome.edges
        if "CONFIGURE" in label
    ]
    return States(
        "Registration of Alternate Injection (REG-2 to REG-5)",
        "Two vCPUs under every order of CONFIGURE_EMULATION. A 0b10 at count 0 is refused.",
        *graph("count 1, bits 1 1", edges),
        (
            *_CALLS,
            ("count", "how many registrations for Alternate Injection stand in the VM"),
            ("bits", "of both vCPUs: Alternate Injection in SEV_FEATURES"),
        ),
    )


def superseded_registration() -> States:
    """The Enabled, Locked, Disabled machine of May 16, 2024, request by request."""
    edges = []
    for state in Lock:
        for request in LockRequest:
            machine = LockMachine(state)
            result = machine.configure(request)
            refused = "" if result == ResultCode.SUCCESS else " (refused)"
            edges.append((state.value, machine.state.value, f"{int(request)}{refused}"))
    return States(
        "The superseded registration of May 16, 2024 (REG-9)",
        "An earlier draft, without a count. Disabled is final.",
        *graph(Lock.ENABLED.value, edges),
        tuple((str(int(one)), f"the guest asks for {one.name.lower()}") for one in LockRequest),
    )


def life_of_an_interrupt() -> States:
    """Where one edge-triggered vector of the host is, until it is ended or handed over."""

    def seen(watch: Watch, left: Left) -> str:
        cpu, account = watch.machine.vm.vcpus[0], watch.ledger.accounts[0]
        bit = 1 << VECTOR
        vectors = [vector for vector, _ in account.delivered]
        written = cpu.posting is None or cpu.posting.step in ("set_multiple", "set_event", "signal")
        sent = written and not left.posts
        if account.closed:
            in_service = cpu.words[ISR_WORD + VECTOR // 32] >> VECTOR % 32 & 1
            held = descriptor(cpu).pending & bit or in_service
            return "the host's" if held else "ended" if sent else "not sent"
        if VECTOR in vectors:
            return "in service"
        if is_external(cpu.guest.event_inj):
            return "in EVENTINJ"
        if cpu.guest.vintr.v_irq:
            return "in V_IRQ"
        if cpu.apic.irr & bit:
            return "in the IRR"
        if descriptor(cpu).pending & bit:
            return "in the descriptor"
        return "ended" if sent else "not sent"

    outcome = explore(System(vcpus=1, edge=(VECTOR,), calls=1), projection=seen)
    edges = [edge for edge in outcome.edges if edge[0] != edge[1]]
    return States(
        "The life of one interrupt (INV-1, EXIT-1)",
        "An edge-triggered vector that the host posts to one vCPU, by every interleaving.",
        *graph(next(iter(PLACES)), edges, tuple(PLACES)),
        (*PLACES.items(), *_steps(label for _, _, label in edges)),
    )


def _steps(labels: Iterable[str]) -> Iterable[tuple[str, str]]:
    """What each step of the SVSM and of the host does, as its rule says, and what the others are."""
    told = {
        "CPU delivers": "the processor delivers the interrupt to the guest",
        "guest: lazy EOI": "the guest ends it in the calling area, without a call",
        "guest: CONFIGURE 0b01": "the guest gives Alternate Injection up",
    }
    for label in sorted(set(labels)):
        actor, _, name = label.partition(": ")
        steps = entry.STEPS if actor == "SVSM" else host.STEPS
        yield label, told.get(label) or sentence(steps[name])


def switch_window() -> Chart:
    """The shortest run in which a #HV inside the window cancels the switch."""

    def seen(watch: Watch, left: Left) -> str:
        cpu = watch.machine.vm.vcpus[0]
        if cpu.entry is not None:
            return "window" if cpu.entry.step == "vmgexit" else "entering"
        return "guest with it" if is_external(cpu.guest.event_inj) else "guest"

    outcome = explore(System(vcpus=1, edge=(VECTOR,)), projection=seen)
    cancelled = Sequence("switch-window", 1)
    for command in _until_entered(outcome.edges["window", "entering", "SVSM: vmgexit"]):
        cancelled.add(command)
    drawn = charted(cancelled, first=_OPENED, title="A #HV in the switch window (SCHED-3)")
    about = "From the last test of NoFurtherSignal to VMGEXIT a #HV cancels the switch."
    return replace(drawn, about=about)


def _until_entered(scenario: Iterable[Command]) -> Iterable[Command]:
    """A scenario, and the SVSM's steps from its end until the guest runs."""
    machine = Machine()
    for command in scenario:
        machine.execute(command)
        yield command
    while machine.vm.vcpus[0].entry is not None:
        step = {"op": "svsm_step", "cpu": 0}
        machine.execute(step)
        yield step
