"""The machine's coarse state as coverage, for what lines of code cannot tell apart.

After each command, four cells describe the command and its vCPU: whether the vCPU is emulated, what
carries an interrupt, how many interrupts are in service, what is pending, how far an entry and a
post have come. The cells are few and bounded on purpose: a hash of the whole state floods the
corpus with inputs that mean nothing.

Use: `install()` before the engine is given the counters of `probes`; then `mark(machine, command)`.
"""

from __future__ import annotations

from typing import Any

from vmgexit.descriptions import Command
from vmgexit.machine.commands import WITHOUT_MEMORY
from vmgexit.machine.machine import Machine
from vmgexit.machine.rules.entry import STEPS as ENTRY_STEPS
from vmgexit.machine.rules.host import STEPS as HOST_STEPS
from vmgexit.machine.vcpu import EVENT_TYPE, EVENT_VALID
from vmgexit.wire.apic import ApicCall, ApicRegister
from vmgexit.wire.svsm import Protocol

from .. import probes

_KIND_OF_EVENT = EVENT_VALID | EVENT_TYPE
_STEPS = {name: number for number, name in enumerate(("", *ENTRY_STEPS))}
_POSTS = {name: number for number, name in enumerate(("", *HOST_STEPS))}

_APIC, _WRITE_REGISTER = int(Protocol.APIC), int(ApicCall.WRITE_REGISTER)
# What a command is: its operation; of an APIC call which one, of a write to which register.
_WRITES = (ApicRegister.TPR, ApicRegister.EOI, ApicRegister.ICR, ApicRegister.SELF_IPI)
_KINDS: dict[str | tuple[int, int], int] = {}
_KINDS |= {operation: number for number, operation in enumerate(WITHOUT_MEMORY)}
for _call in ApicCall:
    _KINDS[_call, 0] = len(_KINDS)
for _register in _WRITES:
    _KINDS[ApicCall.WRITE_REGISTER, _register] = len(_KINDS)

# Four groups of cells, one after the other.
_CARRIED = 4 * 2 * 3 * 2 * 2  # EVENTINJ, V_IRQ, in service, lazy EOI, EXITINTINFO
_PENDING = 2**6
_PENDING_AT = len(_KINDS) * _CARRIED
_RACING_AT = _PENDING_AT + len(_KINDS) * _PENDING
_LEAVING_AT = _RACING_AT + len(_STEPS) * len(_POSTS) * 2
_MEMORY_AT = _LEAVING_AT + len(_STEPS) * 4 * 2 * 2

# With memory: which call, what was done to pages, whether an instruction failed, how many VMSAs.
_DONE = {name: 1 << bit for bit, name in enumerate(("npf", "psmash", "zero", "flush", "tpm"))}
_CALLS = {Protocol.CORE: (0, 5), Protocol.ATTESTATION: (5, 3), Protocol.VTPM: (8, 2)}
_OTHER_CALLS, _EFFECTS, _STATUSES, _VMSAS = 10, 1 << len(_DONE), 4, 4
CELLS = _MEMORY_AT + (_OTHER_CALLS + 1) * _EFFECTS * _STATUSES * _VMSAS * 2


_first = -1
_MOST_KNOWN = 1 << 16
Seen = tuple[Any, ...]
_known: dict[Seen, tuple[int, ...]] = {}
_marked: set[Seen] = set()  # since the input began


def install() -> None:
    """Make room for the cells among the counters that the engine reads."""
    global _first
    if _first < 0:
        _first = probes.reserve(CELLS)


def mark(machine: Machine, command: Command) -> None:
    """Mark the cells of the state after a command, once an input, which begins with `init`."""
    if command["op"] == "init":
        _marked.clear()
        return
    state = _of_vcpu(machine, command) if machine.vm.memory is None else seen(machine, command)
    if state not in _marked:
        _marked.add(state)
        for cell in cells(state):
            probes.counters[_first + cell] = 1


