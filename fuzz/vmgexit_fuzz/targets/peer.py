"""Invariant: another implementation answers every command as the machine of the profile does, one
answer to each, in time, and stops only where that stops.

The bytes are a program, as for `scenario`. It runs on the peer and on the machine in step; the first
answer that differs is the finding. Coverage is our own machine's: a peer offers none. The process is
kept from input to input; each program starts with `init`. Until `use` names a command our own machine
stands in for a peer, so that only its determinism is checked.
"""

from __future__ import annotations

import atexit
import re
from collections.abc import Sequence

from vmgexit.compare.lockstep import Answering, Lockstep, compare
from vmgexit.compare.peer import COUNTERS, STOPS, Peer, plain
from vmgexit.errors import PeerError, brief
from vmgexit.machine import program
from vmgexit.machine.commands import Answer, Command
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import REFERENCE, Quirks
from vmgexit.machine.scenario import show as show_scenario
from vmgexit.wire.svsm import find_call

from ..process import probes
from . import Finding

quirks: Quirks = REFERENCE
_peer: Peer | None = None
_first = -1  # of the counters for the peer's own coverage

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


def use(command: Sequence[str], timeout: float) -> Peer:
    """The peer from now on; it is started with the first command. The one before is ended."""
    global _peer
    close()
    _peer = Peer(command, timeout)
    return _peer


def watch() -> None:
    """Make room for the peer's own coverage among the counters that the engine reads."""
    global _first
    if _first < 0:
        _first = probes.reserve(COUNTERS)


@atexit.register
def close() -> None:
    """End the peer's process."""
    if _peer is not None:
        _peer.close()


class _OurOwn:
    """The machine in a peer's place."""

    def __init__(self) -> None:
        self.machine = Machine(quirks)

    def forget(self) -> None:
        self.machine = Machine(quirks)

    def execute(self, command: Command) -> Answer:
        return self.machine.execute(command)


def run(data: bytes) -> int:
    """Run a program on both; how many commands it has."""
    commands = program.read(data)
    failed = _failure(commands)
    if failed:
        raise failed[1]
    return len(commands)


def show(data: bytes) -> str:
    """The scenario, up to the command that is answered differently."""
    commands = program.read(data)
    failed = _failure(commands)
    if failed:
        return show_scenario(commands[: failed[0] + 1], mark=failed[0])
    return show_scenario(commands)


def read(data: bytes) -> str:
    """The whole scenario."""
    return show_scenario(program.read(data))


def commands(data: bytes) -> list[Command]:
    """The scenario of an input, to be written as JSON lines."""
    return program.read(data)


def _failure(commands: list[Command]) -> tuple[int, Finding] | None:
    """The first command at which peer and machine part, and how."""
    answering: Answering = _peer or _OurOwn()
    both = Lockstep(answering, quirks)
    for index, command in enumerate(commands):
        place = _place(command)
        try:
            answer, expected = both.execute(command)
        except PeerError as error:
            return index, Finding(f"{error.kind} at {place}", f"peer: {error} (at {place})")
        if _peer is not None and _first >= 0:
            for number in _peer.hits:
                probes.counters[_first + number] = 1
        found = compare(answer, expected)
        if found:
            return index, _told(place, answer, found)
    return None


def _told(place: str, answer: Answer, found: dict[str, tuple[object, object]]) -> Finding:
    for stop in STOPS:
        if stop in answer:
            # Texts that differ in numbers only are one defect.
            text = plain(str(answer[stop]))
            return Finding(
                f"{stop} at {place}: {_NUMBER.sub('N', text)}", f"{place}: {stop}: {text}"
            )
    key = next(iter(found))
    parts = [
        f"{name}: {brief(ours)} found, {brief(theirs)} expected"
        for name, (ours, theirs) in found.items()
    ]
    return Finding(f"{place} differs in {key}", f"{place}: {'; '.join(parts)}")


def _place(command: Command) -> str:
    """The operation; of a call, which one."""
    if command["op"] != "call":
        return str(command["op"])
    call = find_call(command["protocol"], command["request"])
    return f"call {call.name}" if call else "a call that there is not"
