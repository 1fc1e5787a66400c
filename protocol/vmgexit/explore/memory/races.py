"""Calls of two vCPUs at once: every order of their atomic steps, under the invariants of memory.

A step of a call ends before each change of what vCPUs share: an RMP entry, a cleared page, the registered
VMSAs, where a vCPU is to go on; and before what others see: a flush, an entry. An SVSM whose calls exclude
each other has no such order, and the machine is one: `races` says what happens if two calls hold no lock.
Each order is a run of its own, from the same scenario.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...descriptions import Command
from ...errors import ScenarioError
from ...machine.machine import Machine
from ...machine.memory.memory import Memory
from ...machine.memory.registry import Home, Registration
from ...machine.quirks import REFERENCE, Quirks
from ...machine.vm import Vcpu
from ...watch.judged import Invariant
from ...watch.memory.books import Before, Books, MemoryStep, parts_of
from ...watch.memory.invariants import INVARIANTS

_ALWAYS = ("MEM-2",)
_AT_THE_END = ("MEM-1", "MEM-2", "MEM-7", "MEM-8", "MEM-9")


@dataclass(frozen=True, slots=True)
class Race:
    """An order of two calls that breaks an invariant: which of them took each step, what the step began
    with, and what is wrong."""

    order: tuple[int, ...]
    steps: tuple[str, ...]
    invariant: str
    wrong: str


def races(
    scenario: Sequence[Command], calls: tuple[Command, Command], quirks: Quirks = REFERENCE
) -> Iterator[Race]:
    """Each order of the steps of both calls, made after `scenario`, that breaks an invariant.

    Raises ScenarioError where `scenario` stops the VM, or a command cannot be carried out."""
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        begun = waiting.pop()
        run = _Run(scenario, calls, quirks, begun)
        order = run.order
        if run.wrong is not None:
            yield Race(tuple(order), tuple(run.steps), *run.wrong)
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
        self.machine = _after(scenario, quirks)
        self.begun = begun
        self.order: list[int] = []
        self.steps = ["begins"]
        self.could_switch: list[bool] = []
        self.wrong: tuple[str, str] | None = None
        self.before = Before.of(self.machine.vm)
        self.books = Books.begin(scenario[0])
        self.calls = calls
        self.done = [False, False]
        self.failed: Exception | None = None
        self.baton = threading.Condition()
        self._make_shared()
        self.waits = ["begins", "begins"]
        self.turn = self._next(begun[0] if begun else 0)
        threads = [threading.Thread(target=self._call, args=(who,)) for who in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failed is not None:
            raise self.failed
        self._judge(_AT_THE_END)

    def _make_shared(self) -> None:
        """Every change of what vCPUs share ends a step."""
        memory, registry = parts_of(self.machine.vm)
        memory.rmp = _stepping(memory.rmp, _RMP, self.step)
        memory.pages = _stepping(memory.pages, _PAGES, self.step)
        registry.entries = _Stepping(registry.entries, _registered, self.step)
        self.machine.vm.memory = registry.memory = _telling(memory, self.step)
        self.machine.vm.vcpus = [_moving(cpu, self.step) for cpu in self.machine.vm.vcpus]

    def _call(self, who: int) -> None:
        with self.baton:
            self.baton.wait_for(lambda: self.turn == who)
            try:
                self.machine.execute(self.calls[who])
            except Exception as error:  # a thread cannot raise it where it is waited for
                self.failed = error
            finally:
                self.done[who] = True
                if not self.done[1 - who]:
                    self.turn = self._next(1 - who)
                    self._note("goes on")
                self.baton.notify_all()

    def step(self, what: str) -> None:
        """A step of a call ends; the other call may go on. The next one begins with `what`."""
        who = self.turn
        self._judge(_ALWAYS)
        self.turn = self._next(who)
        self.waits[who] = what
        self._note(what)
        if self.turn != who:
            self.baton.notify_all()
            self.baton.wait_for(lambda: self.turn == who)

    def _note(self, what: str) -> None:
        """What the call whose turn it is begins its step with: what it waited for, or `what`."""
        self.steps.append(self.waits[self.turn] or what)

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


def _after(scenario: Sequence[Command], quirks: Quirks) -> Machine:
    """The machine on which a scenario was run. Raises ScenarioError where its VM has stopped."""
    machine = Machine(quirks)
    for index, command in enumerate(scenario):
        try:
            machine.execute(command)
        except ScenarioError as error:
            raise ScenarioError(f"operation {index}: {error}") from None
        if machine.stopped is not None:
            why = ", ".join(f"{kind}: {text}" for kind, text in machine.stopped.items())
            raise ScenarioError(f"operation {index}: {command['op']} stops the VM ({why})")
    return machine


def _named(names: tuple[str, ...]) -> Iterator[Invariant]:
    return (one for one in INVARIANTS if one.name in names)


_RMP = {
    "__setitem__": "changes an RMP entry",
    "assign": "assigns pages",
    "smash": "splits a 2 MiB page",
}
_PAGES = {"clear": "clears a page"}
_DID = {"flush": "flushes a vCPU", "flush_all": "flushes all", "enter": "enters the guest"}


def _stepping(held: Any, names: dict[str, str], step: Callable[[str], None]) -> Any:
    """An object like `held`, of which these methods end a step before they change anything."""
    cls = type(held)

    def ending(name: str) -> Callable[..., Any]:
        def method(self: Any, *arguments: Any) -> Any:
            at = f" of {arguments[0]:#x}" if arguments and isinstance(arguments[0], int) else ""
            step(names[name] + at)
            return getattr(cls, name)(self, *arguments)

        return method

    return _become(held, {name: ending(name) for name in names})


def _become(held: Any, members: dict[str, Any]) -> Any:
    """An object with the slots of `held`, and other members."""
    cls = type(held)
    made: Any = type(cls.__name__, (cls,), {"__slots__": (), **members})
    other = made.__new__(made)
    for slot in cls.__slots__:
        setattr(other, slot, getattr(held, slot))
    return other


def _telling(memory: Memory, step: Callable[[str], None]) -> Any:
    """A memory whose `did` ends a step before what others see."""
    did: Any = vars(Memory)["did"]

    def put(self: Memory, lines: list[list[Any]]) -> None:
        did.__set__(self, _Stepping(lines, lambda line: _DID.get(line[0], ""), step))

    return _become(memory, {"did": property(did.__get__, put)})


def _moving(cpu: Vcpu, step: Callable[[str], None]) -> Any:
    """A vCPU that is told where to go on in a step."""
    home: Any = vars(Vcpu)["home"]

    def put(self: Vcpu, new: Home) -> None:
        if hasattr(self, "mapped"):
            step(f"hands vCPU {self.index} over")
        home.__set__(self, new)

    return _become(cpu, {"home": property(home.__get__, put)})


def _registered(one: Registration) -> str:
    return f"changes what is registered: {one.vmsa:#x}"


class _Stepping(list[Any]):
    """A list of which each change that `says` something ends a step."""

    def __init__(
        self, held: list[Any], says: Callable[[Any], str], step: Callable[[str], None]
    ) -> None:
        super().__init__(held)
        self.says, self.step = says, step

    def _before(self, one: Any) -> None:
        if what := self.says(one):
            self.step(what)

    def append(self, one: Any) -> None:
        self._before(one)
        super().append(one)

    def remove(self, one: Any) -> None:
        self._before(one)
        super().remove(one)

    def __iadd__(self, more: Any) -> Any:  # type: ignore[misc]
        for one in more:
            self.append(one)
        return self
