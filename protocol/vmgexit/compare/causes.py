"""What is wrong with a peer, by cause: the command at which it first differs from our machine, what differs
there, and which quirk of ours does the same.

Many answers can tell of one defect, long after it did its harm. So the scenario is run once more, one
command at a time, and after each command both sides tell all their state. What differs first there is
nearest to the defect, whatever brought it to light. The names of causes are made so that one defect has
one name: state is named without the command, since interrupts are taken in many of them.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..descriptions import Answer, Command
from ..errors import DecodeError, PeerError
from ..machine.machine import Machine
from ..machine.memory.memory import Memory
from ..machine.quirks import PROFILES, Quirks, noting
from ..watch.judged import Violation
from ..watch.snapshot import snapshot
from ..wire.apic import ApicCall, ApicRegister
from ..wire.calls import find_call
from ..wire.doorbell import DoorbellHead
from ..wire.svsm import Protocol as CallProtocol
from ..wire.svsm import ResultCode
from . import memory_looks, mirror
from .apart import likeliest
from .lockstep import Differences, compare, misshapen
from .mirror import LOOKS as _ON_INTERRUPTS
from .mirror import Exchange, broken
from .peer import STOPS, Answering, is_unsupported, stops
from .pipes import plain
from .replay import apart

LOOKS = (*_ON_INTERRUPTS, *memory_looks.LOOKS)
"""The commands that only look, asked after each command."""

MOST_MEETING = 3  # quirks that are tried together
_MOST_TRIED = 4  # times that a difference is looked into so
_SHOWN = 4  # differences in a message

# The wrong interrupt of these may be missing, or another one, as what came after had room or had not.
_IN_SERVICE = "apic.isr_stack"

# What a difference is named by, where several keys differ at once. Interrupts go from the doorbell page to
# the IRR, to service, to the guest, and back to the host: what differs first on this way is nearest to the
# defect.
_NEAREST = (
    "doorbell.flags.no_further_signal",
    "doorbell",
    _IN_SERVICE,
    "apic.irr",
    "apic",
    "ipi",
    "flags",
    "calls",
    "cancelled",
    "reg_count",
    "alt_inj",
    "rax",
    "did",
    "ran",
    "page",
    "registry",
    "calling_area",
)
# The APIC calls whose RCX is a register; each register has rules of its own.
_OF_REGISTERS = (ApicCall.READ_REGISTER, ApicCall.WRITE_REGISTER)
_REGISTERS = {int(one): one.name for one in ApicRegister}
_REFUSALS = {int(one) for one in ResultCode} - {int(ResultCode.SUCCESS)}
_PLACE = re.compile(r"\[\w+\]")  # which page or vCPU a key is about


@dataclass(frozen=True, slots=True)
class Cause:
    """The first difference of a scenario. `index` is the command's; `key` is what differs; `quirk` is the
    switch of ours that explains it, or empty. `before` and `after` show our machine around the command.
    `violation` is the invariant that the peer's own answers break."""

    index: int
    place: str
    key: str
    differences: Differences
    quirk: str
    before: str
    after: str
    violation: Violation | None = None

    @property
    def name(self) -> str:
        """What all scenarios with that defect share."""
        return self.quirk or self.key

    @property
    def clause(self) -> str:
        """The clause that says what should be, or an empty string."""
        return self.violation.invariant.name if self.violation else ""

    def __str__(self) -> str:
        nearest = sorted(self.differences.items(), key=lambda one: _distance(one[0]))
        parts = [f"{key}: {apart(found, expected)}" for key, (found, expected) in nearest[:_SHOWN]]
        if nearest[_SHOWN:]:
            parts.append(f"and {len(nearest) - _SHOWN} more")
        because = f" (explained by {self.quirk})" if self.quirk else ""
        breaks = f"; it breaks {self.violation}" if self.violation else ""
        return f"{self.place}: {'; '.join(parts)}{breaks}{because}"


class Failed(Exception):
    """The peer failed at a command; -1 where it did so before the first."""

    def __init__(self, error: PeerError, index: int, place: str) -> None:
        super().__init__(f"peer: {error} (at {place})" if place else f"peer: {error}")
        self.error, self.index, self.place = error, index, place


