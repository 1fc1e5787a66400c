"""Where each interrupt of a scenario is after each of its commands, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vmgexit.descriptions import Command
from vmgexit.diagrams.charts import Chart, charted
from vmgexit.diagrams.charts.chart import Lane, Message
from vmgexit.machine.machine import Machine
from vmgexit.machine.scenario import sequences
from vmgexit.machine.vcpu import ISR_WORD, is_external
from vmgexit.machine.vm import Vcpu
from vmgexit.sequences import Sequence
from vmgexit.watch.judged import Violation
from vmgexit.watch.ledger import Account
from vmgexit.watch.watch import Watch
from vmgexit.watch.whereabouts import descriptor
from vmgexit.wire.apic import ApicCall
from vmgexit.wire.svsm import Protocol

_NOWHERE = {"not sent": "not sent", "in service": "ended", "ended": "ended"}
"""Where an interrupt is that is nowhere, by where it was before; from any other place it was lost."""


def rows(path: Path, profile: str = "reference") -> Iterator[list[str]]:
    """The head of the table, then a row for each command: its number in the chart, who does what, the
    count and whose bit is set where the scenario changes them, and each interrupt's place."""
    with path.open("rb") as file:
        (found,) = sequences(file, path.name)
    chart, watch = charted(found, profile), Watch(Machine(profile))
    interrupts = list(dict.fromkeys(_posted(found.commands)))
    count = _configures(found)
    several = chart.has_several_vcpus
    yield [
        "Step",
        "Who does what",
        *(["Count", "Bit set on vCPU"] if count else []),
        *(f"{vector:#x}" + f" of vCPU {cpu}" * several for cpu, vector in interrupts),
    ]
    places = dict.fromkeys(interrupts, "not sent")
    for index, command in enumerate(found.commands):
        # The chart tells which invariant broke, if one did.
        with suppress(Violation):
            watch.execute(command)
        vcpus = watch.machine.vm.vcpus
        on = [str(cpu.index) for cpu in vcpus if cpu.guest.alternate_injection]
        state = [str(watch.machine.vm.registration_count), ", ".join(on) or "none"]
        for cpu, vector in interrupts:
            now = _place(vcpus[cpu], watch.ledger.accounts[cpu], vector)
            places[cpu, vector] = now or _NOWHERE.get(places[cpu, vector], "lost")
        yield [str(index), _told(chart, index), *(state if count else []), *places.values()]


def _posted(commands: list[Command]) -> Iterator[tuple[int, int]]:
    """What the host posts: vCPU and vector."""
    for command in commands:
        for post in (command, *command.get("late", ())):
            if "vector" in post:
                yield command["cpu"], post["vector"]


def _configures(found: Sequence) -> bool:
    """Whether the scenario calls SVSM_APIC_CONFIGURE_EMULATION."""
    calls = (one for one in found.commands if one["op"] == "call")
    wanted = (Protocol.APIC, ApicCall.CONFIGURE_EMULATION)
    return any((one["protocol"], one["request"]) == wanted for one in calls)


def _told(chart: Chart, index: int) -> str:
    """What the chart says of a command, in one line."""
    told = [one for one in chart.items if one.index == index]
    return "; ".join(
        f"answer {_line(one.text)}"
        if isinstance(one, Message) and one.is_answer
        else f"{_who(chart, one.source)}{_line(one.text)}"
        if isinstance(one, Message)
        else _line(one.text)
        for one in told
    )


def _who(chart: Chart, lane: Lane) -> str:
    return f"{chart.name(lane)}: "


def _line(text: str) -> str:
    return ", ".join(text.split("\n"))


def _place(cpu: Vcpu, account: Account, vector: int) -> str:
    """Where a vector is; empty if it is nowhere."""
    waits = descriptor(cpu).pending >> vector & 1
    if account.closed:
        serves = cpu.words[ISR_WORD + vector // 32] >> vector % 32 & 1
        return "the host's: pending" if waits else "the host's: in service" if serves else ""
    guest = cpu.guest
    if any(vector == taken for taken, _ in account.delivered):
        return "in service"
    if is_external(guest.event_inj) and guest.event_inj & 0xFF == vector:
        return "in EVENTINJ"
    if guest.vintr.v_irq and guest.vintr.v_intr_vector == vector:
        return "in V_IRQ"
    if cpu.apic.irr >> vector & 1:
        return "in the IRR"
    return "in the descriptor" if waits else ""
