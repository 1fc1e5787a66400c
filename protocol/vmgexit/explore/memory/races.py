"""Calls of two vCPUs at once: every order of their atomic steps, under the invariants of memory.

A step of a call ends before each change of what vCPUs share: an RMP entry, a cleared page, the registered
VMSAs. An SVSM whose calls exclude each other has no such order, and the machine is one: `races` says what
happens if two calls hold no lock. Each order is a run of its own, from the same scenario.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...descriptions import Command
from ...machine.machine import Machine
from ...machine.memory.pages import SystemPages
from ...machine.memory.registry import Registration
from ...machine.memory.rmp import Rmp
from ...machine.quirks import REFERENCE, Quirks
from ...watch.judged import Invariant
from ...watch.memory.books import Before, Books, MemoryStep, parts_of
from ...watch.memory.invariants import INVARIANTS

_ALWAYS = ("MEM-2",)
_AT_THE_END = ("MEM-1", "MEM-2", "MEM-7", "MEM-8", "MEM-9")


@dataclass(frozen=True, slots=True)
class Race:
    """An order of two calls that breaks an invariant: which of them took each step, and what is wrong."""

    order: tuple[int, ...]
    invariant: str
    wrong: str


def races(
    scenario: Sequence[Command], calls: tuple[Command, Command], quirks: Quirks = REFERENCE
) -> Iterator[Race]:
    """Each order of the steps of both calls, made after `scenario`, that breaks an invariant."""
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        begun = waiting.pop()
        run = _Run(scenario, calls, quirks, begun)
        order = run.order
        if run.wrong is not None:
            yield Race(tuple(order), *run.wrong)
        waiting += [
            (*order[:at], 1 - order[at])
            for at in range(len(begun), len(order))
            if run.could_switch[at]
        ]


class _Run:
    """One order: it begins as it is told, and then each call goes on to its end."""

    def __init__(
        self,
        scenario: Sequence[Command],
        calls: tuple[Command, Command],
        quirks: Quirks,
        begun: tuple[int, ...],
    ) -> None:
        self.machine = Machine(quirks)
        for command in scenario:
            self.machine.execute(command)
        self.begun = begun
        self.order: list[int] = []
        self.could_switch: list[bool] = []
        self.wrong: tuple[str, str] | None = None
        self.before = Before.of(self.machine.vm)
        self.books = Books.begin(scenario[0])
        self.calls = calls
        self.done = [False, False]
        self.baton = threading.Condition()
        self._make_shared()
        self.turn = self._next(begun[0] if begun else 0)
        threads = [threading.Thread(target=self._call, args=(who,)) for who in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._judge(_AT_THE_END)

    def _make_shared(self) -> None:
        """Every change of what vCPUs share ends a step."""
        memory, registry = parts_of(self.machine.vm)
        memory.rmp = _stepping(Rmp, memory.rmp, ("__setitem__", "assign", "smash"), self.step)
        memory.pages = _stepping(SystemPages, memory.pages, ("clear",), self.step)
        registry.entries = _Entries(registry.entries, self.step)

    def _call(self, who: int) -> None:
        with self.baton:
            self.baton.wait_for(lambda: self.turn == who)
            try:
                self.machine.execute(self.calls[who])
            finally:
                self.done[who] = True
                if not self.done[1 - who]:
                    self.turn = self._next(1 - who)
                self.baton.notify_all()

    def step(self) -> None:
        """A step of a call ends; the other call may go on."""
        who = self.turn
        self._judge(_ALWAYS)
        self.turn = self._next(who)
        if self.turn != who:
            self.baton.notify_all()
            self.baton.wait_for(lambda: self.turn == who)

    def _next(self, who: int) -> int:
        """Who takes the next step, if nothing else is said `who`."""
        at, free = len(self.order), not any(self.done)
        if free and at < len(self.begun):
            who = self.begun[at]
        self.order.append(who)
        self.could_switch.append(free)
        return who

    def _judge(self, names: tuple[str, ...]) -> None:
        vm = self.machine.vm
        if self.wrong is not None or self.machine.stopped:
            return
        command = self.calls[0]
        step = MemoryStep(0, command, {"did": []}, vm.vcpus[command["cpu"]], self.before)
        for invariant in _named(names):
            wrong = invariant.check(vm, self.books, step)
            if wrong:
                self.wrong = invariant.name, wrong[0][1]
                return


def _named(names: tuple[str, ...]) -> Iterator[Invariant]:
    return (one for one in INVARIANTS if one.name in names)


def _stepping(cls: Any, held: Any, names: tuple[str, ...], step: Callable[[], None]) -> Any:
    """An object like `held`, of which these methods end a step before they change anything."""

    def ending(name: str) -> Callable[..., Any]:
        def method(self: Any, *arguments: Any) -> Any:
            step()
            return getattr(cls, name)(self, *arguments)

        return method

    made: Any = type(
        cls.__name__, (cls,), {"__slots__": (), **{name: ending(name) for name in names}}
    )
    other = made.__new__(made)
    for slot in cls.__slots__:
        setattr(other, slot, getattr(held, slot))
    return other


class _Entries(list[Registration]):
    """The registered VMSAs, of which each change ends a step."""

    def __init__(self, entries: list[Registration], step: Callable[[], None]) -> None:
        super().__init__(entries)
        self.step = step

    def append(self, entry: Registration) -> None:
        self.step()
        super().append(entry)

    def remove(self, entry: Registration) -> None:
        self.step()
        super().remove(entry)
