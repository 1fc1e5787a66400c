"""A sequence carried out, and drawn on the way.

Two machines go side by side: one answers, the other is under the invariants. A recorded answer is drawn
as it was recorded; where a machine of the profile answers otherwise, a note says so. So does one where an
invariant breaks; from there on invariants are not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...compare.replay import KINDS, Executor, Mismatch, differences, same
from ...counting import count_of
from ...devices import RECORDED
from ...errors import ScenarioError, UsageError
from ...hosts.scenario import Session
from ...machine.machine import Machine
from ...sequences import HOST, Sequence
from ...watch.judged import Violation
from . import hosts, interrupts, svsm
from .chart import GUEST_FIRST, Chart, Item, Mark, Note, Party, lanes_of
from .step import Before, HostStep, Step

MOST = 200
"""Commands of one chart."""
MOST_LANES = 20


def charted(
    sequence: Sequence,
    profile: str = "reference",
    *,
    first: int = 0,
    last: int | None = None,
    title: str = "",
) -> Chart:
    """The chart of commands `first` to `last` of a sequence; those before are carried out, not drawn.

    Raises UsageError where there are more than MOST of them, or of lanes more than MOST_LANES, and
    ScenarioError where a command cannot be carried out.
    """
    count, end = len(sequence.commands), _end(sequence, first, last)
    terms: dict[str, str] = {}
    items = list(_items(sequence, profile, first, end, terms))
    lanes = lanes_of(items, GUEST_FIRST if sequence.machine == HOST else Party)
    if len(lanes) > MOST_LANES:
        raise UsageError(
            f"{sequence.name}: {len(lanes)} lanes; one chart has {MOST_LANES} at most: choose fewer"
            " commands by --from N --to N"
        )
    is_part = end - first + 1 < count
    part = f"commands {first} to {end} of {count}" if is_part else count_of(count, "command")
    about = f"Profile {profile}; {part}"
    if sequence.kind:
        about = f"Recording of kind {sequence.kind}. {about}"
    return Chart(
        title or Path(sequence.name).name,
        f"{about}.",
        lanes,
        tuple(items),
        tuple(sorted(terms.items())),
    )


def _end(sequence: Sequence, first: int, last: int | None) -> int:
    """The last command that is drawn. Raises ScenarioError and UsageError as `charted`."""
    count = len(sequence.commands)
    if not count:
        raise ScenarioError(f"{sequence.name}: no command found")
    end = count - 1 if last is None else min(last, count - 1)
    if last is not None and first > last:
        raise UsageError(f"--from {first}: --to {last} is before that")
    if first > end:
        raise UsageError(f"--from {first}: the last command is {end}")
    if end - first >= MOST:
        raise UsageError(
            f"{sequence.name}: {count_of(count, 'command')}; one chart has {MOST} at most:"
            " choose them by --from N --to N"
        )
    return end


def _items(
    sequence: Sequence, profile: str, first: int, last: int, terms: dict[str, str]
) -> Iterator[Item]:
    """The items of these commands; `terms` gets what is to be explained."""
    kind = KINDS[sequence.machine]
    quirks = kind.profiles.profile(profile)
    machine = kind.begin(quirks, RECORDED)
    watched: Executor | None = kind.watch(kind.begin(quirks, RECORDED))
    refuses: list[tuple[int, str]] = []
    for index in range(last + 1):
        command, recorded = sequence.commands[index], sequence.answers[index]
        before = (
            Before.of(machine.vm) if isinstance(machine, Machine) and index >= first else Before()
        )
        if command["op"] == "host_refuse":
            refuses.append((command["cpu"], command["call"]))
        try:
            answer = machine.execute(command)
        except ScenarioError as error:
            raise ScenarioError(f"operation {index}: {error}", line=sequence.line) from None
        # The answer's lists are the machine's own, which the next command changes.
        answer = json.loads(json.dumps(answer))
        if index >= first:
            drawn = answer if recorded is None else recorded
            if isinstance(machine, Machine):
                sent = list(machine.vm.sent)
                step = Step(index, command, drawn, machine.vm, before, sent, refuses)
                terms.update(interrupts.terms(step))
                yield from svsm.told(step)
            elif isinstance(machine, Session):
                yield from hosts.told(HostStep(index, command, drawn))
            if recorded is not None and not same(answer, recorded):
                yield _otherwise(sequence, index, answer, recorded, profile)
        try:
            if watched is not None:
                watched.execute(command)
        except Violation as violation:
            watched = None
            if index >= first:
                yield _broken(violation, index)


def _otherwise(sequence: Sequence, index: int, answer: Any, recorded: Any, profile: str) -> Note:
    """What a machine answers instead of what was recorded."""
    told = str(Mismatch(sequence, index, differences(answer, recorded)))
    found = told.partition(f"{sequence.commands[index]['op']}: ")[2]
    lines = found.replace("; ", "\n")
    return Note(
        index, None, f"a machine of profile {profile} answers otherwise\n{lines}", Mark.BROKEN
    )


def _broken(violation: Violation, index: int) -> Note:
    """The invariant that a command broke."""
    name, place = violation.invariant.name, violation.place
    text = f"{name} is broken at {place}: {violation.message}\n({violation.invariant.meaning})"
    return Note(index, None, text, Mark.BROKEN)