def first(
    peer: Answering,
    quirks: Quirks,
    commands: Sequence[Command],
    unexplained: Counter[str] | None = None,
) -> Cause | None:
    """Where a peer first differs from a machine with `quirks`; None where it does not. Raises Failed, and
    ScenarioError. `unexplained` is kept from one scenario to the next, so that what stays without an
    explanation does not take long each time."""
    machine = Machine(quirks)
    told: list[tuple[Command, Answer]] = []
    exchanges: list[Exchange] = []
    # Keys of looks that differ from the beginning: no command is their cause.
    usual: set[str] = set()
    is_left_out = False  # a machine that the peer does not have
    for index, command in enumerate(commands):
        is_left_out &= command["op"] != "init"
        if is_left_out or (machine.stopped is not None and command["op"] != "init"):
            continue  # there is no machine, or both stopped
        before, memory = _state(machine, command), _copy(machine)
        found: Differences = {}
        shape = ""
        for one in itertools.chain((command,), _looks(command, machine, memory)):
            try:
                answer = peer.execute(one)
            except PeerError as error:
                at = index - 1 if error.is_earlier and one is command else index
                raise Failed(error, at, place(commands[at]) if at >= 0 else "") from None
            if is_unsupported(answer):
                if one is command:
                    is_left_out = command["op"] == "init"
                    exchanges.append(Exchange(one, answer))
                    break  # our machine leaves it out too
                continue
            told.append((one, answer))
            if one is command:
                exchanges.append(Exchange(one, answer))
            elif one["op"] in _ON_INTERRUPTS:
                exchanges[-1].looks.append((one, answer))
            expected = _answer(machine, one)
            differing = compare(answer, expected)
            if one is not command:
                differing = _of_look(one, differing, expected)
                if command["op"] == "init":
                    usual |= differing.keys()
                differing = {key: pair for key, pair in differing.items() if key not in usual}
            if differing and not found:
                shape = misshapen(one, answer, expected)
            found |= {key: pair for key, pair in differing.items() if key not in found}
            # Where only ours stopped, what it was like is compared with what the peer is like.
            if stops(answer):
                break
        if found:
            where = place(command)
            key = shape or _key(where, found)
            # Before the peer is asked for more: it is where the difference left it.
            violation = broken(peer, exchanges, len(machine.vm.vcpus))
            names = explaining(told, quirks, usual, most_meeting(key, unexplained))
            if unexplained is not None and not names:
                unexplained[key] += 1
            have = PROFILES.named(quirks)
            named = likeliest(peer, have, commands[: index + 1], names) if names else ""
            after = _state(machine, command) + memory_looks.around(machine.vm.memory, memory)
            return Cause(index, where, key, found, named, before, after, violation)
    return None


def most_meeting(key: str, unexplained: Counter[str] | None) -> int:
    """How many quirks are tried together to explain a difference: one alone, once it stayed without an
    explanation often enough."""
    return 1 if unexplained and unexplained[key] >= _MOST_TRIED else MOST_MEETING


def _answer(machine: Machine, command: Command) -> Answer:
    """What our machine answers. A look sees a machine that stopped as it was then."""
    if command["op"] not in LOOKS:
        return machine.execute(command)
    stopped, machine.stopped = machine.stopped, None
    answer = machine.execute(command)
    machine.stopped = stopped
    return answer


def _copy(machine: Machine) -> Memory | None:
    """The memory as it is now, if there is one."""
    return machine.vm.memory and machine.vm.memory.copy()


def _looks(command: Command, machine: Machine, before: Memory | None) -> Iterator[Command]:
    """What is asked after a command: of its vCPU, after one that may send an IPI of all, and on memory also
    what it did there."""
    if command["op"] in LOOKS:
        return
    if machine.vm.memory is not None:
        yield from memory_looks.looks(command, machine, before)
        if not machine.vm.has_apic or "memory" in command:
            return
    yield from mirror.looks(command, len(machine.vm.vcpus))


def _of_look(look: Command, found: Differences, expected: Answer) -> Differences:
    """The differences of a look; of a doorbell page by field. What an answer shows of an entry, a state
    shows too, and what it did is in the answers' calls."""
    if look["op"] in memory_looks.LOOKS:
        return memory_looks.of_look(look, found, expected)
    if look["op"] == "doorbell":
        return {
            f"doorbell.{key}": pair
            for ours, theirs in found.values()
            for key, pair in _fields(ours, theirs).items()
        }
    return {key: pair for key, pair in found.items() if key != "history"}


def _fields(ours: Any, theirs: Any) -> Differences:
    """The fields in which two doorbell pages differ."""
    try:
        pages = [dict(_leaves(DoorbellHead.decode(bytes.fromhex(one)))) for one in (ours, theirs)]
    except (TypeError, ValueError, DecodeError):
        return {"hex": (ours, theirs)}
    found, expected = pages
    return {key: (found[key], expected[key]) for key in found if found[key] != expected[key]}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for one in type(value).declaration.fields:
        held = getattr(value, one.name)
        name = f"{path}{one.name}"
        if hasattr(type(held), "declaration"):
            yield from _leaves(held, f"{name}.")
        else:
            yield name, held


