"""The VM of a small system: every interleaving under the invariants.

A state is the whole machine with the ledger's books. From each state, every actor makes every move
that it can: the host posts access by access, each SVSM walks the steps of `entry`, each guest
takes, ends, calls and sends. The invariants hold after every move; the first broken one gives a
shortest scenario, which `vmgexit replay --invariants` repeats.

Two states are one when they differ only in the numbers of their vCPUs. A step that no other actor
can see is taken together with the step before it, so that it does not multiply the interleavings.

`exact` visits the states fast. `VmModel` makes every move on one machine: it turns what `exact` found
into commands, and shows its machine where something is to be drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..descriptions import Command
from ..guests.follow import opening
from ..machine.machine import Machine
from ..machine.quirks import REFERENCE, Quirks
from ..machine.vm import Vcpu
from ..watch.judged import Violation
from ..watch.ledger import Account
from ..watch.watch import Watch
from ..wire.apic import ApicCall, ApicRegister
from ..wire.svsm import Protocol
from .counting import counted
from .exact import Exact, Halted
from .freeze import freeze, freezer, restore, restorer, thawer
from .moves import enabled, walk
from .search import Limits, Move, Outcome, Progress, search
from .system import Budget, Commands, Left, Running, System

State = tuple[Any, ...]
Projection = Callable[[Watch, Left], str]
"""What is looked at of a state, given the watched machine and what is left to do."""


def explore(
    system: System,
    quirks: Quirks = REFERENCE,
    *,
    limits: Limits | None = None,
    progress: Progress[Command] | None = None,
    projection: Projection | None = None,
    reduced: bool = False,
    count_by: str = "",
) -> Outcome[Command]:
    """Visit every state of a system. What breaks is a `Violation`; the path to it is a scenario.

    `reduced` leaves out states that differ in nothing that still matters, and orders of moves that do not
    touch each other: the verdict is the same, and the path need not be a shortest one. `count_by` is a
    name of `counting.PROJECTIONS`: the outcome says how many states there are of each kind.

    With a `projection` the outcome's edges are the transitions between its values, each with the
    scenario that first made it; this is what diagrams are drawn from.
    """
    limits = limits or Limits()
    if projection is not None:
        return search(VmModel(system, quirks, projection), limits, progress)
    exact = Exact(system, quirks, limits, progress, reduced=reduced)
    exact.run()
    model = VmModel(system, quirks, None)
    outcome = exact.outcome
    outcome.asked = exact.steps.asked
    if count_by:
        outcome.counts = counted(exact, count_by)
    outcome.endings = {
        ended: model.scenario(exact, halted)[0] for ended, halted in exact.endings.items()
    }
    if exact.broken is not None:
        outcome.path, outcome.broken = model.scenario(exact, exact.broken)
        if reduced:
            _shorten(outcome, system, quirks, len(exact.broken.states))
    return outcome


SHORTENING = 100_000
"""States within which the full search may look for a shorter path than a reduced one found."""


def _shorten(outcome: Outcome[Command], system: System, quirks: Quirks, depth: int) -> None:
    """Take what the full search finds in no more moves, if it ends soon; else say that it did not."""
    full = explore(system, quirks, limits=Limits(depth=depth, states=SHORTENING))
    outcome.shortest = full.broken is not None
    if outcome.shortest:
        outcome.path, outcome.broken = full.path, full.broken


class VmModel:
    """The VM of a system, as `search` asks for it. `projection` is what diagrams look at."""

    def __init__(self, system: System, quirks: Quirks, projection: Projection | None) -> None:
        self.system = system
        self.projection = projection
        self.watch = Watch(Machine(quirks))
        self.numbers: dict[Any, int] = {}  # of the states of vCPUs

    def start(self, left: Budget | None = None) -> tuple[Commands, State]:
        """A machine whose vCPUs let every vector through and are about to enter their guests."""
        system = self.system
        done = opening(system.vcpus, system.registrations)
        for command in done:
            self.watch.execute(command)
        return done, self._freeze((False,) * system.vcpus, left or Left.of(system))

    def moves(self, state: State) -> Iterator[Move[State, Command]]:
        """Every move from a state."""
        running, left = self._restore(state)
        possible = list(enabled(self.watch, self.system, running, left))
        for index, (commands, after, left_after) in enumerate(possible):
            if index:
                self._restore(state)
            before, label = self._seen(left), self._label(commands) if self.projection else ""
            done: list[Command] = []
            try:
                for command in commands:
                    done.append(command)
                    ended = self.system.ended(command, self.watch.execute(command))
                if ended:
                    yield Move(tuple(done), ended=ended)
                    continue
                if commands[0]["op"] == "svsm_step":
                    cpu = self.watch.machine.vm.vcpus[commands[0]["cpu"]]
                    for step in self._private(cpu):
                        label = "SVSM: present" if step == "present" else label
                        done.append(commands[0])
                        self.watch.execute(commands[0])
                    commands = walk(cpu.index, len(done))
                    if cpu.entry is None:  # the entry ended: the guest runs
                        after = (*running[: cpu.index], True, *running[cpu.index + 1 :])
            except Violation as violation:
                yield Move(tuple(done), broken=violation)
                return
            edge = (before, self._seen(left_after), label) if self.projection else None
            yield Move(commands, self._freeze(after, left_after), edge=edge)

    def key(self, state: State) -> State:
        """The same for all states that differ only by which vCPU is which."""
        shared, left, vcpus, _ = state
        numbers = (self.numbers.setdefault(vcpu, len(self.numbers)) for vcpu in vcpus)
        return shared, left, tuple(sorted(numbers))

    def scenario(self, exact: Exact, halted: Halted) -> tuple[list[Command], Exception | None]:
        """The commands that lead through states to where something stopped, and what broke there."""
        path, state = self.start(exact.left(halted.states[0]))
        scenario = list(path)
        for following in halted.states[1:]:
            for move in self.moves(state):
                if move.state is not None and self._exactly(exact, move.state) == following:
                    break
            else:
                raise AssertionError("no move of the machine leads to a state that was visited")
            scenario += move.steps
            state = move.state
        for move in self.moves(state):
            if move.broken is not None or (move.ended and move.ended == halted.stop.ended):
                return [*scenario, *move.steps], move.broken
        raise AssertionError("the machine does not stop where it was found to")

    def _exactly(self, exact: Exact, state: State) -> int:
        _, left, vcpus, _ = state
        return exact.state(self.watch, tuple(vcpu[0] for vcpu in vcpus), left)

    def _private(self, cpu: Vcpu) -> Iterator[str]:
        """The steps of an entry, one after the other, that no other actor can see."""
        while cpu.entry is not None and self.system.is_private(cpu.entry):
            yield cpu.entry.step

    def _seen(self, left: Budget) -> str:
        if self.projection is None or not isinstance(left, Left):
            return ""
        return self.projection(self.watch, left)

    def _label(self, commands: Commands) -> str:
        """What a move is, in a word or two."""
        command = commands[-1]
        cpu = self.watch.machine.vm.vcpus[command["cpu"]]
        match command["op"]:
            case "svsm_step":
                return f"SVSM: {cpu.entry.step if cpu.entry else 'handle_hv'}"
            case "svsm_hv":
                return "SVSM: #HV handler"
            case "host_step":
                return f"host: {cpu.posting.step if cpu.posting else 'read_status'}"
            case "guest_take":
                return "CPU delivers"
            case "guest_lazy_eoi":
                return "guest: lazy EOI"
            case "guest":
                return "guest: IF on" if command["if"] else "guest: IF off"
            case "call":
                return _call_label(command)
        return str(command["op"])

    # --- states ------------------------------------------------------------------------------------

    def _freeze(self, running: Running, left: Budget) -> State:
        """The VM and the books as a whole; what is left; each vCPU with its account; and, apart, what
        makes no two states different."""
        machine, ledger = self.watch.machine, self.watch.ledger
        assert machine.stopped is None
        shared, books = freeze(machine.vm), freeze(ledger)
        vcpus, passive = [], []
        for runs, cpu, account in zip(running, machine.vm.vcpus, ledger.accounts, strict=True):
            state, carried = _freeze_vcpu(cpu)
            owed, noted = _freeze_account(account)
            vcpus.append((runs, state, owed))
            passive.append((carried, noted))
        return (shared[0], books[0]), left, tuple(vcpus), (shared[1], books[1], tuple(passive))

    def _restore(self, state: State) -> tuple[Running, Budget]:
        (vm_state, ledger_state), left, vcpus, (vm_carried, ledger_carried, passive) = state
        vm, ledger = self.watch.machine.vm, self.watch.ledger
        restore(vm, (vm_state, vm_carried))
        restore(ledger, (ledger_state, ledger_carried))
        vm.requests.clear()
        self.watch.machine.stopped = None
        for index, ((_, cpu, account), (carried, noted)) in enumerate(
            zip(vcpus, passive, strict=True)
        ):
            _restore_vcpu(vm.vcpus[index], cpu, carried)
            ledger.accounts[index] = _thaw_account(account, noted)
        return tuple(vcpu[0] for vcpu in vcpus), left


_freeze_vcpu, _restore_vcpu = freezer(Vcpu), restorer(Vcpu)
_freeze_account, _thaw_account = freezer(Account), thawer(Account)


def _call_label(command: Command) -> str:
    """What a call is, in a word or two."""
    if command["protocol"] != Protocol.APIC:
        return f"guest: call {command['protocol']}.{command['request']}"
    if command["request"] == ApicCall.CONFIGURE_EMULATION:
        return f"guest: CONFIGURE 0b{command['rcx']:02b}"
    if command["request"] == ApicCall.READ_REGISTER:
        return "guest: reads"
    return f"guest: {ApicRegister(command['rcx']).name}"
