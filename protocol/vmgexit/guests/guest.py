"""What a profile of a guest is: a table of the calls that it makes, which generators and checks walk.

`Guest.calls` gives every call that it makes in a small system; `objection` says of a command what the
guest never does; `ending` says of an answer that the guest ends itself. What is no call is said by a
few fields of `Guest`. An intercept is the host's doing, so every guest can meet one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from ..descriptions import Actor, Answer, Command
from ..machine.commands import COMMANDS, call
from ..schema import members
from ..wire.apic import ApicRegister
from ..wire.calls import find_call
from ..wire.svsm import Protocol, ResultCode
from .values import ZERO, Icr, Setting, Values

_ARGUMENTS = ("rcx", "rdx", "r8")


class When(Enum):
    """When a guest makes a call."""

    ANY = "at any time"
    TAKEN = "when it has taken an interrupt"
    QUIET = "with interrupts off and none in service: a CPU starts or goes"


@dataclass(frozen=True, slots=True)
class Makes:
    """A call that a guest makes: what for, and the values that it gives.

    `ends`: it ends itself on any result that it does not repeat the call for. `in_memory`: its operands
    are in guest memory, which scenarios of interrupts do not have, so the answer to it says nothing.
    """

    what: str
    protocol: Protocol
    request: int
    rcx: Values
    rdx: Values = ZERO
    r8: Values = ZERO
    when: When = When.ANY
    ends: bool = False
    in_memory: bool = False

    @property
    def name(self) -> str:
        """The call's name in its specification."""
        known = find_call(self.protocol, self.request)
        assert known is not None
        return known.name

    @property
    def values(self) -> tuple[Values, Values, Values]:
        return self.rcx, self.rdx, self.r8

    @property
    def sends(self) -> bool:
        """Whether it sends an interrupt."""
        return isinstance(self.rdx, Icr)

    def given(self, setting: Setting) -> Iterator[tuple[int, int, int]]:
        """The arguments that it gives: RCX, RDX and R8."""
        for rcx in self.rcx.gives(setting, ()):
            for rdx in self.rdx.gives(setting, (rcx,)):
                for r8 in self.r8.gives(setting, (rcx, rdx)):
                    yield rcx, rdx, r8


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest. `sources` are the public files in which it was read."""

    name: str
    meaning: str
    sources: tuple[str, ...]
    makes: tuple[Makes, ...]
    ends_by: str  # what it asks for to end itself
    vintr: tuple[int, ...]  # VINTR_CTRL of the VMSAs that it makes; EVENTINJ there is 0
    lazy_eoi: bool = False  # it ends interrupts in the calling area
    cr8: bool = False  # it writes CR8
    repeats: tuple[ResultCode, ...] = (ResultCode.INCOMPLETE, ResultCode.BUSY)

    def calls(self, cpu: int, setting: Setting) -> Iterator[tuple[Makes, Command]]:
        """Every call that it makes on a vCPU, as a command, with its row."""
        for row in self.makes:
            for rcx, rdx, r8 in row.given(setting):
                yield row, call(cpu, row.request, rcx, rdx, r8, protocol=row.protocol)

    def row(self, command: Command) -> Makes | None:
        """The row of a call that it makes."""
        return next((row for row in self._rows(command) if not _refused(row, command)), None)

    def objection(self, command: Command) -> str:
        """What about a command this guest never does, in words; empty where it does it."""
        if COMMANDS[command["op"]].by is not Actor.GUEST:
            return ""
        match command["op"]:
            case "call":
                return self._call(command)
            case "guest_lazy_eoi" if not self.lazy_eoi:
                return "never ends an interrupt in the calling area"
            case "guest" if "cr8" in command and not self.cr8:
                return "never writes CR8"
            case "set_vmsa" if command.get("event_inj"):
                return "makes VMSAs with EVENTINJ 0"
            case "set_vmsa" if command.get("vintr", self.vintr[0]) not in self.vintr:
                allowed = " or ".join(f"{value:#x}" for value in self.vintr)
                return f"makes VMSAs with VINTR_CTRL {allowed}"
        return ""

    def ending(self, command: Command, answer: Answer) -> str:
        """Why it ends itself after an answer to a call; empty where it goes on."""
        row = self.row(command) if command["op"] == "call" else None
        code = answer.get("rax", 0)
        if row is None or not row.ends or row.in_memory or code in (0, *self.repeats):
            return ""
        return f"{row.name} ({row.what}) answered {code:#x}"

    def _rows(self, command: Command) -> list[Makes]:
        asked = command["protocol"], command["request"]
        return [row for row in self.makes if (row.protocol, row.request) == asked]

    def _call(self, command: Command) -> str:
        """The argument that no row has, of the rows that come nearest."""
        rows = self._rows(command)
        if not rows:
            known = find_call(command["protocol"], command["request"])
            number = f"call {command['request']} of protocol {command['protocol']}"
            return f"never makes {known.name if known else number}"
        nearest = min((_refused(row, command) for row in rows), key=len)
        if not nearest:
            return ""
        name = _ARGUMENTS[len(_ARGUMENTS) - len(nearest)]
        at = _ARGUMENTS.index(name)
        fitting = {
            row.values[at].said: None for row in rows if len(_refused(row, command)) == len(nearest)
        }
        value = command[name]
        register = f" ({ApicRegister(value).name})" if value in members(ApicRegister) else ""
        return f"never gives {name.upper()} {value:#x}{register} here, but {'; '.join(fitting)}"


def _refused(row: Makes, command: Command) -> tuple[str, ...]:
    """The arguments from the first on that a row does not have; none where it has the call."""
    before: tuple[int, ...] = ()
    for at, values in enumerate(row.values):
        value = command[_ARGUMENTS[at]]
        if not values.takes(value, before):
            return _ARGUMENTS[at:]
        before = (*before, value)
    return ()


def objections(guest: Guest, scenario: Iterable[Command]) -> list[tuple[int, str]]:
    """Where a scenario does what the guest never does: the command's place, and what."""
    found = ((index, guest.objection(command)) for index, command in enumerate(scenario))
    return [(index, what) for index, what in found if what]
