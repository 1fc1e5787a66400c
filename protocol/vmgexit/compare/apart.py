"""Which of several quirks a peer has, where each of them explains what it answered.

A scenario often holds more than the defect needs, and a quirk that has to do with the rest may explain it
too. The scenario without one of its commands is put to machines with each of the quirks, and where those
differ, to the peer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..descriptions import Answer, Command
from ..errors import PeerError, ScenarioError
from ..machine.machine import Machine
from ..machine.quirks import PROFILES
from .lockstep import compare
from .peer import Answering

_MOST_ASKED = 4  # scenarios that a peer gets for this


def likeliest(
    peer: Answering, have: Sequence[str], commands: Sequence[Command], names: Sequence[str]
) -> str:
    """The quirk beside those that it is known to `have` which a peer has; of several that cannot be told
    apart the first."""
    left, asked = list(names), 0
    # From the end: what stands near the failing command has most to do with it.
    for at in range(len(commands) - 2, 0, -1):
        if len(left) == 1 or asked == _MOST_ASKED:
            break
        shorter = [*commands[:at], *commands[at + 1 :]]
        try:
            expected = {
                name: _answers(Machine(PROFILES.only(*have, name)), shorter) for name in left
            }
            if all(answers == expected[left[0]] for answers in expected.values()):
                continue
            asked += 1
            found = _answers(peer, shorter)
        except (ScenarioError, PeerError):
            continue  # it cannot be done without that command, or ends the peer
        # Other defects of the peer may show, and then no quirk alone explains it.
        left = [name for name in left if _same(found, expected[name])] or left
    return left[0]


def _answers(executor: Answering, commands: Sequence[Command]) -> list[Answer]:
    return [executor.execute(command) for command in commands]


def _same(found: list[Answer], expected: list[Answer]) -> bool:
    return not any(compare(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