def explaining(
    told: Sequence[tuple[Command, Answer]],
    quirks: Quirks,
    usual: set[str] | None = None,
    most: int = 1,
) -> list[str]:
    """The quirks beside `quirks` of which each alone makes a machine give all these answers. Where only
    several together do so, at most `most`, it is the first of them in the table: they can meet in one
    command."""
    have = PROFILES.named(quirks)
    last, ever = set[str](), set[str]()  # asked for at the last command, and at any
    for base in (quirks, PROFILES.only(*PROFILES.names())):  # with one, a rule may ask for another
        asked = set[str]()
        machine = Machine(noting(base, asked))
        for command, _ in told:
            if command["op"] not in LOOKS:
                ever |= asked
                asked.clear()
            _answer(machine, command)
        last |= asked
    names = [one for one in PROFILES.names() if one not in have]
    meeting = [one for one in names if one.replace("-", "_") in last]
    alone = [one for one in names if one.replace("-", "_") in last | ever]

    def explains(*some: str) -> bool:
        return _gives(Machine(PROFILES.only(*have, *some)), told, usual or set())

    if found := [one for one in alone if explains(one)]:
        return found
    for size in range(2, most + 1):
        for some in itertools.combinations(meeting, size):
            if explains(*some):
                return [some[0]]
    return []


def _gives(machine: Machine, told: Sequence[tuple[Command, Answer]], usual: set[str]) -> bool:
    for command, answer in told:
        expected = _answer(machine, command)
        found = compare(answer, expected)
        if found and command["op"] in LOOKS:
            looked = _of_look(command, found, expected)
            found = {key: one for key, one in looked.items() if key not in usual}
        if found:
            return False
    return True


def _key(where: str, found: Differences) -> str:
    """The name of a difference: of all keys the nearest to the defect, and in which way it is wrong."""
    for stop in STOPS:
        if found.get(stop, (None,))[0] is not None:
            return f"{stop} at {where}"
    key = min(found, key=_distance)
    ours, theirs = found[key]
    key = _PLACE.sub("", key)
    if key == _IN_SERVICE:
        return f"{key} differs"
    group = key.partition(".")[0]
    way = _refused(ours, theirs) if key == "rax" else _way(ours, theirs)
    if group in ("apic", "flags", "doorbell") or key in ("cancelled", "calls") or "ipi" in key:
        return f"{key} {way}"
    return f"{where}: {key} {way}"


def _distance(key: str) -> int:
    return next(
        (number for number, start in enumerate(_NEAREST) if key.startswith(start)), len(_NEAREST)
    )


def _refused(ours: Any, theirs: Any) -> str:
    """In which way a result code is wrong: a refusal that is missing, or one too many."""
    for start, code in (("is not", theirs), ("is", ours)):
        if type(code) is int and code in _REFUSALS:
            return f"{start} {ResultCode(code).name}"
    return "differs"


def _way(ours: Any, theirs: Any) -> str:
    """In which way a value is wrong."""
    if isinstance(ours, bool) and isinstance(theirs, bool):
        return f"is {ours}".lower()
    more, fewer = _beyond(ours, theirs), _beyond(theirs, ours)
    if more is None or fewer is None or bool(more) is bool(fewer):
        return "differs"
    return f"has {more} too many" if more else f"lacks {fewer}"


def _beyond(one: Any, other: Any) -> str | None:
    """What `one` has beyond `other`: members of vector sets, requests, what was done on memory; None of
    other values."""
    if one is None and isinstance(other, list):
        return ""
    if isinstance(one, list) and (other is None or isinstance(other, list)):
        held = other or []
        if all(isinstance(each, dict) for each in (*one, *held)):
            names = {plain(str(each.get("call"))) for each in one if each not in held}
            return " and ".join(sorted(names))
        if all(isinstance(each, list) and each for each in (*one, *held)):
            done = Counter(plain(str(each[0])) for each in one)
            done.subtract(plain(str(each[0])) for each in held)
            return " and ".join(sorted(name for name, count in done.items() if count > 0))
        if len(one) == len(held) == 8 and all(type(each) is int for each in (*one, *held)):
            return "members" if any(a & ~b for a, b in zip(one, held, strict=True)) else ""
        if all(type(each) is int for each in (*one, *held)):
            return "members" if set(one) - set(held) else ""
    return None


def place(command: Command) -> str:
    """The operation; of a call, which one, and of an APIC register, whose."""
    if command["op"] != "call":
        return str(command["op"])
    call = find_call(command["protocol"], command["request"])
    if call is None:
        return "an unknown call"
    if command["protocol"] == CallProtocol.APIC and command["request"] in _OF_REGISTERS:
        return f"call {call.name} of {_REGISTERS.get(command['rcx'], 'no register')}"
    return f"call {call.name}"


def _state(machine: Machine, command: Command) -> str:
    """The state of the vCPU that a command is for."""
    if command["op"] == "init" or "cpu" not in command:
        return "nothing"
    return snapshot(machine.vm.vcpus[command["cpu"]])
