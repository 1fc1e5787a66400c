"""What exported tests call: commands in words, and what carries them out.

`check` compares answers, `run` and `rerun` open a target as its finding was found, `decoded` decodes a
structure and encodes it back.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from functools import cache
from typing import Any

from vmgexit.compare.lockstep import replay_peer
from vmgexit.compare.peer import Peer
from vmgexit.compare.replay import KINDS, Tally, replay
from vmgexit.descriptions import Answer, Command
from vmgexit.errors import UsageError
from vmgexit.sequences import Sequence
from vmgexit.wire.calls import calls
from vmgexit.wire.exits import exits
from vmgexit.wire.ghcb import BUFFER_SIZE, GhcbPage
from vmgexit.wire.registry import find as structure

from ..targets import Conditions, Target, find
from .cases import pieces
from .words import valid_bits

PEER, PROFILE = "VMGEXIT_PEER", "VMGEXIT_PROFILE"


def call(name: str, cpu: int = 0, rcx: int = 0, rdx: int = 0, r8: int = 0, **more: bool) -> Command:
    """The command of a call by its name, such as `SVSM_APIC_READ_REGISTER`."""
    known = _named(calls(), name, "call")
    command = {
        "op": "call",
        "cpu": cpu,
        "protocol": int(known.protocol),
        "request": int(known.number),
    }
    return command | {"rcx": rcx, "rdx": rdx, "r8": r8} | more


def vmgexit(
    code: str | int,
    *,
    gpa: int,
    cpu: int | None = None,
    meanwhile: list[list[int | str]] | None = None,
    valid: Iterable[str] | int = (),
    shared_buffer: str = "",
    **fields: Any,
) -> Command:
    """The command of an exit by its name or code, with the fields of its GHCB page; `valid` are those that
    the guest marks, or the bitmap itself."""
    if isinstance(code, str):
        code = int(_named(exits(), code, "exit").code)
    if not isinstance(valid, int):
        valid = valid_bits(valid)
    buffer = shared_buffer.ljust(2 * BUFFER_SIZE, "0")
    given = {**fields, "sw_exit_code": code, "valid_bitmap": valid, "shared_buffer": buffer}
    page = GhcbPage.from_dict(given, partial=True)
    command: Command = {"op": "vmgexit", "page": pieces(page.encode()), "gpa": gpa}
    return command | {
        name: value for name, value in (("cpu", cpu), ("meanwhile", meanwhile)) if value is not None
    }


def _named(rows: Iterable[Any], name: str, what: str) -> Any:
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        raise UsageError(f"no {what} is called {name}")
    return found


def check(machine: str, steps: list[tuple[Command, Answer]]) -> None:
    """Carry a scenario out, and compare its answers. Raises AssertionError with the first that differs."""
    sequence = Sequence("the scenario", 1, machine=machine)
    for command, answer in steps:
        sequence.add(command, answer)
    quirks = KINDS[machine].profiles.profile(os.environ.get(PROFILE, "reference"))
    if os.environ.get(PEER):
        found = replay_peer([sequence], _peer(os.environ[PEER]), quirks, Tally())
    else:
        found = replay([sequence], quirks, Tally())
    for mismatch in found:
        raise AssertionError(str(mismatch))


@cache
def _peer(command: str) -> Peer:
    """The adapter, which is kept from test to test, and started where it is needed."""
    return Peer(shlex.split(command))


def run(target: str, commands: list[Command], **conditions: Any) -> None:
    """Carry the scenario of a finding out as its target does. Raises what the target finds."""
    opened = _opened(target, conditions)
    opened.carry_out(commands)


def rerun(target: str, data: bytes, **conditions: Any) -> None:
    """Run the input of a finding again. Raises what the target finds."""
    _opened(target, conditions).run(data)


def _opened(target: str, conditions: dict[str, Any]) -> Target:
    return find(target).open(Conditions(**conditions))


def decoded(name: str, data: bytes) -> dict[str, Any]:
    """The fields of a structure, whose bytes come back when it is encoded."""
    value = structure(name).decode(data)
    assert value.encode() == data, f"{name}: other bytes when encoded again"
    return value.as_dict()
