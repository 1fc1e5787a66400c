"""The diagrams: which small system each of them explores, and which parts of its states it shows."""

from __future__ import annotations

from collections.abc import Iterable

from ...descriptions import Command
from ...machine.machine import Machine
from ...machine.rules.registration import Lock, LockMachine
from ...machine.vcpu import ISR_WORD, is_external
from ...watch.invariants import Watch
from ...watch.ledger import descriptor
from ...wire.apic import LockRequest
from ...wire.svsm import ResultCode
from ..model import explore
from ..system import Left, System
from .diagram import Sequence, States

VECTOR = 0x31

# Where an interrupt can be, in the order of its way.
PLACES = (
    "not sent",
    "in the descriptor",
    "in the IRR",
    "in EVENTINJ",
    "in V_IRQ",
    "in service",
    "ended",
    "the host's",
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
        "Two vCPUs; `bits` are their SEV feature bits. A 0b10 at count 0 is refused.",
        *_graph("count 1, bits 1 1", edges),
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
        "Requests are 0 disabled, 1 enabled, 2 locked. Disabled is final.",
        *_graph(Lock.ENABLED.value, edges),
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
        *_graph(PLACES[0], edges, PLACES),
    )


def switch_window() -> Sequence:
    """The shortest run in which a #HV inside the window cancels the switch."""

    def seen(watch: Watch, left: Left) -> str:
        cpu = watch.machine.vm.vcpus[0]
        if cpu.entry is not None:
            return "window" if cpu.entry.step == "vmgexit" else "entering"
        return "guest with it" if is_external(cpu.guest.event_inj) else "guest"

    outcome = explore(System(vcpus=1, edge=(VECTOR,)), projection=seen)
    cancelled = outcome.edges["window", "entering", "SVSM: vmgexit"]
    return Sequence(
        "A #HV in the switch window (SCHED-3)",
        "From the last test of NoFurtherSignal to VMGEXIT a #HV cancels the switch.",
        ("host", "SVSM", "guest"),
        tuple(_messages(cancelled)),
    )


def _messages(scenario: list[Command]) -> Iterable[tuple[str, str, str]]:
    """The scenario step by step, run to where the guest is entered with the interrupt."""
    machine = Machine()
    named = {
        "set_event": "VMPL2's event bit",
        "signal": "NoFurtherSignal, #HV",
        "put_edge": f"PendingVector = {VECTOR:#x}",
    }
    rest = [{"op": "svsm_step", "cpu": 0}] * 40
    for command in (*scenario, *rest):
        cpu = machine.vm.vcpus[0] if machine.vm.vcpus else None
        step = ""
        if cpu is not None and command["op"] == "svsm_step":
            step = cpu.entry.step if cpu.entry is not None else "handle_hv"
        elif cpu is not None and command["op"] == "host_step" and cpu.posting is not None:
            step = cpu.posting.step
        answer = machine.execute(command)
        if command["op"] == "host_step" and step in named:
            yield "host", "SVSM", named[step]
        elif step == "test_signal":
            clear = answer["next"] == "vmgexit"
            yield (
                "SVSM",
                "SVSM",
                f"test NoFurtherSignal: {'clear, window opens' if clear else 'set'}",
            )
        elif step == "vmgexit" and answer["next"] == "cancel":
            yield "SVSM", "SVSM", "#HV in the window: cancel"
        elif step == "vmgexit":
            yield "SVSM", "guest", "VMGEXIT: the guest runs"
            return
        elif step in ("swap_events", "take_vector", "present", "handle_hv"):
            yield "SVSM", "SVSM", step


def _graph(
    initial: str, edges: Iterable[tuple[str, str, str]], states: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], tuple[tuple[str, str, tuple[str, ...]], ...]]:
    """The states, in the order given or else of their distance from the first; edges with all their
    labels."""
    together: dict[tuple[str, str], set[str]] = {}
    for before, after, label in edges:
        together.setdefault((before, after), set()).add(label)
    order = list(states) or [initial]
    for state in () if states else order:
        order += [b for a, b in sorted(together) if a == state and b not in order]
    ranked = sorted(together.items(), key=lambda item: tuple(map(order.index, item[0])))
    return tuple(order), tuple((a, b, tuple(sorted(labels))) for (a, b), labels in ranked)
