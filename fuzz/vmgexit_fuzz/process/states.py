"""The machine's coarse state as coverage, for what lines of code cannot tell apart.

After each command, four cells describe the command and its vCPU: whether the vCPU is emulated, what
carries an interrupt, how many interrupts are in service, what is pending, how far an entry and a
post have come. The cells are few and bounded on purpose: a hash of the whole state floods the
corpus with inputs that mean nothing.

Use: `install()` before the engine is given the counters of `probes`; then `mark(machine, command)`.
"""

from __future__ import annotations

from vmgexit.descriptions import Command
from vmgexit.machine.commands import WITHOUT_MEMORY
from vmgexit.machine.machine import Machine
from vmgexit.machine.rules.entry import STEPS as ENTRY_STEPS
from vmgexit.machine.rules.host import STEPS as HOST_STEPS
from vmgexit.machine.vcpu import EVENT_VALID
from vmgexit.wire.apic import ApicCall, ApicRegister
from vmgexit.wire.svsm import Protocol

from .. import probes

_STEPS = {name: number for number, name in enumerate(("", *ENTRY_STEPS))}
_POSTS = {name: number for number, name in enumerate(("", *HOST_STEPS))}

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


def install() -> None:
    """Make room for the cells among the counters that the engine reads."""
    global _first
    if _first < 0:
        _first = probes.reserve(CELLS)


def mark(machine: Machine, command: Command) -> None:
    """Mark the cells of the state after a command."""
    for cell in cells(machine, command):
        probes.counters[_first + cell] = 1


def cells(machine: Machine, command: Command) -> tuple[int, ...]:
    """The cells of the state after a command, each below `CELLS`; none for `init`."""
    if machine.vm.memory is not None:
        return _of_memory(machine, command)
    if command["op"] == "init":
        return ()
    cpu = machine.vm.vcpus[command["cpu"]]
    guest, local = cpu.guest, cpu.apic
    kind = _kind(command)
    event = guest.event_inj
    carrier = 0 if not event & EVENT_VALID else 1 + min(event >> 8 & 7, 2)
    cut_short = guest.exit_int_info & EVENT_VALID != 0
    step = 0 if cpu.entry is None else _STEPS.get(cpu.entry.step, 0)
    post = 0 if cpu.posting is None else _POSTS.get(cpu.posting.step, 0)
    cancelled = cpu.entry is not None and cpu.entry.cancelled > 0
    carried = (carrier * 2 + guest.vintr.v_irq) * 3 + min(len(local.isr), 2)
    pending = (
        guest.alternate_injection
        | local.nmi_pending << 1
        | (local.irr != 0) << 2
        | (local.host_tmr != 0) << 3
        | any(level for level, _ in local.isr_tmr) << 4
        | cpu.mailbox.pending << 5
    )
    return (
        kind * _CARRIED + carried * 4 + local.lazy_eoi_pending * 2 + cut_short,
        _PENDING_AT + kind * _PENDING + pending,
        _RACING_AT + (step * len(_POSTS) + post) * 2 + cancelled,
        _LEAVING_AT + ((step * 4 + carrier) * 2 + cut_short) * 2 + local.nmi_pending,
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
    operation: str = command["op"]
    if operation != "call" or command["protocol"] != Protocol.APIC:
        return _KINDS[operation]
    call = command["request"]
    register = command["rcx"] if call == ApicCall.WRITE_REGISTER else 0
    return _KINDS.get((call, register), _KINDS.get((call, 0), _KINDS[operation]))
