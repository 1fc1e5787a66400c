"""A machine with memory as a model to search: every order of whole calls, and of the host's moves.

A state is memory as far as moves name it, the registered VMSAs, where each vCPU is, and the books of the
invariants. MEM-1 to MEM-12 and INV-9 hold after every call. Pages share their bytes until one writes, and
only states that are still to be followed are kept.

What a guest that runs has in the registers of its VMSA is no part of a state: its next call sets them all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from copy import copy
from dataclasses import dataclass, replace

from ...descriptions import Command
from ...machine.machine import Machine
from ...machine.memory.memory import Memory
from ...machine.memory.registry import Home, Registry
from ...machine.memory.words import EXIT_CODE, R8, RAX, RCX, RDX, words
from ...machine.quirks import REFERENCE, Quirks
from ...watch.judged import Violation
from ...watch.memory.books import Books, parts_of
from ...watch.watch import Watch
from ..search import Limits, Move, Outcome, Progress, search
from .system import NAMED, SYSTEM_PAGES, MemorySystem

_OF_A_CALL = (RAX, RCX, RDX, R8, EXIT_CODE)


def explore_memory(
    system: MemorySystem,
    quirks: Quirks = REFERENCE,
    *,
    limits: Limits | None = None,
    progress: Progress[Command] | None = None,
) -> Outcome[Command]:
    """Visit every state of a system within the limits. What breaks is a `Violation`; the path to it is a
    scenario."""
    return search(MemoryModel(system, quirks), limits or Limits(), progress)


@dataclass(frozen=True, slots=True)
class MemoryState:
    """Copies of what can change, and how many moves the host has left."""

    memory: Memory
    registry: Registry
    books: Books
    vcpus: tuple[tuple[Home, Home, bool], ...]
    host_moves: int


class MemoryModel:
    """The VM of a system, as `search` asks for it."""

    def __init__(self, system: MemorySystem, quirks: Quirks) -> None:
        self.system = system
        self.watch = Watch(Machine(quirks))
        self.numbers: dict[Hashable, int] = {}
        self.of_guests = tuple(system.moves())
        self.of_host = tuple(system.of_host())

    def start(self) -> tuple[tuple[Command, ...], MemoryState]:
        """The machine as `init` makes it."""
        opening = self.system.opening()
        self.watch.execute(opening)
        return (opening,), self._state(self.system.host_moves)

    def moves(self, state: MemoryState) -> Iterator[Move[MemoryState, Command]]:
        """Every move from a state."""
        for cpu, commands in self.of_guests:
            # A vCPU that has no VMSA makes no call.
            if cpu is None or state.vcpus[cpu][0].vmsa is not None:
                yield self._move(state, commands, state.host_moves)
        if state.host_moves:
            for commands in self.of_host:
                yield self._move(state, commands, state.host_moves - 1)

    def _move(
        self, state: MemoryState, commands: tuple[Command, ...], host_moves: int
    ) -> Move[MemoryState, Command]:
        self._restore(state)
        for done, command in enumerate(commands, 1):
            try:
                answer = self.watch.execute(command)
            except Violation as violation:
                return Move(commands[:done], broken=violation)
            stopped = answer.get("panic") or answer.get("terminated")
            if stopped:
                return Move(commands[:done], ended=f"the VM stops: {stopped.partition(' at ')[0]}")
        return Move(commands, self._state(host_moves))

    def key(self, state: MemoryState) -> Hashable:
        """The same for all states that are the same for the search, and for no others."""
        memory, registry, books = state.memory, state.registry, state.books
        in_guests = {mapped.vmsa for _, mapped, inside in state.vcpus if inside}
        system_pages = tuple(
            (memory.rmp[page], self._content(memory, page, page in in_guests))
            for page in SYSTEM_PAGES
        )
        noted = tuple(
            (registry.noted(page, 1), books.noted.pages.get(page), books.noted.common(page))
            for page in NAMED
        )
        seen = (
            frozenset(books.taken),
            tuple(sorted((page, *sorted(behind)) for page, behind in books.backed.items())),
        )
        backing = tuple(sorted(memory.backing.items()))
        running = tuple(sorted(memory.running.items()))
        rows = tuple(map(tuple, registry.rows()))
        return self._number(
            (system_pages, noted, seen, backing, running, rows, state.vcpus, state.host_moves)
        )

    def _content(self, memory: Memory, page: int, runs: bool) -> int:
        """A number for the bytes of a system page; of the VMSA of a guest that runs, without its
        registers."""
        content = memory.pages.content(page)
        if runs:
            held = bytearray(content)
            registers = words(held)
            for at in _OF_A_CALL:
                registers[at] = 0
            content = held
        return self._number(bytes(content))

    def _number(self, value: Hashable) -> int:
        """The number of a value: another for each."""
        return self.numbers.setdefault(value, len(self.numbers))

    # --- states --------------------------------------------------------------------------------------

    def _state(self, host_moves: int) -> MemoryState:
        vm = self.watch.machine.vm
        memory, registry = _copies(*parts_of(vm))
        vcpus = tuple((cpu.home, cpu.mapped, cpu.in_guest) for cpu in vm.vcpus)
        return MemoryState(memory, registry, _books(self.watch.books), vcpus, host_moves)

    def _restore(self, state: MemoryState) -> None:
        vm = self.watch.machine.vm
        vm.memory, vm.registry = _copies(state.memory, state.registry)
        self.watch.books = _books(state.books)
        self.watch.machine.stopped = None
        for cpu, (home, mapped, in_guest) in zip(vm.vcpus, state.vcpus, strict=True):
            cpu.home, cpu.mapped, cpu.in_guest = home, mapped, in_guest


def _copies(memory: Memory, registry: Registry) -> tuple[Memory, Registry]:
    copied = memory.copy()
    return copied, registry.copy(copied)


def _books(books: Books) -> Books:
    backed = {page: set(behind) for page, behind in books.backed.items()}
    return replace(
        books,
        taken=set(books.taken),
        backed=backed,
        noted=books.noted.copy(),
        sealed=copy(books.sealed),
    )