def seen(machine: Machine, command: Command) -> Seen:
    """All that the cells look at of the state after a command: the same more often than not. Nothing
    for `init`."""
    if machine.vm.memory is not None:
        return _of_memory(machine, command)
    return _of_vcpu(machine, command) if command["op"] != "init" else ()


def cells(state: Seen) -> tuple[int, ...]:
    """The cells of what was `seen`, each below `CELLS`."""
    found = _known.get(state)
    if found is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        found = _known[state] = _cells(*state) if len(state) > 1 else state
    return found


def _of_vcpu(machine: Machine, command: Command) -> Seen:
    cpu = machine.vm.vcpus[command["cpu"]]
    guest, local, under_way, posting = cpu.guest, cpu.apic, cpu.entry, cpu.posting
    return (
        _kind(command) if command["op"] == "call" else _KINDS[command["op"]],
        guest.event_inj & _KIND_OF_EVENT,
        guest.exit_int_info & EVENT_VALID,
        guest.vintr.v_irq,
        guest.alternate_injection,
        len(local.isr),
        bool(local.isr_tmr) and ((True, True) in local.isr_tmr or (True, False) in local.isr_tmr),
        local.irr != 0,
        local.host_tmr != 0,
        local.nmi_pending,
        local.lazy_eoi_pending,
        cpu.mailbox.pending,
        under_way and under_way.step,
        under_way and under_way.cancelled > 0,
        posting and posting.step,
    )


def _cells(
    kind: int,
    event: int,
    left: int,
    v_irq: bool,
    emulated: bool,
    in_service: int,
    level: bool,
    irr: bool,
    host_tmr: bool,
    nmi: bool,
    lazy_eoi: bool,
    mail: bool,
    entry_step: str | None,
    cancelled: bool | None,
    post_step: str | None,
) -> tuple[int, ...]:
    carrier = 0 if not event & EVENT_VALID else 1 + min(event >> 8 & 7, 2)
    cut_short = left != 0
    step, post = _STEPS.get(entry_step or "", 0), _POSTS.get(post_step or "", 0)
    carried = (carrier * 2 + v_irq) * 3 + min(in_service, 2)
    pending = emulated | nmi << 1 | irr << 2 | host_tmr << 3 | level << 4 | mail << 5
    return (
        kind * _CARRIED + carried * 4 + lazy_eoi * 2 + cut_short,
        _PENDING_AT + kind * _PENDING + pending,
        _RACING_AT + (step * len(_POSTS) + post) * 2 + bool(cancelled),
        _LEAVING_AT + ((step * 4 + carrier) * 2 + cut_short) * 2 + nmi,
    )


def _of_memory(machine: Machine, command: Command) -> tuple[int, ...]:
    """The cell of a call on memory; none for other commands."""
    memory, registry = machine.vm.memory, machine.vm.registry
    if command["op"] != "call" or memory is None or registry is None:
        return ()
    effects = status = 0
    for name, *rest in memory.did:
        effects |= _DONE.get(name, 0)
        if name in ("pvalidate", "rmpadjust"):
            status = max(status, rest[-1 if name == "rmpadjust" else -2])
    first, numbers = _CALLS.get(command["protocol"], (_OTHER_CALLS, 1))
    which = first + min(command["request"], numbers - 1)
    vmsas = min(len(registry.entries), _VMSAS - 1)
    homeless = any(cpu.home.vmsa is None for cpu in machine.vm.vcpus)
    cell = ((which * _EFFECTS + effects) * _STATUSES + min(status, _STATUSES - 1)) * _VMSAS + vmsas
    return (_MEMORY_AT + cell * 2 + homeless,)


def _kind(command: Command) -> int:
    """Which call a command is, and to which register."""
    if command["protocol"] != _APIC:
        return _KINDS["call"]
    call = command["request"]
    register = command["rcx"] if call == _WRITE_REGISTER else 0
    return _KINDS.get((call, register), _KINDS.get((call, 0), _KINDS["call"]))
